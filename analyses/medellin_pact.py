"""Claim T05: the fall of homicides in Medellin under Don Berna, beside other cities and in its own yearly figures."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analyses.colombia import KINDS, Cities, city_names, city_sample, quarterly_path, rank_test, ranked_row, rate_series
from analyses.family import Run
from analyses.standard import Row, attempt, checks, effect, histogram, published_rows, rows
from analyses.standard_page import standard_family
from crimepolicy.data import load_table

SECTION = "medellin_pact"

Numbers = dict[str, Any]
Plan = Mapping[str, Any]

_MEDELLIN = "05001"


def sample(section: Plan, change: Mapping[str, Any] | None = None) -> Cities:
    """Return Medellin and its comparison cities, with one thing changed."""
    change = dict(change or {})
    cities = city_sample(section, change)
    if "minimum_rate" not in change:
        return cities
    panel = cities.panel
    assert panel.population is not None
    year = pd.PeriodIndex(panel.periods).year == section["main"]["pact_year"]
    rate = 100_000 * panel.Y[:, year].sum(axis=1) / panel.population[:, year].mean(axis=1)
    return Cities(panel.keep(panel.units[(rate >= change["minimum_rate"]) | panel.D.any(axis=1)]), cities.flow)


def yearly(section: Plan) -> pd.Series:
    """Return the homicides of Medellin by year in the source of the plan."""
    table = load_table(section["data"]["yearly"])
    chosen = (table["series"] == section["data"]["yearly_series"]) & (table["period"] == "year")
    return table[chosen].set_index("year")["homicides"].sort_index()


def fall_shares(section: Plan, *, deaths: bool = False) -> Numbers:
    """Return the parts of the fall from the record, in logs or in deaths a year: to 2002, in 2003, and after."""
    counts, main = yearly(section).astype(float), section["main"]
    counts = counts if deaths else np.log(counts)
    points = [counts[main[key]] for key in ("record_year", "before_year", "pact_year", "end_year")]
    whole = points[0] - points[-1]
    names = ("to_2002", "in_2003", "after_2003")
    return {name: float((a - b) / whole) for name, a, b in zip(names, points, points[1:], strict=False)}


def sample_numbers(run: Run) -> Numbers:
    """Return the cities compared and how long they are seen before."""
    cities, counts, main = sample(run.section), yearly(run.section), run.section["main"]
    before = counts[(counts.index >= main["record_year"]) & (counts.index < main["pact_year"])]
    calendar = load_table("calendar_colombia")
    local = calendar[(calendar["unit"] == _MEDELLIN) & (calendar["date"].dt.year <= main["end_year"])]
    listed = [
        {"date": f"{row['date']:%Y-%m-%d}", "event": row["name"], "confirmed": row["confirmed"]}
        for row in local.to_dict("records")
    ]
    return {
        "flow": cities.flow,
        "treated": listed,
        "comparison": [city_names()[str(unit)] for unit in cities.panel.units if str(unit) != _MEDELLIN],
        "months_before": int(cities.panel.first_treated.min()),
        "years_before": len(before),
        "fall": fall_shares(run.section),
        "record": int(counts[main["record_year"]]),
        "before": int(counts[main["before_year"]]),
        "pact": int(counts[main["pact_year"]]),
        "end": int(counts[main["end_year"]]),
        "checks": checks(cities.panel.checks),
        "panel": cities.panel.digest,
    }


def effect_numbers(run: Run) -> Numbers:
    """Return the windows beside other cities, the part of the fall after 2003, and every specification."""
    decides = run.section["main"]["decides"]
    found = rank_test(sample(run.section).panel, run.section["main"]["windows"], draws=run.draws, seed=run.seed)
    parts = {name: _counted(label, fall_shares(run.section, deaths=deaths)["after_2003"]) for name, label, deaths in _PARTS}  # fmt: skip
    years = {
        name: ranked_row(name.removeprefix("y"), found, name, group="window")
        for name in ("y2004", "y2005", "y2006", "y2007")
    }
    specifications = {
        entry["name"]: attempt(entry["label"], lambda entry=entry: _specification(run, entry))
        for entry in run.section["specification"]
    }
    return rows(
        main=ranked_row("2004 to 2007", found, decides),
        **parts,
        **years,
        **specifications,
    )


_PARTS = (
    ("after_pact", "Part of the fall of 1991-2007 that came after 2003, in logs", False),
    ("after_pact_deaths", "The same in deaths a year", True),
)


def _counted(label: str, part: float) -> dict[str, Any]:
    return effect(label, part, part, part, scale="level", how="counted")


def _specification(run: Run, change: Mapping[str, Any]) -> Row:
    decides = run.section["main"]["decides"]
    span = {decides: run.section["main"]["windows"][decides]}
    found = rank_test(sample(run.section, change).panel, span, draws=run.draws, seed=run.seed)
    return ranked_row(change["label"], found, decides)


def series_numbers(run: Run) -> Numbers:
    """Return Medellin year by year from 1990, and rates by quarter beside the other cities."""
    counts = yearly(run.section)
    x, lines = rate_series(sample(run.section).panel.aggregate("quarter"), {"Medellin, police": [_MEDELLIN]})
    marks = [[2002.79, "Operation Orion"], [2003.9, "demobilisation"], [2008.37, "extradition"]]
    return {
        "panels": [
            {"title": "Medellin by year, police of the time", "ylabel": "homicides", "x": counts.index.tolist(), "series": {"Medellin": counts.astype(float).tolist()}, "marks": marks},
            {"title": "By quarter", "ylabel": "per 100,000 and year", "x": x, "series": lines, "marks": [marks[1]]},
        ]
    }  # fmt: skip


def path_numbers(run: Run) -> Numbers:
    """Return the ratio by three months around the demobilisation."""
    first, last = run.section["main"]["quarters"]
    path = quarterly_path(sample(run.section).panel, first, last, width=3, draws=run.draws, seed=run.seed)
    return {"panels": [{"title": "Medellin", "xlabel": "Three months each, from December 2003", **path}]}


def null_numbers(run: Run) -> Numbers:
    """Return the studentised log ratios of the comparison cities beside that of Medellin."""
    decides = run.section["main"]["decides"]
    found = rank_test(sample(run.section).panel, run.section["main"]["windows"], draws=run.draws, seed=run.seed)
    observed, values = found.log[decides] / found.noise, found.studentised[decides].tolist()
    panel = histogram("2004 to 2007: log ratio over the noise before", values, observed, found.p_value(decides), scale="level")  # fmt: skip
    return {"panels": [panel]}


def remarks(results: Mapping[str, Any]) -> tuple[str, ...]:
    """Return when Medellin's homicides fell, by its own yearly figures."""
    found, parts = results[f"{SECTION}_sample"], results[f"{SECTION}_effects"]["rows"]
    fall = found["fall"]
    return (
        f"By the police of the time Medellin had {found['record']:,} homicides in 1991, {found['before']:,} in 2002, {found['pact']:,} in 2003 and {found['end']:,} in 2007. Of the fall from the record (in logs) {fall['to_2002']:.0%} came by 2002, {fall['in_2003']:.0%} from 2002 to 2003, between Operation Orion and the demobilisation, and {fall['after_2003']:.0%} after; in deaths a year, {parts['after_pact_deaths']['value']:.0%} came after 2003. Whether that is most of the fall hangs on the scale.",
        f"Other cities are seen for {found['months_before']} months before the demobilisation, all of them after Operation Orion.",
        "What happened when the boss was taken away in 2008 is judged as claim K05.",
    )


FAMILY = standard_family(
    claim="T05",
    section=SECTION,
    numbers={
        "sample": sample_numbers,
        "series": series_numbers,
        "path": path_numbers,
        "effects": effect_numbers,
        "null": null_numbers,
        "published": lambda run: published_rows("T05", "K05"),
    },
    modules=("colombia", "medellin_pact"),
    tables=(
        "colombia_municipality_month",
        "colombia_contiguity",
        "medellin_homicides_by_source",
        "calendar_colombia",
        "published_estimates",
    ),
    remarks=remarks,
    kinds=KINDS,
)
