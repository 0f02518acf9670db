"""Colombia: homicides by municipality, Medellin by comuna, coca, quadrants and removals."""

from datetime import date

import polars as pl

from crimepolicy.data.fetch import fetch
from crimepolicy.data.harmonise import dense_months, fold_units, join_codes, undirected_pairs
from crimepolicy.data.sources import colombia, compiled

__all__ = ["RECIPES"]

_START, _END = date(2003, 1, 1), date(2024, 12, 1)
_SPLIT_COUNTS = date(2011, 1, 1)  # firearm, sex and age are published from here on
_VINTAGES = {
    **dict.fromkeys(range(2003, 2011), "2024-11"), **dict.fromkeys(range(2011, 2019), "2020-07"), 2019: "2020-09",
    2020: "2023-03", 2021: "2023-01", 2022: "2023-07", 2023: "2024-05", 2024: "2025-01",
}  # fmt: skip
# Bogota (probable), Medellin (proven), Cali (possible): recording changed in January 2011.
_BREAK_CITIES = ["05001", "11001", "76001"]
# Four municipalities created in 2006-07 go back to the ones they left, and Mapiripana, dissolved in
# 2019, to the one it joined: otherwise they have deaths or population in part of the years only.
_FOLDED = {"13490": "13600", "19300": "19142", "23682": "23670", "23815": "23466", "94663": "94343"}
_PARTS = ["homicides_firearm", "homicides_female", "homicides_under18"]


def municipality_month() -> pl.LazyFrame:
    """Return police homicides per municipality and month, 2003-01 to 2024-12."""
    raw = colombia.tidy_homicides(fetch("police-colombia")["homicides_muni_month.csv.gz"])
    counts = fold_units(raw, _codes(), by=["month"], sums=["homicides", *_PARTS])
    population = fold_units(_population(), _codes(), by=["year"], sums=["population"])
    units = _municipalities()
    year = pl.col("month").dt.year()
    old = pl.col("month") < _SPLIT_COUNTS
    roles = _quadrants().select("unit", quadrants_role="role")
    return (
        dense_months(counts, units, _START, _END, zeros=["homicides", *_PARTS])
        .with_columns(*(pl.when(old).then(None).otherwise(pl.col(name)).alias(name) for name in _PARTS), year=year)
        .join(population, on=["unit", "year"], how="left")
        .join(units, on="unit")
        .join(roles, on="unit", how="left")
        .with_columns(
            pl.col("quadrants_role").fill_null("none"),
            vintage=pl.col("year").replace_strict(_VINTAGES, return_dtype=pl.String),
            older_vintage=old,
            before_recording_break=pl.col("unit").is_in(_BREAK_CITIES) & old,
            medellin_undercount=(pl.col("unit") == "05001")
            & pl.col("month").is_between(date(2008, 1, 1), date(2011, 12, 1)),
            provisional=pl.col("year") == 2024,
        )
        .drop("year")
    )


def day() -> pl.LazyFrame:
    """Return days with at least one homicide per municipality."""
    raw = colombia.tidy_day_homicides(fetch("police-colombia")["homicides_muni_day.csv.gz"])
    return fold_units(raw, _codes(), by=["day"], sums=["homicides"])


def contiguity() -> pl.LazyFrame:
    """Return contiguous municipalities."""
    pairs = colombia.tidy_pairs(fetch("colombia-municipalities")["adjacency.csv.gz"])
    return undirected_pairs(pairs.drop_nulls("border_km"), _codes()).with_columns(pl.col("border_km").round(2))


def coca() -> pl.LazyFrame:
    """Return hectares of coca per municipality and year; no detection is a zero."""
    raw = colombia.tidy_coca(fetch("simci-coca")["coca_muni_year.csv.gz"])
    found = fold_units(raw, _codes(), by=["year"], sums=["coca_ha"])
    years = pl.LazyFrame({"year": pl.int_range(2001, 2025, dtype=pl.Int16, eager=True)})
    units = _municipalities().select("unit", "name", "department", "lon", "lat")
    ever = found.select("unit").unique().with_columns(ever_coca=pl.lit(True))
    return (
        units.join(years, how="cross")
        .join(found, on=["unit", "year"], how="left")
        .join(ever, on="unit", how="left")
        .with_columns(
            pl.col("coca_ha").fill_null(0.0),
            pl.col("ever_coca").fill_null(False),
            incomplete_2001=pl.col("year") == 2001,
        )
    )


