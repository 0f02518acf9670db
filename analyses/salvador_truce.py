"""Claim T09: the truce of El Salvador of 2012, what it saved, and what came back."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analyses.family import Results, Run
from analyses.forecasts import Forecast, Series, forecast
from analyses.latin_america import country_series, donor_panel, donors, flagged
from analyses.standard import POWER_REACH, Row, attempt, checks, effect, from_spread, histogram, published_rows, rows
from analyses.standard_page import standard_family
from crimepolicy.bayes.synthetic_control import bayesian_synthetic_control
from crimepolicy.data import load_table
from crimepolicy.errors import EstimationError
from crimepolicy.estimate import Check, Estimate
from crimepolicy.panel import Panel
from crimepolicy.report.site import against_expected, number
from crimepolicy.synth.augmented import augmented_synthetic_control
from crimepolicy.synth.synthetic_control import synthetic_control
from crimepolicy.synth.synthetic_did import synthetic_did

Section = Mapping[str, Any]
Numbers = dict[str, Any]
Span = tuple[int, int]

SECTION = "salvador_truce"
_OWN_FIRST, _OWN_LAST = 1999, 2009
# The axis of the figure has no room for the labels of the plan, which stand in the table of the plan.
_SHORT = {
    "asc": "augmented SC",
    "sdid": "synthetic DiD",
    "demeaned": "demeaned SC",
    "sc": "plain SC, rates",
    "bayes": "Bayesian SC",
    "asc_without_large": "ASC, no Brazil, Colombia",
    "asc_contaminated": "ASC, with Honduras, Jamaica",
    "common_only": "change of others alone",
    "no_change": "rate of 2011 goes on",
    "at_least_300": "300 homicides or more",
    "touched_kept": "touched years kept",
    "base_2010": "base 2010",
    "central_america": "release of 2012",
}


# -------------------------------------------------------------------------------------------------------- the forecast


def own_forecast(section: Section, span: Span, *, base: int | None = None, series: Series | None = None) -> Forecast:
    """Return the forecast for El Salvador after one base, with its own errors at bases whose window ends before the truce."""
    series = country_series(section) if series is None else series
    last = section["treatment"]["first_year"] - 1
    base = last if base is None else base
    own = [b for b in range(_OWN_FIRST, last) if b + span[1] <= last and b != base]
    return forecast(series, section["data"]["unit"], base, span, own=own)


def sample_numbers(run: Run) -> Numbers:
    """Return who is compared, what is left out, and whether the reference suits El Salvador."""
    section = run.section
    series = country_series(section)
    every = load_table(section["data"]["panel"])
    inside = every["year"].between(section["data"]["first_year"], section["data"]["last_year"])
    reported = int(every.loc[inside, "homicides"].notna().sum())
    left = flagged(section)
    found = own_forecast(section, (1, 2))
    flow = [
        {"step": "country-years in the table", "left_out": 0, "kept": int(inside.sum())},
        {"step": "homicides reported", "left_out": int(inside.sum()) - reported, "kept": reported},
        {"step": "count not flagged", "left_out": left, "kept": reported - left},
        {"step": "windows of five years before and two after, untouched, of like size, with others to compare", "left_out": reported - left - len(found.errors), "kept": len(found.errors)},
        {"step": "donors of the synthetic controls (countries)", "left_out": len(series.counts) - len(donor_names(section)) - 1, "kept": len(donor_names(section))},
    ]  # fmt: skip
    touched = series.touched.any(axis=1)
    treated = [{"country": "SLV", "from": section["treatment"]["first_day"], "forecast_from": "2011", "donors": ", ".join(donor_names(section))}]  # fmt: skip
    text = f"Countries with a truce or crackdown of their own at some time: {', '.join(touched.index[touched])}."
    return {
        "flow": flow,
        "treated": treated,
        "checks": checks([Check("touched_countries", None, None, text), _suits(section)]),
    }


def check_numbers(run: Run) -> Numbers:
    """Return whether the reference suits El Salvador, and the truces that were not: other dates."""
    section, series = run.section, country_series(run.section)
    found = own_forecast(section, (1, 2), series=series)
    p_values = [
        own_forecast(section, (1, 2), base=base, series=series).p_value
        for base in section["identification"]["placebo_bases"]
    ]
    ratio = found.own_spread / float(found.errors.std())
    return {"own_ratio": ratio, "own_errors": len(found.own), "smallest_placebo_p": min(p_values)}


def _suits(section: Section) -> Check:
    found = own_forecast(section, (1, 2))
    ratio = found.own_spread / float(found.errors.std())
    limit = section["identification"]["own_ratio_maximum"]
    text = f"El Salvador's own errors before 2011 are {ratio:.2f} times the spread of the reference (at most {limit})."
    return Check("own_errors", bool(ratio <= limit), ratio, text)


# -------------------------------------------------------------------------------------------------------------- effects


def effect_numbers(run: Run) -> Numbers:
    """Return every row of the plan: the deciding forecasts, bounds, end dates, placebo dates and specifications."""
    section = run.section
    series, curves = country_series(section), cumulative(section)
    spans = {name: tuple(span) for name, span in section["windows"].items()}
    words = {"truce": "2012-2013, while it lasted", "rebound": "2014-2016, after it", "balance": "2012-2016 together"}
    found = {name: own_forecast(section, span, series=series) for name, span in spans.items()}
    named = {name: found[name].row(f"Forecast, {words[name]}") for name in spans}
    named["hidden"] = _hidden(section, found["truce"])
    named |= {
        f"end_{end.replace('-', '_')}": _until(section, end, curves, series) for end in section["treatment"]["ends"]
    }
    for base in section["identification"]["placebo_bases"]:
        named[f"from_{base + 1}"] = own_forecast(section, spans["truce"], base=base, series=series).row(f"As if in {base + 1}", group="placebo")  # fmt: skip
    for entry in section["specification"]:
        for name in ("truce", "rebound"):
            key = entry["name"] if name == "truce" else f"{entry['name']}_{name}"
            named[key] = attempt(
                f"{words[name][:9]}: {_SHORT[entry['name']]}", partial(_specified, section, entry, spans[name])
            )
    return rows(**named)


def _hidden(section: Section, found: Forecast) -> Row:
    rule = section["disappearances"]
    added = rule["months"] * (rule["monthly_during"] - rule["monthly_before"])
    shifted = replace(found, gap=float(np.log((found.observed + added) / found.expected)))
    share = (found.expected - found.observed) / added
    return shifted.row("2012-2013, missing added", group="outcome", added=added, share_that_undoes=share)  # fmt: skip


def _until(section: Section, end: str, curves: tuple[pd.Series, pd.Series], series: Series) -> Row:
    """Return cumulative deaths from the first day of the truce to the end of a month against the forecast."""
    year = int(end[:4])
    k = year - (section["treatment"]["first_year"] - 1)
    deaths, expected = curves
    gap = float(np.log(deaths[end] / expected[end]))
    spread = own_forecast(section, (1, k), series=series)
    row = replace(spread, gap=gap, observed=deaths[end], expected=expected[end]).row(f"To the end of {end}", group="window")  # fmt: skip
    return row | {"averted": expected[end] - deaths[end]}


def cumulative(section: Section) -> tuple[pd.Series, pd.Series]:
    """Return deaths since the first day of the truce, and those forecast, to the end of each month until 2016.

    Months known only as sums share their sum; months of a year that are unknown share what is left of the year.
    """
    start = pd.Timestamp(section["treatment"]["first_day"])
    months = monthly(section)
    observed = months[months.index >= "2012-03"].copy()
    observed["2012-03"] -= section["treatment"]["deaths_before_in_2012"] - months[:"2012-02"].sum()
    days = pd.Series({month: pd.Period(month).days_in_month for month in observed.index}, dtype=float)
    days["2012-03"] = (pd.Period("2012-03").end_time.normalize() - start).days + 1
    series = country_series(section)
    yearly = {2011 + k: own_forecast(section, (k, k), series=series).expected for k in range(1, 6)}
    rate = [yearly[int(month[:4])] / (366 if pd.Timestamp(f"{month}-01").is_leap_year else 365) for month in days.index]
    return observed.cumsum(), (days * rate).cumsum()


def monthly(section: Section) -> pd.Series:
    """Return homicides by month 2012-2016 that add up to the official years."""
    table = load_table(section["data"]["months"])
    series = table.assign(month=pd.to_datetime(table["month"]).dt.strftime("%Y-%m")).set_index("month")["homicides"]
    series = series[(series.index >= "2012-01") & (series.index <= "2016-12")].astype(float)
    for block in load_table(section["data"]["blocks"]).to_dict("records"):
        inside = (series.index >= str(block["start"])[:7]) & (series.index <= str(block["end"])[:7])
        series[inside] = block["homicides"] / inside.sum()
    official = load_table("el_salvador_year").set_index("year")["homicides"]
    for year in range(2012, 2017):
        here = series.index.str.startswith(str(year))
        missing = here & series.isna()
        if missing.any():
            series[missing] = (official[year] - series[here].sum()) / missing.sum()
        # Institutions differ by up to three percent; the year is the one that all agree on.
        series[here] *= official[year] / series[here].sum()
    return series


# ------------------------------------------------------------------------------------------------------- specifications


def _specified(section: Section, entry: Mapping[str, Any], span: Span) -> Row:
    if entry["estimator"] == "forecast":
        return _forecast_variant(section, entry, span)
    if entry["estimator"] == "bayes":
        return _bayesian(section, entry, span)
    return _synthetic(section, entry, span)


def _forecast_variant(section: Section, entry: Mapping[str, Any], span: Span) -> Row:
    rules = {key: entry[key] for key in ("terms", "common", "minimum") if key in entry}
    series = country_series(section, **rules)
    if entry.get("touched"):
        series = replace(series, touched=series.touched & False)
    if "vintage" in entry:
        old = load_table("unodc_vintages_central_america").pivot(index="unit", columns="year", values="homicides_2012")
        counts = series.counts.copy()
        counts.update(old.astype(float))
        series = replace(series, counts=counts)
    shift = entry.get("base_shift", 0)
    base = section["treatment"]["first_year"] - 1 - shift
    return own_forecast(section, (span[0] + shift, span[1] + shift), base=base, series=series).row("")


def donor_names(section: Section) -> list[str]:
    """Return the donors of the synthetic controls."""
    rule, first = section["synthetic"], section["treatment"]["first_year"]
    series = country_series(section)
    return donors(series, section["data"]["unit"], (rule["donors_first_year"], rule["last_year"]), (first - 5, rule["last_year"]), first)  # fmt: skip


def _donors_of(section: Section, entry: Mapping[str, Any]) -> list[str]:
    kept = [unit for unit in donor_names(section) if unit not in entry.get("without", [])]
    return [*kept, *entry.get("with", [])]


_FITS: dict[str, Callable[[Panel], Estimate]] = {
    "augmented": partial(augmented_synthetic_control, intercept=True, scale="log"),
    "sdid": partial(synthetic_did, scale="log", variance="none"),
    "demeaned": partial(synthetic_did, scale="log", weights="demeaned_sc", variance="none"),
    "sc": synthetic_control,
}


_REACH = ("extrapolation", "inside_hull")
"""Checks that say whether a comparison of donors reaches the treated country at all."""


def _synthetic(section: Section, entry: Mapping[str, Any], span: Span) -> Row:
    """Return the ratio over a window by a synthetic control; its spread is that of the same estimator on each donor."""
    rule, first = section["synthetic"], section["treatment"]["first_year"]
    years, names = (rule["donors_first_year"], rule["last_year"]), _donors_of(section, entry)
    fit = _FITS[entry["estimator"]]
    estimate = fit(donor_panel(names, section["data"]["unit"], years, first))
    here = _window_gap(estimate, span)
    others = [_window_gap(fit(donor_panel([unit for unit in names if unit != name], name, years, first)), span) for name in names]  # fmt: skip
    spread = float(np.sqrt(np.mean(np.square(others))))
    p = (1 + sum(abs(other) >= abs(here) for other in others)) / (1 + len(others))
    row = from_spread("", here, spread, how=f"the same estimator on each of {len(names)} donors", p_value=p)
    wrong = [check.text for check in estimate.checks if check.name in _REACH and check.passed is False]
    return row | {"unfit": " ".join(wrong)} if wrong else row


def _bayesian(section: Section, entry: Mapping[str, Any], span: Span) -> Row:
    """Return the ratio over a window by a Bayesian synthetic control of the counts, with its predictive interval."""
    rule, first = section["synthetic"], section["treatment"]["first_year"]
    years = (rule["donors_first_year"], rule["last_year"])
    panel = donor_panel(_donors_of(section, entry), section["data"]["unit"], years, first)
    # As many draws as keep four Monte Carlo errors of the ends of the interval near the tolerance of a band.
    estimate = bayesian_synthetic_control(panel, draws=4000)
    failed = [check.text for check in estimate.checks if check.passed is False]
    if failed:
        raise EstimationError(f"The sampler did not converge: {' '.join(failed)}")
    row = int(np.flatnonzero(panel.D.any(axis=1))[0])
    columns = [int(panel.D[row].argmax()) + step - 1 for step in range(span[0], span[1] + 1)]
    untreated = estimate.inference_data["posterior"]["untreated"].to_numpy()[..., columns].sum(axis=-1)
    gaps = np.log(panel.Y[row, columns].sum() / np.maximum(untreated, 1.0))
    value, low, high = np.exp([gaps.mean(), *np.quantile(gaps, [0.025, 0.975])]).tolist()
    return effect("", value, low, high, detectable=float(np.exp(POWER_REACH * gaps.std())), how="95% of the posterior predictive draws")  # fmt: skip


def _window_gap(estimate: Estimate, span: Span) -> float:
    """Return the log ratio of observed to synthetic deaths over years counted from the last one before treatment."""
    panel = estimate.panel
    assert panel is not None
    assert panel.population is not None
    assert estimate.path is not None
    steps = [k - 1 for k in range(span[0], span[1] + 1)]
    gaps = estimate.path["estimate"].loc[steps].to_numpy()
    row = int(np.flatnonzero(panel.D.any(axis=1))[0])
    columns = [int(panel.D[row].argmax()) + step for step in steps]
    seen, people = panel.Y[row, columns], panel.population[row, columns]
    expected = seen * np.exp(-gaps) if estimate.scale == "log" else seen - gaps * people / 100_000
    return float(np.log(seen.sum() / max(expected.sum(), 1.0)))


# -------------------------------------------------------------------------------------------------------------- figures


def series_numbers(run: Run) -> Numbers:
    """Return rates as counted with the forecast, and deaths since the truce with those forecast."""
    section = run.section
    series = country_series(section)
    years = list(range(2001, 2019))
    rate = (100_000 * series.counts / series.population).loc[section["data"]["unit"], years]
    expected = pd.Series({2011 + k: own_forecast(section, (k, k), series=series).expected for k in range(1, 6)})
    people = series.population.loc[section["data"]["unit"], expected.index]
    forecasts = (100_000 * expected / people).reindex(years)
    others = (100_000 * series.counts.loc[donor_names(section), years].sum() / series.population.loc[donor_names(section), years].sum())  # fmt: skip
    deaths, forecast_deaths = cumulative(section)
    at = [int(month[:4]) + (int(month[5:]) - 0.5) / 12 for month in deaths.index]
    plain = lambda values: [None if pd.isna(value) else float(value) for value in values]  # noqa: E731
    panels = [
        {"title": "Homicides per 100,000 inhabitants and year", "ylabel": "rate", "x": years, "series": {"El Salvador": plain(rate), "forecast": plain(forecasts), "donors": plain(others)}, "marks": [[2012.2, "truce"], [2014.4, "end"]]},
        {"title": "Deaths since 9 March 2012", "ylabel": "deaths", "x": at, "series": {"counted": plain(deaths), "forecast": plain(forecast_deaths)}, "marks": [[2013.4, "ruling"], [2014.4, "end"]]},
    ]  # fmt: skip
    return {"panels": panels}  # fmt: skip


def path_numbers(run: Run) -> Numbers:
    """Return forecast errors year by year: one year ahead before the truce, from 2011 after it."""
    section, series = run.section, country_series(run.section)
    steps: list[tuple[int, Forecast]] = [(base + 1 - 2012, own_forecast(section, (1, 1), base=base, series=series)) for base in range(2001, 2011)]  # fmt: skip
    steps += [(k - 1, own_forecast(section, (k, k), series=series)) for k in range(1, 6)]
    found = {"event_time": [step for step, _ in steps], "estimate": [each.gap for _, each in steps]}
    ends = {"low": [each.interval[0] for _, each in steps], "high": [each.interval[1] for _, each in steps]}
    return {"panels": [{"title": "Log ratio to the forecast", "xlabel": "years since 2012 (before: forecasts of one year ahead; after: all from 2011)", "scale": "log", **found, **ends}]}  # fmt: skip


def null_numbers(run: Run) -> Numbers:
    """Return the errors of the reference for each window."""
    words = {"truce": "Two years", "rebound": "Years three to five", "balance": "Five years"}
    panels = []
    for name, span in run.section["windows"].items():
        found = own_forecast(run.section, tuple(span))
        panels.append(histogram(f"{words[name]} after a base year without events", found.errors.tolist(), found.gap, found.p_value))  # fmt: skip
    return {"panels": panels}


def _remarks(results: Results) -> tuple[str, ...]:
    found = results[f"{SECTION}_effects"]["rows"]
    truce, balance, hidden = found["truce"], found["balance"], found["hidden"]
    ends = [row for row in found.values() if row["group"] == "window"]
    others = [found[name] for name in ("asc", "sdid", "demeaned") if found[name]["value"] is not None]
    below = sum(row["high"] < 1 for row in ends)
    return (
        f"2012 and 2013 counted {number(truce['observed'])} homicides where {number(truce['expected'])} were forecast: {against_expected(truce['value'])}. Over the five years to 2016 it was {number(balance['observed'])} against {number(balance['expected'])}.",
        f"To undo the fall, {number(hidden['share_that_undoes'])} killings would have to hide behind every additional missing person; counting each as one leaves {against_expected(hidden['value'])}.",
        f"The synthetic controls that reach the country point the same way for 2012-2013 ({', '.join(against_expected(row['value']) for row in others)}), but with so few donors their placebo tests can hardly exclude chance ({', '.join(f'p = {number(row["p_value"], 2)}' for row in others)}): the forecast decides, and rests on many countries and years.",
        f"Deaths since the first day of the truce lie below the forecast, with the whole interval, at {below} of the {len(ends)} dates at which it may be said to have ended or the count to close.",
    )


FAMILY = standard_family(
    claim="T09",
    section=SECTION,
    numbers={
        "sample": sample_numbers,
        "checks": check_numbers,
        "effects": effect_numbers,
        "series": series_numbers,
        "path": path_numbers,
        "null": null_numbers,
        "published": lambda run: published_rows(
            "T01", "T09", where="level.str.contains('municipality') and not study.str.startswith('FIP')"
        ),
    },
    kinds={"rows.bayes*.*": "band"},
    modules=("forecasts", "latin_america", "salvador_truce"),
    tables=(
        "latam_country_year",
        "truces",
        "crackdowns",
        "el_salvador_month",
        "el_salvador_blocks",
        "el_salvador_year",
        "unodc_vintages_central_america",
        "published_estimates",
    ),
    remarks=_remarks,
)
