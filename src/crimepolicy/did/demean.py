"""Weighted projections on unit effects and period (or stratum-by-period) effects, solved exactly."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import inv
from scipy.sparse.csgraph import connected_components

__all__ = ["Projection", "projection"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]


@dataclass(frozen=True, slots=True)
class Projection:
    """Normal equations of unit and stratum-by-period effects, with the unit effects eliminated.

    Attributes
    ----------
    weights : float array (N, T), or (N, 1) where they do not change over time
        Zero where a cell is not in the sample.
    unit_totals : float array (N,)
        Sum of a unit's weights over all periods (one where it has none).
    strata : tuple of R row selectors
        Rows of each stratum; one stratum of all rows for plain period effects.
    inverses : tuple of R float arrays (T, T) or (1, 1)
        Inverse normal matrix of the period effects of each stratum, up to a constant per connected set.
    n_sets : int
        Connected sets of units and periods: effects are comparable within a set only.
    """

    weights: Floats
    unit_totals: Floats
    strata: tuple[Any, ...]
    inverses: tuple[Floats, ...]
    n_sets: int

    def residuals(self, values: Floats) -> Floats:
        """Return values (..., N, T) net of unit and stratum-by-period effects."""
        centred = values - self._unit_means(values)[..., None]
        for rows, inverse in zip(self.strata, self.inverses, strict=True):
            effects = self._solve(self._period_sums(centred[..., rows, :], rows), inverse)
            centred[..., rows, :] -= effects[..., None, :]
            if inverse.size > 1:
                totals = self.unit_totals[rows]
                centred[..., rows, :] += (effects @ self.weights[rows].T / totals)[..., None]
        return centred

    def period_effects(self, values: Floats) -> Floats:
        """Return the stratum-by-period effects (..., R, T) in values (..., N, T), each set up to its own constant."""
        centred = values - self._unit_means(values)[..., None]
        effects = [
            self._solve(self._period_sums(centred[..., rows, :], rows), inverse)
            for rows, inverse in zip(self.strata, self.inverses, strict=True)
        ]
        return np.stack(effects, axis=-2)

    def period_influence(self, scores: Floats) -> Floats:
        """Return the influence (N, T) of each unit on its own stratum's period effects.

        Parameters
        ----------
        scores : float array (N, T)
            Weight times residual of each cell; zero outside the sample.
        """
        influence = np.empty_like(scores)
        for rows, inverse in zip(self.strata, self.inverses, strict=True):
            influence[rows] = self._solve(scores[rows], inverse)
        return influence

    def _unit_means(self, values: Floats) -> Floats:
        if self.weights.shape[-1] == 1:
            means: Floats = values.mean(axis=-1)
            return means
        sums: Floats = np.einsum("nt,...nt->...n", self.weights, values)
        return sums / self.unit_totals

    def _period_sums(self, values: Floats, rows: Any) -> Floats:
        weights = self.weights[rows]
        if weights.shape[-1] == 1:
            return np.asarray(weights[:, 0] @ values)
        sums: Floats = np.einsum("nt,...nt->...t", weights, values)
        return sums

    @staticmethod
    def _solve(sums: Floats, inverse: Floats) -> Floats:
        return sums * inverse[0, 0] if inverse.size == 1 else sums @ inverse


def projection(weights: Floats, strata: Ints | None = None) -> Projection:
    """Factorise the normal equations of unit effects and period effects (or stratum-by-period effects).

    Strata never share an effect, so each is a two-way problem of its own: no iteration is needed. Weights that do not
    change over time make the effects row and column means.

    Parameters
    ----------
    weights : float array (N, T)
        Not negative; zero outside the sample.
    strata : int array (N,), optional
        Codes 0 .. R-1 of the stratum of each unit.

    Returns
    -------
    Projection
    """
    constant = bool((weights[:, :1] == weights).all())
    kept = weights[:, :1] if constant else weights
    totals = kept.sum(axis=1) * (weights.shape[1] if constant else 1)
    totals = np.where(totals > 0, totals, 1.0)
    selectors = (
        (slice(None),) if strata is None else tuple(np.flatnonzero(strata == code) for code in range(strata.max() + 1))
    )
    solved = [_inverse(kept[rows], totals[rows]) for rows in selectors]
    return Projection(kept, totals, selectors, tuple(inverse for inverse, _ in solved), sum(sets for _, sets in solved))


def _inverse(weights: Floats, totals: Floats) -> tuple[Floats, int]:
    if weights.shape[1] == 1:
        total = weights.sum()
        return np.array([[1 / total if total > 0 else 0.0]]), 1
    cross = weights.T @ (weights / totals[:, None])
    seen = np.diag(cross) > 0
    _, labels = connected_components(cross > 0, directed=False)
    normal = np.diag(weights.sum(axis=0)) - cross
    # Period effects are known up to a constant per connected set; filling that null space picks a solution.
    normal += (np.trace(cross) / len(cross) or 1.0) * (labels[:, None] == labels)
    return inv(normal, check_finite=False), len(np.unique(labels[seen]))
