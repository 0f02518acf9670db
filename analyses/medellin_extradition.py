"""Claim K05: homicides in Medellin, and in the cities of other bosses, after the extraditions of May 2008."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analyses.colombia import (
    KINDS,
    Cities,
    before_test,
    city_names,
    city_sample,
    quarterly_path,
    rank_test,
    ranked_row,
    rate_series,
    with_capture,
)
from analyses.family import Run
from analyses.standard import Row, attempt, checks, histogram, published_rows, rows
from analyses.standard_page import standard_family
from crimepolicy.data import load_table
from crimepolicy.errors import DesignError

SECTION = "medellin_extradition"

Numbers = dict[str, Any]
Plan = Mapping[str, Any]

_MEDELLIN = "05001"


def capture_shares(table: str) -> dict[str, float]:
    """Return the share of Medellin's deaths in police records, by year where a registry or press figure exists."""
    counts = load_table(table).pivot_table(index=["period", "year"], columns="series", values="homicides")
    known = counts["registry"].fillna(counts["forensic_or_registry_press"])
    shares = (counts["police_open_data"] / known).dropna()
    # 2009 is known for ten months only.
    part = shares["january_to_october"] if "january_to_october" in shares.index else pd.Series(dtype=float)
    return {str(year): float(share) for year, share in {**shares["year"], **part}.items()}


def _corrected(section: Plan, sample: Cities, before: str) -> Cities:
    shares = capture_shares(section["data"]["capture"])
    yearly = {int(year): share for year, share in shares.items()}
    filled = dict.fromkeys(range(sample.panel.periods[0].year, 2008), shares[before]) | yearly
    return Cities(with_capture(sample.panel, _MEDELLIN, filled), sample.flow)


def _elsewhere(section: Plan) -> Cities:
    why = next(name for name in section["controls"]["left_out"] if "another boss" in name)
    groups = dict(section["controls"]["left_out"])
    groups["not Medellin"] = [_MEDELLIN]
    # The treated are no donors; Soledad and Tumaco stay out.
    groups[why] = [unit for unit in groups[why] if unit not in section["elsewhere"]["units"]]
    return city_sample(section, {"units": section["elsewhere"]["units"], "left_out": groups})


def sample_numbers(run: Run) -> Numbers:
    """Return the cities compared, the shares recorded, and what the registry by comuna covers."""
    sample, comunas = city_sample(run.section), load_table(run.section["data"]["comunas"])
    start = pd.Timestamp(run.section["treatment"]["at"])
    panel = sample.panel
    return {
        "flow": sample.flow,
        "treated": [{"city": city_names()[unit], "first_month": run.section["treatment"]["at"]} for unit in sample.treated],
        "comparison": [city_names()[str(unit)] for unit in panel.units if str(unit) not in sample.treated],
        "share_recorded": capture_shares(run.section["data"]["capture"]),
        "comuna_months_before": int(comunas.loc[comunas["month"] < start, "month"].nunique()),
        "comuna_first_month": f"{comunas['month'].min():%Y-%m}",
        "deaths_before": int(panel.Y[panel.D.any(axis=1)][:, : int(panel.first_treated.min())].sum()),
        "checks": checks(panel.checks),
        "panel": panel.digest,
    }  # fmt: skip


def effect_numbers(run: Run) -> Numbers:
    """Return the windows in Medellin, elsewhere, and every specification."""
    section, windows = run.section, run.section["main"]["windows"]
    decides = section["main"]["decides"]
    found = rank_test(city_sample(section).panel, windows, draws=run.draws, seed=run.seed)
    labels = {"m1_12": "Months 1 to 12", "m13_31": "Months 13 to 31", "m1_31": "Months 1 to 31, to December 2010"}
    longer = {name: ranked_row(label, found, name, group="window") for name, label in labels.items()}
    other = rank_test(_elsewhere(section).panel, windows, draws=run.draws, seed=run.seed)
    specifications = {
        entry["name"]: attempt(entry["label"], lambda entry=entry: _specification(run, entry))
        for entry in section["specification"]
    }
    return rows(
        main=ranked_row("Medellin, months 1 to 24", found, decides),
        comunas=attempt("His comunas against the others", _comunas, group="main"),
        **longer,
        elsewhere=ranked_row("Monteria, Valledupar, Santa Marta, Barranquilla, months 1 to 24", other, decides, group="place"),
        **specifications,
    ) | {"placebos": {"medellin": found.studentised[decides].tolist()}}  # fmt: skip


def _comunas() -> Row:
    raise DesignError("the registry by comuna begins in January 2010, twenty months after the extradition.")


def _specification(run: Run, change: Mapping[str, Any]) -> Row:
    sample = city_sample(run.section, change)
    if "capture_before" in change:
        sample = _corrected(run.section, sample, change["capture_before"])
    windows = change.get("windows", run.section["main"]["windows"])
    decides = run.section["main"]["decides"]
    estimator = change.get("estimator", run.section["main"]["estimator"])
    found = rank_test(sample.panel, {decides: windows[decides]}, estimator=estimator, draws=run.draws, seed=run.seed)
    return ranked_row(change["label"], found, decides)


