"""From standard normals to scales: the quantile of a half-normal prior at the probability of the normal, compiled."""

import math
from typing import Any

import numpy as np
from numba import njit

__all__ = ["scales_from_normal"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_ROOT_HALF = math.sqrt(0.5)
_ROOT_2_PI = math.sqrt(2 / math.pi)
_NEWTON = 8


@njit(cache=True, nogil=True, error_model="numpy")
def scales_from_normal(x: Floats, prior: Floats, share: int) -> tuple[Floats, Floats]:
    """Return h (n, Q) and its derivative, for x (n, Q).

    Parameters
    ----------
    x : float array (n, Q)
    prior : float array (Q,)
        Scales of the half-normal priors.
    share : int
        Column that is the logit of a uniform share; -1 for none.
    """
    h, slope = np.empty(x.shape), np.empty(x.shape)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            at = x[i, j]
            below, above = 0.5 * math.erfc(-at * _ROOT_HALF), 0.5 * math.erfc(at * _ROOT_HALF)
            if j == share:
                h[i, j] = math.log(below) - math.log(above)
                slope[i, j] = math.exp(-0.5 * at * at) * 0.5 * _ROOT_2_PI / (below * above)
            else:
                q = _half_normal_quantile(at, below, above)
                h[i, j] = math.log(prior[j] * q)
                slope[i, j] = math.exp(0.5 * (q * q - at * at)) / (2 * q)
    return h, slope


@njit(cache=True, nogil=True, error_model="numpy")
def _half_normal_quantile(at: float, below: float, above: float) -> float:
    """Return q with P(|Z| < q) = `below` by Newton's method, on the side of the distribution that keeps its digits."""
    if at < 0:
        q = below / _ROOT_2_PI
        for _ in range(_NEWTON):
            q -= (math.erf(q * _ROOT_HALF) - below) / (_ROOT_2_PI * math.exp(-0.5 * q * q))
        return q
    q = at + 0.5
    for _ in range(_NEWTON):
        tail = math.erfc(q * _ROOT_HALF)
        q += math.log(tail / above) * tail / (_ROOT_2_PI * math.exp(-0.5 * q * q))
    return q
