"""Synthetic control with a penalty on donors that are far from the treated unit one by one."""

from typing import Any

import numpy as np

from crimepolicy.errors import EstimationError

__all__ = ["penalised_weights"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_TOLERANCE = 1e-11


def penalised_weights(differences: Floats, penalty: float) -> Floats:
    """Minimise ``|B w|^2 + penalty * sum_j w_j |B_j|^2`` over weights w >= 0 with sum one.

    Parameters
    ----------
    differences : float array (k, J)
        B, donors less treated.
    penalty : float
        Positive; 0 gives the ordinary synthetic control, a large value the nearest donor.

    Returns
    -------
    float array (J,)
    """
    # Scaled to mean square one, so that one tolerance serves all data.
    scale = float((differences**2).sum(axis=0).mean()) or 1.0
    columns = differences / np.sqrt(scale)
    linear = 0.5 * penalty * (columns**2).sum(axis=0)
    w = np.zeros(columns.shape[1])
    w[int(np.argmin((columns**2).sum(axis=0)))] = 1.0
    for _ in range(20 * len(w) + 100):
        w = _move(columns, linear, w)
        gradient = columns.T @ (columns @ w) + linear
        slack = gradient - float(gradient @ w)
        enter = int(np.argmin(slack))
        if slack[enter] >= -_TOLERANCE * max(1.0, float(np.abs(gradient).max())):
            return w
        # A vanishing weight puts the donor into the support; the next move gives it its due.
        w[enter] = max(w[enter], np.finfo(float).tiny)
    raise EstimationError("The penalised weights did not converge. Scale the predictors, or use another penalty.")


def _move(columns: Floats, linear: Floats, w: Floats) -> Floats:
    """Go to the optimum on the support of w, leaving behind each donor that reaches zero on the way."""
    while True:
        support = np.flatnonzero(w)
        goal = _on_support(columns[:, support], linear[support])
        if (goal > 0).all():
            return _placed(w, support, goal)
        shrinking = goal <= 0
        here = w[support]
        step = float((here[shrinking] / (here[shrinking] - goal[shrinking])).min())
        moved = here + step * (goal - here)
        moved[np.flatnonzero(shrinking)[np.argmin(moved[shrinking])]] = 0.0
        w = _placed(w, support, np.maximum(moved, 0.0))


def _on_support(columns: Floats, linear: Floats) -> Floats:
    n = columns.shape[1]
    system = np.ones((n + 1, n + 1))
    system[:n, :n] = columns.T @ columns
    system[n, n] = 0.0
    return np.asarray(np.linalg.lstsq(system, np.append(-linear, 1.0))[0][:n])


def _placed(w: Floats, support: np.ndarray[Any, Any], values: Floats) -> Floats:
    placed = np.zeros_like(w)
    placed[support] = values
    return placed
