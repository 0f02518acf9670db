"""Claim F04: coca in the places that had it before, around the announcement of payments in May 2014."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analyses.colombia import KINDS, bordering, relative_row, spatial_row
from analyses.effects import window_average
from analyses.family import Run
from analyses.standard import Row, attempt, checks, path_panel, published_rows, rows
from analyses.standard_page import standard_family
from crimepolicy.data import load_panel, load_table
from crimepolicy.did.group_time import group_time_effects
from crimepolicy.did.imputation import imputation
from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.estimate import Estimate, path_term
from crimepolicy.inference.cluster import cluster
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.breakdown import breakdown
from crimepolicy.sensitivity.honest import honest_bounds
from crimepolicy.sensitivity.restrictions import relative_magnitudes

SECTION = "coca_promise"

Numbers = dict[str, Any]
Plan = Mapping[str, Any]
Change = Mapping[str, Any]

_CLEAN_YEARS = (2002, 2013)


# -------------------------------------------------------------------------------------------------------------- sample


def areas(section: Plan) -> pd.DataFrame:
    """Return hectares by municipality (rows) and year."""
    return load_table(section["data"]["panel"]).pivot(index="unit", columns="year", values="coca_ha")


def exposed_units(section: Plan, change: Change) -> list[str]:
    """Return the municipalities that had coca in the years of exposure, largest first."""
    first, last = section["treatment"]["exposure_years"]
    before = areas(section).loc[:, first:last].mean(axis=1).sort_values(ascending=False, kind="stable")
    chosen = before.index[before >= change.get("minimum_ha", section["treatment"]["minimum_ha"])]
    largest = areas(section)[section["treatment"]["reference"]].nlargest(change.get("without_largest", 0)).index
    return [str(unit) for unit in chosen if unit not in largest]


def coca_sample(section: Plan, change: Change | None = None) -> tuple[Panel, list[dict[str, Any]]]:
    """Return hectares over the mean of the exposed in 2013, exposed places treated from 2014, and the sample flow."""
    change = dict(change or {})
    table, exposed = areas(section), exposed_units(section, change)
    every = exposed_units(section, {})
    never = table.index[(table.loc[:, _CLEAN_YEARS[0] : _CLEAN_YEARS[1]] == 0).all(axis=1)]
    clean = [unit for unit in never if unit not in bordering(every) and unit not in every]
    other = [unit for unit in table.index if unit not in every and unit not in never]
    controls = other if change.get("controls") == "ever" else clean
    panel = load_panel(section["data"]["panel"], start=section["data"]["start"], end=section["data"]["end"])
    panel = replace(panel, neighbours=None).keep(sorted([*exposed, *controls]))
    panel = panel.treat(exposed, at=section["treatment"]["year"])
    flow = [
        {"step": "municipalities and corregimientos", "left_out": 0, "kept": len(table)},
        {"step": "exposed, or without coca 2002-2013", "left_out": len(other), "kept": len(table) - len(other)},
        {"step": "comparison does not border the exposed", "left_out": len(never) - len(clean), "kept": len(every) + len(clean)},
    ]  # fmt: skip
    return panel, flow


def _scaled(panel: Panel, section: Plan) -> Panel:
    here, year = panel.D.any(axis=1), panel.position(section["treatment"]["reference"])
    return panel.with_outcome(panel.Y / panel.Y[here, year].mean())


def path_estimate(panel: Panel, section: Plan) -> Estimate:
    """Return the path by year in units of the exposed places' mean area of 2013."""
    return group_time_effects(_scaled(panel, section), control="never", base="universal").aggregate("event")


# ------------------------------------------------------------------------------------------------------------- numbers


def sample_numbers(run: Run) -> Numbers:
    """Return how many places are exposed, how much coca they held, and what else happened in the same months."""
    panel, flow = coca_sample(run.section)
    table, here = areas(run.section), panel.D.any(axis=1)
    exposed = panel.units[here]
    share = {str(year): float(table.loc[exposed, year].sum() / table[year].sum()) for year in (2013, 2014, 2017)}
    return {
        "flow": flow,
        "treated": [{"group": "exposed", "municipalities": len(exposed), "hectares_2013": float(table.loc[exposed, 2013].sum()), "hectares_2017": float(table.loc[exposed, 2017].sum())}],
        "comparison": int((~here).sum()),
        "share_of_national": share,
        "years_before": int(panel.first_treated.min()),
        "rivals_2014": len(run.section["treatment"]["rivals_2014"]),
        "rivals": list(run.section["treatment"]["rivals"]),
        "checks": checks(panel.checks),
        "panel": panel.digest,
    }  # fmt: skip


def effect_numbers(run: Run) -> Numbers:
    """Return windows of years, thirds of exposure and every specification."""
    section = run.section
    windows, decides = section["main"]["windows"], section["main"]["decides"]
    path = path_estimate(coca_sample(section)[0], section)
    labels = {"y2014": "December 2014", "y2018_2019": "December 2018 and 2019"}
    others = {name: _window(label, path, windows[name], section, "window") for name, label in labels.items()}
    thirds = {f"third_{k}": attempt(label, lambda k=k: _third(section, k), group="place") for k, label in enumerate(("Largest third", "Middle third", "Smallest third"))}  # fmt: skip
    specifications = {
        entry["name"]: attempt(entry["label"], lambda entry=entry: _specification(section, entry))
        for entry in section["specification"]
    }
    main = _window("December 2014 to 2017", path, windows[decides], section, "main")
    return rows(main=main, **others, **thirds, **specifications)


