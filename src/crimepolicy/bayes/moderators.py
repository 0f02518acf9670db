"""Coded facts of events as the columns of a regression: numbers standardised, text as indicators."""

from collections.abc import Sequence

import pandas as pd

from crimepolicy.errors import DesignError, offenders

__all__ = ["code_moderators"]


def code_moderators(ids: Sequence[str], table: pd.DataFrame) -> pd.DataFrame:
    """Return moderators (E, M) of some events, centred, so that the common level is the effect of the average event.

    Parameters
    ----------
    ids : sequence of str (E,)
        Events, as ``unit@onset``.
    table : pandas.DataFrame (events, moderators)
        Indexed by event. Numbers are divided by their standard deviation; text and booleans become indicators of every value
        but the first, named ``moderator_value``.

    Raises
    ------
    DesignError
        Where an event has no row or several, a value is missing, or a column says the same of every event.

    Examples
    --------
    >>> table = pd.DataFrame({"rank": ["leader", "deputy"], "age": [40, 60]}, index=["a@1", "b@1"])
    >>> code_moderators(["a@1", "b@1"], table)
         age  rank_leader
    a@1 -1.0          0.5
    b@1  1.0         -0.5
    """
    rows = _rows(ids, table)
    numbers = rows.select_dtypes("number").astype(float)
    words = rows.drop(columns=list(numbers.columns)).astype(str)
    # pandas codes no columns at all as an error.
    coded = pd.get_dummies(words, drop_first=True, dtype=float) if len(words.columns) else words.astype(float)
    flat = [str(c) for c in numbers if numbers[c].nunique() < 2] + [str(c) for c in words if words[c].nunique() < 2]
    if flat:
        raise DesignError(
            f"Moderators that are the same for every event explain nothing: {offenders(flat)}. Leave them out."
        )
    deviations = numbers - numbers.mean()
    # An indicator keeps its unit: its coefficient is the log ratio between two kinds of events.
    return pd.concat([deviations / numbers.std(ddof=0), coded - coded.mean()], axis=1).rename(columns=str)


def _rows(ids: Sequence[str], table: pd.DataFrame) -> pd.DataFrame:
    if not isinstance(table, pd.DataFrame):
        raise DesignError(
            f"moderators should be a pandas.DataFrame with one row per event, not a {type(table).__name__}. Index it by event "
            f"(unit@onset), such as {ids[0]!r}."
        )
    absent = [name for name in ids if name not in table.index]
    if absent:
        raise DesignError(
            f"moderators has no row for {offenders(absent)}. Index it by event (unit@onset), such as {ids[0]!r}."
        )
    twice = table.index[table.index.duplicated()].intersection(pd.Index(ids))
    if len(twice):
        raise DesignError(f"moderators has several rows for {offenders(twice)}. Keep one row per event.")
    rows = table.loc[list(ids)]
    gaps = [f"{event}, {column}" for column in rows for event in rows.index[rows[column].isna()]]
    if gaps:
        raise DesignError(f"Moderators are missing in {offenders(gaps)}. Fill them in, or leave the column out.")
    return rows
