"""Counts that the model would produce: from its prior, and from its posterior against what was seen."""

from typing import Any

import numpy as np

from crimepolicy.bayes.count_draws import CountDraws
from crimepolicy.bayes.layout import Design
from crimepolicy.bayes.predictor import linear_predictor
from crimepolicy.panel_checks import Check

__all__ = ["draw_counts", "predictive_checks", "replicates"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_TAIL = 0.005
# Beyond this mean, a drawn count would overflow; a prior that comes here is far too wide whatever the exact number.
_LARGEST_MEAN = 1e12


def replicates(design: Design, draws: CountDraws, *, n: int, seed: int) -> Floats:
    """Return counts (n, N, T) that the model would produce, at parameters evenly picked from the draws; zero where not used."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 2]))
    theta = draws.theta.reshape(-1, draws.theta.shape[-1])
    spread = [None] * len(theta) if draws.dispersion is None else draws.dispersion.reshape(-1).tolist()
    picked = np.linspace(0, len(theta) - 1, min(n, len(theta))).astype(int)
    return np.array([draw_counts(design, theta[i], spread[i], rng) for i in picked])


def draw_counts(design: Design, theta: Floats, dispersion: float | None, rng: np.random.Generator) -> Floats:
    """Return counts (N, T) drawn at coordinates theta (size,)."""
    mean = np.minimum(np.exp(linear_predictor(design, theta)), _LARGEST_MEAN)
    if dispersion is not None:
        shape = dispersion**-2
        mean = mean * rng.gamma(shape, 1 / shape, mean.shape)
    return np.asarray(rng.poisson(mean) * design.used, dtype=np.float64)


def predictive_checks(design: Design, replicas: Floats) -> tuple[Check, ...]:
    """Return checks of zeros and of variation: seen, against replicated counts (n, N, T)."""
    seen, drawn = _features(design.counts, design), [_features(counts, design) for counts in replicas]
    return tuple(_compare(name, seen[name], np.array([r[name] for r in drawn])) for name in seen)


def _features(counts: Floats, design: Design) -> dict[str, float]:
    used = counts[design.used]
    return {"zeros": float((used == 0).mean()), "variation": float(used.std() / max(used.mean(), 1e-12))}


def _compare(name: str, seen: float, replicas: Floats) -> Check:
    words = {"zeros": "share of cells without events", "variation": "coefficient of variation of the counts"}
    low, high = np.quantile(replicas, [_TAIL, 1 - _TAIL])
    inside = bool(low <= seen <= high)
    text = f"{words[name]} {seen:.3g}; the model would show {low:.3g} to {high:.3g}{'.' if inside else ': it misses this feature of the data.'}"
    return Check(f"predictive_{name}", True if inside else None, seen, text)
