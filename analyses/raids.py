"""Claim M07: what happened to killings in metropolitan Rio de Janeiro when police raids were restricted in June 2020."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analyses.family import Results, Run
from analyses.rio_raids import RaidSample, daily, metropolitan_ratio, monthly_panel, raid_sample
from analyses.settings import seed_of
from analyses.standard import attempt, effect, from_estimate, from_spread, histogram, rows, widest
from analyses.standard_page import standard_family
from crimepolicy.did.imputation import imputation
from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.estimate import HEADLINE, Estimate, path_term
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.multiple_testing import multiple_testing
from crimepolicy.panel import Panel
from crimepolicy.report.site import change as as_change
from crimepolicy.report.site import number
from crimepolicy.sensitivity.calibration import calibrate
from crimepolicy.sensitivity.placebo_design import mask_treated

Section = Mapping[str, Any]
Numbers = dict[str, Any]
Row = dict[str, Any]
Floats = np.ndarray[Any, np.dtype[np.float64]]

DECIDES = "w0_15"
_FAKE_WEEKS = 11
_DEALT = "the wider of clusters by precinct and dealt labels"
_NAMES = {"homicides": "Homicides", "police_killings": "Killings by police"}


def _fit(panel: Panel, windows: Mapping[str, Sequence[int]], *, donut: int = 0) -> Estimate:
    spans = {name: (span[0], span[1]) for name, span in windows.items()}
    last = max(span[1] for span in spans.values())
    fit = imputation(panel, family="poisson", windows=spans, horizon=(0, last), anticipation=donut)
    return cluster(fit, "unit")


def _dealt(label: str, estimate: Estimate, *, draws: int, seed: int, **more: Any) -> tuple[Row, list[float]]:
    """Return the row of a two-period estimate with the wider of both intervals, and the estimates under dealt labels."""
    panel = estimate.panel
    assert panel is not None
    many = panel.D.any(axis=1)
    rng = np.random.default_rng(seed)
    labels = np.stack([many, *(rng.permutation(many) for _ in range(draws))])
    values, errors = two_period_contrasts(panel.Y, labels, log=estimate.scale == "log")
    studentised = np.abs(values / errors)
    # Labels that leave a group without any count have no estimate, and count as at least as extreme.
    p = float(1 - (studentised[1:] < studentised[0] * (1 - 1e-12)).sum() / (1 + draws))
    drawn = values[1:][np.isfinite(values[1:])]
    value, spread = estimate.value, float(drawn.std(ddof=1))
    clustered = from_estimate(label, estimate, **more)
    row = widest(clustered, [from_spread(label, value, spread, scale=estimate.scale)]) | {"how": _DEALT, "p_value": p}
    return row | {"log" if clustered["scale"] == "ratio" else "raw": value, "sd_dealt": spread}, drawn.tolist()


def two_period_contrasts(Y: Floats, labels: np.ndarray[Any, Any], *, log: bool) -> tuple[Floats, Floats]:
    """Return the contrast of changes, and its error clustered by unit, for every row of labels.

    Closed form of the imputation estimate of two periods, so that hundreds of deals cost nothing; a test compares both.
    """
    parts, squares = [], np.zeros(len(labels))
    with np.errstate(divide="ignore", invalid="ignore"):
        for group in (labels, ~labels):
            before, after = group @ Y[:, 0], group @ Y[:, 1]
            if log:
                influence = (Y[:, 1] - (after / before)[:, None] * Y[:, 0]) / after[:, None]
                parts.append(np.log(after / before))
            else:
                change, size = Y[:, 1] - Y[:, 0], group.sum(axis=1)
                influence = (change - (group @ change / size)[:, None]) / size[:, None]
                parts.append(group @ change / size)
            squares += (group * influence**2).sum(axis=1)
        units = labels.shape[1]
        return parts[0] - parts[1], np.sqrt(squares * units / (units - 1))


# --------------------------------------------------------------------------------------------------- many raids or few


def _halves(panel: Panel, section: Section, *, level: bool = False) -> Estimate:
    """Return the estimate of the window that decides from two periods, before the donut and after it.

    With one date for all, sums over both periods hold all that the fit to weeks would use, and refits cost a tenth.
    """
    weeks = np.asarray(panel.periods)
    first, last = section["main"]["windows"][DECIDES]
    spans = [weeks < -section["treatment"]["donut_weeks"], (weeks >= first) & (weeks <= last)]
    return _two_periods(panel, spans, level=level)


def _two_periods(panel: Panel, spans: Sequence[np.ndarray[Any, Any]], *, level: bool) -> Estimate:
    Y = np.stack([panel.Y[:, span].mean(axis=1) if level else panel.Y[:, span].sum(axis=1) for span in spans], axis=1)
    D = np.stack([np.zeros(panel.n_units, dtype=bool), panel.D.any(axis=1)], axis=1)
    small = replace(panel, Y=Y, D=D, periods=pd.RangeIndex(2), population=np.ones(Y.shape))
    fit = imputation(small, family="gaussian" if level else "poisson", average="event_time", leave_out=False)
    return cluster(fit, "unit")


def _outcome_rows(section: Section, *, draws: int, seed: int) -> dict[str, Row]:
    found = {}
    for outcome, entry in section["outcomes"].items():
        fit = _halves(raid_sample(section, outcome).panel, section)
        group = "main" if outcome == "homicides" else "outcome"
        found[outcome], _ = _dealt(entry["label"], fit, draws=draws, seed=seed, group=group)
    adjusted = multiple_testing({name: row["p_value"] for name, row in found.items()}, "holm")["p_adjusted"]
    holm = dict(zip(found, adjusted.tolist(), strict=True))
    return {name: row | {"p_holm": holm[name]} for name, row in found.items()}


def _main_fit(section: Section, outcome: str) -> Estimate:
    panel = raid_sample(section, outcome).panel
    return _fit(panel, section["main"]["windows"], donut=section["treatment"]["donut_weeks"])


def _window_rows(section: Section) -> dict[str, Row]:
    fit, made = _main_fit(section, "homicides"), {}
    for name, (first, last) in section["main"]["windows"].items():
        if name != DECIDES:
            label = f"Homicides, weeks {first} to {last}"
            made[name] = from_estimate(label, fit, term=path_term("window", name), group="window", how="clusters by precinct")  # fmt: skip
    return made


_LEVELS = {
    "first_stage": ("shootings_with_police", "Shootings with police"),
    "level_police_killings": ("police_killings", "Killings by police"),
    "level_homicides": ("homicides", "Homicides"),
    "level_civilian_deaths": ("civilian_deaths", "Civilians shot dead"),
    "level_shootings": ("shootings", "All shootings"),
}


def _level_rows(section: Section, *, draws: int, seed: int) -> dict[str, Row]:
    made = {}
    for name, (outcome, label) in _LEVELS.items():
        fit = _halves(raid_sample(section, outcome).panel, section, level=True)
        made[name], _ = _dealt(f"{label}, per week", fit, draws=draws, seed=seed, group="level")
    return made


def _specification(section: Section, change: Mapping[str, Any]) -> Row:
    sample = raid_sample(section, "homicides", change)
    fits = {"two_way": _two_way, "dose": _dose}
    counts = {"n_treated": int(sample.panel.D.any(axis=1).sum()), "n_comparison": int((~sample.panel.D.any(axis=1)).sum())}  # fmt: skip
    if "estimator" in change:
        return from_estimate("", fits[change["estimator"]](sample, section), **counts, how="clusters by precinct")
    donut = change.get("donut_weeks", section["treatment"]["donut_weeks"])
    fit = _fit(sample.panel, {DECIDES: section["main"]["windows"][DECIDES]}, donut=donut)
    return from_estimate("", fit, term=path_term("window", DECIDES), **counts, how="clusters by precinct")


def _without_donut(panel: Panel, section: Section) -> Panel:
    weeks = np.asarray(panel.periods)
    donut = (weeks < 0) & (weeks >= -section["treatment"]["donut_weeks"])
    return panel.with_outcome(np.where(donut, np.nan, panel.Y))


def _two_way(sample: RaidSample, section: Section) -> Estimate:
    return cluster(two_way_fixed_effects(_without_donut(sample.panel, section), family="poisson"), "unit")


def _dose(sample: RaidSample, section: Section) -> Estimate:
    panel = _without_donut(sample.panel, section)
    rank = sample.raids.reindex(panel.units).rank().to_numpy()
    after = np.asarray(panel.periods)[None, :] >= 0
    dose = after * ((rank - rank.min()) / (rank.max() - rank.min()))[:, None]
    return cluster(two_way_fixed_effects(replace(panel, dose=dose, D=dose > 0), family="poisson"), "unit")


def _fake(section: Section, outcome: str, span: tuple[int, int] = (0, 7), *, level: bool = False) -> Estimate:
    """Return the estimate of a fake injunction eleven weeks early, over a span of weeks after it and before the donut."""
    panel = raid_sample(section, outcome).panel
    weeks = np.asarray(panel.periods) + _FAKE_WEEKS
    return _two_periods(panel, [weeks < 0, (weeks >= span[0]) & (weeks <= span[1])], level=level)


def lead_numbers(run: Run) -> Numbers:
    """Return the estimates of a fake injunction at the beginning of the pandemic."""
    found = {}
    for outcome, label in _NAMES.items():
        row, _ = _dealt(f"{label}, fake injunction of 20 March", _fake(run.section, outcome), draws=run.draws, seed=run.seed, group="placebo")  # fmt: skip
        level, _ = _dealt(f"{label}, fake injunction, per week", _fake(run.section, outcome, level=True), draws=run.draws, seed=run.seed, group="placebo")  # fmt: skip
        found[outcome] = row | {"level": level}
    return found


# ------------------------------------------------------------------------------------- the break in time, as published


def _slopes(size: int, gap: int, order: int, weekday: int | None) -> Floats:
    """Return the weights on days whose sum is the break: polynomials on each side, met at the last day before the cut-off.

    As published, that last day (time 0) is inside, so that the window holds one day more before than after; and so are
    effects of the day of the week, counted from that of the first day of the window.
    """
    offset = np.concatenate([np.arange(size + 1), np.arange(size + 1 + gap, 2 * size + 1 + gap)])
    time = (offset - size - gap) / size
    side = (time > 0).astype(float)
    powers = np.stack([time**power for power in range(order + 1)], axis=1)
    days = np.eye(7)[(offset + weekday) % 7] if weekday is not None else np.zeros((len(time), 0))
    return np.asarray(np.linalg.pinv(np.hstack([powers, powers * side[:, None], days]))[order + 1])


def breaks(table: pd.DataFrame, size: int, gap: int, order: int, *, days_of_week: bool) -> Floats:
    """Return the break at every cut-off that leaves the window on both sides (rows: cut-offs; columns: as in `table`)."""
    days, first = table.to_numpy(), pd.Timestamp(table.index[0]).weekday()
    weights = [_slopes(size, gap, order, k if days_of_week else None) for k in range(7)]
    cuts = range(size + gap + 1, len(days) - size + 1)
    used = [np.r_[cut - gap - size - 1 : cut - gap, cut : cut + size] for cut in cuts]
    return np.array([weights[(first + rows[0]) % 7] @ days[rows] for rows in used])


def _break_row(section: Section, outcome: str, label: str, cut: str, gap: int, size: int, order: int, *, days_of_week: bool = False) -> tuple[Row, list[float]]:  # fmt: skip
    table = daily(section, outcome)
    found = breaks(table, size, gap, order, days_of_week=days_of_week)
    at = table.index.get_loc(pd.Timestamp(cut)) - (size + gap + 1)
    value = float(found[at].mean())
    clear = np.abs(np.arange(len(found)) - at) >= 2 * size + gap
    fakes = found.mean(axis=1)[clear]
    spread = float(np.sqrt(np.mean(fakes**2)))
    p = float((1 + (np.abs(fakes) >= abs(value)).sum()) / (1 + len(fakes)))
    disjoint = int(clear.sum() // (2 * size + gap))
    clustered = float(found[at].std(ddof=1) / np.sqrt(table.shape[1]))
    more = {"se_precinct": clustered, "n_fake": len(fakes), "n_disjoint": disjoint, "group": "break"}
    row = from_spread(label, value, spread, scale="level", p_value=p, how="spread of fake cut-offs", **more)
    return row, fakes.tolist()


def _break_rows(section: Section) -> tuple[dict[str, Row], dict[str, list[float]]]:
    rule, cuts = section["break"], section["treatment"]
    gap = (pd.Timestamp(cuts["injunction"]) - pd.Timestamp(cuts["published_cut"])).days
    made: dict[str, Row] = {}
    drawn: dict[str, list[float]] = {}
    for outcome, label in _NAMES.items():
        kinds = {f"published_{order}": (f"cut 20 May, order {order}", cuts["published_cut"], 0, rule["bandwidth"], order) for order in rule["orders"]}  # fmt: skip
        kinds |= {"injunction": ("cut 5 June, order 1", cuts["injunction"], 0, rule["bandwidth"], 1)}
        kinds |= {"donut": ("donut, order 1", cuts["injunction"], gap, rule["bandwidth"], 1)}
        kinds |= {f"mean_{size}": (f"donut, means of {size} days", cuts["injunction"], gap, size, 0) for size in rule["mean_windows"]}  # fmt: skip
        for name, (text, cut, left, size, order) in kinds.items():
            key = f"{outcome}_{name}"
            made[key], drawn[key] = _break_row(section, outcome, f"{label}, {text}", cut, left, size, order, days_of_week=order > 0)  # fmt: skip
        for order in rule["orders"]:
            text = f"{label}, cut 20 May, order {order}, without days of the week"
            made[f"{outcome}_plain_{order}"], _ = _break_row(section, outcome, text, cuts["published_cut"], 0, rule["bandwidth"], order)  # fmt: skip
    return made, drawn


# ----------------------------------------------------------------------------------------- against other years, and on


def _year_row(section: Section, outcome: str, label: str, *, less_interior: bool = False) -> Row:
    """Return 2020 against the years compared, with the interval of a new year from their spread."""
    logs = metropolitan_ratio(section, outcome, less_interior=less_interior)
    compared = logs.loc[section["years"]["compared"]]
    k, value = len(compared), float(logs.loc[2020] - compared.mean())
    error = float(compared.std(ddof=1) * np.sqrt(1 + 1 / k))
    reach = float(stats.t.ppf(0.975, k - 1)) * error
    others = logs.drop(2020)
    # Every other year is compared with the mean of the rest of the years compared, as 2020 is.
    away = np.array([logs[year] - compared.drop(year, errors="ignore").mean() for year in others.index])
    p = float((1 + (np.abs(away) >= abs(value)).sum()) / (1 + len(away)))
    ends = [float(np.exp(end)) for end in (value, value - reach, value + reach)]
    detectable = float(np.exp((stats.t.ppf(0.975, k - 1) + stats.t.ppf(0.8, k - 1)) * error))
    more = {"group": "years", "log_2019": float(logs.loc[2020] - logs.loc[2019]), "years": {str(y): float(np.exp(v)) for y, v in logs.items()}}  # fmt: skip
    return effect(label, *ends, detectable=detectable, p_value=p, how="spread of the years 2014-2019; p: rank among ten years", **more)  # fmt: skip


def _year_rows(section: Section) -> dict[str, Row]:
    made = {}
    for outcome in (*_NAMES, "lethal_violence"):
        label = section["outcomes"][outcome]["label"]
        made[f"years_{outcome}"] = _year_row(section, outcome, f"{label}, against 2014-2019")
        made[f"years_{outcome}_interior"] = _year_row(section, outcome, f"{label}, 2014-2019 and interior", less_interior=True)  # fmt: skip
    return made


def _long_rows(section: Section) -> dict[str, Row]:
    made = {}
    for outcome, label in _NAMES.items():
        fit = _fit(monthly_panel(section, outcome), section["long_run"]["windows"], donut=3)
        for name, (first, last) in section["long_run"]["windows"].items():
            text = f"{label}, months {first}-{last} against interior"
            made[f"long_{outcome}_{name}"] = from_estimate(text, fit, term=path_term("window", name), group="long run", how="clusters by municipality")  # fmt: skip
    return made


# ------------------------------------------------------------------------------------------------------------- numbers


def effect_numbers(run: Run) -> Numbers:
    """Return every row of the page: the comparison that decides, its variants, breaks in time and other years."""
    section = run.section
    outcomes = _outcome_rows(section, draws=run.draws, seed=run.seed)
    made = {"main": outcomes.pop("homicides"), **outcomes, **_level_rows(section, draws=run.draws, seed=run.seed)}
    made |= _year_rows(section) | _window_rows(section)
    for entry in section["specification"]:
        made[entry["name"]] = attempt(entry["label"], partial(_specification, section, entry))
    return rows(**made, **_break_rows(section)[0], **_long_rows(section))


def sample_numbers(run: Run) -> Numbers:
    """Return the precincts, their raids of the year before, and the totals of both groups."""
    section = run.section
    sample = raid_sample(section, "homicides")
    many = sample.panel.D.any(axis=1)
    raids = sample.raids.reindex(sample.panel.units).to_numpy()
    killed = raid_sample(section, "police_killings").panel
    listed = [
        {"group": name, "precincts": int(here.sum()), "raids_in_2019": int(raids[here].sum()), "fewest_raids": int(raids[here].min()), "most_raids": int(raids[here].max()), "homicides": int(sample.panel.Y[here].sum()), "killings_by_police": int(killed.Y[here].sum())}
        for name, here in (("many raids", many), ("few raids", ~many))
    ]  # fmt: skip
    return {"flow": sample.flow, "treated": listed, "checks": [], "panel": sample.panel.digest}


def series_numbers(run: Run) -> Numbers:
    """Return counts per precinct and week in both groups."""
    outcomes = {**_NAMES, "shootings_with_police": "Shootings with police"}
    panels = []
    for outcome, label in outcomes.items():
        panel = raid_sample(run.section, outcome).panel
        many = panel.D.any(axis=1)
        lines = {"third with the most raids": panel.Y[many].mean(axis=0).tolist(), "other precincts": panel.Y[~many].mean(axis=0).tolist()}  # fmt: skip
        marks = [[-12, "pandemic"], [-2.3, "published cut-off"], [0, "injunction"]]
        panels.append({"title": label, "ylabel": "Per precinct and week", "x": [int(week) for week in panel.periods], "series": lines, "marks": marks})  # fmt: skip
    return {"panels": panels, "caption": "Weeks since the injunction of 5 June 2020. Precincts by raids reported in 2019."}  # fmt: skip


def path_numbers(run: Run) -> Numbers:
    """Return blocks of four weeks: after the injunction, and after a fake one eleven weeks before it."""
    panels = []
    for outcome, label in _NAMES.items():
        fit, windows = _main_fit(run.section, outcome), run.section["main"]["windows"]
        terms = [(-_FAKE_WEEKS + span[0], _fake(run.section, outcome, span), HEADLINE) for span in ((0, 3), (4, 7))]
        terms += [(span[0], fit, path_term("window", name)) for name, span in windows.items() if name != DECIDES]
        found = [(week, float(each.estimates[term]), *each.interval(term=term)) for week, each, term in terms]
        columns = dict(zip(("event_time", "estimate", "low", "high"), (list(column) for column in zip(*found, strict=True)), strict=True))  # fmt: skip
        panels.append({"title": label, "xlabel": "First week of four, since the injunction", "scale": "log", **columns})
    return {"panels": panels}


def null_numbers(run: Run) -> Numbers:
    """Return the estimates under dealt labels, and breaks at fake dates."""
    row, drawn = _dealt("", _halves(raid_sample(run.section, "homicides").panel, run.section), draws=run.draws, seed=seed_of("raids_effects"))  # fmt: skip
    panels = [histogram("Homicides, precincts with many raids dealt anew", drawn, row["log"], row["p_value"])]
    made, fakes = _break_rows(run.section)
    for outcome, label in _NAMES.items():
        key = f"{outcome}_donut"
        panels.append(histogram(f"{label}, break beyond the donut at fake dates", fakes[key], made[key]["value"], made[key]["p_value"], scale="level"))  # fmt: skip
    return {"panels": panels}


def calibration_numbers(run: Run) -> Numbers:
    """Return how the estimators do where labels are laid on precincts with few raids."""
    panel, windows = mask_treated(raid_sample(run.section, "homicides").panel), run.section["main"]["windows"]
    estimators = {
        "Poisson imputation": lambda other: imputation(other, family="poisson", horizon=(0, windows[DECIDES][1])),
        "Two-way Poisson": partial(two_way_fixed_effects, family="poisson"),
    }
    found = calibrate(estimators, panel, effects=(0.0, -0.2), placebos=max(20, run.draws // 6), seed=run.seed)
    frame = found.frame[found.frame["effect"] == 0.0]
    return {"rows": [_calibrated(entry) for entry in frame.to_dict("records")]}


def _calibrated(entry: Mapping[Any, Any]) -> Row:
    keys = {"size": "rejections", "bias": "bias", "rmse": "rmse", "coverage": "coverage", "detectable": "detectable"}
    return {"label": str(entry["estimator"]), **{name: float(entry[key]) for name, key in keys.items()}}


def published_numbers(run: Run) -> Numbers:
    """Return the published breaks beside ours."""
    rule = run.section["break"]
    made, _ = _break_rows(run.section)
    listed = []
    for outcome, values in rule["published"].items():
        for order, value in zip(rule["orders"], values, strict=False):
            ours = made[f"{outcome}_published_{order}"]["value"]
            listed.append({"study": "Trudeau 2022", "outcome": f"{_NAMES[outcome]} per precinct and day", "treatment": f"restriction of raids, cut at 20 May, order {order}", "result": f"{number(value, 3)} (ours {number(ours, 3)})", "verified": True})  # fmt: skip
    return {"rows": listed}


def remarks(results: Results) -> tuple[str, ...]:
    """Return what a reader needs before the figures, from published numbers."""
    found, leads = results["raids_effects"]["rows"], results["raids_leads"]
    main, first, years = found["main"], found["first_stage"], found["years_police_killings"]
    donut = found["homicides_donut"]
    return (
        f"Shootings with police fell by {number(-first['value'], 2)} per precinct and week more where they had been frequent ({number(first['low'], 2)} to {number(first['high'], 2)}): the comparison has something to compare. Homicides there ran {as_change(main['value'])} against the other precincts ({as_change(main['low'])} to {as_change(main['high'])}); a fake injunction in March gives {as_change(leads['homicides']['value'])} (p = {number(leads['homicides']['p_value'], 2)}).",
        f"Killings by police in June to September stood {as_change(years['value'])} against the course of six earlier years ({as_change(years['low'])} to {as_change(years['high'])}; against 2019 alone {as_change(float(np.exp(years['log_2019'])))}). Per precinct and week a fake injunction in March moves them by {number(leads['police_killings']['level']['value'], 2)} (p = {number(leads['police_killings']['level']['p_value'], 2)}), the real one by {number(found['level_police_killings']['value'], 2)}. Against the interior of the state, where they are few, the interval is wide: {as_change(found['years_police_killings_interior']['low'])} to {as_change(found['years_police_killings_interior']['high'])}.",
        f"The break in time hangs on its date: {number(found['homicides_published_1']['value'], 3)} homicides per precinct and day at the published cut of 20 May, {number(found['homicides_injunction']['value'], 3)} at the injunction of 5 June, {number(donut['value'], 3)} with the days between left out (straight lines, 30 days on each side; with effects of the day of the week as in the published code, without which the breaks of 20 May would be {_orders(found, 'homicides_plain')} instead of {_orders(found, 'homicides_published')}; p among fake dates {number(found['homicides_published_1']['p_value'], 2)}, {number(found['homicides_injunction']['p_value'], 2)} and {number(donut['p_value'], 2)}). Nine months hold few windows of that length that do not overlap ({donut['n_disjoint'] + 1} with the real one, {found['homicides_mean_14']['n_disjoint'] + 1} of two weeks on each side), so these p-values say little.",
    )


def _orders(found: Results, name: str) -> str:
    return ", ".join(number(found[f"{name}_{order}"]["value"], 3) for order in (1, 2, 3))


FAMILY = standard_family(
    claim="M07",
    section="raids",
    numbers={
        "sample": sample_numbers,
        "effects": effect_numbers,
        "leads": lead_numbers,
        "series": series_numbers,
        "path": path_numbers,
        "null": null_numbers,
        "calibration": calibration_numbers,
        "published": published_numbers,
    },
    modules=("rio_raids", "raids"),
    tables=("rio_precinct_day", "rio_shootings_day", "rio_municipality_month"),
    words={"M07b": "killings by police"},
    remarks=remarks,
    kinds={"*.p_value": "simulated", "p_value": "simulated", "*.p_holm": "band", "rows.*.low": "band", "rows.*.high": "band", "rows.*.detectable": "band", "rows.*.size": "band", "rows.*.coverage": "band", "*.sd_dealt": "band", "panels.*.count.*": "band", "panels.*.edges.*": "band", "*.level.low": "band", "*.level.high": "band"},
)  # fmt: skip