def comuna_month() -> pl.LazyFrame:
    """Return homicides of the city's registry per comuna of Medellin and month."""
    counts = colombia.tidy_comuna_homicides(fetch("medellin-registry")["medellin_comuna_month.csv.gz"])
    places = colombia.tidy_comunas(fetch("medellin-registry")["medellin_comunas.csv"])
    unlocated = pl.LazyFrame({"unit": ["unlocated"], "name": ["No coordinates"]})
    units = pl.concat([places, unlocated], how="diagonal")
    zeros = ["homicides", "homicides_firearm"]
    return (
        dense_months(counts, units, date(2010, 1, 1), date(2019, 12, 1), zeros=zeros)
        .join(units, on="unit")
        .with_columns(unlocated=pl.col("unit") == "unlocated")
    )


def capture_month() -> pl.LazyFrame:
    """Return police and registry counts of Medellin with their ratio."""
    counts = colombia.tidy_capture(fetch("medellin-registry")["medellin_police_vs_sisc_month.csv"])
    return counts.with_columns(ratio=(pl.col("police") / pl.col("registry")).round(4))


def medellin_sources() -> pl.LazyFrame:
    """Return yearly homicides of Medellin by source."""
    names = {
        "SISC_MEData_microdata": "registry",
        "medicina_legal_or_SISC_press": "forensic_or_registry_press",
        "police_contemporaneous_finiterank": "police_of_the_time",
        "police_open_siedco": "police_open_data",
    }
    counts = colombia.tidy_medellin_sources(fetch("medellin-registry")["medellin_series_by_source.csv"])
    return counts.with_columns(
        pl.col("series").replace_strict(names), pl.col("period").replace("Jan-Oct", "january_to_october")
    )


def quadrants() -> pl.LazyFrame:
    """Return the cities of the quadrants plan with the bounds of its start."""
    return _quadrants()


def kingpins() -> pl.LazyFrame:
    """Return removals of leaders of Colombian organisations."""
    flags = ["abroad", "place_approximate", "several_persons"]
    events = compiled.tidy_events(fetch("kingpins-colombia")["kingpins.csv"], dates=["date"], flags=flags)
    names = _every_municipality().select(municipality_code="unit", municipality="name")
    codes = _codes().rename({"unit": "municipality_code", "stable": "unit"})
    return (
        join_codes(join_codes(events, names, on="municipality_code"), codes, on="municipality_code")
        .with_columns(
            source_read=pl.col("confirmed") != "no",
            earlier_than_panel=pl.col("date") < _START,
        )
        .sort("date", "event")
    )


def calendar() -> pl.LazyFrame:
    """Return dated national and local shocks in Colombia."""
    events = compiled.tidy_events(fetch("calendar-colombia")["calendar.csv"], dates=["date"], flags=[])
    return events.sort("date", "event")


def _every_municipality() -> pl.LazyFrame:
    return colombia.tidy_municipalities(fetch("colombia-municipalities")["municipalities.csv.gz"])


def _municipalities() -> pl.LazyFrame:
    return _every_municipality().filter(~pl.col("unit").is_in(list(_FOLDED)))


def _codes() -> pl.LazyFrame:
    return _every_municipality().select("unit", stable=pl.col("unit").replace(_FOLDED))


def _population() -> pl.LazyFrame:
    return colombia.tidy_population(fetch("dane-population")["population_muni_year.csv.gz"])


def _quadrants() -> pl.LazyFrame:
    path = fetch("quadrants-colombia")["quadrants.csv"]
    return compiled.tidy_events(path, dates=["earliest", "latest"], flags=[])


RECIPES = {
    "colombia_municipality_month": municipality_month,
    "colombia_homicides_day": day,
    "colombia_contiguity": contiguity,
    "coca_municipality_year": coca,
    "medellin_comuna_month": comuna_month,
    "medellin_capture_month": capture_month,
    "medellin_homicides_by_source": medellin_sources,
    "quadrants_colombia": quadrants,
    "kingpins_colombia": kingpins,
    "calendar_colombia": calendar,
}
