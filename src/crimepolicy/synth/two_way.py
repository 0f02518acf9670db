"""Weighted least squares on unit effects, period effects and covariates, with the factorisation kept."""

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["TwoWayFit", "TwoWayProjector"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_NULL = 1e-11  # eigenvalues below this share of the largest are the constant that effects share


@dataclass(frozen=True, slots=True)
class TwoWayFit:
    """Unit effects (N,), period effects (T,), coefficients (p,) and fitted values (N, T) in every cell, fitted or not."""

    units: Floats
    periods: Floats
    beta: Floats
    fitted: Floats


class TwoWayProjector:
    """Regression on unit effects, period effects and covariates with cell weights W; cells of weight zero are left out.

    Unit effects are eliminated, which leaves a system of T equations; covariates are partialled out once.
    """

    def __init__(self, W: Floats, X: Floats) -> None:
        """Factor the system for weights W (N, T) and covariates X (p, N, T), each unit with some positive weight."""
        self.W = W
        self.by_unit = W.sum(axis=1)
        shares = W / self.by_unit[:, None]
        # The pseudo-inverse sets the one free constant, and serves panels whose periods hang apart.
        self.inverse = np.linalg.pinv(np.diag(W.sum(axis=0)) - W.T @ shares, rcond=_NULL, hermitian=True)
        self.X = X
        self.residual_X = np.stack([x - self._effects(x)[2] for x in X]) if len(X) else X
        gram = np.einsum("pij,qij->pq", self.residual_X * W, self.residual_X)
        self.gram = np.linalg.pinv(gram, rcond=_NULL, hermitian=True) if len(X) else gram

    def fit(self, Z: Floats) -> TwoWayFit:
        """Regress Z (N, T), finite where W is positive and zero elsewhere."""
        beta = np.zeros(len(self.X))
        if len(self.X):
            # Covariates net of effects are orthogonal to the effects, so the raw outcome serves.
            beta = self.gram @ np.einsum("pij,ij->p", self.residual_X * self.W, Z)
            explained = np.tensordot(beta, self.X, axes=1)
            units, periods, effects = self._effects(Z - explained)
            return TwoWayFit(units, periods, beta, effects + explained)
        units, periods, effects = self._effects(Z)
        return TwoWayFit(units, periods, beta, effects)

    def _effects(self, Z: Floats) -> tuple[Floats, Floats, Floats]:
        weighted = self.W * Z
        means = weighted.sum(axis=1) / self.by_unit
        periods = self.inverse @ (weighted.sum(axis=0) - self.W.T @ means)
        units = means - (self.W @ periods) / self.by_unit
        return units, periods, units[:, None] + periods[None, :]
