"""Claim M02: Ecuador after the declaration of an internal armed conflict of January 2024."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analyses.family import Results, Run
from analyses.forecasts import Forecast, Series, forecast
from analyses.latin_america import country_series, flagged
from analyses.standard import POWER_REACH, Row, attempt, checks, effect, histogram, published_rows, rows
from analyses.standard_page import standard_family
from crimepolicy.data import load_table
from crimepolicy.estimate import Check
from crimepolicy.report.site import against_expected, number

Section = Mapping[str, Any]
Numbers = dict[str, Any]

SECTION = "ecuador_conflict"
_OWN = range(2011, 2023)


def ecuador_series(section: Section, **rules: Any) -> Series:
    """Return the countries with the counts of the ministry for Ecuador in 2023 and 2024."""
    series = country_series(section, **rules)
    ministry = load_table(section["data"]["years"]).set_index("year")
    counts, people = series.counts.copy(), series.population.copy()
    for year in (2023, 2024):
        counts.loc["ECU", year] = float(ministry["homicides"][year])
        people.loc["ECU", year] = float(ministry["population"][year])
    touched = series.touched.reindex(columns=counts.columns, fill_value=False)
    return replace(series, counts=counts, population=people, touched=touched)


def year_forecast(section: Section, **rules: Any) -> Forecast:
    """Return 2024 against the forecast from 2023, with Ecuador's own errors of one year ahead."""
    return forecast(ecuador_series(section, **rules), "ECU", section["treatment"]["base"], (1, 1), own=list(_OWN))


def period(section: Section, row: int) -> tuple[float, float]:
    """Return homicides and days of one period that the press quoted."""
    listed = load_table(section["data"]["periods"]).set_index("count_id").loc[row]
    days = (pd.Timestamp(listed["end"]) - pd.Timestamp(listed["start"])).days + 1
    return float(listed["homicides"]), float(days)


def last_year(section: Section) -> tuple[float, float]:
    """Return homicides and days of 2025 up to the last month that is counted."""
    cantons = load_table(section["data"]["cantons"])
    months = pd.to_datetime(cantons["month"])
    inside = (months >= "2025-01") & (months <= section["windows"]["last_2025"])
    end = pd.Period(section["windows"]["last_2025"]).end_time
    return float(cantons.loc[inside, "homicides"].sum()), float((end - pd.Timestamp("2025-01-01")).days + 1)


# -------------------------------------------------------------------------------------------------------------- effects


def effect_numbers(run: Run) -> Numbers:
    """Return the first half-year, the return, periods of the press and provinces."""
    section, windows = run.section, run.section["windows"]
    found = year_forecast(section)
    half, days = period(section, windows["half_2024"])
    named = {
        "first_half": _half(section, found).row("January to June 2024"),
        "return": _return(section, last_year(section), (half, days), "2025, against first half of 2024", group="main"),
        "winter": _return(section, _months(section, "2025-01", "2025-02"), period(section, windows["winter_2024"]), "January, February: 2025 to 2024"),
        "against_2023": _return(section, last_year(section), _whole(section, 2023), "2025, against 2023"),
        "no_change": _return(section, (half, days), period(section, windows["half_2023"]), "January to June: 2024 to 2023", group="specification"),
        "january": _return(section, period(section, windows["january_2024"]), period(section, windows["january_2023"]), "10 to 24 January: 2024 to 2023"),
        "peak": _return(section, period(section, windows["january_2024"]), period(section, windows["first_week_2024"]), "10 to 24 January to the first week"),
        "year": found.row("2024 as a whole", group="specification"),
        "at_least_300": attempt("2024: 300 homicides or more", lambda: year_forecast(section, minimum=300).row("")),
    }  # fmt: skip
    for before, after in windows["provinces_2023_2024"]:
        area = str(load_table(section["data"]["periods"]).set_index("count_id").loc[after, "area"])
        named[f"province_{after}"] = _province(section, before, after, area)
    return rows(**named)


