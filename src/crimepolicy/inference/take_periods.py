"""Panels with their periods selected, reordered or repeated."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.panel import Panel

__all__ = ["take_periods"]


def take_periods(panel: Panel, columns: Sequence[int] | np.ndarray[Any, Any], start: int) -> Panel:
    """Return the panel made of these columns, in this order, with the treated units treated from position `start`.

    Periods are labelled anew from the first label of the panel on, so that they stay regular.
    """
    order = np.asarray(columns)
    cells = {
        name: getattr(panel, name)[:, order]
        for name in ("Y", "population", "weights")
        if getattr(panel, name) is not None
    }
    D = panel.D.any(axis=1)[:, None] & (np.arange(len(order)) >= start)
    X = {name: values[:, order] for name, values in panel.X.items()}
    return replace(panel, **cells, D=D, X=X, dose=None, periods=_labels(panel.periods, len(order)))


def _labels(periods: pd.Index, count: int) -> pd.Index:
    if isinstance(periods, pd.PeriodIndex):
        return pd.period_range(periods[0], periods=count, freq=periods.freq)
    step = int(periods[1] - periods[0]) if len(periods) > 1 else 1
    return pd.RangeIndex(int(periods[0]), int(periods[0]) + step * count, step)
