"""Prediction intervals for the effect on single treated units: uncertain weights, and a noisy future."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import InferenceError, choose, of_kind
from crimepolicy.estimate import HEADLINE, Estimate, path_term
from crimepolicy.panel import Panel
from crimepolicy.synth.cohorts import Cohort, Comparison, comparison
from crimepolicy.synth.constraints import bounded_weights
from crimepolicy.synth.in_sample import in_sample, simulated_bounds
from crimepolicy.synth.out_of_sample import NoiseModel, noise_bounds

__all__ = ["prediction_intervals"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_FEWEST = 3
_EXACT = 1e-10  # residuals below this share of the series are rounding
_COLUMNS = ["estimate", "in_sample_low", "in_sample_high", "conf_low", "conf_high", "joint_low", "joint_high"]


def prediction_intervals(
    estimate: Estimate, *, level: float = 0.9, model: NoiseModel = "subgaussian", draws: int = 200, seed: int = 0
) -> pd.DataFrame:
    """Return intervals that cover the effect in each treated cell, and all of them at once.

    The effect of one treated unit in one period is itself random, so this is prediction: the interval adds what the weights
    could have been (in sample, simulated) to what the period itself brings (out of sample, modelled).

    Parameters
    ----------
    estimate : Estimate
        As `synthetic_control` returned it, matched on outcomes, without penalty.
    level : float
        Coverage; the part that may be missed is shared equally between the two sources.
    model : {"subgaussian", "location_scale", "quantile"}
        How the noise after treatment follows from residuals before it; see `noise_bounds`. Joint intervals are subgaussian.
    draws : int
        Simulated draws for the in-sample part, for each treated unit.
    seed : int

    Returns
    -------
    pandas.DataFrame
        Indexed by term: ``att`` (average over treated cells), ``event_time[k]`` (average over units) and, with several cohorts,
        ``cell[cohort, period]``. Columns estimate; in_sample_low and in_sample_high (uncertain weights alone); conf_low and
        conf_high; joint_low and joint_high, which cover the whole path at once (missing for averages over periods).

    Raises
    ------
    InferenceError
        Where the estimate is not a synthetic control on outcomes, its constraint has no simulated bounds, or the fit leaves
        no residuals before treatment.

    Assumptions
    -----------
    Given the donors, residuals before treatment are independent or weakly dependent and their moments linear in the donors;
    the noise after treatment follows the same model. Averages over units take each unit at its worst together.

    References
    ----------
    Cattaneo, Feng and Titiunik (2021), JASA 116(536); Cattaneo, Feng, Palomba and Titiunik (2025), Journal of Statistical
    Software 113(1), for several units.

    Examples
    --------
    >>> import crimepolicy as cp
    >>> rows = pd.DataFrame({"city": np.repeat(list("abcdefgh"), 30), "year": list(range(30)) * 8})
    >>> rows["deaths"] = np.random.default_rng(1).normal(20, 1, 240)
    >>> rows["truce"] = ((rows.city == "a") & (rows.year > 26)).astype(int)
    >>> panel = cp.Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> table = prediction_intervals(cp.synthetic_control(panel), draws=50)
    >>> bool((table.conf_low <= table.in_sample_low).all())
    True
    """
    of_kind("estimate", estimate, Estimate)
    choose("model", model, NoiseModel)
    if not 0 < level < 1:
        raise InferenceError(f"level={level!r} should lie between 0 and 1, such as 0.9.")
    panel = _usable(estimate)
    options = estimate.options
    data = comparison(panel, scale=options["scale"], exclude=options["exclude"], each=options["target"] == "each")
    seeds = np.random.SeedSequence(seed).spawn(len(data.cohorts))
    rule = _Rule(options["constraint"], options["size"], options["intercept"], model, (1.0 - level) / 2.0, draws)
    cells = [
        _cells(data, cohort, rule, np.random.default_rng(one)) for cohort, one in zip(data.cohorts, seeds, strict=True)
    ]
    return _table(data, cells, panel, rule.alpha)


@dataclass(frozen=True, slots=True)
class _Rule:
    constraint: Any
    size: float | None
    intercept: bool
    model: NoiseModel
    alpha: float
    draws: int


@dataclass(frozen=True, slots=True)
class _Cells:
    """Effects of one cohort and what bounds them: rows are its H treated periods and, last, their average.

    Attributes
    ----------
    gaps : float array (H + 1,)
        Observed less fitted.
    low, high : float array (draws, H + 1)
        Simulated errors of the fit.
    noise : float array (2, H + 1)
        Bounds of the noise by the model asked for.
    wide : float array (2, H + 1)
        Subgaussian bounds that hold for all H periods at once.
    """

    gaps: Floats
    low: Floats
    high: Floats
    noise: Floats
    wide: Floats


def _usable(estimate: Estimate) -> Panel:
    options = estimate.options
    if estimate.panel is None or "constraint" not in options:
        raise InferenceError(
            f"{estimate.method} is not a synthetic control with its panel. Prediction intervals need one; conformal_interval takes others."
        )
    if options["predictors"] is not None or options["penalty"] is not None:
        raise InferenceError(
            "Prediction intervals are for weights matched on outcomes without penalty. Use conformal_interval or placebo_test."
        )
    if options["constraint"] == "simplex_ridge" or (options["constraint"] == "ridge" and options["intercept"]):
        raise InferenceError(
            "No simulated bounds for this constraint. Use 'simplex', 'lasso', 'ols', or 'ridge' without a constant."
        )
    return estimate.panel


def _cells(data: Comparison, cohort: Cohort, rule: _Rule, rng: np.random.Generator) -> _Cells:
    pool, series, start = data.series(data.donors).T, data.average(cohort.rows), cohort.start
    before, treated = pool[:start], series[:start]
    fit = bounded_weights(before, treated, rule.constraint, size=rule.size, intercept=rule.intercept)
    residual = treated - before @ fit.weights - fit.intercept
    _require_residuals(residual, treated, cohort)
    wanted = np.vstack([pool[start:], pool[start:].mean(axis=0)])
    observed = np.append(series[start:], series[start:].mean())
    problem = in_sample(before, treated, fit, rule.constraint, rule.intercept)
    low, high = simulated_bounds(problem, wanted, rule.draws, rng)
    used = (before[:, problem.used], residual, wanted[:, problem.used])
    half = rule.alpha / 2.0
    noise = np.stack(noise_bounds(*used, rule.model, half))
    wide = _for_all(np.stack(noise_bounds(*used, "subgaussian", half)), len(pool) - start)
    return _Cells(observed - wanted @ fit.weights - fit.intercept, low, high, noise, wide)


def _require_residuals(residual: Floats, treated: Floats, cohort: Cohort) -> None:
    if len(residual) < _FEWEST:
        raise InferenceError(
            f"Prediction intervals learn from residuals before treatment; {cohort.label} has {len(residual)} such periods, and {_FEWEST} "
            "are the least. Use placebo_test."
        )
    if np.abs(residual).max() <= _EXACT * max(float(np.abs(treated).max()), 1.0):
        raise InferenceError(
            f"The synthetic control of {cohort.label} fits all {len(residual)} periods before treatment exactly, which leaves no residual to "
            "learn from: an interval would be too narrow. Use placebo_test, or fewer donors (exclude=)."
        )


def _for_all(noise: Floats, periods: int) -> Floats:
    """Return subgaussian bounds (2, H) that hold for all periods at once: the same middle, a longer reach."""
    factor = max(1.0, float(np.sqrt(np.log(periods + 1.0))))
    middle = noise.mean(axis=0)
    return middle + factor * (noise - middle)


def _table(data: Comparison, cells: list[_Cells], panel: Panel, alpha: float) -> pd.DataFrame:
    tail = alpha / 2.0
    sizes = np.array([float(data.mass[c.rows][:, c.start :].sum()) for c in data.cohorts])
    rows = {HEADLINE: _mean([(one, -1) for one in cells], sizes).bounds(tail)}
    longest = max(len(one.gaps) - 1 for one in cells)
    path = []
    for k in range(longest):
        there = [(c, one) for c, one in zip(data.cohorts, cells, strict=True) if k < len(one.gaps) - 1]
        weight = np.array([float(data.mass[c.rows, c.start + k].sum()) for c, _ in there])
        path.append(_mean([(one, k) for _, one in there], weight))
    joint = _joint(path, tail)
    rows |= {
        path_term("event_time", k): one.bounds(tail) + reach
        for k, (one, reach) in enumerate(zip(path, joint, strict=True))
    }
    if len(cells) > 1:
        for c, one in zip(data.cohorts, cells, strict=True):
            single = [_mean([(one, k)], np.ones(1)) for k in range(len(one.gaps) - 1)]
            for k, (cell, reach) in enumerate(zip(single, _joint(single, tail), strict=True)):
                rows[path_term("cell", f"{c.label}, {panel.periods[c.start + k]}")] = cell.bounds(tail) + reach
    filled = [values + [np.nan] * (len(_COLUMNS) - len(values)) for values in rows.values()]
    return pd.DataFrame(filled, columns=_COLUMNS, index=pd.Index(list(rows), name="term"))


@dataclass(frozen=True, slots=True)
class _Term:
    """A weighted mean of cells: gap, simulated errors (draws,), noise bounds (2,) alone and for all periods at once (2,)."""

    gap: float
    low: Floats
    high: Floats
    noise: Floats
    wide: Floats

    def bounds(self, tail: float) -> list[float]:
        inner = self.gap - float(np.quantile(self.high, 1.0 - tail)), self.gap - float(np.quantile(self.low, tail))
        return [self.gap, *inner, inner[0] - float(self.noise[1]), inner[1] - float(self.noise[0])]


def _mean(cells: list[tuple[_Cells, int]], weight: Floats) -> _Term:
    share = weight / weight.sum()
    parts = [
        (s * one.gaps[k], s * one.low[:, k], s * one.high[:, k], s * one.noise[:, k], s * one.wide[:, k])
        for s, (one, k) in zip(share, cells, strict=True)
    ]
    return _Term(*(sum(column) for column in zip(*parts, strict=True)))


def _joint(path: list[_Term], tail: float) -> list[list[float]]:
    low = float(np.quantile(np.min([one.low for one in path], axis=0), tail))
    high = float(np.quantile(np.max([one.high for one in path], axis=0), 1.0 - tail))
    return [[one.gap - high - float(one.wide[1]), one.gap - low - float(one.wide[0])] for one in path]
