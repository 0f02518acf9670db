"""Switching effects: units that change treatment beside units of the same past treatment that do not (yet) change."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.did.change_slopes import ChangeSlopes, change_slopes
from crimepolicy.did.sample import analysis_weights, covariate_values
from crimepolicy.errors import DesignError, choose, of_kind, offenders
from crimepolicy.estimate import HEADLINE, Check, Estimate, panel_facts, path_term
from crimepolicy.panel import Panel

__all__ = ["switching_effects"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Switchers = Literal["first", "all"]
Direction = Literal["both", "on", "off"]
Control = Literal["not_yet", "never"]
Variance = Literal["analytic", "none"]
Weighting = Literal["equal", "panel"]

_CITATIONS = {
    "first": "de Chaisemartin and D'Haultfoeuille (2026), Review of Economics and Statistics (DID_l)",
    "all": "de Chaisemartin and D'Haultfoeuille (2020), American Economic Review 110(9), 2964-2996 (DID_M)",
}


def switching_effects(
    panel: Panel,
    *,
    switchers: Switchers = "first",
    effects: int = 1,
    placebos: int = 0,
    direction: Direction = "both",
    control: Control = "not_yet",
    normalized: bool = False,
    same_switchers: bool = False,
    covariates: Sequence[str] = (),
    unit_trends: bool = False,
    weights: Weighting = "equal",
    variance: Variance = "analytic",
) -> Estimate:
    """Estimate the effects of changes of treatment, on and off, without any model for units that never change.

    The estimand of entry l of the path is the mean, over units that change treatment, of the difference that the change made l
    periods later (the sign is reversed for units that switch off).

    Parameters
    ----------
    panel : Panel
        Treatment may switch on and off at any time.
    switchers : {"first", "all"}
        ``"first"`` (DID_l): each unit's first change, whatever treatment follows. ``"all"`` (DID_M): every change, as long as the
        new treatment lasts to the period looked at.
    effects, placebos : int
        Number of periods after the change (the first is event time 0), and of placebo differences before it (event times -2, -3, ...;
        the period before the change, event time -1, is the reference).
    direction : {"both", "on", "off"}
        Which changes to use.
    control : {"not_yet", "never"}
        Units that have not changed yet, or never do (``switchers="first"`` only).
    normalized : bool
        Divide effect l by the periods of changed treatment received up to it.
    same_switchers : bool
        Use only the units for which every effect exists.
    covariates : sequence of str
        Changes of the outcome are taken net of what changes of these predict among units whose treatment has not changed yet
        (``switchers="first"`` only).
    unit_trends : bool
        Let each unit have its own linear trend: effects are sums of effects on first differences, among the units for which all of
        them exist (``switchers="first"`` only). Two periods before the change are then needed.
    weights : {"equal", "panel"}
        Count every change the same, or by `panel.weights` in the period looked at (``switchers="first"`` only).
    variance : {"analytic", "none"}
        ``"none"`` skips influence functions, for fast refits.

    Returns
    -------
    Estimate
        Headline: for ``"first"`` the average total effect per period of changed treatment over all effects asked for; for ``"all"``
        the instantaneous effect DID_M.

    Raises
    ------
    DesignError
        Where no unit changes treatment beside a unit of the same treatment that does not.

    Assumptions
    -----------
    Units of the same past treatment would have moved in parallel. ``"all"`` also needs that past treatments have no effect.

    References
    ----------
    de Chaisemartin and D'Haultfoeuille (2020), "Two-way fixed effects estimators with heterogeneous treatment effects", AER 110(9).
    de Chaisemartin and D'Haultfoeuille (2026), "Difference-in-differences estimators of intertemporal treatment effects", REStat.

    Examples
    --------
    >>> D = np.array([[0, 1, 1], [0, 0, 0], [0, 0, 0]], dtype=bool)
    >>> Y = np.array([[1.0, 4.0, 6.0], [1.0, 2.0, 2.0], [0.0, 1.0, 3.0]])
    >>> panel = Panel(Y=Y, D=D, units=pd.Index(["a", "b", "c"]), periods=pd.RangeIndex(3))
    >>> switching_effects(panel, effects=2).path["estimate"].tolist()
    [2.0, 3.0]
    """
    of_kind("panel", panel, Panel)
    options = {name: value for name, value in locals().items() if name != "panel"} | {"covariates": tuple(covariates)}
    _validate(options)
    data = _data(panel, options)
    lengths = [*range(1, effects + 1), *range(-1, -placebos - 1, -1)]
    terms = [_trended(data, length, options) if unit_trends else _term(data, length, options) for length in lengths]
    if not terms[0].n_switchers:
        raise DesignError(
            "No unit changes treatment beside a unit of the same treatment that does not change. Check panel.D, or use direction='both' "
            "and control='not_yet'."
        )
    return _pack(panel, data.changes, terms, options).replace(fit=partial(switching_effects, **options))


@dataclass(frozen=True, slots=True)
class _Changes:
    """Changes of treatment: unit, period and old treatment (k,); how long a cell's treatment has lasted and will last (N, T)."""

    unit: Ints
    period: Ints
    old: Bools
    lasted: Ints
    lasts: Ints
    D: Bools


