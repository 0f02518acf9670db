"""Claim T03: the truce of Buenaventura, day by day in the register and month by month beside other cities."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analyses.colombia import (
    KINDS,
    Cities,
    Ranked,
    before_test,
    city_names,
    city_sample,
    quarterly_path,
    rank_test,
    ranked_row,
    rate_series,
)
from analyses.family import Run
from analyses.standard import Row, attempt, checks, effect, histogram, published_rows, rows
from analyses.standard_page import standard_family
from crimepolicy.data import load_table
from crimepolicy.panel import Panel

SECTION = "buenaventura"

Numbers = dict[str, Any]
Plan = Mapping[str, Any]
Array = np.ndarray[Any, Any]

_UNIT = "76109"


# ---------------------------------------------------------------------------------------------------------------- days


def daily_counts(section: Plan, first: str, last: str) -> pd.Series:
    """Return homicides in Buenaventura for every day between two days, both included."""
    table = load_table(section["data"]["days"])
    here = table[table["unit"] == _UNIT].set_index("day")["homicides"]
    return here.reindex(pd.date_range(first, last), fill_value=0).astype(int)


def longest_run(counts: Array) -> int:
    """Return the length of the longest run of zeros."""
    longest = current = 0
    for count in counts:
        current = 0 if count else current + 1
        longest = max(longest, current)
    return longest


def day_numbers(run: Run) -> Numbers:
    """Return the runs of days without a homicide, and how often the year before would have brought such a run."""
    rules = run.section["days"]
    first, last = rules["search"]
    register = daily_counts(run.section, first, last)
    after = {start: daily_counts(run.section, start, str(pd.Timestamp(start) + pd.Timedelta(days=rules["horizon"] - 1))[:10]) for start in rules["starts"]}  # fmt: skip
    begin = pd.Timestamp(rules["starts"][0])
    year = daily_counts(run.section, str(begin - pd.Timedelta(days=rules["rate_days"]))[:10], str(begin - pd.Timedelta(days=1))[:10])  # fmt: skip
    within = {start: longest_run(counts.to_numpy()) for start, counts in after.items()}
    return {
        "days_in_register": len(register),
        "longest_run": longest_run(register.to_numpy()),
        "homicides_in_horizon": {start: int(counts.sum()) for start, counts in after.items()},
        "fewest_in_horizon": min(int(counts.sum()) for counts in after.values()),
        "longest_in_horizon": within,
        "days_with_homicide": [f"{day:%Y-%m-%d}" for day in after[rules["starts"][0]].index[after[rules["starts"][0]] > 0]],
        "rate_before": float(year.mean()),
        "expected_in_horizon": float(year.mean() * rules["horizon"]),
        "p_value": _run_p(year.to_numpy(), rules["horizon"], max(within.values()), draws=run.draws, seed=run.seed),
        "claimed_days": rules["claimed_days"],
    }  # fmt: skip


def _run_p(before: Array, horizon: int, observed: int, *, draws: int, seed: int) -> float:
    """Return the share of registers, simulated with the mean and dispersion of the days before, with as long a run."""
    rng, mean, variance = np.random.default_rng(seed), float(before.mean()), float(before.var(ddof=1))
    if variance > mean:
        size = mean**2 / (variance - mean)
        drawn = rng.negative_binomial(size, size / (size + mean), size=(draws, horizon))
    else:
        drawn = rng.poisson(mean, size=(draws, horizon))
    return float((1 + sum(longest_run(row) >= observed for row in drawn)) / (1 + draws))


# -------------------------------------------------------------------------------------------------------------- months


def sample(section: Plan, change: Mapping[str, Any] | None = None) -> Cities:
    """Return Buenaventura and its comparison cities, with one thing changed."""
    change = dict(change or {})
    cities = city_sample(section, change)
    if "peak_share" not in change:
        return cities
    return Cities(_risen(cities.panel, change["peak_share"]), cities.flow)


def _risen(panel: Panel, share: float) -> Panel:
    """Return the treated city and that share of the others whose last year before it had risen most over earlier years."""
    first, here = int(panel.first_treated.min()), panel.D.any(axis=1)
    last, early = panel.Y[:, first - 12 : first].mean(axis=1), panel.Y[:, : first - 12].mean(axis=1)
    rise = np.where(here, -np.inf, (last + 0.1) / (early + 0.1))
    count = round(share * int((~here).sum()))
    chosen = np.argsort(-rise, kind="stable")[:count]
    return panel.keep([*panel.units[here], *panel.units[np.sort(chosen)]])


def sample_numbers(run: Run) -> Numbers:
    """Return the cities compared, what was left out, and the dated steps of the truce."""
    cities = sample(run.section)
    steps = load_table(run.section["data"]["steps"])
    steps = steps[steps["unit"] == _UNIT].sort_values("date")
    listed = [
        {"date": f"{row['date']:%Y-%m-%d}", "precision": row["date_precision"], "step": row["name"], "confirmed": row["confirmed"]}
        for row in steps.to_dict("records")
    ]  # fmt: skip
    peaks = sample(run.section, {"peak_share": run.section["specification"][0]["peak_share"]}).panel
    return {
        "flow": cities.flow,
        "treated": listed,
        "comparison": [city_names()[str(unit)] for unit in cities.panel.units if str(unit) != _UNIT],
        "risen_most": [city_names()[str(unit)] for unit in peaks.units if str(unit) != _UNIT],
        "checks": checks(cities.panel.checks),
        "panel": cities.panel.digest,
    }


def effect_numbers(run: Run) -> Numbers:
    """Return the run of days, the windows after the pact, on against off, and every specification."""
    found = rank_test(sample(run.section).panel, run.section["main"]["windows"], draws=run.draws, seed=run.seed)
    days = day_numbers(run)
    one = {key: float(days["longest_run"]) for key in ("value", "low", "high")}
    labels = {
        "first_3_with_september": "September to November 2022",
        "pulse_1": "First truce, September 2022 to March 2023",
        "broken": "Broken, April to July 2023",
        "renewed": "Renewed, August 2023 to December 2024",
        "first_12": "First 12 months",
        "whole": "Whole course, 28 months",
    }
    windows = {name: ranked_row(label, found, name, group="window") for name, label in labels.items()}
    switches = {
        "off_after_first": ranked_row("Broken over first truce", *_difference(found, "broken", "pulse_1"), group="window"),
        "on_again": ranked_row("Renewed over broken", *_difference(found, "renewed", "broken"), group="window"),
    }  # fmt: skip
    specifications = {
        f"{entry['name']}{ending}": attempt(
            f"{entry['label']}, {short}", lambda entry=entry, window=window: _specification(run, entry, window)
        )
        for entry in run.section["specification"]
        for window, ending, short in (("first_3", "", "3 months"), ("first_24", "_course", "24 months"))
    }
    return rows(
        main=ranked_row("October to December 2022", found, "first_3"),
        course=ranked_row("First 24 months", found, "first_24"),
        run=effect("Longest run without a homicide, days", **one, scale="level", how="counted"),
        **windows,
        **switches,
        **specifications,
    )


def _difference(found: Ranked, name: str, base: str) -> tuple[Ranked, str]:
    """Return the ranks of one window over another, in the same cities."""
    gaps = {name: found.studentised[name] - found.studentised[base]}
    logs = {name: found.log[name] - found.log[base]}
    return Ranked(logs, found.noise, {name: found.placebos[name] - found.placebos[base]}, gaps), name


def _specification(run: Run, change: Mapping[str, Any], window: str) -> Row:
    span = {window: run.section["main"]["windows"][window]}
    estimator = change.get("estimator", run.section["main"]["estimator"])
    found = rank_test(sample(run.section, change).panel, span, estimator=estimator, draws=run.draws, seed=run.seed)
    return ranked_row(change["label"], found, window)


def before_numbers(run: Run) -> Numbers:
    """Return the test of a pact a year earlier."""
    periods = run.section["identification"]["before_periods"]
    test = before_test(sample(run.section).panel, periods, draws=run.draws, seed=run.seed)
    return {"p_value": test.p_value("before"), "ratio": float(np.exp(test.log["before"]))}


def series_numbers(run: Run) -> Numbers:
    """Return monthly homicides of Buenaventura from 2021 on, and yearly rates beside the other cities."""
    cities = sample(run.section)
    panel = cities.panel.window(start="2021-01")
    x = [period.year + (period.month - 1) / 12 for period in panel.periods]
    marks = [[2022.69, "pact"], [2023.25, "broken"], [2023.59, "renewed"]]
    monthly = {"Buenaventura": panel.Y[panel.units.get_loc(_UNIT)].tolist()}
    years, lines = rate_series(cities.panel.aggregate("quarter"), {"Buenaventura": [_UNIT]})
    return {
        "panels": [
            {"title": "Homicides by month", "ylabel": "homicides", "x": x, "series": monthly, "marks": marks},
            {"title": "By quarter", "ylabel": "per 100,000 and year", "x": years, "series": lines, "marks": marks[:1]},
        ]
    }


def path_numbers(run: Run) -> Numbers:
    """Return the ratio by three months around the pact."""
    first, last = run.section["main"]["quarters"]
    path = quarterly_path(sample(run.section).panel, first, last, width=3, draws=run.draws, seed=run.seed)
    return {"panels": [{"title": "Buenaventura", "xlabel": "Three months each, from September 2022", **path}]}


def null_numbers(run: Run) -> Numbers:
    """Return the studentised log ratios of the comparison cities beside that of Buenaventura."""
    found = rank_test(sample(run.section).panel, run.section["main"]["windows"], draws=run.draws, seed=run.seed)
    panels = []
    for name, title in (("first_3", "October to December 2022"), ("first_24", "24 months")):
        observed = found.log[name] / found.noise
        panels.append(histogram(f"{title}: log ratio over the noise before", found.studentised[name].tolist(), observed, found.p_value(name), scale="level"))  # fmt: skip
    return {"panels": panels}


def remarks(results: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the register says day by day."""
    days, before = results[f"{SECTION}_days"], results[f"{SECTION}_before"]
    counts = ", ".join(f"{number} from {start}" for start, number in days["homicides_in_horizon"].items())
    return (
        f"Homicides in the register in the 92 days after each candidate start: {counts}; at the rate of the year before there would have been {days['expected_in_horizon']:.0f}. The longest run of days without one, from August 2022 to March 2023, is {days['longest_run']}; {days['claimed_days']} were claimed.",
        f"With the mean and dispersion of the year before, as long a run within 92 days comes by chance with p = {days['p_value']:.3f}.",
        f"A pact laid a year earlier gives a ratio of {before['ratio']:.2f} (p = {before['p_value']:.2f}).",
        f"Cities that had risen most: {', '.join(results[f'{SECTION}_sample']['risen_most'])}.",
    )


FAMILY = standard_family(
    claim="T03",
    section=SECTION,
    numbers={
        "sample": sample_numbers,
        "series": series_numbers,
        "path": path_numbers,
        "days": day_numbers,
        "effects": effect_numbers,
        "before": before_numbers,
        "null": null_numbers,
        "published": lambda run: published_rows("T03"),
    },
    modules=("buenaventura", "colombia"),
    tables=(
        "colombia_municipality_month",
        "colombia_homicides_day",
        "colombia_contiguity",
        "truce_steps",
        "published_estimates",
    ),
    remarks=remarks,
    kinds=KINDS,
)
