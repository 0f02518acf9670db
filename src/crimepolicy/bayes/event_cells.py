"""Which cells belong to which event: leads, treated cells within the window, and what is set aside."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crimepolicy.errors import DesignError, offenders
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = ["EventCells", "event_cells"]

Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class EventCells:
    """E events by K event times.

    Attributes
    ----------
    ids : tuple of str (E,)
        ``unit@onset``.
    unit, onset : int array (E,)
        Positions.
    times : int array (K,)
        Event times, consecutive.
    cell : int array (E, K)
        Flat position in (N, T) of the cell with that event time; N * T where there is none in use.
    used : bool array (N, T)
        Cells that enter the likelihood.
    anticipation : int
        Effects begin that many periods before the onset.
    checks : tuple of Check
        What was set aside.
    """

    ids: tuple[str, ...]
    unit: Ints
    onset: Ints
    times: Ints
    cell: Ints
    used: Bools
    anticipation: int
    checks: tuple[Check, ...]

    @property
    def present(self) -> Bools:
        """Bool array (E, K): the cell is there and used."""
        return self.cell < self.used.size

    @property
    def after(self) -> Bools:
        """Bool array (K,): from the start of anticipation on."""
        return self.times >= -self.anticipation

    @property
    def counted(self) -> Bools:
        """Bool array (E, K): treated cells over which effects are averaged."""
        return self.present & (self.times >= 0)


def event_cells(panel: Panel, *, window: tuple[int, int], anticipation: int = 0) -> EventCells:
    """Return the events of a panel, one per spell of treatment.

    Parameters
    ----------
    panel : Panel
    window : (int, int)
        First and last event time; 0 is the first treated period.
    anticipation : int

    Returns
    -------
    EventCells

    Raises
    ------
    DesignError
        Where the window is malformed, nobody is treated, or no onset lies within the panel.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"u": list("aaabbb"), "t": [1, 2, 3] * 2, "y": 1, "d": [0, 1, 0, 0, 0, 0]})
    >>> panel = Panel.from_frame(rows, unit="u", time="t", outcome="y", treated="d")
    >>> cells = event_cells(panel, window=(-1, 1))
    >>> cells.ids, cells.cell.tolist()
    (('a@2',), [[0, 1, 6]])
    """
    _validate(panel, window, anticipation)
    starts = np.zeros_like(panel.D)
    starts[:, 1:] = panel.D[:, 1:] & ~panel.D[:, :-1]
    unit, onset = np.nonzero(starts)
    times = np.arange(window[0], window[1] + 1)
    cell = _grid(panel, unit, onset, times)
    inside = np.zeros(panel.D.size + 1, dtype=bool)
    inside[cell] = True
    beyond = panel.D & ~inside[:-1].reshape(panel.D.shape)
    used = panel.observed & ~beyond
    cell = np.where(np.append(used, False)[cell], cell, used.size)
    seen = ((cell < used.size) & (times >= 0)).any(axis=1)
    if not seen.any():
        raise DesignError(
            "No event has an observed treated cell after an onset within the panel, so no effect is identified."
        )
    ids = [f"{panel.units[i]}@{panel.periods[t]}" for i, t in zip(unit.tolist(), onset.tolist(), strict=True)]
    # Leads of an event without a treated cell would say nothing about any effect, so they stay untreated cells.
    checks = _checks(panel, beyond, [name for name, kept in zip(ids, seen, strict=True) if not kept])
    names = tuple(name for name, kept in zip(ids, seen, strict=True) if kept)
    return EventCells(names, unit[seen], onset[seen], times, cell[seen], used, anticipation, checks)


def _validate(panel: Panel, window: tuple[int, int], anticipation: int) -> None:
    if anticipation < 0 or anticipation != int(anticipation):
        raise DesignError(f"anticipation={anticipation!r} should be a number of periods, 0 or more.")
    if np.shape(window) != (2,) or np.asarray(window).dtype.kind != "i":
        raise DesignError(f"window={window!r} should be two numbers of periods around the onset, such as (-12, 24).")
    if window[0] > -anticipation or window[1] < 0:
        raise DesignError(
            f"window={tuple(window)} should begin at {-anticipation} or earlier (anticipation={anticipation}) and end at 0 or later."
        )
    if not panel.D.any():
        raise DesignError(
            "Nobody is treated in this panel. Lay a treatment on it with treated=, first_treated= or panel.treat(...)."
        )


def _grid(panel: Panel, unit: Ints, onset: Ints, times: Ints) -> Ints:
    """Return flat positions (E, K): untreated cells before an onset, treated ones of the same spell from it on."""
    n, t = panel.D.shape
    column = onset[:, None] + times
    inside = (column >= 0) & (column < t)
    treated = panel.D[unit[:, None], np.clip(column, 0, t - 1)] & inside
    ahead, behind = times >= 0, times < 0
    unbroken = np.ones_like(treated)
    unbroken[:, ahead] = np.logical_and.accumulate(treated[:, ahead], axis=1)
    free = ~treated[:, behind] & inside[:, behind]
    unbroken[:, behind] = np.logical_and.accumulate(free[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(np.where(unbroken & inside, unit[:, None] * t + column, n * t))


def _checks(panel: Panel, beyond: Bools, empty: list[str]) -> tuple[Check, ...]:
    count, lost = int(beyond.sum()), int((~panel.observed).sum())
    outside = (
        f"{count:,} treated cells lie beyond the window or in spells already running at the start; they are set aside"
    )
    where = f", in {offenders(panel.units[beyond.any(axis=1)])}." if count else "."
    found = [Check("treated_cells_set_aside", None if count else True, count, outside + where)]
    if lost:
        found.append(Check("missing_cells", None, lost, f"{lost:,} cells have no outcome and are left out."))
    if empty:
        text = f"Events without an observed treated cell in the window are left out: {offenders(empty)}."
        found.append(Check("events_left_out", None, len(empty), text))
    return tuple(found)
