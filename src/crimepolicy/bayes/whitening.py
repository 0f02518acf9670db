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


def whiten(evaluate: Callable[[Floats], tuple[float, Floats]], start: Floats) -> tuple[Floats, Floats]:
    """Return a mode (size,) of a log density and a root (size, size) of its covariance there; only speed depends on them.

    Parameters
    ----------
    evaluate : callable
        Array (size,) -> (log density, gradient (size,)).
    start : float array (size,)

    Examples
    --------
    >>> mode, root = whiten(lambda x: (-2 * float((x - 1) @ (x - 1)), -4 * (x - 1)), np.zeros(2))
    >>> mode.round(4).tolist(), abs(root).round(4).tolist()
    ([1.0, 1.0], [[0.5, 0.0], [0.0, 0.5]])
    """

    def downhill(x: Floats) -> tuple[float, Floats]:
        value, gradient = evaluate(x)
        return (-value, -gradient) if np.isfinite(value) else (np.inf, np.zeros_like(x))

    found = optimize.minimize(downhill, start, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
    mode = np.asarray(found.x)
    columns = [downhill(mode + step)[1] - downhill(mode - step)[1] for step in _STEP * np.eye(len(mode))]
    curvature = np.array(columns) / (2 * _STEP)
    values, vectors = linalg.eigh((curvature + curvature.T) / 2)
    return mode, np.asarray((vectors / np.sqrt(np.maximum(values, _LEAST_CURVATURE))) @ vectors.T)
