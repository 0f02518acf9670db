"""Orthogonal coordinates of Gaussian processes: columns scaled so that every coefficient is standard normal times one scale."""

from typing import Any

import numpy as np

from crimepolicy.errors import DesignError

__all__ = ["anchored_path", "random_walk", "seasons", "spatial_variance", "sum_to_zero"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_SMALL = 1e-9


def sum_to_zero(n: int) -> Floats:
    """Return an orthonormal basis (n, n - 1) of the vectors that sum to zero."""
    k = np.arange(1, n)
    rows = np.arange(n)[:, None]
    helmert = np.where(rows < k, 1.0, np.where(rows == k, -k, 0.0))
    return np.asarray(helmert / np.sqrt(k * (k + 1)))


def random_walk(n: int) -> Floats:
    """Return the coordinates (n, n - 1) of a first-order random walk that sums to zero, of typical variance one.

    The geometric mean of the marginal variances is one (Sørbye and Rue, 2014), so that one prior scale serves any length.
    """
    k, t = np.arange(1, n), np.arange(n)
    # The eigenvectors of the second difference are cosines: no factorisation needed.
    vectors = np.sqrt(2 / n) * np.cos(np.pi * np.outer(t + 0.5, k) / n)
    root = vectors / (2 * np.sin(np.pi * k / (2 * n)))
    return np.asarray(root / np.exp(0.5 * np.log((root**2).sum(axis=1)).mean()))


def seasons(month: np.ndarray[Any, Any], n_seasons: int) -> Floats:
    """Return the coordinates (T, n_seasons - 1) of effects of the season that sum to zero over the year; `month` (T,) from 0."""
    basis = sum_to_zero(n_seasons) / np.sqrt(1 - 1 / n_seasons)
    return np.asarray(basis[month])


def anchored_path(times: np.ndarray[Any, Any], anchor: int, *, kind: str, length: float, keep: float = 1.0) -> Floats:
    """Return the coordinates (K, J) of a path that is zero at the event time `anchor`.

    Parameters
    ----------
    times : int array (K,)
    anchor : int
    kind : {"random_walk", "gaussian_process"}
        A walk away from the anchor on both sides, of variance one at the last event time; or a Matérn 5/2 process of variance one,
        given that it passes through zero at the anchor.
    length : float
        Length scale of the Gaussian process, in periods.
    keep : float
        Share of the variance that the kept coordinates carry; they are scaled up to carry all of it on average.
    """
    distance = times - anchor
    if kind == "random_walk":
        same_side = np.sign(distance)[:, None] == np.sign(distance)
        covariance = np.where(same_side, np.minimum.outer(np.abs(distance), np.abs(distance)), 0) / max(1, distance[-1])
    else:
        to_anchor = _matern(np.abs(distance) / length)
        covariance = _matern(np.abs(np.subtract.outer(times, times)) / length) - np.outer(to_anchor, to_anchor)
    return _coordinates(covariance, keep)


def spatial_variance(weights: Floats) -> tuple[Floats, Floats]:
    """Return the coordinates (N, N - 1) and variances (N - 1,) of a scaled intrinsic autoregression on a graph.

    Parameters
    ----------
    weights : float array (N, N)
        Symmetric, non-negative. Within each connected part the effects sum to zero and have a geometric mean variance of one;
        contrasts between the parts have no spatial variance.

    Raises
    ------
    DesignError
        Where no two units are neighbours.
    """
    if not (weights > 0).any():
        raise DesignError("No two units of the panel are neighbours, so there is nothing spatial to model.")
    values, vectors = np.linalg.eigh(np.diag(weights.sum(axis=1)) - weights)
    linked = values > _SMALL * values.max()
    variance = np.where(linked, 1 / np.where(linked, values, 1.0), 0.0)
    marginal = np.where(weights.sum(axis=1) > 0, vectors**2 @ variance, 1.0)
    # Parts of the graph differ in size; each is brought to the same typical variance before the units are compared.
    scale = np.sqrt(_typical(weights, marginal))
    covariance = (vectors * variance) @ vectors.T / np.outer(scale, scale)
    basis = sum_to_zero(len(weights))
    spread, turn = np.linalg.eigh(basis.T @ covariance @ basis)
    return basis @ turn, np.clip(spread, 0, None)


def _typical(weights: Floats, marginal: Floats) -> Floats:
    from scipy.sparse.csgraph import connected_components

    part = connected_components(weights > 0, directed=False)[1]
    log_mean = np.bincount(part, np.log(marginal)) / np.bincount(part)
    return np.asarray(np.exp(log_mean)[part])


def _matern(scaled: Floats) -> Floats:
    root = np.sqrt(5.0) * scaled
    return np.asarray((1 + root + root**2 / 3) * np.exp(-root))


def _coordinates(covariance: Floats, keep: float) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    total = values.sum()
    count = int(np.searchsorted(np.cumsum(values), keep * total * (1 - _SMALL))) + 1
    count = min(count, int((values > _SMALL * values[0]).sum()))
    return np.asarray(vectors[:, :count] * np.sqrt(values[:count] * total / values[:count].sum()))
