"""Claim T04: the four cases of talks that the report names, by one protocol."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pandas as pd

from analyses.cities import block_series
from analyses.family import Results, Run
from analyses.forecasts import Forecast, Series, forecast
from analyses.settings import plan
from analyses.standard import Row, attempt, checks, histogram, published_rows, rows
from analyses.standard_page import standard_family
from analyses.truces import TWO_YEARS, city_case, country_case
from crimepolicy.data import load_table
from crimepolicy.errors import DesignError
from crimepolicy.estimate import Check
from crimepolicy.report.site import against_expected

Section = Mapping[str, Any]
Numbers = dict[str, Any]

SECTION = "dialogue"
METRO = "Monterrey"


def metro_series(section: Section, month: str, *, core: bool = False) -> Series:
    """Return Mexican municipalities in blocks of twelve months around one month, the metropolitan area of Monterrey as one."""
    table, data = _municipalities(), section["data"]
    inside = table["unit"].isin(["19039"] if core else section["treatment"]["metro"])
    metro = table[inside].groupby("month", as_index=False)[["homicides", "population"]].sum().assign(unit=METRO)
    others = table[~table["unit"].isin(section["treatment"]["metro"])]
    return block_series(pd.concat([others, metro]), month, section["protocol"], outside=[METRO], last=data["end"])


@cache
def _municipalities() -> pd.DataFrame:
    """Return Mexican municipalities that come near the least count at some time. Kept for one process."""
    data = plan().section(SECTION)["data"]
    table = load_table(data["municipalities"], columns=["unit", "month", "homicides", "population"])
    table = table[pd.to_datetime(table["month"]) >= data["start"]]
    metro = table["unit"].isin(plan().section(SECTION)["treatment"]["metro"])
    yearly = table.groupby(["unit", pd.to_datetime(table["month"]).dt.year])["homicides"].sum()
    large = yearly.groupby("unit").max()
    near = table["unit"].isin(large.index[large >= plan().section(SECTION)["protocol"]["minimum"] / 2])
    return table[near | metro].reset_index(drop=True)


def monterrey(section: Section, month: str, *, core: bool = False) -> Forecast:
    """Return the metropolitan area after a month, with its own errors before."""
    series = metro_series(section, month, core=core)
    return forecast(series, METRO, 0, TWO_YEARS, own=[b for b in range(-15, 0) if b + TWO_YEARS[1] <= 0])


def cases(section: Section) -> dict[str, Row]:
    """Return the four cases; the one without counts says so."""
    truces = plan().section("truces")
    return {
        "slv_2012": attempt("El Salvador 2012", lambda: country_case(truces, "SLV-2012", TWO_YEARS).row(""), group="main"),
        "ecu_2007": attempt("Ecuador 2007", lambda: _uncomputed(truces), group="main"),
        "monterrey": attempt("Monterrey 2012", lambda: monterrey(section, section["treatment"]["metro_month"]).row(""), group="main"),
        "bun_2022": attempt("Buenaventura 2022", lambda: city_case(truces, "COL-BUN-2022", TWO_YEARS).row(""), group="main"),
    }  # fmt: skip


def _uncomputed(truces: Section) -> Row:
    raise DesignError(f"Ecuador: {truces['treatment']['left_out']['ECU-2007']}.")


def effect_numbers(run: Run) -> Numbers:
    """Return the four cases, the middle one, and other readings of Monterrey."""
    section = run.section
    found = cases(section)
    done = sorted((row for row in found.values() if row["value"] is not None), key=lambda row: row["value"])
    middle = done[len(done) // 2]
    other = {
        entry["name"]: attempt(_SHORT[entry["name"]], lambda entry=entry: monterrey(section, entry.get("month", section["treatment"]["metro_month"]), core=entry.get("core", False)).row(""))
        for entry in section["specification"]
    }  # fmt: skip
    return rows(**found, middle=middle | {"label": f"Middle: {middle['label']}"}, **other)


_SHORT = {"monterrey_2013": "Monterrey from 2013", "monterrey_core": "Monterrey, core"}


def check_numbers(run: Run) -> Numbers:
    """Return how many cases fell by more than chance, and how many may have."""
    limit = run.section["identification"]["maximum_p"]
    found = list(cases(run.section).values())
    fell = sum(row["value"] is not None and row["value"] < 1 and row["p_value"] <= limit for row in found)
    unknown = sum(row["value"] is None for row in found)
    return {"fell": fell, "fell_or_unknown": fell + unknown, "cases": len(found)}


def sample_numbers(run: Run) -> Numbers:
    """Return the cases and what is known of each."""
    section, found = run.section, cases(run.section)
    done = [row for row in found.values() if row["value"] is not None]
    flow = [
        {"step": "cases that the report names", "left_out": 0, "kept": len(found)},
        {"step": "with counts before and after", "left_out": len(found) - len(done), "kept": len(done)},
        {"step": "with a dated act (Monterrey has none)", "left_out": 1, "kept": len(done) - 1},
    ]
    treated = [{"case": row["label"], "homicides": row.get("observed"), "forecast": row.get("expected"), "p": row["p_value"]} for row in found.values()]  # fmt: skip
    metro = metro_series(section, section["treatment"]["metro_month"])
    text = f"Monterrey is compared with {int((~metro.touched.any(axis=1)).sum())} Mexican municipalities that had at least {section['protocol']['minimum']} homicides in some twelve months."  # fmt: skip
    return {"flow": flow, "treated": treated, "checks": checks([Check("monterrey_reference", None, None, text)])}


def series_numbers(run: Run) -> Numbers:
    """Return Monterrey in blocks of twelve months."""
    counts = metro_series(run.section, run.section["treatment"]["metro_month"]).counts.loc[METRO].dropna()
    years = [2011 + int(block) for block in counts.index]
    return {"panels": [{"title": "Metropolitan area of Monterrey: homicides a year", "ylabel": "deaths", "x": years, "series": {METRO: counts.tolist()}, "marks": [[2011.5, "as if"]]}]}  # fmt: skip


def null_numbers(run: Run) -> Numbers:
    """Return the errors behind Monterrey."""
    found = monterrey(run.section, run.section["treatment"]["metro_month"])
    return {"panels": [histogram("Monterrey 2012 among Mexican municipalities", found.errors.tolist(), found.gap, found.p_value)]}  # fmt: skip


def _remarks(results: Results) -> tuple[str, ...]:
    found, check = results[f"{SECTION}_effects"]["rows"], results[f"{SECTION}_checks"]
    done = [found[name] for name in ("slv_2012", "monterrey", "bun_2022") if found[name]["value"] is not None]
    listed = "; ".join(f"{row['label']} {against_expected(row['value'])}" for row in done)
    return (
        f"{check['fell']} of {check['cases']} cases show a fall that chance seldom brings, {check['cases'] - len(done)} cannot be computed. {listed}.",
    )


FAMILY = standard_family(
    claim="T04",
    section=SECTION,
    numbers={
        "sample": sample_numbers,
        "checks": check_numbers,
        "effects": effect_numbers,
        "series": series_numbers,
        "null": null_numbers,
        "published": lambda run: published_rows("T04"),
    },
    modules=("cities", "dialogue", "forecasts", "latin_america", "truces"),
    reads=("truces",),
    tables=(
        "truces",
        "crackdowns",
        "latam_country_year",
        "colombia_municipality_month",
        "medellin_comuna_month",
        "mexico_municipality_month",
        "published_estimates",
    ),
    remarks=_remarks,
)
