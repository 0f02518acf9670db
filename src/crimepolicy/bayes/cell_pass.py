"""One pass over all cells: log likelihood and the sums of its gradient, compiled and without the interpreter's lock."""

import math
from typing import Any

import numpy as np
from numba import njit

__all__ = ["cell_pass"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]


@njit(cache=True, nogil=True, error_model="numpy")
def cell_pass(
    unit: Floats,
    period: Floats,
    effect: Floats,
    group: Ints,
    which: Ints,
    offset: Floats,
    counts: Floats,
    used: Any,
    kappa: float,
) -> tuple[float, float, Floats, Floats, Floats]:
    """Return the log likelihood, its derivative by log kappa, and its gradient by unit, by period path and by event cell.

    Parameters
    ----------
    unit : float array (N,)
    period : float array (G, T)
    effect : float array (E * K,)
    group : int array (N,)
    which : int array (N, T)
        Position in `effect`, -1 without an event.
    offset, counts : float array (N, T)
    used : bool array (N, T)
    kappa : float
        Squared dispersion; 0 for Poisson. Terms of the counts alone are left to the caller.
    """
    n, t = counts.shape
    by_unit, by_period, by_effect = np.zeros(n), np.zeros(period.shape), np.zeros(len(effect))
    value = bend = 0.0
    for i in range(n):
        g = group[i]
        for j in range(t):
            if not used[i, j]:
                continue
            event = which[i, j]
            eta = offset[i, j] + unit[i] + period[g, j] + (effect[event] if event >= 0 else 0.0)
            mean, y = math.exp(eta), counts[i, j]
            slope = y - mean
            value += y * eta
            if kappa > 0:
                grown = 1 + kappa * mean
                log = math.log(grown)
                value -= (y + 1 / kappa) * log
                bend += (log - (kappa * y + 1) * (kappa * mean / grown)) / kappa
                slope /= grown
            else:
                value -= mean
            by_unit[i] += slope
            by_period[g, j] += slope
            if event >= 0:
                by_effect[event] = slope
    return value, bend, by_unit, by_period, by_effect
