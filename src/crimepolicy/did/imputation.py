"""Imputation: fit unit and period effects on untreated cells, impute the treated ones, average the differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from crimepolicy.did.fixed_effects import Cells, EffectsFit, Family, estimable, fit_effects, influence, regress_cells
from crimepolicy.did.spells import Spells, find_spells
from crimepolicy.errors import DesignError, choose, offenders, suggest
from crimepolicy.estimate import HEADLINE, Check, Estimate, panel_facts, path_term
from crimepolicy.panel import Panel

__all__ = ["imputation"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Effects = Literal["unit+period", "unit+region:period"]
Average = Literal["cohort", "event_time", "all"]
Weighting = Literal["panel", "equal"]
Variance = Literal["analytic", "none"]
Kind = Literal["simple", "event", "group", "calendar"]
Window = tuple[int, int]

_CITATION = "Borusyak, Jaravel and Spiess (2024), Review of Economic Studies 91(6), 3253-3285"
_COARSER: dict[str, tuple[Average, ...]] = {
    "cohort": ("cohort", "event_time", "all"),
    "event_time": ("event_time", "all"),
    "all": ("all",),
}
_PER = 100_000
# Stands for an unknown event time; any value below the length of a panel would do.
_UNKNOWN = -1_000_000
# Keeps two integer labels apart in one.
_APART = 1 << 32


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
    options = {name: value for name, value in locals().items() if name != "panel"}
    _validate(panel, options)
    # With one onset per place, cohort means would hide all noise of counts: docs/decisions/230.
    options["average"] = options["average"] or ("cohort" if family == "gaussian" else "event_time")
    options["leave_out"] = family == "poisson" if leave_out is None else leave_out
    state = _prepare(panel, _Options(**options))
    path = _path_terms(state, "window" if windows else "event_time")
    estimate = _estimate(state, _headline(state, None), path, "window" if windows else "event_time")
    return estimate.replace(
        fit=partial(imputation, **options), aggregator=partial(_aggregate, state) if variance != "none" else None
    )


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
    weights: Weighting
    variance: Variance


@dataclass(frozen=True, slots=True)
class _Targets:
    """The m treated cells with an imputed outcome: positions, clock, weighted observed and imputed outcomes, weight, exposure, noise."""

    unit: Ints
    period: Ints
    event_time: Floats
    cohort: Ints
    observed: Floats
    imputed: Floats
    weight: Floats
    exposure: Floats
    noise: Floats


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
    targets: _Targets
    leads: _Leads | None
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class _Sums:
    """Totals (K,) over the cells of K terms, and the influence (N, K) of each unit on the observed and the imputed total."""

    observed: Floats
    imputed: Floats
    weight: Floats
    exposure: Floats
    n_cells: Ints
    noise: Floats
    drift: Floats


def _validate(panel: Panel, options: Mapping[str, Any]) -> None:
    choose("family", options["family"], Family)
    choose("effects", options["effects"], Effects)
    choose("weights", options["weights"], Weighting)
    choose("variance", options["variance"], Variance)
    if options["average"] is not None:
        choose("average", options["average"], Average)
    for name in ("pretrends", "anticipation", "carryover"):
        if options[name] < 0 or options[name] != int(options[name]):
            raise DesignError(f"{name}={options[name]!r} should be a number of periods, 0 or more.")
    for label, window in {"horizon": options["horizon"], **(options["windows"] or {})}.items():
        if window is not None and window[1] < window[0]:
            raise DesignError(f"The window {label} {tuple(window)} ends before it starts.")
    _validate_design(panel, options)


def _validate_design(panel: Panel, options: Mapping[str, Any]) -> None:
    unknown = [name for name in options["covariates"] if name not in panel.X]
    if unknown:
        raise DesignError(f"Covariate {unknown[0]!r} is not in the panel.{suggest(unknown[0], list(panel.X))}")
    if options["effects"] == "unit+region:period" and panel.region is None:
        raise DesignError("effects='unit+region:period' needs regions. Give region= to Panel.from_frame.")
    if not panel.D.any():
        raise DesignError(
            "Nobody is treated in this panel. Lay a treatment on it with treated=, first_treated= or panel.treat(...)."
        )
    if options["family"] == "poisson":
        if options["unit_trends"]:
            raise DesignError(
                "unit_trends=True is for family='gaussian': with counts that are mostly zero, a trend per unit has no finite maximum in "
                "many units. Use effects='unit+region:period', or a rate with family='gaussian'."
            )
        if (panel.Y[panel.observed] < 0).any():
            raise DesignError("family='poisson' needs counts, but some outcomes are negative. Use family='gaussian'.")


def _prepare(panel: Panel, options: _Options) -> _State:
    spells = find_spells(panel.D)
    usable = panel.observed.copy()
    for name in options.covariates:
        usable &= ~np.isnan(panel.X[name])
    sample, target = _classify(panel, spells, usable, options)
    fit = _fit(panel, sample, options)
    targets, lost = _impute(panel, fit, sample, target, spells, options)
    leads = _fit_leads(panel, sample, spells, options) if options.pretrends else None
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


def _model(panel: Panel, options: _Options) -> dict[str, Any]:
    region = None
    if options.effects == "unit+region:period":
        region = pd.factorize(pd.Series(panel.region), sort=True)[0]
    return {
        "family": options.family,
        "exposure": panel.population if options.family == "poisson" else None,
        "weights": panel.weights if options.weights == "panel" else None,
        "region": region,
        "covariates": [np.nan_to_num(panel.X[name]) for name in options.covariates],
        "unit_trends": options.unit_trends,
    }


def _fit(panel: Panel, sample: Bools, options: _Options) -> EffectsFit:
    # A unit with counts in every period links them all, so that identification needs no factorised system.
    whole = sample.all(axis=1)
    linked = options.effects == "unit+period" and bool((panel.Y[whole].sum(axis=1) > 0).any())
    return fit_effects(
        panel.Y, sample, factorise=options.variance == "analytic" or not linked, **_model(panel, options)
    )


def _impute(
    panel: Panel, fit: EffectsFit, sample: Bools, target: Bools, spells: Spells, options: _Options
) -> tuple[_Targets, tuple[Ints, Ints]]:
    unit, period = np.nonzero(target)
    known = _identified(fit, sample, unit, period)
    if not known.any():
        raise DesignError(_NO_TARGET.format(offenders(panel.units[np.unique(unit)])) if len(unit) else _NO_CELL)
    lost = (unit[~known], period[~known])
    unit, period = unit[known], period[known]
    weight = np.ones(len(unit)) if panel.weights is None or options.weights == "equal" else panel.weights[unit, period]
    observed, imputed = weight * panel.Y[unit, period], weight * fit.fitted[unit, period]
    exposure = np.ones(len(unit)) if panel.population is None else panel.population[unit, period]
    clock = spells.event_time[unit, period], spells.onset[unit, period]
    targets = _Targets(unit, period, *clock, observed, imputed, weight, weight * exposure, np.zeros(len(unit)))
    noise = np.zeros(len(unit)) if options.variance == "none" else _noise(targets, panel.clusters, options)
    return _Targets(unit, period, *clock, observed, imputed, weight, weight * exposure, noise), lost


def _identified(fit: EffectsFit, sample: Bools, unit: Ints, period: Ints) -> Bools:
    if fit.projector is None:
        return np.asarray(sample.any(axis=1)[unit])
    return estimable(fit, sample, unit, period)


# -------------------------------------------------------------------- treated residuals


def _noise(targets: _Targets, clusters: np.ndarray[Any, Any], options: _Options) -> Floats:
    """Return the weighted residual (m,) of each treated cell around the mean effect of its group."""
    chain = _COARSER[options.average]
    cluster = pd.factorize(clusters[targets.unit])[0]
    residual = np.full(len(targets.unit), np.nan)
    for level in chain if options.leave_out else chain[:1]:
        centred = _centred(targets, _groups(targets, level), cluster, options)
        residual = np.where(np.isnan(residual), centred, residual)
    # With one treated cluster in all, nothing is left to compare it with; the check says so.
    return np.asarray(np.nan_to_num(residual))


def _groups(targets: _Targets, level: Average) -> Ints:
    if level == "all":
        return (targets.event_time >= 0).astype(np.intp)
    clock = np.nan_to_num(targets.event_time, nan=_UNKNOWN).astype(np.int64)
    return pd.factorize(clock if level == "event_time" else clock * _APART + targets.cohort)[0]


def _centred(targets: _Targets, group: Ints, cluster: Ints, options: _Options) -> Floats:
    pair = pd.factorize(group * _APART + cluster)[0]
    size = int(pair.max()) + 1
    group_of = np.zeros(size, dtype=np.intp)
    group_of[pair] = group
    poisson = options.family == "poisson"
    effect = targets.observed if poisson else targets.observed - targets.imputed
    base = targets.imputed if poisson else targets.weight
    top, bottom = np.bincount(pair, effect, size), np.bincount(pair, base, size)
    if not poisson:
        top, bottom = top * bottom, bottom * bottom
    above, below = np.bincount(group_of, top)[group_of], np.bincount(group_of, bottom)[group_of]
    if options.leave_out:
        above, below = above - top, below - bottom
    known = below > 1e-12 * (below + bottom)
    centre = np.where(known, above / np.where(known, below, 1.0), np.nan if options.leave_out else 0.0)
    return np.asarray(effect - centre[pair] * base)


# -------------------------------------------------------------------- leads


def _fit_leads(panel: Panel, sample: Bools, spells: Spells, options: _Options) -> _Leads:
    last = -options.anticipation - 1
    first = last - options.pretrends + 1
    unit, period = np.nonzero(sample & (spells.event_time >= first) & (spells.event_time <= last))
    term = (spells.event_time[unit, period] - first).astype(np.intp)
    cells = Cells(unit, period, term, np.ones(len(unit)), options.pretrends)
    found = regress_cells(panel.Y, sample, cells, **_model(panel, options))
    return _Leads(
        np.arange(first, last + 1), found.coefficients, found.influence, np.bincount(term, minlength=options.pretrends)
    )


# -------------------------------------------------------------------- terms


Terms = list[tuple[Any, Bools]]


def _headline(state: _State, window: Window | None) -> Terms:
    time = state.targets.event_time
    inside = ~(time < 0) if window is None else (time >= window[0]) & (time <= window[1])
    if not inside.any():
        raise DesignError(f"No treated cell with an imputed outcome has an event time in {window}.")
    return [(HEADLINE, inside)]


def _path_terms(state: _State, kind: str) -> Terms:
    targets = state.targets
    if kind == "window":
        windows = state.options.windows or {}
        return [(label, _headline(state, (low, high))[0][1]) for label, (low, high) in windows.items()]
    if kind == "event_time":
        times = np.unique(targets.event_time[~np.isnan(targets.event_time)]).astype(int)
        return [(int(k), targets.event_time == k) for k in times]
    after = ~(targets.event_time < 0)
    position = targets.cohort if kind == "group" else targets.period
    kept = np.unique(position[after & (position >= 0)])
    return [(str(state.panel.periods[p]), after & (position == p)) for p in kept]


def _sum_terms(state: _State, terms: Terms) -> _Sums:
    targets = state.targets
    member = np.stack([mask for _, mask in terms])
    values = np.stack([targets.observed, targets.imputed, targets.weight, targets.exposure])
    observed, imputed, weight, exposure = values @ member.T.astype(float)
    count = member.sum(axis=1)
    if state.options.variance == "none":
        empty = np.empty((0, len(terms)))
        return _Sums(observed, imputed, weight, exposure, count, empty, empty)
    term, cell = np.nonzero(member)
    shape = (state.panel.n_units, len(terms))
    noise = sparse.coo_matrix((targets.noise[cell], (targets.unit[cell], term)), shape=shape).toarray()
    cells = Cells(targets.unit[cell], targets.period[cell], term, targets.weight[cell], len(terms))
    return _Sums(observed, imputed, weight, exposure, count, noise, influence(state.fit, cells))


# -------------------------------------------------------------------- packing


def _estimate(state: _State, headline: Terms, path: Terms, kind: str) -> Estimate:
    sums = _sum_terms(state, headline + path)
    labels = [label for label, _ in path]
    if state.options.family == "gaussian":
        value, psi = (sums.observed - sums.imputed) / sums.weight, (sums.noise - sums.drift) / sums.weight
        return _pack(
            state,
            sums,
            labels,
            kind,
            value,
            psi,
            "level",
            f"average effect of treatment on {state.panel.outcome} of the treated",
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(sums.observed / sums.imputed)
        value = np.where(np.isfinite(log), log, np.nan)
        psi = sums.noise / sums.observed - sums.drift / sums.imputed
    words = f"effect of treatment on {state.panel.outcome} of the treated, observed to expected"
    estimate = _pack(state, sums, labels, kind, value, psi, "log", words)
    light = state.options.variance == "none"
    return estimate if light else estimate.replace(companions=_companions(state, sums, labels, kind))


def _companions(state: _State, sums: _Sums, labels: list[Any], kind: str) -> dict[str, Estimate]:
    more, spread = sums.observed - sums.imputed, sums.noise - sums.drift
    outcome = state.panel.outcome
    found = {
        "excess": _pack(
            state,
            sums,
            labels,
            kind,
            more,
            spread,
            "level",
            f"{outcome} added (or, if negative, averted) in the treated cells",
            leads=False,
        )
    }
    if state.panel.population is not None:
        rate, psi = _PER * more / sums.exposure, _PER * spread / sums.exposure
        words = f"effect of treatment on {outcome} per {_PER:,} and period of the treated"
        found["rate_difference"] = _pack(state, sums, labels, kind, rate, psi, "level", words, leads=False)
    return found


def _pack(
    state: _State,
    sums: _Sums,
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
    path = pd.DataFrame({"estimate": value[1:], **counts}, index=pd.Index(labels, name=kind))
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
    columns = [HEADLINE, *(path_term(kind, label) for label in path.index)]
    return Estimate.from_psi(
        value=value[0],
        psi=pd.DataFrame(psi, index=state.panel.units, columns=columns),
        panel=state.panel,
        correction=_correction(state.options),
        **shared,
    )


def _with_leads(state: _State, psi: Floats, path: pd.DataFrame) -> tuple[Floats, pd.DataFrame]:
    if state.leads is None:
        return psi, path
    found = state.leads
    before = pd.DataFrame(
        {"estimate": found.estimate, "std_error": np.nan, "n_cells": found.n_cells},
        index=pd.Index(found.event_time, name="event_time"),
    )
    if state.options.variance == "none":
        return psi, pd.concat([before, path])
    return np.hstack([psi[:, :1], found.influence, psi[:, 1:]]), pd.concat([before, path])


def _correction(options: _Options) -> str:
    left_out = ", leave-one-out" if options.leave_out else ""
    return f"CR0, treated residuals around {options.average} means{left_out}"


def _aggregate(state: _State, estimate: Estimate, kind: Kind, *, window: Window | None = None) -> Estimate:
    """Return the cells averaged anew; `window` limits the headline to a range of event times."""
    names = {"event": "event_time", "group": "group", "calendar": "calendar"}
    if window is not None and kind != "event":
        raise DesignError(f"window= goes with aggregate('event'), not with {kind!r}.")
    path = [] if kind == "simple" else _path_terms(state, names[kind])
    found = _estimate(state, _headline(state, window), path, names.get(kind, "event_time"))
    if kind == "simple":
        found = found.replace(path=None)
    within = "" if window is None else f", event times {window[0]} to {window[1]}"
    return found.replace(estimand=found.estimand + within, fit=estimate.fit, aggregator=estimate.aggregator)


# -------------------------------------------------------------------- checks


def _checks(
    panel: Panel,
    spells: Spells,
    usable: Bools,
    fit: EffectsFit,
    targets: _Targets,
    lost: tuple[Ints, Ints],
    leads: _Leads | None,
    options: _Options,
) -> tuple[Check, ...]:
    found = [
        _lost_cells(panel, lost),
        _missing_cells(panel, usable),
        _ending(panel, options),
        _unknown_start(panel, spells),
        _thin_groups(panel, targets, options),
    ]
    if options.family == "poisson":
        found += [_exposure(panel), _zero_units(panel, fit, targets), _zero_periods(panel, fit, targets)]
    if leads is not None and np.isnan(leads.estimate).any():
        gone = leads.event_time[np.isnan(leads.estimate)]
        text = f"Leads {offenders(gone.tolist())} are not identified (no cell, or no count in their cells) and are left out."
        found.append(Check("leads_not_identified", None, len(gone), text))
    return tuple(check for check in found if check is not None)


def _lost_cells(panel: Panel, lost: tuple[Ints, Ints]) -> Check | None:
    if not len(lost[0]):
        return None
    units = panel.units[np.unique(lost[0])]
    text = (
        f"{len(lost[0])} treated cells are left out, because their unit has no untreated cell or their period no untreated unit to learn from; "
        f"units {offenders(units)}."
    )
    return Check("unidentified_cells", None, len(lost[0]), text)


def _missing_cells(panel: Panel, usable: Bools) -> Check | None:
    absent = int((~usable).sum())
    return (
        Check("missing_cells", None, absent, f"{absent} cells without outcome or covariate are not used.")
        if absent
        else None
    )


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


def _thin_groups(panel: Panel, targets: _Targets, options: _Options) -> Check | None:
    """Say where a treated cell is the only one of its group, so that its own noise cannot be seen."""
    if options.variance == "none":
        return None
    level = options.average
    group, cluster = _groups(targets, level), pd.factorize(panel.clusters[targets.unit])[0]
    pairs = np.unique(group * _APART + cluster)
    alone = np.bincount(pairs // _APART)[group] == 1
    share = float(alone.mean())
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


def _zero_units(panel: Panel, fit: EffectsFit, targets: _Targets) -> Check | None:
    here = np.unique(targets.unit[fit.zero_units[targets.unit]])
    if not len(here):
        return None
    events = float(targets.observed[fit.zero_units[targets.unit]].sum())
    text = (
        f"{len(here)} treated units have no event in any untreated cell: {offenders(panel.units[here])}. Zero is expected of them, their "
        f"{events:g} observed events count; a ratio of their own does not exist."
    )
    return Check("zero_untreated_counts", None, len(here), text)


def _zero_periods(panel: Panel, fit: EffectsFit, targets: _Targets) -> Check | None:
    zero = fit.zero_periods[targets.unit, targets.period] & ~fit.zero_units[targets.unit]
    if not zero.any():
        return None
    text = f"{int(zero.sum())} treated cells lie in periods in which no untreated cell (of their region) has an event; zero is expected there."
    return Check("zero_period_counts", None, int(zero.sum()), text)


_NO_TARGET = (
    "No treated cell is identified: each has no untreated cell of its unit, or no untreated unit in its period (of its region). Treated "
    "units: {}. Give a longer panel, units that are never treated, or effects='unit+period'."
)
_NO_CELL = "No treated cell with an observed outcome lies in the horizon asked for. Widen horizon=, or check the missing outcomes."
