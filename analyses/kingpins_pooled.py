"""Beside claim K01: removals of leaders in Mexico and Colombia as draws from one distribution, and what the next would do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from analyses.colombia import bordering, city_names
from analyses.family import Run
from analyses.mexico import Inputs, kingpin_sample, official_inputs
from analyses.policing_meta import variance_line
from analyses.settings import plan
from analyses.standard import POWER_REACH, attempt, effect, from_estimate
from analyses.synthetic import synthetic_inputs
from crimepolicy.data import load_panel, load_table
from crimepolicy.errors import DesignError
from crimepolicy.estimate import Estimate, path_term
from crimepolicy.synthesis.hierarchical import hierarchical_synthesis
from crimepolicy.synthesis.meta import synthesise

Numbers = dict[str, Any]
Row = dict[str, Any]
Section = Mapping[str, Any]
Change = Mapping[str, Any]
Floats = np.ndarray[Any, np.dtype[np.float64]]

SECTION = "kingpins_pooled"
WINDOWS = {"m0_5": "", "m6_35": "long_"}
"""The two windows that are judged, and how their rows begin."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One removal of a leader.

    Attributes
    ----------
    event, person, place, state, action : str
    rows : int array
        Rows of the country's counts that make up the place.
    start : int
        Column of the month of the removal.
    facts : mapping
        ``source_read``, ``approximate`` and ``guerrilla``.
    """

    event: str
    person: str
    place: str
    state: str
    action: str
    rows: np.ndarray[Any, np.dtype[np.int64]]
    start: int
    facts: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Country:
    """Counts by municipality and month, comparison municipalities, and removals.

    Attributes
    ----------
    name : str
    deaths, people : float arrays (N, T)
    controls : int array
        Rows of the comparison municipalities.
    removals : tuple of Removal
    months : pandas.PeriodIndex (T,)
    """

    name: str
    deaths: Floats
    people: Floats
    controls: np.ndarray[Any, np.dtype[np.int64]]
    removals: tuple[Removal, ...]
    months: pd.PeriodIndex


@dataclass(frozen=True, slots=True)
class Effect:
    """One removal in one window.

    Attributes
    ----------
    country : str
    removal : Removal
    log_ratio, std_error, poisson : float
        Homicides against expected, its calibrated error, and the part of its variance that counting alone would give.
    observed, expected : float
    span : (int, int)
        Months of the window, counted from January of year 0, so that windows of two countries compare.
    """

    country: str
    removal: Removal
    log_ratio: float
    std_error: float
    poisson: float
    observed: float
    expected: float
    span: tuple[int, int]


# ------------------------------------------------------------------------------------------------------------ countries


def countries(section: Section, change: Change | None = None, *, smoke: bool = False) -> tuple[Country, ...]:
    """Return the two countries with their removals, or twice the invented country."""
    change = change or {}
    if smoke:
        kingpins = plan().section("kingpins")
        return tuple(mexico(synthetic_inputs(kingpins, seed), section, name, change, extradited=False) for seed, name in enumerate(("Mexico", "Colombia")))  # fmt: skip
    return mexico(official(), section, "Mexico", change), colombia(section, change)


@cache
def official() -> Inputs:
    """Return Mexico, read once in a process for all tasks of the claim."""
    return official_inputs(plan().section("kingpins"))


def mexico(inputs: Inputs, section: Section, name: str, change: Change, *, extradited: bool = True) -> Country:
    """Return the sample of section kingpins as a country, with extraditions placed in the state of operations."""
    wanted = {key: change[key] for key in ("minimum_population",) if key in change}
    sample = kingpin_sample(inputs, plan().section("kingpins"), wanted)
    panel = inputs.panel
    assert panel.population is not None
    removed = [
        _removal(entry, entry["municipality"], panel.units.get_indexer([entry["unit"]]), panel.periods, _mexican_facts(entry))
        for entry in sample.events.to_dict("records")
    ]  # fmt: skip
    if extradited:
        listed = inputs.events[inputs.events["event"].isin(section["treatment"]["extradited"]["mexico"])]
        states = panel.units.str[:2]
        removed += [
            _removal(entry, entry["operations_state"], np.flatnonzero(states == entry["operations_state_code"]), panel.periods, _mexican_facts(entry))
            for entry in listed.to_dict("records")
        ]  # fmt: skip
    controls = panel.units.get_indexer(sample.controls)
    return Country(name, panel.Y, panel.population, controls, tuple(removed), panel.periods)


def _mexican_facts(entry: Mapping[Any, Any]) -> dict[str, bool]:
    unsure = bool(entry.get("place_unverified", False)) or bool(entry.get("sources_disagree_place", False))
    return {"source_read": bool(entry["source_read"]), "approximate": unsure, "guerrilla": False}


def colombia(section: Section, change: Change) -> Country:
    """Return the Colombian municipalities with their removals and comparison municipalities."""
    data, rules = section["data"], {**section["controls"], **change}
    panel = load_panel(data["colombia"], outcome=data["outcome"], start=data["colombia_start"], end=data["colombia_end"])  # fmt: skip
    events = load_table(data["colombia_events"]).assign(date=lambda frame: pd.to_datetime(frame["date"]))
    events = events.sort_values(["date", "event"], kind="stable")
    removed = [
        _removal(entry, city_names()[entry["unit"]], panel.units.get_indexer([entry["unit"]]), panel.periods, _colombian_facts(entry, section))
        for entry in _colombian_removals(events, section).to_dict("records")
    ]  # fmt: skip
    by_event = events.set_index("event")
    for event, unit in section["treatment"]["extradited"]["colombia"]:
        entry = {"event": event, "unit": unit, **by_event.loc[event].drop("unit").to_dict()}
        removed.append(_removal(entry, city_names()[unit], panel.units.get_indexer([unit]), panel.periods, _colombian_facts(entry, section)))  # fmt: skip
    assert panel.population is not None
    homes = [unit for _, unit in section["treatment"]["extradited"]["colombia"]]
    touched = pd.Index(pd.concat([events["unit"], events["home_municipality_code"]]).dropna().unique()).union(homes)
    base = pd.PeriodIndex(panel.periods).year == rules["base_year"]
    large = panel.population[:, base].mean(axis=1) >= rules["minimum_population"]
    left_out = panel.units.isin(touched) | panel.units.isin(list(bordering(tuple(touched))))
    return Country("Colombia", panel.Y, panel.population, np.flatnonzero(large & ~left_out), tuple(removed), panel.periods)  # fmt: skip


def _colombian_removals(events: pd.DataFrame, section: Section) -> pd.DataFrame:
    rules = section["treatment"]
    dropped = [event for event, why in rules["colombia_left_out"].items() if why != "guerrilla"]
    kept = events["action"].isin(rules["colombia_action"]) & (events["place_precision"] == "municipality")
    inside = events["date"] >= section["data"]["colombia_start"]
    return events[kept & inside & ~events["event"].isin(dropped)].drop_duplicates("unit")


def _colombian_facts(entry: Mapping[Any, Any], section: Section) -> dict[str, bool]:
    guerrilla = section["treatment"]["colombia_left_out"].get(entry["event"]) == "guerrilla"
    return {"source_read": bool(entry["source_read"]), "approximate": bool(entry["place_approximate"]), "guerrilla": guerrilla}  # fmt: skip


def _removal(entry: Mapping[Any, Any], place: str, rows: Any, months: pd.PeriodIndex, facts: Mapping[str, bool]) -> Removal:  # fmt: skip
    state = str(entry.get("operations_state_code") if len(rows) > 1 else entry["unit"])[:2]
    start = int(months.get_loc(pd.Period(entry["date"], "M")))
    return Removal(str(entry["event"]), str(entry["person"]), str(place), state, str(entry["action"]), np.asarray(rows), start, facts)  # fmt: skip


def chosen(country: Country, change: Change, *, kinds: Sequence[str] = ("captured", "killed")) -> list[Removal]:
    """Return the removals of one specification."""
    kept = [removal for removal in country.removals if removal.action in kinds]
    kept = [removal for removal in kept if not removal.facts["guerrilla"] or change.get("guerrilla")]
    kept = [removal for removal in kept if removal.facts["source_read"] or not change.get("source_read")]
    return [removal for removal in kept if not (removal.facts["approximate"] and change.get("exact_place"))]


# -------------------------------------------------------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class _Changes:
    """Log ratios (n,) of places to the rest, their Poisson variance, and which can be computed at all."""

    log_ratio: Floats
    poisson: Floats
    observed: Floats
    expected: Floats
    usable: np.ndarray[Any, np.dtype[np.bool_]]


def _changes(own: Sequence[Floats], rest: Sequence[Floats], start: int, window: Sequence[int], rules: Section) -> _Changes | None:  # fmt: skip
    """Return the change of places (n, T) from the months before `start` to a window after it, against the rest (n or 1, T)."""
    low, high = start + window[0], start + window[1] + 1
    if start < rules["minimum_months"] or high > own[0].shape[1]:
        return None
    base = slice(max(0, start - rules.get("base_months", start)), start)
    (deaths, people), (others, inhabitants) = own, rest
    after = others[:, low:high].sum(axis=1) / inhabitants[:, low:high].sum(axis=1)
    before = others[:, base].sum(axis=1) / inhabitants[:, base].sum(axis=1)
    known, observed = deaths[:, base].sum(axis=1), deaths[:, low:high].sum(axis=1)
    expected = known / people[:, base].sum(axis=1) * people[:, low:high].sum(axis=1) * after / before
    recent = deaths[:, start - rules["minimum_months"] : start].sum(axis=1)
    return _Changes(
        np.log((observed + 0.5) / (expected + 0.5)),
        1 / (expected + 0.5) + 1 / (known + 0.5),
        observed,
        expected,
        recent >= rules["minimum_deaths"],
    )


def _totals(country: Country, rows: np.ndarray[Any, np.dtype[np.int64]]) -> list[Floats]:
    """Return the deaths and the people (1, T) of some municipalities together."""
    return [table[rows].sum(axis=0, keepdims=True) for table in (country.deaths, country.people)]


def _place(own: Sequence[Floats], rest: Sequence[Floats], start: int, window: Sequence[int], rules: Section) -> _Changes | None:  # fmt: skip
    """Return the change of one place against the rest, or None where it cannot be computed."""
    found = _changes(own, rest, start, window, rules)
    return found if found is not None and found.usable[0] else None


def effects(
    world: Sequence[Country], section: Section, window: str, change: Change | None = None, *, lead: int = 0, kinds: Sequence[str] = ("captured", "killed")
) -> tuple[list[Effect], Floats]:  # fmt: skip
    """Return every removal that one window covers, and the correlation (k, k) of their errors.

    With `lead` the removals are laid that many months earlier.
    """
    change = change or {}
    rules = {**section["treatment"], **change}
    span = section["main"]["windows"][window]
    step = section["main"]["placebo_step"]
    own = {country.name: _other_places(country, chosen(country, change), span, rules) for country in world}
    earlier = earlier_departures(world, change, span, rules, step)
    line = variance_line(np.stack([earlier["square"], earlier["poisson"]]))
    found = []
    for country in world:
        lines, rest = (variance_line(own[country.name]), line), _totals(country, country.controls)
        for removal in chosen(country, change, kinds=kinds):
            at = _place(_totals(country, removal.rows), rest, removal.start - lead, span, rules)
            if at is not None:
                found.append(_effect(country, removal, at, lines, span, lead))
    near = _likeness(earlier, line) if change.get("correlated", True) else (0.0, 0.0)
    return found, _correlation(found, near)


def _effect(country: Country, removal: Removal, at: _Changes, lines: Sequence[tuple[float, float]], span: Sequence[int], lead: int) -> Effect:  # fmt: skip
    poisson = float(at.poisson[0])
    error = float(np.sqrt(max(common + factor * poisson for common, factor in lines)))
    month = country.months[0].ordinal + removal.start - lead
    return Effect(country.name, removal, float(at.log_ratio[0]), error, poisson, float(at.observed[0]), float(at.expected[0]), (month + span[0], month + span[1]))  # fmt: skip


def _other_places(country: Country, removals: Sequence[Removal], span: Sequence[int], rules: Section) -> Floats:
    """Return squared departures of comparison municipalities at the dates of the removals, and their Poisson variance."""
    own = [table[country.controls] for table in (country.deaths, country.people)]
    rest = [table.sum(axis=0) - table for table in own]
    made = [_changes(own, rest, start, span, rules) for start in sorted({removal.start for removal in removals})]
    parts = [np.stack([at.log_ratio**2, at.poisson])[:, at.usable] for at in made if at is not None]
    if not parts:
        raise DesignError(f"No removal in {country.name} has a whole window behind it.")
    return np.concatenate(parts, axis=1)


def earlier_departures(world: Sequence[Country], change: Change, span: Sequence[int], rules: Section, step: int) -> pd.DataFrame:  # fmt: skip
    """Return departures of the treated municipalities at dates whose window ends before their removal."""
    found = []
    for country in world:
        rest = _totals(country, country.controls)
        for removal in chosen(country, change):
            own = _totals(country, removal.rows)
            for start in range(rules["minimum_months"], removal.start - span[1], step):
                at = _place(own, rest, start, span, rules)
                if at is not None:
                    value, poisson = float(at.log_ratio[0]), float(at.poisson[0])
                    found.append({"country": country.name, "state": removal.state, "start": start, "value": value, "square": value**2, "poisson": poisson})  # fmt: skip
    return pd.DataFrame(found)


def _likeness(earlier: pd.DataFrame, line: tuple[float, float]) -> tuple[float, float]:
    """Return the mean product of standardised departures of two treated places at one date: of one state, and of two."""
    z = earlier.assign(z=earlier["value"] / np.sqrt(line[0] + line[1] * earlier["poisson"]))
    pairs = z.reset_index().merge(z.reset_index(), on=["country", "start"], suffixes=("", "_other"))
    pairs = pairs[pairs["index"] < pairs["index_other"]]
    product, same = pairs["z"] * pairs["z_other"], pairs["state"] == pairs["state_other"]
    within, between = (float(np.clip(product[rows].mean(), 0.0, 0.9)) if rows.any() else 0.0 for rows in (same, ~same))
    # Places of one state are at least as alike as places of one country; otherwise the matrix would not be a correlation.
    return max(within, between), between


def _correlation(found: Sequence[Effect], near: tuple[float, float]) -> Floats:
    matrix = np.eye(len(found))
    for i, one in enumerate(found):
        for j, other in enumerate(found[:i]):
            if one.country == other.country:
                length = one.span[1] - one.span[0] + 1
                shared = max(0, length - abs(one.span[0] - other.span[0])) / length
                matrix[i, j] = matrix[j, i] = shared * near[one.removal.state != other.removal.state]
    return matrix


def as_estimates(found: Sequence[Effect], correlation: Floats) -> dict[str, Estimate]:
    """Return the effects as estimates whose influence functions carry their correlation."""
    # The rows of a root of the correlation have its entries as inner products.
    root = np.linalg.cholesky(correlation + 1e-9 * np.eye(len(found)))
    shocks = pd.Index([f"shock {k}" for k in range(len(found))])
    named = {}
    for one, row in zip(found, root, strict=True):
        psi = pd.DataFrame({"att": one.std_error * row / np.linalg.norm(row)}, index=shocks)
        named[f"{one.country}: {one.removal.event} {one.removal.place}"] = Estimate(
            estimand="log ratio of homicides after the removal of a leader",
            value=one.log_ratio,
            std_error=one.std_error,
            method="ratio of changes",
            citation="",
            scale="log",
            psi=psi,
        )
    return named


# ------------------------------------------------------------------------------------------------------------- numbers


def pooled(found: Sequence[Effect], correlation: Floats, section: Section, seed: int, tau_scale: float | None = None) -> Estimate:  # fmt: skip
    """Return the hierarchical synthesis of some effects."""
    scale = section["synthesis"]["tau_scale"] if tau_scale is None else tau_scale
    return hierarchical_synthesis(as_estimates(found, correlation), tau_scale=scale, seed=seed)


def posterior_row(label: str, fit: Estimate, column: str = "att", *, group: str = "main") -> Row:
    """Return the posterior of the mean, or of the next removal, as a row of effects."""
    assert fit.draws is not None
    draws = fit.draws[column]
    low, middle, high = np.exp(np.quantile(draws, [0.025, 0.5, 0.975])).tolist()
    below = float((draws < 0).mean())
    how = "posterior" if column == "att" else "prediction interval"
    # The effect of one more removal is no test, and has no power.
    found = float(np.exp(POWER_REACH * draws.std())) if column == "att" else None
    spread = float(fit.draws["tau"].median())
    return effect(label, middle, low, high, detectable=found, group=group, how=how, p_value=2 * min(below, 1 - below), below=below, tau=spread, removals=fit.n_units)  # fmt: skip


def effect_numbers(run: Run) -> Numbers:
    """Return the mean, the next removal, the same before, and every specification, for both windows."""
    section, world = run.section, countries(run.section, smoke=run.smoke)
    made: dict[str, Row] = {}
    counts = {}
    for window, prefix in WINDOWS.items():
        words = _WORDS[window]
        found, correlation = effects(world, section, window)
        fit = pooled(found, correlation, section, run.seed)
        made[_MEAN[window]] = posterior_row(f"Mean over removals, {words}", fit)
        made[f"{prefix}prediction"] = posterior_row(f"One more removal, {words}", fit, "prediction")
        lead = -section["main"]["earlier"][window][0] + section["main"]["windows"][window][0]
        made[f"{prefix}earlier"] = attempt(f"The same removals laid {lead} months earlier, {words}", lambda window=window, lead=lead: posterior_row("", pooled(*effects(world, section, window, lead=lead), section, run.seed)), group="placebo")  # fmt: skip
        reml = synthesise(as_estimates(found, correlation))
        made[f"{prefix}reml"] = from_estimate(f"Mean, restricted likelihood, {words}", reml, group="specification", how="Hartung-Knapp", p_value=reml.p_value())  # fmt: skip
        made[f"{prefix}reml_prediction"] = from_estimate(f"One more removal, restricted likelihood, {words}", reml.companions["prediction"], group="specification", how="prediction interval") | {"detectable": None}  # fmt: skip
        counts[f"{prefix}removals"] = len(found)
    for entry in section["specification"]:
        made |= _specification(run, entry, world)
    return {"rows": made, "order": list(made)} | counts


_MEAN = {"m0_5": "main", "m6_35": "long"}
_WORDS = {"m0_5": "months 0 to 5", "m6_35": "months 6 to 35", "m1_5": "months 1 to 5"}


def _specification(run: Run, change: Change, world: Sequence[Country]) -> dict[str, Row]:
    """Return the rows of one specification: the mean in both windows and, for another base, the next removal too."""
    section, made = run.section, {}
    if "minimum_population" in change:
        world = countries(section, change, smoke=run.smoke)
    windows = {change["window"]: ""} if "window" in change else WINDOWS
    for window, prefix in windows.items():
        label = change["label"] if "window" in change else f"{change['label']}, {_WORDS[window]}"

        def fit(window: str = window) -> Estimate:
            found, correlation = effects(world, section, window, change)
            return pooled(found, correlation, section, run.seed, change.get("tau_scale"))

        made[f"{prefix}{change['name']}"] = attempt(label, lambda fit=fit: posterior_row("", fit()))
        if "base_months" in change:
            made[f"{prefix}{change['name']}_prediction"] = attempt(f"One more removal. {label}", lambda fit=fit: posterior_row("", fit(), "prediction"))  # fmt: skip
    return made


def moderator_numbers(run: Run) -> Numbers:
    """Return what country and kind of removal change, and the mean in each group."""
    section, world = run.section, countries(run.section, smoke=run.smoke)
    made: dict[str, Row] = {}
    for window, name in {"m0_5": "short", "m6_35": "long"}.items():
        made |= _groups(run, world, window, name)
        found, correlation = effects(world, section, window)
        where = [one.country for one in found]
        made[f"country_{name}"] = attempt(f"Mexico against Colombia, {_WORDS[window]}", lambda found=found, correlation=correlation, where=where: _moderated(found, correlation, {"country": where}, "country_Mexico"))  # fmt: skip
        kinds = ("captured", "killed", "extradited")
        found, correlation = effects(world, section, window, kinds=kinds)
        what = [one.removal.action for one in found]
        for kind in kinds[1:]:
            made[f"{kind}_{name}"] = attempt(f"{kind.capitalize()} against captured, {_WORDS[window]}", lambda found=found, correlation=correlation, what=what, kind=kind: _moderated(found, correlation, {"action": what}, f"action_{kind}"))  # fmt: skip
    return {"rows": made, "order": list(made)}


def _moderated(found: Sequence[Effect], correlation: Floats, moderators: Mapping[str, Sequence[str]], term: str) -> Row:
    fit = synthesise(as_estimates(found, correlation), moderators=moderators)
    assert fit.path is not None
    if term not in fit.path.index:
        raise DesignError(f"No removal of the kind {term!r} can be measured.")
    where = path_term(str(fit.path.index.name), term)
    return from_estimate("", fit, term=where, how="Hartung-Knapp") | {"p_value": fit.p_value(where)}


def _groups(run: Run, world: Sequence[Country], window: str, name: str) -> dict[str, Row]:
    """Return the mean over the removals of each country and of each kind."""
    section = run.section
    every, correlation = effects(world, section, window, kinds=("captured", "killed", "extradited"))
    tests = {
        "mexico": [one.country == "Mexico" and one.removal.action != "extradited" for one in every],
        "colombia": [one.country == "Colombia" and one.removal.action != "extradited" for one in every],
    } | {f"only_{kind}": [one.removal.action == kind for one in every] for kind in ("captured", "killed", "extradited")}
    labels = {"mexico": "Mexico alone", "colombia": "Colombia alone", "only_captured": "Captured", "only_killed": "Killed", "only_extradited": "Extradited, home of the organisation"}  # fmt: skip
    made = {}
    for key, test in tests.items():
        kept = np.flatnonzero(test)
        part = [every[k] for k in kept]
        label = f"{labels[key]}, {_WORDS[window]}"
        made[f"{key}_{name}"] = attempt(label, lambda part=part, kept=kept: posterior_row("", pooled(part, correlation[np.ix_(kept, kept)], section, run.seed)), group="outcome")  # fmt: skip
    return made


def next_numbers(run: Run) -> Numbers:
    """Return how well the others predicted each removal, and one country the other."""
    section, world = run.section, countries(run.section, smoke=run.smoke)
    made = {}
    for window, name in {"m0_5": "short", "m6_35": "long"}.items():
        found, correlation = effects(world, section, window)
        everyone = np.arange(len(found))
        inside = [_inside(found, correlation, np.delete(everyone, k), [k], section, run.seed)[0] for k in everyone]
        across = {}
        for country in ("Mexico", "Colombia"):
            there = np.array([one.country == country for one in found])
            if there.sum() >= 2 and (~there).sum() >= 1:
                hits = _inside(found, correlation, everyone[there], everyone[~there].tolist(), section, run.seed)
                across[f"from_{country.lower()}"] = {"inside": int(sum(hits)), "of": len(hits)}
        made[name] = {"inside": int(sum(inside)), "of": len(inside), **across}
    return made


def _inside(found: Sequence[Effect], correlation: Floats, known: Any, left: Sequence[int], section: Section, seed: int) -> list[bool]:  # fmt: skip
    """Return whether each removal left out lies in the 95% interval that the others predict for it, its own error included."""
    fit = pooled([found[k] for k in known], correlation[np.ix_(known, known)], section, seed)
    assert fit.draws is not None
    next_one = fit.draws["prediction"].to_numpy()
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(len(next_one))
    ends = [np.quantile(next_one + found[k].std_error * noise, [0.025, 0.975]) for k in left]
    return [bool(low <= found[k].log_ratio <= high) for k, (low, high) in zip(left, ends, strict=True)]


def removal_numbers(run: Run) -> Numbers:
    """Return every removal with its effects, who could not be measured, and how errors were calibrated."""
    section, world = run.section, countries(run.section, smoke=run.smoke)
    kinds = ("captured", "killed", "extradited")
    listed: dict[tuple[str, str, str], Row] = {}
    for country in world:
        for removal in chosen(country, {}, kinds=kinds):
            listed[country.name, removal.event, removal.place] = {"country": country.name, "person": removal.person, "place": removal.place, "month": str(country.months[removal.start]), "action": removal.action}  # fmt: skip
    for window, name in {"m0_5": "short", "m6_35": "long"}.items():
        found, _ = effects(world, section, window, kinds=kinds)
        for one in found:
            ends = {"log": one.log_ratio, "se": one.std_error, "se_counts": float(np.sqrt(one.poisson)), "observed": one.observed, "expected": one.expected}  # fmt: skip
            listed[one.country, one.removal.event, one.removal.place][name] = ends
    flow = [_flow(country, list(listed.values())) for country in world]
    return {"listed": list(listed.values()), "flow": flow, "correlation": {name: _alike(world, section, window) for window, name in {"m0_5": "short", "m6_35": "long"}.items()}}  # fmt: skip


def _flow(country: Country, listed: Sequence[Row]) -> Row:
    mine = [row for row in listed if row["country"] == country.name and row["action"] != "extradited"]
    left = sorted(f"{row['person']} ({row['place']})" for row in mine if "short" not in row)
    measured = {name: sum(name in row for row in mine) for name in ("short", "long")}
    away = sum(row["action"] == "extradited" and "short" in row for row in listed if row["country"] == country.name)
    return {"country": country.name, "removals": len(mine), **measured, "extradited": away, "comparison": len(country.controls), "not_measured": left}  # fmt: skip


def _alike(world: Sequence[Country], section: Section, window: str) -> Row:
    rules, span = section["treatment"], section["main"]["windows"][window]
    earlier = earlier_departures(world, {}, span, rules, section["main"]["placebo_step"])
    line = variance_line(np.stack([earlier["square"], earlier["poisson"]]))
    within, between = _likeness(earlier, line)
    lines = {country.name: variance_line(_other_places(country, chosen(country, {}), span, rules)) for country in world}
    shown = {name.lower(): {"common": common, "factor": factor} for name, (common, factor) in {"treated_before": line, **lines}.items()}  # fmt: skip
    return {"same_state": within, "same_country": between, "earlier_dates": len(earlier), **shown}


NUMBERS = {
    "removals": removal_numbers,
    "effects": effect_numbers,
    "moderators": moderator_numbers,
    "next": next_numbers,
}
