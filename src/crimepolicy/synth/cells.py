"""The best donor weights among those that one set of donors and one pattern of signs allow."""

from typing import Any

import numpy as np
from scipy.linalg.lapack import dpotrf, dtrtri
from scipy.optimize import nnls

__all__ = ["cell_weights"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_RIDGE = 1e-10


def cell_weights(apart: Floats, outcomes: Floats, signs: Floats) -> Floats | None:
    """Minimise ``|outcomes w|^2`` over weights w >= 0 with sum one for which ``apart w`` has given signs.

    Where some V makes weights on these donors optimal, every other w on the same donors whose predictors lie on the same
    side of the treated unit's is optimal for another V: the normal ``u = V apart w`` of their face stays, and ``V = u / (apart
    w)`` stays positive. So the search over V within such a cell is a projection onto a polyhedral cone, which non-negative
    least squares solves in its polar form.

    Parameters
    ----------
    apart : float array (k, n)
        Predictors, donors less treated.
    outcomes : float array (T, n)
        Outcomes, donors less treated.
    signs : float array (k,)
        Signs that ``apart w`` must have, or zero where it is free.

    Returns
    -------
    float array (n,) or None
        None where rounding leaves no such weights.
    """
    n = apart.shape[1]
    size = float((outcomes**2).mean()) or 1.0
    system = outcomes.T @ outcomes / (size * len(outcomes)) + 1.0
    system.flat[:: n + 1] += _RIDGE
    root = dtrtri(dpotrf(system)[0])[0]
    # In the coordinates of the root the objective is a distance, and the constraints are still a cone.
    cone = np.vstack([root, (signs[:, None] * apart) @ root])
    point = root.sum(axis=0)
    if (cone @ point).min() < 0:
        point = point + cone.T @ nnls(-cone.T, point)[0]
    weights = np.maximum(root @ point, 0.0)
    total = float(weights.sum())
    return weights / total if total > 0 else None
