"""Statistics of a placebo: ratio of fit after to fit before, gap, studentised gap."""

from typing import Any, Literal

import numpy as np

from crimepolicy.errors import InferenceError
from crimepolicy.estimate import Estimate
from crimepolicy.inference.randomization import Sides

__all__ = ["PlaceboStatistic", "extremeness", "gap_path", "rmspe"]

Array = np.ndarray[Any, Any]
PlaceboStatistic = Literal["rmspe_ratio", "gap", "studentised"]


def extremeness(
    statistic: PlaceboStatistic, sides: Sides, value: Array, error: Array, events: Array, gaps: Array
) -> Array:
    """Return how extreme each placebo is: the larger, the more so.

    Parameters
    ----------
    statistic, sides
        One-sided ratios keep only the positive (or negative) part of the gaps after treatment (Abadie 2021, section 3.5).
    value, error : array (n,)
        Headline numbers (logs for ratios) and standard errors.
    events : array (T,)
        Event times of the path.
    gaps : array (n, T)
        Paths.
    """
    if statistic == "rmspe_ratio":
        after = _part(gaps[:, events >= 0], sides)
        before = rmspe(gaps[:, events < 0])
        return np.asarray(np.divide(rmspe(after), before, out=np.full(len(gaps), np.inf), where=before > 0))
    size = value / error if statistic == "studentised" else value
    return np.asarray(np.abs(size) if sides == "two" else size if sides == "greater" else -size)


def rmspe(gaps: Array) -> Array:
    """Return the root mean square (n,) of gaps (n, T), leaving out missing ones; NaN where all are."""
    seen = ~np.isnan(gaps)
    count = seen.sum(axis=1)
    mean = np.divide(
        (np.where(seen, gaps, 0.0) ** 2).sum(axis=1), count, out=np.full(len(gaps), np.nan), where=count > 0
    )
    return np.asarray(np.sqrt(mean))


def gap_path(estimate: Estimate) -> tuple[Array, Array]:
    """Return event times (T,) and gaps (T,) of a path with periods before and after treatment.

    Raises
    ------
    InferenceError
        Where the path is not by event time, or lacks one of the two.
    """
    if estimate.path is None or estimate.path.index.name != "event_time":
        raise InferenceError(f"{estimate.method} gives no path by event time. Use statistic='gap' or 'studentised'.")
    events = estimate.path.index.to_numpy()
    if not (events < 0).any() or not (events >= 0).any():
        raise InferenceError(
            f"The path of {estimate.method} has no periods {'after' if (events < 0).any() else 'before'} treatment. Use statistic='gap'."
        )
    gaps = estimate.path["estimate"].to_numpy(dtype=float)
    return events, np.log(gaps) if estimate.scale == "ratio" else gaps


def _part(gaps: Array, sides: Sides) -> Array:
    if sides == "two":
        return gaps
    return np.maximum(gaps if sides == "greater" else -gaps, 0.0)
