"""Samples of Rio de Janeiro: precincts and UPP areas by quarter, who is treated, who is compared, and blocks of neighbours."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from crimepolicy.data import load_panel, load_table
from crimepolicy.panel import Panel

Section = Mapping[str, Any]
Change = Mapping[str, Any]
Array = np.ndarray[Any, Any]

METROPOLITAN = ("Baixada Fluminense", "Grande Niterói")


@dataclass(frozen=True, slots=True)
class Sample:
    """Units with treatment, and the block of neighbours that each belongs to.

    Attributes
    ----------
    panel : Panel
        Counts by quarter, with treatment.
    blocks : dict
        Block by unit; units of one block share one schedule.
    flow : list of dict
        What was left out, and why: step, kept, left_out.
    """

    panel: Panel
    blocks: dict[str, str]
    flow: list[dict[str, Any]]

    @property
    def treated(self) -> pd.Index:
        """Units treated within the panel."""
        return self.panel.units[self.panel.D.any(axis=1)]

    @property
    def controls(self) -> pd.Index:
        """Units never treated."""
        return self.panel.units[~self.panel.D.any(axis=1)]


def traits(section: Section) -> pd.DataFrame:
    """Return what is fixed about every precinct: place, dates of occupation, shares; one row each."""
    return _traits(section["data"]["precincts"])


@cache
def _traits(name: str) -> pd.DataFrame:
    table = load_table(name)
    fixed = table.drop_duplicates("unit").set_index("unit")
    return fixed.assign(dormant=table.groupby("unit")["dormant_precinct"].any())


def precinct_sample(section: Section, outcome: str, change: Change | None = None) -> Sample:
    """Return the precincts of one specification by quarter."""
    change = change or {}
    data, fixed = section["data"], traits(section)
    panel = _quarters(data["precincts"], outcome, change.get("start", data["start"]), change.get("end", data["end"]))
    chosen, flow = _chosen(fixed, section, change)
    treated = chosen.dropna()
    blocks, first = _blocks(treated, borders(section))
    D = _after(panel.keep(chosen.index), first)
    labels = {unit: blocks.get(unit, f"alone {unit}") for unit in panel.keep(chosen.index).units}
    return Sample(panel.keep(chosen.index).with_treatment(D), labels, flow)


def area_sample(section: Section, outcome: str, without: list[str] | None = None) -> Sample:
    """Return the UPP areas by quarter, each treated from its occupation; the last one to come is not yet treated."""
    data = section["data"]
    panel = _quarters(data["areas"], outcome, None, data["areas_end"])
    units = load_table(data["units"]).set_index("unit")
    kept = [unit for unit in panel.units if unit not in (without or [])]
    panel = panel.keep(kept)
    first = units.loc[kept, "occupation"].dt.to_period("Q")
    D = _after(panel, dict(first[first <= panel.periods[-1]]))
    blocks = {unit: str(units.loc[unit, "operation"]) for unit in kept}
    flow = [{"step": "UPP areas", "kept": len(kept), "left_out": panel.n_units - len(kept)}]
    return Sample(panel.with_treatment(D), blocks, flow)


def split_panel(section: Section, outcome: str) -> Panel:
    """Return the parts inside and outside UPP areas of treated precincts by year; pairs that straddle are one place."""
    table = load_table(section["data"]["split"])
    place = table["unit"].map({unit: group[0] for group in _STRADDLING for unit in group}).fillna(table["unit"])
    fixed = traits(section)["occupation_any"].groupby(joined_place).min()
    year = table["month"].dt.year
    sums = table.assign(place=place, year=year).groupby(["place", "year"])[[outcome, f"{outcome}_inside"]].sum()
    inside = sums[f"{outcome}_inside"].unstack()
    # Counts are apportioned by area where an area straddles precincts; below zero is that rounding, not a count.
    outside = (sums[outcome].unstack() - inside).clip(lower=0)
    units = pd.Index([f"{name} {part}" for name in inside.index for part in ("inside", "outside")])
    Y = np.stack([inside.to_numpy(), outside.to_numpy()], axis=1).reshape(len(units), -1)
    periods = pd.PeriodIndex([str(label) for label in inside.columns], freq="Y")
    starts = np.array([fixed[name].year for name in inside.index])
    D = np.zeros(Y.shape, dtype=bool)
    D[::2] = np.asarray(inside.columns)[None, :] >= starts[:, None]
    region = np.repeat(inside.index.to_numpy(dtype=object), 2)
    return Panel(Y=Y, D=D, units=units, periods=periods, population=np.ones(Y.shape), region=region, outcome=outcome)


def borders(section: Section) -> pd.DataFrame:
    """Return pairs of bordering precincts, in both directions."""
    pairs = load_table(section["data"]["contiguity"], columns=["unit", "neighbour"])
    turned = pairs.rename(columns={"unit": "neighbour", "neighbour": "unit"})
    return pd.concat([pairs, turned], ignore_index=True).drop_duplicates(ignore_index=True)


_STRADDLING = (
    ("006", "007", "009"), ("013", "014", "015"), ("032", "041"), ("019", "020"), ("022", "038"),
    ("025", "026"), ("017", "021"),
)  # fmt: skip


def joined_place(unit: str) -> str:
    """Return the first of the precincts that a precinct is joined with, because UPP areas straddle them; else itself."""
    return next((group[0] for group in _STRADDLING if unit in group), unit)


@cache
def _quarters(name: str, outcome: str, start: str | None, end: str) -> Panel:
    panel = load_panel(name, outcome=outcome, start=start, end=end)
    # Borders are looked up in their own table; carrying them in the panel would be hashed at every placebo fit.
    return replace(panel, neighbours=None).aggregate("quarter")


def _chosen(fixed: pd.DataFrame, section: Section, change: Change) -> tuple[pd.Series, list[dict[str, Any]]]:
    """Return the date of onset of every unit in the sample, NaT for the comparison, and the steps to it."""
    rules = section["treatment"]
    onset, rule = change.get("onset", rules["onset"]), change.get("rule", rules["rule"])
    dates = fixed[f"{onset}_{rule}"].where(fixed["capital"])
    candidates = _comparison(fixed, change.get("controls", "main")) & (fixed["upp_share_final"] == 0)
    kept, flow = (
        pd.Series(True, index=fixed.index),
        [{"step": "precincts of the state", "kept": len(fixed), "left_out": 0}],
    )
    steps = {
        "not asked for as comparison": dates.notna() | _comparison(fixed, change.get("controls", "main")),
        "a share of UPP residents below the rule": dates.notna() | candidates,
        "dormant": ~fixed["dormant"] if change.get("dormant") is False else kept,
        "left out in this row": ~fixed.index.isin(change.get("without", [])),
    }
    for step, holds in steps.items():
        before = int(kept.sum())
        kept &= holds
        if before != kept.sum():
            flow.append({"step": step, "kept": int(kept.sum()), "left_out": before - int(kept.sum())})
    return dates[kept], flow


def _comparison(fixed: pd.DataFrame, controls: str) -> pd.Series:
    return {
        "main": fixed["capital"],
        "far": fixed["capital"] & (fixed["role"] == "other"),
        "metropolitan": fixed["region"].isin(METROPOLITAN),
        "state": fixed["upp_share_final"] >= 0,
    }[controls]


def _blocks(dates: pd.Series, pairs: pd.DataFrame) -> tuple[dict[str, str], dict[str, pd.Period]]:
    """Return the block of each treated precinct, bordering ones of one half-year together, and its first quarter."""
    half = dates.dt.year * 2 + (dates.dt.month > 6)
    inside = pairs[pairs["unit"].isin(dates.index) & pairs["neighbour"].isin(dates.index)]
    same = inside[half.loc[inside["unit"]].to_numpy() == half.loc[inside["neighbour"]].to_numpy()]
    rows, columns = (dates.index.get_indexer(same[key]) for key in ("unit", "neighbour"))
    links = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(dates), len(dates)))
    codes = sparse.csgraph.connected_components(links, directed=False)[1]
    quarter = dates.dt.to_period("Q")
    blocks: dict[str, str] = {}
    first: dict[str, pd.Period] = {}
    for code in range(codes.max() + 1):
        members = dates.index[codes == code]
        start = min(quarter[members])
        blocks |= dict.fromkeys(members, f"{start} {', '.join(members)}")
        first |= dict.fromkeys(members, start)
    return blocks, first


def _after(panel: Panel, first: Mapping[str, pd.Period]) -> Array:
    D = np.zeros(panel.Y.shape, dtype=bool)
    for row, unit in enumerate(panel.units):
        if unit in first and first[unit] <= panel.periods[-1]:
            D[row] = np.asarray(panel.periods) >= first[unit]
    return D
