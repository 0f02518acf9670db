"""From gaps by cohort and period to the headline, the event-time path, and the effect as events and as a ratio."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.estimate import HEADLINE, path_term
from crimepolicy.synth.cohorts import PER, Comparison

__all__ = ["Terms", "events_changed", "ratio_of_totals", "terms_of"]

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Terms:
    """The linear map from gaps (C, T) to the headline and the event-time path.

    Attributes
    ----------
    operator : float array (K, C * T)
        First row the headline (average over treated cells), then one row per event time.
    event_time : int array (K - 1,)
        Periods since the start of treatment, 0 for the first treated period.
    n_units : int array (K - 1,)
        Treated units behind each event time.
    """

    operator: Floats
    event_time: np.ndarray[Any, np.dtype[np.intp]]
    n_units: np.ndarray[Any, np.dtype[np.intp]]

    @property
    def labels(self) -> list[str]:
        """Names of the K terms."""
        return [HEADLINE, *(path_term("event_time", e) for e in self.event_time)]

    def apply(self, gaps: Floats) -> Floats:
        """Return the terms (..., K) of gaps (..., C, T)."""
        return gaps.reshape(*gaps.shape[:-2], -1) @ self.operator.T

    def path(self, values: Floats, errors: Floats | None = None) -> pd.DataFrame:
        """Return the path of an `Estimate` from the K terms and their standard errors."""
        spread = np.full(len(self.event_time), np.nan) if errors is None else errors[1:]
        columns = {"estimate": values[1:], "std_error": spread, "n_units": self.n_units}
        return pd.DataFrame(columns, index=pd.Index(self.event_time, name="event_time"))


def terms_of(data: Comparison) -> Terms:
    """Return the map from gaps to terms: cohorts count by their treated cells, or by the population in them."""
    n_periods = data.Y.shape[1]
    starts = np.array([cohort.start for cohort in data.cohorts])
    sizes = np.array([len(cohort.rows) for cohort in data.cohorts])
    mass = np.stack([data.mass[cohort.rows].sum(axis=0) for cohort in data.cohorts])
    since = np.arange(n_periods)[None, :] - starts[:, None]
    after = since >= 0
    # Within a cohort every period counts alike, as in the published estimators; across cohorts the mass decides.
    share = after * ((mass * after).sum(axis=1) / after.sum(axis=1))[:, None]
    event_time = np.arange(since.min(), since.max() + 1)
    at = since[None] == event_time[:, None, None]
    rows = np.concatenate([share[None], at * mass[None]]).reshape(len(event_time) + 1, -1)
    counts = (at * sizes[:, None]).sum(axis=(1, 2))
    return Terms(rows / rows.sum(axis=1, keepdims=True), event_time, counts)


def events_changed(data: Comparison, gaps: Floats) -> Floats:
    """Return the events added (...,) over all treated cells, from gaps (..., C, T) of a panel with a population."""
    total = np.zeros(gaps.shape[:-2])
    for index, cohort in enumerate(data.cohorts):
        after = slice(cohort.start, None)
        people = data.population[cohort.rows][:, after].sum(axis=0)  # type: ignore[index]
        total += _observed_less(data, gaps[..., index, after], data.average(cohort.rows)[after]) @ people / PER
    return total


def ratio_of_totals(data: Comparison, gaps: Floats) -> Floats:
    """Return observed over counterfactual (...,), both summed over all treated cells, from gaps (..., C, T)."""
    observed, added = 0.0, np.zeros(gaps.shape[:-2])
    for index, cohort in enumerate(data.cohorts):
        after = slice(cohort.start, None)
        mass = data.mass[cohort.rows][:, after].sum(axis=0)
        series = data.average(cohort.rows)[after]
        observed += float((np.exp(series) if data.scale == "log" else series) @ mass)
        added += _observed_less(data, gaps[..., index, after], series) @ mass
    return np.asarray(observed / (observed - added))


def _observed_less(data: Comparison, gaps: Floats, series: Floats) -> Floats:
    """Return observed less counterfactual, in levels, of the treated average."""
    return np.exp(series) * (1.0 - np.exp(-gaps)) if data.scale == "log" else gaps
