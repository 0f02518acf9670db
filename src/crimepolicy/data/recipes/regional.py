"""Latin America: UNODC homicides by country and year, El Salvador, Ecuador, truces and crackdowns."""

from pathlib import Path

import polars as pl

from crimepolicy.data.fetch import fetch
from crimepolicy.data.sources import compiled, regional

__all__ = ["RECIPES"]

_FLAGS = [
    "duplicate_value", "shifted_value", "rewritten_value", "sources_conflict", "definition_changed", "doubtful_value",
    "denominator_differs",
]  # fmt: skip
# Months whose published counts contradict each other.
_CONTESTED = ["2013-05-01", "2013-07-01", "2014-04-01"]


def country_year() -> pl.LazyFrame:
    """Return homicides known to UNODC per country and year, flags and predictors."""
    countries = regional.tidy_countries(fetch("unodc-homicide")["country_year_wide.parquet"])
    flags = (
        _flag_list()
        .with_columns(year=pl.int_ranges(pl.col("first_year").cast(pl.Int16), pl.col("last_year").cast(pl.Int16) + 1))
        .explode("year", empty_as_null=False)
        .with_columns(pl.col("year").cast(pl.Int16))
        .group_by(unit="iso3", year="year")
        .agg((pl.col("flag") == name).any().alias(name) for name in _FLAGS)
    )
    missing = pl.col("homicides").is_null()
    return countries.join(flags, on=["unit", "year"], how="left").with_columns(
        *((pl.col(name).fill_null(value=False) & ~missing).alias(name) for name in _FLAGS),
        derived_count=(~pl.col("exact_count")).fill_null(value=False),
    )


def country_year_flags() -> pl.LazyFrame:
    """Return the list behind the flags."""
    return _flag_list()


def unodc_vintages() -> pl.LazyFrame:
    """Return the counts of Central America in the vintages of 2012 and 2026."""
    return regional.tidy_old_vintage(fetch("unodc-vintage-2012")["unodc_vintage_comparison_centralamerica.csv"])


def el_salvador_month() -> pl.LazyFrame:
    """Return the months of El Salvador that were published, with the source of each cell."""
    months = regional.tidy_salvador_months(_salvador("slv_national_month_partial.csv"))
    contested = pl.col("month").dt.strftime("%Y-%m-%d").is_in(_CONTESTED)
    return months.with_columns(
        contested=contested, derived=pl.col("making").str.starts_with("derived").fill_null(value=False)
    )


def el_salvador_blocks() -> pl.LazyFrame:
    """Return runs of months of El Salvador that are known as sums only."""
    return regional.tidy_periods(_salvador("slv_national_block_residuals.csv")).drop("pointer")


def el_salvador_periods() -> pl.LazyFrame:
    """Return all counts of El Salvador that were published for any period."""
    return regional.tidy_periods(_salvador("slv_national_period_counts.csv")).with_row_index("count_id")


def el_salvador_year() -> pl.LazyFrame:
    """Return homicides of El Salvador per year by institution."""
    years = regional.tidy_salvador_years(_salvador("slv_national_annual.csv"))
    return years.with_columns(definition_changed=pl.col("year") == 2022, sources_conflict=pl.col("year") == 2021)


def ecuador_year() -> pl.LazyFrame:
    """Return homicides of Ecuador per year by institution."""
    return regional.tidy_ecuador_years(_ecuador("ecu_national_annual_2014_2024.csv"))


def ecuador_canton_month() -> pl.LazyFrame:
    """Return homicides per canton of Ecuador and month."""
    return regional.tidy_cantons(_ecuador("ecu_canton_month_2025_2026.csv.gz"))


def ecuador_periods() -> pl.LazyFrame:
    """Return counts of Ecuador that were published for any period around 2024."""
    counts = regional.tidy_periods(_ecuador("ecu_cited_period_counts.csv"))
    return counts.with_columns(
        pl.col("area").replace("seven provinces + two cantons subtotal in decree", "decree area")
    ).with_row_index("count_id")


def truces() -> pl.LazyFrame:
    """Return truces with broker, bounds of time and place."""
    path = fetch("truces")["truces.csv"]
    events = compiled.tidy_events(path, dates=["start", "end"], flags=["source_read"])
    return events.sort("iso3", "event")


def truce_steps() -> pl.LazyFrame:
    """Return the dated steps of the truces of El Salvador and Colombia."""
    events = compiled.tidy_events(fetch("truces")["steps.csv"], dates=["date"], flags=[])
    return events.sort("date", "event")


def peace_municipalities() -> pl.LazyFrame:
    """Return the municipalities of El Salvador declared free of violence in 2013."""
    return compiled.tidy_events(fetch("truces")["peace_municipalities.csv"], dates=["declared"], flags=[])


def crackdowns() -> pl.LazyFrame:
    """Return crackdowns with their kind, bounds of time and place."""
    path = fetch("crackdowns")["crackdowns.csv"]
    events = compiled.tidy_events(path, dates=["start", "end"], flags=["source_read"], numbers=["persons_detained"])
    return events.sort("start", "event")


def _flag_list() -> pl.LazyFrame:
    return compiled.tidy_events(
        fetch("unodc-flags")["flags.csv"], dates=[], flags=[], numbers=["first_year", "last_year"]
    )


def _salvador(file: str) -> Path:
    return fetch("el-salvador-counts")[file]


def _ecuador(file: str) -> Path:
    return fetch("ecuador-homicides")[file]


RECIPES = {
    "latam_country_year": country_year,
    "latam_country_year_flags": country_year_flags,
    "unodc_vintages_central_america": unodc_vintages,
    "el_salvador_month": el_salvador_month,
    "el_salvador_blocks": el_salvador_blocks,
    "el_salvador_periods": el_salvador_periods,
    "el_salvador_year": el_salvador_year,
    "ecuador_year": ecuador_year,
    "ecuador_canton_month": ecuador_canton_month,
    "ecuador_periods": ecuador_periods,
    "truces": truces,
    "truce_steps": truce_steps,
    "peace_municipalities_el_salvador": peace_municipalities,
    "crackdowns": crackdowns,
}
