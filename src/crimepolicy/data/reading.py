"""Read the files of the package so that a damaged one is named and said to be damaged."""

import tomllib
from pathlib import Path
from typing import Any

import polars as pl

from crimepolicy.errors import DataError

__all__ = ["read_parquet", "read_toml"]


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises
    ------
    DataError
        Where the file is missing, not text, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise DataError(f"{path} cannot be read as TOML: {problem}.") from problem


def read_parquet(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """Return a table from a parquet file.

    Raises
    ------
    DataError
        Where the file is missing, cut off or damaged.
    """
    try:
        return pl.read_parquet(path, columns=columns)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as problem:
        # A panic of the reader is no Exception: it would pass every handler of the caller.
        first = (str(problem).splitlines() or ["no reason given"])[0]
        raise DataError(f"{path} cannot be read as parquet, it is damaged or no parquet file: {first}.") from problem