@dataclass(frozen=True, slots=True)
class _Data:
    """Outcome (N, T), in first differences where units have trends; weights (N, T); cluster codes (N,); changes; slopes of covariates."""

    outcome: Floats
    weights: Floats
    cluster: Ints
    changes: _Changes
    slopes: ChangeSlopes | None


@dataclass(frozen=True, slots=True)
class _Term:
    """One difference: its total over switchers, influence (N,) on that total, their number and weight, and periods of changed treatment."""

    length: int
    total: float
    influence: Floats
    n_switchers: int
    weight: float
    dose: float
    cumulated: float


def _validate(options: Mapping[str, Any]) -> None:
    for name, allowed in (
        ("switchers", Switchers),
        ("direction", Direction),
        ("control", Control),
        ("weights", Weighting),
        ("variance", Variance),
    ):
        choose(name, options[name], allowed)
    if options["effects"] < 1 or options["placebos"] < 0:
        raise DesignError(
            f"effects={options['effects']} should be 1 or more and placebos={options['placebos']} 0 or more."
        )
    if options["control"] == "never" and options["switchers"] == "all":
        raise DesignError(
            "control='never' goes with switchers='first': with every change in use, controls are those stable at the time."
        )
    if (options["covariates"] or options["unit_trends"]) and options["switchers"] == "all":
        raise DesignError(
            "covariates and unit_trends go with switchers='first'. For every change in use, see imputation."
        )
    if options["weights"] == "panel" and options["switchers"] == "all":
        raise DesignError("weights='panel' goes with switchers='first'. For every change in use, see imputation.")


def _data(panel: Panel, options: Mapping[str, Any]) -> _Data:
    changes, outcome = _changes(panel.D, options["switchers"]), panel.Y
    values = covariate_values(panel, options["covariates"])
    weights = analysis_weights(panel) if options["weights"] == "panel" else np.ones(outcome.shape)
    cluster = pd.factorize(panel.clusters)[0]
    if options["unit_trends"]:
        outcome, values = (np.diff(array, axis=-1, prepend=np.nan) for array in (outcome, values))
    if not len(values):
        return _Data(outcome, weights, cluster, changes, None)
    # What a change is net of must be known in both of its periods.
    unknown = np.isnan(values).any(axis=0)
    if options["unit_trends"]:
        unknown[:, 0] = True
    outcome = np.where(unknown, np.nan, outcome)
    slopes = change_slopes(outcome, np.where(unknown, 0.0, values), panel.D, weights)
    return _Data(outcome, weights, cluster, changes, slopes)


def _changes(D: Bools, switchers: Switchers) -> _Changes:
    n, t = D.shape
    moved = np.zeros((n, t), dtype=bool)
    moved[:, 1:] = D[:, 1:] != D[:, :-1]
    time = np.arange(t)
    begun = np.maximum.accumulate(np.where(moved, time, 0), axis=1)
    next_move = np.full((n, t), t)
    next_move[:, :-1] = np.minimum.accumulate(np.where(moved, time, t)[:, ::-1], axis=1)[:, ::-1][:, 1:]
    used = moved & (np.cumsum(moved, axis=1) == 1) if switchers == "first" else moved
    unit, period = np.nonzero(used)
    return _Changes(unit, period, D[unit, period - 1], time - begun + 1, next_move - time, D)


# -------------------------------------------------------------------- one difference


