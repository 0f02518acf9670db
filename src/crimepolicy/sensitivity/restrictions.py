"""Restrictions on how far parallel trends may fail: polyhedra ``A delta <= d`` and their unions, as values."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from crimepolicy.errors import DesignError, choose

__all__ = ["Polyhedron", "Restriction", "linear", "monotone", "relative_magnitudes", "sign", "smoothness"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Kind = Literal["smoothness", "relative_magnitudes", "sign", "monotone", "linear", "all", "any"]
Direction = Literal["positive", "negative"]
Trend = Literal["increasing", "decreasing"]


@dataclass(frozen=True, slots=True, eq=False)
class Polyhedron:
    """The violations ``{delta : A delta <= d}`` of parallel trends.

    Attributes
    ----------
    A : float array (n_rows, n_pre + n_post)
        Columns are event times in order, without the reference, where delta is zero.
    d : float array (n_rows,)
    """

    A: Floats
    d: Floats

    def __and__(self, other: "Polyhedron") -> "Polyhedron":
        return Polyhedron(np.vstack([self.A, other.A]), np.concatenate([self.d, other.d]))


@dataclass(frozen=True, slots=True)
class Restriction:
    """What is assumed about the violations of parallel trends; combine with ``&`` (both) and ``|`` (either).

    Attributes
    ----------
    kind : str
        The rule; ``"all"`` and ``"any"`` combine `parts`.
    bound : float
        M of smoothness and relative magnitudes.
    order : int
        Order of the differences that are compared.
    direction : int
        +1 or -1, of sign and monotone.
    parts : tuple of Restriction
    rows : tuple of tuples
        Rows ``(a_1, ..., a_n, d)`` of a linear restriction.
    """

    kind: Kind
    bound: float = 0.0
    order: int = 1
    direction: int = 1
    parts: tuple["Restriction", ...] = ()
    rows: tuple[tuple[float, ...], ...] = ()

    def __and__(self, other: "Restriction") -> "Restriction":
        return Restriction("all", parts=(self, other))

    def __or__(self, other: "Restriction") -> "Restriction":
        return Restriction("any", parts=(self, other))

    def polyhedra(self, n_pre: int, n_post: int) -> tuple[Polyhedron, ...]:
        """Return the polyhedra whose union is this restriction, for so many periods before and after the reference."""
        return _RULES[self.kind](self, n_pre, n_post)

    @property
    def smoothness(self) -> float | None:
        """Largest change of slope per period that is allowed throughout; None where nothing bounds it."""
        bounds = [part.smoothness for part in self.parts]
        known = [bound for bound in bounds if bound is not None]
        if self.kind == "all":
            return min(known, default=None)
        if self.kind == "any":
            return max(known) if len(known) == len(bounds) else None
        return self.bound if self.kind == "smoothness" else None

    @property
    def compares_changes(self) -> bool:
        """True of relative magnitudes of changes, by themselves or with a sign."""
        if self.parts:
            return any(part.compares_changes for part in self.parts) and all(
                part.compares_changes or part.kind == "sign" for part in self.parts
            )
        return self.kind == "relative_magnitudes" and self.order == 1

    def __str__(self) -> str:
        return _WORDS[self.kind](self)


def smoothness(M: float) -> Restriction:
    """Let the slope of the differential trend change by at most M between consecutive periods; M = 0 is a linear trend.

    Examples
    --------
    >>> print(smoothness(0.01))
    the slope of the trend changes by at most 0.01 per period
    """
    return Restriction("smoothness", bound=_nonnegative(M), order=2)


def relative_magnitudes(M: float, *, order: Literal[1, 2] = 1) -> Restriction:
    """Let violations after the event be at most M times the largest one before it.

    Parameters
    ----------
    M : float
        How many times the largest violation before the event.
    order : {1, 2}
        Compare changes between consecutive periods (1) or changes of slope (2).

    Examples
    --------
    >>> print(relative_magnitudes(0.5) & sign("positive"))
    changes after the event are at most 0.5 times the largest change before it, and the bias is positive
    """
    choose("order", order, (1, 2))
    return Restriction("relative_magnitudes", bound=_nonnegative(M), order=order)


def sign(direction: Direction) -> Restriction:
    """Let the bias after the event have one sign."""
    choose("direction", direction, Direction)
    return Restriction("sign", direction=1 if direction == "positive" else -1)


def monotone(direction: Trend) -> Restriction:
    """Let the differential trend move in one direction in every period."""
    choose("direction", direction, Trend)
    return Restriction("monotone", direction=1 if direction == "increasing" else -1)


def linear(A: Floats, d: Floats) -> Restriction:
    """Restrict the violations to ``A delta <= d``, with the event times but the reference as columns, in order.

    Parameters
    ----------
    A : float array (n_rows, n_pre + n_post)
    d : float array (n_rows,)
    """
    stacked = np.column_stack([np.atleast_2d(A), np.atleast_1d(d)]).astype(float)
    return Restriction("linear", rows=tuple(tuple(map(float, row)) for row in stacked))


def _nonnegative(M: float) -> float:
    if not (np.isfinite(M) and M >= 0):
        raise DesignError(f"M={M!r} should be a number that is zero or larger.")
    return float(M)


def _differences(n_pre: int, n_post: int, order: int) -> tuple[Floats, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Return the difference matrix (n - order, n - 1), and which rows end at or before the reference."""
    n = n_pre + 1 + n_post
    D = np.diff(np.eye(n), n=order, axis=0)
    before = np.arange(order, n) <= n_pre
    return np.delete(D, n_pre, axis=1), before


