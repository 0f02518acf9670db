"""Claim T01: truces among criminal groups, one forecast for each and a synthesis over them."""

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analyses.cities import block_series
from analyses.family import Results, Run
from analyses.forecasts import Forecast, Series, forecast
from analyses.latin_america import country_series
from analyses.standard import (
    POWER_REACH,
    REACH,
    Row,
    attempt,
    checks,
    effect,
    from_estimate,
    from_spread,
    histogram,
    published_rows,
    rows,
)
from analyses.standard_page import standard_family
from crimepolicy.data import load_table
from crimepolicy.estimate import Check, Estimate
from crimepolicy.report.site import against_expected, number
from crimepolicy.synthesis.hierarchical import hierarchical_synthesis
from crimepolicy.synthesis.meta import synthesise

Section = Mapping[str, Any]
Numbers = dict[str, Any]
Span = tuple[int, int]

SECTION = "truces"
TWO_YEARS: Span = (1, 2)
_ONE_YEAR: Span = (1, 1)
_OWN = 15


# ------------------------------------------------------------------------------------------------------------ each case


def country_case(section: Section, event: str, span: Span, **rules: Any) -> Forecast:
    """Return one national truce: the first year counted is that of the start where it lies before July."""
    truce = load_table("truces").set_index("event").loc[event]
    start = pd.Timestamp(truce["start"])
    late = int(start.month >= 7)
    series = country_series({**section, "data": {**section["data"], "unit": truce["iso3"]}}, **rules)
    base, (first, last) = start.year - 1, (span[0] + late, span[1] + late)
    own = [b for b in range(base - _OWN, base) if b + last <= base]
    return forecast(series, str(truce["iso3"]), base, (first, last), own=own)


def city_case(section: Section, event: str, span: Span, **rules: Any) -> Forecast:
    """Return one truce of a Colombian city, in blocks of twelve months from its first month."""
    rule = section["treatment"]["cities"][event]
    return _city(section, rule["unit"], rule["month"], span, **rules)


def _city(section: Section, unit: str, month: str, span: Span, **rules: Any) -> Forecast:
    series = city_series(section, month, **rules)
    own = [b for b in range(-_OWN, 0) if b + span[1] <= 0]
    return forecast(series, unit, 0, span, own=own)


def city_series(section: Section, month: str, **rules: Any) -> Series:
    """Return Colombian municipalities around one month; Medellin by its registry where that covers the years before."""
    table = _municipalities()
    registry = _registry()
    if pd.Period(month, "M") <= registry.index.max():
        inside = (table["unit"] == "05001") & table["period"].isin(registry.index)
        table = table.copy()
        table.loc[inside, "homicides"] = table.loc[inside, "period"].map(registry).astype(float)
    return block_series(table, month, {**section["city_protocol"], **rules}, outside=section["controls"]["cities_left_out"])  # fmt: skip


@cache
def _municipalities() -> pd.DataFrame:
    """Return Colombian municipalities by month; counts before a change of recording are missing. Kept for one process."""
    columns = ["unit", "month", "homicides", "population", "before_recording_break"]
    table = load_table("colombia_municipality_month", columns=columns)
    large = table.groupby("unit")["homicides"].transform("sum") >= 200
    table = table[large].reset_index(drop=True)
    usable = ~table["before_recording_break"].fillna(False).astype(bool)
    months = pd.PeriodIndex(pd.to_datetime(table["month"]), freq="M")
    return table.assign(homicides=table["homicides"].astype(float).where(usable), period=months)


@cache
def _registry() -> pd.Series:
    table = load_table("medellin_comuna_month")
    return table.groupby(pd.PeriodIndex(pd.to_datetime(table["month"]), freq="M"))["homicides"].sum()


def cases(section: Section, span: Span, **rules: Any) -> dict[str, Row]:
    """Return every truce of the plan as a row; those without counts over the window say so."""
    found: dict[str, Row] = {}
    table = load_table("truces").set_index("event")
    names = _names(section)
    for event in section["treatment"]["countries"]:
        make = partial(country_case, section, event, span, **rules)
        place = f"{names[table.loc[event, 'iso3']]} {event[-4:]}"
        found[event] = _case(make, place, str(table.loc[event, "broker_class"]))
    for event, rule in section["treatment"]["cities"].items():
        year = "" if rule["place"][-1].isdigit() else f" {rule['month'][:4]}"
        found[event] = _case(partial(city_case, section, event, span, **rules), f"{rule['place']}{year}", rule["broker"])  # fmt: skip
    return found


