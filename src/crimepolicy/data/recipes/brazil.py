"""Brazil: crime in Rio de Janeiro by precinct, UPP area and municipality; homicides by state."""

from datetime import date
from pathlib import Path

import polars as pl

from crimepolicy.data.fetch import fetch
from crimepolicy.data.sources import compiled, ipea, isp_rj, outlines, trudeau

__all__ = ["RECIPES"]

# Precincts that recorded (almost) nothing for a while, with those that recorded their cases.
_DORMANT = [
    (("023", "024", "026"), date(2003, 1, 1), date(2005, 12, 1)),
    (("030", "031", "039"), date(2003, 1, 1), date(2005, 6, 1)),
    (("030", "031", "039"), date(2009, 1, 1), date(2011, 1, 1)),
]


def precinct_month() -> pl.LazyFrame:
    """Return recorded crime per constant precinct and month with the dose of the UPP programme."""
    also = {
        "munic": "municipality", "region": "region", "capital": "capital", "n_cisp": "precincts", "pop": "population",
        "upp_pop_share_installed": "upp_share_installed", "upp_pop_share_occupied": "upp_share_occupied",
        "n_upps_installed": "upps_installed",
    }  # fmt: skip
    counts = isp_rj.tidy_counts(_rio("rj_cisp_harmonised_month.csv.gz"), "cisp_h", also=also)
    numbers = ("precincts", "population", "upp_share_installed", "upp_share_occupied", "upps_installed")
    return (
        counts.with_columns(*(pl.col(name).cast(pl.Float64) for name in numbers), capital=pl.col("capital") == "1")
        .with_columns(pl.col("population").round(0))
        .join(isp_rj.tidy_treatment(_rio("rj_cisp_treatment.csv")), on="unit", how="left")
        .with_columns(
            dormant_precinct=pl.any_horizontal(
                pl.col("unit").is_in(list(units)) & pl.col("month").is_between(start, end)
                for units, start, end in _DORMANT
            ),
            police_strike=pl.col("month").is_between(date(2017, 1, 1), date(2017, 3, 1)),
            army_in_mare=(pl.col("unit") == "021") & pl.col("month").is_between(date(2014, 4, 1), date(2015, 6, 1)),
            preliminary=pl.col("month") >= date(2017, 1, 1),
        )
    )


def upp_month() -> pl.LazyFrame:
    """Return recorded crime per UPP area and month, before and after its installation."""
    also = {
        "missing_in_source": "blanked",
        "zero_records": "no_records",
        "armas_apreendidas": "guns_seized",
        "ocorr_flagrante": "caught_in_the_act",
    }
    counts = isp_rj.tidy_counts(_rio("rj_upp_month.csv.gz"), "cod_upp", width=2, also=also)
    place = isp_rj.tidy_upps(_rio("rj_upp_units.csv")).select(
        "unit", "name", "lon", "lat", "precinct", "residents_2010", "occupation", "installation", "closure"
    )
    return (
        counts.with_columns(
            pl.col("guns_seized", "caught_in_the_act").cast(pl.Float64),
            blanked=pl.col("blanked") == "1",
            no_records=pl.col("no_records") == "1",
        )
        .join(place, on="unit")
        .with_columns(**_cohorts(), open=_is_open(), doubtful_2020=pl.col("month") >= date(2020, 1, 1))
    )


def inside_outside() -> pl.LazyFrame:
    """Return crime inside and outside UPP areas of the treated precincts."""
    counts = isp_rj.tidy_counts(_rio("rj_cisp_inside_outside_month.csv.gz"), "cisp_h")
    raw = pl.scan_csv(_rio("rj_cisp_inside_outside_month.csv.gz"), infer_schema=False)
    present = [old for old in isp_rj.OUTCOMES if f"{old}_inside_upp" in raw.collect_schema().names()]
    inside = raw.select(
        pl.col("cisp_h").str.zfill(3).alias("unit"),
        pl.col("date").str.to_date().alias("month"),
        *(pl.col(f"{old}_inside_upp").cast(pl.Float64).alias(f"{isp_rj.OUTCOMES[old]}_inside") for old in present),
    )
    return counts.join(inside, on=["unit", "month"]).with_columns(
        straddling=pl.col("unit").is_in(["007", "014", "041"]),
        negative_outside=pl.any_horizontal(
            pl.col(name) < pl.col(f"{name}_inside") for name in ("homicides", "police_killings", "lethal_violence")
        ),
        police_strike=pl.col("month").is_between(date(2017, 1, 1), date(2017, 3, 1)),
    )


def upps() -> pl.LazyFrame:
    """Return the 38 UPPs as events with their dates."""
    return isp_rj.tidy_upps(_rio("rj_upp_units.csv")).with_columns(
        event=pl.concat_str(pl.lit("UPP"), "unit"), **_cohorts()
    )


def upp_precincts() -> pl.LazyFrame:
    """Return the overlap of UPP areas and precincts."""
    return isp_rj.tidy_crosswalk(_rio("rj_upp_cisp_crosswalk.csv"))