def _half(section: Section, found: Forecast) -> Forecast:
    """Return the forecast of the year turned into one of its first half."""
    seen, days = period(section, section["windows"]["half_2024"])
    expected = found.expected * days / 366
    return replace(found, gap=float(np.log(seen / expected)), observed=seen, expected=expected)


def _months(section: Section, first: str, last: str) -> tuple[float, float]:
    cantons = load_table(section["data"]["cantons"])
    months = pd.to_datetime(cantons["month"]).dt.to_period("M").astype(str)
    days = sum(month.days_in_month for month in pd.period_range(first, last, freq="M"))
    return float(cantons.loc[months.between(first, last), "homicides"].sum()), float(days)


def _whole(section: Section, year: int) -> tuple[float, float]:
    return float(load_table(section["data"]["years"]).set_index("year")["homicides"][year]), 366.0 if year % 4 == 0 else 365.0  # fmt: skip


def yearly_changes(section: Section) -> np.ndarray[Any, Any]:
    """Return the log changes of one year of untouched countries of like size, against which a change of pace is held."""
    series = ecuador_series(section, terms=[])
    return forecast(series, "ECU", section["treatment"]["base"], (1, 1)).errors


def _return(section: Section, after: tuple[float, float], before: tuple[float, float], label: str, *, group: str = "window") -> Row:  # fmt: skip
    """Return the ratio of daily counts, with what a year changes elsewhere as its uncertainty."""
    changes = yearly_changes(section)
    gap = float(np.log(after[0] / after[1] / (before[0] / before[1])))
    low, high = np.quantile(changes, [0.025, 0.975])
    ends = np.exp([gap, gap - high, gap - low]).tolist()
    p = float((1 + (np.abs(changes) >= abs(gap)).sum()) / (1 + len(changes)))
    found = {"observed": after[0], "expected": before[0] / before[1] * after[1], "per_day_after": after[0] / after[1], "per_day_before": before[0] / before[1]}  # fmt: skip
    return effect(label, *ends, detectable=float(np.exp(POWER_REACH * changes.std())), group=group, how=f"{len(changes)} yearly changes of untouched countries", p_value=p, **found)  # fmt: skip


def _province(section: Section, before: int, after: int, area: str) -> Row:
    """Return the ratio of one province's counts with Poisson noise alone; provinces of the later decree, for information."""
    (new, _), (old, _) = period(section, after), period(section, before)
    gap, error = float(np.log(new / old)), float(np.sqrt(1 / new + 1 / old))
    ends = np.exp([gap, gap - 1.96 * error, gap + 1.96 * error]).tolist()
    return effect(f"{area}, nine months, 2024 to 2023", *ends, detectable=float(np.exp(POWER_REACH * error)), group="place", how="noise of the counts alone", observed=new, expected=old)  # fmt: skip


def check_numbers(run: Run) -> Numbers:
    """Return whether one-year forecasts have been as good for Ecuador as for the reference."""
    found = year_forecast(run.section)
    return {"own_ratio": found.own_spread / float(found.errors.std()), "own_errors": len(found.own), "places": found.places}  # fmt: skip


def sample_numbers(run: Run) -> Numbers:
    """Return the reference and what is known of Ecuador."""
    section = run.section
    found, series, check = year_forecast(section), ecuador_series(section), check_numbers(run)
    reported = int(series.counts.notna().sum().sum())
    flow = [
        {"step": "country-years with a count that is not flagged", "left_out": flagged(section), "kept": reported},
        {"step": "windows of five years before and one after, untouched, of like size", "left_out": reported - len(found.errors), "kept": len(found.errors)},
        {"step": "countries in them", "left_out": len(series.counts) - found.places, "kept": found.places},
    ]  # fmt: skip
    listed = load_table(section["data"]["periods"]).to_dict("records")
    treated = [{"area": str(e["area"]), "first day": str(e["start"]), "last day": str(e["end"]), "homicides": int(e["homicides"])} for e in listed]  # fmt: skip
    limit = section["identification"]["own_ratio_maximum"]
    text = f"Ecuador's own errors 2011-2022 are {check['own_ratio']:.2f} times the spread of the reference (at most {limit})."  # fmt: skip
    return {"flow": flow, "treated": treated, "checks": checks([Check("own_errors", bool(check["own_ratio"] <= limit), check["own_ratio"], text)])}  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- figures


