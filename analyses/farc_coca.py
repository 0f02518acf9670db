"""Claim F01: homicides in coca municipalities during the ceasefire of the FARC and after it laid down its arms."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analyses.colombia import KINDS, bordering, relative_row, spatial_row
from analyses.family import Run
from analyses.standard import Row, attempt, checks, path_panel, published_rows, rows
from analyses.standard_page import standard_family
from crimepolicy.data import load_panel, load_table
from crimepolicy.diagnostics.pretrends import joint_test
from crimepolicy.did.group_time import group_time_effects
from crimepolicy.did.imputation import imputation
from crimepolicy.errors import DesignError
from crimepolicy.estimate import Estimate, path_term
from crimepolicy.inference.cluster import cluster
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.breakdown import breakdown
from crimepolicy.sensitivity.honest import honest_bounds
from crimepolicy.sensitivity.restrictions import relative_magnitudes

SECTION = "farc_coca"

Numbers = dict[str, Any]
Plan = Mapping[str, Any]
Change = Mapping[str, Any]

_CLEAN_YEARS = (2002, 2013)


# -------------------------------------------------------------------------------------------------------------- sample


def farc_sample(section: Plan, change: Change | None = None) -> tuple[Panel, list[dict[str, Any]]]:
    """Return yearly homicides, coca municipalities treated from 2015, and the sample flow."""
    change = dict(change or {})
    rules = {**section["treatment"], **section["controls"], **change}
    coca = load_table(section["data"]["coca"]).pivot(index="unit", columns="year", values="coca_ha")
    first, last = rules["exposure_years"]
    mean = coca.loc[:, first:last].mean(axis=1)
    every = [str(unit) for unit in coca.index[mean >= section["treatment"]["minimum_ha"]]]
    exposed = [str(unit) for unit in coca.index[mean >= rules["minimum_ha"]]]
    never = [str(unit) for unit in coca.index[(coca.loc[:, _CLEAN_YEARS[0] : _CLEAN_YEARS[1]] == 0).all(axis=1)]]
    near = bordering(every) if rules["borders"] != "kept" else frozenset()
    clean = [unit for unit in never if unit not in near]
    panel = load_panel(section["data"]["panel"], start=section["data"]["start"], end=section["data"]["end"])
    assert panel.population is not None
    people = panel.population[:, pd.PeriodIndex(panel.periods).year == rules["population_year"]].mean(axis=1)
    small = set(panel.units[people <= rules["maximum_population"]])
    flow = [{"step": "municipalities and corregimientos", "left_out": 0, "kept": panel.n_units}]
    for step, kept in (
        ("coca of 2010-2013, or none from 2002 to 2013", [*exposed, *never]),
        ("comparison does not border a coca municipality", [*exposed, *clean]),
        (f"at most {rules['maximum_population']:,} inhabitants", [unit for unit in [*exposed, *clean] if unit in small]),
    ):  # fmt: skip
        flow.append({"step": step, "left_out": flow[-1]["kept"] - len(kept), "kept": len(kept)})
    chosen = replace(panel, neighbours=None).keep(sorted(kept)).aggregate("year")
    return chosen.treat([unit for unit in exposed if unit in small], at=str(rules["year"])), flow


def fit(
    panel: Panel, section: Plan, *, leads: int = 0, effects: Any = "unit+period", family: Any = "poisson"
) -> Estimate:
    """Return the imputation estimate by windows of years, or by year with leads."""
    windows = {name: (low, high) for name, (low, high) in section["main"]["windows"].items()}
    last = max(high for _, high in windows.values())
    if leads:
        return imputation(panel, family=family, effects=effects, pretrends=leads, horizon=(0, last))
    return imputation(panel, family=family, effects=effects, windows=windows, horizon=(0, last))


# ------------------------------------------------------------------------------------------------------------- numbers


def sample_numbers(run: Run) -> Numbers:
    """Return how many municipalities are compared, and what is known of the FARC."""
    panel, flow = farc_sample(run.section)
    here = panel.D.any(axis=1)
    groups = [
        {"group": name, "municipalities": int(rows_.sum()), "homicides_2011_2014": int(panel.Y[rows_][:, :4].sum())}
        for name, rows_ in (("coca in 2010-2013", here), ("comparison", ~here))
    ]
    return {
        "flow": flow,
        "treated": groups,
        "departments": len({str(unit)[:2] for unit in panel.units[here]}),
        "municipalities_with_known_presence": 0,
        "checks": checks(panel.checks),
        "panel": panel.digest,
    }


def effect_numbers(run: Run) -> Numbers:
    """Return the windows of years and every specification."""
    section, km = run.section, run.section["inference"]["conley_km"]
    estimate = fit(farc_sample(section)[0], section)

    def window(label: str, name: str, group: str = "main") -> Row:
        return spatial_row(label, estimate, term=path_term("window", name), km=km, group=group)

    specifications = {
        f"{entry['name']}{ending}": attempt(
            f"{entry['label']}, {short}", lambda entry=entry, name=name: _specification(section, entry, name)
        )
        for entry in section["specification"]
        for name, ending, short in (("y2015_16", "_short", "2015-16"), ("y2017_19", "", "2017-19"))
    }
    return rows(
        short=window("2015 and 2016", "y2015_16"),
        main=window("2017 to 2019", "y2017_19"),
        later=window("2020 to 2023", "y2020_23", "window"),
        farc=attempt("With the FARC against without", _presence, group="main"),
        **specifications,
    )


def _presence() -> Row:
    raise DesignError("no open table here says where the FARC was.")


def _specification(section: Plan, change: Change, name: str) -> Row:
    panel, km = farc_sample(section, change)[0], section["inference"]["conley_km"]
    term = path_term("window", name)
    if change.get("family") != "gaussian":
        return spatial_row("", fit(panel, section, effects=change.get("effects", "unit+period")), term=term, km=km)
    rate = panel.rate()
    row = spatial_row("", fit(rate, section, family="gaussian"), term=term, km=km)
    expected = _observed(rate, section["main"]["windows"][name]) - row["value"]
    return relative_row(row | {key: row[key] / expected for key in ("value", "low", "high", "detectable")})


def _observed(rate: Panel, span: Any) -> float:
    here, first = rate.D.any(axis=1), int(rate.first_treated.min())
    columns = slice(first + span[0], first + span[1] + 1)
    assert rate.weights is not None
    return float(np.average(rate.Y[here, columns], weights=rate.weights[here, columns]))


def lead_numbers(run: Run) -> Numbers:
    """Return the joint test of the years before the ceasefire, clustered by department."""
    leads = run.section["main"]["leads"]
    estimate = fit(farc_sample(run.section)[0], run.section, leads=leads)
    assert estimate.psi is not None
    departments = {unit: str(unit)[:2] for unit in estimate.psi.index}
    terms = [path_term("event_time", k) for k in range(-leads, 0)]
    by = {"p_value": joint_test(cluster(estimate, departments), terms), "p_municipality": joint_test(cluster(estimate, "unit"), terms)}  # fmt: skip
    ratios = {str(k): float(np.exp(estimate.estimates[path_term("event_time", k)])) for k in range(-leads, 0)}
    return {**{name: test.p_value for name, test in by.items()}, "df": by["p_value"].df, "leads": ratios}


def honest_numbers(run: Run) -> Numbers:
    """Return how large a violation of parallel trends the two windows survive, on rates by year."""
    panel = farc_sample(run.section)[0].rate()
    path = cluster(group_time_effects(panel, control="never", base="universal").aggregate("event"), "unit")
    found: Numbers = {}
    for name in ("y2015_16", "y2017_19"):
        low, high = run.section["main"]["windows"][name]
        target = dict.fromkeys(range(low, high + 1), 1 / (high - low + 1))
        shared: Numbers = {"window": (-4, 8), "seed": run.seed, "target": target}
        bounds = honest_bounds(path, restriction=[relative_magnitudes(M) for M in (0.0, 0.5, 1.0)], **shared)
        limits = bounds.frame[["conf_low", "conf_high"]].to_dict("records")
        value = float(str(breakdown(path, **shared).value))
        found[name] = {"rate": bounds.estimate, "breakdown": value, "bounds": {f"m_{m}": row for m, row in zip(("0", "0_5", "1"), limits, strict=True)}}  # fmt: skip
    return found


def series_numbers(run: Run) -> Numbers:
    """Return rates by year in both groups."""
    panel = farc_sample(run.section)[0]
    assert panel.population is not None
    here = panel.D.any(axis=1)
    lines = {
        name: (100_000 * panel.Y[group].sum(axis=0) / panel.population[group].sum(axis=0)).tolist()
        for name, group in (("Coca in 2010-2013", here), ("Comparison", ~here))
    }
    marks = [[2014.97, "ceasefire"], [2016.9, "agreement"]]
    x = [period.year + 0.5 for period in panel.periods]
    return {"panels": [{"title": "Homicides per 100,000", "ylabel": "per 100,000", "x": x, "series": lines, "marks": marks}]}  # fmt: skip


def path_numbers(run: Run) -> Numbers:
    """Return the ratio by year with the band, clustered by department."""
    estimate = fit(farc_sample(run.section)[0], run.section, leads=run.section["main"]["leads"])
    assert estimate.psi is not None
    estimate = cluster(estimate, {unit: str(unit)[:2] for unit in estimate.psi.index})
    return {"panels": [path_panel(estimate, "Coca municipalities", "Years since 2015", seed=run.seed)]}


def remarks(results: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the course before, and how robust the windows are."""
    leads, honest = results[f"{SECTION}_leads"], results[f"{SECTION}_honest"]
    before = ", ".join(f"{2015 + int(k)}: {ratio:.2f}" for k, ratio in sorted(leads["leads"].items(), key=lambda item: int(item[0])))  # fmt: skip
    return (
        f"Ratios before the ceasefire, against 2011: {before} (joint p = {leads['p_value']:.2f} by department, {leads['p_municipality']:.2f} by municipality).",
        f"On the rate, the change of 2015-16 survives violations up to {honest['y2015_16']['breakdown']:.2f} times the largest of the years before, that of 2017-19 up to {honest['y2017_19']['breakdown']:.2f} times.",
    )


FAMILY = standard_family(
    claim="F01",
    section=SECTION,
    numbers={
        "sample": sample_numbers,
        "series": series_numbers,
        "path": path_numbers,
        "effects": effect_numbers,
        "leads": lead_numbers,
        "honest": honest_numbers,
        "published": lambda run: published_rows("F01"),
    },
    modules=("colombia", "farc_coca"),
    tables=("colombia_municipality_month", "coca_municipality_year", "colombia_contiguity", "published_estimates"),
    remarks=remarks,
    kinds=KINDS,
)