def upp_distances() -> pl.LazyFrame:
    """Return distances between UPP areas and precincts."""
    return isp_rj.tidy_distances(_rio("rj_upp_cisp_distance.csv.gz"))


def contiguity() -> pl.LazyFrame:
    """Return touching precincts."""
    return isp_rj.tidy_pairs(_rio("rj_cisp_adjacency.csv"))


def precinct_outlines() -> pl.LazyFrame:
    """Return thinned outlines of the precincts, to draw a map."""
    rings = outlines.tidy_outlines(_rio("rj_cisp_2019.geojson.gz"), "cisp", tolerance=0.0015)
    units = outlines.tidy_codes(_rio("rj_cisp_2019.geojson.gz"), "cisp", "cisp_h")
    padded = pl.col("unit", "precinct").str.zfill(3)
    return rings.rename({"unit": "precinct"}).join(units, on="precinct").with_columns(padded)


def upp_outlines() -> pl.LazyFrame:
    """Return thinned outlines of the UPP areas, to draw a map."""
    rings = outlines.tidy_outlines(_rio("rj_upp_areas.geojson.gz"), "cod_upp", tolerance=0.0002)
    return rings.with_columns(pl.col("unit").str.zfill(2))


def municipality_month() -> pl.LazyFrame:
    """Return recorded crime per municipality of the state of Rio de Janeiro and month."""
    also = {"munic": "name", "region": "region", "fase": "phase"}
    counts = isp_rj.tidy_counts(_rio("rj_munic_month_2014_2024.csv.gz"), "munic_code", also=also)
    return counts.with_columns(
        preliminary=pl.col("phase") != "3",
        police_strike=pl.col("month").is_between(date(2017, 1, 1), date(2017, 3, 1)),
    ).drop("phase")


def policy_events() -> pl.LazyFrame:
    """Return the dated calendar of policing and its confounders in Rio."""
    path = fetch("rio-policy")["events.csv"]
    return compiled.tidy_events(path, dates=["start", "end"], flags=[]).sort("start", "event")


def precinct_day() -> pl.LazyFrame:
    """Return daily crime per precinct around the ban on raids."""
    return trudeau.tidy_crime(fetch("trudeau-precinct-days")["trudeau2022_isp_cisp_day_2020.csv.gz"])


def shootings_day() -> pl.LazyFrame:
    """Return daily crowd-sourced shootings per precinct."""
    path = fetch("trudeau-precinct-days")["trudeau2022_fogocruzado_cisp_day_2019_2020.csv.gz"]
    found = trudeau.tidy_shootings(path)
    days = pl.LazyFrame({"day": pl.date_range(date(2019, 1, 1), date(2020, 12, 20), eager=True)})
    # Eleven days are absent from the file for every precinct: unknown, not quiet.
    return (
        found.select("unit")
        .unique()
        .join(days, how="cross")
        .join(found, on=["unit", "day"], how="left")
        .with_columns(after_cutoff=pl.col("day") >= date(2020, 5, 20), not_collected=pl.col("shootings").is_null())
    )


def state_year() -> pl.LazyFrame:
    """Return homicides per Brazilian state and year."""
    path = fetch("ipea-homicides")["br_state_year_homicides_1989_2022.csv"]
    words = {
        "ipea_projection(Freire2018)": "ipea_projection",
        "census2010": "census",
        "census2022": "census",
        "ibge_estimate2021": "ibge_estimate",
        "geom_interp_census2010_est2021": "interpolated",
    }
    return ipea.tidy_states(path).with_columns(
        pl.col("population_source").replace_strict(words, default=None),
        doubtful_cause=((pl.col("unit") == "RJ") & pl.col("year").is_in([1990, *range(2006, 2011)]))
        | pl.col("year").is_in([2018, 2019]),
    )


def _rio(file: str) -> Path:
    return fetch("isp-rj")[file]


def _cohorts() -> dict[str, pl.Expr]:
    half = pl.when(pl.col("installation").dt.month() <= 6).then(pl.lit("H1")).otherwise(pl.lit("H2"))
    return {
        "cohort": pl.concat_str(pl.col("installation").dt.year().cast(pl.String), half),
        "operation": pl.col("occupation").dt.strftime("%Y-%m"),
    }


def _is_open() -> pl.Expr:
    started = pl.col("month") >= pl.col("installation").dt.truncate("1mo")
    ended = pl.col("month") > pl.col("closure")
    return started & ~ended.fill_null(False)


RECIPES = {
    "rio_precinct_month": precinct_month,
    "rio_upp_month": upp_month,
    "rio_inside_outside_month": inside_outside,
    "rio_upps": upps,
    "rio_upp_precincts": upp_precincts,
    "rio_upp_distances": upp_distances,
    "rio_contiguity": contiguity,
    "rio_precinct_outlines": precinct_outlines,
    "rio_upp_outlines": upp_outlines,
    "rio_municipality_month": municipality_month,
    "rio_policy_events": policy_events,
    "rio_precinct_day": precinct_day,
    "rio_shootings_day": shootings_day,
    "brazil_state_year": state_year,
}
