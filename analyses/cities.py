"""Cities in blocks of twelve months that begin with an event, for the forecasts of `analyses.forecasts`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from analyses.forecasts import Series

_BLOCK = 12


def block_series(
    table: pd.DataFrame, start: str, rules: Mapping[str, Any], *, outside: Sequence[str] = (), last: str | None = None
) -> Series:
    """Return counts in blocks of twelve months: block 1 begins in `start`, block 0 is the base.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns unit, month, homicides (missing where it must not be used) and population.
    start : str
        First month of the event, ``"2012-01"``.
    rules : mapping
        The protocol of the plan.
    outside : sequence of str
        Units that are no reference.
    last : str, optional
        Last month used.
    """
    months = pd.PeriodIndex(pd.to_datetime(table["month"]), freq="M")
    inside = np.ones(len(table), dtype=bool) if last is None else np.asarray(months <= pd.Period(last, "M"))
    first = pd.Period(start, "M")
    away = np.array([month.ordinal for month in months]) - first.ordinal
    block = pd.Series(np.floor_divide(away, _BLOCK) + 1, index=table.index)[inside]
    used = table[inside]
    groups = used.assign(block=block).groupby(["unit", "block"])
    counted = groups["homicides"].agg(["sum", "count"])
    deaths = counted["sum"].where(counted["count"] == _BLOCK).unstack()
    people = groups["population"].mean().unstack()
    # Places that never come near the least count only cost time.
    kept = deaths.index[(deaths.max(axis=1) >= rules["minimum"]) | deaths.index.isin(outside)]
    deaths, people = deaths.loc[kept].astype(float), people.loc[kept].astype(float)
    touched = pd.DataFrame(False, index=deaths.index, columns=deaths.columns)
    touched.loc[touched.index.isin(outside)] = True
    return Series(deaths, people, touched, rules)
