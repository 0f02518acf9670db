"""Regression to the mean: placebo events where things looked as bad, but nothing was done."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import CrimepolicyError, DesignError, at_least, of_kind, offenders
from crimepolicy.estimate import Estimate
from crimepolicy.inference.parallel import ordered_map
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.refits import Fit, estimate_row, failed_row, panel_and_fit

__all__ = ["PeakPlacebos", "peak_matched_placebos", "peaks"]

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class PeakPlacebos:
    """Estimates for placebo events matched on how far the outcome had risen.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per draw, with the columns of an estimate and error.
    matches : pandas.DataFrame
        One row per real event: unit, period, peak (its rise in standard deviations), candidates, mean_placebo_peak.
    full : Estimate
    """

    frame: pd.DataFrame
    matches: pd.DataFrame
    full: Estimate

    @property
    def artefact(self) -> float:
        """Mean placebo estimate: what regression to the mean alone produces."""
        return float(self.frame["estimate"].mean())

    @property
    def p_value(self) -> float:
        """Share of placebo estimates at least as far from no effect, in the direction of the estimate."""
        done = self.frame["estimate"].dropna()
        beyond = (np.sign(self.full.value) * done >= abs(self.full.value)).sum()
        return float((1 + beyond) / (1 + len(done)))

    def sentence(self) -> str:
        """Return the finding in plain language."""
        done = self.frame["estimate"].dropna()
        failed = len(self.frame) - len(done)
        tail = f" {failed} draws could not be estimated." if failed else ""
        return (
            f"Places and dates that looked as bad but were not treated give {self.artefact:.4g} on average ({len(done)} draws, 95% of them from "
            f"{done.quantile(0.025):.4g} to {done.quantile(0.975):.4g}), against the estimate of {self.full.value:.4g}; {self.full.value - self.artefact:.4g} "
            f"remain beyond regression to the mean (p = {self.p_value:.3f}).{tail}"
        )

    def __str__(self) -> str:
        return self.sentence()

    __repr__ = __str__


def peak_matched_placebos(
    estimate: Estimate,
    *,
    window: int = 12,
    caliper: float = 0.5,
    draws: int = 200,
    level: float = 0.95,
    seed: int = 0,
    n_jobs: int = 1,
) -> PeakPlacebos:
    """Replace each treated spell by one where the outcome had risen as much and nobody intervened, and estimate again.

    Parameters
    ----------
    estimate : Estimate
        With its panel and fit, on an additive scale.
    window : int
        Periods before the event over which the rise is measured: the mean outcome (rate, where there is a population) of the
        last `window` periods less that of all earlier ones, in standard deviations of those.
    caliper : float
        How far the rises of match and event may differ, in standard deviations.
    draws : int
        Sets of placebo events; each takes one match per real event at random, in different units.
    level : float
        Of the intervals.
    seed : int
    n_jobs : int
        Workers, through joblib. The result does not depend on it.

    Returns
    -------
    PeakPlacebos

    Raises
    ------
    DesignError
        Where an event has no match, or too little history to measure its rise.
    EstimationError
        Where the estimate does not carry its panel and fit.

    Assumptions
    -----------
    The real treated units are left out. Matched peaks would have fallen back as the treated ones would have.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = pd.DataFrame(
    ...     {"city": np.repeat(np.arange(20), 30), "month": np.tile(np.arange(30), 20), "deaths": rng.poisson(9, 600)}
    ... )
    >>> rows["truce"] = ((rows["city"] == 0) & (rows["month"] >= 24)).astype(int)
    >>> panel = Panel.from_frame(rows, unit="city", time="month", outcome="deaths", treated="truce")
    >>> def gap(p):
    ...     facts = {"estimand": "gap", "method": "gap", "citation": "", "std_error": 1.0}
    ...     return Estimate(value=p.Y[p.D].mean() - p.Y[~p.D].mean(), panel=p, fit=gap, **facts)
    >>> abs(peak_matched_placebos(gap(panel), window=6, draws=50).artefact) < 1
    True
    """
    of_kind("estimate", estimate, Estimate)
    panel, fit = panel_and_fit(estimate)
    rise = peaks(panel, window)
    events, candidates = _candidates(panel, rise, caliper)
    matches = _matches(panel, rise, events, candidates)
    lonely = matches[matches["candidates"] == 0]
    if len(events) == 0 or len(lonely):
        named = (
            offenders([f"{row['unit']}, {row['period']}" for row in lonely.to_dict("records")])
            if len(lonely)
            else "any event"
        )
        raise DesignError(f"No untreated place and date looked as bad as {named}. Widen caliper= or shorten window=.")
    untreated = panel.drop(panel.units[panel.D.any(axis=1)])
    lengths = [_length(panel, unit, start) for unit, start in events]
    one = partial(_draw, fit, untreated, candidates, lengths, level)
    at_least("draws", draws, 1)
    seeds = np.random.SeedSequence(seed).spawn(draws)
    return PeakPlacebos(pd.DataFrame(ordered_map(one, seeds, n_jobs=n_jobs, label="placebo events")), matches, estimate)


def peaks(panel: Panel, window: int) -> Floats:
    """Return how far the outcome had risen before each period (N, T), in standard deviations; NaN with too little history."""
    rate = panel.Y if panel.population is None else panel.Y / panel.population
    frame = pd.DataFrame(rate.T)
    recent = frame.rolling(window).mean().shift(1)
    earlier = frame.expanding(2 * window).agg(["mean", "std"]).shift(window + 1)
    mean, spread = (earlier.xs(name, axis=1, level=1).to_numpy().T for name in ("mean", "std"))
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = (recent.to_numpy().T - mean) / spread
    return np.where(np.isfinite(rise), rise, np.nan)


def _candidates(panel: Panel, rise: Floats, caliper: float) -> tuple[np.ndarray[Any, Any], list[np.ndarray[Any, Any]]]:
    """Return the real events (n, 2) as unit and start, and the matches (m, 2) of each among the never-treated units."""
    starts = panel.D & ~np.pad(panel.D, ((0, 0), (1, 0)))[:, :-1]
    events = np.argwhere(starts)
    unmeasured = [f"{panel.units[i]}, {panel.periods[t]}" for i, t in events if np.isnan(rise[i, t])]
    if unmeasured:
        raise DesignError(
            f"Too little history before {offenders(unmeasured)} to say how far the outcome had risen: three windows are needed. Shorten window=."
        )
    pool = rise[~panel.D.any(axis=1)]
    found = []
    for unit, start in events:
        fits = np.abs(pool - rise[unit, start]) <= caliper
        fits[:, panel.n_periods - _length(panel, unit, start) + 1 :] = False
        found.append(np.argwhere(fits))
    return events, found


def _length(panel: Panel, unit: int, start: int) -> int:
    off = np.flatnonzero(~panel.D[unit, start:])
    return int(off[0]) if off.size else panel.n_periods - start


def _matches(
    panel: Panel, rise: Floats, events: np.ndarray[Any, Any], candidates: list[np.ndarray[Any, Any]]
) -> pd.DataFrame:
    pool = rise[~panel.D.any(axis=1)]
    rows = [
        {
            "unit": panel.units[unit],
            "period": str(panel.periods[start]),
            "peak": rise[unit, start],
            "candidates": len(found),
            "mean_placebo_peak": pool[found[:, 0], found[:, 1]].mean() if len(found) else np.nan,
        }
        for (unit, start), found in zip(events, candidates, strict=True)
    ]
    return pd.DataFrame(rows, columns=["unit", "period", "peak", "candidates", "mean_placebo_peak"])


def _draw(
    fit: Fit,
    panel: Panel,
    candidates: list[np.ndarray[Any, Any]],
    lengths: list[int],
    level: float,
    seed: np.random.SeedSequence,
) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    D = np.zeros_like(panel.D)
    try:
        for i in rng.permutation(len(candidates)):
            free = candidates[i][~D[candidates[i][:, 0]].any(axis=1)]
            if not len(free):
                raise DesignError(
                    "The matches of these events lie in too few units to be drawn together. Widen caliper=."
                )
            unit, start = free[rng.integers(len(free))]
            D[unit, start : start + lengths[i]] = True
        return estimate_row(fit(panel.with_treatment(D)), level)
    except CrimepolicyError as problem:
        return failed_row(problem)
