"""What stands beside the main numbers of claim P01: closures, calibration, other errors, a curve of choices, a map."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analyses.effects import fit_windows
from analyses.family import Run
from analyses.rio import Sample, Section, joined_place, precinct_sample, traits
from analyses.settings import plan
from analyses.standard import REACH, attempt, from_estimate, rows
from crimepolicy.data import load_panel, load_table
from crimepolicy.diagnostics.pretrends import joint_test
from crimepolicy.did.imputation import imputation
from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.estimate import Estimate, path_term
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.conley import conley
from crimepolicy.inference.mechanisms import PermuteSchedules
from crimepolicy.inference.multiple_testing import multiple_testing
from crimepolicy.inference.randomization import randomization_test
from crimepolicy.sensitivity.calibration import calibrate
from crimepolicy.sensitivity.placebo_design import PlaceboDesign, mask_treated
from crimepolicy.sensitivity.specification import specification_curve

Numbers = dict[str, Any]
Row = dict[str, Any]

SECTION = "upp_more"
_TERM = path_term("window", "y1_4")
_FEW = 8
"""Placebo schedules laid on the comparison precincts of the capital, of which there are not many more."""
_CLASSES = (0.0, 0.05, 0.15, 0.30)

KINDS = dict.fromkeys(["*.p_value", "*.p_romano_wolf", "*.sd_dealt", "rows.*.size", "rows.*.coverage"], "band")
"""Kinds of numbers that are drawn."""


# ------------------------------------------------------------------------------------------------- errors and families


def error_numbers(run: Run) -> Numbers:
    """Return years 1-4 of every outcome with Conley errors, and p-values of the family by Romano-Wolf."""
    upp, rule = plan().section("upp"), run.section["inference"]
    fits: dict[str, Estimate] = {}
    found: dict[str, Row] = {}
    for outcome, entry in upp["outcomes"].items():
        sample = precinct_sample(run.section, outcome)
        fit = fit_windows(sample.panel, run.section["main"]["windows"])
        fits[outcome] = cluster(fit, sample.blocks)
        errors = {"unit": float(cluster(fit, "unit").std_errors[_TERM]), "block": float(fits[outcome].std_errors[_TERM])}  # fmt: skip
        errors |= {f"km_{km}": float(conley(fit, km=km).std_errors[_TERM]) for km in rule["conley_km"]}
        found[outcome] = {"label": entry["label"], "log": float(fit.estimates[_TERM]), "errors": errors}
    joint = multiple_testing(fits, "romano_wolf", terms=[_TERM], draws=rule["romano_wolf_draws"], seed=run.seed)
    for outcome, p in zip(found, joint["p_adjusted"].tolist(), strict=True):
        found[outcome]["p_romano_wolf"] = p
    return {"outcomes": found}


# ------------------------------------------------------------------------------------------------------------ closures


def closure_sample(section: Section, outcome: str) -> Sample:
    """Return the 38 areas by quarter, those treated whose unit closed, from the quarter of closure."""
    rule, data = section["closures"], section["data"]
    panel = load_panel(data["areas"], outcome=outcome, start=rule["start"], end=rule["end"])
    panel = replace(panel, neighbours=None).aggregate("quarter")
    closed = load_table(data["units"]).set_index("unit")["closure"].dropna().dt.to_period("Q")
    D = np.zeros(panel.Y.shape, dtype=bool)
    for unit, quarter in closed.items():
        D[panel.units.get_loc(unit)] = np.asarray(panel.periods) >= quarter
    flow = [{"step": "UPP areas", "kept": panel.n_units, "left_out": 0}]
    return Sample(panel.with_treatment(D), {str(unit): str(unit) for unit in panel.units}, flow)


def closure_numbers(run: Run) -> Numbers:
    """Return deaths in closed areas against those that stayed open, by window, and the path around the closure."""
    made: Numbers = {}
    paths, before = {}, {}
    for outcome in run.section["closures"]["outcomes"]:
        label = plan().section("upp")["outcomes"][outcome]["label"]
        made |= {f"{outcome}_{name}": attempt(f"{label}, {text}", partial(_closure, run, outcome, name)) for name, text in _SPANS.items()}  # fmt: skip
        paths[outcome], before[outcome] = _closure_path(run.section, outcome)
    closed = closure_sample(run.section, "homicides").panel
    here = closed.D.any(axis=1)
    counts = {
        outcome: float(closure_sample(run.section, outcome).panel.Y[closed.D].sum())
        for outcome in run.section["closures"]["outcomes"]
    }
    return rows(**made) | {
        "paths": paths,
        "before": before,
        "closed": int(here.sum()),
        "open": int((~here).sum()),
        "deaths": counts,
    }


_SPANS = {"all": "to the end of 2019", "first_half": "first half year", "rest": "later"}


def _closure(run: Run, outcome: str, name: str) -> Row:
    panel, windows = closure_sample(run.section, outcome).panel, run.section["closures"]["windows"]
    fit = fit_windows(panel, windows)
    term = path_term("window", name)
    row = from_estimate("", cluster(fit, "unit"), term=term, how="clusters by area; p: closures dealt over all areas")
    if name != "all":
        return row
    test = randomization_test(fit_windows(panel, {name: windows[name]}), PermuteSchedules(), draws=run.draws, seed=run.seed, terms=[term])  # fmt: skip
    assert test.null is not None
    return row | {"p_value": test.p_value(term), "sd_dealt": float(test.null[term].std())}


def _closure_path(section: Section, outcome: str) -> tuple[Row, Row]:
    """Return the path around the closure, and the quarters before it together: their mean and joint test."""
    panel, leads = closure_sample(section, outcome).panel, section["closures"]["leads"]
    fit = cluster(imputation(panel, family="poisson", pretrends=leads, horizon=(0, 4)), "unit")
    assert fit.path is not None
    ends = [fit.interval(term=path_term("event_time", step)) for step in fit.path.index]
    early = [path_term("event_time", step) for step in range(-leads, 0)]
    joint = joint_test(fit, early)
    path = {
        "event_time": [int(step) for step in fit.path.index],
        "estimate": fit.path["estimate"].tolist(),
        "low": [low for low, _ in ends],
        "high": [high for _, high in ends],
    }
    mean = float(np.exp(np.mean([fit.estimates[term] for term in early])))
    return path, {"mean_ratio": mean, "p_clustered": joint.p_value}


# --------------------------------------------------------------------------------------------------------- calibration


def calibration_numbers(run: Run) -> Numbers:
    """Return how the estimators do where schedules are laid on precincts that never had a unit."""
    rule = run.section["inference"]
    placebos = min(rule["calibration_placebos"], 2 * run.draws)
    poisson = partial(imputation, family="poisson", horizon=(0, 15))
    two_way = partial(two_way_fixed_effects, family="poisson")
    capital = mask_treated(precinct_sample(run.section, "homicides").panel)
    state = mask_treated(precinct_sample(run.section, "homicides", {"controls": "state"}).panel)
    shared: Numbers = {"effects": rule["calibration_effects"], "seed": run.seed}
    found = calibrate(
        {"Poisson imputation, capital": poisson, "Two-way Poisson, capital": two_way},
        capital,
        design=PlaceboDesign(n_treated=_FEW),
        placebos=placebos,
        **shared,
    ).frame
    wide = calibrate({"Poisson imputation, whole state": poisson}, state, placebos=placebos // 2, **shared).frame
    listed = pd.concat([found, wide]).to_dict("records")
    keys = {"size": "rejections", "bias": "bias", "rmse": "rmse", "coverage": "coverage", "detectable": "detectable"}
    quiet = [entry for entry in listed if entry["effect"] == 0.0]
    return {
        "rows": [
            {"label": str(entry["estimator"]), **{name: float(entry[key]) for name, key in keys.items()}}
            for entry in quiet
        ],
        "laid": _FEW,
        "times": placebos,
    }


# ------------------------------------------------------------------------------------------- choices, literature, map


def curve_numbers(run: Run) -> Numbers:
    """Return years 1-4 under every combination of rule, onset, comparison and end."""
    rule = run.section["curve"]
    choices = {name: rule[name] for name in ("rule", "onset", "controls", "end")}
    if run.smoke:
        choices["end"] = rule["end"][-1:]
    found: Numbers = {}
    for outcome in rule["outcomes"]:
        curve = specification_curve(partial(_combination, run.section, outcome), choices)
        frame = curve.frame[curve.frame["error"].fillna("") == ""]
        ends = {name: np.exp(frame[name]).tolist() for name in ("estimate", "conf_low", "conf_high")}
        main = precinct_sample(run.section, outcome)
        value = _combination(run.section, outcome, "dose5", "occupation", "main", "2017-12").value
        found[outcome] = {
            **ends,
            "choices": [" / ".join(str(entry[name]) for name in choices) for entry in frame.to_dict("records")],
            "shares": {str(name): float(share) for name, share in curve.shares.items()},
            "failed": len(curve.frame) - len(frame),
            "below": float((frame["estimate"] < 0).mean()),
            "below_significant": float((frame["conf_high"] < 0).mean()),
            "main": float(np.exp(value)),
            "n_treated": len(main.treated),
        }
    return found


def _combination(section: Section, outcome: str, rule: str, onset: str, controls: str, end: str) -> Estimate:
    sample = precinct_sample(section, outcome, {"rule": rule, "onset": onset, "controls": controls, "end": end})
    return cluster(imputation(sample.panel, family="poisson", horizon=(0, 15)), sample.blocks)


def forest_numbers(run: Run) -> Numbers:
    """Return published sizes, verified or not, with ours for the same outcome."""
    ours = error_numbers(replace(run, draws=0))["outcomes"]
    made = []
    for outcome in ("homicides", "police_killings", "lethal_violence"):
        entry = ours[outcome]
        error = max(entry["errors"].values())
        ends = [float(np.exp(entry["log"] + shift)) for shift in (0.0, -REACH * error, REACH * error)]
        made.append({"label": f"Ours: {entry['label'].lower()}", "ratio": ends[0], "low": ends[1], "high": ends[2], "verified": True})  # fmt: skip
    made += [
        {"label": f"{entry['study']}: {entry['outcome'].lower()}", "ratio": 1 + entry["percent"] / 100, "low": None, "high": None, "verified": entry["verified"], "design": entry["design"]}
        for entry in run.section["published"]
    ]  # fmt: skip
    return {"rows": made}


def clipped_numbers(run: Run) -> Numbers:
    """Return how many cells of the inside-outside split were below zero outside, by month and after joining and summing."""
    table = load_table(run.section["data"]["split"])
    found: Numbers = {}
    for outcome in ("homicides", "police_killings", "lethal_violence"):
        outside = table[outcome] - table[f"{outcome}_inside"]
        year = table.assign(outside=outside, place=table["unit"].map(joined_place), year=table["month"].dt.year)  # fmt: skip
        joined = year.groupby(["place", "year"])["outside"].sum()
        cut = joined[joined < -1e-9]
        found[outcome] = {
            "months": int((outside < -1e-9).sum()),
            "of_months": len(table),
            "years": len(cut),
            "of_years": len(joined),
            "deaths": abs(float(cut.sum())),
        }
    return found


def map_numbers(run: Run) -> Numbers:
    """Return the share of residents under a unit by precinct of the capital; the outlines stand under ``placebos``."""
    fixed = traits(run.section)
    shares = fixed.loc[fixed["capital"], "upp_share_final"].astype(float)
    outlines = load_table(run.section["data"]["outlines"])
    here = outlines[outlines["unit"].isin(shares.index)].sort_values(["unit", "precinct", "part", "order"])
    shapes, units = [], []
    for (unit, _, _), part in here.groupby(["unit", "precinct", "part"], sort=False):
        # A hundred metres are less than the width of a line on the map.
        points = part[["lon", "lat"]].round(3).drop_duplicates()
        if len(points) > 3:
            shapes.append(points.to_numpy().tolist())
            units.append(str(unit))
    level = {str(unit): _level(share) for unit, share in shares.items()}
    return {
        "shares": {str(unit): share for unit, share in shares.items()},
        "occupied": int((shares > 0).sum()),
        "placebos": {"shapes": shapes, "levels": [level[unit] for unit in units]},
    }


def _level(share: float) -> int:
    return 0 if share <= 0 else sum(share > bound for bound in _CLASSES)


CLASS_LABELS = ("none", "up to 5%", "5 to 15%", "15 to 30%", "over 30%")

NUMBERS = {
    "errors": error_numbers,
    "closures": closure_numbers,
    "calibration": calibration_numbers,
    "curve": curve_numbers,
    "forest": forest_numbers,
    "clipped": clipped_numbers,
    "map": map_numbers,
}
"""What computes each file of the section."""