def series_numbers(run: Run) -> Numbers:
    """Return homicides a day by year, by half-year where known, and by month in 2025 and 2026."""
    section, windows = run.section, run.section["windows"]
    ministry = load_table(section["data"]["years"]).set_index("year")["homicides"]
    years = [int(year) for year in ministry.index]
    cantons = load_table(section["data"]["cantons"])
    monthly = cantons.assign(month=pd.to_datetime(cantons["month"]).dt.to_period("M")).groupby("month")["homicides"].sum()  # fmt: skip
    halves = {2023: period(section, windows["half_2023"])[0], 2024: period(section, windows["half_2024"])[0]}
    points = {year + 0.5: float(ministry[year]) / (366 if year % 4 == 0 else 365) for year in years if year < 2023}
    for year, first in halves.items():
        length = 366 if year % 4 == 0 else 365
        points |= {year + 0.25: first / (length - 184), year + 0.75: (float(ministry[year]) - first) / 184}
    points |= {month.year + (month.month - 0.5) / 12: float(value) / month.days_in_month for month, value in monthly.items()}  # fmt: skip
    return {"panels": [{"title": "Homicides a day: by year, by half-year 2023-2024, by month from 2025", "ylabel": "a day", "x": list(points), "series": {"Ecuador": list(points.values())}, "marks": [[2024.02, "declaration"]]}]}  # fmt: skip


def null_numbers(run: Run) -> Numbers:
    """Return the errors of one-year forecasts, and the yearly changes of untouched countries."""
    found, changes = year_forecast(run.section), yearly_changes(run.section)
    back = _return(run.section, last_year(run.section), period(run.section, run.section["windows"]["half_2024"]), "")
    half = _half(run.section, found)
    return {"panels": [histogram("Forecast errors: the first half of 2024", found.errors.tolist(), half.gap, half.p_value), histogram("Yearly changes: the return", changes.tolist(), float(np.log(back["value"])), back["p_value"])]}  # fmt: skip


def _remarks(results: Results) -> tuple[str, ...]:
    found, check = results[f"{SECTION}_effects"]["rows"], results[f"{SECTION}_checks"]
    first, raw, back, peak = found["first_half"], found["no_change"], found["return"], found["peak"]
    return (
        f"In the first half of 2024 {number(first['observed'])} people were killed; {number(first['expected'])} were forecast ({against_expected(first['value'])}), and at the pace of the same months of 2023 it would have been {number(raw['expected'])} ({against_expected(raw['value'])}).",
        f"From {number(back['per_day_before'])} a day in that half-year it was {number(back['per_day_after'])} a day in 2025; the two weeks after the declaration compared with the week before it give {against_expected(peak['value'])}, most of which is the peak.",
        f"Forecasts have been {number(check['own_ratio'])} times as far off in Ecuador as elsewhere: the return is a fact of the counts, set against what a year changes in other countries, and no evidence on what caused it.",
    )


FAMILY = standard_family(
    claim="M02",
    section=SECTION,
    numbers={
        "sample": sample_numbers,
        "checks": check_numbers,
        "effects": effect_numbers,
        "series": series_numbers,
        "null": null_numbers,
        "published": lambda run: published_rows("M02"),
    },
    modules=("ecuador_conflict", "forecasts", "latin_america"),
    tables=(
        "latam_country_year",
        "ecuador_year",
        "ecuador_periods",
        "ecuador_canton_month",
        "truces",
        "crackdowns",
        "published_estimates",
    ),
    remarks=_remarks,
)
