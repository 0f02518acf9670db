"""Colombian cities around one dated event: samples with their flow, effects as ratios, and ranks among placebo cities."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from math import comb, floor
from typing import Any

import numpy as np
import pandas as pd

from analyses.standard import POWER_REACH, Row, effect, from_estimate, widest
from crimepolicy.data import load_panel, load_table
from crimepolicy.did.proportional_fitting import fit_margins
from crimepolicy.errors import DesignError
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.conley import conley
from crimepolicy.panel import Panel
from crimepolicy.synth.synthetic_control import synthetic_control
from crimepolicy.synth.synthetic_did import synthetic_did

__all__ = [
    "KINDS",
    "Cities",
    "Ranked",
    "before_test",
    "bordering",
    "city_names",
    "city_sample",
    "quarterly_path",
    "rank_test",
    "ranked_row",
    "rate_series",
    "relative_row",
    "spatial_row",
    "with_capture",
]

Section = Mapping[str, Any]
Change = Mapping[str, Any]
Spans = Mapping[str, Sequence[int]]
Array = np.ndarray[Any, Any]

_TABLE = "colombia_municipality_month"

KINDS = {
    # A rank may turn on a tie, and the weights of donors come from a search that stops at a tolerance.
    **dict.fromkeys(["*p_value", "rows.*synthetic*.*", "rows.*_did.*", "rows.city_*.*"], "simulated"),
    **dict.fromkeys(["*breakdown", "*.bounds.*", "*.band_low.*", "*.band_high.*"], "band"),
}
"""How exactly the numbers of the Colombian claims must come back."""


@dataclass(frozen=True, slots=True)
class Cities:
    """Treated and comparison cities.

    Attributes
    ----------
    panel : Panel
        Counts by month or quarter, the treated cities from the first period of the event.
    flow : list of dict
        What was left out, and why: step, left_out, kept.
    """

    panel: Panel
    flow: list[dict[str, Any]]

    @property
    def treated(self) -> list[str]:
        """Codes of the treated cities."""
        return [str(unit) for unit in self.panel.units[self.panel.D.any(axis=1)]]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Effects by window with their ranks among placebo cities.

    Attributes
    ----------
    log : dict of str to float
        Log ratio of deaths to expected deaths.
    noise : float
        Root mean squared log gap of the treated cities before the event.
    placebos : dict of str to float array (n,)
        Log ratios of the placebo sets of cities.
    studentised : dict of str to float array (n,)
        The same over the noise of each set.
    """

    log: dict[str, float]
    noise: float
    placebos: dict[str, Array]
    studentised: dict[str, Array]

    def p_value(self, name: str, null: float = 0.0) -> float:
        """Return the two-sided share of sets, the real one counted, with as large a studentised effect."""
        others = np.abs(self.studentised[name])
        return float((1 + (others >= abs(self.log[name] - null) / self.noise).sum()) / (1 + len(others)))

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Return the log effects that the ranks do not reject, at the nearest level that so many sets allow."""
        others = np.sort(np.abs(self.studentised[name]))[::-1]
        position = max(1, floor((1 - level) * (1 + len(others)) + 1e-9))
        reach = self.noise * others[position - 1]
        return self.log[name] - reach, self.log[name] + reach

    def detectable(self, name: str) -> float:
        """Return the smallest ratio found with 80% power, from the spread of studentised placebo effects."""
        return float(np.exp(POWER_REACH * self.noise * self.studentised[name].std()))


# ------------------------------------------------------------------------------------------------------------- samples


@cache
def _population(year: int) -> pd.Series:
    table = load_table(_TABLE, columns=["unit", "month", "population"])
    return table[table["month"] == f"{year}-01-01"].set_index("unit")["population"]


@cache
def city_names() -> dict[str, str]:
    """Return the name of every municipality."""
    table = load_table(_TABLE, columns=["unit", "name"]).drop_duplicates()
    return dict(zip(table["unit"], table["name"], strict=True))


@cache
def _neighbours(units: tuple[str, ...]) -> frozenset[str]:
    pairs = load_table("colombia_contiguity")
    here, there = pairs["unit"].isin(units), pairs["neighbour"].isin(units)
    return frozenset(pairs.loc[here, "neighbour"]) | frozenset(pairs.loc[there, "unit"])


def city_sample(section: Section, change: Change | None = None) -> Cities:
    """Return the cities of a section of the plan, with one thing changed."""
    rules = {**section["data"], **section["treatment"], **section["controls"], **(change or {})}
    treated = list(rules["units"])
    people = _population(rules["population_year"])
    flow = [{"step": "municipalities and corregimientos", "left_out": 0, "kept": len(people)}]
    large = people.index[(people >= rules["minimum_population"]).to_numpy()]
    donors = [str(unit) for unit in large if unit not in treated]
    _note(flow, f"at least {rules['minimum_population']:,} inhabitants in {rules['population_year']}, or treated", len(donors) + len(treated))  # fmt: skip
    for why, units in _left_out(rules, treated).items():
        donors = [unit for unit in donors if unit not in units]
        _note(flow, why, len(donors) + len(treated))
    panel = load_panel(_TABLE, outcome=rules.get("outcome"), start=rules["start"], end=rules["end"], units=sorted([*treated, *donors]))  # fmt: skip
    # Borders serve for leaving cities out only; carried along they would be hashed at every placebo fit.
    panel = replace(panel, neighbours=None).treat(treated, at=rules["at"])
    return Cities(panel if rules["frequency"] == "month" else panel.aggregate(rules["frequency"]), flow)


def _note(flow: list[dict[str, Any]], step: str, kept: int) -> None:
    flow.append({"step": step, "left_out": flow[-1]["kept"] - kept, "kept": kept})


def _left_out(rules: Section, treated: Sequence[str]) -> dict[str, frozenset[str]]:
    groups = {why: frozenset(units) for why, units in rules["left_out"].items() if why not in rules.get("back_in", ())}
    if "left_out_also" in rules:
        groups["left out by the specification"] = frozenset(rules["left_out_also"])
    if rules.get("border_left_out", True):
        groups["do not border a treated city"] = _neighbours(tuple(treated))
    if rules.get("members_left_out", False):
        police = load_table("quadrants_colombia")
        members = police[police["unit"].isin(treated) | (police["role"] == "metro_member")]
        groups["not under one of the eight metropolitan police forces"] = frozenset(members["unit"]) | frozenset(
            police.loc[police["role"] == "core", "unit"]
        )
    return groups


def with_capture(panel: Panel, unit: str, capture: Mapping[int, float]) -> Panel:
    """Return the panel with the counts of one city divided by the share of deaths that its police recorded each year."""
    share = np.array([capture.get(period.year, 1.0) for period in panel.periods])
    counts = panel.Y.copy()
    counts[panel.units.get_loc(unit)] /= share
    return panel.with_outcome(counts)


# ------------------------------------------------------------------------------------------------------------- effects


def _poisson(panel: Panel, spans: Spans) -> tuple[dict[str, float], float]:
    """Return log ratios of deaths to those expected from unit and period factors of the untreated cells, and the noise."""
    assert panel.population is not None
    first, here = int(panel.first_treated.min()), panel.D.any(axis=1)
    free = ~panel.D
    # One row of sums has the same expected deaths as the treated cities one by one, weighted by deaths.
    fitted = fit_margins(np.where(free, panel.Y, 0.0), np.where(free, panel.population, 0.0))
    expected = ((panel.population * fitted.unit[:, None])[here] * fitted.period).sum(axis=0)
    observed = panel.Y[here].sum(axis=0)
    gaps = np.log((observed[:first] + 0.5) / (expected[:first] + 0.5))
    sums = {name: (observed[s].sum() + 0.5, expected[s].sum() + 0.5) for name, s in _slices(panel, spans).items()}
    return {name: float(np.log(o / e)) for name, (o, e) in sums.items()}, float(np.sqrt((gaps**2).mean()))


def _poisson_trend(panel: Panel, spans: Spans) -> tuple[dict[str, float], float]:
    """Return the same net of a linear trend of the log gaps before the event."""
    first = int(panel.first_treated.min())
    logs, _ = _poisson(panel, {str(k): (k, k) for k in range(-first, 0)} | dict(spans))
    gaps = np.array([logs[str(k)] for k in range(-first, 0)])
    line = np.polynomial.Polynomial.fit(np.arange(-first, 0), gaps, 1)
    noise = float(np.sqrt(((gaps - line(np.arange(-first, 0))) ** 2).mean()))
    return {name: logs[name] - float(line((low + high) / 2)) for name, (low, high) in spans.items()}, noise


def _slices(panel: Panel, spans: Spans) -> dict[str, slice]:
    first = int(panel.first_treated.min())
    outside = [name for name, (low, high) in spans.items() if first + low < 0 or first + high >= panel.n_periods]
    if outside:
        raise DesignError(f"Window {outside[0]!r} reaches beyond the panel.")
    return {name: slice(first + low, first + high + 1) for name, (low, high) in spans.items()}


def _gaps(estimate: Any, panel: Panel, spans: Spans) -> tuple[dict[str, float], float]:
    """Return the effects of an estimator of rates as log ratios to the expected rate."""
    rate, here = panel.rate(), panel.D.any(axis=1)
    path, first = estimate.path["estimate"], int(panel.first_treated.min())
    _slices(panel, spans)
    observed = pd.Series(rate.Y[here].mean(axis=0), index=np.arange(panel.n_periods) - first)
    logs = {}
    for name, (low, high) in spans.items():
        seen, gap = float(observed.loc[low:high].mean()), float(path.loc[low:high].mean())
        logs[name] = float(np.log(seen / (seen - gap))) if seen - gap > 0 and seen > 0 else float("nan")
    early = path.loc[:-1]
    return logs, float(np.sqrt((early**2).mean()) / observed.loc[:-1].mean())


def _synthetic_did(panel: Panel, spans: Spans) -> tuple[dict[str, float], float]:
    return _gaps(synthetic_did(panel, variance="none", regularisation="invariant"), panel, spans)


def _synthetic_control(panel: Panel, spans: Spans) -> tuple[dict[str, float], float]:
    return _gaps(synthetic_control(panel, intercept=True), panel, spans)


_ESTIMATORS: dict[str, Callable[[Panel, Spans], tuple[dict[str, float], float]]] = {
    "poisson": _poisson,
    "poisson_trend": _poisson_trend,
    "synthetic_did": _synthetic_did,
    "synthetic_control": _synthetic_control,
}


def rank_test(panel: Panel, spans: Spans, *, estimator: str = "poisson", draws: int, seed: int) -> Ranked:
    """Return the effects by window, and those where the event is laid on as many of the comparison cities instead.

    The treated cities are left out of the placebos; all sets are listed where there are no more than `draws`.
    """
    fit, here = _ESTIMATORS[estimator], panel.D.any(axis=1)
    log, noise = fit(panel, spans)
    treated, others = list(panel.units[here]), list(panel.units[~here])
    at = panel.periods[int(panel.first_treated.min())]
    untreated = panel.drop(treated).untreated()
    drawn = [fit(untreated.treat(units, at=at), spans) for units in _sets(others, len(treated), draws, seed)]
    placebos = {name: np.array([logs[name] for logs, _ in drawn]) for name in spans}
    spread = np.array([other for _, other in drawn])
    # A set without a death before the event has no noise to be measured by.
    kept = {name: np.isfinite(values) & (spread > 0) for name, values in placebos.items()}
    studentised = {name: values[kept[name]] / spread[kept[name]] for name, values in placebos.items()}
    return Ranked(log, noise, {name: values[kept[name]] for name, values in placebos.items()}, studentised)


def _sets(units: Sequence[str], k: int, draws: int, seed: int) -> list[list[str]]:
    if len(units) <= k:
        raise DesignError(f"{len(units)} comparison cities do not make placebo sets of {k}.")
    if comb(len(units), k) <= draws:
        return [list(chosen) for chosen in combinations(units, k)]
    rng = np.random.default_rng(seed)
    return [[units[i] for i in sorted(rng.choice(len(units), k, replace=False))] for _ in range(draws)]


def ranked_row(label: str, found: Ranked, name: str, **more: Any) -> Row:
    """Return one window as a row of effects, with the interval and p-value of the ranks."""
    low, high = found.interval(name)
    count = len(found.studentised[name])
    # Fewer than 19 placebo sets cannot reject at 5%: their interval covers with 1 - 1/(n + 1).
    short = "" if count >= 19 else f", {1 - 1 / (count + 1):.0%} interval"
    return effect(
        label,
        float(np.exp(found.log[name])),
        float(np.exp(low)),
        float(np.exp(high)),
        detectable=found.detectable(name),
        p_value=found.p_value(name),
        how=f"ranks among {count} placebo sets of cities{short}",
        **more,
    )


def before_test(panel: Panel, periods: int, *, skip: int = 0, draws: int, seed: int) -> Ranked:
    """Return the test of an event laid so many periods earlier, on the periods before the real one only.

    `skip` is the number of periods between a start and the first that counts, as in the windows of the plan.
    """
    first = int(panel.first_treated.min())
    treated = list(panel.units[panel.D.any(axis=1)])
    early = panel.window(end=panel.periods[first - 1]).untreated().treat(treated, at=panel.periods[first - periods])
    return rank_test(early, {"before": (skip, periods - 1)}, draws=draws, seed=seed)


# ------------------------------------------------------------------------------------------------------- what is shown


def quarterly_path(panel: Panel, first: int, last: int, *, width: int, draws: int, seed: int) -> dict[str, Any]:
    """Return a path of windows of `width` periods with the intervals of the ranks, for the figure."""
    spans = {str(k): (k * width, k * width + width - 1) for k in range(first, last + 1)}
    found = rank_test(panel, spans, draws=draws, seed=seed)
    ends = [found.interval(name) for name in spans]
    return {
        "scale": "log",
        "event_time": [int(name) for name in spans],
        "estimate": [found.log[name] for name in spans],
        "low": [low for low, _ in ends],
        "high": [high for _, high in ends],
        "band_low": None,
        "band_high": None,
    }


def rate_series(panel: Panel, lines: Mapping[str, Sequence[str]]) -> tuple[list[float], dict[str, list[float]]]:
    """Return the dates and homicides per 100,000 and year of named groups of cities, and of the comparison cities."""
    assert panel.population is not None
    per = 100_000 * 12 / {"M": 1, "Q": 3, "Y": 12}[pd.PeriodIndex(panel.periods).freqstr[0]]
    years = [period.year + (period.start_time.month - 1) / 12 for period in panel.periods]
    groups = {name: panel.units.isin(list(units)) for name, units in lines.items()}
    groups["Comparison cities together"] = ~panel.D.any(axis=1)
    rates = {
        name: per * panel.Y[rows].sum(axis=0) / panel.population[rows].sum(axis=0) for name, rows in groups.items()
    }
    return years, {name: values.tolist() for name, values in rates.items()}


def spatial_row(label: str, estimate: Estimate, *, term: str = HEADLINE, km: float, **more: Any) -> Row:
    """Return one term with the widest of the intervals by municipality, by department and with dependence up to `km`."""
    assert estimate.psi is not None
    departments = {unit: str(unit)[:2] for unit in estimate.psi.index}
    kinds = [cluster(estimate, "unit"), cluster(estimate, departments), conley(estimate, km=km)]
    found = [from_estimate(label, kind, term=term, **more) for kind in kinds]
    errors = dict(zip(("se_municipality", "se_department", "se_distance"), (float(kind.std_errors[term]) for kind in kinds), strict=True))  # fmt: skip
    p_value = max(kind.p_value(term) for kind in kinds)
    return widest(found[0], found[1:]) | {"p_value": p_value, **errors}


def relative_row(row: Row) -> Row:
    """Return a difference, measured in units of the level expected, as a ratio to it."""
    ends = {key: max(0.0, 1 + row[key]) for key in ("value", "low", "high")}
    return row | ends | {"detectable": 1 + row["detectable"], "scale": "ratio"}


def bordering(units: Sequence[str]) -> frozenset[str]:
    """Return the municipalities that border any of some."""
    return _neighbours(tuple(units))