def _term(data: _Data, length: int, options: Mapping[str, Any]) -> _Term:
    """Return effect `length` (1 is the period of the change) or, where negative, placebo -`length`."""
    total, count, size, dose, cumulated = 0.0, 0, 0.0, 0.0, 0.0
    influence = np.zeros(len(data.outcome))
    for period, old, moved, stable in _comparisons(data, length, options):
        sign, reach, before = -1.0 if old else 1.0, period - 1 + length, period - 1
        change = data.outcome[:, reach] - data.outcome[:, before]
        if data.slopes is not None:
            change = change - data.slopes.fitted(old, before, reach)
        # Weights are those of the period that the effect of this length looks at, for its placebo too.
        weight = data.weights[:, min(before + abs(length), data.weights.shape[1] - 1)]
        total += sign * _gap(change, weight, moved, stable)
        count, size = count + len(moved), size + float(weight[moved].sum())
        received = (data.changes.D[moved, period : period + abs(length)] != old) * weight[moved, None]
        dose, cumulated = dose + float(received[:, -1].sum()), cumulated + float(received.sum())
        if options["variance"] == "analytic":
            influence[moved] += sign * _residual(data, change, weight, moved, stable)
            share = weight[moved].sum() / weight[stable].sum()
            influence[stable] -= sign * share * _residual(data, change, weight, stable, moved)
            if data.slopes is not None:
                pull = np.array([_gap(move, weight, moved, stable) for move in data.slopes.moves(before, reach)])
                influence -= sign * data.slopes.influence[int(old)] @ pull
    return _Term(length, total, influence, count, size, dose, cumulated)


def _gap(change: Floats, weight: Floats, moved: Ints, stable: Ints) -> float:
    return float(
        weight[moved] @ change[moved] - weight[moved].sum() * np.average(change[stable], weights=weight[stable])
    )


def _trended(data: _Data, length: int, options: Mapping[str, Any]) -> _Term:
    """Return the sum of the effects on first differences up to `length`, for the units that have them all."""
    size = abs(length)
    same = {**options, "same_switchers": True, "effects": size, "placebos": size if length < 0 else 0}
    parts = [_term(data, step if length > 0 else -step, same) for step in range(1, size + 1)]
    total, influence = sum(part.total for part in parts), np.sum([part.influence for part in parts], axis=0)
    return replace(parts[-1], total=total, influence=influence)


def _comparisons(data: _Data, length: int, options: Mapping[str, Any]) -> Iterator[tuple[int, bool, Ints, Ints]]:
    """Yield date, old treatment, switchers and controls of each cohort that one difference can use."""
    n_periods = data.outcome.shape[1]
    for period, old, changed in _cohorts(data.changes, options["direction"]):
        unit, reach = changed, period - 1 + length
        ahead = period if options["switchers"] == "all" and length < 0 else period - 1 + abs(length)
        furthest = max(ahead, period - 1 + options["effects"]) if options["same_switchers"] else ahead
        if reach < 0 or furthest >= n_periods:
            continue
        if options["same_switchers"]:
            # Placebos restrict the units only where they are part of a sum of their own (unit trends).
            first = period - 1 - (options["placebos"] if options["unit_trends"] else 0)
            seen = ~np.isnan(data.outcome[changed, max(first, 0) : furthest + 1]).any(axis=1)
            unit = changed[seen & (first >= 0)]
            if not len(unit) or not len(_compared(data, period, old, unit, furthest, furthest, options)[1]):
                continue
        moved, stable = _compared(data, period, old, unit, reach, ahead, options)
        if len(moved) and len(stable):
            yield period, old, moved, stable


def _cohorts(changes: _Changes, direction: Direction) -> Iterator[tuple[int, bool, Ints]]:
    """Yield the units that change treatment at one date from one old treatment."""
    for period in np.unique(changes.period):
        for old in (False, True):
            if direction == ("on" if old else "off"):
                continue
            here = (changes.period == period) & (changes.old == old)
            if here.any():
                yield int(period), old, changes.unit[here]


def _compared(
    data: _Data,
    period: int,
    old: bool,
    unit: Ints,
    reach: int,
    ahead: int,
    options: Mapping[str, Any],
) -> tuple[Ints, Ints]:
    """Return the switchers and the controls of one cohort that can be compared over one difference."""
    before, changes = period - 1, data.changes
    looked = (before, reach, ahead) if options["switchers"] == "first" else (before, reach)
    seen = ~np.isnan(data.outcome[:, looked]).any(axis=1) & (data.weights[:, ahead] > 0)
    same = changes.D[:, before] == old
    until = data.outcome.shape[1] - 1 if options["control"] == "never" else ahead
    stable = same & (changes.lasts[:, before] > until - before)
    if options["switchers"] == "first":
        stable &= changes.lasted[:, before] == period
    else:
        since = max(before - reach, 0)
        stable &= changes.lasted[:, before] > since
        unit = unit[(changes.lasted[unit, before] > since) & (changes.lasts[unit, period] > max(reach - period, 0))]
    return unit[seen[unit]], np.flatnonzero(stable & seen)


