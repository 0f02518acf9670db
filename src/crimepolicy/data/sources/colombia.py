"""Colombia: police homicide records, DANE population and units, SIMCI coca, Medellin's registry."""

from pathlib import Path

import polars as pl

__all__ = [
    "tidy_capture",
    "tidy_coca",
    "tidy_comuna_homicides",
    "tidy_comunas",
    "tidy_day_homicides",
    "tidy_homicides",
    "tidy_medellin_sources",
    "tidy_municipalities",
    "tidy_pairs",
    "tidy_population",
]


def tidy_homicides(path: Path) -> pl.LazyFrame:
    """Return unit, month and victims of police records; non-zero cells only."""
    parts = ("homicides", "homicides_firearm", "homicides_female", "homicides_under18")
    return _read(path).select(
        unit="dane_mpio", month=pl.col("month").str.to_date(), **{name: pl.col(name).cast(pl.Int32) for name in parts}
    )


def tidy_day_homicides(path: Path) -> pl.LazyFrame:
    """Return unit, day, homicides; non-zero cells only."""
    return _read(path).select(
        unit="dane_mpio", day=pl.col("date").str.to_date(), homicides=pl.col("homicides").cast(pl.Int32)
    )


def tidy_population(path: Path) -> pl.LazyFrame:
    """Return unit, year, population: the series linked over the two censuses."""
    return _read(path).select(
        unit="dane_mpio", year=pl.col("year").cast(pl.Int32), population=pl.col("pop_linked").cast(pl.Float64)
    )


def tidy_municipalities(path: Path) -> pl.LazyFrame:
    """Return one row per municipality or departmental corregimiento."""
    return _read(path).select(
        unit="dane_mpio",
        name="municipio",
        department="dane_dpto",
        department_name="departamento",
        lon=pl.col("lon").cast(pl.Float64),
        lat=pl.col("lat").cast(pl.Float64),
        area_km2=pl.col("area_km2").replace("", None).cast(pl.Float64),
        unmet_needs_pct=pl.col("nbi_pct").replace("", None).cast(pl.Float64),
        capital=pl.col("dept_capital") == "1",
        corregimiento=pl.col("is_corregimiento_dptal") == "1",
    )


def tidy_pairs(path: Path) -> pl.LazyFrame:
    """Return unit, neighbour, border_km: each contiguous pair once."""
    return _read(path).select(
        unit="dane_a",
        neighbour="dane_b",
        border_km=pl.col("approx_border_km").replace(["", "NA"], None).cast(pl.Float64),
    )


def tidy_coca(path: Path) -> pl.LazyFrame:
    """Return unit, year, coca_ha: hectares detected at the end of the year, positive cells only."""
    return _read(path).select(
        unit="dane_mpio", year=pl.col("year").cast(pl.Int16), coca_ha=pl.col("coca_ha").cast(pl.Float64)
    )


def tidy_comuna_homicides(path: Path) -> pl.LazyFrame:
    """Return unit, month and victims of the city's registry; non-zero cells only."""
    return _read(path).select(
        unit=pl.col("comuna").replace("NA", "unlocated"),
        month=pl.col("month").str.to_date(),
        homicides=pl.col("homicides").cast(pl.Int32),
        homicides_firearm=pl.col("homicides_firearm").cast(pl.Int32),
    )


def tidy_comunas(path: Path) -> pl.LazyFrame:
    """Return unit, name, zone, area_km2 of the districts of Medellin."""
    return _read(path).select(
        unit="comuna",
        name=pl.col("nombre").str.to_titlecase(),
        zone="zona",
        area_km2=pl.col("area_m2").cast(pl.Float64) / 1e6,
    )


def tidy_capture(path: Path) -> pl.LazyFrame:
    """Return month, police and registry counts of Medellin."""
    return _read(path).select(
        month=pl.col("month").str.to_date(),
        police=pl.col("police").cast(pl.Int32),
        registry=pl.col("sisc").cast(pl.Int32),
    )


def tidy_medellin_sources(path: Path) -> pl.LazyFrame:
    """Return year, period, series, homicides of Medellin by source."""
    return _read(path).select(
        year=pl.col("year").cast(pl.Int16),
        period="period",
        series="source",
        homicides=pl.col("homicides").cast(pl.Int32),
    )


def _read(path: Path) -> pl.LazyFrame:
    return pl.scan_csv(path, infer_schema=False)
