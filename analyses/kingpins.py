"""Claim K01: what happens to homicides where the heads of criminal organisations are removed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from analyses.effects import annual_rate, fit_windows, row, window_average, window_numbers
from analyses.mexico import (
    Inputs,
    Sample,
    Section,
    balance,
    baseline,
    eligible_events,
    first_event_treatment,
    kingpin_sample,
    strata,
)
from crimepolicy.diagnostics.pretrends import joint_test
from crimepolicy.did.group_time import group_time_effects
from crimepolicy.did.imputation import imputation
from crimepolicy.errors import CrimepolicyError
from crimepolicy.estimate import Estimate, path_term
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.mechanisms import Mechanism, RedrawDates, RedrawPlaces
from crimepolicy.inference.randomization import randomization_test
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.breakdown import breakdown
from crimepolicy.sensitivity.honest import honest_bounds
from crimepolicy.sensitivity.restrictions import relative_magnitudes

Numbers = dict[str, Any]

_LAST_HALF = (-6, -1)


def sample_numbers(inputs: Inputs, section: Section) -> Numbers:
    """Return who is treated, who is compared, what was left out and how alike they were before."""
    before = baseline(inputs, section)
    samples = {
        "large": kingpin_sample(inputs, section),
        "matched": kingpin_sample(inputs, section, {"controls": "matched"}),
    }
    main = samples["large"]
    columns = [
        "event",
        "unit",
        "person",
        "organisation",
        "action",
        "municipality",
        "state",
        "operations_state",
        "source_read",
    ]
    removals = main.events[columns].assign(month=main.events["date"].dt.strftime("%Y-%m"))
    return {
        "flow": main.flow,
        "removals": [
            {key: None if pd.isna(value) else value for key, value in event.items()}
            for event in removals.to_dict("records")
        ],
        "counts": {
            name: {"treated": len(sample.treated), "comparison": len(sample.controls)}
            for name, sample in samples.items()
        },
        "balance": {name: balance(before, sample.treated, sample.controls) for name, sample in samples.items()},
        "months": {"first": str(main.panel.periods[0]), "last": str(main.panel.periods[-1])},
        "deaths": {
            "treated": int(main.panel.keep(main.treated).Y.sum()),
            "comparison": int(main.panel.keep(main.controls).Y.sum()),
        },
        "panel": main.panel.digest,
    }


def effect_numbers(inputs: Inputs, section: Section, change: Mapping[str, Any], *, draws: int, seed: int) -> Numbers:
    """Return the windows of one sample with every kind of uncertainty."""
    sample = kingpin_sample(inputs, section, change)
    how = mechanisms(sample.panel, inputs, section)
    found = window_numbers(fit_windows(sample.panel, section["main"]["windows"]), how, draws=draws, seed=seed)
    return found | {"n_treated": len(sample.treated), "n_comparison": len(sample.controls), "draws": draws}


def path_estimate(inputs: Inputs, section: Section) -> Estimate:
    """Return the main specification month by month, clustered by municipality."""
    first, last = section["main"]["path"]
    panel = kingpin_sample(inputs, section).panel
    return cluster(imputation(panel, family="poisson", pretrends=-first, horizon=(0, last)), "unit")


def path_numbers(estimate: Estimate, *, seed: int) -> Numbers:
    """Return a path with pointwise intervals and the simultaneous band, as ratios."""
    assert estimate.path is not None
    band = estimate.band(seed=seed)[["conf_low", "conf_high"]].apply(np.exp)
    months: Numbers = {}
    for month in estimate.path.index:
        low, high = estimate.interval(term=path_term("event_time", month))
        ends = {
            "low": np.exp(low),
            "high": np.exp(high),
            "band_low": band.loc[month, "conf_low"],
            "band_high": band.loc[month, "conf_high"],
        }
        months[str(month)] = {"ratio": np.exp(estimate.path.loc[month, "estimate"]), **ends}
    return {"months": months}


def lead_numbers(inputs: Inputs, section: Section, *, draws: int, seed: int) -> Numbers:
    """Return the joint test of the months before the removal, by clustered covariance and by redrawn dates."""
    sample = kingpin_sample(inputs, section)
    observed = lead_test(sample.panel, section)
    dates = mechanisms(sample.panel, inputs, section)["dates"]
    test = randomization_test(observed, dates, draws=draws, seed=seed, statistic="value", sides="greater")
    leads = _leads(sample.panel, section)
    joint = joint_test(leads, _lead_terms(section))
    rows = {
        str(k): {"log": float(leads.estimates[term]), "se": float(leads.std_errors[term])}
        for k, term in _lead_labels(section)
    }
    return {
        "wald": joint.statistic,
        "df": joint.df,
        "p_clustered": joint.p_value,
        "p_dates": test.p_value(),
        "clustered_rejects": _share_beyond(test, float(stats.chi2.ppf(0.95, joint.df))),
        "draws": draws,
        "leads": rows,
    }


def _share_beyond(test: Estimate, critical: float) -> float:
    """Return the share of redrawn dates in which the clustered test would have rejected."""
    assert test.null is not None
    return float((test.null["att"].dropna() > critical).mean())


def lead_test(panel: Panel, section: Section) -> Estimate:
    """Return the Wald statistic of the leads as an estimate, so that randomisation can fit it again."""
    value = joint_test(_leads(panel, section), _lead_terms(section)).statistic

    def again(other: Panel) -> Estimate:
        return lead_test(other, section)

    return Estimate(
        estimand="Wald statistic of the leads",
        value=value,
        std_error=float("nan"),
        method="joint test",
        citation="",
        panel=panel,
        fit=again,
    )


def _leads(panel: Panel, section: Section) -> Estimate:
    first, _ = section["main"]["leads"]
    return cluster(imputation(panel, family="poisson", pretrends=-first, horizon=(0, 0)), "unit")


def _lead_labels(section: Section) -> list[tuple[int, str]]:
    first, last = section["main"]["leads"]
    return [(k, path_term("event_time", k)) for k in range(first, last + 1)]


def _lead_terms(section: Section) -> list[str]:
    return [term for _, term in _lead_labels(section)]


def honest_numbers(inputs: Inputs, section: Section, *, seed: int) -> Numbers:
    """Return how large a violation of parallel trends the effects survive, on the half-year path of rates."""
    panel = annual_rate(kingpin_sample(inputs, section).panel)
    path = group_time_effects(panel, control="never", base="universal").aggregate("event")
    halves = section["main"]["half_years"]
    shared: Numbers = {"bins": halves[0][1] - halves[0][0] + 1, "window": (halves[0][0], halves[-1][1]), "seed": seed}
    numbers: Numbers = {"half_years": _half_years(path, halves)}
    for name, (low, high) in {"months_0_5": (0, 5), "months_6_35": (6, 35)}.items():
        target = dict.fromkeys(range(low, high + 1), 1 / (high - low + 1))
        bounds = honest_bounds(
            path, restriction=[relative_magnitudes(M) for M in (0.0, 0.5, 1.0)], target=target, **shared
        )
        rows = bounds.frame[["conf_low", "conf_high"]].to_dict("records")
        value = float(str(breakdown(path, target=target, **shared).value))
        limits = {f"m_{m}": row for m, row in zip(("0", "0_5", "1"), rows, strict=True)}
        numbers[name] = {"breakdown": value, "rate": bounds.estimate, "se": bounds.std_error, "bounds": limits}
    return numbers


def _half_years(path: Estimate, halves: list[list[int]]) -> Numbers:
    """Return the half-year means relative to the last half year before the removal."""
    rows: Numbers = {}
    for low, high in halves:
        if (low, high) != _LAST_HALF:
            difference = cluster(window_average(path, (low, high), _LAST_HALF), "unit")
            ends = difference.interval()
            rows[f"{low}..{high}"] = {"rate": difference.value, "low": ends[0], "high": ends[1]}
    return rows


def leave_out_numbers(inputs: Inputs, section: Section) -> Numbers:
    """Return the windows without each treated municipality, and without the cities that the plan names."""
    main = kingpin_sample(inputs, section)
    names = dict(zip(main.events["unit"], main.events["municipality"], strict=True))
    each = {unit: _without(inputs, section, [unit]) for unit in main.treated}
    cities = list(section["left_out_in_turn"])
    named: Numbers = {}
    for unit, city in section["left_out_in_turn"].items():
        inside = unit in names
        named[unit] = {"city": city, "in_sample": inside, "windows": each[unit] if inside else None}
    windows = [name for name in section["main"]["windows"] if name in next(iter(each.values()))]
    extremes = {name: _extremes({unit: found[name] for unit, found in each.items()}, names) for name in windows}
    together = _without(inputs, section, [city for city in cities if city in names])
    return {"cities": named, "all_cities": together, **extremes}


def _without(inputs: Inputs, section: Section, units: list[str]) -> dict[str, float]:
    sample = kingpin_sample(inputs, section, {"without_units": units})
    estimate = fit_windows(sample.panel, section["main"]["windows"], variance="none")
    assert estimate.path is not None
    return {str(name): float(np.exp(value)) for name, value in estimate.path["estimate"].items()}


def _extremes(ratios: Mapping[str, float], names: Mapping[str, str]) -> Numbers:
    low, high = min(ratios, key=lambda unit: ratios[unit]), max(ratios, key=lambda unit: ratios[unit])
    return {
        "smallest": ratios[low],
        "smallest_without": names[low],
        "largest": ratios[high],
        "largest_without": names[high],
    }


def specification_numbers(inputs: Inputs, section: Section, specification: Mapping[str, Any]) -> Numbers:
    """Return one specification of the plan as a row."""
    return row(lambda: kingpin_sample(inputs, section, specification), section, specification)


def placebo_numbers(inputs: Inputs, section: Section, group: str, *, draws: int, seed: int) -> Numbers:
    """Return the windows around events after which the mechanism of the claim predicts nothing, or another path.

    `group` is one of those in the plan, or ``"all"`` for all of them together.
    """
    rules = section["placebo"]
    chosen = rules if group == "all" else {group: rules[group]}
    events = pd.concat([_placebo_events(inputs, rule) for rule in chosen.values()]).drop_duplicates("unit")
    why = "all of these events together" if group == "all" else rules[group]["why"]
    listed = [
        f"{event['person']} ({event['municipality']}, {event['date']:%Y-%m})" for event in events.to_dict("records")
    ]
    return {"why": why, "events": listed, **_around(inputs, section, events, draws=draws, seed=seed)}


def _placebo_events(inputs: Inputs, rules: Mapping[str, Any]) -> pd.DataFrame:
    first, last = inputs.panel.periods[0].start_time, inputs.panel.periods[-1].end_time
    events = eligible_events(inputs.events, {**rules, "place_precision": ["municipality"]})
    return events[(events["date"] >= first) & (events["date"] <= last)].sort_values("date").drop_duplicates("unit")


def _around(inputs: Inputs, section: Section, events: pd.DataFrame, *, draws: int, seed: int) -> Numbers:
    controls = kingpin_sample(inputs, section).controls
    panel = first_event_treatment(inputs.panel.keep(sorted([*controls, *events["unit"]])), events)
    try:
        estimate = fit_windows(panel, section["main"]["windows"])
        return {
            **window_numbers(estimate, mechanisms(panel, inputs, section), draws=draws, seed=seed),
            "n_treated": len(events),
        }
    except CrimepolicyError as problem:
        return {"failed": str(problem), "windows": {}, "n_treated": len(events)}


def state_numbers(inputs: Inputs, section: Section, *, draws: int, seed: int) -> Numbers:
    """Return the windows for the state where the organisation operated, by state and month."""
    rules = {key: value for key, value in section["treatment"].items() if key != "place_precision"}
    panel = inputs.states
    events = eligible_events(inputs.events, rules).assign(unit=lambda frame: frame["operations_state_code"])
    events = (
        events[events["date"] <= panel.periods[-1].end_time]
        .sort_values(["date", "event"], kind="stable")
        .drop_duplicates("unit")
    )
    panel = first_event_treatment(panel, events)
    how: dict[str, Mechanism] = {"dates": _dates(section), "places": RedrawPlaces()}
    found = window_numbers(fit_windows(panel, section["state"]["windows"]), how, draws=draws, seed=seed)
    return {**found, "n_treated": len(events), "n_comparison": panel.n_units - len(events), "draws": draws}


def count_numbers(inputs: Inputs, section: Section) -> Numbers:
    """Return raw homicide rates around the removal and over the years, in treated and comparison municipalities."""
    sample = kingpin_sample(inputs, section)
    first, last = section["main"]["path"]
    return {"around": _around_rates(sample, first, last), "yearly": _yearly_rates(sample)}


def _around_rates(sample: Sample, first: int, last: int) -> Numbers:
    """Return deaths and rates by month since the removal; comparison rates are those of the same calendar months."""
    panel = sample.panel
    assert panel.population is not None
    here = panel.D.any(axis=1)
    month = np.arange(panel.n_periods) - panel.first_treated[:, None]
    elsewhere = panel.Y[~here].sum(axis=0) / panel.population[~here].sum(axis=0)
    table: Numbers = {}
    for k in range(first, last + 1):
        cells = month == k
        people = panel.population * cells
        expected = float((people.sum(axis=0) * elsewhere).sum())
        deaths, total = float(panel.Y[cells].sum()), float(people.sum())
        table[str(k)] = {
            "deaths": deaths,
            "municipalities": int(cells.sum()),
            "rate": 1_200_000 * deaths / total,
            "comparison_rate": 1_200_000 * expected / total,
        }
    return table


def _yearly_rates(sample: Sample) -> Numbers:
    yearly = sample.panel.aggregate("year")
    assert yearly.population is not None
    here = sample.panel.D.any(axis=1)
    rates = [100_000 * yearly.Y[rows].sum(axis=0) / yearly.population[rows].sum(axis=0) for rows in (here, ~here)]
    removals = sample.events["date"].dt.year.value_counts()
    return {
        str(year): {"treated": a, "comparison": b, "removals": int(removals.get(year.year, 0))}
        for year, a, b in zip(yearly.periods, *rates, strict=True)
    }


# ----------------------------------------------------------------------------------------------------------- mechanisms


def mechanisms(panel: Panel, inputs: Inputs, section: Section) -> dict[str, Mechanism]:
    """Return how removals could have fallen otherwise: other months, or other places of like size."""
    levels = strata(panel, baseline(inputs, section), section)
    return {
        "dates": _dates(section),
        "places": RedrawPlaces(within=dict(zip(panel.units, levels.tolist(), strict=True))),
    }


def _dates(section: Section) -> RedrawDates:
    first, last = section["inference"]["dates_window"]
    return RedrawDates(first=first, last=last)


def published_numbers(table: pd.DataFrame) -> Numbers:
    """Return the published estimates on claim K01 as ratios, with where they were read and whether that was verified."""
    texts = ("study", "outcome", "horizon", "basis", "treatment")
    rows = []
    for position, entry in enumerate(table[table["claim"] == "K01"].to_dict("records")):
        words = {key: "not given" if pd.isna(entry[key]) else str(entry[key]) for key in texts}
        effect = zip(("ratio", "low", "high"), ("log_effect", "ci_low", "ci_high"), strict=True)
        ratios = {name: None if pd.isna(entry[key]) else float(np.exp(entry[key])) for name, key in effect}
        rows.append(
            {"number": position + 1, "year": int(entry["year"]), "verified": bool(entry["verified"]), **words, **ratios}
        )
    return {"rows": rows}
