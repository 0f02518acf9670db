"""The same estimator under many reassignments of treatment, in parallel and in order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import CrimepolicyError, InferenceError, offenders
from crimepolicy.estimate import HEADLINE, Estimate, path_term
from crimepolicy.inference.influence import panel_of
from crimepolicy.inference.light import light
from crimepolicy.inference.mechanisms import Mechanism
from crimepolicy.inference.parallel import ordered_map
from crimepolicy.panel import Panel

__all__ = ["PlaceboFits", "Statistic", "placebo_fits"]

Statistic = Literal["studentised", "value"]
Array = np.ndarray[Any, Any]
Windows = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class PlaceboFits:
    """Estimates and statistics by assignment.

    Attributes
    ----------
    values, statistics : pandas.DataFrame (assignments, terms)
        NaN where a term could not be estimated.
    observed : pandas.Series (terms,)
        The observed statistics.
    failed : int
        Assignments whose headline could not be estimated.
    reason : str
        The first message, in brackets, or empty.
    """

    values: pd.DataFrame
    statistics: pd.DataFrame
    observed: pd.Series
    failed: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Terms:
    """Names of terms, their values, distances from no effect and standard errors (k,); the last two on the log scale for ratios."""

    names: list[str]
    values: Array
    distances: Array
    errors: Array

    def at(self, wanted: Sequence[str]) -> "_Terms":
        """Return the terms in this order, NaN for those that are absent."""
        if self.names == list(wanted):
            return self
        place = {name: i for i, name in enumerate(self.names)}
        rows = [place.get(name, len(place)) for name in wanted]
        return _Terms(list(wanted), *(np.append(a, np.nan)[rows] for a in (self.values, self.distances, self.errors)))

    def statistics(self, kind: Statistic) -> Array:
        """Return the distances, or their ratios to the standard errors."""
        if kind == "value":
            return self.distances
        missing = np.full(len(self.errors), np.nan)
        return np.asarray(np.divide(self.distances, self.errors, out=missing, where=self.errors > 0))


@dataclass(frozen=True, slots=True)
class _Outcome:
    values: Array
    statistics: Array
    reason: str


def placebo_fits(
    estimate: Estimate,
    mechanism: Mechanism,
    *,
    draws: int | None,
    statistic: Statistic,
    windows: Windows,
    terms: Sequence[str] | None,
    seed: int,
    n_jobs: int,
) -> PlaceboFits:
    """Fit the estimator of `estimate` again under `draws` random assignments, or under all where `draws` is None.

    Raises
    ------
    InferenceError
        Where a term is unknown, no standard error exists to studentise with, the observed assignment is not among all, or
        no assignment can be estimated.
    """
    panel = panel_of(estimate)
    known = _terms(estimate, windows)
    wanted = _wanted(known.names, terms)
    observed = known.at(wanted)
    if statistic == "studentised" and not observed.errors[0] > 0:
        raise InferenceError(f"{estimate.method} gives no standard error to studentise with. Use statistic='value'.")
    tasks: Sequence[Any]
    if draws is None:
        tasks = [candidate.D for candidate in mechanism.enumerate(panel)]
        if not any(np.array_equal(D, panel.D) for D in tasks):
            raise InferenceError(
                f"{type(mechanism).__name__} cannot have produced the observed assignment. Correct its strata, candidates or window."
            )
    else:
        tasks = np.random.SeedSequence(seed).spawn(draws)
    one = partial(
        _one,
        (light(estimate) if statistic == "value" else estimate).fit,
        panel,
        mechanism,
        wanted,
        dict(windows),
        statistic,
    )
    outcomes = ordered_map(one, tasks, n_jobs=n_jobs, label="assignments")
    return _gathered(outcomes, observed, statistic)


def _one(
    fit: Any, panel: Panel, mechanism: Mechanism, wanted: list[str], windows: Windows, statistic: Statistic, task: Any
) -> _Outcome:
    try:
        listed = isinstance(task, np.ndarray)
        drawn = panel.with_treatment(task) if listed else mechanism.draw(panel, np.random.default_rng(task))
        found = _terms(fit(drawn), windows).at(wanted)
    except CrimepolicyError as problem:
        missing = np.full(len(wanted), np.nan)
        return _Outcome(missing, missing, str(problem))
    return _Outcome(found.values, found.statistics(statistic), "")


def _terms(estimate: Estimate, windows: Windows) -> _Terms:
    # Arrays only: this runs once per assignment, where building labelled frames would cost more than the fit.
    names, values, errors = [HEADLINE], [estimate.value], [estimate.std_error]
    for name, span in windows.items():
        value, error = _window(estimate, name, span)
        names, values, errors = [*names, name], [*values, value], [*errors, error]
    if estimate.path is not None:
        names += [path_term(str(estimate.path.index.name), label) for label in estimate.path.index]
        values += estimate.path["estimate"].tolist()
        errors += estimate.path["std_error"].tolist()
    levels, spreads = np.asarray(values), np.asarray(errors)
    if estimate.scale == "ratio":
        return _Terms(names, levels, np.log(levels), spreads / levels)
    return _Terms(names, levels, levels, spreads)


def _window(estimate: Estimate, name: str, span: tuple[int, int]) -> tuple[float, float]:
    if estimate.path is None or estimate.path.index.name != "event_time" or estimate.scale == "ratio":
        raise InferenceError(
            f"Window {name!r} averages a path by event time on an additive scale, which {estimate.method} does not give here."
        )
    inside = (estimate.path.index >= span[0]) & (estimate.path.index <= span[1])
    if not inside.any():
        raise InferenceError(f"Window {name!r} ({span[0]} to {span[1]}) holds no entry of the path.")
    value = float(estimate.path["estimate"].to_numpy()[inside].mean())
    labels = [path_term("event_time", event) for event in estimate.path.index[inside]]
    if estimate.psi is None and estimate.draws is None:
        return value, float("nan")
    return value, float(np.sqrt(estimate.covariance(labels).to_numpy().mean()))


def _wanted(known: list[str], terms: Sequence[str] | None) -> list[str]:
    if terms is None:
        return known
    unknown = [term for term in terms if term not in known]
    if unknown:
        raise InferenceError(f"No such term: {offenders(unknown)}. Known: {offenders(known, show=12)}.")
    return list(terms)


def _gathered(outcomes: Sequence[_Outcome], observed: _Terms, statistic: Statistic) -> PlaceboFits:
    values = pd.DataFrame(np.array([outcome.values for outcome in outcomes]), columns=observed.names)
    statistics = pd.DataFrame(np.array([outcome.statistics for outcome in outcomes]), columns=observed.names)
    reasons = [outcome.reason for outcome in outcomes if outcome.reason]
    failed = int(statistics.iloc[:, 0].isna().sum())
    if failed == len(outcomes):
        raise InferenceError(
            f"No assignment could be estimated. The first said: {reasons[0] if reasons else 'no standard error'}"
        )
    own = pd.Series(observed.statistics(statistic), index=observed.names)
    return PlaceboFits(values, statistics, own, failed, f" ({reasons[0]})" if reasons else "")
