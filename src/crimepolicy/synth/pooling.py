"""Partially pooled weights: several treated series at once, balanced one by one and on average."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crimepolicy.synth.weights import simplex_weights

__all__ = ["Pooled", "pooled_weights"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_SWEEPS = 2000
_SETTLED = 1e-11


@dataclass(frozen=True, slots=True)
class Pooled:
    """Weights (C, J), whether each is the only optimum given the others, the share of pooling, both imbalances, and settledness."""

    weights: Floats
    unique: tuple[bool, ...]
    pooling: float
    separate: float
    average: float
    converged: bool


def pooled_weights(treated: list[Floats], donors: list[Floats], pooling: float | None) -> Pooled:
    """Minimise a mix of the imbalance of each series and of the imbalance of their average.

    Both imbalances are measured relative to those of the separate fits. Each series in turn is given its best weights with
    the others held, which leads to the joint optimum because the constraints do not tie them.

    Parameters
    ----------
    treated : list of float array (T_c,)
        Series before treatment, last period last.
    donors : list of float array (J, T_c)
        The same of the donors.
    pooling : float in [0, 1], optional
        Weight of the average. Left out: imbalance of the average over that of the single series, at the separate fits.
    """
    longest = max(len(series) for series in treated)
    fits = [simplex_weights(D.T, x) for x, D in zip(treated, donors, strict=True)]
    weights = np.stack([fit.weights for fit in fits])
    gaps = np.stack([_aligned(x - w @ D, longest) for x, D, w in zip(treated, donors, weights, strict=True)])
    lengths = np.array([len(series) for series in treated])
    separate, average = _imbalance(gaps, lengths)
    share = pooling if pooling is not None else min(1.0, average / separate) if separate > 0 else 0.0
    if len(treated) == 1 or share == 0 or average == 0 or separate == 0:
        return Pooled(weights, tuple(fit.unique for fit in fits), share, separate, average, True)
    count, converged = len(treated), False
    own = np.sqrt((1.0 - share) / (count * lengths)) / separate
    joint = np.sqrt(share / longest) / (average * count)
    for _ in range(_SWEEPS):
        before = weights.copy()
        for c in range(count):
            rest = gaps.sum(axis=0) - gaps[c]
            part = slice(longest - lengths[c], None)
            A = np.vstack([own[c] * donors[c].T, joint * donors[c].T])
            b = np.concatenate([own[c] * treated[c], joint * (treated[c] + rest[part])])
            fits[c] = simplex_weights(A, b)
            weights[c] = fits[c].weights
            gaps[c] = _aligned(treated[c] - weights[c] @ donors[c], longest)
        if np.abs(weights - before).max() <= _SETTLED:
            converged = True
            break
    return Pooled(weights, tuple(fit.unique for fit in fits), share, *_imbalance(gaps, lengths), converged)


def _aligned(gaps: Floats, longest: int) -> Floats:
    return np.concatenate([np.zeros(longest - len(gaps)), gaps])


def _imbalance(gaps: Floats, lengths: Floats) -> tuple[float, float]:
    separate = float(np.sqrt(((gaps**2).sum(axis=1) / lengths).mean()))
    return separate, float(np.sqrt((gaps.mean(axis=0) ** 2).mean()))
