"""Event tables that this project compiled and keeps as text in its own schema."""

from pathlib import Path

import polars as pl

__all__ = ["tidy_events"]


def tidy_events(path: Path, *, dates: list[str], flags: list[str], numbers: list[str] | None = None) -> pl.LazyFrame:
    """Return the table with empty text as missing, dates as dates and 0/1 flags as booleans.

    Parameters
    ----------
    path : Path
        A comma-separated file with a header; every other column stays text.
    dates, flags, numbers : list of str
        Columns to convert.
    """
    empty_is_missing = pl.col(pl.String).replace("", None)
    return (
        pl.scan_csv(path, infer_schema=False)
        .with_columns(empty_is_missing)
        .with_columns(
            *(pl.col(name).str.to_date() for name in dates),
            *((pl.col(name) == "1").alias(name) for name in flags),
            *(pl.col(name).cast(pl.Float64) for name in numbers or ()),
        )
    )
