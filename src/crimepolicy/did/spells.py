"""Spells of treatment: when each began, how long it has lasted, when the next begins."""

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Spells", "find_spells"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Spells:
    """The clock of every cell.

    Attributes
    ----------
    event_time : float array (N, T)
        Periods since the onset of the current spell where treated; minus the periods to the next onset where not; NaN where no onset
        is known (no later spell, or treated from the first period).
    onset : int array (N, T)
        Position of that onset, -1 where unknown.
    since_end : float array (N, T)
        Untreated cells: periods since the last treated one (1 is the first after the end), NaN where never treated before.
    """

    event_time: Floats
    onset: Ints
    since_end: Floats


def find_spells(D: Bools) -> Spells:
    """Return the spells of a treatment array (N, T).

    Examples
    --------
    >>> find_spells(np.array([[False, True, True, False, True]])).event_time.tolist()
    [[-1.0, 0.0, 1.0, -1.0, 0.0]]
    """
    # Most units of most panels are never treated, and have no clock.
    rows = np.flatnonzero(D.any(axis=1))
    found = _clocks(D[rows])
    event_time, since_end = np.full((2, *D.shape), np.nan)
    onset = np.full(D.shape, -1)
    event_time[rows], onset[rows], since_end[rows] = found.event_time, found.onset, found.since_end
    return Spells(event_time, onset, since_end)


def _clocks(D: Bools) -> Spells:
    time = np.arange(D.shape[1])
    # Nothing says when a spell began that is running in the first period.
    starts = np.zeros_like(D)
    starts[:, 1:] = D[:, 1:] & ~D[:, :-1]
    running = D & ~np.logical_and.accumulate(D, axis=1)
    past = np.maximum.accumulate(np.where(starts, time, -1), axis=1)
    coming = np.minimum.accumulate(np.where(starts, time, len(time))[:, ::-1], axis=1)[:, ::-1]
    onset = np.where(running, past, np.where(~D & (coming < len(time)), coming, -1))
    last = np.maximum.accumulate(np.where(D, time, -1), axis=1)
    return Spells(
        event_time=np.where(onset >= 0, time - onset, np.nan),
        onset=onset,
        since_end=np.where(~D & (last >= 0), time - last, np.nan),
    )
