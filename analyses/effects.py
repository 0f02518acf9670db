"""From a sample to published numbers: windows with every kind of uncertainty, and specifications as rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analyses.mexico import Change, Sample, Section, with_regions
from crimepolicy.did.group_time import group_time_effects
from crimepolicy.did.imputation import imputation
from crimepolicy.did.stacked import stacked_event_study
from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.errors import CrimepolicyError, DesignError
from crimepolicy.estimate import Estimate, path_term
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.mechanisms import Mechanism
from crimepolicy.inference.randomization import randomization_test
from crimepolicy.panel import Panel

__all__ = ["SIMULATED", "annual_rate", "fit_windows", "row", "states", "window_average", "window_numbers"]

Windows = Mapping[str, Sequence[int]]

_YEAR_BEFORE = (-12, -1)
_REFERENCE = -1

SIMULATED = {
    **dict.fromkeys(
        ["*.p_dates", "*.p_places", "*.p_raw_dates", "*.p_raw_places", "p_dates", "clustered_rejects"], "simulated"
    ),
    **dict.fromkeys(["*.band_low", "*.band_high", "*.bounds.*", "*.breakdown"], "band"),
}
"""Kinds of the numbers that come from drawn assignments."""


def states(estimate: Estimate) -> dict[str, str]:
    """Return the state of each municipality of an estimate: the first two digits of its code."""
    assert estimate.psi is not None
    return {unit: str(unit)[:2] for unit in estimate.psi.index}


def fit_windows(panel: Panel, windows: Windows, **options: Any) -> Estimate:
    """Return Poisson imputation with one path entry per window of months; months beyond the last window are set aside.

    Windows that no treated place has behind it in full are left out.
    """
    longest = panel.n_periods - 1 - panel.first_treated.min()
    spans = {name: (low, high) for name, (low, high) in windows.items() if high <= longest}
    if not spans:
        raise DesignError("No treated place has a whole window of months behind it.")
    last = max(high for _, high in spans.values())
    return imputation(panel, family="poisson", windows=spans, horizon=(0, last), **options)


def window_numbers(estimate: Estimate, mechanisms: Mapping[str, Mechanism], *, draws: int, seed: int) -> dict[str, Any]:
    """Return every window with clustered and randomised uncertainty, the interval that decides, and deaths.

    Under ``placebos`` stand the estimates of all drawn assignments, for plots.

    Parameters
    ----------
    estimate : Estimate
        From `fit_windows`.
    mechanisms : mapping of str to Mechanism
        How treatment could have fallen otherwise, by name: ``{"dates": RedrawDates(...)}``.
    draws, seed : int
        Of the randomisation.
    """
    by_place, by_state = cluster(estimate, "unit"), cluster(estimate, states(estimate))
    random = {name: randomization_test(estimate, how, draws=draws, seed=seed) for name, how in mechanisms.items()}
    assert estimate.path is not None
    windows = {str(name): _window(str(name), by_place, by_state, random) for name in estimate.path.index}
    return {"windows": windows, "placebos": {kind: _placebos(test, list(windows)) for kind, test in random.items()}}


def _placebos(test: Estimate, windows: list[str]) -> dict[str, list[float]]:
    assert test.null is not None
    return {name: test.null[path_term("window", name)].tolist() for name in windows}


def _window(name: str, by_place: Estimate, by_state: Estimate, random: Mapping[str, Estimate]) -> dict[str, Any]:
    term = path_term("window", name)
    assert by_place.path is not None
    found = by_place.path.loc[name]
    value, observed = float(found["estimate"]), float(found["observed"])
    intervals = [by_place.interval(term=term), by_state.interval(term=term)]
    errors = [float(by_place.std_errors[term]), float(by_state.std_errors[term])]
    uncertainty: dict[str, Any] = {
        "se_municipality": errors[0],
        "se_state": errors[1],
        "p_municipality": by_place.p_value(term),
    }
    for kind, test in random.items():
        assert test.null is not None
        spread = float(test.null[term].std())
        reach = float(stats.norm.ppf(0.975)) * spread
        intervals.append((value - reach, value + reach))
        errors.append(spread)
        uncertainty |= {f"sd_{kind}": spread, f"p_{kind}": test.p_value(term), f"p_raw_{kind}": _raw_p(test, term)}
    low, high = min(low for low, _ in intervals), max(high for _, high in intervals)
    detectable = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * max(errors)
    ratio = {
        "value": np.exp(value),
        "low": np.exp(low),
        "high": np.exp(high),
        "detectable": np.exp(detectable),
        "scale": "ratio",
    }
    return {
        "log": value,
        "uncertainty": uncertainty,
        "decision": ratio,
        "deaths": _deaths(observed, ratio) | {"observed": observed, "expected": float(found["expected"])},
        "cells": int(found["n_cells"]),
    }


def _raw_p(test: Estimate, term: str) -> float:
    """Return the p-value of the estimate itself, not divided by its standard error; published beside, never decisive."""
    assert test.null is not None
    placebos = test.null[term].dropna()
    farther = (placebos.abs() >= abs(float(test.estimates[term]))).sum()
    return float((1 + farther) / (1 + len(placebos)))


def _deaths(observed: float, ratio: Mapping[str, Any]) -> dict[str, float]:
    """Return the deaths added: those observed less those observed over the ratio, at its value and at both ends."""
    named = {"added": "value", "added_low": "low", "added_high": "high"}
    return {name: observed - observed / float(ratio[key]) for name, key in named.items()}


# ------------------------------------------------------------------------------------------------------ specifications


def row(make: Callable[[], Sample], section: Section, change: Change) -> dict[str, Any]:
    """Return one specification as a row; where it cannot be computed, the row says why."""
    named = {"name": change["name"], "label": change["label"]}
    try:
        sample = make()
        effects = _effects(sample, section, change)
    except CrimepolicyError as problem:
        return named | {"failed": str(problem), "windows": {}}
    return named | {"n_treated": len(sample.treated), "n_comparison": len(sample.controls), "windows": effects}


def _effects(sample: Sample, section: Section, change: Change) -> dict[str, Any]:
    windows = section["main"]["windows"]
    estimator = change.get("estimator", "imputation")
    if estimator == "imputation" and change.get("family", "poisson") == "poisson":
        return _poisson_rows(sample, section, change, windows)
    if estimator == "imputation":
        return _rate_rows(sample, change, windows)
    fitted = _FITS[estimator](sample, section)
    return {name: _averaged(fitted, sample.panel, span) for name, span in windows.items()}


def _poisson_rows(sample: Sample, section: Section, change: Change, windows: Windows) -> dict[str, Any]:
    panel, options = sample.panel, {}
    if change.get("effects") == "region":
        panel, options = with_regions(panel, section["regions"]), {"effects": "unit+region:period"}
    if "anticipation" in change:
        options["anticipation"] = change["anticipation"]
    estimate = fit_windows(panel, windows, **options)
    assert estimate.path is not None
    errors = [cluster(estimate, "unit"), cluster(estimate, states(estimate))]
    return {str(name): _log_row(errors, path_term("window", name)) for name in estimate.path.index}


def _log_row(errors: Sequence[Estimate], term: str) -> dict[str, Any]:
    value = float(errors[0].estimates[term])
    low, high = min(e.interval(term=term)[0] for e in errors), max(e.interval(term=term)[1] for e in errors)
    spread = {"se_municipality": float(errors[0].std_errors[term]), "se_state": float(errors[1].std_errors[term])}
    return {"log": value, **spread, "ratio": np.exp(value), "low": np.exp(low), "high": np.exp(high)}


def _rate_rows(sample: Sample, change: Change, windows: Windows) -> dict[str, Any]:
    spans = {name: (low, high) for name, (low, high) in windows.items()}
    weights = "panel" if change["weights"] == "population" else "equal"
    panel = annual_rate(sample.panel)
    estimate = imputation(panel, windows=spans, horizon=(0, max(high for _, high in spans.values())), weights=weights)
    assert estimate.path is not None
    errors = [cluster(estimate, "unit"), cluster(estimate, states(estimate))]
    level = {str(name): _level(errors, path_term("window", name)) for name in estimate.path.index}
    return {
        name: _relative(found, _observed_rate(panel, spans[name], weights == "panel")) for name, found in level.items()
    }


def _level(errors: Sequence[Estimate], term: str) -> dict[str, float]:
    by_place, by_state = errors
    return {
        "rate": float(by_place.estimates[term]),
        "se_municipality": float(by_place.std_errors[term]),
        "se_state": float(by_state.std_errors[term]),
    }


def _relative(found: Mapping[str, float], observed: float) -> dict[str, Any]:
    """Return a difference of rates with its ratio to what was expected, taking the observed rate as known."""
    reach = float(stats.norm.ppf(0.975)) * max(found["se_municipality"], found["se_state"])
    ends = {"ratio": found["rate"], "low": found["rate"] - reach, "high": found["rate"] + reach}
    # A rate expected at or below zero has no ratio; None is published and the row shows the rate.
    return dict(found) | {key: observed / (observed - end) if observed - end > 0 else None for key, end in ends.items()}


def annual_rate(panel: Panel) -> Panel:
    """Return the panel of monthly deaths as deaths per 100,000 and year."""
    return panel.rate(per=1_200_000)


def _observed_rate(panel: Panel, span: Sequence[int], weighted: bool) -> float:
    months = np.arange(panel.n_periods) - panel.first_treated[:, None]
    inside = (months >= span[0]) & (months <= span[1])
    assert panel.weights is not None
    return float(np.average(panel.Y[inside], weights=panel.weights[inside] if weighted else None))


# ------------------------------------------------------------------------------------------ estimators with event paths


def _two_way(sample: Sample, section: Section) -> Estimate:
    low, high = section["main"]["path"]
    return two_way_fixed_effects(sample.panel, family="poisson", event_study=(low, high))


def _stacked(sample: Sample, section: Section) -> Estimate:
    low, high = section["main"]["path"]
    return stacked_event_study(sample.panel, family="poisson", window=(low, high), reference=_YEAR_BEFORE)


def _group_time(sample: Sample, section: Section) -> Estimate:
    return group_time_effects(annual_rate(sample.panel), control="never", base="universal").aggregate("event")


_FITS: dict[str, Callable[[Sample, Section], Estimate]] = {
    "two_way": _two_way,
    "stacked": _stacked,
    "group_time": _group_time,
}


def window_average(estimate: Estimate, span: Sequence[int], base: Sequence[int] | None = None) -> Estimate:
    """Return the mean of a path over the months of a window, less its mean over the months of a base, as an estimate.

    A month of the base that the estimator itself used as reference counts as zero.
    """
    assert estimate.psi is not None
    weights = _mean_weights(estimate, span)
    if base is not None:
        weights = weights.sub(_mean_weights(estimate, base), fill_value=0.0)
    value = float((estimate.estimates[weights.index] * weights).sum())
    psi = (estimate.psi[weights.index] @ weights).to_frame("att")
    return estimate.replace(
        value=value, psi=psi, path=None, cells=None, std_error=float("nan"), draws=None, companions={}
    )


def _mean_weights(estimate: Estimate, span: Sequence[int]) -> pd.Series:
    assert estimate.path is not None
    assert estimate.psi is not None
    months = [k for k in range(span[0], span[1] + 1) if k in estimate.path.index or k == _REFERENCE]
    # A reference month carries no influence: its effect is zero by construction.
    terms = [term for term in (path_term("event_time", k) for k in months) if term in estimate.psi]
    return pd.Series(1.0 / len(months), index=terms)


def _averaged(estimate: Estimate, panel: Panel, span: Sequence[int]) -> dict[str, Any]:
    # One month as base would carry its own noise into every window.
    mean = window_average(estimate, span, None if estimate.method.startswith("stacked") else _YEAR_BEFORE)
    value = mean.value
    place, state = cluster(mean, "unit"), cluster(mean, states(mean))
    errors = {"se_municipality": place.std_error, "se_state": state.std_error}
    if estimate.scale == "level":
        return _relative({"rate": value, **errors}, _observed_rate(annual_rate(panel), span, weighted=True))
    low, high = min(place.interval()[0], state.interval()[0]), max(place.interval()[1], state.interval()[1])
    return {"log": value, **errors, "ratio": np.exp(value), "low": np.exp(low), "high": np.exp(high)}
