"""Latin American countries by year: which counts may be used, which years are touched by events, which countries are donors."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analyses.forecasts import Series
from crimepolicy.data import load_panel, load_table
from crimepolicy.panel import Panel

Section = Mapping[str, Any]

_SCALES = ("national", "city", "metro", "prisons")


def country_series(section: Section, **rules: Any) -> Series:
    """Return homicides of countries by year under the protocol of a section, without flagged cells and touched years marked."""
    data = section["data"]
    table = load_table(data["panel"])
    years = range(data["first_year"], data["last_year"] + 1)
    table = table[table["year"].isin(years)]
    kept = ~_flags(table, data)
    frames = {
        name: values.pivot(index="unit", columns="year", values=name).reindex(columns=years).astype(float)
        for name, values in (("homicides", table[kept]), ("population", table))
    }
    counts = frames["homicides"].dropna(how="all")
    marked = touched(section, list(counts.index), years)
    return Series(counts, frames["population"].loc[counts.index], marked, {**section["protocol"], **rules})


def flagged(section: Section) -> int:
    """Return how many counts are left out because of a flag."""
    data = section["data"]
    table = load_table(data["panel"]).query("@data['first_year'] <= year <= @data['last_year']")
    return int((_flags(table, data) & table["homicides"].notna()).sum())


def _flags(table: pd.DataFrame, data: Section) -> pd.Series:
    """Return the counts that are left out: the treated country keeps those that its publisher has revised since."""
    revised = table["rewritten_value"] & (table["unit"] == data.get("unit"))
    return table[data["flags_left_out"]].any(axis=1) & ~revised


def touched(section: Section, countries: Sequence[str], years: range) -> pd.DataFrame:
    """Return which countries had a truce or a crackdown of their own in which years, from the event tables."""
    rules = section["controls"]
    marked = pd.DataFrame(False, index=pd.Index(countries, name="unit"), columns=list(years))
    for event in events(section).to_dict("records"):
        first = event["start"].year
        last = first + rules["unknown_end_years"] if pd.isna(event["end"]) else event["end"].year
        marked.loc[marked.index == event["iso3"], [y for y in years if first <= y <= last]] = True
    for country, (first, last) in rules["years_touched"].items():
        marked.loc[marked.index == country, [y for y in years if first <= y <= last]] = True
    return marked


def events(section: Section) -> pd.DataFrame:
    """Return the truces and crackdowns that touch a whole country: iso3, start, end, event."""
    rules = section["controls"]
    truces = load_table("truces")
    truces = truces[truces["scale"].isin(_SCALES)]
    crackdowns = load_table("crackdowns").assign(scale="crackdown")
    listed = pd.concat([truces, crackdowns])[["event", "iso3", "start", "end", "scale"]]
    listed = listed.assign(start=pd.to_datetime(listed["start"]), end=pd.to_datetime(listed["end"]))
    local = listed["iso3"].isin(rules["large"]) & (listed["scale"] != "national")
    return listed[listed["start"].notna() & ~local & ~listed["event"].isin(rules["aside"])].reset_index(drop=True)


def donor_panel(donors: Sequence[str], treated: str, years: tuple[int, int], at: int) -> Panel:
    """Return a panel of one country treated from `at` on and its donors."""
    units = [*sorted(donors), treated]
    panel = load_panel("latam_country_year", start=str(years[0]), end=str(years[1]), units=units)
    return panel.treat([treated], at=at)


def donors(series: Series, treated: str, years: tuple[int, int], untouched: tuple[int, int], before: int) -> list[str]:
    """Return countries with every count of `years`, untouched, with at least the minimum of deaths a year before `before`."""
    span = list(range(years[0], years[1] + 1))
    complete = series.counts[span].notna().all(axis=1)
    calm = ~series.touched[list(range(untouched[0], untouched[1] + 1))].any(axis=1)
    large = series.counts[[y for y in span if y < before]].mean(axis=1) >= series.rules["minimum"]
    return [str(unit) for unit in series.counts.index[complete & calm & large] if unit != treated]