def _names(section: Section) -> dict[str, str]:
    table = load_table(section["data"]["panel"]).drop_duplicates("unit")
    return dict(zip(table["unit"], table["name"], strict=True))


def _case(make: Any, label: str, broker: str) -> Row:
    return attempt(label, lambda: make().row(""), group="place") | {"broker": broker}


# ------------------------------------------------------------------------------------------------------------ synthesis


def as_study(row: Row) -> Estimate:
    """Return a truce as an estimate on the log scale; its error is half its interval over 1.96, or its spread if larger."""
    value, low, high = (float(np.log(row[key])) for key in ("value", "low", "high"))
    error = max((high - low) / 2 / REACH, row["spread"])
    return Estimate(estimand="log ratio to forecast", value=value, std_error=error, method="forecast", citation="", scale="log")  # fmt: skip


def studies(listed: Mapping[str, Row]) -> dict[str, Estimate]:
    """Return the truces that could be computed."""
    return {event: as_study(row) for event, row in listed.items() if row["value"] is not None}


def pooled_numbers(run: Run) -> Numbers:
    """Return the mean truce under several priors, the next truce, the strongest, and the mean by kind of broker."""
    section = run.section
    listed = cases(section, TWO_YEARS)
    some = studies(listed)
    pooled = synthesise(some)
    more = {"truces": len(some)}
    named = {
        "reml": from_estimate(f"Mean of {len(some)} truces", pooled, group="main", how="random effects, Hartung-Knapp", **more),
        "prediction": from_estimate("The next truce", pooled.companions["prediction"], group="main", how="prediction interval", **more) | {"detectable": None},
    }  # fmt: skip
    named |= _bayes(section, some)
    best = min((row for row in listed.values() if row["value"] is not None), key=lambda row: (row["p_value"], row["value"]))  # fmt: skip
    named["strongest"] = best | {"label": f"Strongest: {best['label']}", "group": "main", "p_holm": min(1.0, best["p_value"] * len(some))}  # fmt: skip
    for broker in sorted({row["broker"] for row in listed.values()}):
        group = {event: some[event] for event in some if listed[event]["broker"] == broker}
        if group:
            named[f"broker_{broker}"] = _fixed(f"Broker {broker}: {len(group)}", group)
    return rows(**named, **_specified(section)) | {
        "leave_one_out": _leave_one_out(pooled),
        "unrecorded": _unrecorded(some),
    }


def _leave_one_out(pooled: Estimate) -> dict[str, Any]:
    """Return the mean without each truce, as the lowest and highest ratio."""
    assert pooled.weights is not None
    rest = pooled.weights.set_index("label")["without"].astype(float).apply(np.exp)
    return {"lowest": float(rest.min()), "lowest_without": str(rest.idxmin()), "highest": float(rest.max()), "highest_without": str(rest.idxmax())}  # fmt: skip


def _unrecorded(some: Mapping[str, Estimate]) -> Row:
    """Return the mean had as many truces without effect gone unrecorded, each with the middle error of those recorded."""
    middle = float(np.median([each.std_error for each in some.values()]))
    nothing = next(iter(some.values())).replace(value=0.0, std_error=middle)
    return from_estimate("", synthesise({**some, **{f"unrecorded {k}": nothing for k in range(len(some))}}))


def _fixed(label: str, group: Mapping[str, Estimate]) -> Row:
    """Return the precision-weighted mean of the truces of one kind of broker."""
    weight = np.array([each.std_error**-2 for each in group.values()])
    value = float(np.array([each.value for each in group.values()]) @ weight / weight.sum())
    error = float(weight.sum() ** -0.5)
    return from_spread(label, value, error, group="By kind of broker", how="weighted mean, no spread between them")


