"""Samples of Mexican municipalities around the removals of leaders: who is treated, who is compared, who is left out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.data import load_panel, load_table
from crimepolicy.errors import DesignError
from crimepolicy.panel import Panel

Section = Mapping[str, Any]
Change = Mapping[str, Any]
Array = np.ndarray[Any, Any]

_FILTERS = (
    "rank",
    "action",
    "actor",
    "place_precision",
    "date_precision",
    "source_read",
    "operations_elsewhere",
    "in_custody_before",
)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Tables of one analysis.

    Attributes
    ----------
    panel : Panel
        All municipalities, nobody treated.
    events : pandas.DataFrame
        One row per removal, with ``unit`` and ``date``.
    borders : pandas.DataFrame
        Pairs ``unit``, ``neighbour``.
    states : Panel
        The states, nobody treated.
    """

    panel: Panel
    events: pd.DataFrame
    borders: pd.DataFrame
    states: Panel


@dataclass(frozen=True, slots=True)
class Sample:
    """Treated and comparison municipalities.

    Attributes
    ----------
    panel : Panel
        Only these, the treated ones from the month of their first removal.
    events : pandas.DataFrame
        The removals that treat, one row per municipality.
    flow : list of dict
        What was left out, and why: step, kept, left_out, of.
    """

    panel: Panel
    events: pd.DataFrame
    flow: list[dict[str, Any]]

    @property
    def treated(self) -> pd.Index:
        """Units treated within the panel."""
        return self.panel.units[self.panel.D.any(axis=1)]

    @property
    def controls(self) -> pd.Index:
        """Units never treated."""
        return self.panel.units[~self.panel.D.any(axis=1)]


def official_inputs(section: Section) -> Inputs:
    """Return the official figures that a section of the plan names."""
    data = section["data"]
    panel = load_panel(data["panel"], start=data["start"], end=data["end"])
    # Borders are looked up in their own table; carrying them in the panel would be hashed at every placebo fit.
    panel = replace(panel, neighbours=None)
    states = replace(load_panel(section["state"]["panel"], start=data["start"], end=data["end"]), neighbours=None)
    return Inputs(
        panel, load_table(data["events"]), load_table(data["contiguity"], columns=["unit", "neighbour"]), states
    )


def kingpin_sample(inputs: Inputs, section: Section, change: Change | None = None) -> Sample:
    """Return treated and comparison municipalities by the plan, with one thing changed.

    The first removal of a municipality is found before a changed specification filters events, so that no municipality is
    dated by a later removal.
    """
    change = dict(change or {})
    treatment = {**section["treatment"], **{key: change[key] for key in ("rank",) if key in change}}
    steps = _Steps("removals", inputs.events)
    events = _without_higher(
        _first_removals(inputs, treatment, steps), inputs.events, change.get("higher", ()), section, steps
    )
    events = _changed_events(events, inputs.events, change, steps)
    panel = inputs.panel if "end" not in change else inputs.panel.window(end=change["end"])
    events = events[events["date"] <= panel.periods[-1].end_time]
    controls, flow = _controls(inputs, events, section, change)
    chosen = sorted([*events["unit"], *controls])
    sample = panel.keep(chosen).with_treatment(_treatment(panel, chosen, events))
    return Sample(sample, events.reset_index(drop=True), [*steps.rows, *flow])


def first_event_treatment(panel: Panel, events: pd.DataFrame) -> Panel:
    """Return the panel with each listed unit treated from the month of its event."""
    return panel.with_treatment(_treatment(panel, list(panel.units), events))


def eligible_events(events: pd.DataFrame, rules: Mapping[str, Any]) -> pd.DataFrame:
    """Return the events that satisfy coded facts: lists are sets of allowed values, ``*_excluded`` of values left out."""
    kept = np.ones(len(events), dtype=bool)
    for key, value in rules.items():
        if key.endswith("_excluded"):
            kept &= ~events[key.removesuffix("_excluded")].isin(value).to_numpy()
        elif key in _FILTERS or key == "reversal":
            allowed = value if isinstance(value, list) else [value]
            kept &= events[key].isin(allowed).to_numpy()
    return events[kept]


