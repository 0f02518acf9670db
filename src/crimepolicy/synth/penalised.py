"""Synthetic control with a penalty on donors that are far from the treated unit one by one."""

from typing import Any

import numpy as np

from crimepolicy.errors import EstimationError
from crimepolicy.synth.weights import simplex_weights

__all__ = ["penalised_weights"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_TOLERANCE = 1e-9
_STEPS = 200
_PROXIMITY = 1e-3


def penalised_weights(differences: Floats, penalty: float) -> Floats:
    """Minimise ``|B w|^2 + penalty * sum_j w_j |B_j|^2`` over weights w >= 0 with sum one.

    A linear term has no exact least-squares form, but each step of the proximal point method has one, and on a quadratic
    programme that method ends after finitely many steps.

    Parameters
    ----------
    differences : float array (k, J)
        B, donors less treated.
    penalty : float
        Positive; 0 gives the ordinary synthetic control, a large value the nearest donor.

    Returns
    -------
    float array (J,)

    Raises
    ------
    EstimationError
        Where the steps do not settle.
    """
    # Scaled to mean square one, so that one proximity and one tolerance serve all data.
    scale = float((differences**2).sum(axis=0).mean()) or 1.0
    columns = differences / np.sqrt(scale)
    linear = 0.5 * penalty * (columns**2).sum(axis=0)
    nearness = _PROXIMITY * (1.0 + penalty)
    stacked = np.vstack([columns, np.sqrt(nearness) * np.eye(columns.shape[1])])
    w = np.full(columns.shape[1], 1.0 / columns.shape[1])
    for _ in range(_STEPS):
        target = np.append(np.zeros(len(columns)), np.sqrt(nearness) * (w - linear / nearness))
        w = simplex_weights(stacked, target).weights
        gradient = columns.T @ (columns @ w) + linear
        if (gradient - gradient @ w).min() >= -_TOLERANCE * float(np.abs(gradient).max()):
            return w
    raise EstimationError("The penalised weights did not settle. Scale the predictors, or use another penalty.")
