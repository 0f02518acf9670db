"""Group-time average treatment effects (Callaway and Sant'Anna)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.diagnostics.pretrends import joint_test
from crimepolicy.did.aggregation import HEADLINES, CellAverages, average
from crimepolicy.did.sample import analysis_weights, covariate_values, left_out, single_units
from crimepolicy.did.two_by_two import Contrast, Method, contrast_changes
from crimepolicy.did.two_by_two_levels import contrast_levels
from crimepolicy.errors import DesignError, InferenceError, choose, of_kind
from crimepolicy.estimate import HEADLINE, Estimate, panel_facts, path_term
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = ["Base", "Control", "Unbalanced", "Variance", "group_time_effects"]

Control = Literal["never", "not_yet"]
Base = Literal["varying", "universal"]
Unbalanced = Literal["pairs", "levels"]
Variance = Literal["analytic", "none"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.intp]]

_CITATION = "Callaway and Sant'Anna (2021), Journal of Econometrics 225(2); Sant'Anna and Zhao (2020), Journal of Econometrics 219(1)"
# Beyond this the joint test of the leads says more about the covariance estimate than about trends.
_LEADS = 60


def group_time_effects(
    panel: Panel,
    *,
    control: Control = "never",
    method: Method = "reg",
    base: Base = "varying",
    anticipation: int = 0,
    covariates: Sequence[str] = (),
    unbalanced: Unbalanced = "pairs",
    variance: Variance = "analytic",
) -> Estimate:
    """Estimate the average effect on each group in each period and average the treated cells.

    The estimand of a cell is the average effect in period t on the units first treated in g; the headline averages all
    treated cells, weighted by group size. `aggregate` gives event, group and calendar averages.

    Parameters
    ----------
    panel : Panel
        Treatment must stay on. Weights and covariates are read in the earlier period of each comparison.
    control : {"never", "not_yet"}
        Compare with units that are never treated, or with all that are not treated yet.
    method : {"reg", "ipw", "dr"}
        Outcome regression, inverse probability weights or both (doubly robust); the same without covariates.
    base : {"varying", "universal"}
        Leads compare each period with the one before, or all with the last period before treatment.
    anticipation : int
        Periods before treatment in which it may already have an effect.
    covariates : sequence of str
        Names of panel covariates on which trends are parallel.
    unbalanced : {"pairs", "levels"}
        In an unbalanced panel: changes of units observed in both periods, or differences of group means in levels, for which
        it must not matter who is observed when (also for repeated cross sections).
    variance : {"analytic", "none"}
        ``"none"`` skips influence functions, for fast refits.

    Returns
    -------
    Estimate
        `cells` by group and time, with influence functions ``cell[g, t]``.

    Raises
    ------
    DesignError
        Where nobody is treated, no control is left, treatment switches off, or a name is unknown.

    Assumptions
    -----------
    Parallel trends between each group and its controls (given covariates), no anticipation beyond `anticipation`, and, with
    covariates, overlap.

    References
    ----------
    Callaway and Sant'Anna (2021), Journal of Econometrics 225(2); Sant'Anna and Zhao (2020), Journal of Econometrics 219(1).

    Examples
    --------
    >>> import pandas as pd
    >>> from crimepolicy.panel import Panel
    >>> rows = pd.DataFrame(
    ...     {"city": list("aabbcc"), "year": [1, 2] * 3, "deaths": [3, 4, 5, 9, 7, 7], "truce": [0, 1, 0, 0, 0, 0]}
    ... )
    >>> effect = group_time_effects(Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce"))
    >>> round(effect.value, 2)
    -1.0
    """
    of_kind("panel", panel, Panel)
    choose("control", control, Control)
    choose("method", method, Method)
    choose("base", base, Base)
    choose("unbalanced", unbalanced, Unbalanced)
    choose("variance", variance, Variance)
    options: dict[str, Any] = {
        "control": control, "method": method, "base": base, "anticipation": anticipation, "covariates": tuple(covariates), "unbalanced": unbalanced,
        "variance": variance,
    }  # fmt: skip
    data = _data(panel, control, anticipation, tuple(covariates))
    table = _table(data.cohort, panel.n_periods, control, base, anticipation)
    effects = _effects(data, table, method, unbalanced, variance == "analytic")
    return _packed(panel, data, *_identified(table, effects), options)


@dataclass(frozen=True, slots=True)
class _Data:
    """The sample: outcome (N, T) with NaN, weights (N, T), covariates (N, T, k) or None, cohort (N,), kept rows."""

    outcome: Floats
    weights: Floats
    covariates: Floats | None
    cohort: Floats
    rows: Ints
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """The cells: group, time, base period (positions) and the cohort from which controls start, all (c,)."""

    group: Ints
    time: Ints
    base: Ints
    after: Floats

    def part(self, kept: Any) -> "_Table":
        return _Table(self.group[kept], self.time[kept], self.base[kept], self.after[kept])


@dataclass(frozen=True, slots=True)
class _Effects:
    """Effects (c,), influence (1 + c, n) with a first row left for the headline, units used on each side (c,), controls trimmed."""

    effect: Floats
    influence: Floats
    n_treated: Ints
    n_control: Ints
    n_trimmed: int = 0


# ---------------------------------------------------------------- sample and cells


def _data(panel: Panel, control: Control, anticipation: int, covariates: tuple[str, ...]) -> _Data:
    if anticipation < 0:
        raise DesignError(f"anticipation={anticipation!r} should be a number of periods: 0, 1, 2, ...")
    cohort = panel.G
    early = cohort <= anticipation
    if not np.isfinite(cohort[~early]).any():
        raise DesignError(
            "Nobody is treated after a period without treatment, so there is no change to compare. Lay a treatment on the panel with panel.treat(units, at=...)."
        )
    if control == "never" and not np.isinf(cohort).any():
        raise DesignError(
            "No unit is never treated, so control='never' has nothing to compare with. Use control='not_yet'."
        )
    rows = np.flatnonzero(~early)
    weights = analysis_weights(panel)
    values = np.moveaxis(covariate_values(panel, covariates)[:, rows], 0, -1) if covariates else None
    outcome = panel.Y[rows] if values is None else np.where(np.isnan(values).any(axis=-1), np.nan, panel.Y[rows])
    outcome = np.where(weights[rows] > 0, outcome, np.nan) if panel.weights is not None else outcome
    checks = (
        left_out(
            "always_treated",
            int(early.sum()),
            f"units are treated from the first period on (or within {anticipation} periods of it) and are left out",
            panel.units[early].tolist(),
        ),
        left_out(
            "unobserved_cells",
            int(np.isnan(outcome).sum()),
            "cells have no outcome, covariate or weight and are left out of the comparisons that need them",
        ),
    )
    return _Data(outcome, weights[rows], values, cohort[rows], rows, checks)


def _table(cohort: Floats, n_periods: int, control: Control, base: Base, anticipation: int) -> _Table:
    groups = np.unique(cohort[np.isfinite(cohort)]).astype(int)
    times = np.arange(0 if base == "universal" else 1, n_periods)
    group, time = np.repeat(groups, len(times)), np.tile(times, len(groups))
    before = group - 1 - anticipation
    start = before if base == "universal" else np.where(time >= group, before, time - 1)
    # Controls are first treated after this position: beyond the panel for never-treated units only.
    after = np.full(len(group), 2.0 * n_periods) if control == "never" else np.maximum(time, start) + anticipation + 0.5
    return _Table(group, time, start, after)


def _identified(table: _Table, effects: _Effects) -> tuple[_Table, _Effects, tuple[Check, ...]]:
    """Keep the cells that could be estimated, of groups with at least one treated cell among them."""
    known = ~np.isnan(effects.effect)
    treated = known & (table.time >= table.group)
    if not treated.any():
        raise DesignError(
            "No treated cell has a control left. Use control='not_yet', shorten anticipation, or add units that are treated later or never; where "
            "each unit is seen once (repeated cross-sections), use unbalanced='levels'."
        )
    kept = known & np.isin(table.group, table.group[treated])
    lost = np.setdiff1d(table.group, table.group[treated])
    checks = (
        left_out(
            "cells_left_out",
            int((~kept).sum()),
            "group-time cells have no control (or no observed unit, or no overlap in the covariates) and are left out",
        ),
        left_out("groups_left_out", len(lost), "groups have no treated cell with a control and serve as controls only"),
        left_out(
            "controls_trimmed",
            effects.n_trimmed,
            "controls (over all cells) are left out because their propensity is almost one",
        ),
    )
    part = _Effects(
        effects.effect[kept],
        effects.influence if kept.all() else effects.influence[np.append(True, kept)],
        effects.n_treated[kept],
        effects.n_control[kept],
    )
    return table.part(kept), part, checks


# ---------------------------------------------------------------- effects


def _effects(data: _Data, table: _Table, method: Method, unbalanced: Unbalanced, analytic: bool) -> _Effects:
    balanced = not np.isnan(data.outcome).any()
    if unbalanced == "levels" and not balanced:
        found = _one_by_one(data, table, method)
    elif data.covariates is None and balanced and not analytic and (data.weights == data.weights[:, :1]).all():
        found = _by_sums(data, table)
    elif data.covariates is None:
        found = _by_means(data, table, balanced, analytic)
    else:
        found = _by_design(data, table, method, balanced)
    return found if analytic else replace(found, influence=np.zeros((1 + len(table.group), 0)))


def _by_means(data: _Data, table: _Table, balanced: bool, analytic: bool) -> _Effects:
    """Compare mean changes, all periods of a group at once."""
    size = len(table.group)
    influence = np.zeros((1 + size, len(data.cohort) if analytic else 0))
    effect, treated, controls = np.zeros(size), np.zeros(size, dtype=int), np.zeros(size, dtype=int)
    outcome, weights = np.ascontiguousarray(data.outcome.T), np.ascontiguousarray(data.weights.T)
    for group in np.unique(table.group):
        cells = np.flatnonzero(table.group == group)
        part = table.part(cells)
        own, others = (
            np.flatnonzero(data.cohort == group),
            np.flatnonzero((data.cohort > part.after.min()) & (data.cohort != group)),
        )
        same = part.after.min() == part.after.max()
        allowed = None if same else data.cohort[others] > part.after[:, None]
        for rows, sign, mask, used in ((own, 1.0, None, treated), (others, -1.0, allowed, controls)):
            mean, deviation, used[cells] = _mean_changes(outcome[:, rows], weights[:, rows], part, mask, balanced)
            effect[cells] += sign * mean
            if analytic:
                weight, distance = deviation
                influence[1 + cells[:, None], rows] = sign * (weight * (distance - mean[:, None]))
    return _Effects(effect, influence, treated, controls)


def _by_sums(data: _Data, table: _Table) -> _Effects:
    """Compare mean changes of all cells at once, by sums over cohorts: the same numbers without influence."""
    cohorts, code = np.unique(data.cohort, return_inverse=True)
    member = (code == np.arange(len(cohorts))[:, None]).astype(float)
    weight = member * data.weights[:, 0]
    sums = np.column_stack([weight @ data.outcome, weight.sum(axis=1), member.sum(axis=1)])
    # Row j holds the cohorts from the j-th on: those that a threshold leaves as controls.
    later = np.vstack([sums[::-1].cumsum(axis=0)[::-1], np.zeros(sums.shape[1])])
    own, start = np.searchsorted(cohorts, table.group), np.searchsorted(cohorts, table.after, side="right")
    # Before its own date, a group is among the units that a threshold leaves.
    itself = own >= start
    total, count = later[start, -2] - itself * sums[own, -2], later[start, -1] - itself * sums[own, -1]
    changes = later[start, table.time] - later[start, table.base]
    changes -= itself * (sums[own, table.time] - sums[own, table.base])
    control = np.divide(changes, total, out=np.full(len(total), np.nan), where=(count > 0) & (total > 0))
    effect = (sums[own, table.time] - sums[own, table.base]) / sums[own, -2] - control
    return _Effects(effect, np.zeros((0, 0)), sums[own, -1].astype(int), count.astype(int))


def _mean_changes(
    outcome: Floats, weights: Floats, part: _Table, mask: Bools | None, balanced: bool
) -> tuple[Floats, tuple[Floats, Floats], Ints]:
    """Return mean changes (m,), weights and changes behind them (m, n), and the number of units behind each."""
    changes = outcome[part.time] - outcome[part.base]
    weight = weights[:1] if (weights == weights[:1]).all() else weights[np.minimum(part.time, part.base)]
    if not balanced:
        seen = ~np.isnan(changes)
        mask = seen if mask is None else mask & seen
        changes = np.where(seen, changes, 0.0)
    weight = weight if mask is None else weight * mask
    total = weight.sum(axis=1, keepdims=True)
    weight = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    mean = np.einsum("mn,mn->m", np.broadcast_to(weight, changes.shape), changes)
    mean[np.broadcast_to(total[:, 0] <= 0, mean.shape)] = np.nan
    used = np.full(len(mean), outcome.shape[1]) if mask is None else mask.sum(axis=1)
    return mean, (weight, changes), used


def _by_design(data: _Data, table: _Table, method: Method, balanced: bool) -> _Effects:
    """Compare changes given covariates, one fit for all cells with the same units, covariates and weights."""
    result = _empty(len(table.group), len(data.cohort))
    trimmed = 0
    for cells, rows, early in _designs(data, table, balanced):
        part = table.part(cells)
        changes = data.outcome[rows[:, None], part.time] - data.outcome[rows[:, None], part.base]
        treated = data.cohort[rows] == part.group[0]
        found = _contrast(changes, treated, data.covariates[rows, early], data.weights[rows, early], method)  # type: ignore[index]
        if found is not None:
            result.effect[cells], result.n_treated[cells], result.n_control[cells] = (
                found.effect,
                treated.sum(),
                (~treated).sum(),
            )
            result.influence[1 + cells[:, None], rows] = found.influence.T
            trimmed += found.n_trimmed * len(cells)
    return _Effects(result.effect, result.influence, result.n_treated, result.n_control, trimmed)


def _contrast(changes: Floats, treated: Bools, covariates: Floats, weights: Floats, method: Method) -> Contrast | None:
    if treated.all() or not treated.any():
        return None
    return contrast_changes(changes, treated, _with_constant(covariates), weights, method)


def _designs(data: _Data, table: _Table, balanced: bool) -> Iterator[tuple[Ints, Ints, int]]:
    """Yield sets of cells that share units, covariates and weights: cells, rows, period of covariates and weights."""
    values: Floats = np.concatenate([data.covariates, data.weights[..., None]], axis=-1)
    constant = bool((values == values[:, :1]).all())
    early = np.zeros(len(table.time), dtype=int) if constant else np.minimum(table.time, table.base)
    # Two thresholds with no cohort between them leave the same controls.
    threshold = np.searchsorted(np.unique(data.cohort), table.after)
    keys: dict[tuple[Any, ...], list[int]] = {}
    for cell, key in enumerate(zip(table.group.tolist(), early.tolist(), threshold.tolist(), strict=True)):
        seen = b"" if balanced else _seen(data, table, cell).tobytes()
        keys.setdefault((*key, seen), []).append(cell)
    for (group, period, _, _), cells in keys.items():
        used = (data.cohort == group) | (data.cohort > table.after[cells[0]])
        yield np.asarray(cells), np.flatnonzero(used if balanced else used & _seen(data, table, cells[0])), period


def _seen(data: _Data, table: _Table, cell: int) -> Bools:
    change = data.outcome[:, table.time[cell]] - data.outcome[:, table.base[cell]]
    return ~np.isnan(change)


def _one_by_one(data: _Data, table: _Table, method: Method) -> _Effects:
    """Compare group means in levels, cell by cell, with whoever is observed in either period."""
    result = _empty(len(table.group), len(data.cohort))
    trimmed = 0
    for cell, (group, time, base, after) in enumerate(
        zip(table.group, table.time, table.base, table.after, strict=True)
    ):
        if time == base:
            result.effect[cell] = 0.0
            continue
        member = (data.cohort == group) | (data.cohort > after)
        rows = np.concatenate([np.flatnonzero(member & ~np.isnan(data.outcome[:, period])) for period in (base, time)])
        later = np.arange(len(rows)) >= int((member & ~np.isnan(data.outcome[:, base])).sum())
        period, treated = np.where(later, time, base), data.cohort[rows] == group
        covariates = np.ones((len(rows), 0)) if data.covariates is None else data.covariates[rows, period]
        found = contrast_levels(
            data.outcome[rows, period], later, treated, _with_constant(covariates), data.weights[rows, period], method
        )
        if found is not None:
            result.effect[cell], result.n_treated[cell], result.n_control[cell] = (
                found.effect[0],
                (treated & later).sum(),
                (~treated & later).sum(),
            )
            np.add.at(result.influence[1 + cell], rows, found.influence[:, 0])
            trimmed += found.n_trimmed
    return _Effects(result.effect, result.influence, result.n_treated, result.n_control, trimmed)


def _empty(size: int, n: int) -> _Effects:
    return _Effects(
        np.full(size, np.nan), np.zeros((1 + size, n)), np.zeros(size, dtype=int), np.zeros(size, dtype=int)
    )


def _with_constant(covariates: Floats) -> Floats:
    return np.column_stack([np.ones(len(covariates)), covariates])


# ---------------------------------------------------------------- packing


def _packed(
    panel: Panel, data: _Data, table: _Table, effects: _Effects, found: tuple[Check, ...], options: dict[str, Any]
) -> Estimate:
    sentence = f"average effect on the treated on {panel.outcome}"
    aggregator = CellAverages(
        table.group,
        table.time,
        effects.effect,
        effects.influence[1:],
        data.cohort,
        _share(data),
        panel.periods,
        sentence,
    )
    simple = average(aggregator, "simple")
    shared: dict[str, Any] = {
        "value": simple.value,
        "estimand": f"{sentence}, {HEADLINES['simple']}",
        "method": f"group-time effects ({options['method']}, controls {options['control'].replace('_', ' ')} treated)",
        "citation": _CITATION,
        "options": options,
        "fit": partial(group_time_effects, **options),
        "aggregator": aggregator,
    }
    counts: dict[str, Any] = {"n_units": len(data.rows), "n_treated": int(np.isfinite(data.cohort).sum())}
    checks = (*panel.checks, *data.checks, *found, single_units(data.cohort))
    cells = _cells(panel, table, effects)
    if not effects.influence.shape[1]:
        facts = panel_facts(panel) | counts
        return Estimate(
            std_error=np.nan, cells=cells.assign(std_error=np.nan), panel=panel, checks=checks, **shared, **facts
        )
    effects.influence[0] = simple.influence[:, 0]
    psi = _influence(panel, data, table, effects.influence)
    estimate = Estimate.from_psi(psi=psi, panel=panel, cells=cells, **shared, **counts)
    return estimate.replace(checks=(*checks, _leads(estimate, np.flatnonzero(table.time < table.group))))


def _share(data: _Data) -> Floats:
    """Return the weight (n,) of each unit in the size of its group: that of the first period or, with gaps, the mean."""
    unseen = np.isnan(data.outcome)
    if not unseen.any():
        return data.weights[:, 0]
    share: Floats = np.where(unseen, 0.0, data.weights).sum(axis=1) / np.maximum((~unseen).sum(axis=1), 1)
    return share


def _influence(panel: Panel, data: _Data, table: _Table, influence: Floats) -> pd.DataFrame:
    text = panel.periods.astype(str).to_numpy()
    names = [path_term("cell", f"{text[g]}, {text[t]}") for g, t in zip(table.group, table.time, strict=True)]
    psi = pd.DataFrame(influence.T, index=panel.units[data.rows], columns=[HEADLINE, *names], copy=False)
    # A reference cell is zero by construction: no influence, hence no standard error.
    known = np.append(True, table.time != table.base)
    return psi if known.all() else psi.loc[:, known]


def _cells(panel: Panel, table: _Table, effects: _Effects) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "group": panel.periods[table.group],
            "time": panel.periods[table.time],
            "event_time": table.time - table.group,
            "estimate": effects.effect,
            "n_treated": effects.n_treated,
            "n_control": effects.n_control,
        }
    )


def _leads(estimate: Estimate, leads: Ints) -> Check:
    """Test jointly that all effects before treatment are zero."""
    if len(leads) > min(_LEADS, estimate.n_units // 2):
        return Check(
            "pretrend",
            None,
            None,
            f"{len(leads)} effects before treatment are too many for a joint test; use pretrend_test on aggregate('event').",
        )
    spread = estimate.std_errors.iloc[1 + leads]
    terms = spread[spread > 0].index.tolist()
    try:
        found = joint_test(estimate, terms)
    except InferenceError as reason:
        return Check("pretrend", None, None, f"Effects before treatment are not tested jointly: {reason}")
    return Check(
        "pretrend",
        found.p_value > 0.05,
        found.p_value,
        f"Joint test that the {found.df} effects before treatment are zero: chi2 = {found.statistic:.2f}, p = {found.p_value:.3f}.",
    )