def before_numbers(run: Run) -> Numbers:
    """Return the test of an event a year earlier, in Medellin and elsewhere."""
    periods = run.section["identification"]["before_periods"]
    here = before_test(city_sample(run.section).panel, periods, draws=run.draws, seed=run.seed)
    there = before_test(_elsewhere(run.section).panel, periods, draws=run.draws, seed=run.seed)
    return {
        "p_value": here.p_value("before"),
        "ratio": ranked_row("Medellin", here, "before")["value"],
        "elsewhere_p_value": there.p_value("before"),
        "elsewhere_ratio": ranked_row("Elsewhere", there, "before")["value"],
    }


def series_numbers(run: Run) -> Numbers:
    """Return yearly rates by quarter, and what each source counted in Medellin."""
    panel = city_sample(run.section, {"frequency": "quarter"}).panel
    x, lines = rate_series(panel, {"Medellin, police": [_MEDELLIN]})
    counts = load_table(run.section["data"]["capture"])
    counts = counts[(counts["period"] == "year") & counts["year"].between(2003, 2013)]
    years = list(range(2003, 2014))
    labels = {
        "police_open_data": "Police",
        "registry": "City registry",
        "forensic_or_registry_press": "Forensic institute or registry, by the press",
    }
    sources = {label: [_count(counts, series, year) for year in years] for series, label in labels.items()}
    first = {
        "title": "Homicides per 100,000 and year, by quarter",
        "ylabel": "per 100,000",
        "x": x,
        "series": lines,
        "marks": [[2008.37, "extradition"]],
    }
    second = {
        "title": "Medellin by source",
        "ylabel": "homicides",
        "x": years,
        "series": sources,
        "marks": [[2008.37, "extradition"]],
    }
    return {"panels": [first, second]}  # fmt: skip


def _count(table: pd.DataFrame, series: str, year: int) -> float | None:
    found = table.loc[(table["series"] == series) & (table["year"] == year), "homicides"]
    return None if found.empty else float(found.iloc[0])


def path_numbers(run: Run) -> Numbers:
    """Return the ratio by three months around the extradition."""
    first, last = run.section["main"]["quarters"]
    panel = city_sample(run.section).panel
    path = quarterly_path(panel, first, last, width=3, draws=run.draws, seed=run.seed)
    return {"panels": [{"title": "Medellin", "xlabel": "Three months each, from May 2008", **path}]}


def null_numbers(run: Run) -> Numbers:
    """Return the studentised log ratios of the placebo cities beside Medellin's."""
    decides = run.section["main"]["decides"]
    found = rank_test(city_sample(run.section).panel, run.section["main"]["windows"], draws=run.draws, seed=run.seed)
    values = found.studentised[decides].tolist()
    observed = found.log[decides] / found.noise
    panel = histogram(
        "Log ratio over the noise before, months 1 to 24", values, observed, found.p_value(decides), scale="level"
    )
    return {"panels": [panel]}  # fmt: skip


def remarks(results: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a reader needs before the figures."""
    sample, before = results[f"{SECTION}_sample"], results[f"{SECTION}_before"]
    main, other = (results[f"{SECTION}_effects"]["rows"][name] for name in ("main", "elsewhere"))
    shares = sample["share_recorded"]
    return (
        f"The police recorded {shares['2003']:.0%} of the deaths of Medellin in 2003, {shares['2008']:.0%} in 2008, {shares['2009']:.0%} in the first ten months of 2009 and {shares['2010']:.0%} in 2010; {shares['2012']:.0%} in 2012.",
        f"An event laid a year earlier gives a ratio of {before['ratio']:.2f} in Medellin (p = {before['p_value']:.2f}) and {before['elsewhere_ratio']:.2f} in the other four cities (p = {before['elsewhere_p_value']:.2f}).",
        f"With {len(sample['comparison'])} comparison cities no p-value can be smaller than 1/{1 + len(sample['comparison'])}; Medellin's is {main['p_value']:.3f}. The city was chosen because of what followed there, while the ratio in the other cities of that day is {other['value']:.2f} ({other['low']:.2f} to {other['high']:.2f}): what happened to one place, and no law.",
        f"The registry by comuna begins in {sample['comuna_first_month']}: it covers {sample['comuna_months_before']} months before the extradition.",
    )


FAMILY = standard_family(
    claim="K05",
    section=SECTION,
    numbers={
        "sample": sample_numbers,
        "series": series_numbers,
        "path": path_numbers,
        "effects": effect_numbers,
        "before": before_numbers,
        "null": null_numbers,
        "published": lambda run: published_rows("K05"),
    },
    modules=("colombia", "medellin_extradition"),
    tables=(
        "colombia_municipality_month",
        "colombia_contiguity",
        "medellin_homicides_by_source",
        "medellin_comuna_month",
        "quadrants_colombia",
        "published_estimates",
    ),
    remarks=remarks,
    kinds=KINDS,
)
