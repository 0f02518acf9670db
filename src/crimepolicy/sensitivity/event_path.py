"""Event-study estimates around one reference period, with their covariance and a target, as plain arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import DesignError, EstimationError, offenders
from crimepolicy.estimate import Check, Estimate, path_term

__all__ = ["EventPath", "Target", "event_path"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Target = int | Mapping[int, float] | None


@dataclass(frozen=True, slots=True, eq=False)
class EventPath:
    """Event-study estimates relative to one reference.

    Attributes
    ----------
    values, covariance : float arrays (n,), (n, n)
        Estimates in order of event time, without the reference; n = n_pre + n_post.
    weights : float array (n_post,)
        Target.
    n_pre : int
    target : str
        The target in words.
    checks : tuple of Check
    """

    values: Floats
    covariance: Floats
    weights: Floats
    n_pre: int
    target: str
    checks: tuple[Check, ...]

    @property
    def n_post(self) -> int:
        """Number of event times (or bins) after the reference."""
        return len(self.weights)

    @property
    def estimate(self) -> tuple[float, float]:
        """Target and its standard error if trends were parallel."""
        post = self.covariance[self.n_pre :, self.n_pre :]
        return float(self.weights @ self.values[self.n_pre :]), float(np.sqrt(self.weights @ post @ self.weights))


def event_path(
    estimate: Estimate, target: Target, reference: int, bins: int, window: tuple[int, int] | None
) -> EventPath:
    """Return the path of an estimate relative to its reference, in bins of event time, with the target as weights.

    Raises
    ------
    EstimationError
        Where the estimate has no event-time path on an additive scale, or the path has holes.
    DesignError
        Where nothing lies before or after the reference, or the target is not on the path.
    """
    values, covariance, times = _read(estimate, reference, window)
    lags = np.where(times > reference, (times - reference - 1) // bins, -1 - (reference - times) // bins)
    labels = np.unique(lags)
    if labels[0] > -2 or labels[-1] < 0:
        raise DesignError(
            f"Restrictions compare periods before and after the reference {reference}, but the path runs from {times[0]} to {times[-1]} "
            f"in bins of {bins}. Ask the estimator for more leads and lags, or use smaller bins."
        )
    averages = (labels[:, None] == lags) / (labels[:, None] == lags).sum(axis=1, keepdims=True)
    relative = np.delete(averages - averages[labels == -1], np.flatnonzero(labels == -1), axis=0)
    weights, words = _weights(target, times, reference, bins)
    found = EventPath(
        values=relative @ values,
        covariance=relative @ covariance @ relative.T,
        weights=weights,
        n_pre=int((labels < -1).sum()),
        target=words,
        checks=(*_rank_check(estimate, len(relative)), *_base_check(values[times == reference][0], reference)),
    )
    if not found.estimate[1] > 0:
        raise EstimationError(
            f"The {words} carries no uncertainty: its influence is zero everywhere. Estimate it with a variance."
        )
    return found


def _read(
    estimate: Estimate, reference: int, window: tuple[int, int] | None
) -> tuple[Floats, Floats, np.ndarray[Any, np.dtype[np.int_]]]:
    path = _path_of(estimate)
    low, high = window if window is not None else (path.index.min(), path.index.max())
    inside = (path.index >= low) & (path.index <= high) & (path["estimate"].notna() | (path.index == reference))
    used = path.index[inside]
    times = np.arange(min(used.min(), reference), max(used.max(), reference) + 1)
    values = path["estimate"].reindex(times)
    known = _known(estimate)
    terms = [path_term("event_time", k) for k in times]
    # An entry that is zero by construction carries no uncertainty of its own.
    free = np.array([term in known for term in terms]) & values.notna().to_numpy()
    holes = [int(k) for k in times[~free] if k != reference and values[k] != 0]
    if holes:
        raise EstimationError(
            f"The event-time path has no estimate with uncertainty at {offenders(holes)}. Restrictions need consecutive event times: "
            "choose window= around the holes."
        )
    covariance = np.zeros((len(times), len(times)))
    covariance[np.ix_(free, free)] = estimate.covariance([term for term, use in zip(terms, free, strict=True) if use])
    return values.fillna(0.0).to_numpy(dtype=float), covariance, times


def _known(estimate: Estimate) -> set[str]:
    source = estimate.psi if estimate.psi is not None else estimate.draws
    return set() if source is None else set(source.columns)


def _path_of(estimate: Estimate) -> pd.DataFrame:
    if estimate.path is None or estimate.path.index.name != "event_time":
        raise EstimationError(
            f"{estimate.method} carries no path over event time. Use an estimator or an aggregation by event time, such as .aggregate('event')."
        )
    if estimate.scale == "ratio":
        raise EstimationError("Restrictions add up over periods, ratios do not: use the log effect, before as_ratio().")
    return estimate.path


def _weights(target: Target, times: np.ndarray[Any, Any], reference: int, bins: int) -> tuple[Floats, str]:
    post = times[times > reference]
    given = (
        dict.fromkeys(post.tolist(), 1 / len(post))
        if target is None
        else {target: 1.0}
        if isinstance(target, int)
        else dict(target)
    )
    outside = [k for k in given if k not in post]
    if outside or not any(given.values()):
        raise DesignError(
            f"The target needs weights on event times from {post[0]} to {post[-1]}, but names {offenders(outside) if outside else 'none'}."
        )
    weights = np.zeros((len(post) - 1) // bins + 1)
    for k, weight in given.items():
        weights[(k - reference - 1) // bins] += weight
    return weights, _words(target, post, bins)


def _words(target: Target, post: np.ndarray[Any, Any], bins: int) -> str:
    binned = f", in bins of {bins}" if bins > 1 else ""
    if target is None:
        return f"average effect over event times {post[0]} to {post[-1]}{binned}"
    if isinstance(target, int):
        return f"effect at event time {target}{binned}"
    return f"weighted effect over {len(target)} event times{binned}"


def _rank_check(estimate: Estimate, n_terms: int) -> tuple[Check, ...]:
    if estimate.psi is None:
        return ()
    n_clusters = len(pd.unique(estimate.clusters)) if estimate.clusters is not None else len(estimate.psi)
    text = f"The covariance of {n_terms} event times rests on {n_clusters} clusters."
    advice = (
        ""
        if n_clusters > n_terms
        else " It is singular, and the tests lean on directions that were not measured: aggregate event time with bins=."
    )
    return (Check("covariance_rank", n_clusters > n_terms, n_clusters, text + advice),)


def _base_check(at_reference: float, reference: int) -> tuple[Check, ...]:
    if at_reference == 0:
        return ()
    text = (
        f"The path is {at_reference:.3g} at event time {reference}, not zero, and was re-expressed as differences from it. That is right "
        "only where leads and lags share one base."
    )
    return (Check("reference_period", None, float(at_reference), text),)
