"""Stacked event study: each onset beside its own clean controls, stacks put together with corrected weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.did.fixed_effects import Cells, Family, regress_cells
from crimepolicy.did.sample import analysis_weights
from crimepolicy.did.stacks import Control, Stack, StackLedger, build_stacks
from crimepolicy.errors import DesignError, choose, of_kind, offenders
from crimepolicy.estimate import HEADLINE, Check, Estimate, panel_facts, path_term
from crimepolicy.inference.companions import refit_companion
from crimepolicy.panel import Panel

__all__ = ["stacked_event_study"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Variance = Literal["analytic", "none"]
Window = tuple[int, int]

_CITATION = "Wing, Freedman and Hollingsworth (2024), NBER working paper 32054"


def stacked_event_study(
    panel: Panel,
    *,
    window: Window = (-24, 36),
    reference: int | Window = -1,
    family: Family = "gaussian",
    control: Control = "not_yet",
    exclude: Sequence[str] = (),
    windows: Mapping[str, Window] | None = None,
    variance: Variance = "analytic",
) -> Estimate:
    """Estimate the path of the effect of onsets, each compared with units that are clean over the same window.

    The estimand is the mean over events of the effect at each event time (poisson: the log ratio common to the events), with the
    same events at every event time.

    Parameters
    ----------
    panel : Panel
        An event is an onset of treatment (from 0 to 1); a unit may have several, as long as their windows do not overlap.
        `panel.weights`, at the onset, weight the units.
    window : (int, int)
        First and last event time. Events whose window leaves the panel are left out and counted.
    reference : int or (int, int)
        Event time, or range of event times, to which effects are relative.
    family : {"gaussian", "poisson"}
        Poisson uses `panel.population` as exposure.
    control : {"never", "not_yet", "clean"}
        Controls are never treated, not treated before the window ends, or not treated within the window.
    exclude : sequence of unit labels
        Never used as controls, such as neighbours of treated units.
    windows : mapping of str to (int, int), optional
        Named ranges of event time, which then make up the path.
    variance : {"analytic", "none"}
        ``"none"`` skips influence functions, for fast refits (gaussian).

    Returns
    -------
    Estimate
        The headline is the effect over event times 0 and later; ``aggregate("event", window=(0, 5))`` averages over a window. For
        ``"poisson"``, `excess` gives the counts that the events added over the same event times.

    Raises
    ------
    DesignError
        Where no event has a clean window and a control.

    Assumptions
    -----------
    Without the event, treated units and their controls would have moved in parallel over the window (poisson: in logs).

    References
    ----------
    Wing, Freedman and Hollingsworth (2024), "Stacked difference-in-differences", NBER working paper 32054.

    Examples
    --------
    >>> Y = np.array([[1.0, 2.0, 5.0], [2.0, 3.0, 4.0], [0.0, 1.0, 2.0]])
    >>> panel = Panel(
    ...     Y=Y,
    ...     D=np.array([[0, 0, 1], [0, 0, 0], [0, 0, 0]], dtype=bool),
    ...     units=pd.Index(["a", "b", "c"]),
    ...     periods=pd.RangeIndex(3),
    ... )
    >>> stacked_event_study(panel, window=(-2, 0)).value
    2.0
    """
    of_kind("panel", panel, Panel)
    options = {name: value for name, value in locals().items() if name != "panel"}
    state = _prepare(panel, options)
    after = [(HEADLINE, _times(0, window[1]))]
    found = _estimate(state, after, _path(state, windows), "window" if windows else "event_time")
    return found.replace(
        fit=partial(stacked_event_study, **options),
        aggregator=partial(_aggregate, state) if variance != "none" else None,
    )


# -------------------------------------------------------------------- state


Terms = list[tuple[Any, Ints]]


@dataclass(frozen=True, slots=True)
class _State:
    panel: Panel
    options: Mapping[str, Any]
    stacks: list[Stack]
    reference: Ints
    checks: tuple[Check, ...]


def _times(first: int, last: int) -> Ints:
    return np.arange(first, last + 1)


def _prepare(panel: Panel, options: Mapping[str, Any]) -> _State:
    choose("family", options["family"], Family)
    choose("control", options["control"], Control)
    choose("variance", options["variance"], Variance)
    (low, high), reference = options["window"], options["reference"]
    first, last = reference if isinstance(reference, tuple) else (reference, reference)
    if not low <= first <= last < 0 <= high:
        raise DesignError(
            f"window={options['window']} and reference={reference} do not fit: the reference should lie before the onset and within the "
            "window, as in window=(-24, 36), reference=-1 or reference=(-12, -1)."
        )
    if options["family"] == "poisson" and (panel.Y[panel.observed] < 0).any():
        raise DesignError("family='poisson' needs counts, but some outcomes are negative. Use family='gaussian'.")
    excluded = panel.units.get_indexer(pd.Index(list(options["exclude"]), dtype=panel.units.dtype))
    allowed = np.ones(panel.n_units, dtype=bool)
    allowed[excluded[excluded >= 0]] = False
    known = panel.observed & (analysis_weights(panel) > 0)
    stacks, ledger = build_stacks(panel.D, known, (low, high), options["control"], allowed)
    checks = _checks(panel, ledger, stacks, int((excluded < 0).sum()))
    if not stacks:
        raise DesignError(
            "\n".join(
                [
                    "No event has a clean window and a control.",
                    *map(str, checks),
                    "Shorten window= or choose control='clean'.",
                ]
            )
        )
    return _State(panel, options, stacks, _times(first, last), checks)


def _path(state: _State, windows: Mapping[str, Window] | None) -> Terms:
    low, high = state.options["window"]
    if windows:
        return [(label, _inside(state, span)) for label, span in windows.items()]
    return [(int(k), np.array([k])) for k in _times(low, high) if k not in state.reference]


def _inside(state: _State, span: Window) -> Ints:
    low, high = state.options["window"]
    times = _times(*span)
    if not len(times) or times[0] < low or times[-1] > high or np.isin(times, state.reference).any():
        raise DesignError(
            f"The window {span} should lie within {(low, high)} and apart from the reference {state.reference.tolist()}."
        )
    return times


# -------------------------------------------------------------------- gaussian


def _gaussian(state: _State, terms: Terms) -> tuple[Floats, Floats]:
    """Return the estimates (K,) and influences (N, K): weighted means of differences in differences by stack."""
    panel, low = state.panel, state.options["window"][0]
    contrast = np.zeros((state.options["window"][1] - low + 1, len(terms)))
    for k, (_, times) in enumerate(terms):
        contrast[times - low, k] = 1 / len(times)
        contrast[state.reference - low, k] -= 1 / len(state.reference)
    weight = [_unit_weights(panel, stack) for stack in state.stacks]
    total = sum(w.sum() for w, _ in weight)
    change = [
        (panel.Y[stack.treated, stack.columns] @ contrast, panel.Y[stack.controls, stack.columns] @ contrast)
        for stack in state.stacks
    ]
    gaps = [treated - c @ control / c.sum() for (treated, control), (_, c) in zip(change, weight, strict=True)]
    value = np.sum([w @ gap for gap, (w, _) in zip(gaps, weight, strict=True)], axis=0) / total
    if state.options["variance"] == "none":
        return value, np.empty((0, len(terms)))
    psi = np.zeros((panel.n_units, len(terms)))
    for stack, gap, (_, control), (w, c) in zip(state.stacks, gaps, change, weight, strict=True):
        share = w.sum() / total
        np.add.at(psi, stack.treated, w[:, None] * (gap - value) / total)
        np.add.at(psi, stack.controls, -share * c[:, None] * (control - c @ control / c.sum()) / c.sum())
    return value, psi


def _unit_weights(panel: Panel, stack: Stack) -> tuple[Floats, Floats]:
    if panel.weights is None:
        return np.ones(len(stack.treated)), np.ones(len(stack.controls))
    return panel.weights[stack.treated, stack.onset], panel.weights[stack.controls, stack.onset]


# -------------------------------------------------------------------- poisson


@dataclass(frozen=True, slots=True)
class _Stacked:
    """The stacked table: original unit, stack and treated flag per row (M,); counts, exposure and weights (M, window length)."""

    unit: Ints
    stack: Ints
    treated: np.ndarray[Any, np.dtype[np.bool_]]
    Y: Floats
    exposure: Floats
    weights: Floats


def _stack_table(state: _State) -> _Stacked:
    panel = state.panel
    weight = [_unit_weights(panel, stack) for stack in state.stacks]
    all_treated, all_controls = sum(w.sum() for w, _ in weight), sum(c.sum() for _, c in weight)
    parts: list[tuple[Any, ...]] = []
    for s, (stack, (w, c)) in enumerate(zip(state.stacks, weight, strict=True)):
        unit = np.concatenate([stack.treated, stack.controls])
        corrected = (w.sum() / all_treated) / (c.sum() / all_controls)
        Y = panel.Y[unit, stack.columns]
        exposure = np.ones_like(Y) if panel.population is None else panel.population[unit, stack.columns]
        # Units without any event in the window say nothing about rates of change.
        some = Y.sum(axis=1) > 0
        rows = (
            unit,
            np.full(len(unit), s),
            np.arange(len(unit)) < len(stack.treated),
            Y,
            exposure,
            np.concatenate([w, corrected * c]),
        )
        parts.append(tuple(part[some] for part in rows))
    unit, stack_code, treated, Y, exposure, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    stack_code = pd.factorize(stack_code)[0]
    return _Stacked(unit, stack_code, treated, Y, exposure, np.broadcast_to(weights[:, None], Y.shape))


def _poisson(state: _State, terms: Terms) -> tuple[Floats, Floats]:
    """Return the estimates (K,) and influences (N, K): single event times in one regression, each window in one of its own."""
    table = _stack_table(state)
    value, psi = np.full(len(terms), np.nan), np.full((state.panel.n_units, len(terms)), np.nan)
    single = [k for k, (_, times) in enumerate(terms) if len(times) == 1 and k > 0]
    # A window is never fitted beside another window, so that its estimate does not depend on what else was asked for.
    for together in [single] * bool(single) + [[k] for k in range(len(terms)) if k not in single]:
        value[together], psi[:, together] = _poisson_regression(state, table, [terms[k][1] for k in together])
    return value, psi


def _poisson_regression(state: _State, table: _Stacked, bins: list[Ints]) -> tuple[Floats, Floats]:
    low, high = state.options["window"]
    term_of = np.full(high - low + 1, -1)
    for k, times in enumerate(bins):
        term_of[times - low] = k
    # Event times in no term keep dummies of their own, so that the reference is what was asked for.
    single = [t for t in _times(low, high) if term_of[t - low] < 0 and t not in state.reference]
    term_of[np.array(single, dtype=np.intp) - low] = len(bins) + np.arange(len(single))
    row, column = np.nonzero(table.treated[:, None] & (term_of >= 0))
    cells = Cells(row, column, term_of[column], np.ones(len(row)), len(bins) + len(single))
    everything = np.ones(table.Y.shape, dtype=bool)
    found = regress_cells(
        table.Y, everything, cells, family="poisson", exposure=table.exposure, weights=table.weights, region=table.stack
    )
    psi = np.zeros((state.panel.n_units, len(bins)))
    np.add.at(psi, table.unit, found.influence[:, : len(bins)])
    return found.coefficients[: len(bins)], psi


# -------------------------------------------------------------------- packing


def _estimate(state: _State, headline: Terms, path: Terms, kind: str) -> Estimate:
    panel, options = state.panel, state.options
    gaussian = options["family"] == "gaussian"
    value, psi = (_gaussian if gaussian else _poisson)(state, headline + path)
    labels = [label for label, _ in path]
    n_events = sum(len(stack.treated) for stack in state.stacks)
    frame = pd.DataFrame(
        {"estimate": value[1:], "std_error": np.nan, "n_events": n_events}, index=pd.Index(labels, name=kind)
    )
    measure = "" if gaussian else " rate (log ratio)"
    shared: dict[str, Any] = {
        "estimand": f"average effect of the {n_events} events on {panel.outcome}{measure}",
        "method": f"stacked event study ({options['family']})",
        "citation": _CITATION,
        "options": dict(options),
        "scale": "level" if gaussian else "log",
        "checks": (*state.checks, *_no_ratio(state, value[0])),
        "path": frame,
    }
    if options["variance"] == "none":
        return Estimate(value=float(value[0]), std_error=float("nan"), panel=panel, **panel_facts(panel), **shared)
    columns = [HEADLINE, *(path_term(kind, label) for label in labels)]
    found = Estimate.from_psi(
        value=value[0], psi=pd.DataFrame(psi, index=panel.units, columns=columns), panel=panel, **shared
    )
    return found if gaussian else found.replace(companions={"excess": _added(state, found, headline[0][1])})


def _added(state: _State, estimate: Estimate, times: Ints) -> Estimate:
    """Return the counts that the events added: observed after them, less observed divided by the rate ratio."""
    panel = state.panel
    observed = sum(float(panel.Y[np.ix_(stack.treated, stack.onset + times)].sum()) for stack in state.stacks)
    without = observed * np.exp(-estimate.value)
    return Estimate.from_psi(
        value=observed - without,
        psi=estimate.psi[[HEADLINE]] * without,  # type: ignore[index]
        panel=panel,
        estimand=f"{panel.outcome} added (averted, if negative) after the events, given those observed",
        method=estimate.method,
        citation=estimate.citation,
        options=dict(estimate.options),
        checks=estimate.checks,
        fit=refit_companion(partial(_headline, span=(int(times[0]), int(times[-1])), **state.options), "excess"),
    )


def _headline(panel: Panel, span: Window, **options: Any) -> Estimate:
    return stacked_event_study(panel, **options).aggregate("simple", window=span)


def _aggregate(state: _State, estimate: Estimate, kind: str, *, window: Window | None = None) -> Estimate:
    """Return the effect over another range of event times."""
    choose("kind", kind, ("simple", "event"))
    span = (0, state.options["window"][1]) if window is None else window
    found = _estimate(
        state, [(HEADLINE, _inside(state, span))], [] if kind == "simple" else _path(state, None), "event_time"
    )
    within = "" if window is None else f", event times {window[0]} to {window[1]}"
    return found.replace(
        estimand=found.estimand + within,
        path=None if kind == "simple" else found.path,
        aggregator=estimate.aggregator,
    )


# -------------------------------------------------------------------- checks


def _no_ratio(state: _State, value: float) -> tuple[Check, ...]:
    if np.isfinite(value):
        return ()
    text = f"The events have no {state.panel.outcome} in the periods after them (or in the reference), so that no log ratio exists."
    return (Check("no_ratio", False, None, text),)


def _checks(panel: Panel, ledger: StackLedger, stacks: list[Stack], unknown: int) -> tuple[Check, ...]:
    controls = np.array([len(stack.controls) for stack in stacks], dtype=int)
    number = f"{len(ledger.used)} events at {len(stacks)} dates, with {controls.min(initial=10**9)} to {controls.max(initial=0)} controls each."
    found = [Check("events_used", None, len(ledger.used), number)] if stacks else []
    reasons = {
        "outside": "their window leaves the panel",
        "contaminated": "the unit is treated before the onset within the window, or starts again in it",
        "missing": "an outcome or weight in their window is missing",
        "without_control": "no unit is clean in their window",
    }
    for name, reason in reasons.items():
        events = getattr(ledger, name)
        if len(events):
            listed = offenders([f"{panel.units[u]} ({panel.periods[t]})" for u, t in events])
            found.append(
                Check(
                    f"events_{name}",
                    None,
                    len(events),
                    f"{len(events)} events are left out because {reason}: {listed}.",
                )
            )
    if unknown:
        found.append(
            Check("excluded_unknown", None, unknown, f"{unknown} labels of exclude= are not units of this panel.")
        )
    return tuple(found)
