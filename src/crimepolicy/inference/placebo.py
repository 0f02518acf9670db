"""Placebo tests: the estimate among those at places and dates where nothing happened."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations, product
from math import ceil, comb, perm
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import CrimepolicyError, InferenceError, at_least, choose, of_kind, offenders
from crimepolicy.estimate import HEADLINE, Check, Estimate, path_term
from crimepolicy.inference.impose import refitted
from crimepolicy.inference.influence import panel_of
from crimepolicy.inference.light import light
from crimepolicy.inference.parallel import ordered_map
from crimepolicy.inference.placebo_statistics import PlaceboStatistic, extremeness, gap_path, rmspe
from crimepolicy.inference.randomization import Sides
from crimepolicy.panel import Panel

__all__ = ["Kind", "placebo_test"]

Array = np.ndarray[Any, Any]
Kind = Literal["space", "time", "both"]

_CONVENTION = 0.05
_TIE = 1e-9
"""Statistics this close, relatively, are one statistic computed in two orders of summation."""


def placebo_test(
    estimate: Estimate,
    kind: Kind = "space",
    *,
    statistic: PlaceboStatistic = "rmspe_ratio",
    sides: Sides = "two",
    treated: Literal["donor", "drop"] = "donor",
    dates: Sequence[object] | None = None,
    min_before: int | None = None,
    draws: int = 999,
    seed: int = 0,
    n_jobs: int = 1,
) -> Estimate:
    """Compare the estimate with those at untreated places, at earlier dates, or both.

    The estimand does not change. The p-value is the rank of the real estimate among all, itself counted.

    Parameters
    ----------
    estimate : Estimate
        Of any estimator; it must carry its panel and fit.
    kind : {"space", "time", "both"}
        Give the treatment to each untreated unit in turn (with several treated units: to sets of as many, all of them or random ones); begin it
        earlier and look only at what came before; or every combination.
    statistic : {"rmspe_ratio", "gap", "studentised"}
        Root mean squared gap after treatment over that before; the headline; the headline over its standard error.
    sides : {"two", "greater", "less"}
    treated : {"donor", "drop"}
        What happens to the treated units in placebos in space: they join the donors, which makes the test exact under the
        sharp null, or they are left out, which keeps a real effect out of the comparison.
    dates : sequence of periods, optional
        First placebo treated periods, for placebos in time; all that leave `min_before` periods by default.
    min_before : int, optional
        Periods required before a placebo date; half of those before treatment, and two at least, by default.
    draws : int
        Sets of places to draw where several units are treated and not all sets can be listed.
    seed, n_jobs : int

    Returns
    -------
    Estimate
        With `null` (one row per placebo, labelled by place and date; headline and path in columns), `null_p` for the
        headline and every entry of the path after treatment, and checks: rank, smallest possible p-value, failed fits.
        `prefit_curve` shows the p-value by how well placebos fit before treatment.

    Raises
    ------
    InferenceError
        Where the path has no periods before treatment (for the ratio), no untreated unit exists, or too few periods precede
        treatment.

    Assumptions
    -----------
    In space: treatment could as well have fallen on any of the units. In time: the outcome is stationary around its
    comparison, so that earlier dates are like the real one.

    References
    ----------
    Abadie, Diamond and Hainmueller (2010), JASA 105; Abadie (2021), Journal of Economic Literature 59.

    Examples
    --------
    >>> import crimepolicy as cp
    >>> from crimepolicy.synth.synthetic_control import synthetic_control
    >>> rows = pd.DataFrame({"city": np.repeat(list("abcdefgh"), 10), "year": list(range(10)) * 8})
    >>> rows["deaths"] = np.random.default_rng(1).normal(20, 1, 80)
    >>> rows["truce"] = ((rows.city == "a") & (rows.year > 6)).astype(int)
    >>> rows.loc[rows.truce == 1, "deaths"] -= 9
    >>> panel = cp.Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> placebo_test(synthetic_control(panel)).p_value()
    0.125
    """
    of_kind("estimate", estimate, Estimate)
    choose("kind", kind, Kind)
    choose("statistic", statistic, PlaceboStatistic)
    choose("sides", sides, Sides)
    choose("treated", treated, ("donor", "drop"))
    at_least("draws", draws, 1)
    own = _read(refitted(estimate if statistic == "studentised" else light(estimate)), statistic)
    panel = panel_of(estimate)
    tasks = _tasks(panel, kind, dates, min_before, draws, seed)
    fit = estimate.fit if statistic == "studentised" else light(estimate).fit
    runs = ordered_map(partial(_run, fit, panel, treated == "drop", statistic), tasks, n_jobs=n_jobs, label="placebos")
    return _packed(estimate, own, tasks, runs, _Rule(kind, statistic, sides, panel))


@dataclass(frozen=True, slots=True)
class _Task:
    """Rows of D that receive the treated schedules, and how many periods earlier treatment begins."""

    places: tuple[int, ...]
    earlier: int


@dataclass(frozen=True, slots=True)
class _Run:
    """Headline, standard error and path (T,) of one fit; a reason where it failed. Logs for ratios."""

    value: float
    error: float
    events: Array
    gaps: Array
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: Kind
    statistic: PlaceboStatistic
    sides: Sides
    panel: Panel


# ---------------------------------------------------------------- what to fit


def _tasks(
    panel: Panel, kind: Kind, dates: Sequence[object] | None, min_before: int | None, draws: int, seed: int
) -> list[_Task]:
    own = tuple(np.flatnonzero(panel.D.any(axis=1)).tolist())
    places = [own] if kind == "time" else [own, *_places(panel, own, draws, seed)]
    shifts = [0] if kind == "space" else [0, *_shifts(panel, dates, min_before)]
    return [_Task(place, shift) for place, shift in product(places, shifts)][1:]


def _places(panel: Panel, own: tuple[int, ...], draws: int, seed: int) -> list[tuple[int, ...]]:
    controls = np.setdiff1d(np.arange(panel.n_units), own)
    if len(controls) < max(len(own), 2):
        raise InferenceError(
            f"{len(controls)} untreated units cannot stand in for {len(own)} treated. Use kind='time', or add units."
        )
    alike = len(np.unique(panel.D[list(own)], axis=0)) == 1
    count = comb(len(controls), len(own)) if alike else perm(len(controls), len(own))
    # Drawn again and again, a few sets would pass for many and make the smallest p-value too small.
    if len(own) == 1 or count <= draws:
        return list((combinations if alike else permutations)(controls.tolist(), len(own)))
    rng = np.random.default_rng(seed)
    # Order within a set decides who receives which schedule, so sets are drawn in random order.
    return [tuple(rng.choice(controls, len(own), replace=False).tolist()) for _ in range(draws)]


def _shifts(panel: Panel, dates: Sequence[object] | None, min_before: int | None) -> list[int]:
    start = int(panel.first_treated[np.isfinite(panel.first_treated)].min())
    needed = max(2, ceil(start / 2)) if min_before is None else min_before
    shifts = list(range(1, start - needed + 1)) if dates is None else [start - panel.position(date) for date in dates]
    wrong = [panel.periods[start - shift] for shift in shifts if shift < 1 or start - shift < needed]
    if wrong or not shifts:
        raise InferenceError(
            f"Placebo dates need {needed} periods before them and must precede treatment ({panel.periods[start]}), of which {start} periods exist"
            + (f"; not so for {offenders(wrong)}." if wrong else ". Lower min_before=, or use kind='space'.")
        )
    return shifts


def _placebo(panel: Panel, task: _Task, drop: bool) -> Panel:
    own = np.flatnonzero(panel.D.any(axis=1))
    D = np.zeros_like(panel.D)
    D[list(task.places)] = panel.D[own]
    moved = panel
    if task.earlier:
        D[:, : -task.earlier] = D[:, task.earlier :].copy()
        moved = _before(panel)
    placebo = moved.with_treatment(D[:, : moved.n_periods])
    real = [unit for unit in own.tolist() if unit not in task.places]
    return placebo.drop(panel.units[real]) if drop and real else placebo


def _before(panel: Panel) -> Panel:
    """Return what was observed before anybody was treated, or, with several dates, before each unit was."""
    starts = panel.first_treated[np.isfinite(panel.first_treated)]
    if starts.min() == starts.max():
        return panel.window(end=panel.periods[int(starts.min()) - 1])
    return panel.with_outcome(np.where(np.arange(panel.n_periods) >= panel.first_treated[:, None], np.nan, panel.Y))


# ---------------------------------------------------------------- fitting and reading


def _run(fit: Any, panel: Panel, drop: bool, statistic: PlaceboStatistic, task: _Task) -> _Run:
    try:
        return _read(fit(_placebo(panel, task, drop)), statistic)
    except CrimepolicyError as problem:
        return _Run(np.nan, np.nan, np.empty(0), np.empty(0), str(problem))


def _read(estimate: Estimate, statistic: PlaceboStatistic) -> _Run:
    ratio = estimate.scale == "ratio"
    value, error = (
        (float(np.log(estimate.value)), estimate.std_error / estimate.value)
        if ratio
        else (estimate.value, estimate.std_error)
    )
    if statistic == "rmspe_ratio" or (estimate.path is not None and estimate.path.index.name == "event_time"):
        try:
            return _Run(value, error, *gap_path(estimate))
        except InferenceError:
            if statistic == "rmspe_ratio":
                raise
    return _Run(value, error, np.empty(0), np.empty(0))


def _packed(estimate: Estimate, own: _Run, tasks: list[_Task], runs: list[_Run], rule: _Rule) -> Estimate:
    paths = np.array([_aligned(run, own.events) for run in runs]).reshape(len(runs), len(own.events))
    values, errors = np.array([run.value for run in runs]), np.array([run.error for run in runs])
    fitted = ~np.isnan(values)
    if not fitted.any():
        raise InferenceError(f"No placebo could be estimated. The first said: {runs[0].reason}")
    all_values, all_errors, all_gaps = (
        np.r_[own.value, values[fitted]],
        np.r_[own.error, errors[fitted]],
        np.vstack([own.gaps, paths[fitted]]),
    )
    if rule.statistic == "studentised" and not own.error > 0:
        raise InferenceError(
            f"{estimate.method} gives no standard error to studentise with. Use statistic='rmspe_ratio' or 'gap'."
        )
    size = extremeness(rule.statistic, rule.sides, all_values, all_errors, own.events, all_gaps)
    terms = [path_term("event_time", event) for event in own.events]
    null = pd.DataFrame(np.column_stack([values, paths]), columns=[HEADLINE, *terms], index=_index(tasks, rule.panel))
    null = null.apply(np.exp) if estimate.scale == "ratio" else null
    p = {HEADLINE: _rank_p(size)} | _pointwise(rule, own.events, all_gaps, terms)
    what = f"p-values from {int(fitted.sum()):,} placebos in {'space and time' if rule.kind == 'both' else rule.kind} ({rule.statistic})"
    return estimate.replace(
        null=null,
        null_p=p,
        correction="; ".join(filter(None, [estimate.correction, what])),
        checks=(*estimate.checks, *_checks(size, own, all_gaps, rule, runs)),
    )


def _aligned(run: _Run, events: Array) -> Array:
    gaps = dict(zip(run.events.tolist(), run.gaps.tolist(), strict=True))
    return np.array([gaps.get(event, np.nan) for event in events.tolist()])


def _rank_p(size: Array) -> float:
    known = size[~np.isnan(size)]
    return float((known >= size[0] * (1 - _TIE * np.sign(size[0]))).mean())


def _pointwise(rule: _Rule, events: Array, gaps: Array, terms: list[str]) -> dict[str, float]:
    """Ranks of single gaps after treatment, relative to the fit before where the statistic is."""
    p = {}
    for k in np.flatnonzero(events >= 0):
        kept = (events < 0) | (np.arange(len(events)) == k)
        single = gaps[:, k]
        size = extremeness(
            "rmspe_ratio" if rule.statistic == "rmspe_ratio" else "gap",
            rule.sides,
            single,
            single,
            events[kept],
            gaps[:, kept],
        )
        # A placebo at an earlier date has no such event time, and says nothing about it.
        p[terms[k]] = _rank_p(np.where(np.isnan(single), np.nan, size))
    return p


def _index(tasks: list[_Task], panel: Panel) -> pd.Index:
    names = [" + ".join(str(panel.units[place]) for place in task.places) for task in tasks]
    start = int(panel.first_treated[np.isfinite(panel.first_treated)].min())
    dates = [str(panel.periods[start - task.earlier]) for task in tasks]
    return pd.MultiIndex.from_arrays([names, dates], names=["place", "date"])


def _checks(size: Array, own: _Run, gaps: Array, rule: _Rule, runs: list[_Run]) -> list[Check]:
    known = size[~np.isnan(size)]
    rank, smallest = int((known > size[0]).sum()) + 1, 1 / len(known)
    failed = [run.reason for run in runs if run.reason]
    needed = _needed(known[1:], len(known))
    before = float(rmspe(own.gaps[None, own.events < 0])[0]) if rule.statistic == "rmspe_ratio" else 1.0
    return [
        Check(
            "placebo_rank", None, rank, f"The real {rule.statistic} is {size[0]:.4g}, rank {rank} of {len(known):,}."
        ),
        Check(
            "smallest_p",
            smallest <= 0.05,
            smallest,
            f"The smallest p-value that {len(known) - 1:,} placebos can give is {smallest:.4g}.",
        ),
        *_detectable(needed * before, rule),
        Check(
            "failed_placebos",
            not failed,
            len(failed),
            f"{len(failed):,} placebos could not be estimated and are left out{f' ({failed[0]})' if failed else ''}.",
        ),
    ]


def _needed(placebos: Array, count: int) -> float:
    """Return the statistic that would have to be exceeded for p to be at most 0.05, infinite where none is enough."""
    beaten_by = int(np.floor(_CONVENTION * count * (1 + _TIE)))
    return float(np.sort(placebos)[::-1][beaten_by - 1]) if beaten_by else np.inf


def _detectable(effect: float, rule: _Rule) -> list[Check]:
    if rule.statistic == "studentised":
        return []
    text = (
        f"a constant effect had to exceed {effect:.4g} for p to be at most {_CONVENTION}, given these placebos."
        if np.isfinite(effect)
        else f"no effect, however large, could have given p at most {_CONVENTION} with {rule.kind} placebos this few."
    )
    return [Check("detectable_effect", None, effect, text)]
