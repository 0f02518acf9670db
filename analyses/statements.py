"""Numbers that the report states, computed again from official tables."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.data import load_table

__all__ = ["TABLES", "statement_numbers"]

TABLES = ("coca_municipality_year", "colombia_municipality_month", "ecuador_year", "latam_country_year", "mexico_state_month", "published_estimates")  # fmt: skip

Found = dict[str, Any]


def statement_numbers(section: Mapping[str, Any]) -> Found:
    """Return every stated number of the plan with the number computed and how the two compare."""
    return {"items": {item["id"]: _item(item) for item in section["item"]}}


def _item(item: Mapping[str, Any]) -> Found:
    shown = {key: item[key] for key in ("country", "says", "stated")}
    if "computed" not in item:
        return shown | {"status": "not recomputed", "value": None, "note": item["absent"], "source": item["source"]}
    found = _COMPUTED[item["computed"]]()
    inside = item.get("low", -np.inf) <= found["value"] <= item.get("high", np.inf)
    bounded = "low" in item or "high" in item
    status = "other quantity" if "other_quantity" in item else "matched" if inside else "off"
    note = item.get("other_quantity", "")
    ends = {end: item.get(end) for end in ("low", "high")}
    rule = {"inside": bool(inside) if bounded else None, **ends}
    return shown | rule | {"status": status, "note": note, "quantity": item["quantity"], **found}


def _yearly(table: str) -> pd.DataFrame:
    """Return homicides, population and rate by year, summed over places."""
    rows = load_table(table).assign(year=lambda frame: frame["month"].dt.year)
    people = rows.groupby(["year", "unit"])["population"].mean().groupby("year").sum()
    year = pd.DataFrame({"homicides": rows.groupby("year")["homicides"].sum(), "population": people})
    return year.assign(rate=1e5 * year["homicides"] / year["population"])


def _mexico_slope() -> Found:
    rates = _yearly("mexico_state_month")["rate"].loc[2018:2022]
    slope = np.polyfit(rates.index.to_numpy(dtype=float), np.log(rates.to_numpy()), 1)[0]
    return {"value": 100 * float(np.expm1(slope)), "years": {str(year): rate for year, rate in rates.items()}}


def _mexico_excess() -> Found:
    deaths = _yearly("mexico_state_month")["homicides"]
    spans = {f"2007-{end}": deaths.loc[2007:end].sum() - (end - 2006) * deaths[2006] for end in (2012, 2016)}
    return {"value": float(spans["2007-2016"]), "years": {span: float(excess) for span, excess in spans.items()}}


def _ecuador_rank() -> Found:
    ecuador = load_table("ecuador_year").set_index("year")
    rate = float(1e5 * ecuador.loc[2024, "homicides"] / ecuador.loc[2024, "population"])
    rows = load_table("latam_country_year").query("region == 'South America' and year >= 2023 and unit != 'ECU'")
    others = rows.dropna(subset="rate").sort_values("year").groupby("name")["rate"].last()
    silent = sorted(set(rows["name"]) - set(others.index))
    rates = {"Ecuador": rate, **{str(name): float(other) for name, other in others.nlargest(3).items()}}
    return {"value": 1.0 + float((others > rate).sum()), "years": rates, "without_figures": silent}


def _upp_reviews() -> Found:
    rows = load_table("published_estimates").query("claim == 'P01' and direction == 'down'")
    lethal = rows[rows["outcome"].str.contains("homicide|lethal|violent death|violent crime", case=False)]
    studies = lethal.assign(study=lethal["study"] + " " + lethal["year"].astype(str))
    read = studies.groupby("study")["verified"].max()
    return {"value": float(len(read)), "years": {study: "read" if seen else "not read" for study, seen in read.items()}}


def _costa_rica_rise() -> Found:
    rates = load_table("latam_country_year").query("unit == 'CRI'").set_index("year")["rate"].loc[2021:2023]
    return {"value": _percent(rates[2023], rates[2022]), "years": {str(year): rate for year, rate in rates.items()}}


def _colombia_change() -> Found:
    deaths = _yearly("colombia_municipality_month")["homicides"].loc[2021:2024]
    return {"value": _percent(deaths[2023], deaths[2022]), "years": {str(year): int(n) for year, n in deaths.items()}}


def _sincelejo_rank() -> Found:
    rows = load_table("colombia_municipality_month").query("month >= '2023-01-01' and month < '2024-01-01'")
    city = rows.groupby(["unit", "name"]).agg(homicides=("homicides", "sum"), people=("population", "mean"))
    rate = (1e5 * city["homicides"] / city["people"])[city["people"] >= 200_000].droplevel("unit")
    ordered = rate.sort_values(ascending=False)
    place = [str(name).startswith("Sincelejo") for name in ordered.index].index(True)
    return {"value": 1.0 + place, "years": {str(name): float(found) for name, found in ordered.head(6).items()}}


def _coca_ratio() -> Found:
    area = load_table("coca_municipality_year").groupby("year")["coca_ha"].sum()
    spans = {f"{end - 10}-{end}": float(area[end] / area[end - 10]) for end in (2021, 2022, 2023, 2024)}
    return {"value": spans["2012-2022"], "years": spans}


def _percent(after: float, before: float) -> float:
    return 100 * (float(after) / float(before) - 1)


_COMPUTED: dict[str, Callable[[], Found]] = {
    "mexico_slope": _mexico_slope,
    "mexico_excess": _mexico_excess,
    "ecuador_rank": _ecuador_rank,
    "upp_reviews": _upp_reviews,
    "costa_rica_rise": _costa_rica_rise,
    "colombia_change": _colombia_change,
    "sincelejo_rank": _sincelejo_rank,
    "coca_ratio": _coca_ratio,
}
