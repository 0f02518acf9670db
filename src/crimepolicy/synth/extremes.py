"""Largest values of linear functions over weights whose fit stays within a ball."""

from typing import Any

import numpy as np
from scipy.optimize import nnls

__all__ = ["largest_in_ball", "largest_on_simplex"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_STEPS = 60
_MET = 1e-10
_FARTHER = 8.0
_BISECTIONS, _SPAN = 64, 60.0
_NEWTON, _TRACE = 20, 1e-12
_RANK = 1e-10


def largest_on_simplex(c: Floats, L: Floats, target: Floats, radius: float, start: Floats, free: bool) -> float:
    """Maximise ``c'y (+ d)`` over y >= 0 with the sum of `start` and ``|L y - target|^2 (+ d^2) <= radius^2``.

    The points that trade the fit against the function best are least-squares solutions: with a row ``c'y`` asked to be z,
    a larger z gives a larger function and a worse fit. They are linear in z while the same weights are positive, so that a
    few steps find the one whose fit is just allowed.

    Parameters
    ----------
    c : float array (n,)
        The function.
    L : float array (k, n)
        What is held near the target.
    target : float array (k,)
        Centre of the ball.
    radius : float
        Positive; the fit at the best weights must lie within it.
    start : float array (n,)
        Weights with the best fit.
    free : bool
        Whether a constant d, which no bound holds, may use what room the fit leaves.

    Returns
    -------
    float
    """
    mass, reach = float(start.sum()), float(c.max() - c.min())
    best = mass * float(c.max())
    if reach <= 0 and not free:
        return best
    frontier = _Frontier(c / (reach or 1.0), L / radius, target / radius, mass, free, radius / (reach or 1.0))
    low = frontier.at(float(frontier.c @ start), start)
    found = frontier.limit(low)
    if found is None:
        return best
    return float(c @ found.y) + radius * float(found.apart[-1]) * free


class _Point:
    """A trade-off z, its weights y, and the distance from the target in units of the radius."""

    __slots__ = ("apart", "excess", "y", "z")

    def __init__(self, z: float, y: Floats, apart: Floats) -> None:
        self.z, self.y, self.apart = z, y, apart
        self.excess = float(apart @ apart) - 1.0


class _Frontier:
    def __init__(self, c: Floats, L: Floats, target: Floats, mass: float, free: bool, unit: float) -> None:
        self.c, self.L, self.target, self.mass, self.free, self.unit = c, L, target, mass, free, unit
        # A constant takes a share of every wish: what is left for the weights is a smaller row.
        self.share = unit**2 / (1.0 + unit**2) if free else 0.0
        self.root = float(np.sqrt(1.0 - self.share))
        self.rows = np.vstack([mass * L, mass * self.root * c, np.ones(len(c))])
        self.stacked, self.right = self.rows.copy(), np.zeros(len(L) + 2)
        self.right[-1] = 1.0

    def at(self, z: float, y: Floats) -> _Point:
        apart = self.L @ y - self.target
        if self.free:
            apart = np.append(apart, self.share / self.unit * (z - self.c @ y))
        return _Point(z, y, apart)

    def solve(self, z: float) -> _Point:
        aim = np.append(self.target, self.root * z)
        np.subtract(self.rows[:-1], aim[:, None], out=self.stacked[:-1])
        weights = nnls(self.stacked, self.right)[0]
        return self.at(z, self.mass * weights / weights.sum())

    def limit(self, low: _Point) -> _Point | None:
        """Return the point whose fit is just allowed, or None where the function is as large as weights can make it."""
        high, point, step = np.inf, low, 1.0
        top = self.mass * float(self.c.max())
        for _ in range(_STEPS):
            z = point.z + self._leaving(point)
            if not low.z < z < high:
                z = 0.5 * (low.z + high) if np.isfinite(high) else low.z + step
                step *= _FARTHER
            point = self.solve(z)
            if abs(point.excess) <= _MET:
                return point
            if point.excess > 0:
                high = z
            else:
                low = point
                if not self.free and float(self.c @ point.y) >= top - _MET:
                    return None
        return low

    def _leaving(self, point: _Point) -> float:
        """Return how much farther z may go while the weights in use stay in use, or NaN."""
        used = np.flatnonzero(point.y)
        columns = self.rows[:-1, used]
        system = np.ones((len(used) + 1, len(used) + 1))
        system[:-1, :-1] = columns.T @ columns
        system[-1, -1] = 0.0
        try:
            move = self.mass * np.linalg.solve(system, np.append(columns[-1] * self.root, 0.0))[:-1]
        except np.linalg.LinAlgError:
            return float("nan")
        along = self.L[:, used] @ move
        if self.free:
            along = np.append(along, self.share / self.unit * (1.0 - self.c[used] @ move))
        a, b = float(along @ along), float(along @ point.apart)
        return float((-b + np.sqrt(max(b * b - a * point.excess, 0.0))) / a) if a > 0 else float("nan")


def largest_in_ball(C: Floats, L: Floats, targets: Floats, radii: Floats, size: float) -> Floats:
    """Maximise ``c'x`` over ``|L x - target| <= radius`` and ``|x| <= size`` (infinite: no bound on the length).

    Parameters
    ----------
    C : float array (D, n)
        One function per row.
    L : float array (k, n)
        What is held near the target.
    targets : float array (R, k)
        Centre of the ball, by draw.
    radii : float array (R,)
        Its radius; some point of the length allowed must lie within it.
    size : float
        Bound on the length.

    Returns
    -------
    float array (R, D)
        Infinite where nothing bounds the function.
    """
    left, values, right = np.linalg.svd(L)
    rank = int((values > _RANK * values[0]).sum())
    shape = (len(targets), len(C), L.shape[1])
    squares, pulls, shown = np.zeros(shape[2]), np.zeros((shape[0], 1, shape[2])), (C @ right.T)[None]
    squares[:rank] = values[:rank] ** 2
    pulls[:, 0, :rank] = targets @ left[:, :rank] * values[:rank]
    if np.isinf(size):
        return _in_ellipsoid(shown, squares, pulls, radii, rank)
    rest = (targets**2).sum(axis=1)[:, None] - radii[:, None] ** 2
    low, high = np.full(shape[:2], -_SPAN), np.full(shape[:2], _SPAN)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        x = _shortened(np.exp(middle)[..., None], shown, squares, pulls, size)
        outside = (squares * x**2 - 2 * x * pulls).sum(axis=2) + rest > 0
        # The dearer a bad fit, the better the fit: bisection finds the price at which it is just allowed.
        low, high = np.where(outside, middle, low), np.where(outside, high, middle)
    x = _shortened(np.exp(high)[..., None], shown, squares, pulls, size)
    return np.asarray((x * shown).sum(axis=2))


def _in_ellipsoid(shown: Floats, squares: Floats, pulls: Floats, radii: Floats, rank: int) -> Floats:
    part = slice(0, rank)
    unbounded = np.abs(shown[..., rank:]).max(axis=2, initial=0.0) > _RANK * np.abs(shown).max(axis=2)
    centre = (pulls[..., part] / squares[part] * shown[..., part]).sum(axis=2)
    reach = np.sqrt((shown[..., part] ** 2 / squares[part]).sum(axis=2))
    return np.where(unbounded, np.inf, centre + radii[:, None] * reach)


def _shortened(price: Floats, shown: Floats, squares: Floats, pulls: Floats, size: float) -> Floats:
    """Return the maximisers of ``c'x - price |L x - target|^2 / 2`` within the length, by Newton steps on its inverse."""
    right, curve = shown + price * pulls, price * squares
    # From a length that is too large the steps cannot overshoot.
    penalty = np.full(right.shape[:2], _TRACE / size) * np.linalg.norm(shown, axis=2)
    for _ in range(_NEWTON):
        shrunk = right / (curve + penalty[..., None])
        square = (shrunk**2).sum(axis=2)
        slope = (shrunk**2 / (curve + penalty[..., None])).sum(axis=2)
        penalty = np.maximum(penalty + (np.sqrt(square) / size - 1.0) * square / slope, penalty)
    return np.asarray(right / (curve + penalty[..., None]))
