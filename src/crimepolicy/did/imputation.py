"""Imputation: fit unit and period effects on untreated cells, impute the treated ones, average the differences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.did.fixed_effects import Cells, EffectsFit, Family, fit_effects, regress_cells
from crimepolicy.did.imputed import (
    Average,
    Centre,
    Effects,
    Sums,
    Targets,
    Weighting,
    effect_groups,
    missing_cells,
    model_inputs,
    sum_cells,
    target_cells,
    usable_cells,
    with_noise,
)
from crimepolicy.did.spells import Spells, find_spells
from crimepolicy.errors import DesignError, choose, of_kind, offenders
from crimepolicy.estimate import HEADLINE, Check, Estimate, panel_facts, path_term
from crimepolicy.inference.companions import LazyCompanions, refit_companion
from crimepolicy.panel import Panel

__all__ = ["imputation"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Variance = Literal["analytic", "none"]
Kind = Literal["simple", "event", "group", "calendar"]
Window = tuple[int, int]

_CITATION = "Borusyak, Jaravel and Spiess (2024), Review of Economic Studies 91(6), 3253-3285"
_PER = 100_000


def imputation(
    panel: Panel,
    *,
    family: Family = "gaussian",
    effects: Effects = "unit+period",
    covariates: Sequence[str] = (),
    unit_trends: bool = False,
    horizon: Window | None = None,
    windows: Mapping[str, Window] | None = None,
    pretrends: int = 0,
    anticipation: int = 0,
    carryover: int = 0,
    average: Average | None = None,
    leave_out: bool | None = None,
    centre: Centre | None = None,
    weights: Weighting = "panel",
    variance: Variance = "analytic",
) -> Estimate:
    """Estimate the average effect on the treated by imputing what untreated outcomes would have been.

    The estimand is the (weighted) mean over treated cells of observed less untreated outcome; for counts, the log of the ratio of
    the events observed in the treated cells to the events that were to be expected there.

    Parameters
    ----------
    panel : Panel
        Treatment may switch off. For ``family="poisson"`` the outcome is a count and `panel.population` its exposure.
    family : {"gaussian", "poisson"}
        Additive effects by least squares, or multiplicative effects by Poisson likelihood.
    effects : {"unit+period", "unit+region:period"}
        Effects of the untreated outcome; the second needs `panel.region`.
    covariates : sequence of str
        Names in `panel.X`, whose coefficients are fitted on the untreated cells.
    unit_trends : bool
        A linear trend per unit (gaussian only).
    horizon : (int, int), optional
        First and last event time (0 is the first treated period); treated cells beyond are set aside.
    windows : mapping of str to (int, int), optional
        Named ranges of event time, which then make up the path in place of single event times.
    pretrends : int
        Number of leads, estimated beside the effects on the untreated cells; earlier periods are the reference.
    anticipation : int
        Periods before each onset that are not used as untreated; their own effects stand in the path.
    carryover : int
        Periods after the end of treatment that are set aside.
    average : {"cohort", "event_time", "all"}, optional
        Treated cells around whose mean effect the treated residuals are taken: of one onset and event time, of one event time, or
        all. Default: ``"cohort"`` for gaussian (the published choice), ``"event_time"`` for poisson.
    leave_out : bool, optional
        Take those means without the unit's own cluster. Default: False for gaussian (the published choice), True for poisson.
    centre : {"cluster", "cell", "plain"}, optional
        How cells weigh in those means: clusters, or cells, by the square of their weight, or cells by their weight. Default:
        ``"cluster"`` for gaussian (the published choice), ``"plain"`` for poisson.
    weights : {"panel", "equal"}
        Use `panel.weights` (where given) in fit and averages, or not.
    variance : {"analytic", "none"}
        ``"none"`` skips influence functions, companions and re-aggregation, for fast refits.

    Returns
    -------
    Estimate
        With a path by event time. Poisson: on the log scale, with companions ``"excess"`` (events) and ``"rate_difference"``
        (events per 100,000 of exposure and period). ``aggregate("event", window=(0, 5))`` averages over a window.

    Raises
    ------
    DesignError
        Where nobody is treated, no treated cell is identified, or an option is unknown.
    EstimationError
        Where covariates are collinear or Poisson effects have no finite maximum.

    Assumptions
    -----------
    Untreated outcomes (poisson: their log means) are a sum of unit and period effects (and covariates); no anticipation beyond
    `anticipation`; where treatment ends, no effect remains after `carryover` periods.

    References
    ----------
    Borusyak, Jaravel and Spiess (2024), "Revisiting event-study designs: robust and efficient estimation", REStud 91(6).
    Wooldridge (2023), "Simple approaches to nonlinear difference-in-differences with panel data", Econometrics Journal 26(3).

    Examples
    --------
    >>> rows = pd.DataFrame(
    ...     {"unit": [1, 1, 1, 2, 2, 2, 3, 3, 3], "time": [1, 2, 3] * 3, "y": [1.0, 2, 9, 2, 3, 4, 0, 1, 2.5]}
    ... )
    >>> panel = Panel.from_frame(
    ...     rows.assign(d=rows.y.eq(9).astype(int)), unit="unit", time="time", outcome="y", treated="d"
    ... )
    >>> round(imputation(panel).value, 6)
    5.75
    """
    of_kind("panel", panel, Panel)
    options = {name: value for name, value in locals().items() if name != "panel"}
    _validate(panel, options)
    # With one onset per place, cohort means would hide all noise of counts: docs/decisions/230.
    options["average"] = options["average"] or ("cohort" if family == "gaussian" else "event_time")
    options["leave_out"] = family == "poisson" if leave_out is None else leave_out
    options["centre"] = centre or ("cluster" if family == "gaussian" else "plain")
    state = _prepare(panel, _Options(**options))
    path = _path_terms(state, "window" if windows else "event_time")
    again = partial(imputation, **options)
    estimate = _estimate(state, _headline(state, None), path, "window" if windows else "event_time", again)
    return estimate.replace(fit=again, aggregator=partial(_aggregate, state) if variance != "none" else None)


# -------------------------------------------------------------------- state


@dataclass(frozen=True, slots=True)
class _Options:
    family: Family
    effects: Effects
    covariates: Sequence[str]
    unit_trends: bool
    horizon: Window | None
    windows: Mapping[str, Window] | None
    pretrends: int
    anticipation: int
    carryover: int
    average: Average
    leave_out: bool
    centre: Centre
    weights: Weighting
    variance: Variance


@dataclass(frozen=True, slots=True)
class _Leads:
    event_time: Ints
    estimate: Floats
    influence: Floats
    n_cells: Ints


@dataclass(frozen=True, slots=True)
class _State:
    panel: Panel
    options: _Options
    fit: EffectsFit
    targets: Targets
    leads: _Leads | None
    checks: tuple[Check, ...]


def _validate(panel: Panel, options: Mapping[str, Any]) -> None:
    choose("family", options["family"], Family)
    choose("effects", options["effects"], Effects)
    choose("weights", options["weights"], Weighting)
    choose("variance", options["variance"], Variance)
    if options["average"] is not None:
        choose("average", options["average"], Average)
    if options["centre"] is not None:
        choose("centre", options["centre"], Centre)
    for name in ("pretrends", "anticipation", "carryover"):
        if options[name] < 0 or options[name] != int(options[name]):
            raise DesignError(f"{name}={options[name]!r} should be a number of periods, 0 or more.")
    for label, window in {"horizon": options["horizon"], **(options["windows"] or {})}.items():
        if window is not None and window[1] < window[0]:
            raise DesignError(f"The window {label} {tuple(window)} ends before it starts.")
    if not panel.D.any():
        raise DesignError(
            "Nobody is treated in this panel. Lay a treatment on it with treated=, first_treated= or panel.treat(...)."
        )


def _prepare(panel: Panel, options: _Options) -> _State:
    model = model_inputs(
        panel, options.family, options.effects, options.covariates, options.unit_trends, options.weights
    )
    spells = find_spells(panel.D)
    usable = usable_cells(panel, options.family, options.covariates, options.weights)
    sample, target = _classify(panel, spells, usable, options)
    fit = _fit(panel, sample, options, model)
    targets, lost = target_cells(panel, fit, sample, target, spells, options.weights)
    if options.variance == "analytic":
        targets = with_noise(
            targets, panel.cluster_codes, options.family, options.average, options.leave_out, centre=options.centre
        )
    leads = _fit_leads(panel, sample, spells, options, model, fit) if options.pretrends else None
    checks = _checks(panel, spells, usable, fit, targets, lost, leads, options)
    return _State(panel, options, fit, targets, leads, checks)


def _classify(panel: Panel, spells: Spells, usable: Bools, options: _Options) -> tuple[Bools, Bools]:
    """Return the untreated cells to fit on and the cells to impute."""
    early = ~panel.D & (spells.event_time >= -options.anticipation)
    late = ~panel.D & (spells.since_end <= options.carryover)
    wanted = panel.D | early
    if options.horizon is not None:
        wanted = wanted & (spells.event_time >= options.horizon[0]) & (spells.event_time <= options.horizon[1])
    return usable & ~panel.D & ~early & ~late, usable & wanted & ~late


def _fit(panel: Panel, sample: Bools, options: _Options, model: Mapping[str, Any]) -> EffectsFit:
    # A unit with counts in every period links them all, so that identification needs no factorised system.
    whole = sample.all(axis=1)
    linked = options.effects == "unit+period" and bool((panel.Y[whole].sum(axis=1) > 0).any())
    return fit_effects(panel.Y, sample, factorise=options.variance == "analytic" or not linked, **model)


# -------------------------------------------------------------------- leads


def _fit_leads(
    panel: Panel, sample: Bools, spells: Spells, options: _Options, model: Mapping[str, Any], fit: EffectsFit
) -> _Leads:
    last = -options.anticipation - 1
    first = last - options.pretrends + 1
    unit, period = np.nonzero(sample & (spells.event_time >= first) & (spells.event_time <= last))
    term = (spells.event_time[unit, period] - first).astype(np.intp)
    cells = Cells(unit, period, term, np.ones(len(unit)), options.pretrends)
    found = regress_cells(panel.Y, sample, cells, start=fit, **model)
    return _Leads(
        np.arange(first, last + 1), found.coefficients, found.influence, np.bincount(term, minlength=options.pretrends)
    )


# -------------------------------------------------------------------- terms


Terms = list[tuple[Any, Ints]]


def _headline(state: _State, window: Window | None) -> Terms:
    time = state.targets.event_time
    inside = np.flatnonzero(~(time < 0) if window is None else (time >= window[0]) & (time <= window[1]))
    if not inside.size:
        raise DesignError(f"No treated cell with an imputed outcome has an event time in {window}.")
    return [(HEADLINE, inside)]


def _path_terms(state: _State, kind: str) -> Terms:
    targets = state.targets
    if kind == "window":
        windows = state.options.windows or {}
        return [(label, _headline(state, (low, high))[0][1]) for label, (low, high) in windows.items()]
    if kind == "event_time":
        return _by_value(targets.event_time, ~np.isnan(targets.event_time))
    position = targets.cohort if kind == "group" else targets.period
    parts = _by_value(position, ~(targets.event_time < 0) & (position >= 0))
    return [(str(state.panel.periods[p]), cells) for p, cells in parts]


def _by_value(values: Floats | Ints, kept: Bools) -> Terms:
    """Return each value of the kept cells with the positions of its cells."""
    cells = np.flatnonzero(kept)
    codes = values[cells].astype(np.int32)
    order = np.argsort(codes, kind="stable")
    cells, codes = cells[order], codes[order]
    starts = np.flatnonzero(np.diff(codes, prepend=codes[:1] - 1))
    return [(int(codes[start]), part) for start, part in zip(starts, np.split(cells, starts[1:]), strict=True)]


# -------------------------------------------------------------------- packing


Refit = Callable[[Panel], Estimate]


def _estimate(state: _State, headline: Terms, path: Terms, kind: str, again: Refit) -> Estimate:
    terms = [cells for _, cells in headline + path]
    sums = sum_cells(state.fit, state.targets, terms, variance=state.options.variance == "analytic")
    labels = [label for label, _ in path]
    value, psi = sums.contrast(state.options.family)
    if state.options.family == "gaussian":
        words = f"average effect of treatment on {state.panel.outcome} of the treated"
        return _pack(state, sums, labels, kind, value, psi, "level", words)
    words = f"effect of treatment on {state.panel.outcome} of the treated, observed to expected"
    estimate = _pack(state, sums, labels, kind, value, psi, "log", words)
    light = state.options.variance == "none"
    return estimate if light else estimate.replace(companions=_companions(state, sums, labels, kind, again))


def _companions(state: _State, sums: Sums, labels: list[Any], kind: str, again: Refit) -> LazyCompanions:
    names = ["excess"] if state.panel.population is None else ["excess", "rate_difference"]
    return LazyCompanions({name: partial(_companion, name, state, sums, labels, kind, again) for name in names})


def _companion(name: str, state: _State, sums: Sums, labels: list[Any], kind: str, again: Refit) -> Estimate:
    value, psi = sums.observed - sums.imputed, sums.noise - sums.drift
    words = f"{state.panel.outcome} added (or, if negative, averted) in the treated cells"
    if name == "rate_difference":
        value, psi = _PER * value / sums.exposure, _PER * psi / sums.exposure
        words = f"effect of treatment on {state.panel.outcome} per {_PER:,} and period of the treated"
    found = _pack(state, sums, labels, kind, value, psi, "level", words, leads=False)
    return found.replace(fit=refit_companion(again, name))


def _pack(
    state: _State,
    sums: Sums,
    labels: list[Any],
    kind: str,
    value: Floats,
    psi: Floats,
    scale: Literal["level", "log"],
    estimand: str,
    *,
    leads: bool = True,
) -> Estimate:
    counts: dict[str, Any] = {"std_error": np.nan, "n_cells": sums.n_cells[1:]}
    if state.options.family == "poisson":
        counts |= {"observed": sums.observed[1:], "expected": sums.imputed[1:]}
    path = pd.DataFrame({"estimate": value[1:], **counts}, index=_index(tuple(labels), kind))
    psi, path = _with_leads(state, psi, path) if leads and kind == "event_time" else (psi, path)
    shared: dict[str, Any] = {
        "estimand": estimand,
        "method": f"imputation ({state.options.family})",
        "citation": _CITATION,
        "options": {name: getattr(state.options, name) for name in state.options.__dataclass_fields__},
        "scale": scale,
        "checks": state.checks,
        "path": path if len(path) else None,
    }
    if state.options.variance == "none":
        return Estimate(
            value=float(value[0]), std_error=float("nan"), panel=state.panel, **panel_facts(state.panel), **shared
        )
    columns = (HEADLINE, *(path_term(kind, label) for label in path.index))
    return Estimate.from_psi(
        value=value[0],
        psi=pd.DataFrame(psi, index=state.panel.units, columns=_index(columns)),
        panel=state.panel,
        correction=_correction(state.options),
        **shared,
    )


def _index(labels: tuple[Any, ...], name: str | None = None) -> "pd.Index[Any]":
    # Renamed, hence an object of its own: who names the index of one estimate does not name those of others.
    return _labels(labels).rename(name)


@lru_cache(maxsize=64)
def _labels(labels: tuple[Any, ...]) -> "pd.Index[Any]":
    # Refits have the same labels thousands of times, and making an index costs as much as solving for the effects.
    made: pd.Index[Any] = pd.Index(labels)
    return made


def _with_leads(state: _State, psi: Floats, path: pd.DataFrame) -> tuple[Floats, pd.DataFrame]:
    if state.leads is None:
        return psi, path
    found = state.leads
    index = _index((*found.event_time.tolist(), *path.index), "event_time")
    before: dict[str, Any] = {"estimate": found.estimate, "n_cells": found.n_cells}
    nothing = np.full(len(found.event_time), np.nan)
    columns = {name: np.concatenate([before.get(str(name), nothing), path[name].to_numpy()]) for name in path}
    if state.options.variance != "none":
        psi = np.hstack([psi[:, :1], found.influence, psi[:, 1:]])
    return psi, pd.DataFrame(columns, index=index)


def _correction(options: _Options) -> str:
    left_out = ", leave-one-out" if options.leave_out else ""
    return f"CR0, treated residuals around {options.average} means{left_out}"


def _aggregate(state: _State, estimate: Estimate, kind: Kind, *, window: Window | None = None) -> Estimate:
    """Return the cells averaged anew; `window` limits the headline to a range of event times."""
    names = {"event": "event_time", "group": "group", "calendar": "calendar"}
    if window is not None and kind != "event":
        raise DesignError(f"window= goes with aggregate('event'), not with {kind!r}.")
    path = [] if kind == "simple" else _path_terms(state, names[kind])
    again = partial(_aggregated_again, options=dict(estimate.options), kind=kind, window=window)
    found = _estimate(state, _headline(state, window), path, names.get(kind, "event_time"), again)
    if kind == "simple":
        found = found.replace(path=None)
    within = "" if window is None else f", event times {window[0]} to {window[1]}"
    return found.replace(estimand=found.estimand + within, aggregator=estimate.aggregator)


def _aggregated_again(panel: Panel, options: Mapping[str, Any], kind: Kind, window: Window | None) -> Estimate:
    return imputation(panel, **options).aggregate(kind, **({} if window is None else {"window": window}))


# -------------------------------------------------------------------- checks


def _checks(
    panel: Panel,
    spells: Spells,
    usable: Bools,
    fit: EffectsFit,
    targets: Targets,
    lost: Ints,
    leads: _Leads | None,
    options: _Options,
) -> tuple[Check, ...]:
    found = [
        _lost_cells(panel, lost),
        missing_cells(usable),
        _ending(panel, options),
        _unknown_start(panel, spells),
        _thin_groups(panel, targets, options),
    ]
    if options.family == "poisson":
        found += [_exposure(panel), _zero_units(panel, fit, targets), _zero_periods(panel, fit, targets)]
        found.append(_no_ratio(targets))
    if leads is not None and np.isnan(leads.estimate).any():
        gone = leads.event_time[np.isnan(leads.estimate)]
        text = f"Leads {offenders(gone.tolist())} are not identified (no cell, or no count in their cells) and are left out."
        found.append(Check("leads_not_identified", None, len(gone), text))
    return tuple(check for check in found if check is not None)


def _lost_cells(panel: Panel, lost: Ints) -> Check | None:
    if not len(lost):
        return None
    units = panel.units[np.unique(lost[:, 0])]
    text = (
        f"{len(lost)} treated cells are left out, because their unit has no untreated cell or their period no untreated unit to learn from; "
        f"units {offenders(units)}."
    )
    return Check("unidentified_cells", None, len(lost), text)


def _ending(panel: Panel, options: _Options) -> Check | None:
    if panel.absorbing:
        return None
    units = panel.units[(panel.D[:, :-1] & ~panel.D[:, 1:]).any(axis=1)]
    aside = (
        f"the first {options.carryover} after each end are set aside"
        if options.carryover
        else "all of them are used as untreated"
    )
    text = f"Treatment ends in {offenders(units)}. Of the periods after it, {aside}; effects that last longer bias the estimate."
    return Check("treatment_ends", None, len(units), text)


def _unknown_start(panel: Panel, spells: Spells) -> Check | None:
    early = panel.D & (spells.onset < 0)
    if not early.any():
        return None
    units = panel.units[early.any(axis=1)]
    text = f"Units {offenders(units)} are treated in the first period, so that their event time is unknown: their {int(early.sum())} cells stand in no event time."
    return Check("unknown_start", None, len(units), text)


def _thin_groups(panel: Panel, targets: Targets, options: _Options) -> Check | None:
    """Say where a treated cell is the only one of its group, so that its own noise cannot be seen."""
    if options.variance == "none":
        return None
    level = options.average
    group, cluster = effect_groups(targets, level), panel.cluster_codes[targets.unit]
    first = np.zeros(group.max() + 1, dtype=np.intp)
    first[group] = cluster
    others = np.bincount(group, cluster != first[group])
    share = float((others[group] == 0).mean())
    if not share:
        return None
    if options.leave_out:
        return Check(
            "single_cluster_groups",
            None,
            share,
            f"{share:.0%} of treated cells are alone in their {level} group and are compared with coarser groups.",
        )
    text = (
        f"{share:.0%} of treated cells are the only cluster of their {level} group, so that the standard error ignores their own noise and is "
        "too small. Use a coarser average= ('event_time' or 'all') or leave_out=True."
    )
    return Check("single_cluster_groups", False, share, text)


def _exposure(panel: Panel) -> Check | None:
    if panel.population is not None:
        return None
    return Check(
        "no_exposure",
        None,
        None,
        "The panel has no population, so that the unit effects stand for it; it is taken as constant over time.",
    )


def _no_ratio(targets: Targets) -> Check | None:
    after = ~(targets.event_time < 0)
    observed, expected = float(targets.observed[after].sum()), float(targets.imputed[after].sum())
    if observed > 0 and expected > 0:
        return None
    text = (
        f"{observed:g} events are observed in the treated cells and {expected:.4g} are expected, so that no log ratio exists. "
        "excess() gives the difference."
    )
    return Check("no_ratio", False, observed, text)


def _zero_units(panel: Panel, fit: EffectsFit, targets: Targets) -> Check | None:
    here = np.unique(targets.unit[fit.zero_units[targets.unit]])
    if not len(here):
        return None
    events = float(targets.observed[fit.zero_units[targets.unit]].sum())
    text = (
        f"{len(here)} treated units have no event in any untreated cell: {offenders(panel.units[here])}. Zero is expected of them, their "
        f"{events:g} observed events count; a ratio of their own does not exist."
    )
    return Check("zero_untreated_counts", None, len(here), text)


def _zero_periods(panel: Panel, fit: EffectsFit, targets: Targets) -> Check | None:
    zero = fit.zero_periods[targets.unit, targets.period] & ~fit.zero_units[targets.unit]
    if not zero.any():
        return None
    text = f"{int(zero.sum())} treated cells lie in periods in which no untreated cell (of their region) has an event; zero is expected there."
    return Check("zero_period_counts", None, int(zero.sum()), text)
