"""Claim P01: what happened to homicides and killings by police where the UPP came to Rio de Janeiro."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analyses.effects import fit_windows
from analyses.rio import (
    METROPOLITAN,
    Change,
    Sample,
    Section,
    area_sample,
    borders,
    precinct_sample,
    split_panel,
    traits,
)
from crimepolicy.data import load_panel, load_table
from crimepolicy.diagnostics.pretrends import joint_test
from crimepolicy.did.group_time import group_time_effects
from crimepolicy.did.imputation import imputation
from crimepolicy.did.spillover import spillover_effects
from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.errors import CrimepolicyError
from crimepolicy.estimate import Estimate, path_term
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.mechanisms import MoveClusters
from crimepolicy.inference.randomization import randomization_test
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.breakdown import breakdown
from crimepolicy.sensitivity.honest import honest_bounds
from crimepolicy.sensitivity.restrictions import relative_magnitudes

Numbers = dict[str, Any]

DECIDES, LATER = "y1_4", "y5_7"
LETHAL = ("homicides", "police_killings", "lethal_violence")
JUDGED = ("homicides", "police_killings")
SIMULATED = {
    **dict.fromkeys(["*.p_blocks", "*.p_holm", "*.sd_blocks", "*.share_rejecting"], "simulated"),
    **dict.fromkeys(["*.band_low", "*.band_high", "*.bounds.*", "*.breakdown"], "band"),
}
"""Kinds of the numbers that come from dealt schedules."""

_ANNUAL = 400_000
_Z = float(stats.norm.ppf(0.975))


def sample_numbers(section: Section) -> Numbers:
    """Return who is treated, who is compared, what was left out, and how diluted the treatment is."""
    sample, fixed = precinct_sample(section, "homicides"), traits(section)
    areas = area_sample(section, "homicides")
    dates = fixed.loc[sample.treated, f"{section['treatment']['onset']}_{section['treatment']['rule']}"]
    listed = [
        {"unit": unit, "occupied": f"{dates[unit]:%Y-%m}", "block": sample.blocks[unit], "share": float(fixed.loc[unit, "upp_share_final"])}
        for unit in sample.treated
    ]  # fmt: skip
    return {
        "flow": sample.flow,
        "counts": {
            "treated": len(sample.treated),
            "comparison": len(sample.controls),
            "bordering": int((fixed.loc[sample.controls, "role"] == "adjacent").sum()),
            "blocks": len({sample.blocks[unit] for unit in sample.treated}),
            "areas": areas.panel.n_units,
            "operations": len(set(areas.blocks.values())),
        },
        "treated": listed,
        "inside_share": {outcome: inside_share(section, outcome, sample.treated) for outcome in LETHAL},
        "quarters": {"first": str(sample.panel.periods[0]), "last": str(sample.panel.periods[-1])},
        "panel": sample.panel.digest,
    }


def inside_share(section: Section, outcome: str, treated: pd.Index) -> float | None:
    """Return the part of the deaths of 2007-08 in treated precincts that fell inside the later UPP areas, at most one."""
    column = section["outcomes"][outcome].get("share")
    if column is None:
        return None
    fixed = traits(section)
    table = load_table(section["data"]["precincts"], columns=["unit", "month", outcome])
    early = table[table["month"].dt.year.isin([2007, 2008]) & table["unit"].isin(treated)]
    deaths = early.groupby("unit")[outcome].sum().reindex(treated)
    return min(1.0, float((deaths * fixed.loc[treated, column]).sum() / deaths.sum()))


def main_numbers(section: Section, *, draws: int, seed: int) -> Numbers:
    """Return the windows of every outcome in precincts, with p-values adjusted for the family."""
    outcomes: Numbers = {}
    placebos: Numbers = {}
    for outcome, entry in section["outcomes"].items():
        sample = precinct_sample(section, outcome)
        share = inside_share(section, outcome, sample.treated)
        found, drawn = _windows(sample, section["main"]["windows"], draws=draws, seed=seed, share=share)
        outcomes[outcome] = {"label": entry["label"], "inside_share": share, "windows": found}
        placebos[outcome] = drawn
    return {"outcomes": _with_holm(outcomes), "draws": draws, "placebos": placebos}


def area_numbers(section: Section, *, draws: int, seed: int) -> Numbers:
    """Return the windows of deaths in the UPP areas, against areas not yet occupied."""
    outcomes, placebos, windows = {}, {}, section["main"]["area_windows"]
    for outcome in LETHAL:
        entry, label = area_sample(section, outcome), section["outcomes"][outcome]["label"]
        found, placebos[outcome] = _windows(entry, windows, draws=draws, seed=seed)
        left_out = area_sample(section, outcome, section["left_out_in_turn"]["alemao"]["areas"])
        outcomes[outcome] = {"label": label, "windows": found, "without_alemao": _ratio(left_out, windows, DECIDES)}
    return {"outcomes": outcomes, "draws": draws, "placebos": placebos}


def _with_holm(outcomes: Numbers) -> Numbers:
    names = sorted(outcomes, key=lambda name: outcomes[name]["windows"][DECIDES]["p_blocks"])
    largest, adjusted = 0.0, {}
    for position, name in enumerate(names):
        p = outcomes[name]["windows"][DECIDES]["p_blocks"]
        largest = max(largest, min(1.0, (len(names) - position) * p))
        adjusted[name] = largest
    return {name: found | {"p_holm": adjusted[name]} for name, found in outcomes.items()}


def _windows(
    sample: Sample, windows: Mapping[str, Sequence[int]], *, draws: int, seed: int, share: float | None = None
) -> tuple[Numbers, Numbers]:
    estimate = fit_windows(sample.panel, windows)
    test = randomization_test(estimate, MoveClusters(sample.blocks), draws=draws, seed=seed)
    by_unit, by_block = cluster(estimate, "unit"), cluster(estimate, sample.blocks)
    assert estimate.path is not None
    assert test.null is not None
    names = [str(name) for name in estimate.path.index]
    found = {name: _window(name, by_unit, by_block, test, share) for name in names}
    drawn = {name: test.null[path_term("window", name)].tolist() for name in names}
    return found, drawn


def _window(name: str, by_unit: Estimate, by_block: Estimate, test: Estimate, share: float | None) -> Numbers:
    term = path_term("window", name)
    assert by_unit.path is not None
    assert test.null is not None
    cells = by_unit.path.loc[name]
    value, spread = float(cells["estimate"]), float(test.null[term].std())
    ends = [by_unit.interval(term=term), by_block.interval(term=term), (value - _Z * spread, value + _Z * spread)]
    errors = {"se_unit": float(by_unit.std_errors[term]), "se_block": float(by_block.std_errors[term])}
    errors["sd_blocks"] = spread
    ratios = {
        "value": np.exp(value),
        "low": np.exp(min(low for low, _ in ends)),
        "high": np.exp(max(high for _, high in ends)),
        "detectable": np.exp((_Z + stats.norm.ppf(0.8)) * max(errors.values())),
    }
    counts = {
        "observed": float(cells["observed"]),
        "expected": float(cells["expected"]),
        "cells": int(cells["n_cells"]),
    }
    return {
        "log": value,
        **errors,
        **counts,
        "p_unit": by_unit.p_value(term),
        "p_blocks": test.p_value(term),
        "decision": ratios | {"scale": "ratio"},
        "inside": _inside(ratios, share),
    }


def _inside(ratios: Mapping[str, float], share: float | None) -> Numbers:
    """Return the effect inside UPP areas that would make the one on the whole precinct; below zero it has no meaning."""
    if share is None:
        return dict.fromkeys(("value", "low", "high"))
    return {key: max(0.0, 1 + (ratios[key] - 1) / share) for key in ("value", "low", "high")}


# ---------------------------------------------------------------------------------------------------- paths and leads


def path_numbers(section: Section, *, seed: int) -> Numbers:
    """Return both judged outcomes quarter by quarter with the simultaneous band, as ratios."""
    first, last = section["main"]["path"]
    paths: Numbers = {}
    for outcome in JUDGED:
        sample = precinct_sample(section, outcome)
        fit = imputation(sample.panel, family="poisson", pretrends=-first, horizon=(0, last))
        paths[outcome] = {"months": _path(cluster(fit, sample.blocks), seed)}
    return paths


def _path(estimate: Estimate, seed: int) -> Numbers:
    assert estimate.path is not None
    band = estimate.band(seed=seed)[["conf_low", "conf_high"]].apply(np.exp)
    steps: Numbers = {}
    for step in estimate.path.index:
        low, high = estimate.interval(term=path_term("event_time", step))
        ends = {"band_low": band.loc[step, "conf_low"], "band_high": band.loc[step, "conf_high"]}
        ratio = np.exp(estimate.path.loc[step, "estimate"])
        steps[str(step)] = {"ratio": ratio, "low": np.exp(low), "high": np.exp(high), **ends}
    return steps


def lead_numbers(section: Section, *, draws: int, seed: int, outcomes: Sequence[str] = JUDGED) -> Numbers:
    """Return the joint test of the quarters before the occupation, by clustered covariance and by dealt schedules."""
    found: Numbers = {}
    for outcome in outcomes:
        sample = precinct_sample(section, outcome)
        observed = _lead_test(sample.panel, section)
        joint = joint_test(_leads(sample.panel, section), _lead_terms(section))
        test = randomization_test(
            observed, MoveClusters(sample.blocks), draws=draws, seed=seed, statistic="value", sides="greater"
        )
        assert test.null is not None
        beyond = float((test.null["att"].dropna() > stats.chi2.ppf(0.95, joint.df)).mean())
        p = {"p_clustered": joint.p_value, "p_blocks": test.p_value(), "share_rejecting": beyond}
        found[outcome] = {"wald": joint.statistic, "df": joint.df, **p}
    return found | {"draws": draws}


def _lead_test(panel: Panel, section: Section) -> Estimate:
    return Estimate(
        estimand="Wald statistic of the leads",
        value=joint_test(_leads(panel, section), _lead_terms(section)).statistic,
        std_error=float("nan"),
        method="joint test",
        citation="",
        panel=panel,
        fit=lambda other: _lead_test(other, section),
    )


def _leads(panel: Panel, section: Section) -> Estimate:
    fit = imputation(panel, family="poisson", pretrends=-section["main"]["leads"][0], horizon=(0, 0))
    return cluster(fit, "unit")


def _lead_terms(section: Section) -> list[str]:
    first, last = section["main"]["leads"]
    return [path_term("event_time", step) for step in range(first, last + 1)]


def honest_numbers(section: Section, *, seed: int) -> Numbers:
    """Return how large a violation of parallel trends the effects of years 1-4 survive, on rates by year."""
    years = section["main"]["years"]
    shared: Numbers = {"bins": 4, "window": (years[0][0], years[-1][1]), "seed": seed}
    target = dict.fromkeys(range(16), 1 / 16)
    found: Numbers = {}
    for outcome in JUDGED:
        panel = precinct_sample(section, outcome).panel.rate(per=_ANNUAL)
        path = group_time_effects(panel, control="not_yet", base="universal").aggregate("event")
        rules = [relative_magnitudes(M) for M in (0.0, 0.5, 1.0)]
        bounds = honest_bounds(path, restriction=rules, target=target, **shared)
        rows = bounds.frame[["conf_low", "conf_high"]].to_dict("records")
        limits = {f"m_{m}": row for m, row in zip(("0", "0_5", "1"), rows, strict=True)}
        value = float(str(breakdown(path, target=target, **shared).value))
        found[outcome] = {"rate": bounds.estimate, "se": bounds.std_error, "breakdown": value, "bounds": limits}
    return found


# ------------------------------------------------------------------------------------------------------ choices as rows


def leave_out_numbers(section: Section) -> Numbers:
    """Return the ratio of years 1-4 without each block of treated neighbours in turn."""
    found: Numbers = {}
    for outcome in JUDGED:
        main = precinct_sample(section, outcome)
        each = {}
        for block in sorted({main.blocks[unit] for unit in main.treated}):
            rest = [unit for unit in main.panel.units if main.blocks[unit] != block]
            each[block] = _ratio(replace(main, panel=main.panel.keep(rest)), section["main"]["windows"], DECIDES)
        low, high = min(each, key=lambda name: each[name]), max(each, key=lambda name: each[name])
        ends = {"smallest": each[low], "largest": each[high], "smallest_without": low, "largest_without": high}
        alemao = precinct_sample(section, outcome, {"without": section["left_out_in_turn"]["alemao"]["precincts"]})
        found[outcome] = {**ends, "without_alemao": _ratio(alemao, section["main"]["windows"], DECIDES)}
    return found


def _ratio(sample: Sample, windows: Mapping[str, Sequence[int]], name: str) -> float:
    estimate = fit_windows(sample.panel, windows, variance="none")
    assert estimate.path is not None
    return float(np.exp(estimate.path.loc[name, "estimate"]))


def specification_numbers(section: Section) -> Numbers:
    """Return every specification of the plan as a row, for both judged outcomes."""
    rows = {}
    for entry in section["specification"]:
        found = {outcome: _row(section, outcome, entry) for outcome in JUDGED}
        rows[entry["name"]] = {"name": entry["name"], "label": entry["label"], "outcomes": found}
    return {"rows": rows}


def _row(section: Section, outcome: str, change: Change) -> Numbers:
    try:
        sample = precinct_sample(section, outcome, change)
        windows = _FITS[change.get("estimator", "imputation")](sample, section, outcome, change)
    except CrimepolicyError as problem:
        return {"failed": str(problem), "windows": {}}
    return {"n_treated": len(sample.treated), "n_comparison": len(sample.controls), "windows": windows}


def _imputed(sample: Sample, section: Section, outcome: str, change: Change) -> Numbers:
    estimate = fit_windows(sample.panel, section["main"]["windows"], anticipation=change.get("anticipation", 0))
    assert estimate.path is not None
    names = [name for name in (DECIDES, LATER) if name in estimate.path.index]
    return {name: _interval(estimate, path_term("window", name), sample.blocks) for name in names}


def _interval(estimate: Estimate, term: str, blocks: Mapping[str, str], scale: float = 1.0) -> Numbers:
    both = [cluster(estimate, "unit").interval(term=term), cluster(estimate, blocks).interval(term=term)]
    low, high = min(ends[0] for ends in both), max(ends[1] for ends in both)
    ends = {"ratio": float(estimate.estimates[term]), "low": low, "high": high}
    return {key: float(np.exp(scale * end)) for key, end in ends.items()}


def _rates(sample: Sample, section: Section, outcome: str, change: Change) -> Numbers:
    panel = sample.panel.rate(per=_ANNUAL)
    spans = {name: tuple(section["main"]["windows"][name]) for name in (DECIDES, LATER)}
    estimate = imputation(panel, windows=spans, horizon=(0, spans[LATER][1]))
    return {name: _relative(estimate, path_term("window", name), panel, spans[name], sample.blocks) for name in spans}


def _relative(
    estimate: Estimate, term: str, panel: Panel, span: Sequence[int], blocks: Mapping[str, str]
) -> dict[str, Any]:
    """Return a difference of rates as a ratio to what was expected, taking the observed rate as known."""
    step = np.arange(panel.n_periods) - panel.first_treated[:, None]
    inside = (step >= span[0]) & (step <= span[1])
    assert panel.weights is not None
    observed = float(np.average(panel.Y[inside], weights=panel.weights[inside]))
    value = float(estimate.estimates[term])
    reach = _Z * max(float(cluster(estimate, by).std_errors[term]) for by in ("unit", dict(blocks)))
    ends = {"ratio": value, "low": value - reach, "high": value + reach}
    return {key: observed / (observed - end) if observed > end else None for key, end in ends.items()}


def _two_way(sample: Sample, section: Section, outcome: str, change: Change) -> Numbers:
    estimate = two_way_fixed_effects(sample.panel, family="poisson")
    return {DECIDES: _interval(estimate, "att", sample.blocks)}


def _dose(sample: Sample, section: Section, outcome: str, change: Change) -> Numbers:
    data = section["data"]
    dosed = load_panel(
        data["precincts"], outcome=outcome, start=data["start"], end=data["end"], dose="upp_share_occupied"
    )
    dosed = replace(dosed, neighbours=None).aggregate("quarter").keep(sample.panel.units)
    assert dosed.dose is not None
    estimate = two_way_fixed_effects(dosed, family="poisson")
    share = float(dosed.dose[sample.panel.D.any(axis=1), -1].mean())
    return {DECIDES: _interval(estimate, "att", sample.blocks, share)}


_FITS = {"imputation": _imputed, "rate": _rates, "two_way": _two_way, "dose": _dose}


# -------------------------------------------------------------------------------- elsewhere: spillover, city, other half


def spillover_numbers(section: Section) -> Numbers:
    """Return effects on treated precincts, on those that border them, and on the Baixada, against the rest of the state."""
    found: Numbers = {}
    fixed, pairs = traits(section), borders(section)
    baixada = fixed.index[fixed["region"] == METROPOLITAN[0]]
    for outcome in section["spillover"]["outcomes"]:
        sample = precinct_sample(section, outcome, {"controls": "state"})
        treated = sample.treated
        near = pairs[pairs["neighbour"].isin(treated) & ~pairs["unit"].isin(baixada)]
        far = pd.MultiIndex.from_product([baixada, treated], names=["unit", "neighbour"]).to_frame(index=False)
        kept = {
            name: table[table["unit"].isin(sample.controls)] for name, table in (("bordering", near), ("baixada", far))
        }
        try:
            estimate = spillover_effects(sample.panel, exposure=kept, family="poisson", horizon=(0, 27))
            assert estimate.path is not None
            terms = {str(name): path_term(str(estimate.path.index.name), name) for name in estimate.path.index}
            found[outcome] = {name: _interval(estimate, term, sample.blocks) for name, term in terms.items()}
        except CrimepolicyError as problem:
            found[outcome] = {"failed": str(problem)}
    return found


def split_numbers(section: Section) -> Numbers:
    """Return deaths inside UPP areas against the rest of the same precincts, by years since the occupation."""
    found: Numbers = {}
    for outcome in LETHAL:
        panel = split_panel(section, outcome)
        assert panel.region is not None
        place = dict(zip(panel.units, panel.region, strict=True))
        try:
            spans = {DECIDES: (0, 3), LATER: (4, 6)}
            estimate = imputation(panel, family="poisson", effects="unit+region:period", windows=spans, horizon=(0, 6))
            found[outcome] = {name: _interval(estimate, path_term("window", name), place) for name in spans}
        except CrimepolicyError as problem:
            found[outcome] = {"failed": str(problem)}
    return found


def count_numbers(section: Section) -> Numbers:
    """Return yearly rates, and the part of the raw fall in treated precincts that the rest of the city shares."""
    found: Numbers = {}
    for outcome in LETHAL:
        sample = precinct_sample(section, outcome)
        here = sample.panel.D.any(axis=1)
        yearly = sample.panel.aggregate("year")
        assert yearly.population is not None
        rates = [100_000 * yearly.Y[rows].sum(axis=0) / yearly.population[rows].sum(axis=0) for rows in (here, ~here)]
        table = {str(year): {"treated": a, "comparison": b} for year, a, b in zip(yearly.periods, *rates, strict=True)}
        found[outcome] = {"yearly": table, **_shared_fall(sample.panel, here, section["share"])}
    return found


def _shared_fall(panel: Panel, here: np.ndarray[Any, Any], rule: Mapping[str, Any]) -> Numbers:
    spans = [
        panel.window(*(str(pd.Period(end, "M").asfreq("Q")) for end in rule[key])).Y for key in ("before", "after")
    ]
    logs = [float(np.log(spans[1][rows].sum() / spans[0][rows].sum())) for rows in (here, ~here)]
    changes = {"treated_change": float(np.exp(logs[0])), "comparison_change": float(np.exp(logs[1]))}
    return changes | {"shared": logs[1] / logs[0]}


def published_numbers(table: pd.DataFrame) -> Numbers:
    """Return what others published on the claim; no size of theirs could be read."""
    keys = ("study", "outcome", "basis", "treatment", "direction")
    rows = []
    for entry in table[table["claim"] == "P01"].to_dict("records"):
        words = {key: str(entry[key]) for key in keys if key in entry and not pd.isna(entry[key])}
        rows.append({"year": int(entry["year"]), "verified": bool(entry["verified"]), **words})
    return {"rows": rows}
