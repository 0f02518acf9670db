"""J. Trudeau: daily crime and shootings by precinct around the ban on police raids in Rio."""

from pathlib import Path

import polars as pl

from crimepolicy.data.sources.isp_rj import OUTCOMES

__all__ = ["tidy_crime", "tidy_shootings"]


def tidy_crime(path: Path) -> pl.LazyFrame:
    """Return unit, day, after_cutoff and the daily outcomes of 2020."""
    frame = pl.scan_csv(path, infer_schema=False)
    present = frame.collect_schema().names()
    counts = [pl.col(old).cast(pl.Float64).alias(new) for old, new in OUTCOMES.items() if old in present]
    return frame.select(*_keys(), *counts)


def tidy_shootings(path: Path) -> pl.LazyFrame:
    """Return unit, day, after_cutoff and crowd-sourced counts of shootings and victims."""
    names = [
        "shootings",
        "shootings_with_police",
        "civilian_deaths",
        "police_deaths",
        "civilian_injuries",
        "police_injuries",
    ]
    return pl.scan_csv(path, infer_schema=False).select(*_keys(), *(pl.col(name).cast(pl.Float64) for name in names))


def _keys() -> list[pl.Expr]:
    return [
        pl.col("cisp").str.zfill(3).alias("unit"),
        pl.col("date").str.to_date().alias("day"),
        (pl.col("federal_ban") == "1").alias("after_cutoff"),
    ]