def _residual(data: _Data, change: Floats, weight: Floats, own: Ints, other: Ints) -> Floats:
    """Return weighted deviations of own rows from their mean, scaled as for an unbiased variance between clusters."""
    # One cluster has no mean of its own to deviate from: the other side lends its own.
    rows = own if _count(data.cluster[own]) > 1 else np.concatenate([own, other])
    n = _count(data.cluster[rows])
    mean = np.average(change[rows], weights=weight[rows])
    return np.asarray(weight[own] * (change[own] - mean) * (np.sqrt(n / (n - 1)) if n > 1 else 0.0))


def _count(labels: Ints) -> int:
    return len(np.unique(labels))


# -------------------------------------------------------------------- packing


def _pack(panel: Panel, changes: _Changes, terms: list[_Term], options: Mapping[str, Any]) -> Estimate:
    kept = sorted((term for term in terms if term.n_switchers), key=lambda term: term.length)
    after = [term for term in kept if term.length > 0]
    divisor = [(term.cumulated if options["normalized"] else term.weight) for term in kept]
    labels = [term.length - 1 for term in kept]
    if options["switchers"] == "first":
        value, influence, dose = (
            sum(t.total for t in after),
            np.sum([t.influence for t in after], axis=0),
            sum(t.dose for t in after),
        )
        words = f"average total effect on {panel.outcome} per period of changed treatment"
    else:
        value, influence, dose = after[0].total, after[0].influence, after[0].weight
        words = f"instantaneous effect of a change of treatment on {panel.outcome}"
    path = pd.DataFrame(
        {
            "estimate": [term.total / d for term, d in zip(kept, divisor, strict=True)],
            "std_error": np.nan,
            "n_switchers": [term.n_switchers for term in kept],
        },
        index=pd.Index(labels, name="event_time"),
    )
    shared: dict[str, Any] = {
        "estimand": words,
        "method": "switching effects (DID_l)" if options["switchers"] == "first" else "switching effects (DID_M)",
        "citation": _CITATIONS[options["switchers"]],
        "options": dict(options),
        "checks": _checks(panel, changes, terms, options),
        "path": path,
    }
    # First switchers may all switch back at once, so that no treatment was received in the periods looked at.
    value = value / dose if dose else float("nan")
    if options["variance"] == "none":
        return Estimate(value=value, std_error=float("nan"), panel=panel, **panel_facts(panel), **shared)
    columns = [influence / dose if dose else np.full(panel.n_units, np.nan)]
    columns += [term.influence / d for term, d in zip(kept, divisor, strict=True)]
    names = [HEADLINE, *(path_term("event_time", label) for label in labels)]
    psi = pd.DataFrame(np.stack(columns, axis=1), index=panel.units, columns=names)
    return Estimate.from_psi(value=value, psi=psi, panel=panel, correction="cohort variances with n - 1", **shared)


def _checks(panel: Panel, changes: _Changes, terms: list[_Term], options: Mapping[str, Any]) -> tuple[Check, ...]:
    wanted = sum(len(unit) for _, _, unit in _cohorts(changes, options["direction"]))
    lost = wanted - terms[0].n_switchers
    found = []
    if lost:
        text = f"{lost} of {wanted} changes of treatment have no control of the same past treatment (or a missing outcome) and are left out."
        found.append(Check("switchers_without_control", None, lost, text))
    empty = [term.length - 1 for term in terms if not term.n_switchers]
    if empty:
        found.append(
            Check(
                "event_times_not_identified",
                None,
                len(empty),
                f"No comparison exists at event times {offenders(empty)}.",
            )
        )
    if panel.weights is not None and options["weights"] == "equal":
        found.append(
            Check(
                "weights_not_used",
                None,
                None,
                "The weights of the panel are not used: every change counts the same. For weighted effects, weights='panel'.",
            )
        )
    absent = int((~panel.observed).sum())
    if absent:
        found.append(
            Check(
                "missing_cells",
                None,
                absent,
                f"{absent} cells without outcome; comparisons that need them are left out.",
            )
        )
    return tuple(found)
