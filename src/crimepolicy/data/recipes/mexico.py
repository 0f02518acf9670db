"""Mexico: homicides by municipality and by state, contiguity, removals and joint operations."""

from datetime import date

import polars as pl

from crimepolicy.data.fetch import fetch
from crimepolicy.data.harmonise import (
    dense_months,
    fold_units,
    join_codes,
    monthly_population,
    undirected_pairs,
)
from crimepolicy.data.sources import compiled, conapo, inegi

__all__ = ["RECIPES"]

_START, _END, _STATE_END = date(2000, 1, 1), date(2020, 12, 1), date(2022, 12, 1)
# Against a state file built from one more year of registers, 2020 is short by 0.6 percent.
_LATE_MUNICIPAL, _LATE_STATE = date(2020, 1, 1), date(2022, 1, 1)
# Tamaulipas, Chiapas, Durango and Coahuila fall far below the registration series in 2018 alone.
_DOUBTFUL_2018 = ["05", "07", "10", "28"]
_STATE_SERIES = {
    "inegi_occ": "homicides",
    "inegi_reg": "homicides_registered",
    "inegi_reg_crimenmexico": "homicides_registered_to_2016",
    "inegi_reg_agesexknown": "homicides_registered_age_known",
    "snsp_vm_victims": "victims_sesnsp_old",
    "snsp_nm_victims_hd_fem": "victims_sesnsp_new",
}


def municipality_month() -> pl.LazyFrame:
    """Return homicides per stable municipality and month of occurrence, 2000-01 to 2020-12."""
    deaths = inegi.tidy_municipality_homicides(fetch("inegi-mortality")["mun_month_homicides_occ_2000_2021.csv.gz"])
    units = _stable_units()
    counts = fold_units(deaths, _codes(), by=["month"], sums=["homicides"])
    population = fold_units(_population(), _codes(), by=["year"], sums=["population"])
    return (
        dense_months(counts, units, _START, _END, zeros=["homicides"])
        .join(monthly_population(population, _START, _END), on=["unit", "month"])
        .join(units, on="unit")
        .with_columns(
            late_registration=pl.col("month") >= _LATE_MUNICIPAL,
            doubtful_2018=_doubtful(pl.col("state")),
            backcast_population=pl.col("month").dt.year() < pl.col("last_split").fill_null(0),
        )
        .drop("last_split")
    )


def state_month() -> pl.LazyFrame:
    """Return homicides per state and month, all series side by side, 2000-01 to 2022-12."""
    series = inegi.tidy_state_homicides(fetch("inegi-mortality")["state_month_homicides.csv.gz"])
    wide = (
        series.filter(pl.col("month").is_between(_START, _STATE_END))
        .group_by("unit", "month")
        .agg(
            pl.col("homicides").filter(pl.col("series") == source).first().alias(name)
            for source, name in _STATE_SERIES.items()
        )
    )
    states = _municipalities().group_by(unit="state").agg(name=pl.col("state_name").first())
    population = fold_units(_population(), _state_codes(), by=["year"], sums=["population"])
    return (
        dense_months(wide, states, _START, _STATE_END, zeros=[])
        .join(monthly_population(population, _START, _STATE_END), on=["unit", "month"])
        .join(states, on="unit")
        .with_columns(
            late_registration=pl.col("month") >= _LATE_STATE,
            doubtful_2018=_doubtful(pl.col("unit")),
            doubtful_2021=pl.col("unit").is_in(["03", "04"]) & (pl.col("month") >= date(2021, 1, 1)),
        )
    )


def contiguity() -> pl.LazyFrame:
    """Return undirected pairs of contiguous stable municipalities."""
    pairs = inegi.tidy_adjacency(fetch("inegi-municipalities")["mun_adjacency.csv.gz"])
    return undirected_pairs(pairs, _codes()).with_columns(pl.col("border_km").round(2))


def kingpins() -> pl.LazyFrame:
    """Return removals of leaders, lieutenants and plaza bosses with the stable unit of the place."""
    flags = ["on_list_of_37", "in_custody_before", "sources_disagree_place", "sources_disagree_date"]
    events = compiled.tidy_events(
        fetch("kingpins-mexico")["kingpins.csv"], dates=["date"], flags=[*flags, "place_unverified", "source_read"]
    )
    codes = _codes().rename({"unit": "municipality_code", "stable": "unit"})
    return (
        join_codes(events, codes, on="municipality_code")
        .with_columns(operations_elsewhere=pl.col("state_code") != pl.col("operations_state_code"))
        .sort("date", "event")
    )


def operations() -> pl.LazyFrame:
    """Return first days of joint operations by state."""
    path = fetch("operations-mexico")["operations.csv"]
    events = compiled.tidy_events(path, dates=["start", "alternative_start"], flags=[])
    return events.rename({"state_code": "unit"}).sort("start", "event")


def _municipalities() -> pl.LazyFrame:
    return inegi.tidy_municipalities(fetch("inegi-municipalities")["mun_units.csv.gz"])


def _codes() -> pl.LazyFrame:
    return _municipalities().select("unit", "stable")


def _state_codes() -> pl.LazyFrame:
    return _municipalities().select("unit", stable="state")


def _population() -> pl.LazyFrame:
    return conapo.tidy_population(fetch("conapo-population")["mun_population_conapo_1990_2025.csv.gz"])


def _stable_units() -> pl.LazyFrame:
    """Return the stable units that the death records cover, described by the municipality that kept the code."""
    every = _municipalities()
    created = inegi.tidy_splits(fetch("inegi-municipalities")["mun_splits.csv"]).select("unit", "year")
    folded = pl.col("unit") != pl.col("stable")
    groups = (
        every.join(created, on="unit", how="left")
        .group_by("stable")
        .agg(
            municipalities=pl.len().cast(pl.Int8),
            area_km2=pl.col("area_km2").sum(),
            covered=pl.col("covered").any(),
            last_split=pl.col("year").filter(folded).max(),
        )
    )
    kept = every.filter(~folded).drop("covered", "area_km2")
    return kept.join(groups, on="stable").filter("covered").drop("stable", "covered")


def _doubtful(state: pl.Expr) -> pl.Expr:
    return state.is_in(_DOUBTFUL_2018) & (pl.col("month").dt.year() == 2018)


RECIPES = {
    "mexico_municipality_month": municipality_month,
    "mexico_state_month": state_month,
    "mexico_contiguity": contiguity,
    "kingpins_mexico": kingpins,
    "joint_operations_mexico": operations,
}
