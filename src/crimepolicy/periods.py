"""Read time columns of any kind into one regular index of periods."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import PanelError, choose
from crimepolicy.panel_checks import irregular_periods, mixed_type_times

__all__ = ["Frequency", "read_periods", "regular_index", "whole_numbers"]

Frequency = Literal["day", "week", "month", "quarter", "year", "integer"]
_CODES = {"day": "D", "week": "W", "month": "M", "quarter": "Q", "year": "Y"}


def read_periods(column: str, values: np.ndarray[Any, Any], frequency: Frequency | None = None) -> pd.Index:
    """Convert distinct time values to periods of one frequency, in the order given.

    Parameters
    ----------
    column : str
        Name of the column, for messages.
    values : array (k,)
        Distinct times: integers, ISO strings, dates, timestamps or pandas periods.
    frequency : Frequency, optional
        Inferred from the values when not given.

    Returns
    -------
    pandas.PeriodIndex or integer pandas.Index, length k.

    Raises
    ------
    PanelError
        Where the values are of several types or cannot be read as times.
    """
    if frequency is not None:
        choose("frequency", frequency, Frequency)
    if values.dtype.kind != "M":
        mixed_type_times(column, values)
    if len(values) and isinstance(values[0], pd.Period):
        return _periods(column, values)
    if values.dtype.kind in "iuf" or (len(values) and isinstance(values[0], (int, np.integer))):
        return whole_numbers(column, values)
    if frequency == "integer":
        raise PanelError(
            f"Column {column!r} holds dates, not whole numbers; frequency='integer' does not fit it. Leave frequency out."
        )
    stamps = _timestamps(column, values)
    if isinstance(stamps, pd.PeriodIndex):
        return stamps
    return pd.Index(stamps.to_period(_CODES[frequency or _infer(stamps)]))


def _periods(column: str, values: np.ndarray[Any, Any]) -> pd.Index:
    try:
        periods: pd.Index = pd.PeriodIndex(values)
    except ValueError as error:
        raise PanelError(f"Column {column!r} mixes periods: {error}. Convert them to one frequency first.") from error
    return periods


def whole_numbers(column: str, values: np.ndarray[Any, Any]) -> pd.Index:
    """Return numbered times as an integer index, or raise where they are not whole."""
    numbers = np.asarray(values, dtype=np.float64)
    # Beyond this size neighbouring whole numbers are no longer different floats.
    broken = values[(numbers != np.round(numbers)) | ~(np.abs(numbers) < 2**53)]
    if broken.size:
        raise PanelError(
            f"Column {column!r} has times that are not whole numbers, such as {broken[0]}. Number the periods 1, 2, 3, ..."
        )
    index: pd.Index = pd.Index(numbers.astype(np.int64))
    return index


def _timestamps(column: str, values: np.ndarray[Any, Any]) -> pd.DatetimeIndex | pd.PeriodIndex:
    try:
        stamps = _parsed(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise _unreadable(column, values) from error
    unread = np.flatnonzero(stamps.isna())
    if unread.size:
        raise _unreadable(column, values[unread])
    return stamps


def _parsed(values: np.ndarray[Any, Any]) -> pd.DatetimeIndex | pd.PeriodIndex:
    if len(values) and isinstance(values[0], str):
        if "Q" in values[0]:
            return pd.PeriodIndex(values, freq="Q")
        return pd.DatetimeIndex(pd.to_datetime(values, format="ISO8601")).tz_localize(None)
    return pd.DatetimeIndex(pd.to_datetime(values)).tz_localize(None)


def _unreadable(column: str, values: np.ndarray[Any, Any]) -> PanelError:
    examples = ", ".join(repr(v) for v in values[:3])
    return PanelError(
        f"Column {column!r} cannot be read as times ({examples}). Use integers, dates, or strings such as '2008-05', '2008-05-13' or '2008Q2'."
    )


def _infer(stamps: pd.DatetimeIndex) -> Frequency:
    """Return the coarsest frequency on whose boundaries all distinct times lie."""
    start, end = stamps.is_month_start.all(), stamps.is_month_end.all()
    if start or end:
        if len(set(stamps.month)) == 1 and len(stamps) > 1:
            return "year"
        steps = np.diff(np.sort(stamps.year * 12 + stamps.month))
        return "quarter" if len(stamps) > 2 and (steps % 3 == 0).all() else "month"
    steps = np.diff(np.sort(stamps.to_numpy(dtype="datetime64[D]").astype(np.int64)))
    return "week" if len(stamps) > 2 and (steps % 7 == 0).all() else "day"


def regular_index(column: str, periods: pd.Index) -> pd.Index:
    """Return the complete regular index between the first and last period, or raise.

    A period that no unit has is an error: nothing says whether it was not recorded or never was.
    """
    ordered = periods.unique().sort_values()
    # The span is never laid out before it is known to be full: one mistyped year would fill the memory.
    places = ordered.asi8 if isinstance(ordered, pd.PeriodIndex) else ordered.to_numpy()
    jumps = np.diff(places)
    if isinstance(ordered, pd.PeriodIndex):
        size, step = getattr(ordered.freq, "n", 1), f"periods of one {_frequency_name(ordered)}"
    else:
        size = int(np.gcd.reduce(jumps)) if len(jumps) else 1
        step = f"whole numbers at a step of {size}"
    missing = int((jumps // size - 1).sum())
    irregular_periods(column, [str(label) for label in islice(_absent(ordered, jumps, size), 5)], missing, step)
    return ordered


def _absent(ordered: pd.Index, jumps: np.ndarray[Any, Any], size: int) -> Iterator[object]:
    """Yield the periods that are not there, given the distance (k - 1,) from each period to the next."""
    # Periods are counted in steps of their frequency, whole numbers in ones.
    unit = 1 if isinstance(ordered, pd.PeriodIndex) else size
    for k in np.flatnonzero(jumps > size):
        yield from (ordered[int(k)] + step * unit for step in range(1, int(jumps[k]) // size))


def _frequency_name(periods: pd.PeriodIndex) -> str:
    code = periods.freqstr.split("-")[0]
    return next((name for name, short in _CODES.items() if short == code), code)
