"""A mode and the shape of the density there: coordinates in which a sampler starts from something almost round."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import linalg, optimize

__all__ = ["whiten"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_STEP = 1e-4
_ITERATIONS = 500
# Where the density is flat or bends the other way, unit width stands in: priors are of about that width.
_LEAST_CURVATURE = 1.0


def whiten(
    evaluate: Callable[[Floats], tuple[float, Floats]], start: Floats, held: np.ndarray[Any, np.dtype[np.bool_]]
) -> tuple[Floats, Floats]:
    """Return a mode (size,) of a log density and a root (size, size) of its covariance there; only speed depends on them.

    Parameters
    ----------
    evaluate : callable
        Array (size,) -> (log density, gradient (size,)).
    start : float array (size,)
    held : bool array (size,)
        Coordinates that stay where they are, such as logs of scales: with a scale at zero a density can be without bound.

    Examples
    --------
    >>> mode, root = whiten(lambda x: (-2 * float((x - 1) @ (x - 1)), -4 * (x - 1)), np.zeros(2), np.zeros(2, bool))
    >>> mode.round(4).tolist(), abs(root).round(4).tolist()
    ([1.0, 1.0], [[0.5, 0.0], [0.0, 0.5]])
    """
    mode, root, free = start.copy(), np.eye(len(start)), np.flatnonzero(~held)

    def downhill(moved: Floats) -> tuple[float, Floats]:
        mode[free] = moved
        value, gradient = evaluate(mode)
        return (-value, -gradient[free]) if np.isfinite(value) else (np.inf, np.zeros(len(free)))

    found = optimize.minimize(downhill, start[free], jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS}).x
    columns = [downhill(found + step)[1] - downhill(found - step)[1] for step in _STEP * np.eye(len(free))]
    curvature = np.array(columns) / (2 * _STEP)
    values, vectors = linalg.eigh((curvature + curvature.T) / 2)
    mode[free] = found
    root[np.ix_(free, free)] = (vectors / np.sqrt(np.maximum(values, _LEAST_CURVATURE))) @ vectors.T
    return mode, root
