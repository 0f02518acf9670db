"""Donor weights under constraints other than the simplex: bounded in absolute sum, bounded in length, or free."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import brentq

from crimepolicy.synth.weights import simplex_weights

__all__ = ["BoundedFit", "Constraint", "bounded_weights"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Constraint = Literal["simplex", "lasso", "ridge", "simplex_ridge", "ols"]

_ACTIVE = 1e-8
_SPARE = 10  # observations that the published rule of thumb keeps beyond the coefficients
_SHORTEST = 0.5


@dataclass(frozen=True, slots=True)
class BoundedFit:
    """Weights (J,), the constant, the bound on their norm (NaN where free), the ridge penalty behind it, and uniqueness."""

    weights: Floats
    intercept: float
    size: float
    penalty: float
    unique: bool


def bounded_weights(
    A: Floats, b: Floats, constraint: Constraint, *, size: float | None = None, intercept: bool = False
) -> BoundedFit:
    """Minimise ``|A w + c - b|^2`` over the weights that a constraint allows.

    Parameters
    ----------
    A : float array (T, J)
        One column per donor.
    b : float array (T,)
        Target.
    constraint : {"simplex", "lasso", "ridge", "simplex_ridge", "ols"}
        Non-negative with sum one; absolute sum at most `size`; length at most `size`; simplex and length; no constraint (the
        shortest of the best weights where there are several).
    size : float, optional
        Bound on the norm. Left out: one for the lasso; a rule of thumb for the length (Cattaneo et al. 2025, section 3).
    intercept : bool
        Whether a constant may be added.

    Returns
    -------
    BoundedFit
    """
    A0, b0 = (A - A.mean(axis=0), b - b.mean()) if intercept else (A, b)
    penalty = float("nan")
    if constraint in {"ridge", "simplex_ridge"}:
        thumb, penalty = _rule_of_thumb(A0, b0, int(intercept))
        size = thumb if size is None else size
    elif constraint == "lasso" and size is None:
        size = 1.0
    weights, unique = _solve(A0, b0, constraint, float("nan") if size is None else size)
    shift = float((b - A @ weights).mean()) if intercept else 0.0
    return BoundedFit(weights, shift, float("nan") if size is None else size, penalty, unique)


def _solve(A: Floats, b: Floats, constraint: Constraint, size: float) -> tuple[Floats, bool]:
    full_rank = int(np.linalg.matrix_rank(A)) == A.shape[1]
    if constraint == "ols":
        return np.asarray(np.linalg.lstsq(A, b)[0]), full_rank
    if constraint == "lasso":
        # Positive and negative parts and the slack are weights on a simplex of their own.
        fit = simplex_weights(size * np.hstack([A, -A, np.zeros((len(A), 1))]), b)
        plus, minus = np.split(size * fit.weights[:-1], 2)
        return plus - minus, full_rank or fit.unique
    if constraint == "ridge":
        return _within_ball(A, b, size), full_rank
    if constraint == "simplex_ridge" and size**2 * A.shape[1] <= 1.0:
        return np.full(A.shape[1], 1.0 / A.shape[1]), True
    fit = simplex_weights(A, b)
    if constraint == "simplex" or float(fit.weights @ fit.weights) <= size**2:
        return fit.weights, fit.unique
    return _shortened(A, b, size), True


def _within_ball(A: Floats, b: Floats, size: float) -> Floats:
    """Return the weights of length at most `size` by the secular equation."""
    left, values, right = np.linalg.svd(A, full_matrices=False)
    along = left.T @ b

    def weights(penalty: float) -> Floats:
        kept = values > _ACTIVE * values[0] if penalty == 0 else values > 0
        return np.asarray(right[kept].T @ (values[kept] * along[kept] / (values[kept] ** 2 + penalty)))

    if np.linalg.norm(weights(0.0)) <= size:
        return weights(0.0)
    top = float(np.log(np.linalg.norm(values * along) / size))
    root = brentq(lambda log: np.linalg.norm(weights(np.exp(log))) - size, top - 60, top, xtol=1e-14)
    return weights(float(np.exp(root)))


def _shortened(A: Floats, b: Floats, size: float) -> Floats:
    """Return the simplex weights of length `size`, by the ridge at which they have it."""
    top = float((A**2).sum())
    if top == 0.0:
        return np.full(A.shape[1], 1.0 / A.shape[1])

    def excess(log: float) -> float:
        return float(np.linalg.norm(simplex_weights(A, b, ridge=float(np.exp(log))).weights)) - size

    high = np.log(top)
    while excess(high) > 0:
        high += 5.0
    return simplex_weights(A, b, ridge=float(np.exp(brentq(excess, np.log(top) - 40, high, xtol=1e-13)))).weights


def _rule_of_thumb(A: Floats, b: Floats, constants: int) -> tuple[float, float]:
    """Return the length bound and the ridge penalty that unrestricted coefficients suggest."""
    T, J = A.shape
    columns = np.arange(J)
    if T <= J + _SPARE:
        size = np.abs(_solve(A, b, "lasso", 1.0)[0])
        most = max(T - _SPARE, 2)
        columns = np.flatnonzero(size > _ACTIVE)
        if len(columns) >= most:
            columns = np.sort(np.argsort(-size, kind="stable")[:most])
    coefficients = np.linalg.lstsq(A[:, columns], b)[0]
    residual = b - A[:, columns] @ coefficients
    variance = float(residual @ residual) / max(T - len(columns) - constants, 1)
    square = float(coefficients @ coefficients)
    penalty = variance * (len(columns) + constants) / square if square > 0 else 0.0
    return max(float(np.sqrt(square)) / (1.0 + penalty), _SHORTEST), penalty
