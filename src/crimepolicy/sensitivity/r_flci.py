"""The fixed-length interval that HonestDiD settles on: its own search among standard errors, with simulated critical values."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy import optimize

from crimepolicy.sensitivity.flci import FixedLength, Frontier, frontier
from crimepolicy.sensitivity.r_normals import r_normals

__all__ = ["fixed_length_as_in_r"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_DRAWS = 1_000_000
_POINTS = 100
_EPS = float(np.finfo(float).eps)


def fixed_length_as_in_r(path: Floats, covariance: Floats, weights: Floats, M: float, level: float) -> FixedLength:
    """Return the fixed-length interval of HonestDiD 0.2.6 for the target; `fixed_length` returns the shortest one.

    Its half length is within 1e-3 of the shortest; its centre may lie elsewhere by much more, as the optimum is flat.

    Parameters
    ----------
    path, covariance, weights, M, level
        As in `fixed_length`.
    """
    choices = frontier(covariance, weights, len(path) - len(weights), M)
    low, high = choices.at(0.0)[2], choices.at(choices.steepest)[2]
    tails = _tails(1 - level)

    def half_length(h: float) -> float:
        return _folded_quantile(tails, _least_biased(choices, h)[1] / h, 1 - level) * h

    # Derivatives of a simulated quantile are so noisy that its bisection mostly gives up, and a grid of 100 standard errors decides.
    h = _bisected(half_length, low, high) if high > low else high
    if h is None:
        h = min(np.linspace(low, high, _POINTS), key=half_length)
    f, bias, error = _least_biased(choices, h)
    return FixedLength(float(f @ path), half_length(h), f, bias, error)


def _least_biased(choices: Frontier, h: float) -> tuple[Floats, float, float]:
    """Return weights, bias and standard error of the least biased estimator whose standard error is at most h."""
    ends = [(choices.at(penalty)[2] - h, penalty) for penalty in (0.0, choices.steepest)]
    inside = ends[0][0] < 0 < ends[1][0]
    penalty = (
        float(
            optimize.brentq(
                lambda p: choices.at(p)[2] - h, 0.0, choices.steepest, xtol=1e-11 * choices.steepest, rtol=1e-11
            )
        )
        if inside
        else min((abs(gap), p) for gap, p in ends)[1]
    )
    return choices.at(penalty)


def _bisected(f: Callable[[float], float], low: float, high: float) -> float | None:
    """Return where the numerical derivative of f changes its sign, None where it is not monotone."""
    step = min((high - low) / _POINTS, high * _EPS ** (1 / 3))
    rise_low, rise_high = (f(low + step) - f(low)) / step, (f(high) - f(high - step)) / step
    if rise_low > rise_high:
        return None
    if rise_high < 0 or rise_low > 0:
        return high if rise_high < 0 else low
    while high - low > step:
        middle = (low + high) / 2
        rise = (f(middle + step) - f(middle - step)) / (2 * step)
        if rise > rise_high + _EPS**0.5 or rise + _EPS**0.5 < rise_low:
            return None
        low, high = (low, middle) if rise > 0 else (middle, high)
    return (low + high) / 2


@cache
def _draws() -> Floats:
    return np.sort(r_normals(_DRAWS))


def _tails(alpha: float) -> tuple[Floats, Floats]:
    """Return the lowest and the highest draws, among which the quantile of the folded normal lies whatever its shift."""
    count = int(np.ceil(alpha * _DRAWS)) + 2
    return _draws()[:count], _draws()[-count:]


def _folded_quantile(tails: tuple[Floats, Floats], shift: float, alpha: float) -> float:
    folded = np.concatenate([tails[1] + shift, -tails[0] - shift])
    position = (_DRAWS - 1) * (1 - alpha)
    below = int(position) + len(folded) - _DRAWS
    first, second = np.partition(folded, [below, below + 1])[[below, below + 1]]
    return float(first + (position - int(position)) * (second - first))
