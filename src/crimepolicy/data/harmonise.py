"""Steps that give tidy tables their meaning: stable units, dense months, exposure."""

from datetime import date

import polars as pl

from crimepolicy.errors import DataError, offenders

__all__ = ["dense_months", "fold_units", "join_codes", "monthly_population", "undirected_pairs"]


def fold_units(frame: pl.LazyFrame, codes: pl.LazyFrame, by: list[str], sums: list[str]) -> pl.LazyFrame:
    """Sum counts of units that were split later into the unit they came from.

    Parameters
    ----------
    frame : polars.LazyFrame
        Counts with a column ``unit``.
    codes : polars.LazyFrame
        Columns ``unit`` and ``stable``: today's unit and the one with constant boundaries.
    by : list of str
        Columns that stay, beside the unit.
    sums : list of str
        Columns to sum.

    Raises
    ------
    DataError
        If a unit of `frame` has no stable unit: an unmapped code would lose its counts.
    """
    strangers = frame.select("unit").unique().join(codes, on="unit", how="anti").sort("unit").collect()
    if strangers.height:
        raise DataError(f"Units without a stable code: {offenders(strangers['unit'].to_list())}.")
    return (
        frame.join(codes, on="unit")
        .group_by("stable", *by)
        .agg(pl.col(name).sum() for name in sums)
        .rename({"stable": "unit"})
    )


def dense_months(frame: pl.LazyFrame, units: pl.LazyFrame, start: date, end: date, zeros: list[str]) -> pl.LazyFrame:
    """Return one row per unit and month, with a zero where the source lists no event.

    Parameters
    ----------
    frame : polars.LazyFrame
        Sparse counts with columns ``unit`` and ``month`` (first day of the month).
    units : polars.LazyFrame
        Column ``unit``: the units that the source covers. Rows of other units are not kept.
    start, end : date
        First and last month.
    zeros : list of str
        Count columns whose absence in the source means zero.
    """
    months = pl.LazyFrame({"month": pl.date_range(start, end, "1mo", eager=True)})
    return (
        units.select("unit")
        .join(months, how="cross")
        .join(frame, on=["unit", "month"], how="left")
        .with_columns(pl.col(name).fill_null(0) for name in zeros)
        .sort("unit", "month")
    )


def monthly_population(annual: pl.LazyFrame, start: date, end: date) -> pl.LazyFrame:
    """Return persons in the middle of each month, on straight lines between mid-year figures.

    Parameters
    ----------
    annual : polars.LazyFrame
        Columns ``unit``, ``year``, ``population`` at the first of July, every year from the one
        before `start` to the one after `end`.
    start, end : date
        First and last month.
    """
    months = pl.LazyFrame({"month": pl.date_range(start, end, "1mo", eager=True)})
    # The middle of month m lies (m - 6.5) / 12 years after the first of July.
    ahead = (pl.col("month").dt.month() - 6.5) / 12
    grid = months.with_columns(
        year=pl.col("month").dt.year() - (ahead < 0).cast(pl.Int32),
        ahead=ahead + (ahead < 0).cast(pl.Float64),
    )
    years = annual.with_columns(pl.col("year").cast(pl.Int32), pl.col("population").cast(pl.Float64))
    later = years.with_columns(year=pl.col("year") - 1).rename({"population": "later"})
    value = pl.col("population") + pl.col("ahead") * (pl.col("later") - pl.col("population"))
    return (
        years.join(later, on=["unit", "year"])
        .join(grid, on="year")
        .select("unit", "month", population=value.round(0).cast(pl.Int32))
    )


def undirected_pairs(pairs: pl.LazyFrame, codes: pl.LazyFrame) -> pl.LazyFrame:
    """Return each pair of neighbouring stable units once, with the length of its border.

    Parameters
    ----------
    pairs : polars.LazyFrame
        Columns ``unit``, ``neighbour``, ``border_km``; both directions or one.
    codes : polars.LazyFrame
        Columns ``unit`` and ``stable``.
    """
    other = codes.rename({"unit": "neighbour", "stable": "other"})
    once = pl.col("unit") < pl.col("neighbour")
    return (
        pairs.select(
            unit=pl.min_horizontal("unit", "neighbour"),
            neighbour=pl.max_horizontal("unit", "neighbour"),
            border_km="border_km",
        )
        .filter(once)
        .unique(["unit", "neighbour"], keep="first", maintain_order=True)
        .join(codes, on="unit")
        .join(other, on="neighbour")
        .filter(pl.col("stable") != pl.col("other"))
        .group_by(unit=pl.min_horizontal("stable", "other"), neighbour=pl.max_horizontal("stable", "other"))
        .agg(pl.col("border_km").sum())
        .sort("unit", "neighbour")
    )


def join_codes(frame: pl.LazyFrame, codes: pl.LazyFrame, on: str) -> pl.LazyFrame:
    """Join a code list and fail when a code that is present has no entry in it.

    Parameters
    ----------
    frame, codes : polars.LazyFrame
        Both with the column `on`; a missing code in `frame` stays missing.
    on : str
        Name of the code column.
    """
    given = frame.select(on).drop_nulls().unique()
    strangers = given.join(codes, on=on, how="anti").sort(on).collect()
    if strangers.height:
        raise DataError(f"Codes in {on!r} without an entry: {offenders(strangers[on].to_list())}.")
    return frame.join(codes, on=on, how="left")
