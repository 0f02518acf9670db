"""Samples of metropolitan Rio de Janeiro around the restriction of raids: precincts by week, ranked by raids of the year before."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.data import load_table
from crimepolicy.panel import Panel

__all__ = ["RaidSample", "daily", "metropolitan_ratio", "monthly_panel", "raid_sample", "raids_before"]

Section = Mapping[str, Any]
Change = Mapping[str, Any]

LETHAL = ("homicides", "police_killings", "robbery_deaths", "injury_deaths")
_CAPITAL_LAST = "045"
"""Precincts of the capital have the numbers 001 to 045."""


@dataclass(frozen=True, slots=True)
class RaidSample:
    """Precincts by week with the label of many raids as treatment.

    Attributes
    ----------
    panel : Panel
        Counts by week; weeks are numbered from the cut-off.
    raids : pandas.Series (N,)
        Raids of the year before, by precinct.
    flow : list of dict
        What was left out: step, kept, left_out.
    """

    panel: Panel
    raids: pd.Series
    flow: list[dict[str, Any]]


def raid_sample(section: Section, outcome: str, change: Change | None = None) -> RaidSample:
    """Return the precincts of one specification by week."""
    change = change or {}
    cut = pd.Timestamp(change.get("cut", section["treatment"]["injunction"]))
    days = daily(section, outcome).loc[change.get("start", section["data"]["first_week"]) : section["data"]["last_day"]]
    if change.get("capital"):
        days = days.loc[:, days.columns <= _CAPITAL_LAST]
    raids = raids_before(section, change.get("intensity", "shootings_with_police"))
    raids = raids[raids.index.isin(days.columns)]
    many, few = _labels(raids, change.get("share", 1 / 3), change.get("controls", "main"))
    kept = sorted([*many, *few])
    week = (days.index - cut).days // 7
    whole = pd.Series(1, index=days.index).groupby(week).sum()
    weeks = whole.index[whole == 7]
    Y = days[kept].groupby(week).sum().loc[weeks].to_numpy(dtype=float).T
    panel = Panel(
        Y=Y,
        D=np.isin(kept, many)[:, None] & (weeks >= 0)[None, :],
        units=pd.Index(kept),
        periods=pd.Index(weeks),
        population=np.ones(Y.shape),
        outcome=outcome,
    )
    flow = [
        {"step": "metropolitan precincts", "kept": days.shape[1], "left_out": daily(section, outcome).shape[1] - days.shape[1]},
        {"step": "of the groups compared", "kept": len(kept), "left_out": days.shape[1] - len(kept)},
        {"step": "days in whole weeks", "kept": 7 * len(weeks), "left_out": len(daily(section, outcome)) - 7 * len(weeks)},
    ]  # fmt: skip
    return RaidSample(panel, raids[kept], flow)


def daily(section: Section, outcome: str) -> pd.DataFrame:
    """Return one outcome by day (rows, of 2020) and precinct (columns)."""
    return _daily(section["data"]["days"], section["data"]["shootings"], outcome)


@cache
def _daily(days: str, shootings: str, outcome: str) -> pd.DataFrame:
    table = load_table(days)
    table["lethal_violence"] = table[list(LETHAL)].sum(axis=1)
    if outcome not in table:
        # Reports to Fogo Cruzado, cut to the days of the police records.
        other = load_table(shootings)
        table = other[other["day"].isin(table["day"])]
    return table.pivot(index="day", columns="unit", values=outcome).astype(float)


def raids_before(section: Section, measure: str = "shootings_with_police") -> pd.Series:
    """Return shootings of 2019 by precinct, those reported with police present or all, from the most to the fewest.

    Ties stand in the order of all shootings, then of the number of the precinct.
    """
    return _raids(section["data"]["shootings"], measure)


@cache
def _raids(name: str, measure: str) -> pd.Series:
    table = load_table(name)
    early = table[table["day"].dt.year.eq(2019) & ~table["not_collected"]]
    sums = early.groupby("unit")[[measure, "shootings"] if measure != "shootings" else ["shootings"]].sum()
    ordered = sums.reset_index().sort_values([*sums.columns, "unit"], ascending=[False] * sums.shape[1] + [True])
    return ordered.set_index("unit")[measure]


def _labels(raids: pd.Series, share: float, controls: str) -> tuple[list[str], list[str]]:
    order = [str(unit) for unit in raids.index]
    count = round(share * len(order))
    return order[:count], order[-count:] if controls == "fewest" else order[count:]


def metropolitan_ratio(section: Section, outcome: str, *, less_interior: bool = False) -> pd.Series:
    """Return, by year, the log ratio of deaths in the months after to those before in the metropolitan region.

    With `less_interior`, less the same in the interior of the state.
    """
    table, rule = load_table(section["data"]["months"]), section["years"]
    here = table["region"].isin(section["data"]["metropolitan"])
    found = _log_ratio(table[here], outcome, rule)
    return found - _log_ratio(table[~here], outcome, rule) if less_interior else found


def _log_ratio(table: pd.DataFrame, outcome: str, rule: Mapping[str, Any]) -> pd.Series:
    month, year = table["month"].dt.month, table["month"].dt.year
    sums = [
        table[month.between(int(rule[key][0]), int(rule[key][1]))].groupby(year)[outcome].sum()
        for key in ("after", "before")
    ]
    logs = np.log(sums[0] / sums[1])
    return logs.loc[[*rule["compared"], 2020, *rule["later"]]]


def monthly_panel(section: Section, outcome: str) -> Panel:
    """Return municipalities by month, those of the metropolitan region treated from the month of the injunction on."""
    rule = section["long_run"]
    table = load_table(section["data"]["months"])
    table = table[table["month"].between(f"{rule['base'][0]}-01", f"{rule['last']}-01")]
    here = table["region"].isin(section["data"]["metropolitan"])
    start = pd.Timestamp(section["treatment"]["injunction"]).to_period("M").start_time
    table = table.assign(treated=(here & (table["month"] >= start)).astype(int), one=1.0)
    return Panel.from_frame(
        table, unit="unit", time="month", outcome=outcome, treated="treated", population="one", frequency="month"
    )
