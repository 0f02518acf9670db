"""Dual vertices found one by one where they are too many to list: those that decide, and no others."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize

from crimepolicy.errors import EstimationError
from crimepolicy.sensitivity.conditional import Lines, Programme, truncation

__all__ = ["searched_lines"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_SAME = 1e-7
_ROUNDS = 200
_FAR = 100.0


def searched_lines(
    programme: Programme, targets: Callable[[Lines], Floats], noise: Floats | None = None, size: float = 0.0
) -> Lines:
    """Return lines that give the value and the truncation of the test exactly at the targets asked for.

    Parameters
    ----------
    programme : Programme
    targets : callable
        From the lines known so far to the targets (G,) at which the test must be right.
    noise : float array (R, m), optional
        Draws of the moments, from which the critical value of the least-favourable test of this `size` is found as well.

    Raises
    ------
    EstimationError
        Where the moments do not bound the target.
    """
    # The steepest lines come first: they say whether the target is bounded at all.
    found = [_highest(programme, side * programme.toward) for side in (-1.0, 1.0)]
    cap = None if noise is None else _least_favourable(programme, noise, size, found)
    for _ in range(_ROUNDS):
        lines = programme.lines(np.array(found), cap)
        new = _missing(programme, lines, targets(lines))
        if not new:
            break
        found += new
    return lines


def _highest(programme: Programme, moments: Floats) -> Floats:
    """Return the dual vertex (m,) at which these moments (m,) are violated most."""
    scaled = programme.nuisance / programme.scale[:, None]
    equal = np.vstack([scaled.T, np.ones(len(scaled))])
    solved = optimize.linprog(
        -moments / programme.scale, A_eq=equal, b_eq=np.eye(len(equal))[-1], bounds=(0, None), method="highs-ds"
    )
    if not solved.success:
        raise EstimationError(
            f"This restriction does not bound the target, or is out of reach of the linear programme ({solved.message.strip()}). "
            "Add a restriction, or aggregate event time with bins=."
        )
    return np.asarray(solved.x, dtype=float) / programme.scale


def _least_favourable(programme: Programme, noise: Floats, size: float, found: list[Floats]) -> float:
    """Return the quantile of the largest violation by noise (R, m), solving only the programmes that can matter for it."""
    wanted = max(2, int(np.ceil(size * (len(noise) - 1))) + 1)
    # Without its equations the programme is solved by the single largest moment: nothing is higher.
    low, high = np.full(len(noise), -np.inf), (noise / programme.scale).max(axis=1)
    while True:
        bar = np.partition(low, -wanted)[-wanted]
        open_ = (high > bar) & (high - low > _SAME)
        if not open_.any():
            return float(np.quantile(low, 1 - size))
        draw = int(np.argmax(np.where(open_, high, -np.inf)))
        vertex = _highest(programme, noise[draw])
        found.append(vertex)
        low = np.maximum(low, noise @ vertex)
        high = np.minimum(high, _ceiling(programme, noise, vertex))
        high[draw] = low[draw]


def _ceiling(programme: Programme, noise: Floats, vertex: Floats) -> Floats:
    """Return a bound (R,) on the violation by each draw: that under the effects which make the vertex's own moments equal."""
    own = vertex > 0
    system = np.column_stack([programme.nuisance[own], programme.scale[own]])
    effects = noise[:, own] @ np.linalg.pinv(system)[:-1].T
    return np.asarray(((noise - effects @ programme.nuisance.T) / programme.scale).max(axis=1))


def _missing(programme: Programme, lines: Lines, targets: Floats) -> list[Floats]:
    """Return vertices that are higher than all known ones at a target, or at an end of its truncation."""
    cut = truncation(targets, lines)
    found = [vertex for theta in targets for vertex in _higher(programme, lines, _moments(programme, theta))]
    if found:
        return found
    for theta, best, top, *ends in zip(targets, cut.best, cut.top, cut.lower, cut.upper, strict=True):
        if top > 0:
            found += _beyond(programme, lines, theta, int(best), top, ends)
    return found


def _moments(programme: Programme, theta: float) -> Floats:
    return programme.moments @ programme.path - programme.bound - programme.toward * theta


def _beyond(programme: Programme, lines: Lines, theta: float, best: int, top: float, ends: list[float]) -> list[Floats]:
    """Move the highest line to each end of its truncation, the moments along with it, and look whether it is still the highest."""
    variance = lines.covariance[best, best]
    if variance <= 0:
        return []
    direction = programme.moments @ programme.covariance @ lines.loading[best] / variance
    reach = _FAR * np.sqrt(variance)
    here = _moments(programme, theta)
    return [
        vertex
        for end in np.clip(ends, top - reach, top + reach)
        for vertex in _higher(programme, lines, here + (end - top) * direction)
    ]


def _higher(programme: Programme, lines: Lines, moments: Floats) -> list[Floats]:
    vertex = _highest(programme, moments)
    known = float((lines.vertices @ moments).max())
    return [vertex] if vertex @ moments > known + _SAME * max(1.0, abs(known)) else []
