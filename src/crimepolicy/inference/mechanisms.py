"""Assignment mechanisms: how treatment could have fallen otherwise."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import factorial, prod
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd

from crimepolicy.errors import DesignError, choose, offenders
from crimepolicy.panel import Panel

__all__ = ["Mechanism", "MoveClusters", "PermuteSchedules", "RedrawDates", "RedrawPlaces"]

Array = np.ndarray[Any, Any]
Within = Literal["region", "cluster"] | Mapping[Any, Any] | None
"""Strata or groups of units: a label of the panel, or a mapping from unit to label."""

_TRIES = 1_000


class Mechanism(Protocol):
    """What a randomisation test needs to know: how to draw, and to count and list, assignments."""

    def draw(self, panel: Panel, rng: np.random.Generator) -> Panel:
        """Return the panel with treatment drawn anew."""

    def count(self, panel: Panel) -> int | None:
        """Return the number of distinct assignments; None where they cannot be listed."""

    def enumerate(self, panel: Panel) -> Iterator[Panel]:
        """Yield the panel under every distinct assignment, the observed one among them."""


@dataclass(frozen=True, slots=True)
class RedrawPlaces:
    """Dates stay, places are drawn anew: each treated unit's schedule goes to a unit drawn from the candidates.

    Attributes
    ----------
    within : {"region", "cluster"} or mapping, optional
        Strata that schedules stay within.
    candidates : sequence, optional
        Units that could have been treated; all by default. Every treated unit must be one.
    """

    within: Within = None
    candidates: tuple[Any, ...] | None = None

    def draw(self, panel: Panel, rng: np.random.Generator) -> Panel:
        """Return the panel with the places of treatment drawn anew."""
        return _shuffled(panel, self._strata(panel), rng)

    def count(self, panel: Panel) -> int:
        """Return the number of distinct assignments."""
        return _arrangements(panel, self._strata(panel))

    def enumerate(self, panel: Panel) -> Iterator[Panel]:
        """Yield every distinct assignment."""
        return _all_arrangements(panel, self._strata(panel))

    def _strata(self, panel: Panel) -> list[Array]:
        rows = np.arange(panel.n_units)
        if self.candidates is not None:
            rows = np.sort(panel.units.get_indexer(pd.Index(self.candidates)))
            outside = np.setdiff1d(np.flatnonzero(panel.D.any(axis=1)), rows)
            if len(outside):
                raise DesignError(
                    f"Treated units are not among the candidates: {offenders(panel.units[outside])}. Add them."
                )
        return _split(rows, _labels(panel, self.within))


@dataclass(frozen=True, slots=True)
class PermuteSchedules:
    """Whole adoption schedules are permuted over units.

    Attributes
    ----------
    within : {"region", "cluster"} or mapping, optional
        Strata that schedules stay within.
    among : {"all", "treated"}
        ``"treated"`` keeps who is treated and permutes only when.
    """

    within: Within = None
    among: Literal["all", "treated"] = "all"

    def draw(self, panel: Panel, rng: np.random.Generator) -> Panel:
        """Return the panel with schedules permuted."""
        return _shuffled(panel, self._strata(panel), rng)

    def count(self, panel: Panel) -> int:
        """Return the number of distinct assignments."""
        return _arrangements(panel, self._strata(panel))

    def enumerate(self, panel: Panel) -> Iterator[Panel]:
        """Yield every distinct assignment."""
        return _all_arrangements(panel, self._strata(panel))

    def _strata(self, panel: Panel) -> list[Array]:
        choose("among", self.among, ("all", "treated"))
        rows = np.arange(panel.n_units) if self.among == "all" else np.flatnonzero(panel.D.any(axis=1))
        return _split(rows, _labels(panel, self.within))


@dataclass(frozen=True, slots=True)
class RedrawDates:
    """Places stay, dates are drawn anew, uniformly; the length of treatment stays too.

    A group's spells move by one displacement; a spell that lasts to the end of the panel goes on doing so.

    Attributes
    ----------
    together : {"region", "cluster"} or mapping, optional
        Units whose dates move together, such as all places of one leader; each unit alone by default.
    first, last : period, optional
        Earliest and latest start that could have been, both included; the second and the last period by default.
    """

    together: Within = None
    first: Any = None
    last: Any = None

    def draw(self, panel: Panel, rng: np.random.Generator) -> Panel:
        """Return the panel with the dates of treatment drawn anew."""
        groups = self._groups(panel)
        return _shifted(panel, groups, [int(rng.integers(low, high + 1)) for low, high in groups.reach])

    def count(self, panel: Panel) -> int:
        """Return the number of distinct assignments."""
        return prod(high - low + 1 for low, high in self._groups(panel).reach)

    def enumerate(self, panel: Panel) -> Iterator[Panel]:
        """Yield every distinct assignment."""
        groups = self._groups(panel)
        for moves in product(*(range(low, high + 1) for low, high in groups.reach)):
            yield _shifted(panel, groups, list(moves))

    def _groups(self, panel: Panel) -> "_Groups":
        first = 1 if self.first is None else panel.position(self.first)
        last = panel.n_periods - 1 if self.last is None else panel.position(self.last)
        rows = np.flatnonzero(panel.D.any(axis=1))
        codes = np.arange(len(rows)) if self.together is None else pd.factorize(_labels(panel, self.together)[rows])[0]
        starts = _starts(panel.D[rows])
        earliest, latest = np.full(len(rows), panel.n_periods), np.zeros(len(rows), dtype=int)
        np.minimum.at(earliest, codes, starts.argmax(axis=1))
        np.maximum.at(latest, codes, panel.n_periods - 1 - starts[:, ::-1].argmax(axis=1))
        outside = ((earliest < first) | (latest > last))[codes]
        if outside.any():
            raise DesignError(
                f"Treatment of {offenders(panel.units[rows[outside]])} starts outside the window of dates that could have been "
                f"({panel.periods[first]} to {panel.periods[last]}). Widen first= and last=, or leave these units out."
            )
        count = int(codes.max(initial=-1)) + 1
        reach = zip((first - earliest)[:count].tolist(), (last - latest)[:count].tolist(), strict=True)
        return _Groups(rows, codes, list(reach))


@dataclass(frozen=True, slots=True)
class MoveClusters:
    """Neighbouring places move together.

    With labels, every unit of a block has one schedule, and block schedules are permuted. Without, each connected group of
    treated neighbours moves to a connected group of the same size, grown at random from a random place; such draws cannot
    be listed.

    Attributes
    ----------
    blocks : {"region", "cluster"} or mapping, optional
    """

    blocks: Within = None

    def draw(self, panel: Panel, rng: np.random.Generator) -> Panel:
        """Return the panel with treated clusters moved."""
        if self.blocks is None:
            return _regrown(panel, rng)
        first, codes = _block_rows(panel, self.blocks)
        return panel.with_treatment(panel.D[first[rng.permutation(len(first))]][codes])

    def count(self, panel: Panel) -> int | None:
        """Return the number of distinct assignments of blocks; None without blocks."""
        if self.blocks is None:
            return None
        first, _ = _block_rows(panel, self.blocks)
        return _multinomial(_schedule_codes(panel.D[first]))

    def enumerate(self, panel: Panel) -> Iterator[Panel]:
        """Yield every distinct assignment of blocks."""
        first, codes = _block_rows(panel, self.blocks)
        schedules = _schedule_codes(panel.D[first])
        source = {code: first[np.flatnonzero(schedules == code)[0]] for code in schedules.tolist()}
        for order in _distinct(schedules.tolist()):
            yield panel.with_treatment(panel.D[[source[code] for code in order]][codes])


# ---------------------------------------------------------------- strata and schedules


def _labels(panel: Panel, within: Within) -> Array:
    if within is None:
        return np.zeros(panel.n_units, dtype=int)
    if isinstance(within, str):
        choose("within", within, ("region", "cluster"))
        labels = getattr(panel, within)
        if labels is None:
            raise DesignError(
                f"The panel has no {within} labels. Give {within}= to Panel.from_frame, or a mapping by unit."
            )
        return np.asarray(pd.factorize(labels)[0])
    units = panel.units.tolist()
    absent = [unit for unit in units if unit not in within]
    if absent:
        raise DesignError(f"No label is given for {offenders(absent)}.")
    return pd.factorize(np.array([within[unit] for unit in units], dtype=object))[0]


def _split(rows: Array, labels: Array) -> list[Array]:
    own = labels[rows]
    return [rows[own == label] for label in pd.unique(own)]


def _schedule_codes(D: Array) -> Array:
    return np.asarray(np.unique(D, axis=0, return_inverse=True)[1]).ravel()


def _shuffled(panel: Panel, strata: Sequence[Array], rng: np.random.Generator) -> Panel:
    D = panel.D.copy()
    for rows in strata:
        D[rows] = panel.D[rng.permutation(rows)]
    return panel.with_treatment(D)


def _multinomial(codes: Array) -> int:
    return factorial(len(codes)) // prod(factorial(n) for n in np.bincount(codes).tolist())


def _arrangements(panel: Panel, strata: Sequence[Array]) -> int:
    return prod(_multinomial(_schedule_codes(panel.D[rows])) for rows in strata)


def _all_arrangements(panel: Panel, strata: Sequence[Array]) -> Iterator[Panel]:
    codes = _schedule_codes(panel.D)
    source = dict(zip(codes.tolist(), range(panel.n_units), strict=True))
    for orders in product(*(list(_distinct(codes[rows].tolist())) for rows in strata)):
        D = panel.D.copy()
        for rows, order in zip(strata, orders, strict=True):
            D[rows] = panel.D[[source[code] for code in order]]
        yield panel.with_treatment(D)


def _distinct(codes: list[int]) -> Iterator[tuple[int, ...]]:
    """Yield the distinct orders of a list with repetitions, in lexicographic order."""
    left = Counter(codes)

    def extend(head: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(head) == len(codes):
            yield head
        for code in sorted(code for code, n in left.items() if n):
            left[code] -= 1
            yield from extend((*head, code))
            left[code] += 1

    return extend(())


# ---------------------------------------------------------------- dates


def _starts(D: Array) -> Array:
    before = np.column_stack([np.zeros(len(D), dtype=bool), D[:, :-1]])
    return np.asarray(D & ~before)


@dataclass(frozen=True, slots=True)
class _Groups:
    """Treated rows (n,), the group of each (n,), and the least and largest displacement of each group."""

    rows: Array
    codes: Array
    reach: list[tuple[int, int]]


def _shifted(panel: Panel, groups: _Groups, moves: Sequence[int]) -> Panel:
    D = panel.D.copy()
    D[groups.rows] = _moved(panel.D[groups.rows], np.asarray(moves, dtype=int)[groups.codes])
    return panel.with_treatment(D)


def _moved(D: Array, move: Array) -> Array:
    size = D.shape[1]
    source = np.arange(size) - move[:, None]
    moved = np.take_along_axis(D, np.clip(source, 0, size - 1), axis=1) & (source >= 0)
    # What was under way at the end of the panel is not known to have ended.
    return np.asarray(np.where(source < size, moved, D[:, -1:]))


# ---------------------------------------------------------------- clusters of neighbours


def _block_rows(panel: Panel, blocks: Within) -> tuple[Array, Array]:
    codes = _labels(panel, blocks)
    first = np.array([np.flatnonzero(codes == code)[0] for code in range(codes.max() + 1)])
    mixed = (panel.D[first][codes] != panel.D).any(axis=1)
    if mixed.any():
        raise DesignError(
            f"Treatment differs within the block of {offenders(panel.units[mixed])}. Blocks that move together must share one schedule; without blocks, "
            "connected groups of treated neighbours move."
        )
    return first, codes


def _regrown(panel: Panel, rng: np.random.Generator) -> Panel:
    graph = panel.neighbour_matrix()
    links = [np.unique(np.r_[graph[i].indices, graph[:, [i]].nonzero()[0]]) for i in range(panel.n_units)]
    D = np.zeros_like(panel.D)
    free = np.ones(panel.n_units, dtype=bool)
    # Large groups first: they are the hardest to place.
    for rows in sorted(_treated_groups(panel, links), key=len, reverse=True):
        places = _grow(links, free, len(rows), rng)
        D[places] = panel.D[rows]
        free[places] = False
    return panel.with_treatment(D)


def _treated_groups(panel: Panel, links: Sequence[Array]) -> list[list[int]]:
    waiting = dict.fromkeys(np.flatnonzero(panel.D.any(axis=1)).tolist())
    groups = []
    while waiting:
        group = [next(iter(waiting))]
        waiting.pop(group[0])
        for member in group:
            near = [int(other) for other in links[member] if int(other) in waiting]
            for other in near:
                waiting.pop(other)
            group += near
        groups.append(group)
    return groups


def _grow(links: Sequence[Array], free: Array, size: int, rng: np.random.Generator) -> list[int]:
    for _ in range(_TRIES):
        group = [int(rng.choice(np.flatnonzero(free)))]
        while len(group) < size:
            border = np.setdiff1d(np.concatenate([links[i] for i in group]), group)
            border = border[free[border]]
            if not len(border):
                break
            group.append(int(rng.choice(border)))
        if len(group) == size:
            return group
    raise DesignError(
        f"No connected group of {size} free neighbours was found in {_TRIES:,} tries. Give blocks, or check the neighbour pairs."
    )
