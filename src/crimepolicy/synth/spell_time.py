"""Time since treatment began and since it ended, for treatment that may switch on and off."""

from typing import Any

import numpy as np

__all__ = ["UNKNOWN", "since_end", "since_start"]

Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

UNKNOWN = -1_000_000
"""Stands for cells without a spell to refer to; any value below minus the length of a panel would do."""


def since_start(D: Bools) -> Ints:
    """Return periods (N, T) since the start of a spell.

    Treated cells count from 0 at the start of their own spell, untreated cells down to -1 before the next one. Untreated
    cells after the last spell, and spells that were running when the panel began, have no known start.
    """
    n, t = D.shape
    at = np.full((n, t), UNKNOWN)
    position = np.full(n, UNKNOWN)
    for period in range(t):
        began = D[:, period] & ~D[:, period - 1] if period else np.zeros(n, dtype=bool)
        position[began] = period
        position[~D[:, period]] = UNKNOWN
        known = position > UNKNOWN
        at[known, period] = period - position[known]
    following = np.full(n, UNKNOWN)
    for period in range(t - 1, -1, -1):
        waiting = ~D[:, period] & (following > UNKNOWN)
        at[waiting, period] = period - following[waiting]
        if period:
            began = D[:, period] & ~D[:, period - 1]
            following[began] = period
    return at


def since_end(D: Bools) -> Ints:
    """Return periods (N, T) since the end of a spell: 0 in the first untreated period, negative in the spell before it."""
    return since_start(~D)
