"""Named preconditions of a panel: each says what is wrong, where, and what to do.

The first group looks at the long table and raises; the second looks at the finished arrays
and returns the offending labels, so that a design can decide whether they matter to it.
"""

import os
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import PanelError, offenders, suggest

__all__ = [
    "Check",
    "always_treated",
    "columns_missing",
    "constant_within_unit",
    "duplicated_cells",
    "gaps",
    "infinite_outcome",
    "irregular_periods",
    "missing_labels",
    "missing_outcome",
    "mixed_type_times",
    "negative_counts",
    "negative_weights",
    "non_integer_counts",
    "non_numeric",
    "nonpositive_population",
    "switches_off",
    "too_many_cells",
    "treatment_not_binary",
]

_BYTES_PER_CELL = 64
"""While a panel is read, up to eight arrays of eight bytes are alive."""
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, and what was found.

    Attributes
    ----------
    name : str
        Stable machine name, such as ``"always_treated"``.
    passed : bool or None
        None where the finding informs but does not decide.
    value : float or str or None
        The number behind the finding (a count, a p-value, a share).
    text : str
        The finding as a sentence.
    """

    name: str
    passed: bool | None
    value: float | str | None
    text: str

    def __str__(self) -> str:
        mark = {True: "ok", False: "FAILED", None: "note"}[self.passed]
        return f"[{mark}] {self.name}: {self.text}"


def columns_missing(wanted: dict[str, str], columns: list[str]) -> None:
    """Raise when a named column is not in the table."""
    for role, name in wanted.items():
        if name not in columns:
            raise PanelError(f"The {role} column {name!r} is not in the table.{suggest(name, columns)}")


def missing_labels(column: str, missing: np.ndarray[Any, Any]) -> None:
    """Raise when a unit or time label is missing."""
    rows = np.flatnonzero(missing)
    if rows.size:
        raise PanelError(
            f"Column {column!r} has no value in rows {offenders(rows.tolist())}. Every row needs a unit and a time: "
            "fill them in or remove these rows."
        )


def non_numeric(column: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the column as float64, or raise and name the values that are not numbers."""
    if values.dtype.kind in "bui":
        return values.astype(np.float64)
    if values.dtype.kind == "f":
        return np.asarray(values, dtype=np.float64)
    numbers = [_number(value) for value in values]
    bad = [row for row, number in enumerate(numbers) if number is None]
    if bad:
        examples = [f"{values[row]!r} in row {row}" for row in bad[:5]]
        raise PanelError(
            f"Column {column!r} should hold numbers but holds {offenders(examples, total=len(bad))}. Convert it first, for "
            f"example with pandas.to_numeric."
        )
    return np.asarray(numbers, dtype=np.float64)


def infinite_outcome(column: str, values: np.ndarray[Any, Any]) -> None:
    """Raise when a value is infinite (usually a log of zero or a rate over zero population)."""
    rows = np.flatnonzero(np.isinf(values))
    if rows.size:
        raise PanelError(
            f"Column {column!r} is infinite in rows {offenders(rows.tolist())}. A log of zero or a division by zero "
            "makes such values: use counts with population= instead, or mark them missing."
        )


def mixed_type_times(column: str, values: np.ndarray[Any, Any]) -> None:
    """Raise when times are of several types, such as 2005 beside '2006-01'."""
    kinds = pd.Series(values).map(lambda v: type(v).__name__)
    if kinds.nunique() > 1:
        counts = kinds.value_counts().sort_index()
        listed = ", ".join(f"{kind} ({count} rows)" for kind, count in counts.items())
        raise PanelError(f"Column {column!r} mixes types of time: {listed}. Convert it to one type first.")


def irregular_periods(column: str, absent: list[str], total: int, step: str) -> None:
    """Raise when the periods present do not follow each other at a regular step."""
    if total:
        raise PanelError(
            f"Column {column!r} is not regular: read as {step}, no unit has a row for {offenders(absent, total=total)}. Aggregate to a "
            "coarser period, or add the absent periods (as missing values if nothing is known)."
        )


def duplicated_cells(unit: str, time: str, pairs: list[tuple[object, object]], total: int) -> None:
    """Raise when a unit has several rows for one period."""
    if total:
        raise PanelError(
            f"Several rows share one ({unit}, {time}): {_cells(pairs, total)}. Sum or drop them first, for "
            f"example with groupby([{unit!r}, {time!r}])."
        )


