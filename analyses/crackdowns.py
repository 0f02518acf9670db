"""Claim M01: homicides after armed forces are sent, in Mexican states and in whole countries, in the short run and the long."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd

from analyses.effects import fit_windows
from analyses.family import Results, Run
from analyses.forecasts import forecast
from analyses.kingpins import lead_test
from analyses.latin_america import country_series, donors
from analyses.settings import plan
from analyses.standard import (
    REACH,
    Row,
    attempt,
    checks,
    from_estimate,
    from_spread,
    histogram,
    path_panel,
    published_rows,
    rows,
    widest,
)
from analyses.standard_page import standard_family
from crimepolicy.data import load_panel, load_table
from crimepolicy.did.imputation import imputation
from crimepolicy.errors import DesignError
from crimepolicy.estimate import Check, Estimate, path_term
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.mechanisms import PermuteSchedules
from crimepolicy.inference.placebo import placebo_test
from crimepolicy.inference.randomization import randomization_test
from crimepolicy.panel import Event, Panel
from crimepolicy.report.site import against_expected, number
from crimepolicy.synth.synthetic_did import synthetic_did
from crimepolicy.synthesis.meta import synthesise

Section = Mapping[str, Any]
Numbers = dict[str, Any]

SECTION = "crackdowns"
_KINDS = ("short", "long")


# --------------------------------------------------------------------------------------------------- states of Mexico


def first_operations(section: Section, *, memory: bool = False) -> pd.DataFrame:
    """Return the first operation of each state inside the panel, as listed in public or also from memory."""
    table = load_table(section["data"]["operations"])
    table = table.assign(start=pd.to_datetime(table["start"])).sort_values(["start", "event"], kind="stable")
    first = table.drop_duplicates("unit")
    allowed = [*section["treatment"]["operations_from"], *(["memory"] if memory else [])]
    inside = first["start"] <= pd.Period(section["data"]["states_end"], "M").end_time
    return first[first["compiled_from"].isin(allowed) & inside]


def state_panel(section: Section, change: Mapping[str, Any] | None = None) -> Panel:
    """Return states by month, treated from the month of the first operation, with one thing changed."""
    change = dict(change or {})
    data = section["data"]
    panel = load_panel(data["states"], start=change.get("start", data["states_start"]), end=data["states_end"])
    out = [*([] if change.get("memory") else section["controls"]["states_left_out"]), *change.get("without", [])]
    panel = replace(panel, neighbours=None).drop(out)
    listed = first_operations(section, memory=bool(change.get("memory")))
    listed = listed[~listed["unit"].isin(out)]
    panel = panel.treat_events([Event(id=row["event"], unit=row["unit"], at=str(row["start"].to_period("M"))) for row in listed.to_dict("records")])  # fmt: skip
    return _without_leaders(panel, section) if change.get("censor") else panel


def _without_leaders(panel: Panel, section: Section) -> Panel:
    """Leave out the months of a treated state from its first capture or killing of a leader on."""
    table = load_table(section["data"]["kingpins"])
    table = table[(table["rank"] == "leader") & table["action"].isin(["captured", "killed"])]
    first = pd.to_datetime(table["date"]).groupby(table["operations_state_code"]).min().dt.to_period("M")
    Y = panel.Y.astype(float).copy()
    for row in np.flatnonzero(panel.D.any(axis=1)):
        unit = panel.units[row]
        if unit in first.index and first[unit] <= panel.periods[-1]:
            Y[row, np.asarray(panel.periods >= first[unit])] = np.nan
    return panel.with_outcome(Y)


def _mexico_row(estimate: Estimate, name: str, label: str, group: str, null: pd.DataFrame | None = None, p: float | None = None) -> Row:  # fmt: skip
    """Return one window: clustered by state and, where schedules were dealt, the wider of both."""
    term = path_term("window", name)
    clustered = cluster(estimate, "unit")
    row = from_estimate(label, clustered, term=term, group=group, how="clustered by state")
    if null is None:
        return row
    value, spread = float(estimate.estimates[term]), float(null[term].std())
    dealt = widest(row, [from_spread(label, value, spread)])
    return dealt | {"p_value": p, "how": "wider of clustered by state and dealt schedules"}


# ------------------------------------------------------------------------------------------------------------ countries


def episodes(section: Section) -> pd.DataFrame:
    """Return the crackdowns of whole countries that the rule of the plan admits: event, iso3, start, base, first."""
    table, truces = load_table("crackdowns"), load_table("truces")
    names = set(load_table(section["data"]["panel"])["name"])
    table = table.assign(start=pd.to_datetime(table["start"]), end=pd.to_datetime(table["end"]))
    years = section["controls"]["unknown_end_years"]
    table["stop"] = table["end"].fillna(table["start"] + pd.DateOffset(years=years))
    listed = table[table["place"].isin(names) & table["category"].isin(section["treatment"]["categories"])].copy()
    listed["base"] = listed["start"].dt.year - 1
    listed["first"] = np.where(listed["start"].dt.month < 7, 1, 2)
    began = pd.to_datetime(truces["start"])
    running = [_running(row, table) for row in listed.to_dict("records")]
    near = [bool(((truces["iso3"] == row["iso3"]) & ((began - row["start"]).abs() < pd.Timedelta(days=365))).any()) for row in listed.to_dict("records")]  # fmt: skip
    return listed.assign(running=running, near=near).sort_values(["start", "event"]).reset_index(drop=True)


def _running(row: Mapping[Any, Any], table: pd.DataFrame) -> bool:
    base = pd.Timestamp(year=int(row["base"]), month=1, day=1)
    others = table[(table["iso3"] == row["iso3"]) & (table["event"] != row["event"]) & table["place"].isin(table.loc[table["event"] == row["event"], "place"])]  # fmt: skip
    return bool(((others["start"] < row["start"]) & (others["stop"] >= base)).any())


def _country_rows(section: Section, kind: str) -> dict[str, Row]:
    """Return every admitted country episode; those that cannot be computed say why."""
    found: dict[str, Row] = {}
    for row in episodes(section).to_dict("records"):
        if not (row["running"] or row["near"]):
            name = f"{row['event'].lower().replace('-', '_')}_{kind}"
            found[name] = attempt(f"{row['place']} {row['start'].year}, {_words(kind)}", partial(_country, section, row, kind), group="place")  # fmt: skip
    return found


def _country(section: Section, row: Mapping[Any, Any], kind: str) -> Row:
    series = country_series({**section, "data": {**section["data"], "unit": row["iso3"]}})
    span = _span(section, int(row["first"]), kind)
    if kind == "short" and row["base"] + span[1] not in series.counts.columns:
        span = (span[0], int(series.counts.columns.max() - row["base"]))
    if span[0] > span[1]:
        raise DesignError("There are no counts after it.")
    return forecast(series, row["iso3"], int(row["base"]), span).row("")


def _span(section: Section, first: int, kind: str) -> tuple[int, int]:
    if kind == "short":
        return first, first + section["treatment"]["short_years"] - 1
    low, high = section["treatment"]["long_years"]
    return first + low - 1, first + high - 1


def _words(kind: str) -> str:
    return {"short": "two years", "long": "years 3-5"}[kind]


# -------------------------------------------------------------------------------------------------------------- effects


@cache
def _mexico(draws: int) -> tuple[Estimate, pd.DataFrame, Mapping[str, float]]:
    """Return the windows of Mexican states with the estimates under dealt schedules, kept for the tasks of one process."""
    section = plan().section(SECTION)
    estimate = fit_windows(state_panel(section), section["main"]["windows"])
    test = randomization_test(estimate, PermuteSchedules(), draws=draws, seed=plan().shared["seed"])
    assert test.null is not None
    p = {name: test.p_value(path_term("window", name)) for name in section["main"]["windows"]}
    return estimate, test.null, p


def effect_numbers(run: Run) -> Numbers:
    """Return the synthesis, Mexican states, countries, and every specification of the plan."""
    section = run.section
    estimate, null, p = _mexico(run.draws)
    words = {"short": "Mexico, months 0-23", "long": "Mexico, months 24-47", "m0_5": "Mexico, months 0-5", "m6_23": "Mexico, months 6-23"}  # fmt: skip
    named = {f"mexico_{name}": _mexico_row(estimate, name, words[name], "main" if name in _KINDS else "window", null, p[name]) for name in words}  # fmt: skip
    for kind in _KINDS:
        named |= _country_rows(section, kind)
    for entry in section["specification"]:
        for kind in _KINDS:
            label = f"{_SHORT[entry['name']]}, {words[kind].removeprefix('Mexico, ')}"
            named[f"{entry['name']}_{kind}"] = attempt(label, partial(_specified, section, entry, kind))
    pooled = {f"pooled_{name}": row for name, row in pooled_numbers(run)["rows"].items()}
    return rows(**pooled, **named)


# The axis of the figure has no room for the labels of the plan.
_SHORT = {
    "without_chihuahua": "No Chihuahua",
    "without_triangle": "No golden triangle",
    "before_leaders": "Before leaders fall",
    "with_memory": "Dates from memory too",
    "from_2003": "From 2003",
    "rate": "Rates",
    "honduras_sdid": "Honduras 2022, SDiD",
}


def _specified(section: Section, entry: Mapping[str, Any], kind: str) -> Row:
    if entry.get("sdid"):
        return _honduras(section, kind)
    panel = state_panel(section, entry)
    if entry.get("rate"):
        return _rate(panel, section["main"]["windows"], kind)
    estimate = fit_windows(panel, section["main"]["windows"])
    assert estimate.path is not None
    if kind not in estimate.path.index:
        raise DesignError("No treated state has this window behind it.")
    return _mexico_row(estimate, kind, "", "specification")


def _rate(panel: Panel, windows: Mapping[str, Any], kind: str) -> Row:
    spans = {name: tuple(span) for name, span in windows.items()}
    annual = panel.rate(per=1_200_000)
    estimate = cluster(imputation(annual, windows=spans, horizon=(0, max(high for _, high in spans.values()))), "unit")
    step = np.arange(annual.n_periods) - annual.first_treated[:, None]
    inside = (step >= spans[kind][0]) & (step <= spans[kind][1])
    assert annual.weights is not None
    seen = float(np.average(annual.Y[inside], weights=annual.weights[inside]))
    term = path_term("window", kind)
    expected = seen - float(estimate.estimates[term])
    gap, error = float(np.log(seen / expected)), float(estimate.std_errors[term]) / expected
    return from_spread("", gap, error, how="clustered by state")


def _honduras(section: Section, kind: str) -> Row:
    if kind == "long":
        raise DesignError("There are no counts of the third year.")
    names = donors(country_series(section), "HND", (2010, 2023), (2018, 2023), 2023)
    panel = load_panel(section["data"]["panel"], start="2010", end="2023", units=[*names, "HND"]).treat(["HND"], at=2023)  # fmt: skip
    estimate = synthetic_did(panel, scale="log", variance="none")
    null = placebo_test(estimate, "space", statistic="gap", treated="drop").null
    assert null is not None
    spread = float(np.sqrt(np.mean(np.square(null["att"].dropna()))))
    return from_spread("", estimate.value, spread, how=f"the same on each of {len(names)} donors; 2023 only")


def pooled_numbers(run: Run) -> Numbers:
    """Return the mean over episodes, and the next one, for the short run and the long."""
    section = run.section
    estimate, null, p = _mexico(run.draws)
    found: Numbers = {}
    for kind in _KINDS:
        listed = {"Mexico 2006": _mexico_row(estimate, kind, "", "main", null, p[kind])}
        listed |= {row["label"]: row for row in _country_rows(section, kind).values() if row["value"] is not None}
        found |= _synthesis(kind, listed)
    return rows(**found)


def _synthesis(kind: str, listed: Mapping[str, Row]) -> dict[str, Row]:
    studies = {label: as_study(row) for label, row in listed.items()}
    pooled = synthesise(studies)
    more = {"episodes": len(studies)}
    text = {"short": "the first two years", "long": "years 3-5"}[kind]
    together = from_estimate(f"Mean of {len(studies)} episodes, {text}", pooled, group="main", how="random effects, Hartung-Knapp", **more)  # fmt: skip
    nxt = from_estimate(f"The next episode, {text}", pooled.companions["prediction"], group="main", how="prediction interval", **more)  # fmt: skip
    return {kind: together, f"{kind}_next": nxt}


def as_study(row: Row) -> Estimate:
    """Return a row as an estimate on the log scale whose standard error is half its interval over 1.96."""
    value, low, high = (float(np.log(row[key])) for key in ("value", "low", "high"))
    return Estimate(estimand="log ratio to expected", value=value, std_error=(high - low) / 2 / REACH, method="episode", citation="", scale="log")  # fmt: skip


def lead_numbers(run: Run) -> Numbers:
    """Return the joint test of the months before the operations, by dealt schedules."""
    observed = lead_test(state_panel(run.section), run.section)
    test = randomization_test(observed, PermuteSchedules(), draws=min(run.draws, 199), seed=run.seed, statistic="value", sides="greater")  # fmt: skip
    lead = year_before(run.section)
    estimate, null, p = _mexico(run.draws)
    low = _mexico_row(estimate, "long", "", "main", null, p["long"])["low"]
    return {"wald": observed.value, "p_places": test.p_value(), "draws": min(run.draws, 199), "year_before": lead, "low_net_of_year_before": low / lead}  # fmt: skip


def year_before(section: Section) -> float:
    """Return the ratio of homicides in the twelve months before the operations to those expected from earlier months."""
    fit = imputation(state_panel(section), family="poisson", pretrends=-section["main"]["path"][0], horizon=(0, 0))
    return float(np.exp(np.mean([fit.estimates[path_term("event_time", step)] for step in range(-12, 0)])))


def sample_numbers(run: Run) -> Numbers:
    """Return operations, countries, and what was left out of both."""
    section = run.section
    listed = load_table(section["data"]["operations"])
    first, panel, cases = first_operations(section), state_panel(section), episodes(section)
    taken = cases[~cases["running"] & ~cases["near"]]
    flow = [
        {"step": "Mexico: operations in the table", "left_out": 0, "kept": len(listed)},
        {"step": "Mexico: first of their state, listed in public, before 2013", "left_out": len(listed) - len(first), "kept": len(first)},
        {"step": "Mexico: states compared (Coahuila left out)", "left_out": 1, "kept": int((~panel.D.any(axis=1)).sum())},
        {"step": "countries: crackdowns in the table", "left_out": 0, "kept": len(load_table("crackdowns"))},
        {"step": "countries: whole country, and of the kinds in the plan", "left_out": len(load_table("crackdowns")) - len(cases), "kept": len(cases)},
        {"step": "countries: no earlier crackdown running in the base year", "left_out": int(cases["running"].sum()), "kept": int((~cases["running"]).sum())},
        {"step": "countries: no truce within a year", "left_out": int((~cases["running"] & cases["near"]).sum()), "kept": len(taken)},
    ]  # fmt: skip
    treated = [{"place": row["state"], "start": str(row["start"].date()), "what": row["operation"]} for row in first.to_dict("records")]  # fmt: skip
    treated += [{"place": row["place"], "start": str(row["start"].date()), "what": row["name"]} for row in taken.to_dict("records")]  # fmt: skip
    out = ", ".join(cases.loc[cases["running"] | cases["near"], "event"])
    left = Check("countries_left_out", None, None, f"Left out: {out}.")
    return {"flow": flow, "treated": treated, "checks": checks([left])}


# -------------------------------------------------------------------------------------------------------------- figures


def path_numbers(run: Run) -> Numbers:
    """Return Mexican states month by month."""
    first, last = run.section["main"]["path"]
    estimate = cluster(imputation(state_panel(run.section), family="poisson", pretrends=-first, horizon=(0, last)), "unit")  # fmt: skip
    title, xlabel = "Mexican states: log ratio to expected", "months since the first operation"
    return {"panels": [path_panel(estimate, title, xlabel, seed=run.seed)]}


def series_numbers(run: Run) -> Numbers:
    """Return yearly rates of Mexican states with an operation, without, and of Chihuahua."""
    panel = state_panel(run.section).aggregate("year")
    here = panel.D.any(axis=1)
    chihuahua = np.asarray(panel.units == "08")
    assert panel.population is not None
    groups = {"with operation": here & ~chihuahua, "without": ~here, "Chihuahua": chihuahua}
    lines = {name: (1e5 * panel.Y[rows_].sum(axis=0) / panel.population[rows_].sum(axis=0)).tolist() for name, rows_ in groups.items()}  # fmt: skip
    return {"panels": [{"title": "Homicides per 100,000 inhabitants and year, states of Mexico", "ylabel": "rate", "x": [int(str(year)) for year in panel.periods], "series": lines, "marks": [[2007, "first"], [2008.2, "last"]]}]}  # fmt: skip


def null_numbers(run: Run) -> Numbers:
    """Return the estimates under dealt schedules."""
    estimate, null, p = _mexico(run.draws)
    words = {"short": "Months 0-23", "long": "Months 24-47"}
    panels = [histogram(f"{words[kind]}, schedules dealt anew over states", null[path_term("window", kind)].tolist(), float(estimate.estimates[path_term("window", kind)]), p[kind]) for kind in _KINDS]  # fmt: skip
    return {"panels": panels}


def _remarks(results: Results) -> tuple[str, ...]:
    pooled, found = results[f"{SECTION}_pooled"]["rows"], results[f"{SECTION}_effects"]["rows"]
    short, long, nxt = pooled["short"], pooled["long"], pooled["long_next"]
    leads = results[f"{SECTION}_leads"]
    return (
        f"Over {short['episodes']} episodes the first two years give {against_expected(short['value'])} ({against_expected(short['low'])} to {against_expected(short['high'])}); over the {long['episodes']} that reach the third to fifth year, {against_expected(long['value'])} ({against_expected(long['low'])} to {against_expected(long['high'])}). The next one could lie from {against_expected(nxt['low'])} to {against_expected(nxt['high'])}.",
        f"In Mexican states months 24 to 47 lie {against_expected(found['mexico_long']['value'])}; without Chihuahua it is {against_expected(found['without_chihuahua_long']['value'])}. Dealt schedules give p = {number(found['mexico_long']['p_value'])}.",
        f"The year before the operations already lies {against_expected(leads['year_before'])} from the earlier months, though the joint test of the leads passes with p = {number(leads['p_places'])}: soldiers went where violence had begun to rise. If that much had gone on without them, the lower end of the interval of months 24 to 47 would be a ratio of {number(leads['low_net_of_year_before'])}.",
    )


NUMBERS: dict[str, Callable[[Run], Numbers]] = {
    "sample": sample_numbers,
    "effects": effect_numbers,
    "pooled": pooled_numbers,
    "leads": lead_numbers,
    "path": path_numbers,
    "series": series_numbers,
    "null": null_numbers,
    "published": lambda run: published_rows("M01"),
}

FAMILY = standard_family(
    claim="M01",
    section=SECTION,
    numbers=NUMBERS,
    modules=("crackdowns", "effects", "forecasts", "kingpins", "latin_america", "mexico"),
    tables=(
        "mexico_state_month",
        "joint_operations_mexico",
        "kingpins_mexico",
        "latam_country_year",
        "crackdowns",
        "truces",
        "published_estimates",
    ),
    remarks=_remarks,
    kinds={"*.p_value": "simulated", "p_places": "simulated", "*.band_low": "band", "*.band_high": "band"},
)
