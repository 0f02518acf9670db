"""Read the processed tables that come with the package."""

from typing import Any, Literal

import pandas as pd
import polars as pl

from crimepolicy.data.dictionary import list_tables, read_dictionary
from crimepolicy.data.paths import processed_folder
from crimepolicy.data.reading import read_parquet
from crimepolicy.errors import DataError, choose, suggest

__all__ = ["load_table"]

Frame = Literal["pandas", "polars"]


def load_table(name: str, *, columns: list[str] | None = None, frame: Frame = "pandas") -> Any:
    """Return a processed table as it was built, with its flags.

    Parameters
    ----------
    name : str
        Name of the table, see `datasets`.
    columns : list of str, optional
        Only these columns.
    frame : {"pandas", "polars"}
        Kind of frame. Dates are ``datetime64`` in pandas.

    Returns
    -------
    pandas.DataFrame or polars.DataFrame

    Raises
    ------
    DataError
        If there is no such table or column; the nearest name is suggested.

    Examples
    --------
    >>> from crimepolicy.data import load_table
    >>> load_table("joint_operations_mexico", columns=["unit", "start"]).head(2)
      unit      start
    0   16 2006-12-11
    1   02 2007-01-03
    """
    choose("frame", frame, Frame)
    path = processed_folder() / f"{name}.parquet"
    if not path.is_file():
        raise DataError(f"There is no table {name!r}.{suggest(name, list_tables())}")
    known = [entry.name for entry in read_dictionary(name).columns] if columns else []
    for column in columns or ():
        if column not in known:
            raise DataError(f"Table {name!r} has no column {column!r}.{suggest(column, known)}")
    table = read_parquet(path, columns)
    return table if frame == "polars" else _pandas(table)


def _pandas(table: pl.DataFrame) -> pd.DataFrame:
    # The frame's own conversion needs pyarrow, which is not a dependency.
    columns = {name: _column(table[name]) for name in table.columns}
    return pd.DataFrame(columns)


def _column(values: pl.Series) -> Any:
    if values.dtype == pl.String:
        return pd.array(values.to_list(), dtype="str")
    if values.dtype == pl.Boolean and values.null_count():
        return pd.array(values.to_list(), dtype="boolean")
    return values.to_numpy()
