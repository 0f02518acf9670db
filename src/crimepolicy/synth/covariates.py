"""What covariates explain, taken out of every series before weights are chosen, or together with them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from scipy.optimize import minimize

from crimepolicy.errors import DesignError, offenders, suggest
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check
from crimepolicy.synth.cohorts import Comparison
from crimepolicy.synth.contrast import Problem

__all__ = ["Adjustment", "adjust"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Adjustment = Literal["projected", "joint"]

_TOLERANCE = 1e-10


def adjust(
    data: Comparison, panel: Panel, names: Sequence[str], how: Adjustment, problem_of: Callable[[Comparison], Problem]
) -> tuple[Comparison, tuple[Check, ...]]:
    """Return the comparison with the covariates' part as its offset, and what was done as a check.

    Parameters
    ----------
    data : Comparison
        Without offset.
    panel : Panel
        Holds the covariates X, each (N, T).
    names : sequence of str
        Covariates to use.
    how : {"projected", "joint"}
        As in `synthetic_did`.
    problem_of : function
        The contrast problem of a comparison, for the joint choice of coefficients and weights.
    """
    if not names:
        return data, ()
    X = _covariates(data, panel, names)
    beta = _projected(data, X) if how == "projected" else _joint(data, X, problem_of(data))
    shown = ", ".join(f"{name} {value:.8g}" for name, value in zip(names, beta, strict=True))
    text = f"coefficients taken out before weighting, held fixed in replicates: {shown}."
    return replace(data, offset=np.tensordot(beta, X, axes=1)), (Check("covariate_coefficients", None, shown, text),)


def _covariates(data: Comparison, panel: Panel, names: Sequence[str]) -> Floats:
    unknown = [name for name in names if name not in panel.X]
    if unknown:
        raise DesignError(f"No such covariate in the panel: {offenders(unknown)}.{suggest(unknown[0], list(panel.X))}")
    X = np.stack([panel.X[name] for name in names])
    rows = np.concatenate([data.donors, *(cohort.rows for cohort in data.cohorts)])
    holes = np.isnan(X[:, rows]).any(axis=(1, 2))
    if holes.any():
        holed = [name for name, hole in zip(names, holes, strict=True) if hole]
        raise DesignError(
            f"Covariates have missing cells among treated units and donors: {offenders(holed)}. Fill them, or leave them out."
        )
    return X


def _projected(data: Comparison, X: Floats) -> Floats:
    """Return the coefficients over the donors, net of unit and period effects."""
    y = _two_way(data.series(data.donors)).ravel()
    columns = np.stack([_two_way(x[data.donors]).ravel() for x in X], axis=1)
    return np.asarray(np.linalg.lstsq(columns, y)[0])


def _two_way(values: Floats) -> Floats:
    rows, columns = values.mean(axis=1, keepdims=True), values.mean(axis=0, keepdims=True)
    return np.asarray(values - rows - columns + values.mean())


def _joint(data: Comparison, X: Floats, problem: Problem) -> Floats:
    """Return the coefficients that, with the best weights for each, minimise the sum of both weighting losses."""
    donors = X[:, data.donors]
    treated = np.stack([[data.mean_of(x, cohort.rows) for cohort in data.cohorts] for x in X])
    # Scaled so that one step size suits every covariate.
    size = np.sqrt((donors**2).mean(axis=(1, 2)))

    def loss(scaled: Floats) -> tuple[float, Floats]:
        return _joint_loss(scaled / size, donors, treated, problem, size)

    found = minimize(
        loss, np.zeros(len(X)), jac=True, method="BFGS", options={"gtol": _TOLERANCE * loss(np.zeros(len(X)))[0]}
    )
    return np.asarray(found.x / size)


def _joint_loss(beta: Floats, donors: Floats, treated: Floats, problem: Problem, size: Floats) -> tuple[float, Floats]:
    moved = replace(
        problem,
        donors=problem.donors - np.tensordot(beta, donors, 1),
        treated=problem.treated - np.tensordot(beta, treated, 1),
    )
    total, gradient = 0.0, np.zeros(len(beta))
    # At the best weights the loss changes with the coefficients only through the data (envelope theorem).
    for c, (one, start, ridge) in enumerate(zip(moved.contrasts(), problem.starts, problem.ridges, strict=True)):
        w, share = one.donors, one.periods
        units = _centred((moved.treated[c] - w @ moved.donors)[:start])
        times = _centred(moved.donors[:, start:].mean(axis=1) - moved.donors[:, :start] @ share)
        total += float((units @ units + ridge[0] * w @ w) / start) + float(
            (times @ times + ridge[1] * share @ share) / len(w)
        )
        by_unit = (treated[:, c] - w @ donors)[:, :start]
        by_time = donors[:, :, start:].mean(axis=2) - donors[:, :, :start] @ share
        gradient -= 2 * (by_unit @ units / start + by_time @ times / len(w))
    return total, gradient / size


def _centred(values: Floats) -> Floats:
    return np.asarray(values - values.mean())
