"""Data dictionaries: what every column of a processed table means, and a check against it."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from crimepolicy.data.paths import processed_folder
from crimepolicy.data.reading import read_toml
from crimepolicy.errors import DataError, offenders, suggest

__all__ = ["Column", "Dictionary", "Total", "check_table", "list_tables", "read_dictionary"]

_TYPES: dict[str, pl.DataType] = {
    "string": pl.String(),
    "bool": pl.Boolean(),
    "date": pl.Date(),
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: label, unit, type, allowed values or range, source, making, missing values."""

    name: str
    label: str
    unit: str
    type: str
    source: tuple[str, ...]
    how: str
    missing: str
    allowed: tuple[Any, ...] | None
    range: tuple[Any, Any] | None

    @property
    def dtype(self) -> pl.DataType:
        """Type of the column in the processed table."""
        return _TYPES[self.type]

    @property
    def complete(self) -> bool:
        """True if the dictionary promises that no value is missing."""
        return self.missing == "never"


@dataclass(frozen=True, slots=True)
class Total:
    """A published or counted total: sum of `column` over the rows chosen by `where` and dates."""

    name: str
    column: str
    expected: float
    tolerance: float
    why: str
    where: dict[str, Any]
    start: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Dictionary of one table; `panel` maps the roles of a Panel to columns (empty if none)."""

    name: str
    title: str
    description: str
    kind: str
    unit: str
    period: str
    key: tuple[str, ...]
    sources: tuple[str, ...]
    defects: tuple[str, ...]
    columns: tuple[Column, ...]
    totals: tuple[Total, ...]
    panel: dict[str, Any]

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Column names with their types, in the order of the table."""
        return {column.name: column.dtype for column in self.columns}


def list_tables(folder: Path | None = None) -> tuple[str, ...]:
    """Return the names of all tables that have a dictionary, sorted."""
    folder = processed_folder() if folder is None else folder
    return tuple(sorted(file.stem for file in folder.glob("*.toml")))


def read_dictionary(name: str, folder: Path | None = None) -> Dictionary:
    """Return the data dictionary of one processed table.

    Parameters
    ----------
    name : str
        Name of the table.
    folder : Path, optional
        Folder of dictionaries, by default that of the package.

    Raises
    ------
    DataError
        If there is no such table (the nearest name is suggested) or the dictionary is malformed.

    Examples
    --------
    >>> from crimepolicy.data.dictionary import read_dictionary
    >>> read_dictionary("kingpins_mexico").key
    ('event',)
    """
    folder = processed_folder() if folder is None else folder
    path = folder / f"{name}.toml"
    if not path.is_file():
        raise DataError(f"There is no table {name!r}.{suggest(name, list_tables(folder))}")
    record = read_toml(path)
    try:
        return _dictionary(name, record)
    except (KeyError, IndexError, TypeError, AttributeError) as problem:
        raise DataError(f"The dictionary {path.name} is malformed: {problem}.") from problem


def check_table(frame: pl.DataFrame, dictionary: Dictionary) -> None:
    """Raise a `DataError` that lists every departure of a table from its dictionary.

    Parameters
    ----------
    frame : polars.DataFrame
        The table.
    dictionary : Dictionary
        Its dictionary: columns, types, missing values, allowed values, ranges, key, totals.
    """
    found = {name: str(dtype) for name, dtype in frame.schema.items()}
    wanted = {name: str(dtype) for name, dtype in dictionary.schema.items()}
    if found != wanted:
        raise DataError(f"{dictionary.name}: {_schema_difference(found, wanted)}")
    problems = [text for column in dictionary.columns for text in _column(frame, column)]
    problems += _key(frame, dictionary.key)
    problems += [text for total in dictionary.totals for text in _total(frame, total)]
    if problems:
        raise DataError(f"{dictionary.name}: " + "; ".join(problems))


def _dictionary(name: str, record: dict[str, Any]) -> Dictionary:
    return Dictionary(
        name=name,
        title=record["title"],
        description=record["description"],
        kind=record["kind"],
        unit=record["unit"],
        period=record["period"],
        key=tuple(record["key"]),
        sources=tuple(record["sources"]),
        defects=tuple(record.get("defects", ())),
        columns=tuple(_one_column(key, value) for key, value in record["column"].items()),
        totals=tuple(_one_total(value) for value in record.get("total", ())),
        panel=record.get("panel", {}),
    )


def _one_column(name: str, record: dict[str, Any]) -> Column:
    if record["type"] not in _TYPES:
        raise KeyError(f"column {name!r} has unknown type {record['type']!r}")
    return Column(
        name=name,
        label=record["label"],
        unit=record["unit"],
        type=record["type"],
        source=tuple(record["source"]),
        how=record["how"],
        missing=record["missing"],
        allowed=tuple(record["allowed"]) if "allowed" in record else None,
        range=(record["range"][0], record["range"][1]) if "range" in record else None,
    )


def _one_total(record: dict[str, Any]) -> Total:
    return Total(
        name=record["name"],
        column=record["column"],
        expected=record["expected"],
        tolerance=record["tolerance"],
        why=record["why"],
        where=record.get("where", {}),
        start=record.get("start"),
        end=record.get("end"),
    )


def _schema_difference(found: dict[str, str], wanted: dict[str, str]) -> str:
    missing = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    if missing or extra:
        return f"columns missing: {missing or 'none'}; columns not in the dictionary: {extra or 'none'}"
    types = [f"{name} is {found[name]}, not {wanted[name]}" for name in wanted if found[name] != wanted[name]]
    return "; ".join(types) if types else "columns are not in the order of the dictionary"


def _column(frame: pl.DataFrame, column: Column) -> list[str]:
    values = frame[column.name]
    problems = []
    if column.complete and values.null_count():
        problems.append(f"{column.name} has {values.null_count()} missing values")
    if column.allowed is not None:
        strange = values.drop_nulls().unique().sort()
        strange = strange.filter(~strange.is_in(list(column.allowed)))
        if strange.len():
            problems.append(f"{column.name} holds {offenders(strange.to_list())} not allowed")
    if column.range is not None and values.len() > values.null_count():
        low, high = column.range
        least: Any = values.min()
        most: Any = values.max()
        if least < low or most > high:
            problems.append(f"{column.name} runs from {least} to {most}, allowed {low} to {high}")
    return problems


def _key(frame: pl.DataFrame, key: tuple[str, ...]) -> list[str]:
    doubles = int(frame.select(pl.struct(key).is_duplicated().sum()).item())
    return [f"{doubles} rows share a key {key}"] if doubles else []


def _total(frame: pl.DataFrame, total: Total) -> list[str]:
    rows = frame
    time = next((name for name, dtype in frame.schema.items() if dtype == pl.Date), None)
    for name, value in total.where.items():
        rows = rows.filter(pl.col(name) == value)
    if total.start is not None and time is not None:
        rows = rows.filter(pl.col(time) >= total.start)
    if total.end is not None and time is not None:
        rows = rows.filter(pl.col(time) <= total.end)
    found = rows.height if total.column == "rows" else float(rows[total.column].sum())
    if abs(found - total.expected) <= total.tolerance * abs(total.expected):
        return []
    return [f"total {total.name!r} is {found:.12g}, expected {total.expected:.12g}"]
