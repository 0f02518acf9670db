"""INEGI, Mexico: homicides from death certificates, municipal catalogue and boundaries."""

from pathlib import Path

import polars as pl

__all__ = [
    "tidy_adjacency",
    "tidy_municipalities",
    "tidy_municipality_homicides",
    "tidy_splits",
    "tidy_state_homicides",
]


def tidy_municipality_homicides(path: Path) -> pl.LazyFrame:
    """Return unit, month, homicides: non-zero cells by place and month of occurrence."""
    return _read(path).select(
        unit="mun_code", month=pl.col("date").str.to_date(), homicides=pl.col("homicides").cast(pl.Int32)
    )


def tidy_state_homicides(path: Path) -> pl.LazyFrame:
    """Return unit, month, series, homicides: one row per state, month and producer's series."""
    return _read(path).select(
        unit="state_code",
        month=pl.col("date").str.to_date(),
        series="source",
        homicides=pl.col("homicides").cast(pl.Float64).cast(pl.Int32),
    )


def tidy_municipalities(path: Path) -> pl.LazyFrame:
    """Return one row per municipality of today: names, stable code, seat, area, border distance."""
    return _read(path).select(
        unit="mun_code",
        name="mun_name",
        state="state_code",
        state_name="state_name",
        stable="stable_code_2000",
        lon=pl.col("cabecera_lon").cast(pl.Float64),
        lat=pl.col("cabecera_lat").cast(pl.Float64),
        area_km2=pl.col("area_km2").cast(pl.Float64),
        km_to_us_border=pl.col("km_to_us_port_of_entry").cast(pl.Float64),
        nearest_us_port="nearest_us_port",
        covered=pl.col("in_occ_panel_2000_2021") == "1",
    )


def tidy_adjacency(path: Path) -> pl.LazyFrame:
    """Return unit, neighbour, border_km: both directions of every contiguous pair."""
    return _read(path).select(
        unit="mun_code", neighbour="neighbor_code", border_km=pl.col("approx_shared_border_km").cast(pl.Float64)
    )


def tidy_splits(path: Path) -> pl.LazyFrame:
    """Return unit, parent, year: approximate first year of municipalities created since 1990."""
    return _read(path).select(
        unit="new_mun_code", parent="parent_mun_code", year=pl.col("effective_year_approx").cast(pl.Int32)
    )


def _read(path: Path) -> pl.LazyFrame:
    return pl.scan_csv(path, infer_schema=False)
