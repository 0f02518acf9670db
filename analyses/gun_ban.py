"""Claim G02: homicides with firearms in Bogota and Medellin after carrying guns was banned in 2012."""

from collections.abc import Mapping
from typing import Any

import numpy as np

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
from analyses.standard import Row, attempt, checks, histogram, published_rows, rows
from analyses.standard_page import standard_family

SECTION = "gun_ban"

Numbers = dict[str, Any]
Plan = Mapping[str, Any]

_OTHERS = "others"


def sample(section: Plan, change: Mapping[str, Any] | None = None) -> Cities:
    """Return the cities with one thing changed; the outcome ``"others"`` is homicides without firearms."""
    change = dict(change or {})
    if change.pop("outcome", None) != _OTHERS:
        return city_sample(section, change)
    guns = city_sample(section, change)
    every = city_sample(section, {**change, "outcome": section["data"]["other_outcome"]})
    return Cities(every.panel.with_outcome(every.panel.Y - guns.panel.Y, "homicides without firearms"), every.flow)


def sample_numbers(run: Run) -> Numbers:
    """Return the cities compared and what was left out."""
    cities = sample(run.section)
    panel, others = cities.panel, sample(run.section, {"outcome": _OTHERS}).panel
    first = int(panel.first_treated.min())
    listed = [
        {"city": city_names()[unit], "ban_from": run.section["treatment"]["at"], "with_firearms_before": int(panel.Y[row, :first].sum()), "without_before": int(others.Y[row, :first].sum())}
        for unit in cities.treated
        for row in [panel.units.get_loc(unit)]
    ]  # fmt: skip
    return {
        "flow": cities.flow,
        "treated": listed,
        "comparison": [city_names()[str(unit)] for unit in panel.units if str(unit) not in cities.treated],
        "months_before": first,
        "checks": checks(panel.checks),
        "panel": panel.digest,
    }


def effect_numbers(run: Run) -> Numbers:
    """Return the windows with firearms, without, the one over the other, and every specification."""
    section, decides = run.section, run.section["main"]["decides"]
    windows = section["main"]["windows"]
    guns = rank_test(sample(section).panel, windows, draws=run.draws, seed=run.seed)
    rest = rank_test(sample(section, {"outcome": _OTHERS}).panel, windows, draws=run.draws, seed=run.seed)
    specifications = {
        entry["name"]: attempt(entry["label"], lambda entry=entry: _specification(run, entry))
        for entry in section["specification"]
    }
    return rows(
        main=ranked_row("Bogota and Medellin, firearms, 24 months", guns, decides),
        without_guns=ranked_row("Without firearms, 24 months", rest, decides, group="outcome"),
        guns_over_others=ranked_row("With firearms over without", _over(guns, rest, decides), decides, group="outcome"),
        m0_11=ranked_row("Firearms, first year", guns, "m0_11", group="window"),
        m12_23=ranked_row("Firearms, second year", guns, "m12_23", group="window"),
        **specifications,
    )


def _over(guns: Ranked, rest: Ranked, name: str) -> Ranked:
    """Return firearm effects over the others', pair of cities by pair: both tests drew the same pairs."""
    noise = float(np.hypot(guns.noise, rest.noise))
    spread = [found.placebos[name] / found.studentised[name] for found in (guns, rest)]
    gap = guns.placebos[name] - rest.placebos[name]
    return Ranked({name: guns.log[name] - rest.log[name]}, noise, {name: gap}, {name: gap / np.hypot(*spread)})


def _specification(run: Run, change: Mapping[str, Any]) -> Row:
    decides = run.section["main"]["decides"]
    span = {decides: run.section["main"]["windows"][decides]}
    estimator = change.get("estimator", run.section["main"]["estimator"])
    panel = sample(run.section, change).panel
    others = [unit for unit in run.section["treatment"]["units"] if unit not in sample(run.section, change).treated]
    panel = panel.drop([unit for unit in others if unit in panel.units])
    found = rank_test(panel, span, estimator=estimator, draws=run.draws, seed=run.seed)
    return ranked_row(change["label"], found, decides)


def before_numbers(run: Run) -> Numbers:
    """Return the tests of a ban half a year earlier, in both cities and in Bogota alone."""
    section, periods = run.section, run.section["identification"]["before_periods"]
    panel = sample(section).panel
    both = before_test(panel, periods, draws=run.draws, seed=run.seed)
    _, medellin = section["treatment"]["units"]
    alone = before_test(panel.drop([medellin]), periods, draws=run.draws, seed=run.seed)
    return {
        "p_value": both.p_value("before"),
        "ratio": float(np.exp(both.log["before"])),
        "bogota_p_value": alone.p_value("before"),
        "bogota_ratio": float(np.exp(alone.log["before"])),
    }


def series_numbers(run: Run) -> Numbers:
    """Return rates with and without firearms by quarter."""
    panels = []
    for title, outcome in (("With firearms", None), ("Without firearms", _OTHERS)):
        change = {} if outcome is None else {"outcome": outcome}
        panel = sample(run.section, change).panel.aggregate("quarter")
        x, lines = rate_series(panel, {city_names()[unit]: [unit] for unit in run.section["treatment"]["units"]})
        panels.append({"title": title, "ylabel": "per 100,000 and year", "x": x, "series": lines, "marks": [[2012.08, "ban"]]})  # fmt: skip
    return {"panels": panels}


def path_numbers(run: Run) -> Numbers:
    """Return the ratio of firearm homicides by three months around the ban, together and for Bogota alone."""
    first, last = run.section["main"]["quarters"]
    _, medellin = run.section["treatment"]["units"]
    panel, panels = sample(run.section).panel, []
    for title, chosen in (("Both cities", panel), ("Bogota alone", panel.drop([medellin]))):
        path = quarterly_path(chosen, first, last, width=3, draws=run.draws, seed=run.seed)
        panels.append({"title": title, "xlabel": "Three months each, from February 2012", **path})
    return {"panels": panels}


def null_numbers(run: Run) -> Numbers:
    """Return the studentised log ratios of pairs of comparison cities beside that of the two."""
    decides = run.section["main"]["decides"]
    found = rank_test(sample(run.section).panel, run.section["main"]["windows"], draws=run.draws, seed=run.seed)
    observed, values = found.log[decides] / found.noise, found.studentised[decides].tolist()
    panel = histogram("Firearms, 24 months: log ratio over the noise before", values, observed, found.p_value(decides), scale="level")  # fmt: skip
    return {"panels": [panel]}


def remarks(results: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the months before show."""
    before, found = results[f"{SECTION}_before"], results[f"{SECTION}_sample"]
    return (
        f"A ban laid half a year earlier gives a ratio of {before['ratio']:.2f} in the two cities (p = {before['p_value']:.2f}) and {before['bogota_ratio']:.2f} in Bogota alone (p = {before['bogota_p_value']:.2f}); {found['months_before']} months are seen before.",
    )


FAMILY = standard_family(
    claim="G02",
    section=SECTION,
    numbers={
        "sample": sample_numbers,
        "series": series_numbers,
        "path": path_numbers,
        "effects": effect_numbers,
        "before": before_numbers,
        "null": null_numbers,
        "published": lambda run: published_rows("G02"),
    },
    modules=("colombia", "gun_ban"),
    tables=("colombia_municipality_month", "colombia_contiguity", "quadrants_colombia", "published_estimates"),
    remarks=remarks,
    words={"G02": "homicides with firearms"},
    kinds=KINDS,
)
