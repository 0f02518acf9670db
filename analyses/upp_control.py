"""Claim P06: what else changed where the UPP came to Rio de Janeiro: drug cases, reports, open violence."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analyses.effects import fit_windows
from analyses.family import Results, Run
from analyses.rio import Change, Sample, Section, area_sample, precinct_sample, traits
from analyses.settings import seed_of
from analyses.standard import (
    attempt,
    checks,
    from_estimate,
    from_spread,
    histogram,
    path_panel,
    rows,
    widest,
)
from analyses.standard_page import standard_family
from analyses.upp import lead_numbers
from crimepolicy.did.imputation import imputation
from crimepolicy.estimate import Check, Estimate, path_term
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.mechanisms import MoveClusters
from crimepolicy.inference.multiple_testing import multiple_testing
from crimepolicy.inference.randomization import randomization_test
from crimepolicy.report.site import change as as_change
from crimepolicy.report.site import number

Numbers = dict[str, Any]
Row = dict[str, Any]

DECIDES, LATER = "y1_4", "y5_7"
JUDGED = ("drug_cases", "assaults", "threats")
_TERM = path_term("window", DECIDES)
_HOW = "the widest of clusters by unit, by block, and dealt schedules"


def _dealt(label: str, sample: Sample, windows: Mapping[str, Any], *, draws: int, seed: int, **more: Any) -> tuple[Row, Estimate, list[float]]:  # fmt: skip
    """Return the row of years 1-4 with the widest of three intervals, the estimate by block, and dealt estimates."""
    fit = fit_windows(sample.panel, windows)
    quick = fit_windows(sample.panel, {DECIDES: windows[DECIDES]})
    test = randomization_test(quick, MoveClusters(sample.blocks), draws=draws, seed=seed, terms=[_TERM])
    assert test.null is not None
    drawn = test.null[_TERM].dropna()
    by_unit, by_block = cluster(fit, "unit"), cluster(fit, sample.blocks)
    value, spread = float(fit.estimates[_TERM]), float(drawn.std(ddof=1))
    found = from_estimate(label, by_unit, term=_TERM, **more)
    row = widest(found, [from_estimate(label, by_block, term=_TERM), from_spread(label, value, spread)])
    return row | {"how": _HOW, "p_value": test.p_value(_TERM), "log": value, "sd_dealt": spread}, by_block, drawn.tolist()  # fmt: skip


def _later(label: str, fit: Estimate) -> Row:
    return from_estimate(label, fit, term=path_term("window", LATER), group="window", how="clusters by block")


def effect_numbers(run: Run) -> Numbers:
    """Return the battery of outcomes with p-values for the family, the UPP areas, and one thing changed at a time."""
    section, battery = run.section, run.section["outcomes"]
    found: dict[str, Row] = {}
    fits: dict[str, Estimate] = {}
    for outcome, entry in battery.items():
        group = "main" if outcome == "assaults" else "placebo" if entry["kind"] == "control" else "outcome"
        sample = precinct_sample(section, outcome)
        found[outcome], fits[outcome], _ = _dealt(entry["label"], sample, section["main"]["windows"], draws=run.draws, seed=run.seed, group=group, kind=entry["kind"])  # fmt: skip
    holm = multiple_testing({name: row["p_value"] for name, row in found.items()}, "holm")["p_adjusted"].tolist()
    joint = multiple_testing(fits, "romano_wolf", terms=[_TERM], draws=1_999, seed=run.seed)["p_adjusted"].tolist()
    for name, p, p_joint in zip(found, holm, joint, strict=True):
        found[name] |= {"p_holm": p, "p_romano_wolf": p_joint}
    later = {f"{outcome}_later": _later(f"{battery[outcome]['label']}, years 5-7", fits[outcome]) for outcome in JUDGED}
    rest = {name: row for name, row in found.items() if name != "assaults"}
    return rows(main=found["assaults"], **rest, **_area_rows(run), **later, **_specification_rows(section))


def _area_rows(run: Run) -> dict[str, Row]:
    section, made = run.section, {}
    labels = {name: entry["label"] for name, entry in section["outcomes"].items()} | section["areas"]["labels"]
    for outcome in section["areas"]["outcomes"]:
        sample = area_sample(section, outcome)
        label = f"{labels[outcome]}, inside UPP areas"
        made[f"area_{outcome}"], _, _ = _dealt(label, sample, section["main"]["area_windows"], draws=run.draws // 3, seed=run.seed, group="place")  # fmt: skip
    return made


def _specification_rows(section: Section) -> dict[str, Row]:
    made = {}
    for outcome in ("assaults", "drug_cases"):
        for entry in section["specification"]:
            label = f"{section['outcomes'][outcome]['label']}: {entry['label'][:1].lower()}{entry['label'][1:]}"
            made[f"{outcome}_{entry['name']}"] = attempt(label, partial(_specification, section, outcome, entry))
    return made


def _specification(section: Section, outcome: str, change: Change) -> Row:
    sample = precinct_sample(section, outcome, change)
    if "exposure" in change:
        records = precinct_sample(section, change["exposure"], change).panel.Y
        # A precinct that lay dormant for a quarter has no records and no cases; one record keeps its cell at zero.
        sample = replace(sample, panel=replace(sample.panel, population=np.maximum(records, 1.0)))
    fit = fit_windows(sample.panel, {DECIDES: section["main"]["windows"][DECIDES]})
    both = [from_estimate("", cluster(fit, by), term=_TERM) for by in ("unit", sample.blocks)]
    counts = {"n_treated": len(sample.treated), "n_comparison": len(sample.controls)}
    return widest(both[0], both[1:]) | {"how": "the wider of clusters by unit and by block", **counts}


def path_numbers(run: Run) -> Numbers:
    """Return judged outcomes quarter by quarter, with the simultaneous band."""
    first, last = run.section["main"]["path"]
    panels = []
    for outcome in JUDGED:
        sample = precinct_sample(run.section, outcome)
        fit = cluster(imputation(sample.panel, family="poisson", pretrends=-first, horizon=(0, last)), sample.blocks)
        title = run.section["outcomes"][outcome]["label"]
        panels.append(path_panel(fit, title, "Quarters since the occupation", seed=run.seed))
    return {"panels": panels}


def series_numbers(run: Run) -> Numbers:
    """Return yearly rates in treated and in other precincts of the capital."""
    panels = []
    for outcome in JUDGED:
        sample = precinct_sample(run.section, outcome)
        here, yearly = sample.panel.D.any(axis=1), sample.panel.aggregate("year")
        assert yearly.population is not None
        lines = {
            name: (100_000 * yearly.Y[group].sum(axis=0) / yearly.population[group].sum(axis=0)).tolist()
            for name, group in (("precincts with UPP", here), ("other precincts of the capital", ~here))
        }
        label = run.section["outcomes"][outcome]["label"]
        panels.append({"title": label, "ylabel": "Per 100,000 and year", "x": [year.year for year in yearly.periods], "series": lines})  # fmt: skip
    return {"panels": panels}


def null_numbers(run: Run) -> Numbers:
    """Return the estimates of assaults under dealt schedules."""
    label, sample = run.section["outcomes"]["assaults"]["label"], precinct_sample(run.section, "assaults")
    windows = {DECIDES: run.section["main"]["windows"][DECIDES]}
    # The same stream as the row, so that page and picture show one p-value.
    row, _, drawn = _dealt(label, sample, windows, draws=run.draws, seed=seed_of("upp_control_effects"))
    return {"panels": [histogram(label, drawn, row["log"], row["p_value"], bins=24)]}


def sample_numbers(run: Run) -> Numbers:
    """Return who is treated and compared, and the precincts with their share of residents."""
    section = run.section
    sample, fixed = precinct_sample(section, "assaults"), traits(section)
    strike = pd.Period(section["data"]["end"], "M")
    found = [Check("police_strike", True, None, f"The sample ends in {strike}, before the strike of the civil police.")]
    listed = [{"precinct": str(unit), "block": sample.blocks[unit], "share_of_residents": float(fixed.loc[unit, "upp_share_final"])} for unit in sample.treated]  # fmt: skip
    return {"flow": sample.flow, "treated": listed, "checks": checks(found), "panel": sample.panel.digest}


def remarks(results: Results) -> tuple[str, ...]:
    """Return what a reader needs before the figures, from published numbers."""
    found = results["upp_control_effects"]["rows"]
    drug, inside, main, threats = (found[name] for name in ("drug_cases", "area_drug_cases", "main", "threats"))
    holm = [row for row in found.values() if row.get("p_holm") is not None]
    out = [row["label"].lower() for row in holm if row["p_holm"] <= 0.05]
    return (
        f"Drug cases: {_said(drug)} in precincts, {_said(inside)} inside UPP areas. Assaults {_said(main)}, threats {_said(threats)}. Of {len(holm)} outcomes {len(out)} stand out once all are counted{': ' if out else ''}{', '.join(out)} (Holm on dealt schedules; Romano-Wolf gives assaults p = {number(main['p_romano_wolf'], 2)}).",
        f"Where trust in the police should not matter: vehicle robberies {_said(found['vehicle_robberies'])}, traffic deaths {_said(found['traffic_deaths'])}. Both are free of a rise, as asked; but robberies may have fallen in truth, so that they check the reporting of crime and not crime.",
    )


def _said(row: Results) -> str:
    return f"{as_change(row['value'])} ({as_change(row['low'])} to {as_change(row['high'])})"


FAMILY = standard_family(
    claim="P06",
    section="upp_control",
    numbers={
        "sample": sample_numbers,
        "effects": effect_numbers,
        "leads": lambda run: lead_numbers(run.section, draws=run.draws // 3, seed=run.seed, outcomes=JUDGED),
        "series": series_numbers,
        "path": path_numbers,
        "null": null_numbers,
    },
    modules=("effects", "mexico", "rio", "upp", "upp_control"),
    tables=("rio_precinct_month", "rio_upp_month", "rio_upps", "rio_contiguity"),
    words={"P06a": "drug cases", "P06b": "reported assaults"},
    remarks=remarks,
    kinds={"*.p_value": "simulated", "*.p_holm": "band", "*.p_romano_wolf": "band", "*.sd_dealt": "band", "rows.*.low": "band", "rows.*.high": "band", "rows.*.detectable": "band", "panels.*": "band", "*.p_blocks": "simulated", "*.share_rejecting": "band"},
)  # fmt: skip
