"""CONAPO, Mexico: mid-year population of municipalities."""

from pathlib import Path

import polars as pl

__all__ = ["tidy_population"]


def tidy_population(path: Path) -> pl.LazyFrame:
    """Return unit, year, population: persons at mid-year on today's municipalities."""
    return pl.scan_csv(path, infer_schema=False).select(
        unit="mun_code", year=pl.col("year").cast(pl.Int32), population=pl.col("population").cast(pl.Int32)
    )
