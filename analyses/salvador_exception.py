"""Claim M03: the state of exception of El Salvador of 2022 against the fall that was under way, by what is counted."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analyses.family import Results, Run
from analyses.forecasts import Forecast, Series, forecast
from analyses.latin_america import country_series, donors
from analyses.standard import (
    POWER_REACH,
    REACH,
    Row,
    attempt,
    checks,
    effect,
    from_spread,
    histogram,
    published_rows,
    rows,
)
from analyses.standard_page import standard_family
from crimepolicy.data import load_panel, load_table
from crimepolicy.estimate import Check
from crimepolicy.inference.placebo import placebo_test
from crimepolicy.report.site import against_expected, number
from crimepolicy.sensitivity.reclassification import reclassification_bounds
from crimepolicy.synth.synthetic_did import synthetic_did

Section = Mapping[str, Any]
Numbers = dict[str, Any]

SECTION = "salvador_exception"
_OWN_FIRST = 1999
_YEAR = 365


# ------------------------------------------------------------------------------------------------------- counts, paths


def counts(section: Section) -> dict[str, float]:
    """Return the counts of 2022 and 2023 a year, from the official number to the longest list."""
    given = section["counts"]
    official = float(given["official_2022"])
    steps = {"official": 0, "gang_members": given["gang_members_2022"], "graves": given["graves_2022"], "custody": given["custody_half_2022"], "missing": given["missing_found_dead_2022"]}  # fmt: skip
    by_year = {f"{name}_2022": official + float(added) for name, added in zip(steps, np.cumsum(list(steps.values())), strict=True)}  # fmt: skip
    counted = given["count_2023"] * _YEAR / given["days_2023"]
    factors = {name.removesuffix("_2022"): value / official for name, value in by_year.items()}
    return by_year | {f"{name}_2023": counted * factor for name, factor in factors.items()} | {"prosecutors_2023": given["half_2023"] * _YEAR / given["half_days_2023"]}  # fmt: skip


def walk(section: Section, ahead: int, base: float | None = None) -> tuple[float, float, float]:
    """Return the deaths that a random walk with the drift since 2015 puts in a later year, with its standard error in logs and degrees of freedom."""
    rate, people = _log_rate(section, base)
    steps = np.diff(rate)
    error = float(steps.std(ddof=1) * np.sqrt(ahead + ahead**2 / len(steps)))
    expected = float(np.exp(rate[-1] + ahead * steps.mean()) * people[section["treatment"]["base"] + ahead])
    return expected, error, float(len(steps) - 1)


def line(section: Section, ahead: int) -> tuple[float, float, float]:
    """Return the same by a straight line through the log rates."""
    rate, people = _log_rate(section, None)
    x = np.arange(len(rate), dtype=float)
    fit = stats.linregress(x, rate)
    at = x[-1] + ahead
    spread = np.sqrt(np.sum((rate - fit.intercept - fit.slope * x) ** 2) / (len(x) - 2))
    error = float(spread * np.sqrt(1 + 1 / len(x) + (at - x.mean()) ** 2 / np.sum((x - x.mean()) ** 2)))
    return float(np.exp(fit.intercept + fit.slope * at) * people[section["treatment"]["base"] + ahead]), error, float(len(x) - 2)  # fmt: skip


def _log_rate(section: Section, base: float | None) -> tuple[np.ndarray[Any, Any], pd.Series]:
    table = load_table("el_salvador_year").set_index("year")
    years = range(section["trend"]["first_year"], section["treatment"]["base"] + 1)
    deaths = table.loc[years, "homicides"].astype(float)
    if base is not None:
        deaths[section["treatment"]["base"]] = base
    return np.log(deaths / table.loc[years, "population"]).to_numpy(), table["population"].astype(float)


def among_countries(section: Section, ahead: int, deaths: float, *, base: int | None = None) -> Forecast:
    """Return the forecast among countries for a later year with a given count of deaths."""
    series = _with_counts(section, {section["treatment"]["base"] + ahead: deaths})
    start = section["treatment"]["base"]
    own = [b for b in range(_OWN_FIRST, start) if b + ahead <= start and b != base]
    return forecast(series, section["data"]["unit"], start if base is None else base, (ahead, ahead), own=own)


def _with_counts(section: Section, given: Mapping[int, float]) -> Series:
    series = country_series(section)
    table = series.counts.copy()
    for year, deaths in given.items():
        table.loc[section["data"]["unit"], year] = deaths
    return replace(series, counts=table)


# -------------------------------------------------------------------------------------------------------------- effects


def effect_numbers(run: Run) -> Numbers:
    """Return every row: the deciding ones, by what is counted, by base, other dates and other models."""
    section = run.section
    every = counts(section)
    named = {f"year_{year}": _decision(section, every[f"custody_{year}"], year, f"{year}, killings added back") for year in (2022, 2023)}  # fmt: skip
    for year in (2022, 2023):
        named[f"countries_{year}"] = among_countries(section, year - 2021, every[f"custody_{year}"]).row(f"{year}, forecast among countries")  # fmt: skip
    words = {"official": "official number", "gang_members": "and alleged gang members", "graves": "and graves", "missing": "and missing found dead", "prosecutors": "number of the prosecutors"}  # fmt: skip
    for key, deaths in every.items():
        name, year = key.rsplit("_", 1)
        if name in words:
            named[key] = _decision(section, deaths, int(year), f"{year}: {words[name]}", group="outcome")
    for base in section["counts"]["base_other"]:
        named[f"base_{base}"] = _decision(section, every["custody_2023"], 2023, f"2023: base {base:,}", base=base, group="specification")  # fmt: skip
    for base in (2016, 2017, 2018, 2019):
        seen = float(country_series(section).counts.loc[section["data"]["unit"], base + 2])
        found = _earlier(section, base, seen)
        named[f"from_{base + 1}"] = found.row(f"As if in {base + 1}, second year", group="placebo")
    named |= {f"line_{year}": _line_row(section, every[f"custody_{year}"], year) for year in (2022, 2023)}
    return rows(**named, **_synthetic_rows(section))


def _earlier(section: Section, base: int, seen: float) -> Forecast:
    series = country_series(section)
    own = [b for b in range(_OWN_FIRST, section["treatment"]["base"]) if b + 2 <= section["treatment"]["base"] and b != base]  # fmt: skip
    return forecast(series, section["data"]["unit"], base, (2, 2), own=own)


def _decision(section: Section, deaths: float, year: int, label: str, *, base: float | None = None, group: str = "main") -> Row:  # fmt: skip
    """Return the ratio to the random walk, with the widest of three intervals."""
    ahead = year - section["treatment"]["base"]
    expected, error, df = walk(section, ahead, base)
    gap = float(np.log(deaths / expected))
    reach = float(stats.t.ppf(0.975, df)) * error
    other = among_countries(section, ahead, deaths)
    low, high = other.interval
    low, high = min(gap - reach, gap + low - other.gap), max(gap + reach, gap + high - other.gap)
    p = float(2 * stats.t.sf(abs(gap) / error, df))
    found = {"observed": deaths, "expected": expected, "p_value": p, "detectable": float(np.exp((high - low) / 2 / REACH * POWER_REACH))}  # fmt: skip
    return effect(label, *np.exp([gap, low, high]).tolist(), group=group, how="the widest of random walk, other countries, own errors; p of the walk", **found)  # fmt: skip


def _line_row(section: Section, deaths: float, year: int) -> Row:
    expected, error, df = line(section, year - section["treatment"]["base"])
    gap, reach = float(np.log(deaths / expected)), float(stats.t.ppf(0.975, df)) * error
    ends = np.exp([gap, gap - reach, gap + reach]).tolist()
    return effect(f"{year}: straight line since 2015", *ends, group="specification", how="prediction interval of the line", detectable=float(np.exp(reach / REACH * POWER_REACH)), p_value=float(2 * stats.t.sf(abs(gap) / error, df)))  # fmt: skip


def donor_names(section: Section) -> list[str]:
    """Return the donors of synthetic difference in differences 2010-2022."""
    return donors(country_series(section), section["data"]["unit"], (2010, 2022), (2017, 2022), 2022)


def _synthetic_rows(section: Section) -> dict[str, Row]:
    given = counts(section)
    shares = [1 - given["official_2022"] / given[f"{name}_2022"] for name in ("official", "gang_members", "graves", "custody", "missing")]  # fmt: skip
    unit = section["data"]["unit"]
    accept = {"definition_changed": "the share that is no longer counted is varied"}
    panel = load_panel(section["data"]["panel"], start="2010", end="2022", units=[*donor_names(section), unit], accept=accept).treat([unit], at=2022)  # fmt: skip
    estimate = synthetic_did(panel, scale="log", variance="none")
    null = placebo_test(estimate, "space", statistic="gap", treated="drop").null
    assert null is not None
    spread = float(np.sqrt(np.mean(np.square(null["att"].dropna()))))
    frame = reclassification_bounds(estimate, shares=shares).frame

    def row(value: float) -> Row:
        return from_spread("", value, spread, how=f"the same on each of {len(null)} donors")

    values = frame["estimate"].to_list()
    return {f"sdid_{k}": attempt(f"2022: SDiD, {share:.0%} not counted", lambda value=value: row(value)) for k, (share, value) in enumerate(zip(shares, values, strict=True))}  # fmt: skip


def check_numbers(run: Run) -> Numbers:
    """Return by how much the count would have to be too low for the fall beyond the trend to vanish."""
    section = run.section
    every = counts(section)
    factors = {f"factor_that_undoes_{year}": walk(section, year - 2021)[0] / every[f"official_{year}"] for year in (2022, 2023)}  # fmt: skip
    found = among_countries(section, 2, every["custody_2023"])
    return {**factors, "factor_listed": every["custody_2022"] / every["official_2022"], "own_ratio": found.own_spread / float(found.errors.std())}  # fmt: skip


def sample_numbers(run: Run) -> Numbers:
    """Return what is counted and who is compared."""
    section = run.section
    found = among_countries(section, 2, counts(section)["custody_2023"])
    names = donor_names(section)
    flow = [
        {"step": "countries with counts", "left_out": 0, "kept": len(country_series(section).counts)},
        {"step": "donors: every count 2010-2022, no flag, no event 2017-2022, 100 deaths a year", "left_out": len(country_series(section).counts) - 1 - len(names), "kept": len(names)},
        {"step": "countries in the reference of the forecast two years ahead", "left_out": 0, "kept": found.places},
        {"step": "windows of them", "left_out": 0, "kept": len(found.errors)},
    ]  # fmt: skip
    every = counts(section)
    treated = [{"count": key.replace("_", " "), "deaths a year": float(value)} for key, value in every.items()]
    check = check_numbers(run)
    texts = [
        Check("own_errors", None, None, f"El Salvador's own errors are {check['own_ratio']:.2f} times the spread of the reference; they are in the deciding interval."),
        Check("same_count", bool(check["factor_that_undoes_2023"] > check["factor_listed"]), None, f"The count of 2023 would have to be {check['factor_that_undoes_2023']:.2f} times too low to leave no fall beyond the trend; the list of 2022 makes it {check['factor_listed']:.2f}."),
        Check("donors", None, None, f"Donors: {', '.join(names)}."),
    ]  # fmt: skip
    return {"flow": flow, "treated": treated, "checks": checks(texts)}


# -------------------------------------------------------------------------------------------------------------- figures


def series_numbers(run: Run) -> Numbers:
    """Return the rate as counted, with killings added back, and as the walk goes on."""
    section = run.section
    table = load_table("el_salvador_year").set_index("year")
    years = list(range(2009, 2024))
    people, every = table["population"].astype(float), counts(section)
    official = table["homicides"].astype(float)
    official[2022], official[2023] = every["official_2022"], every["official_2023"]
    base = section["treatment"]["base"]
    lines = {
        "counted": official.to_dict(),
        "added back": {year: every[f"custody_{year}"] for year in (2022, 2023)},
        "fall goes on": {base: official[base], **{base + k: walk(section, k)[0] for k in (1, 2)}},
    }
    drawn = {name: [float(1e5 * values[y] / people[y]) if y in values else None for y in years] for name, values in lines.items()}  # fmt: skip
    return {"panels": [{"title": "Homicides per 100,000 inhabitants and year", "ylabel": "rate", "x": years, "series": drawn, "marks": [[2012.2, "truce"], [2019.5, "plan"], [2022.2, "exception"]]}]}  # fmt: skip


def null_numbers(run: Run) -> Numbers:
    """Return the errors of forecasts two years ahead among untouched countries."""
    found = among_countries(run.section, 2, counts(run.section)["custody_2023"])
    return {"panels": [histogram("The second year after a base year without events", found.errors.tolist(), found.gap, found.p_value)]}  # fmt: skip


def _remarks(results: Results) -> tuple[str, ...]:
    found, check = results[f"{SECTION}_effects"]["rows"], results[f"{SECTION}_checks"]
    first, second = found["year_2022"], found["year_2023"]
    earlier = [row for row in found.values() if row["group"] == "placebo"]
    rare = sum(row["p_value"] <= 0.05 for row in earlier)
    return (
        f"With the listed killings added back, 2022 counts {number(first['observed'])} where the fall since 2015 would have brought {number(first['expected'])} ({against_expected(first['value'])}); 2023, by the year, {number(second['observed'])} against {number(second['expected'])} ({against_expected(second['value'])}).",
        f"The official number would have to be {number(check['factor_that_undoes_2022'])} times too low in 2022, and {number(check['factor_that_undoes_2023'])} times in 2023, for nothing to be left beyond the trend; the list for 2022 makes it {number(check['factor_listed'])}.",
        f"Dated to an earlier year, {rare} of {len(earlier)} starts that there were not stand out among other countries as much as one in twenty forecasts does: El Salvador fell before, with other plans and pacts, and the forecast among countries alone cannot tell this fall from those.",
    )


FAMILY = standard_family(
    claim="M03",
    section=SECTION,
    numbers={
        "sample": sample_numbers,
        "checks": check_numbers,
        "effects": effect_numbers,
        "series": series_numbers,
        "null": null_numbers,
        "published": lambda run: published_rows("M03"),
    },
    modules=("forecasts", "latin_america", "salvador_exception"),
    tables=("latam_country_year", "el_salvador_year", "truces", "crackdowns", "published_estimates"),
    remarks=_remarks,
)