def _bayes(section: Section, some: Mapping[str, Estimate]) -> dict[str, Row]:
    """Return the mean under a sceptical prior and under that of the literature, by weighting draws under a flat one."""
    rule = section["inference"]
    found = hierarchical_synthesis(some, tau_scale=rule["tau_scale"])
    assert found.draws is not None
    named: dict[str, Row] = {}
    priors = {"sceptic": ("Sceptic's mean", "prior"), "literature": ("Mean, prior of the literature", "own_prior")}
    for name, (label, key) in priors.items():
        weight = stats.norm.pdf(found.draws["att"], rule[f"{key}_mean"], rule[f"{key}_sd"])
        named[name] = _weighted(label, found.draws["att"].to_numpy(), weight)
    weight = stats.norm.pdf(found.draws["att"], rule["prior_mean"], rule["prior_sd"])
    named["sceptic_next"] = _weighted("The next truce, sceptic", found.draws["prediction"].to_numpy(), weight)
    return named


def _weighted(label: str, draws: np.ndarray[Any, Any], weight: np.ndarray[Any, Any]) -> Row:
    order = np.argsort(draws)
    share = np.cumsum(weight[order]) / weight.sum()
    low, high = (float(draws[order][np.searchsorted(share, at)]) for at in (0.025, 0.975))
    mean = float(np.average(draws, weights=weight))
    spread = float(np.sqrt(np.average((draws - mean) ** 2, weights=weight)))
    below = float(weight[draws < 0].sum() / weight.sum())
    ends = np.exp([mean, low, high]).tolist()
    return effect(label, *ends, detectable=float(np.exp(POWER_REACH * spread)), group="main", how="hierarchical model, 95% of the posterior", probability_below=below)  # fmt: skip


def _specified(section: Section) -> dict[str, Row]:
    """Return the means of the plan's specifications."""
    base, first = cases(section, TWO_YEARS), cases(section, _ONE_YEAR)
    again = attempt("Buenaventura 2023", lambda: _city(section, "76109", "2023-08", _ONE_YEAR).row(""))
    sets = {
        "year_one": ("First twelve months", first),
        "without_salvador": ("Without El Salvador", {event: row for event, row in base.items() if event != "SLV-2012"}),
        "without_peaks": ("Change of others alone", cases(section, TWO_YEARS, terms=[])),
        "recollected": ("12 months, with Buenaventura 2023", {**first, "COL-BUN-2023": again}),
    }
    how = "random effects, Hartung-Knapp"
    return {name: attempt(label, lambda some=some: from_estimate("", synthesise(studies(some)), how=how)) | {"truces": len(studies(some))} for name, (label, some) in sets.items()}  # fmt: skip


def effect_numbers(run: Run) -> Numbers:
    """Return the synthesis, then every truce, over two years and over one."""
    two, one = cases(run.section, TWO_YEARS), cases(run.section, _ONE_YEAR)
    named = {event.lower().replace("-", "_"): row | {"label": f"{row['label']}, 24 months"} for event, row in two.items()}  # fmt: skip
    named |= {f"{event.lower().replace('-', '_')}_one": row | {"label": f"{row['label']}, 12 months", "group": "window"} for event, row in one.items()}  # fmt: skip
    return rows(**pooled_numbers(run)["rows"], **named)


# -------------------------------------------------------------------------------------------------------------- figures


def sample_numbers(run: Run) -> Numbers:
    """Return the truces that are computed, and why the others are not."""
    section = run.section
    table, left = load_table("truces"), section["treatment"]["left_out"]
    every = {*section["treatment"]["countries"], *section["treatment"]["cities"]}
    outside = len(every - set(table["event"]))
    dated = table[table["start"].notna()]
    two = cases(section, TWO_YEARS)
    done = [event for event, row in two.items() if row["value"] is not None]
    flow = [
        {"step": "truces in the table", "left_out": 0, "kept": len(table)},
        {"step": "with a date", "left_out": len(table) - len(dated), "kept": len(dated)},
        {"step": "computable (reasons in the checks); one more from the list of steps", "left_out": len(dated) - len(every) + outside, "kept": len(every)},
        {"step": "with counts for 24 months", "left_out": len(every) - len(done), "kept": len(done)},
    ]  # fmt: skip
    treated = [{"truce": row["label"], "broker": row["broker"], "24 months": "yes" if row["value"] is not None else "no"} for row in two.values()]  # fmt: skip
    why = [Check(event, None, None, reason) for event, reason in left.items()]
    return {"flow": flow, "treated": treated, "checks": checks(why)}


