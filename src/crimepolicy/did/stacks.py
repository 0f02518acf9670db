"""Stacks: for every date of onset, the units that start then and the controls that are clean around it."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from crimepolicy.did.spells import find_spells

__all__ = ["Control", "Stack", "StackLedger", "build_stacks"]

Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Control = Literal["never", "not_yet", "clean"]


@dataclass(frozen=True, slots=True)
class Stack:
    """One sub-experiment.

    Attributes
    ----------
    onset : int
        Position of the first treated period.
    treated, controls : int arrays
        Positions of the units.
    columns : slice
        Periods of the window.
    """

    onset: int
    treated: Ints
    controls: Ints
    columns: slice


@dataclass(frozen=True, slots=True)
class StackLedger:
    """Events (unit, onset) by what became of them, each as an int array (k, 2)."""

    used: Ints
    outside: Ints
    contaminated: Ints
    missing: Ints
    without_control: Ints


def build_stacks(
    D: Bools, observed: Bools, window: tuple[int, int], control: Control, allowed: Bools
) -> tuple[list[Stack], StackLedger]:
    """Return one stack per date of onset, and a ledger of all events.

    Parameters
    ----------
    D, observed : bool arrays (N, T)
    window : (int, int)
        First and last event time.
    control : {"never", "not_yet", "clean"}
        Units never treated; not treated until the window ends; or not treated within the window.
    allowed : bool array (N,)
        Units that may serve as controls.
    """
    spells = find_spells(D)
    starts = D & (spells.event_time == 0)
    events = np.argwhere(starts)
    fate = np.array([_fate(D, starts, observed, unit, onset, window) for unit, onset in events], dtype=object)
    stacks, lonely = [], []
    for onset in np.unique(events[fate == "used", 1]):
        columns = slice(int(onset) + window[0], int(onset) + window[1] + 1)
        treated = events[(fate == "used") & (events[:, 1] == onset), 0]
        clean = _clean(D, columns, control) & allowed & observed[:, columns].all(axis=1)
        if clean.any():
            stacks.append(Stack(int(onset), treated, np.flatnonzero(clean), columns))
        else:
            lonely.append(int(onset))
    fate[(fate == "used") & np.isin(events[:, 1], lonely)] = "without_control"
    return stacks, StackLedger(*(events[fate == name] for name in StackLedger.__slots__))


def _fate(D: Bools, starts: Bools, observed: Bools, unit: int, onset: int, window: tuple[int, int]) -> str:
    first, last = onset + window[0], onset + window[1]
    if first < 0 or last >= D.shape[1]:
        return "outside"
    if D[unit, first:onset].any() or starts[unit, first : last + 1].sum() > 1:
        return "contaminated"
    return "used" if observed[unit, first : last + 1].all() else "missing"


def _clean(D: Bools, columns: slice, control: Control) -> Bools:
    since = {"never": slice(None), "not_yet": slice(0, columns.stop), "clean": columns}[control]
    return np.asarray(~D[:, since].any(axis=1))
