"""Counts that the model would produce: from its prior, and from its posterior against what was seen."""

from typing import Any

import numpy as np

from crimepolicy.bayes.layout import Design, scale_table
from crimepolicy.bayes.predictor import linear_predictor
from crimepolicy.panel_checks import Check

__all__ = ["draw_counts", "predictive_checks", "prior_predictive"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_REPLICATES = 100
_TAIL = 0.005
# Beyond this mean, a drawn count would overflow; a prior that comes here is far too wide whatever the exact number.
_LARGEST_MEAN = 1e12


def prior_predictive(design: Design, *, n: int = 100, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Draw parameters and counts from the prior.

    Returns
    -------
    counts : float array (n, N, T)
        Zero where not used.
    theta : float array (n, size)
    h : float array (n, Q)
    """
    rng = np.random.default_rng(seed)
    scales = scale_table(design.blocks, design.dispersion_scale)
    h = np.log(np.abs(rng.standard_normal((n, len(scales.names)))) * np.nan_to_num(scales.prior, nan=1.0))
    if scales.share >= 0:
        share = rng.uniform(size=n)
        h[:, scales.share] = np.log(share) - np.log1p(-share)
    theta = rng.standard_normal((n, design.size)) * np.exp([scales.log_sd(row) for row in h])
    dispersion = None if scales.dispersion < 0 else np.exp(h[:, scales.dispersion])
    counts = [
        draw_counts(design, theta[i], None if dispersion is None else float(dispersion[i]), rng) for i in range(n)
    ]
    return np.array(counts), theta, h


def draw_counts(design: Design, theta: Floats, dispersion: float | None, rng: np.random.Generator) -> Floats:
    """Return counts (N, T) drawn at coordinates theta (size,)."""
    mean = np.minimum(np.exp(linear_predictor(design, theta)), _LARGEST_MEAN)
    if dispersion is not None:
        shape = dispersion**-2
        mean = mean * rng.gamma(shape, 1 / shape, mean.shape)
    return np.asarray(rng.poisson(mean) * design.used, dtype=np.float64)


def predictive_checks(design: Design, theta: Floats, dispersion: Floats | None, *, seed: int = 0) -> tuple[Check, ...]:
    """Return checks of zeros and of variation: seen, against counts replicated from the posterior."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 2]))
    flat = theta.reshape(-1, theta.shape[-1])
    picked = np.linspace(0, len(flat) - 1, min(_REPLICATES, len(flat))).astype(int)
    spread = [None] * len(flat) if dispersion is None else dispersion.reshape(-1).tolist()
    replicas = [_features(draw_counts(design, flat[i], spread[i], rng), design) for i in picked]
    seen = _features(design.counts, design)
    return tuple(_compare(name, seen[name], np.array([r[name] for r in replicas])) for name in seen)


def _features(counts: Floats, design: Design) -> dict[str, float]:
    used = counts[design.used]
    return {"zeros": float((used == 0).mean()), "variation": float(used.std() / max(used.mean(), 1e-12))}


def _compare(name: str, seen: float, replicas: Floats) -> Check:
    words = {"zeros": "share of cells without events", "variation": "coefficient of variation of the counts"}
    low, high = np.quantile(replicas, [_TAIL, 1 - _TAIL])
    inside = bool(low <= seen <= high)
    text = f"{words[name]} {seen:.3g}; the model would show {low:.3g} to {high:.3g}{'.' if inside else ': it misses this feature of the data.'}"
    return Check(f"predictive_{name}", True if inside else None, seen, text)
