"""Claim P07 on its best-known case: how far São Paulo fell below other states, and what that cannot say."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from analyses.family import Results, Run
from analyses.standard import attempt, effect, from_spread, histogram, rows
from analyses.standard_page import standard_family
from crimepolicy.data import load_panel, load_table
from crimepolicy.errors import CrimepolicyError
from crimepolicy.estimate import Estimate
from crimepolicy.inference.conformal import conformal_test
from crimepolicy.inference.placebo import placebo_test
from crimepolicy.panel import Panel
from crimepolicy.report.site import number
from crimepolicy.synth.augmented import augmented_synthetic_control
from crimepolicy.synth.donor_sensitivity import leave_donors_out
from crimepolicy.synth.synthetic_control import synthetic_control
from crimepolicy.synth.synthetic_did import synthetic_did

Section = Mapping[str, Any]
Change = Mapping[str, Any]
Numbers = dict[str, Any]
Row = dict[str, Any]

_FITS: dict[str, Callable[[Panel], Estimate]] = {
    "synthetic_control": synthetic_control,
    "demeaned": partial(synthetic_control, intercept=True),
    "augmented": augmented_synthetic_control,
    "sdid": partial(synthetic_did, variance="none"),
    "log": partial(synthetic_control, scale="log"),
}


def state_sample(section: Section, change: Change | None = None) -> tuple[Panel, list[dict[str, Any]]]:
    """Return the states of one specification with São Paulo treated, and the steps to them."""
    change, data = change or {}, section["data"]
    outcome, unit = change.get("outcome", data["outcome"]), section["treatment"]["unit"]
    table = load_table(data["panel"], columns=["unit", "year", "population"])
    people = table[table["year"] == 1998].set_index("unit")["population"]
    out = set(change.get("left_out", section["controls"]["left_out"]))
    small = set(people.index[people < change.get("minimum_population", 0)]) - out - {unit}
    kept = [name for name in people.index if name not in out | small]
    panel = load_panel(data["panel"], outcome=outcome, start=data["start"], end=change.get("end", data["end"]), units=kept)  # fmt: skip
    flow = [
        {"step": "states", "kept": len(people), "left_out": 0},
        {"step": f"doubtful counts, a programme of their own, or asked for ({', '.join(sorted(out)) or 'none'})", "kept": len(people) - len(out), "left_out": len(out)},
        {"step": "too few inhabitants", "kept": len(kept), "left_out": len(small)},
    ]  # fmt: skip
    return panel.treat([unit], at=int(change.get("start", section["treatment"]["start"]))), flow


def _row(section: Section, change: Change | None = None, *, estimator: str = "") -> tuple[Row, Estimate, list[float]]:
    """Return an estimate with its placebo rank and the interval from the spread of placebos."""
    panel, _ = state_sample(section, change)
    estimate = _FITS[estimator or (change or {}).get("estimator", "synthetic_control")](panel)
    test = placebo_test(estimate, "space", statistic="rmspe_ratio")
    assert test.null is not None
    drawn = test.null["att"].dropna()
    value, spread = float(estimate.value), float(drawn.std(ddof=1))
    rank = round(test.p_value() * (1 + len(drawn)))
    more = {"rank": rank, "of": 1 + len(drawn), "avoided": _avoided(estimate), "pre_rmspe": _before(estimate)}
    how = f"spread of {len(drawn)} placebo states; rank {rank} of {1 + len(drawn)}"
    row = from_spread("", value, spread, scale=estimate.scale, p_value=test.p_value(), how=how, **more)
    return row, estimate, drawn.tolist()


def _before(estimate: Estimate) -> float:
    assert estimate.path is not None
    gaps = estimate.path.loc[estimate.path.index < 0, "estimate"].to_numpy(dtype=float)
    return float(np.sqrt(np.mean(gaps**2)))


def _avoided(estimate: Estimate) -> float | None:
    """Return the homicides fewer than expected in all years after, where the path is one of rates."""
    panel, path = estimate.panel, estimate.path
    if panel is None or path is None or panel.population is None or estimate.scale != "level":
        return None
    here = panel.D.any(axis=1)
    gaps = path.loc[path.index >= 0, "estimate"].to_numpy(dtype=float)
    people = panel.population[here][0][panel.D[here][0]]
    return float(-(gaps * people / 100_000).sum())


# ------------------------------------------------------------------------------------------------------------- numbers


def effect_numbers(run: Run) -> Numbers:
    """Return the estimate, its variants as rows, and what the criteria ask."""
    section = run.section
    main, estimate, _ = _row(section)
    made = {"main": main | {"label": "São Paulo, 1999-2009, per 100,000", "group": "main"}}
    rule = section["identification"]
    made["earlier"] = _earlier(section, rule)
    for entry in section["specification"]:
        made[entry["name"]] = attempt(entry["label"], lambda entry=entry: _row(section, entry)[0])
    without = leave_donors_out(estimate)
    listed = [(" ".join(map(str, left)), float(value)) for left, value in zip(without["left_out"], without["estimate"], strict=True)]  # fmt: skip
    for state, value in listed:
        made[f"without_{state}"] = effect(f"Without {state} among the donors", value, *_same_width(main, value), scale="level", group="donor", how="interval of the main row, moved")  # fmt: skip
    panel = estimate.panel
    assert panel is not None
    rate = 100_000 * panel.Y / _population(panel)
    here = panel.D.any(axis=1)
    before = float(rate[here][0][~panel.D[here][0]].mean())
    # Effects are taken out in the units of the outcome, so that it must be the rate itself.
    conformal = conformal_test(synthetic_control(panel.rate()))
    found = {
        "fit_relative": main["pre_rmspe"] / before,
        "p_conformal": conformal.p_value(),
        "largest_without_donor": max(value for _, value in listed),
        "mean_rate_before": before,
        "weights": _weights(estimate),
    }
    return rows(**made) | found


def _same_width(row: Row, value: float) -> tuple[float, float]:
    return value + row["low"] - row["value"], value + row["high"] - row["value"]


def _population(panel: Panel) -> Any:
    assert panel.population is not None
    return panel.population


def _earlier(section: Section, rule: Mapping[str, Any]) -> Row:
    last = str(int(section["treatment"]["start"]) - 1)
    change = {"start": rule["earlier_start"], "end": last}
    label = f"Start moved to {rule['earlier_start']}, years until {last}"
    return attempt(label, lambda: _row(section, change)[0], group="placebo")


def _weights(estimate: Estimate) -> dict[str, float]:
    assert estimate.weights is not None
    donors = estimate.weights[estimate.weights["role"] == "donor"]
    found = {str(label): float(weight) for label, weight in zip(donors["label"], donors["weight"], strict=True)}
    return {label: weight for label, weight in sorted(found.items(), key=lambda pair: -pair[1]) if weight > 5e-4}


def rival_numbers(run: Run) -> Numbers:
    """Return which places had one explanation without the other, and how much of the gap stood when each began."""
    section = run.section
    places: dict[str, set[str]] = {"policing": set(), "gang": set()}
    for entry in section["explanation"]:
        if entry["kind"] in places:
            places[entry["kind"]] |= set(entry["places"])
    alone = places["policing"] ^ places["gang"]
    _, estimate, _ = _row(section)
    assert estimate.path is not None
    start = int(section["treatment"]["start"])
    gaps = {str(start + int(step)): float(value) for step, value in estimate.path["estimate"].items() if step >= 0}
    return {"places_with_one_alone": len(alone), "gaps": gaps, "explanations": list(section["explanation"])}


def series_numbers(run: Run) -> Numbers:
    """Return the rate of São Paulo and of its synthetic control, and of the country without it."""
    section = run.section
    _, estimate, _ = _row(section)
    panel, path = estimate.panel, estimate.path
    assert panel is not None
    assert path is not None
    here = panel.D.any(axis=1)
    rate = 100_000 * panel.Y / _population(panel)
    years = [int(str(period)) for period in panel.periods]
    gap = path["estimate"].to_numpy(dtype=float)
    others = 100_000 * panel.Y[~here].sum(axis=0) / _population(panel)[~here].sum(axis=0)
    lines = {"São Paulo": rate[here][0].tolist(), "synthetic São Paulo": (rate[here][0] - gap).tolist(), "all donors together": others.tolist()}  # fmt: skip
    marks = [[entry["first_year"], entry["kind"]] for entry in section["explanation"] if entry["kind"] in ("policing", "gang")]  # fmt: skip
    mark = {"policing": "reforms", "gang": "one gang rules"}
    panels = [{"title": "", "ylabel": "Homicides per 100,000", "x": years, "series": lines, "marks": [[year, mark[kind]] for year, kind in marks]}]  # fmt: skip
    weights = ", ".join(f"{label} {weight:.2f}" for label, weight in _weights(estimate).items())
    return {"panels": panels, "caption": f"Weights of the donors: {weights}."}


def null_numbers(run: Run) -> Numbers:
    """Return the same estimate at every donor."""
    main, _, drawn = _row(run.section)
    demeaned, _, changed = _row(run.section, estimator="demeaned")
    panels = [
        histogram("Synthetic control at the donors", drawn, main["value"], main["p_value"], scale="level", bins=15),
        histogram("Synthetic control of changes at the donors", changed, demeaned["value"], demeaned["p_value"], scale="level", bins=15),
    ]  # fmt: skip
    return {"panels": panels, "caption": "Bars: estimates at states where nothing happened, per 100,000. Line: São Paulo. p: rank of the ratio of fits after to before."}  # fmt: skip


def sample_numbers(run: Run) -> Numbers:
    """Return the donors and the steps to them."""
    panel, flow = state_sample(run.section)
    listed = [{"explanation": entry["label"], "places": ", ".join(entry["places"]), "from": str(entry["first_year"]), "verified": "yes" if entry["verified"] else "no"} for entry in run.section["explanation"]]  # fmt: skip
    return {"flow": flow, "treated": listed, "checks": [], "panel": panel.digest}


def published_numbers(run: Run) -> Numbers:
    """Return the published figures beside ours."""
    rule = run.section["published"]
    try:
        ours, _, _ = _row(run.section, {"left_out": ["BA", "SE"]})
    except CrimepolicyError as problem:
        ours = {"avoided": None, "rank": None, "of": None, "failed": str(problem)}
    avoided = "not computed" if ours["avoided"] is None else number(ours["avoided"])
    listed = [
        {"study": rule["study"], "outcome": "Homicides fewer than expected, 1999-2009", "treatment": "reforms from 1999, synthetic control with seven predictors", "result": f"{rule['lives_saved']:,} (ours with its donors, fitted to the yearly rates: {avoided})", "verified": True},
        {"study": rule["study"], "outcome": "Placebo rank by ratio of fits", "treatment": "recomputed from its files, not in the study", "result": f"{rule['rank']} of {rule['of']} (ours with its donors: {ours['rank']} of {ours['of']})", "verified": True},
    ]  # fmt: skip
    return {"rows": listed}


def remarks(results: Results) -> tuple[str, ...]:
    """Return what a reader needs before the figures, from published numbers."""
    found, rivals = results["sao_paulo_effects"], results["sao_paulo_rivals"]
    main, rows_ = found["rows"]["main"], found["rows"]
    ranks = ", ".join(f"{rows_[name]['label'].lower()} {rows_[name]['rank']} of {rows_[name]['of']}" for name in ("demeaned", "augmented", "sdid", "log_scale") if rows_[name]["value"] is not None)  # fmt: skip
    gaps = rivals["gaps"]
    donors = [row["value"] for row in rows_.values() if row["group"] == "donor"]
    return (
        f"The gap is {number(main['value'])} per 100,000 and year ({number(main['low'])} to {number(main['high'])}); {number(main['avoided'])} homicides fewer in eleven years than the weighted donors lead one to expect. By the ratio of fits São Paulo ranks {main['rank']} of {main['of']}, p = {number(main['p_value'], 2)}; by conformal test p = {number(found['p_conformal'], 2)}. Under other estimators the rank is: {ranks}.",
        f"The synthetic control misses the years before by {number(main['pre_rmspe'], 2)} per 100,000 on average, {100 * found['fit_relative']:.0f}% of the rate. Its size hangs on the donors: without any one of them the gap runs from {number(min(donors))} to {number(max(donors))}.",
        f"The gap was {number(gaps['1999'])} in 1999, {number(gaps['2001'])} in 2001, {number(gaps['2003'])} in 2003 and {number(gaps['2009'])} in 2009. Both stories predict a path like it. {rivals['places_with_one_alone']} places in these data had one of the two without the other, so that no amount of homicide counts by state tells them apart.",
    )


FAMILY = standard_family(
    claim="P07",
    section="sao_paulo",
    numbers={
        "sample": sample_numbers,
        "effects": effect_numbers,
        "rivals": rival_numbers,
        "series": series_numbers,
        "null": null_numbers,
        "published": published_numbers,
    },
    modules=("sao_paulo",),
    tables=("brazil_state_year",),
    remarks=remarks,
    kinds={"*.value": "band", "*.low": "band", "*.high": "band", "*.detectable": "band", "*.avoided": "band", "*.pre_rmspe": "band", "weights.*": "band", "gaps.*": "band", "panels.*": "band"},
)  # fmt: skip