def _window(label: str, path: Estimate, span: Any, section: Plan, group: str = "specification") -> Row:
    mean = window_average(path, span)
    return relative_row(spatial_row(label, mean, km=section["inference"]["conley_km"], group=group))


def _third(section: Plan, k: int) -> Row:
    units, panel = exposed_units(section, {}), coca_sample(section)[0]
    chosen = {str(unit) for unit in np.array_split(np.array(units, dtype=object), 3)[k]}
    kept = panel.keep([unit for unit in panel.units if unit in chosen or unit not in units])
    return _window("", path_estimate(kept, section), section["main"]["windows"][section["main"]["decides"]], section)


def _specification(section: Plan, change: Change) -> Row:
    panel, span = coca_sample(section, change)[0], section["main"]["windows"][section["main"]["decides"]]
    km = section["inference"]["conley_km"]
    if change.get("estimator") == "poisson_dose":
        units = exposed_units(section, {})
        large, _, small = np.array_split(np.array(units, dtype=object), 3)
        pair = panel.keep(sorted([*large, *small])).untreated().treat(list(large), at=section["treatment"]["year"])
        estimate = imputation(pair, family="poisson", windows={"w": span}, horizon=(0, span[1]))
        return spatial_row("", estimate, term=path_term("window", "w"), km=km)
    if change.get("estimator") == "two_way_region":
        last = section["treatment"]["year"] + span[1]
        estimate = two_way_fixed_effects(_scaled(panel.window(end=last), section), effects="unit+region:period")
        return relative_row(spatial_row("", estimate, km=km))
    return _window("", path_estimate(panel, section), span, section)


def honest_numbers(run: Run) -> Numbers:
    """Return how large a violation of the course before the rise of 2014-2017, and that of 2014, survive."""
    section = run.section
    path = cluster(path_estimate(coca_sample(section)[0], section), "unit")
    found: Numbers = {}
    for name in ("y2014_2017", "y2014"):
        low, high = section["main"]["windows"][name]
        target = dict.fromkeys(range(low, high + 1), 1 / (high - low + 1))
        shared: Numbers = {"window": (section["identification"]["honest_first"], 3), "seed": run.seed, "target": target}
        bounds = honest_bounds(path, restriction=[relative_magnitudes(M) for M in (0.0, 0.5, 1.0)], **shared)
        limits = bounds.frame[["conf_low", "conf_high"]].to_dict("records")
        value = float(str(breakdown(path, **shared).value))
        found[name] = {"breakdown": value, "bounds": {f"m_{m}": row for m, row in zip(("0", "0_5", "1"), limits, strict=True)}}  # fmt: skip
    return found | {"breakdown": found["y2014_2017"]["breakdown"]}


def series_numbers(run: Run) -> Numbers:
    """Return the area of the exposed places and of all others year by year."""
    table = areas(run.section).loc[:, 2002:2024]
    exposed = table.index.isin(exposed_units(run.section, {}))
    lines = {
        "Coca in 2005-2009": table[exposed].sum().tolist(),
        "All other municipalities": table[~exposed].sum().tolist(),
    }
    marks = [[2014.37, "announcement"], [2015.75, "end of spraying"]]
    return {"panels": [{"title": "Coca at the end of the year", "ylabel": "hectares", "x": [year + 1.0 for year in table.columns], "series": lines, "marks": marks}]}  # fmt: skip


def path_numbers(run: Run) -> Numbers:
    """Return the path by year with the band, in units of the area of 2013."""
    estimate = cluster(path_estimate(coca_sample(run.section)[0], run.section), "unit")
    xlabel = "Years since December 2014, in areas of 2013"
    return {"panels": [path_panel(estimate, "Coca municipalities", xlabel, seed=run.seed, scale="level", reference=-1)]}


def remarks(results: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the exposed places hold and how robust the turn is."""
    sample, honest = results[f"{SECTION}_sample"], results[f"{SECTION}_honest"]
    group, share = sample["treated"][0], sample["share_of_national"]
    return (
        f"{group['municipalities']} municipalities had at least 10 ha a year in 2005-2009. They held {share['2013']:.0%} of the coca of 2013 ({group['hectares_2013']:,.0f} ha) and {share['2017']:.0%} of that of 2017 ({group['hectares_2017']:,.0f} ha).",
        f"The rise of 2014-2017 survives violations up to {honest['y2014_2017']['breakdown']:.2f} times the largest change of the years before, that of 2014 alone up to {honest['y2014']['breakdown']:.2f} times.",
        f"What else raised the pay of coca in the same places at the same time: {'; '.join(sample['rivals'])}.",
    )


FAMILY = standard_family(
    claim="F04",
    section=SECTION,
    numbers={
        "sample": sample_numbers,
        "series": series_numbers,
        "path": path_numbers,
        "effects": effect_numbers,
        "honest": honest_numbers,
        "published": lambda run: published_rows("F04"),
    },
    modules=("colombia", "coca_promise", "effects", "mexico"),
    tables=("coca_municipality_year", "colombia_contiguity", "colombia_municipality_month", "published_estimates"),
    remarks=remarks,
    words=dict.fromkeys(("F04a", "F04b"), "coca"),
    kinds=KINDS,
)