def baseline(inputs: Inputs, section: Section) -> pd.DataFrame:
    """Return what was true of every municipality before the period of removals: log population, log rate, its change."""
    year = section["controls"]["base_year"]
    years = pd.PeriodIndex(inputs.panel.periods).year
    base = (years >= year - 3) & (years <= year)
    early = base & (years <= year - 2)
    population = inputs.panel.population
    assert population is not None
    people = population[:, years == year].mean(axis=1)
    change = _log_rate(inputs.panel, base & ~early) - _log_rate(inputs.panel, early)
    columns = {
        "population": people,
        "log_population": np.log(people),
        "level": _log_rate(inputs.panel, base),
        "trend": change,
    }
    return pd.DataFrame(columns, index=inputs.panel.units)


def balance(before: pd.DataFrame, treated: pd.Index, controls: pd.Index) -> dict[str, dict[str, float]]:
    """Return means of treated and comparison places, and their difference in standard deviations."""
    table: dict[str, dict[str, float]] = {}
    for name in ("log_population", "level", "trend"):
        there, here = before.loc[treated, name], before.loc[controls, name]
        spread = float(np.sqrt((there.var() + here.var()) / 2))
        difference = float(there.mean() - here.mean()) / spread
        table[name] = {
            "treated": float(there.mean()),
            "comparison": float(here.mean()),
            "standardised": difference,
            "absolute": abs(difference),
        }
    return table


def strata(panel: Panel, before: pd.DataFrame, section: Section) -> Array:
    """Return the stratum of population (N,) within which places are dealt anew."""
    edges = section["inference"]["strata"]
    return np.digitize(before["population"].reindex(panel.units).to_numpy(), edges[1:-1])


# ------------------------------------------------------------------------------------------------------------ removals


class _Steps:
    """The record of a list that gets shorter."""

    def __init__(self, what: str, start: pd.DataFrame) -> None:
        self.what, self.current = what, len(start)
        self.rows: list[dict[str, Any]] = [{"of": what, "step": "in the table", "kept": len(start), "left_out": 0}]

    def note(self, step: str, kept: pd.DataFrame) -> pd.DataFrame:
        if len(kept) != self.current:
            self.rows.append({"of": self.what, "step": step, "kept": len(kept), "left_out": self.current - len(kept)})
        self.current = len(kept)
        return kept


def _first_removals(inputs: Inputs, treatment: Mapping[str, Any], steps: _Steps) -> pd.DataFrame:
    words = {
        "rank": f"rank {' or '.join(treatment['rank'])}",
        "actor": "by forces of the Mexican state",
        "action": "captured or killed (not extradited)",
        "reversal_excluded": "not released the same day, and not a false report of death",
        "place_precision": "municipality known",
        "in_custody_before": "not already in prison",
    }
    events = inputs.events
    for key, text in words.items():
        events = steps.note(text, eligible_events(events, {key: treatment[key]}))
    first, last = inputs.panel.periods[0].start_time, inputs.panel.periods[-1].end_time
    events = steps.note("inside the months of the panel", events[(events["date"] >= first) & (events["date"] <= last)])
    events = events.sort_values(["date", "event"], kind="stable").drop_duplicates("unit")
    return steps.note("first in its municipality", events)


def _without_higher(
    events: pd.DataFrame, table: pd.DataFrame, higher: Any, section: Section, steps: _Steps
) -> pd.DataFrame:
    if not higher:
        return events
    above = eligible_events(table, {**section["treatment"], "rank": list(higher)})
    above = above[above["date"] <= pd.Period(section["data"]["end"], "M").end_time]
    return steps.note(
        f"no removal of a {' or '.join(higher)} in the same municipality", events[~events["unit"].isin(above["unit"])]
    )


def _changed_events(events: pd.DataFrame, table: pd.DataFrame, change: Change, steps: _Steps) -> pd.DataFrame:
    rules = {key: change[key] for key in _FILTERS if key in change and key != "rank"}
    events = steps.note("as the specification asks", eligible_events(events, rules))
    if "events_start" in change:
        events = steps.note(f"from {change['events_start']}", events[events["date"] >= change["events_start"]])
    if "events_end" in change:
        events = steps.note(f"until {change['events_end']}", events[events["date"] <= change["events_end"]])
    if "no_earlier_months" in change:
        events = steps.note(
            "no earlier removal nearby in time", events[~_follows(events, table, change["no_earlier_months"])]
        )
    if "without_states" in change:
        events = steps.note("states asked for", events[~events["unit"].str[:2].isin(change["without_states"])])
    if "without_units" in change:
        events = steps.note("left out in turn", events[~events["unit"].isin(change["without_units"])])
    return events


