"""Exact weights on the simplex: the donors, or periods, whose average is nearest to a target."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg
from scipy.optimize import nnls

from crimepolicy.errors import EstimationError

__all__ = ["SimplexFit", "simplex_weights"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_SLACK = 1e-9  # reduced gradients below this share of the largest are taken as zero
_RIDGE_FAST = 1e-6  # below this ridge, relative to the data, normal equations lose too many digits
_RIDGE_TRACE = 1e-9  # a ridge this small only picks one of several optima; it does not make them worse
_EXACT = 1e-6  # residuals below this share of the data are a perfect fit, to which every donor could contribute
_SMALL = 60  # columns up to which the plain solver is the faster one
_EXCHANGES = 60


@dataclass(frozen=True, slots=True)
class SimplexFit:
    """The minimiser of ``|A w + c - b|^2 + ridge |w|^2`` over non-negative weights that sum to one.

    Attributes
    ----------
    weights : float array (J,)
        Exact zeros outside the support.
    intercept : float
        The constant c; zero unless asked for.
    loss : float
        Minimum of the objective.
    unique : bool
        True where no other weights reach the same minimum. The certificate looks at every column that could enter
        without loss, so it may be False for a minimum that is in fact unique, never the reverse.
    """

    weights: Floats
    intercept: float
    loss: float
    unique: bool


def simplex_weights(A: Floats, b: Floats, *, ridge: float = 0.0, intercept: bool = False) -> SimplexFit:
    """Minimise ``|A w + c - b|^2 + ridge |w|^2`` over weights w >= 0 with sum one.

    The constraint makes the problem homogeneous, ``A w - b = (A - b 1') w``, so that non-negative least squares on
    ``[A - b 1'; 1']`` against ``[0; 1]``, rescaled to sum one, is the exact solution.

    Parameters
    ----------
    A : float array (T, J)
        One column per donor.
    b : float array (T,)
        Target.
    ridge : float
        Penalty on the squared length of the weights.
    intercept : bool
        Whether a constant may be added.

    Returns
    -------
    SimplexFit

    Raises
    ------
    EstimationError
        Where there is no donor, or the values are not finite.

    Examples
    --------
    >>> fit = simplex_weights(np.array([[0.0, 2.0], [0.0, 4.0]]), np.array([1.0, 2.0]))
    >>> fit.weights.round(3), fit.unique
    (array([0.5, 0.5]), True)
    """
    rows, scale = _homogeneous(A, b, intercept)
    weights = _solve(rows, ridge / scale**2)
    residual = rows @ weights
    loss = scale**2 * float(residual @ residual) + ridge * float(weights @ weights)
    shift = float((b - A @ weights).mean()) if intercept else 0.0
    return SimplexFit(weights, shift, loss, _is_unique(rows, weights, residual, ridge / scale**2))


def _homogeneous(A: Floats, b: Floats, intercept: bool) -> tuple[Floats, float]:
    rows = A - b[:, None]
    if intercept:
        rows = rows - rows.mean(axis=0)
    if rows.shape[1] == 0 or not np.isfinite(rows).all():
        raise EstimationError(
            f"Weights need at least one donor and finite values; got {rows.shape[1]} donors and {int((~np.isfinite(rows)).sum())} values that are not."
        )
    # One unit of scale for the data rows and the row of ones keeps both in sight of the solver.
    scale = float(np.sqrt((rows**2).mean())) or 1.0
    return rows / scale, scale


def _solve(rows: Floats, ridge: float) -> Floats:
    n = rows.shape[1]
    if n > _SMALL and ridge > _RIDGE_FAST * len(rows):
        found = _exchange(rows, ridge)
        if found is not None:
            return found
    if len(rows) > n + 1:
        rows = np.asarray(linalg.qr(rows, mode="r", check_finite=False)[0][:n])
    penalty = np.sqrt(ridge) * np.eye(n) if ridge > 0 else np.empty((0, n))
    stacked = np.vstack([rows, penalty, np.ones(n)])
    target = np.zeros(len(stacked))
    target[-1] = 1.0
    solution = nnls(stacked, target, maxiter=20 * n + 100)[0]
    return np.asarray(solution / solution.sum(), dtype=float)


def _exchange(rows: Floats, ridge: float) -> Floats | None:
    """Exchange whole blocks of columns between support and bound until the optimum is certified, else None."""
    n = rows.shape[1]
    stacked = np.vstack([rows, np.ones(n)])
    support = np.ones(n, dtype=bool)
    best, patience = n + 1, 3
    for _ in range(_EXCHANGES):
        u = np.zeros(n)
        u[support] = _on_support(stacked[:, support], ridge)
        gradient = stacked.T @ (stacked @ u) + ridge * u - 1.0
        gradient[support] = 0.0
        wrong = np.where(support, u < 0, gradient < -_SLACK)
        count = int(wrong.sum())
        if count == 0:
            return np.asarray(u / u.sum())
        if count < best:
            best, patience = count, 3
        else:
            patience -= 1
        # Swapping one column at a time cannot cycle; whole blocks are the fast road while the errors shrink.
        support[wrong if patience > 0 else np.flatnonzero(wrong)[-1:]] ^= True
    return None


def _on_support(columns: Floats, ridge: float) -> Floats:
    """Return the minimiser of ``|columns u - e|^2 + ridge |u|^2``, e the last unit vector, by the smaller system."""
    m, k = columns.shape
    if k <= m:
        gram = columns.T @ columns
        gram.flat[:: k + 1] += ridge
        return np.asarray(linalg.solve(gram, columns[-1], assume_a="pos", check_finite=False))
    gram = columns @ columns.T
    gram.flat[:: m + 1] += ridge
    target = np.zeros(m)
    target[-1] = 1.0
    return np.asarray(columns.T @ linalg.solve(gram, target, assume_a="pos", check_finite=False))


def _is_unique(rows: Floats, weights: Floats, residual: Floats, ridge: float) -> bool:
    if ridge > _RIDGE_TRACE * len(rows):
        return True
    gradient = rows.T @ residual
    slack = gradient - gradient[weights > 0].min()
    size = float(np.abs(gradient).max()) + float(np.sqrt((rows**2).sum(axis=0).max() * (residual @ residual)))
    exact = float(residual @ residual) <= _EXACT**2 * len(rows)
    could_enter = (weights > 0) | (slack <= _SLACK * size + np.finfo(float).eps) | exact
    columns = np.vstack([rows[:, could_enter], np.ones(int(could_enter.sum()))])
    return bool(columns.shape[1] <= len(columns)) and int(np.linalg.matrix_rank(columns)) == columns.shape[1]
