"""A picture per country: homicides over time with the dated events of the tables, and nothing estimated."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analyses.figures import Panel, draw_figure, series_data
from crimepolicy.data import load_table
from crimepolicy.report.site import Figure, Section

__all__ = ["FIGURES", "TABLES", "draw_timelines", "timelines"]

TABLES = (
    "colombia_municipality_month",
    "crackdowns",
    "ecuador_year",
    "el_salvador_year",
    "joint_operations_mexico",
    "kingpins_colombia",
    "kingpins_mexico",
    "mexico_state_month",
    "rio_policy_events",
    "rio_precinct_month",
    "truces",
)


@dataclass(frozen=True, slots=True)
class Country:
    """What one picture shows: rates by decimal year, dated marks with short labels, and dates of removals."""

    name: str
    rates: pd.Series
    marks: Sequence[tuple[float, str]]
    removals: Sequence[float] = ()


def draw_timelines(folder: Path) -> None:
    """Draw every timeline."""
    for file, country in _countries().items():
        data = series_data(country.rates.index.tolist(), {"Homicides per 100,000 and year": country.rates.tolist()})
        data["marks"] = [[place, label] for place, label in country.marks]
        data["ticks"] = list(country.removals)
        draw_figure(folder / f"{file}.svg", [Panel(data)], height=3.3)


def timelines(folder: Path) -> Section:
    """Return the page of timelines."""
    blocks = tuple(_figure(folder / f"{file}.svg", country) for file, country in _countries().items())
    text = "Homicides as counted, with the dated events of our tables: crackdowns, truces, programmes and, as short ticks at the foot, removals of leaders. Two things at one date are not cause and effect; the claims are put to a test on their own pages."
    return Section("Timelines", "timelines", (text,), blocks)


def _figure(file: Path, country: Country) -> Figure:
    top, low = country.rates.idxmax(), country.rates.idxmin()
    finding = f"{country.name}: {len(country.rates)} figures from {country.rates.index[0]:.0f} to {country.rates.index[-1]:.0f}; highest {country.rates[top]:.0f} per 100,000 and year in {int(top)}, lowest {country.rates[low]:.0f} in {int(low)}."
    ticks = f"Ticks: {len(country.removals)} removals of leaders." if country.removals else ""
    return Figure(country.name, file, finding, ticks, "", height=317)


def _countries() -> dict[str, Country]:
    mexico, colombia = load_table("kingpins_mexico"), load_table("kingpins_colombia")
    leaders = mexico[(mexico["rank"] == "leader") & mexico["action"].isin(["captured", "killed"])]
    removed = colombia[
        colombia["action"].isin(["captured", "killed", "extradited"]) & (colombia["date"] >= "2003-01-01")
    ]
    return {
        "timeline_mexico": Country(
            "Mexico",
            _quarterly("mexico_state_month"),
            _marks("crackdowns", {"MEX-2006": "joint operation in Michoac\u00e1n", "MEX-CHI2008": "joint operation in Chihuahua"}),
            _years(leaders["date"]),
        ),
        "timeline_colombia": Country(
            "Colombia",
            _quarterly("colombia_municipality_month"),
            _marks("truces", {"COL-MDE-2013": "pact in Medell\u00edn", "COL-BUN-2022": "truce in Buenaventura"}),
            _years(removed["date"]),
        ),
        "timeline_rio": Country(
            "Rio de Janeiro, all precincts",
            _quarterly("rio_precinct_month"),
            _marks("rio_policy_events", {"RJ02": "first UPP", "RJ04": "targets", "RJ12": "World Cup", "RJ15": "state out of money"}),
        ),
        "timeline_el_salvador": Country(
            "El Salvador",
            _yearly("el_salvador_year"),
            _marks("truces", {"SLV-2012": "truce", "SLV-2016-pact": "gang cease-fire"})
            + _marks("crackdowns", {"SLV-MD2003": "Mano Dura", "SLV-PCT2019": "territorial plan", "SLV-SOE2022": "state of exception"}),
        ),
        "timeline_ecuador": Country(
            "Ecuador",
            _yearly("ecuador_year"),
            _marks("crackdowns", {"ECU-2021": "state of exception", "ECU-2024": "internal armed conflict"}),
        ),
    }  # fmt: skip


FIGURES = ("timeline_mexico", "timeline_colombia", "timeline_rio", "timeline_el_salvador", "timeline_ecuador")


def _quarterly(table: str) -> pd.Series:
    """Return the homicides of all places of a table per 100,000 and year, by quarter."""
    rows = load_table(table)
    quarter = rows["month"].dt.to_period("Q")
    months = rows.groupby(quarter)["month"].nunique()
    people = rows.groupby("month")["population"].sum().groupby(lambda month: pd.Period(month, "Q")).mean()
    rate = rows.groupby(quarter)["homicides"].sum() / people * 1e5 * 12 / months
    whole = rate[months == 3]
    return pd.Series(whole.to_numpy(), index=[period.year + (period.quarter - 0.5) / 4 for period in whole.index])


def _yearly(table: str) -> pd.Series:
    rows = load_table(table).dropna(subset="homicides").set_index("year")
    return (1e5 * rows["homicides"] / rows["population"]).rename(index=lambda year: year + 0.5)


def _marks(table: str, labels: dict[str, str]) -> list[tuple[float, str]]:
    start = load_table(table).set_index("event")["start"]
    return [(_year(start[event]), label) for event, label in labels.items()]


def _years(dates: pd.Series) -> list[float]:
    return sorted(_year(date) for date in dates.dropna())


def _year(date: pd.Timestamp) -> float:
    return round(date.year + (date.day_of_year - 1) / 365.25, 3)