def _follows(events: pd.DataFrame, table: pd.DataFrame, months: int) -> Array:
    pairs = events[["unit", "event", "date"]].merge(
        table[["unit", "event", "date"]], on="unit", suffixes=("", "_other")
    )
    gap = (pairs["date"] - pairs["date_other"]).dt.days
    near = pairs[(pairs["event"] != pairs["event_other"]) & (gap >= 0) & (gap <= months * 30.44)]
    return events["event"].isin(near["event"]).to_numpy()


# -------------------------------------------------------------------------------------------------- comparison places


def _controls(
    inputs: Inputs, events: pd.DataFrame, section: Section, change: Change
) -> tuple[list[str], list[dict[str, Any]]]:
    rules = section["controls"]
    units = inputs.panel.units
    touched = pd.Index(inputs.events["unit"].dropna().unique())
    border = inputs.borders.loc[inputs.borders["unit"].isin(touched), "neighbour"]
    border = pd.Index(
        pd.concat([border, inputs.borders.loc[inputs.borders["neighbour"].isin(touched), "unit"]]).unique()
    )
    flow = _Steps("municipalities", units.to_frame(name="unit"))
    candidates = flow.note("not treated in this sample", units.to_frame(name="unit").loc[~units.isin(events["unit"])])
    candidates = flow.note("no removal of any rank at any date", candidates[~candidates["unit"].isin(touched)])
    if change.get("neighbours") != "kept":
        candidates = flow.note(
            "no border with a municipality with a removal", candidates[~candidates["unit"].isin(border)]
        )
    if "without_states" in change:
        candidates = flow.note(
            "states asked for", candidates[~candidates["unit"].str[:2].isin(change["without_states"])]
        )
    before = baseline(inputs, section)
    if change.get("controls") == "matched":
        chosen = candidates[candidates["unit"].isin(_matched(before, events["unit"], candidates["unit"], rules))]
        return list(flow.note("nearest on level and trend 2003-2006", chosen)["unit"]), flow.rows
    least = change.get("minimum_population", rules["minimum_population"])
    large = candidates[before.loc[candidates["unit"], "population"].to_numpy() >= least]
    return list(flow.note(f"at least {least:,} inhabitants in {rules['base_year']}", large)["unit"]), flow.rows


def _matched(before: pd.DataFrame, treated: pd.Series, candidates: pd.Series, rules: Section) -> pd.Index:
    pool = before.loc[candidates]
    pool = pool[pool["population"] >= rules["matched_minimum_population"]]
    columns = ["log_population", "level", "trend"]
    scale = pd.concat([before.loc[treated, columns], pool[columns]]).std()
    distance = (
        ((before.loc[treated, columns].to_numpy()[:, None] - pool[columns].to_numpy()) / scale.to_numpy()) ** 2
    ).sum(axis=2)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, : rules["matched_neighbours"]]
    return pool.index[np.unique(nearest)]


def _log_rate(panel: Panel, months: Array) -> Array:
    assert panel.population is not None
    deaths, years = panel.Y[:, months].sum(axis=1), panel.population[:, months].sum(axis=1) / 12
    return np.asarray(np.log((deaths + 0.5) / years * 100_000))


def _treatment(panel: Panel, units: list[str], events: pd.DataFrame) -> Array:
    index = pd.Index(units)
    if events["unit"].duplicated().any():
        raise DesignError("Each municipality should have one dated event here.")
    D = np.zeros((len(index), panel.n_periods), dtype=bool)
    months = events["date"].dt.to_period("M")
    for unit, month in zip(events["unit"], months, strict=True):
        if month in panel.periods:
            D[index.get_loc(unit), panel.periods.get_loc(month) :] = True
    return D


def with_regions(panel: Panel, regions: Mapping[str, list[str]]) -> Panel:
    """Return the panel with broad regions in place of states."""
    region_of = {state: region for region, states in regions.items() for state in states}
    return replace(panel, region=np.array([region_of[unit[:2]] for unit in panel.units], dtype=object))
