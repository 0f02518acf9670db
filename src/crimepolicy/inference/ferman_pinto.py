"""Inference with few treated and many untreated places whose variance depends on population."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize

from crimepolicy.errors import InferenceError, of_kind, offenders
from crimepolicy.estimate import Check, Estimate
from crimepolicy.inference.control_noise import control_noise, with_noise
from crimepolicy.inference.influence import panel_of

__all__ = ["ferman_pinto"]

Array = np.ndarray[Any, Any]

_ITERATIONS = 100
_FLOOR = 1e-8
"""Share of the mean below which a fitted variance is no longer used as a weight."""


def ferman_pinto(
    estimate: Estimate, *, population: Mapping[Any, float] | pd.Series | None = None, draws: int = 9_999, seed: int = 0
) -> Estimate:
    """Return the estimate with noise borrowed from untreated places and rescaled to the size of the treated ones.

    The estimand is the coefficient of the treatment in a two-way regression. The variance of what place i would add to it is
    modelled as ``a + b / population_i``, with a and b not negative and fitted by
    normal likelihood (the authors use least squares): a rate is an average over persons who share shocks.

    Parameters
    ----------
    estimate : Estimate
        From a least-squares regression with unit and period effects on a balanced panel; see `regression`.
    population : mapping or series by unit, optional
        Size of each unit; the mean of the panel's population by default.
    draws, seed : int
        As for `conley_taber`.

    Returns
    -------
    Estimate
        With `null` and `null_p`; `interval` comes from its quantiles, and there is no standard error. The check
        ``variance_by_population`` gives the share of the variance that size explains.

    Raises
    ------
    InferenceError
        Where the estimate is no such regression, or a size is missing or not positive.

    Assumptions
    -----------
    Many untreated places, independent of each other; errors equal in distribution after rescaling by size.

    References
    ----------
    Ferman and Pinto (2019), Review of Economics and Statistics 101.

    Examples
    --------
    >>> import crimepolicy as cp
    >>> from crimepolicy.inference.conley_taber import conley_taber
    >>> size = pd.Series(np.geomspace(1e3, 1e6, 30))
    >>> rows = pd.DataFrame({"city": np.repeat(range(30), 6), "year": list(range(6)) * 30})
    >>> rows["rate"] = np.random.default_rng(1).normal(20, 1e3 / np.sqrt(size[rows.city]))
    >>> rows["truce"] = ((rows.city == 0) & (rows.year > 2)).astype(int)
    >>> panel = cp.Panel.from_frame(rows, unit="city", time="year", outcome="rate", treated="truce")
    >>> effect = cp.two_way_fixed_effects(panel)
    >>> bool(ferman_pinto(effect, population=size).null.att.std() > conley_taber(effect).null.att.std())
    True
    """
    of_kind("estimate", estimate, Estimate)
    table = control_noise(estimate)
    size = _size(estimate, population)
    fits = [_variance(table.noise[:, j], size[table.controls]) for j in range(table.noise.shape[1])]
    spread = np.array([np.sqrt(a + b / size[table.controls]) for a, b in fits]).T
    own = np.array([np.sqrt(a + b / size[unit]) for (a, b), unit in zip(fits, table.treated, strict=True)])
    result = with_noise(estimate, table.noise / spread * own, "Ferman-Pinto", draws, seed)
    share = float(np.mean([1 - a / np.mean(table.noise[:, j] ** 2) for j, (a, _) in enumerate(fits)]))
    text = f"{share:.0%} of the variance between untreated places goes with 1 / population."
    return result.replace(checks=(*result.checks, Check("variance_by_population", None, share, text)))


def _size(estimate: Estimate, population: Mapping[Any, float] | pd.Series | None) -> Array:
    panel = panel_of(estimate)
    if population is not None:
        size = pd.Series(population).reindex(panel.units).to_numpy(dtype=float)
    elif panel.population is not None:
        size = panel.population.mean(axis=1)
    else:
        raise InferenceError("The panel has no population. Give population= by unit.")
    wrong = ~(size > 0)
    if wrong.any():
        raise InferenceError(f"Population is missing or not positive for {offenders(panel.units[wrong])}.")
    return np.asarray(size, dtype=float)


def _variance(noise: Array, size: Array) -> tuple[float, float]:
    """Return a and b, not negative, of ``noise^2 = a + b / size``.

    Least squares is reweighted until it maximises the normal likelihood: unweighted, a few small places would decide about
    the variance of the large ones.
    """
    columns = np.column_stack([np.ones(len(size)), 1 / size])
    square = noise**2
    fitted = np.full(len(size), square.mean())
    for _ in range(_ITERATIONS):
        scale = np.maximum(fitted, _FLOOR * square.mean())
        level, slope = optimize.nnls(columns / scale[:, None] * [1, size.mean()], square / scale)[0] * [1, size.mean()]
        before, fitted = fitted, columns @ [level, slope]
        if np.allclose(before, fitted, rtol=1e-8, atol=0):
            break
    return float(level), float(slope)