def too_many_cells(units: int, periods: int) -> None:
    """Raise when the arrays of a panel would not fit into the memory of this machine."""
    needed, there = units * periods * _BYTES_PER_CELL, _memory()
    if needed > there:
        raise PanelError(
            f"{units:,} units by {periods:,} periods need about {needed / 2**30:,.0f} GiB, and there are {there / 2**30:,.0f}. Aggregate "
            "to a coarser period, or keep fewer units or a shorter window."
        )


def gaps(pairs: list[tuple[object, object]], total: int) -> None:
    """Raise when rows are absent from a unit's series."""
    if total:
        raise PanelError(
            f"No row for {_cells(pairs, total)}. Say what they mean: missing='zero' (no "
            "row means a count of zero), 'keep' (unknown), or 'drop_units' (leave these units out)."
        )


def missing_outcome(column: str, pairs: list[tuple[object, object]], total: int) -> None:
    """Raise when the outcome is missing in rows that exist."""
    if total:
        raise PanelError(
            f"Column {column!r} is missing at {_cells(pairs, total)}. Say what to do: missing='keep' (estimators use the "
            "cells that are there, and count the rest) or 'drop_units' (leave these units out)."
        )


def negative_counts(outcome: str, pairs: list[tuple[object, object]], total: int) -> None:
    """Raise when a count with a population is below zero."""
    if total:
        raise PanelError(
            f"Counts cannot be negative, but {outcome!r} is at {_cells(pairs, total)}. Correct them, or leave out population= "
            "if the outcome is not a count."
        )


def negative_weights(column: str, pairs: list[tuple[object, object]], total: int) -> None:
    """Raise when an analysis weight is below zero."""
    if total:
        raise PanelError(
            f"Weights cannot be negative, but {column!r} is at {_cells(pairs, total)}. Correct them or give zero."
        )


def nonpositive_population(column: str, pairs: list[tuple[object, object]], total: int) -> None:
    """Raise when the exposure is zero, negative, infinite or missing in an observed cell."""
    if total:
        raise PanelError(
            f"Population must be a positive number wherever the outcome is observed; column {column!r} is zero, negative or missing at "
            f"{_cells(pairs, total)}. Fill it (interpolate between censuses) or drop these units."
        )


def treatment_not_binary(column: str, values: list[object], total: int) -> None:
    """Raise when the treatment column is not 0 or 1."""
    if total:
        raise PanelError(
            f"Column {column!r} should be 0 or 1 in every row but holds {offenders(values, total=total)}. A date per unit belongs in "
            "first_treated=, a share or dose in dose=."
        )


def constant_within_unit(column: str, units: list[object], total: int) -> None:
    """Raise when a unit-level label changes over time."""
    if total:
        raise PanelError(
            f"Column {column!r} should not change within a unit, but does in {offenders(units, total=total)}. Use one value per unit."
        )


def always_treated(D: np.ndarray[Any, Any], units: pd.Index) -> list[object]:
    """Return the units treated from the first period, for which no untreated period exists."""
    return list(units[D[:, 0]])


def switches_off(D: np.ndarray[Any, Any], units: pd.Index) -> list[object]:
    """Return the units whose treatment ends within the panel."""
    off = (D[:, :-1] & ~D[:, 1:]).any(axis=1)
    # Every refit asks, mostly of treatment that stays: selecting no labels costs more than looking.
    return list(units[off]) if off.any() else []


def non_integer_counts(Y: np.ndarray[Any, Any]) -> int:
    """Return the number of observed cells that are not whole numbers."""
    seen = Y[~np.isnan(Y)]
    return int((seen != np.round(seen)).sum())


def _memory() -> float:
    """Return the bytes of memory of this machine, or of the container that the process runs in."""
    known = []
    if hasattr(os, "sysconf"):
        known.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    try:
        known.append(float(_CONTAINER.read_text("ascii")))
    except (OSError, ValueError):
        # No container, or one without a limit ("max").
        known.append(float("inf"))
    return min(known)


def _number(value: Any) -> float | None:
    """Return a value as a float, NaN where it is missing, None where it is no number: text that looks like one is none."""
    if value is None or value is pd.NA or value is pd.NaT:
        return float("nan")
    if isinstance(value, Decimal):
        return float("nan") if value.is_nan() else float(value)
    # NumPy counts durations among the whole numbers.
    if not isinstance(value, (int, float, np.number, np.bool_)) or isinstance(
        value, (np.complexfloating, np.timedelta64)
    ):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _cells(pairs: list[tuple[object, object]], total: int) -> str:
    return offenders([f"({unit}, {period})" for unit, period in pairs], total=total)
