"""Bias-reduced linearisation (CR2) with Satterthwaite degrees of freedom."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg

from crimepolicy.inference.regression import Regression

__all__ = ["BellMcCaffrey", "bell_mccaffrey"]

Array = np.ndarray[Any, Any]

_FULL_LEVERAGE = 1 - 1e-10
"""Leverage (squared singular value) from which a direction is fitted exactly and carries no residual."""


@dataclass(frozen=True, slots=True)
class BellMcCaffrey:
    """CR2 standard error of one coefficient.

    Attributes
    ----------
    std_error, df : float
        Standard error, and Satterthwaite degrees of freedom under independent homoskedastic errors.
    psi : array (n_clusters,)
        Adjusted influence of each cluster.
    """

    std_error: float
    df: float
    psi: Array


def bell_mccaffrey(problem: Regression) -> BellMcCaffrey:
    """Return the CR2 standard error and degrees of freedom of a regression coefficient.

    The working model is independent errors of equal variance. The adjustment of cluster g is the symmetric root of the
    inverse of I - H_gg, computed from the thin decomposition of the cluster's rows.

    References
    ----------
    Bell and McCaffrey (2002), Survey Methodology 28; Pustejovsky and Tipton (2018), JBES 36.
    """
    design = np.column_stack([problem.nuisance, problem.regressor / np.sqrt(problem.scale)])
    residual = problem.outcome - problem.coefficient * problem.regressor
    direction = problem.regressor / problem.scale
    adjusted = np.zeros_like(direction)
    psi = np.zeros(problem.n_clusters)
    hat = np.zeros((problem.n_clusters, design.shape[1]))
    order = np.argsort(problem.codes, kind="stable")
    for g, rows in enumerate(np.split(order, np.cumsum(np.bincount(problem.codes))[:-1])):
        adjusted[rows] = _adjust(design[rows], direction[rows])
        psi[g] = adjusted[rows] @ residual[rows]
        hat[g] = design[rows].T @ adjusted[rows]
    squares = np.bincount(problem.codes, weights=adjusted**2)
    return BellMcCaffrey(float(np.sqrt((psi**2).sum())), _satterthwaite(squares, hat), psi)


def _adjust(design: Array, direction: Array) -> Array:
    left, size, _ = linalg.svd(design, full_matrices=False)
    leverage = size**2
    root = np.where(leverage < _FULL_LEVERAGE, 1 / np.sqrt(np.maximum(1 - leverage, 1 - _FULL_LEVERAGE)), 0.0)
    return direction + left @ ((root - 1) * (left.T @ direction))


def _satterthwaite(squares: Array, hat: Array) -> float:
    product = np.diag(squares) - hat @ hat.T
    return float(np.trace(product) ** 2 / (product**2).sum())
