"""The numbers that a plot draws, and nothing else: what is saved beside every figure."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from crimepolicy.errors import DesignError, EstimationError, choose
from crimepolicy.estimate import HEADLINE, Estimate, path_term
from crimepolicy.report.posterior_data import (
    event_paths,
    forest,
    posterior_predictive,
    prior_against_posterior,
    prior_predictive,
)

__all__ = ["Kind", "plot_data"]

Kind = Literal[
    "event",
    "terms",
    "cells",
    "null",
    "draws",
    "weights",
    "counts",
    "events",
    "prior",
    "prior_predictive",
    "posterior_predictive",
    "forest",
]
Data = dict[str, Any]

_BINS = 40
_WEIGHTS = 20


def plot_data(estimate: Estimate, kind: Kind | None = None, *, term: str = HEADLINE, level: float = 0.95) -> Data:
    """Return what a plot of an estimate shows, as plain values.

    Parameters
    ----------
    estimate : Estimate
        Any.
    kind : {"event", "terms", "cells", "null", "draws", "weights", "counts", ...}, optional
        A path by event time; one interval per term; group-time cells; the placebo distribution; the posterior; the weights;
        observed and expected events by event time. By default the first of these that the estimate carries.
        Of a Bayesian fit also ``"events"`` (every event's own path, their common path and the band of the next event), ``"prior"``
        (prior against posterior), ``"prior_predictive"`` and ``"posterior_predictive"``; of a synthesis ``"forest"``.
    term : str
        The term whose distribution is shown (kinds null and draws).
    level : float
        Coverage of the intervals.

    Returns
    -------
    dict
        With ``kind``, ``scale``, ``estimand``, ``level`` and the columns of the kind.

    Raises
    ------
    EstimationError
        Where the estimate does not carry what the kind shows.

    Examples
    --------
    >>> null = pd.DataFrame({"att": [-0.1, 0.0, 0.2]})
    >>> effect = Estimate(estimand="effect", value=0.5, std_error=float("nan"), method="", citation="", null=null)
    >>> plot_data(effect)["kind"]
    'null'
    """
    if kind is not None:
        choose("kind", kind, Kind)
    chosen: Kind = kind or _natural(estimate)
    shared = {
        "kind": chosen,
        "scale": estimate.scale,
        "estimand": estimate.estimand,
        "level": level,
        "method": estimate.method,
    }
    return shared | _BUILDERS[chosen](estimate, term, level)


def _natural(estimate: Estimate) -> Kind:
    if estimate.path is not None:
        return "event" if estimate.path.index.name == "event_time" else "terms"
    for kind in ("cells", "null", "draws", "weights"):
        if getattr(estimate, kind) is not None and kind in get_args(Kind):
            return kind
    return "terms"


def _event(estimate: Estimate, term: str, level: float) -> Data:
    path = _path(estimate, "event")
    if path.index.name != "event_time":
        raise EstimationError(
            f"The path of {estimate.method} runs over {path.index.name}, not event time. Use kind='terms'."
        )
    joint = estimate.psi is not None or estimate.draws is not None
    band = estimate.band(level) if joint and (path["std_error"] > 0).any() else None
    ends = [estimate.interval(level, path_term("event_time", label)) for label in path.index]
    return {
        "event_time": path.index.tolist(),
        "estimate": path["estimate"].tolist(),
        "low": [low for low, _ in ends],
        "high": [high for _, high in ends],
        "band_low": None if band is None else band["conf_low"].tolist(),
        "band_high": None if band is None else band["conf_high"].tolist(),
    }


def _terms(estimate: Estimate, term: str, level: float) -> Data:
    if estimate.path is None:
        labels, terms = ["overall"], [HEADLINE]
    else:
        labels = [str(label) for label in estimate.path.index]
        terms = [path_term(str(estimate.path.index.name), label) for label in estimate.path.index]
    ends = [estimate.interval(level, name) for name in terms]
    return {
        "label": labels,
        "estimate": [float(estimate.estimates[name]) for name in terms],
        "low": [low for low, _ in ends],
        "high": [high for _, high in ends],
    }


def _cells(estimate: Estimate, term: str, level: float) -> Data:
    if estimate.cells is None:
        raise EstimationError(f"{estimate.method} has no group-time cells to draw.")
    columns = estimate.cells[["group", "time", "estimate", "std_error"]]
    cells = {str(name): column.tolist() for name, column in columns.items()}
    return cells | {"group": [str(v) for v in cells["group"]], "time": [str(v) for v in cells["time"]]}


def _null(estimate: Estimate, term: str, level: float) -> Data:
    placebos = _column(estimate.null, term, estimate, "placebo distribution")
    observed = float(estimate.estimates[term])
    return _histogram(placebos, observed) | {
        "observed": observed,
        "p_value": estimate.p_value(term),
        "n": len(placebos),
    }


def _draws(estimate: Estimate, term: str, level: float) -> Data:
    draws = _column(estimate.draws, term, estimate, "draws")
    low, high = estimate.interval(level, term)
    return _histogram(draws, None) | {
        "estimate": float(estimate.estimates[term]),
        "low": low,
        "high": high,
        "n": len(draws),
    }


def _weights(estimate: Estimate, term: str, level: float) -> Data:
    if estimate.weights is None:
        raise EstimationError(f"{estimate.method} carries no weights to draw.")
    column = next(
        (name for name in estimate.weights.columns if pd.api.types.is_numeric_dtype(estimate.weights[name])), None
    )
    if column is None:
        raise EstimationError(f"The weights of {estimate.method} hold no numbers.")
    weights = estimate.weights[column].dropna()
    order = weights.abs().sort_values(ascending=False, kind="stable").index[:_WEIGHTS]
    shown = weights.loc[order]
    return {
        "label": [str(label) for label in shown.index],
        "weight": shown.tolist(),
        "n": len(weights),
        "total": float(weights.sum()),
    }


def _counts(estimate: Estimate, term: str, level: float) -> Data:
    path = _path(estimate, "counts")
    if "observed" not in path or "expected" not in path:
        raise EstimationError(
            f"{estimate.method} does not say how many events were observed and expected. Use family='poisson'."
        )
    known = path.dropna(subset=["observed", "expected"])
    return {
        "event_time": known.index.tolist(),
        "observed": known["observed"].tolist(),
        "expected": known["expected"].tolist(),
    }


_BUILDERS: dict[Kind, Callable[[Estimate, str, float], Data]] = {
    "event": _event,
    "terms": _terms,
    "cells": _cells,
    "null": _null,
    "draws": _draws,
    "weights": _weights,
    "counts": _counts,
    "events": event_paths,
    "prior": prior_against_posterior,
    "prior_predictive": prior_predictive,
    "posterior_predictive": posterior_predictive,
    "forest": forest,
}


def _path(estimate: Estimate, kind: str) -> pd.DataFrame:
    if estimate.path is None:
        raise EstimationError(
            f"{estimate.method} has no path to draw as {kind!r}. Call aggregate('event') first, or use kind='terms'."
        )
    return estimate.path


def _column(frame: pd.DataFrame | None, term: str, estimate: Estimate, what: str) -> np.ndarray[Any, Any]:
    if frame is None:
        raise EstimationError(f"{estimate.method} carries no {what}.")
    if term not in frame:
        raise DesignError(
            f"The {what} of {estimate.method} has no term {term!r}. It has {', '.join(map(str, frame.columns[:8]))}."
        )
    return frame[term].dropna().to_numpy()


def _histogram(values: np.ndarray[Any, Any], also: float | None) -> Data:
    # The observed value must lie on the axis even where no placebo comes near it.
    ends = [values.min(), values.max()] + ([also] if also is not None else [])
    counts, edges = np.histogram(values, bins=_BINS, range=(min(ends), max(ends)))
    return {"edges": edges.tolist(), "count": counts.tolist()}
