"""Synthetic control: a weighted average of donors that resembles the treated unit before treatment."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import DesignError, choose, of_kind, offenders
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check
from crimepolicy.synth.cohorts import Cohort, Comparison, DonorScale, comparison, require_donors
from crimepolicy.synth.constraints import BoundedFit, Constraint, bounded_weights
from crimepolicy.synth.donors import donor_checks, hull_check
from crimepolicy.synth.nested import VSearch, nested_v
from crimepolicy.synth.packing import Labels, pack, weights_frame
from crimepolicy.synth.penalised import choose_distance_penalty, penalised_weights
from crimepolicy.synth.predictors import Predictor, PredictorTable, predictor_table
from crimepolicy.synth.weights import SimplexFit, simplex_weights

__all__ = ["VChoice", "synthetic_control"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
VChoice = Literal["equal", "inverse_variance", "regression", "nested", "cross_validated"]

_CITATION = "Abadie, Diamond and Hainmueller (2010), Journal of the American Statistical Association 105(490)"
_PENALISED = "Abadie and L'Hour (2021), Journal of the American Statistical Association 116(536)"


def synthetic_control(
    panel: Panel,
    *,
    intercept: bool = False,
    predictors: Sequence[Predictor] | None = None,
    v: VChoice | Sequence[float] = "nested",
    fit_window: tuple[object, object] | None = None,
    validation: int | None = None,
    starts: int = 8,
    penalty: float | Literal["cross_validated"] | None = None,
    constraint: Constraint = "simplex",
    size: float | None = None,
    target: Literal["average", "each"] = "average",
    scale: DonorScale = "level",
    exclude: Sequence[object] = (),
) -> Estimate:
    """Estimate the effect on the treated by synthetic control.

    The estimand is the average effect over the treated cells. Donor weights are non-negative, sum to one, and minimise the
    distance to the treated unit before treatment: in the outcome of every period, or in predictors weighted by V.

    Parameters
    ----------
    panel : Panel
        N units by T periods; treatment stays once it begins. A count with a population becomes a rate per 100,000.
    intercept : bool
        Let the synthetic control be at another level, constant over time (demeaned synthetic control).
    predictors : sequence of Predictor, optional
        What to match on; without them, the outcome in every period before treatment.
    v : {"nested", "cross_validated", "regression", "inverse_variance", "equal"} or sequence of float
        Weights of the predictors. ``"nested"``: those whose synthetic control fits the outcome best before treatment, by
        several searches. ``"cross_validated"``: the same with every window moved back by `validation` periods and the fit
        judged in the last `validation` periods before treatment. ``"regression"``: squared coefficients of the outcome
        before treatment on the predictors. ``"inverse_variance"``: predictors scaled to variance one. ``"equal"``:
        predictors as they are, for those in one unit. Numbers: weights of the scaled predictors.
    fit_window : (period, period), optional
        Periods whose fit chooses V; all before treatment where left out.
    validation : int, optional
        Length of the validation window; half the periods before treatment where left out.
    starts : int
        Local searches of ``"nested"`` and ``"cross_validated"`` beside the systematic ones.
    penalty : float or "cross_validated", optional
        Weight on the distance of each donor from the treated unit, which makes the weights unique and local. Cross-validated:
        the one, of a grid, that predicts the outcomes of donors after treatment best when each in turn plays the treated.
    constraint : {"simplex", "lasso", "ridge", "simplex_ridge", "ols"}
        Non-negative weights with sum one; absolute sum at most `size`; length at most `size`; simplex and length; any weights.
        Others than the simplex extrapolate, and go with neither predictors nor a penalty.
    size : float, optional
        Bound of the constraint; one for the lasso, a rule of thumb for the length where left out.
    target : {"average", "each"}
        One synthetic control per adoption cohort, or one per treated unit.
    scale : {"level", "log"}
        Scale on which donors are averaged.
    exclude : sequence of unit labels
        Never treated units that must not be donors.

    Returns
    -------
    Estimate
        Without standard error: see `placebo_test`, `conformal_test` and `prediction_intervals`. `weights` has columns role
        (donor or predictor), cohort, label, weight; `path` includes the periods before treatment.

    Raises
    ------
    DesignError
        Where treatment ends (use `factor_model`), no donor is left, a treated unit has missing cells, or predictors are
        measured after treatment began.

    Assumptions
    -----------
    Donor averages that match the treated unit before treatment would have gone on matching it; donors are not affected
    by the treatment; no anticipation.

    References
    ----------
    Abadie, Diamond and Hainmueller (2010, 2015); Doudchenko and Imbens (2016) for the constant; Abadie and L'Hour (2021)
    for the penalty.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [(u, t, h * t - (3 if u == "b" and t >= 4 else 0)) for u, h in zip("abc", (1, 2, 3)) for t in range(6)]
    >>> panel = Panel.from_frame(
    ...     pd.DataFrame(rows, columns=["unit", "time", "y"]), unit="unit", time="time", outcome="y"
    ... )
    >>> round(synthetic_control(panel.treat(["b"], at=4)).value, 6)
    -3.0
    """
    of_kind("panel", panel, Panel)
    if isinstance(v, str):
        choose("v", v, VChoice)
    choose("constraint", constraint, Constraint)
    choose("target", target, ("average", "each"))
    require_donors(panel, exclude)
    chosen = None if predictors is None else tuple(predictors)
    given = v if isinstance(v, str) else tuple(float(weight) for weight in v)
    settings = _Settings(
        intercept,
        chosen,
        given,
        fit_window,
        validation,
        starts,
        penalty,
        constraint,
        size,
        target,
        scale,
        tuple(exclude),
    )
    _require_consistent(settings)
    return _estimate(panel, settings)


@dataclass(frozen=True, slots=True)
class _Settings:
    intercept: bool
    predictors: tuple[Predictor, ...] | None
    v: str | tuple[float, ...]
    fit_window: tuple[object, object] | None
    validation: int | None
    starts: int
    penalty: float | Literal["cross_validated"] | None
    constraint: Constraint
    size: float | None
    target: Literal["average", "each"]
    scale: DonorScale
    exclude: tuple[object, ...]

    def options(self) -> dict[str, Any]:
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return named | {"predictors": None if self.predictors is None else [str(p) for p in self.predictors]}


@dataclass(frozen=True, slots=True)
class _Weights:
    """Donor weights (J,); with predictors their weights (k,) and balance (3, k): treated, synthetic, mean of donors."""

    donors: Floats
    unique: bool
    v: Floats | None = None
    search: VSearch | None = None
    balance: Floats | None = None
    check: Check | None = None


def _require_consistent(settings: _Settings) -> None:
    if settings.intercept and (settings.predictors is not None or settings.penalty is not None):
        raise DesignError(
            "intercept=True matches the shape of the outcome in every period; it goes with neither predictors nor a penalty."
        )
    if settings.predictors is not None and not settings.predictors:
        raise DesignError("predictors is empty. Leave it out to match on the outcome in every period before treatment.")
    if isinstance(settings.v, tuple) and (
        settings.predictors is None or len(settings.v) != len(settings.predictors) or min(settings.v) < 0
    ):
        raise DesignError("v as numbers needs one weight, zero or more, per predictor.")
    _require_penalty(settings.penalty)
    if settings.constraint != "simplex" and (settings.predictors is not None or settings.penalty is not None):
        raise DesignError(f"constraint={settings.constraint!r} goes with neither predictors nor a penalty.")
    if settings.size is not None and (settings.constraint in {"simplex", "ols"} or not settings.size > 0):
        raise DesignError(
            "size= bounds the lasso, the ridge and simplex_ridge, and should be positive; leave it out otherwise."
        )


def _require_penalty(penalty: float | str | None) -> None:
    if isinstance(penalty, str):
        choose("penalty", penalty, ("cross_validated",))
    elif penalty is not None and not penalty > 0:
        raise DesignError(f"penalty={penalty!r} should be positive; leave it out for the ordinary synthetic control.")


def _estimate(panel: Panel, settings: _Settings) -> Estimate:
    data = comparison(panel, scale=settings.scale, exclude=settings.exclude, each=settings.target == "each")
    pool = data.series(data.donors)
    fitted = [_fit(panel, data, pool, cohort, settings) for cohort in data.cohorts]
    gaps = np.stack(
        [
            _gaps(data, pool, cohort, one.donors, settings.intercept)
            for cohort, one in zip(data.cohorts, fitted, strict=True)
        ]
    )
    donors = [one.donors for one in fitted]
    return pack(
        panel,
        data,
        gaps,
        labels=Labels(_name(settings), _CITATION if settings.penalty is None else _PENALISED, settings.options()),
        fit=partial(_estimate, settings=settings),
        weights=_weights(data, panel, fitted, settings),
        checks=(
            *donor_checks(data, gaps, donors, [one.unique for one in fitted]),
            *(() if settings.intercept or settings.constraint != "simplex" else (hull_check(data, gaps),)),
            *(_search_check(one.search) for one in fitted if one.search is not None),
            *(one.check for one in fitted if one.check is not None),
        ),
    )


def _name(settings: _Settings) -> str:
    kind = "demeaned " if settings.intercept else "" if settings.penalty is None else "penalised "
    if settings.constraint != "simplex":
        kind += f"{settings.constraint.replace('_', '-')} "
    return f"{kind}synthetic control" + ("" if settings.predictors is None else " with predictors")


def _gaps(data: Comparison, pool: Floats, cohort: Cohort, donors: Floats, intercept: bool) -> Floats:
    gaps = data.average(cohort.rows) - donors @ pool
    return gaps - gaps[: cohort.start].mean() if intercept else gaps


def _weights(data: Comparison, panel: Panel, fitted: list[_Weights], settings: _Settings) -> pd.DataFrame:
    frame = weights_frame(data, panel, [one.donors for one in fitted])
    if settings.predictors is None:
        return frame
    names = [str(predictor) for predictor in settings.predictors]
    more = [
        pd.DataFrame({"role": "predictor", "cohort": [cohort.label] * len(names), "label": names, "weight": one.v})
        .astype({"cohort": object, "label": object, "role": object})
        .assign(**dict(zip(("treated", "synthetic", "donor_mean"), one.balance, strict=True)))  # type: ignore[arg-type]
        for cohort, one in zip(data.cohorts, fitted, strict=True)
    ]
    return pd.concat([frame, *more], ignore_index=True)


# ------------------------------------------------------------------- one cohort


def _fit(panel: Panel, data: Comparison, pool: Floats, cohort: Cohort, settings: _Settings) -> _Weights:
    if settings.predictors is not None:
        return _fit_predictors(panel, data, pool, cohort, settings)
    before = slice(None, cohort.start)
    series = data.average(cohort.rows)[before]
    if settings.penalty is not None:
        return _penalised((pool[:, before] - series).T, pool, cohort, settings)
    if settings.constraint != "simplex":
        bounded = bounded_weights(
            pool[:, before].T, series, settings.constraint, size=settings.size, intercept=settings.intercept
        )
        return _Weights(bounded.weights, bounded.unique, check=_constraint_check(bounded, settings.constraint))
    fit = simplex_weights(pool[:, before].T, series, intercept=settings.intercept)
    return _Weights(fit.weights, fit.unique)


def _penalised(rows: Floats, pool: Floats, cohort: Cohort, settings: _Settings) -> _Weights:
    if isinstance(settings.penalty, float | int):
        return _Weights(penalised_weights(rows, settings.penalty), True)
    if pool.shape[0] < 3:
        raise DesignError(f"penalty='cross_validated' needs three donors; there are {pool.shape[0]}. Give a number.")
    choice = choose_distance_penalty(rows, pool[:, cohort.start :].T)
    best = float(choice.errors.min())
    edge = ", at the edge of the grid" if choice.chosen in {choice.penalties[0], choice.penalties[-1]} else ""
    text = (
        f"penalty {choice.chosen:.3g} predicts donors after treatment best (root mean squared error {best:.4g}, between {choice.penalties[0]:.3g} and "
        f"{choice.penalties[-1]:.3g} at most {choice.errors.max():.4g}){edge}."
    )
    return _Weights(
        penalised_weights(rows, choice.chosen), True, check=Check("penalty_chosen", None, choice.chosen, text)
    )


def _constraint_check(fit: BoundedFit, constraint: Constraint) -> Check:
    negative, total = float(-fit.weights[fit.weights < 0].sum()), float(fit.weights.sum())
    bound = f", bound {fit.size:.4g}" if np.isfinite(fit.size) else ""
    text = (
        f"{constraint} weights{bound} sum to {total:.3f}, the negative ones to {negative:.3f}: so much is extrapolated."
    )
    return Check("constraint", None, constraint, text)


def _fit_predictors(panel: Panel, data: Comparison, pool: Floats, cohort: Cohort, settings: _Settings) -> _Weights:
    table = predictor_table(panel, data, settings.predictors or ())
    if table.last >= cohort.start:
        raise DesignError(
            f"Predictors reach to {panel.periods[table.last]}, but {cohort.label} is treated. Use windows before treatment."
        )
    columns = table.scaled(data, cohort.rows, unit_variance=settings.v != "equal")
    v, search = _choose_v(panel, data, pool, cohort, settings, table, columns)
    rows = np.sqrt(v)[:, None] * columns
    if settings.penalty is not None:
        found = _penalised(rows, pool, cohort, settings)
    else:
        fit: SimplexFit = simplex_weights(rows, np.zeros(len(v)))
        weights = fit.weights if search is None or settings.v != "nested" else search.weights
        found = _Weights(weights, fit.unique)
    values = table.values[:, data.donors]
    balance = np.stack([table.of(data, cohort.rows), values @ found.donors, values.mean(axis=1)])
    return replace(found, v=v, search=search, balance=balance)


def _choose_v(
    panel: Panel,
    data: Comparison,
    pool: Floats,
    cohort: Cohort,
    settings: _Settings,
    table: PredictorTable,
    columns: Floats,
) -> tuple[Floats, VSearch | None]:
    k = len(columns)
    if isinstance(settings.v, tuple):
        return np.asarray(settings.v) / sum(settings.v), None
    if settings.v in {"equal", "inverse_variance"}:
        return np.full(k, 1.0 / k), None
    if settings.v == "regression":
        return _regression_v(data, pool, cohort, table), None
    if settings.v == "nested":
        outcomes = _outcomes(panel, data, pool, cohort, settings)
        guesses = (np.full(k, 1.0 / k), _regression_v(data, pool, cohort, table))
        found = nested_v(columns, outcomes, guesses=guesses, starts=settings.starts)
        return found.v, found
    length = cohort.start // 2 if settings.validation is None else settings.validation
    training = predictor_table(panel, data, settings.predictors or (), shift=length).scaled(
        data, cohort.rows, unit_variance=True
    )
    outcomes = (pool - data.average(cohort.rows))[:, cohort.start - length : cohort.start].T
    found = nested_v(training, outcomes, guesses=(np.full(k, 1.0 / k),), starts=settings.starts)
    return found.v, found


def _outcomes(panel: Panel, data: Comparison, pool: Floats, cohort: Cohort, settings: _Settings) -> Floats:
    first, last = 0, cohort.start - 1
    if settings.fit_window is not None:
        first, last = (panel.position(period) for period in settings.fit_window)
    if not 0 <= first <= last < cohort.start:
        raise DesignError(
            f"fit_window={settings.fit_window!r} should lie before treatment, which begins in {cohort.label}."
        )
    return np.asarray((pool - data.average(cohort.rows))[:, first : last + 1].T)


def _regression_v(data: Comparison, pool: Floats, cohort: Cohort, table: PredictorTable) -> Floats:
    """Return the sums over periods of the squared coefficients of the outcome on the scaled predictors."""
    values = np.column_stack([table.of(data, cohort.rows), table.values[:, data.donors]])
    spread = values.std(axis=1, ddof=1)
    design = np.column_stack([np.ones(values.shape[1]), (values / np.where(spread > 0, spread, 1.0)[:, None]).T])
    outcomes = np.vstack([data.average(cohort.rows), pool])[:, : cohort.start]
    coefficients = np.linalg.lstsq(design, outcomes)[0][1:]
    size = (coefficients**2).sum(axis=1)
    return np.asarray(size / size.sum()) if size.sum() > 0 else np.full(len(size), 1.0 / len(size))


def _search_check(search: VSearch) -> Check:
    losses = offenders([f"{loss:.4g}" for loss in search.losses], show=12)
    # Agreement is a good sign and no proof: only the bound certifies a global optimum.
    passed = True if search.at_bound else None if search.agreeing > 1 else False
    above = f"{search.loss / search.bound - 1:.1%} above" if search.bound > 0 else "above"
    text = (
        f"mean squared gap {search.loss:.5g}, {above} the bound {search.bound:.5g} that no predictor weights can beat; {search.agreeing} of "
        f"{len(search.losses)} searches agree: {losses}."
    )
    return Check(
        "v_search", passed, search.loss, text + (" Only one got there: raise starts=." if passed is False else "")
    )
