"""Packaged event tables as dated interventions."""

from collections.abc import Sequence
from typing import Any, Literal

import polars as pl

from crimepolicy.data.dictionary import Dictionary, list_tables, read_dictionary
from crimepolicy.data.tables import load_table
from crimepolicy.errors import DataError, choose, offenders, suggest
from crimepolicy.panel import Event

__all__ = ["load_events"]

Place = Literal["unit", "operations_state"]
Incomplete = Literal["raise", "leave_out"]


def load_events(
    name: str,
    *,
    rank: Sequence[str] | None = None,
    action: Sequence[str] | None = None,
    actor: Sequence[str] | None = None,
    reversal: Sequence[str] | None = None,
    category: Sequence[str] | None = None,
    unit: Sequence[str] | None = None,
    date_precision: Sequence[str] | None = None,
    place_precision: Sequence[str] | None = None,
    confidence: Sequence[str] | None = None,
    source_read: bool | None = None,
    start: str | None = None,
    end: str | None = None,
    place: Place = "unit",
    one_per_operation: bool = True,
    first_per_unit: bool = False,
    incomplete: Incomplete = "raise",
) -> list[Event]:
    """Return dated interventions chosen by coded facts, in order of date.

    Parameters
    ----------
    name : str
        Name of an event table, see `datasets`.
    rank, action, actor, reversal, category, unit, date_precision, place_precision, confidence : sequence of str, optional
        Values to keep in the column of that name; None keeps all.
    source_read : bool, optional
        Keep only rows whose source was (not) read.
    start, end : str, optional
        ISO dates, both included.
    place : {"unit", "operations_state"}
        Lay the event on the place where it happened or on the state of operations.
    one_per_operation : bool
        Of several events in one operation keep the first in date.
    first_per_unit : bool
        Keep the first chosen event of each unit.
    incomplete : {"raise", "leave_out"}
        What to do with chosen events that have no date or no unit.

    Returns
    -------
    list of Event
        All columns of the table stand in ``attributes``.

    Raises
    ------
    DataError
        If the table or a value is unknown, a filter does not apply, or a chosen event has no date
        or unit: an event is never dropped in silence.

    Examples
    --------
    >>> from crimepolicy.data import load_events
    >>> leaders = load_events(
    ...     "kingpins_mexico",
    ...     rank=["leader"],
    ...     actor=["mexican_forces"],
    ...     action=["captured", "killed"],
    ...     place_precision=["municipality"],
    ... )
    >>> print(leaders[0].unit, leaders[0].at, leaders[0].name)
    25006 2008-01-21 Alfredo Beltrán Leyva
    """
    choose("place", place, Place)
    choose("incomplete", incomplete, Incomplete)
    dictionary = _event_dictionary(name)
    rows = load_table(name, frame="polars")
    wanted = {
        "rank": rank, "action": action, "actor": actor, "reversal": reversal, "category": category, "unit": unit,
        "date_precision": date_precision, "place_precision": place_precision, "confidence": confidence,
    }  # fmt: skip
    for column, values in wanted.items():
        if values is not None:
            rows = _keep(rows, dictionary, column, [values] if isinstance(values, str) else list(values))
    if source_read is not None:
        rows = _keep(rows, dictionary, "source_read", [source_read])
    rows = _dates(rows, dictionary.panel["at"], start, end)
    if one_per_operation and "same_operation_as" in rows.columns:
        rows = _merge(rows)
    where = _place_column(dictionary, place)
    whole = pl.col(where).is_not_null() & pl.col(dictionary.panel["at"]).is_not_null()
    if incomplete == "raise":
        _require_whole(rows.filter(~whole), name)
    events = [_event(row, dictionary, where) for row in rows.filter(whole).iter_rows(named=True)]
    return _first(events) if first_per_unit else events


def _event_dictionary(name: str) -> Dictionary:
    dictionary = read_dictionary(name)
    if dictionary.kind != "events":
        known = [other for other in list_tables() if read_dictionary(other).kind == "events"]
        raise DataError(f"Table {name!r} holds {dictionary.kind}, not events. Event tables: {', '.join(known)}.")
    return dictionary


def _keep(rows: pl.DataFrame, dictionary: Dictionary, column: str, values: list[Any]) -> pl.DataFrame:
    if column not in rows.columns:
        raise DataError(f"{dictionary.name} has no column {column!r} to filter by.{suggest(column, rows.columns)}")
    known = load_table(dictionary.name, columns=[column], frame="polars")[column].unique().sort().to_list()
    strange = [value for value in values if value not in known]
    if strange:
        raise DataError(f"{dictionary.name} has no {column} {strange[0]!r}.{suggest(strange[0], known)}")
    return rows.filter(pl.col(column).is_in(values))


def _dates(rows: pl.DataFrame, at: str, start: str | None, end: str | None) -> pl.DataFrame:
    days = pl.col(at).dt.strftime("%Y-%m-%d")
    rows = rows if start is None else rows.filter(days >= start)
    return rows.sort(at, "event") if end is None else rows.filter(days <= f"{end}~").sort(at, "event")


def _merge(rows: pl.DataFrame) -> pl.DataFrame:
    seen: set[str] = set()
    keep = []
    for event, other in rows.select("event", "same_operation_as").iter_rows():
        keep.append(other not in seen)
        seen.add(event)
    return rows.filter(pl.Series(keep, dtype=pl.Boolean))


def _place_column(dictionary: Dictionary, place: Place) -> str:
    column = dictionary.panel.get(place)
    if column is None:
        raise DataError(f"{dictionary.name} has no {place}; use place='unit'.")
    return str(column)


def _event(row: dict[str, Any], dictionary: Dictionary, place: str) -> Event:
    roles = dictionary.panel
    until = row[roles["until"]] if "until" in roles else None
    return Event(
        id=row["event"],
        unit=row[place],
        at=row[roles["at"]].isoformat(),
        until=None if until is None else until.isoformat(),
        name=row[roles["name"]] or "",
        attributes=row,
    )


def _require_whole(lost: pl.DataFrame, name: str) -> None:
    if lost.height:
        raise DataError(
            f"{name}: events without a date or unit: {offenders(lost['event'].to_list())}. Filter them out (for instance by "
            "place_precision), lay the events on place='operations_state', or say incomplete='leave_out'."
        )


def _first(events: list[Event]) -> list[Event]:
    seen: set[str] = set()
    chosen = []
    for event in events:
        if event.unit not in seen:
            chosen.append(event)
        seen.add(event.unit)
    return chosen
