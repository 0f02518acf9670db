"""Claim B01: coca next door to where it fell steeply, and next to the strip along Ecuador that was no longer sprayed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from analyses.coca_promise import areas
from analyses.colombia import KINDS, city_names, relative_row, spatial_row
from analyses.family import Run
from analyses.standard import Row, attempt, checks, published_rows, rows
from analyses.standard_page import standard_family
from crimepolicy.data import load_panel, load_table
from crimepolicy.did.spillover import spillover_effects
from crimepolicy.estimate import Estimate, path_term
from crimepolicy.panel import Panel

SECTION = "balloon"

Numbers = dict[str, Any]
Plan = Mapping[str, Any]
Change = Mapping[str, Any]
Array = np.ndarray[Any, Any]

_SEEN = (2002, 2013)


# -------------------------------------------------------------------------------------------------------------- sample


def first_falls(table: pd.DataFrame, rules: Mapping[str, Any]) -> dict[str, int]:
    """Return the first year of a steep fall by municipality, from hectares by municipality (rows) and year."""
    before = (table.shift(1, axis=1) + table.shift(2, axis=1)) / 2
    steep = (table <= rules["fall_share"] * before) & (before - table >= rules["fall_minimum_ha"])
    return {str(unit): int(row.idxmax()) for unit, row in steep.iterrows() if row.any()}


def coca_panel(section: Plan, end: str | None = None) -> Panel:
    """Return hectares of the municipalities that had coca in some year of 2002-2013, nobody treated."""
    table = areas(section).loc[:, _SEEN[0] : _SEEN[1]]
    units = [str(unit) for unit in table.index[(table > 0).any(axis=1)]]
    panel = load_panel(section["data"]["panel"], start=section["data"]["start"], end=end or section["data"]["end"])
    return replace(panel, neighbours=None).keep(units)


def fall_sample(section: Plan, change: Change | None = None) -> Panel:
    """Return the panel with each municipality treated from its first steep fall."""
    change = dict(change or {})
    panel, rules = coca_panel(section, change.get("end")), {**section["treatment"], **change}
    table = areas(section).loc[list(panel.units), panel.periods[0] : panel.periods[-1]]
    return _laid(panel, first_falls(table, rules))


def _laid(panel: Panel, years: Mapping[str, int]) -> Panel:
    first = np.array([years.get(str(unit), np.inf) for unit in panel.units])
    return panel.untreated().with_treatment(panel.periods.to_numpy()[None, :] >= first[:, None])


def links(panel: Panel) -> dict[str, pd.DataFrame]:
    """Return pairs that border, and pairs of the same department that do not."""
    pairs = load_table("colombia_contiguity", columns=["unit", "neighbour"])
    border = pd.concat([pairs, pairs.rename(columns={"unit": "neighbour", "neighbour": "unit"})], ignore_index=True)
    units = pd.DataFrame({"unit": [str(unit) for unit in panel.units]})
    same = units.assign(department=units["unit"].str[:2])
    same = same.merge(same.rename(columns={"unit": "neighbour"}), on="department")[["unit", "neighbour"]]
    same = same[same["unit"] != same["neighbour"]].merge(border, how="left", indicator=True)
    return {"border": border, "department": same.loc[same["_merge"] == "left_only", ["unit", "neighbour"]]}


def spill(panel: Panel, horizon: Any, family: Any = "poisson") -> Estimate:
    """Return the effects at the place itself, next door and elsewhere in the department."""
    return spillover_effects(panel, exposure=links(panel), family=family, horizon=tuple(horizon))


def _relief(section: Plan, year: int, end: str) -> Panel:
    rules = section["treatment"]
    return _laid(coca_panel(section, end), dict.fromkeys(rules["relief_units"], year))


# ------------------------------------------------------------------------------------------------------------- numbers


def sample_numbers(run: Run) -> Numbers:
    """Return the falls, and how many municipalities border one."""
    panel = fall_sample(run.section)
    here, pairs = panel.D.any(axis=1), links(panel)["border"]
    fallen = set(panel.units[here])
    next_door = {unit for unit in pairs.loc[pairs["neighbour"].isin(fallen), "unit"] if unit in set(panel.units)}
    years = np.where(here, panel.first_treated, 0).astype(int)
    table = areas(run.section)
    every = [
        {"municipality": city_names()[str(unit)], "year": int(panel.periods[years[k]]), "hectares_before": float(table.loc[unit, int(panel.periods[years[k]]) - 1]), "hectares_after": float(table.loc[unit, int(panel.periods[years[k]])])}
        for k, unit in enumerate(panel.units)
        if here[k]
    ]  # fmt: skip
    listed = sorted(every, key=lambda row: row["hectares_after"] - row["hectares_before"])[:15]
    return {
        "flow": [
            {"step": "municipalities and corregimientos", "left_out": 0, "kept": len(table)},
            {"step": "coca in some year of 2002-2013", "left_out": len(table) - panel.n_units, "kept": panel.n_units},
        ],
        "treated": listed,
        "falls": int(here.sum()),
        "bordering_only": len(next_door - fallen),
        "relief": len(run.section["treatment"]["relief_units"]),
        "checks": checks([*panel.checks, *spill(panel, run.section["main"]["horizon"]).checks]),
        "panel": panel.digest,
    }


def effect_numbers(run: Run) -> Numbers:
    """Return the effects next door, at the place itself, in the department, along Ecuador, and every specification."""
    section, horizon = run.section, run.section["main"]["horizon"]
    falls = spill(fall_sample(section), horizon)
    relief = spill(_relief(section, section["treatment"]["relief_year"], section["treatment"]["relief_end"]), horizon)
    specifications = {
        entry["name"]: attempt(entry["label"], lambda entry=entry: _specification(section, entry))
        for entry in section["specification"]
    }
    return rows(
        main=_row("Next door to a steep fall", falls, "border", section),
        relief_neighbours=_row("Next to the strip along Ecuador", relief, "border", section),
        direct=_row("Where coca fell (chosen for falling)", falls, "direct", section, "place"),
        department=_row("Elsewhere in the department", falls, "department", section, "place"),
        relief=_row("The strip along Ecuador itself", relief, "direct", section, "place"),
        relief_department=_row("Elsewhere in its departments", relief, "department", section, "place"),
        **specifications,
    )


def _row(label: str, estimate: Estimate, kind: str, section: Plan, group: str = "main") -> Row:
    assert estimate.path is not None
    term = path_term(str(estimate.path.index.name), kind)
    return spatial_row(label, estimate, term=term, km=section["inference"]["conley_km"], group=group)


def _specification(section: Plan, change: Change) -> Row:
    panel = fall_sample(section, change)
    estimate = spill(panel, change.get("horizon", section["main"]["horizon"]), change.get("family", "poisson"))
    row = _row("", estimate, "border", section)
    if change.get("family") != "gaussian":
        return row
    level = _mean_next_door(panel) - row["value"]
    return relative_row(row | {key: row[key] / level for key in ("value", "low", "high", "detectable")})


def _mean_next_door(panel: Panel) -> float:
    """Return the mean hectares of bordering cells in years 0 to 3 since the first fall next door."""
    pairs = links(panel)["border"]
    known = pairs[pairs["unit"].isin(panel.units) & pairs["neighbour"].isin(panel.units)]
    start = pd.Series(panel.first_treated, index=panel.units)
    first = known.assign(start=known["neighbour"].map(start)).groupby("unit")["start"].min().reindex(panel.units)
    clock = np.arange(panel.n_periods)[None, :] - first.to_numpy()[:, None]
    return float(panel.Y[(clock >= 0) & (clock <= 3) & ~panel.D].mean())


def placebo_numbers(run: Run) -> Numbers:
    """Return the tests of falls, and of relief, laid some years earlier on the years before the real ones."""
    section, rules = run.section, run.section["treatment"]
    early, years = fall_sample(section), run.section["main"]["placebo_years"]
    moved = _earlier(early, years)
    found = _row("Falls laid earlier", spill(moved, (0, years - 1)), "border", section)
    relief = _relief(section, rules["relief_year"] - 2, str(rules["relief_year"] - 1))
    strip = _row("Relief laid earlier", spill(relief, (0, 1)), "border", section)
    return {"p_value": found["p_value"], "row": found, "relief_p_value": strip["p_value"], "relief_row": strip}


def _earlier(panel: Panel, years: int) -> Panel:
    """Return the panel with every fall some years earlier, and nothing seen once a real fall was there or next door."""
    pairs = links(panel)["border"]
    at = pd.Series(panel.first_treated, index=panel.units)
    near = pairs[pairs["unit"].isin(panel.units) & pairs["neighbour"].isin(panel.units)]
    next_door = near.assign(start=near["neighbour"].map(at)).groupby("unit")["start"].min().reindex(panel.units)
    stop = np.fmin(at.to_numpy(), next_door.to_numpy())
    seen = np.arange(panel.n_periods)[None, :] < np.where(np.isnan(stop), np.inf, stop)[:, None]
    D = np.arange(panel.n_periods)[None, :] >= (panel.first_treated - years)[:, None]
    return panel.untreated().with_outcome(np.where(seen, panel.Y, np.nan)).with_treatment(D)


def series_numbers(run: Run) -> Numbers:
    """Return coca along Ecuador, next to the strip and elsewhere, and the number of steep falls by year."""
    table, rules = areas(run.section).loc[:, 2002:2019], run.section["treatment"]
    pairs = links(coca_panel(run.section))["border"]
    strip = set(rules["relief_units"])
    beside = set(pairs.loc[pairs["neighbour"].isin(strip), "unit"]) - strip
    groups = {"Strip along Ecuador": strip, "Next to it": beside}
    lines = {name: table[table.index.isin(list(units))].sum().tolist() for name, units in groups.items()}
    lines["All others"] = table[~table.index.isin([*strip, *beside])].sum().tolist()
    panel = fall_sample(run.section)
    count = [int((panel.first_treated == k).sum()) for k in range(panel.n_periods)]
    return {
        "panels": [
            {"title": "Coca at the end of the year", "ylabel": "hectares", "x": [int(year) for year in table.columns], "series": lines, "marks": [[2006, "strip no longer sprayed"]]},
            {"title": "First steep falls by year", "ylabel": "municipalities", "x": [int(year) for year in panel.periods], "series": {"falls": [float(c) for c in count]}},
        ]
    }  # fmt: skip


def remarks(results: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how many falls there were and what the placebos show."""
    sample, placebo = results[f"{SECTION}_sample"], results[f"{SECTION}_placebo"]
    row, strip = placebo["row"], placebo["relief_row"]
    return (
        f"{sample['falls']} municipalities had a steep fall; {sample['bordering_only']} more border one without having fallen themselves. The fifteen largest falls are listed below.",
        f"Falls laid three years earlier give a ratio of {row['value']:.2f} next door (p = {row['p_value']:.2f}); relief laid two years earlier {strip['value']:.2f} (p = {strip['p_value']:.2f}).",
        "Rings run along common borders and within departments. Rings along rivers, by which leaf and base travel, cannot be drawn from open figures held here: they say which municipalities touch and give one point in each, but neither the outlines of municipalities nor the rivers, so that it is not known which share a river.",
    )


FAMILY = standard_family(
    claim="B01",
    section=SECTION,
    numbers={
        "sample": sample_numbers,
        "series": series_numbers,
        "effects": effect_numbers,
        "placebo": placebo_numbers,
        "published": lambda run: published_rows("B01"),
    },
    modules=("balloon", "coca_promise", "colombia", "effects", "mexico"),
    tables=("coca_municipality_year", "colombia_contiguity", "colombia_municipality_month", "published_estimates"),
    remarks=remarks,
    words=dict.fromkeys(("B01a", "B01b"), "coca"),
    kinds=KINDS,
)
