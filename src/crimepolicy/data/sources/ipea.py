"""IPEA, Brazil: homicides from death certificates by state and year."""

from pathlib import Path

import polars as pl

__all__ = ["tidy_states"]


def tidy_states(path: Path) -> pl.LazyFrame:
    """Return unit, year, deaths, population and where the population comes from."""
    return pl.scan_csv(path, infer_schema=False).select(
        unit="uf",
        code="code",
        name="state",
        year=pl.col("year").cast(pl.Int16),
        homicides=pl.col("homicides").cast(pl.Float64),
        homicides_male_firearm=pl.col("male_firearm_homicides").cast(pl.Float64),
        homicides_black=pl.col("black_homicides").cast(pl.Float64),
        population=pl.col("pop").cast(pl.Float64),
        population_source="pop_source",
        population_between_censuses=pl.col("pop_census_consistent").cast(pl.Float64),
    )
