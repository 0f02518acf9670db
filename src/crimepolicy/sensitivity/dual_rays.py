"""Extreme rays of ``{g >= 0 : g X = 0}``, by the double description method."""

from typing import Any

import numpy as np

__all__ = ["dual_rays"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_ZERO = 1e-10
_PAIRS_AT_ONCE = 2_000
_PAIRS_PER_RAY = 100


def dual_rays(X: Floats, limit: int = 1_500) -> Floats | None:
    """Return the extreme rays (n_rays, m) of the nonnegative vectors g (m,) with ``g X = 0`` for X (m, p).

    None is returned where more than `limit` rays arise.

    References
    ----------
    Fukuda and Prodon (1996), Double description method revisited.
    """
    rays, left = np.eye(len(X)), list(range(X.shape[1]))
    while left:
        # The equation that makes the fewest new rays goes first: the order decides how large the intermediate sets get.
        values = _clean(rays @ X[:, left])
        cost = (values > 0).sum(axis=0) * (values < 0).sum(axis=0) - (values != 0).sum(axis=0)
        nearest = int(np.argmin(cost))
        # Each new ray is checked against all others, so that a set far above the limit must be seen before it is built.
        if max(len(rays), cost[nearest] / _PAIRS_PER_RAY) > limit:
            return None
        rays = _cut(rays, values[:, nearest])
        del left[nearest]
    return rays if len(rays) <= limit else None


def _cut(rays: Floats, value: Floats) -> Floats:
    """Return the rays of the cone cut by one hyperplane, given each ray's value on it."""
    plus, minus = np.flatnonzero(value > 0), np.flatnonzero(value < 0)
    pairs = np.array(np.meshgrid(plus, minus, indexing="ij")).reshape(2, -1)
    pairs = pairs[:, _adjacent(rays > 0, pairs)]
    merged = rays[pairs[0]] * -value[pairs[1], None] + rays[pairs[1]] * value[pairs[0], None]
    kept = np.vstack([rays[value == 0], merged])
    return _clean(kept / kept.max(axis=1, keepdims=True)) if len(kept) else kept


def _adjacent(
    support: np.ndarray[Any, np.dtype[np.bool_]], pairs: np.ndarray[Any, Any]
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Two rays share an edge when no third ray's support lies within the union of theirs."""
    found = np.zeros(pairs.shape[1], dtype=bool)
    dense = support.astype(np.float32)
    for start in range(0, pairs.shape[1], _PAIRS_AT_ONCE):
        block = slice(start, start + _PAIRS_AT_ONCE)
        outside = 1 - (support[pairs[0, block]] | support[pairs[1, block]]).astype(np.float32)
        found[block] = (outside @ dense.T < 0.5).sum(axis=1) == 2
    return found


def _clean(values: Floats) -> Floats:
    return np.where(np.abs(values) < _ZERO, 0.0, values)