def _smoothness(r: Restriction, n_pre: int, n_post: int) -> tuple[Polyhedron, ...]:
    D, _ = _differences(n_pre, n_post, r.order)
    return (Polyhedron(np.vstack([D, -D]), np.full(2 * len(D), r.bound)),)


def _relative_magnitudes(r: Restriction, n_pre: int, n_post: int) -> tuple[Polyhedron, ...]:
    D, before = _differences(n_pre, n_post, r.order)
    if not before.any():
        raise DesignError(
            f"Relative magnitudes of order {r.order} need {r.order} periods before the reference; this path has {n_pre}."
        )
    factor = np.where(before, 1.0, r.bound)[:, None]
    # The largest violation before the event may be any of them, with either sign: one polyhedron for each.
    return tuple(_largest_is(D, s * D[t], factor) for t in np.flatnonzero(before) for s in (1.0, -1.0))


def _largest_is(D: Floats, largest: Floats, factor: Floats) -> Polyhedron:
    A = np.vstack([D - factor * largest, -D - factor * largest])
    A = A[np.abs(A).max(axis=1) > 0]
    return Polyhedron(A, np.zeros(len(A)))


def _sign(r: Restriction, n_pre: int, n_post: int) -> tuple[Polyhedron, ...]:
    A = -r.direction * np.eye(n_pre + n_post)[n_pre:]
    return (Polyhedron(A, np.zeros(n_post)),)


def _monotone(r: Restriction, n_pre: int, n_post: int) -> tuple[Polyhedron, ...]:
    D, _ = _differences(n_pre, n_post, 1)
    return (Polyhedron(-r.direction * D, np.zeros(len(D))),)


def _linear(r: Restriction, n_pre: int, n_post: int) -> tuple[Polyhedron, ...]:
    rows = np.array(r.rows)
    if rows.shape[1] - 1 != n_pre + n_post:
        raise DesignError(
            f"A has {rows.shape[1] - 1} columns, but the path has {n_pre} event times before and {n_post} after the reference."
        )
    return (Polyhedron(rows[:, :-1], rows[:, -1]),)


def _all(r: Restriction, n_pre: int, n_post: int) -> tuple[Polyhedron, ...]:
    pairs = product(*(part.polyhedra(n_pre, n_post) for part in r.parts))
    return tuple(left & right for left, right in pairs)


def _any(r: Restriction, n_pre: int, n_post: int) -> tuple[Polyhedron, ...]:
    return tuple(p for part in r.parts for p in part.polyhedra(n_pre, n_post))


_RULES: dict[Kind, Callable[[Restriction, int, int], tuple[Polyhedron, ...]]] = {
    "smoothness": _smoothness,
    "relative_magnitudes": _relative_magnitudes,
    "sign": _sign,
    "monotone": _monotone,
    "linear": _linear,
    "all": _all,
    "any": _any,
}

_WORDS: dict[Kind, Callable[[Restriction], str]] = {
    "smoothness": lambda r: f"the slope of the trend changes by at most {r.bound:g} per period",
    "relative_magnitudes": lambda r: (
        f"changes{' of slope' * (r.order == 2)} after the event are at most {r.bound:g} times the largest "
        f"change{' of slope' * (r.order == 2)} before it"
    ),
    "sign": lambda r: f"the bias is {'positive' if r.direction > 0 else 'negative'}",
    "monotone": lambda r: f"the differential trend is {'increasing' if r.direction > 0 else 'decreasing'}",
    "linear": lambda r: f"{len(r.rows)} linear inequalities hold",
    "all": lambda r: ", and ".join(map(str, r.parts)),
    "any": lambda r: ", or ".join(map(str, r.parts)),
}