def series_numbers(run: Run) -> Numbers:
    """Return the places of the truces around their beginning, in percent of the base."""
    section, lines = run.section, {}
    for event in section["treatment"]["countries"]:
        truce = load_table("truces").set_index("event").loc[event]
        start = pd.Timestamp(truce["start"])
        counts = country_series({**section, "data": {**section["data"], "unit": truce["iso3"]}}).counts.loc[truce["iso3"]]  # fmt: skip
        lines[_names(section)[truce["iso3"]]] = {k: float(counts[start.year - 1 + k]) for k in range(-3, 4)}
    for event in ("COL-BUN-2022", "COL-QUI-2022", "COL-MDE-2013"):
        rule = section["treatment"]["cities"][event]
        counts = city_series(section, rule["month"]).counts.loc[rule["unit"]]
        lines[rule["place"]] = {k: float(counts.get(k, np.nan)) for k in range(-3, 4)}
    shown = {name: [None if np.isnan(values[k]) else 100 * values[k] / values[0] for k in range(-3, 4)] for name, values in lines.items()}  # fmt: skip
    panels = [{"title": title, "ylabel": "percent of the base", "x": list(range(-3, 4)), "series": {name: shown[name] for name in names}, "marks": [[0.5, "truce"]]} for title, names in (("Countries: homicides by year, base = 100", list(shown)[:3]), ("Cities: by twelve months, base = 100", list(shown)[3:]))]  # fmt: skip
    return {"panels": panels}


def null_numbers(run: Run) -> Numbers:
    """Return the forecast errors behind the largest national and the largest urban case."""
    country = country_case(run.section, "SLV-2012", TWO_YEARS)
    city = city_case(run.section, "COL-BUN-2022", TWO_YEARS)
    return {"panels": [histogram("El Salvador 2012 among untouched countries", country.errors.tolist(), country.gap, country.p_value), histogram("Buenaventura 2022 among Colombian municipalities", city.errors.tolist(), city.gap, city.p_value)]}  # fmt: skip


def _remarks(results: Results) -> tuple[str, ...]:
    found = results[f"{SECTION}_pooled"]["rows"]
    mean, nxt, sceptic, best, without = (found[name] for name in ("reml", "prediction", "sceptic", "strongest", "without_salvador"))  # fmt: skip
    out, hidden = (results[f"{SECTION}_pooled"][name] for name in ("leave_one_out", "unrecorded"))
    return (
        f"Over {mean['truces']} truces the mean is {against_expected(mean['value'])} ({against_expected(mean['low'])} to {against_expected(mean['high'])}); a sceptic ends at {against_expected(sceptic['value'])}, and gives {sceptic['probability_below']:.0%} to the mean being a fall at all. Without El Salvador it is {against_expected(without['value'])}.",
        f"The next truce could lie from {against_expected(nxt['low'])} to {against_expected(nxt['high'])}. {best['label']}: {against_expected(best['value'])}, p = {number(best['p_holm'])} after counting that it is the best of {mean['truces']}. With one truce left out at a time the mean runs from {against_expected(out['lowest'])} (without {out['lowest_without']}) to {against_expected(out['highest'])} (without {out['highest_without']}).",
        f"Truces after which nothing changed are written down less. Had as many of them without effect gone unrecorded, each as precise as the middle one here, the mean would be {against_expected(hidden['value'])} ({against_expected(hidden['low'])} to {against_expected(hidden['high'])}; counted after the results, not in the plan).",
    )


FAMILY = standard_family(
    claim="T01",
    section=SECTION,
    numbers={
        "sample": sample_numbers,
        "effects": effect_numbers,
        "pooled": pooled_numbers,
        "series": series_numbers,
        "null": null_numbers,
        "published": lambda run: published_rows("T01", "T03", "T04"),
    },
    modules=("cities", "forecasts", "latin_america", "truces"),
    tables=(
        "truces",
        "truce_steps",
        "crackdowns",
        "latam_country_year",
        "colombia_municipality_month",
        "medellin_comuna_month",
        "published_estimates",
    ),
    remarks=_remarks,
    kinds={"rows.sceptic*": "band", "rows.literature*": "band", "rows.sceptic.*": "band"},
)
