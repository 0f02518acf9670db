"""Staggered adoption at random dates: the unbiased estimator of least variance (Roth and Sant'Anna)."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.did.aggregation import HEADLINES, Kind
from crimepolicy.did.sample import left_out
from crimepolicy.errors import DesignError, EstimationError, choose, of_kind
from crimepolicy.estimate import HEADLINE, Check, Estimate, path_term
from crimepolicy.panel import Panel

__all__ = ["efficient_staggered"]

AlwaysTreated = Literal["drop", "compare"]
Control = Literal["not_yet", "last"]
Variance = Literal["adjusted", "neyman"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

_CITATION = "Roth and Sant'Anna (2023), Journal of Political Economy Microeconomics 1(4)"
# Directions of past outcomes below this share of the largest are noise of rounding (cohorts smaller than the past is long).
_RANK = float(np.sqrt(np.finfo(float).eps))


def efficient_staggered(
    panel: Panel,
    *,
    aggregate: Kind = "simple",
    beta: float | Literal["efficient"] = "efficient",
    control: Control = "not_yet",
    always_treated: AlwaysTreated = "drop",
    variance: Variance = "adjusted",
) -> Estimate:
    """Estimate the average effect of a treatment whose dates are as good as random, with the least variance.

    The estimand is the average effect over treated cells (or by event time, group or calendar period). It is the
    difference in means of treated and not yet treated units, less `beta` times the same difference in the period before
    treatment. All `beta` are unbiased where dates are random; the estimated best one is used unless another is given.

    Parameters
    ----------
    panel : Panel
        Treatment that stays on. Units with gaps are left out; `panel.weights` are not used.
    aggregate : {"simple", "event", "group", "calendar"}
        Over treated cells; or a path, each entry with its own `beta`, and the average of the path.
    beta : float or "efficient"
        1 is the difference-in-differences of Callaway and Sant'Anna (with ``control="last"`` that of Sun and Abraham), 0 the
        difference in means.
    control : {"not_yet", "last"}
        Units treated later or never, or only those of the last date (never treated, where there are any).
    always_treated : {"drop", "compare"}
        Units treated from the first period on have no past. They can be compared in levels if dates are random.
    variance : {"adjusted", "neyman"}
        The variance over random dates is known from above only (``"neyman"``); ``"adjusted"`` takes off what past outcomes
        tell about the differences between effects. With clusters of several units it is always ``"neyman"``.

    Returns
    -------
    Estimate
        `weights` holds the `beta` of every term.

    Raises
    ------
    DesignError
        Where no treated cell has a control, or an option is unknown.

    Assumptions
    -----------
    Dates of treatment are random across units (or clusters), which is more than parallel trends; no anticipation.

    References
    ----------
    Roth and Sant'Anna (2023), "Efficient estimation for staggered rollout designs", JPE Microeconomics 1(4).

    Examples
    --------
    >>> Y = np.array([[1.0, 4.0], [2.0, 4.0], [1.0, 2.0], [3.0, 3.0]])
    >>> D = np.array([[0, 1], [0, 1], [0, 0], [0, 0]], dtype=bool)
    >>> panel = Panel(Y=Y, D=D, units=pd.Index(list("abcd")), periods=pd.RangeIndex(2))
    >>> round(efficient_staggered(panel, beta=1).value, 6)
    2.0
    """
    of_kind("panel", panel, Panel)
    options = {name: value for name, value in locals().items() if name != "panel"}
    for name, allowed in (
        ("aggregate", Kind),
        ("control", Control),
        ("always_treated", AlwaysTreated),
        ("variance", Variance),
    ):
        choose(name, options[name], allowed)
    if isinstance(beta, str):
        choose("beta", beta, ("efficient",))
    data = _data(panel, always_treated)
    contrasts = _contrasts(panel, data, aggregate, control)
    return _packed(panel, data, contrasts, _effects(data, contrasts, beta, variance), options)


@dataclass(frozen=True, slots=True)
class _Data:
    """Complete rows (n,) of the panel, their outcome (n, T), the cohorts (K,), the cohort of each row (n,), cohort sizes (K,)."""

    rows: Ints
    outcome: Floats
    cohorts: Floats
    code: Ints
    sizes: Ints
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class _Contrasts:
    """Terms (m,) with weights of cohort means: the comparison after treatment and the one before it, both (m, K, T)."""

    labels: list[Any]
    after: Floats
    before: Floats


@dataclass(frozen=True, slots=True)
class _Effects:
    """Estimates (m,), their beta (m,), influence (n, m), and how much past outcomes shrink each standard error (m,)."""

    estimate: Floats
    beta: Floats
    influence: Floats
    shrink: Floats


# ---------------------------------------------------------------- data


def _data(panel: Panel, always_treated: AlwaysTreated) -> _Data:
    first = panel.G
    gaps = ~panel.observed.all(axis=1)
    early = (first == 0) & ~gaps & (always_treated == "drop")
    kept = ~gaps & ~early
    groups, sizes = np.unique(first[kept], return_counts=True)
    alone = kept & np.isin(first, groups[sizes == 1])
    rows = np.flatnonzero(kept & ~alone)
    cohorts, code, counts = np.unique(first[rows], return_inverse=True, return_counts=True)
    checks = (
        left_out(
            "units_with_gaps", int(gaps.sum()), "units miss an outcome and are left out", panel.units[gaps].tolist()
        ),
        left_out(
            "always_treated",
            int(early.sum()),
            "units are treated from the first period on and are left out",
            panel.units[early].tolist(),
        ),
        left_out(
            "single_unit_cohorts",
            int(alone.sum()),
            "units are the only one of their cohort, whose variance is unknown, and are left out",
            panel.units[alone].tolist(),
        ),
        left_out(
            "weights_not_used",
            int(panel.weights is not None),
            "column of weights is not used: every unit counts the same",
        ),
    )
    return _Data(rows, panel.Y[rows], cohorts, code, counts, checks)


# ---------------------------------------------------------------- contrasts


def _contrasts(panel: Panel, data: _Data, aggregate: Kind, control: Control) -> _Contrasts:
    """Return the headline and the path as weights of cohort means."""
    last, time = data.cohorts.max(initial=0.0), np.arange(panel.n_periods)
    known = (time >= data.cohorts[:, None]) & (time < last)
    if not known.any():
        raise DesignError(
            "No treated cell has a control: all units that are left are treated at one date, or none is. Add units that are treated later or never."
        )
    cohort, period = np.nonzero(known)
    labels, weights = _averages(data, cohort, period, aggregate)
    allowed = (data.cohorts[:, None] > time) & ((control == "not_yet") | (data.cohorts[:, None] == last))
    share = data.sizes[:, None] * allowed
    share = np.divide(share, share.sum(axis=0), out=np.zeros(share.shape), where=share.any(axis=0))
    after, before = np.zeros((2, len(weights), *known.shape))
    after[:, cohort, period] = weights
    for k, first in enumerate(data.cohorts):
        own = np.flatnonzero(cohort == k)
        after[:, :, period[own]] -= weights[:, None, own] * share[:, period[own]]
        if own.size and first > 0:
            before[:, k, int(first) - 1] += weights[:, own].sum(axis=1)
            before[:, :, int(first) - 1] -= weights[:, own] @ share[:, period[own]].T
    named = panel.periods[labels] if aggregate in ("group", "calendar") else labels
    return _Contrasts(list(named), after, before)


def _averages(data: _Data, cohort: Ints, period: Ints, aggregate: Kind) -> tuple[Ints, Floats]:
    """Return the labels (p,) of the path and the weights (1 + p, c) of the cells in the headline and the path."""
    first = data.cohorts[cohort].astype(int)
    by = {"simple": np.zeros_like(period), "event": period - first, "group": first, "calendar": period}[aggregate]
    labels, part = np.unique(by, return_inverse=True)
    size = data.sizes[cohort].astype(float)
    weights = size * (part == np.arange(len(labels))[:, None])
    weights /= weights.sum(axis=1, keepdims=True)
    # Groups count by size, event times and calendar periods equally.
    share = (
        np.array([size[part == row][0] for row in range(len(labels))]) if aggregate == "group" else np.ones(len(labels))
    )
    headline = share @ weights / share.sum()
    return (labels[:0], headline[None]) if aggregate == "simple" else (labels, np.vstack([headline, weights]))


# ---------------------------------------------------------------- effects


def _effects(data: _Data, contrasts: _Contrasts, beta: float | str, variance: Variance) -> _Effects:
    means = np.stack([data.outcome[data.code == k].mean(axis=0) for k in range(len(data.cohorts))])
    deviation = data.outcome - means[data.code]
    # Scaled so that squares sum to the cohort variances with n - 1.
    deviation /= np.sqrt(data.sizes * (data.sizes - 1.0))[data.code, None]
    after, before = (_scores(data, deviation, side) for side in (contrasts.after, contrasts.before))
    spread = (before**2).sum(axis=0)
    best = np.divide((after * before).sum(axis=0), spread, out=np.zeros_like(spread), where=spread > 0)
    used = best if beta == "efficient" else np.full_like(best, float(beta))
    estimate, past = (np.einsum("kt,mkt->m", means, side) for side in (contrasts.after, contrasts.before))
    influence = after - used * before
    shrink = (
        np.ones_like(best) if variance == "neyman" else _shrink(data, contrasts, deviation, (influence**2).sum(axis=0))
    )
    return _Effects(estimate - used * past, used, influence, shrink)


def _scores(data: _Data, deviation: Floats, side: Floats) -> Floats:
    scores = np.empty((len(deviation), len(side)))
    for k in range(len(data.cohorts)):
        scores[data.code == k] = deviation[data.code == k] @ side[:, k].T
    return scores


def _shrink(data: _Data, contrasts: _Contrasts, deviation: Floats, neyman: Floats) -> Floats:
    """Return what past outcomes leave of each standard error (m,)."""
    moments = [deviation[data.code == k].T @ deviation[data.code == k] * size for k, size in enumerate(data.sizes)]
    shrink = np.ones_like(neyman)
    for row, after in enumerate(contrasts.after):
        begin = int(np.flatnonzero(after.any(axis=1))[0])
        past = int(data.cohorts[begin])
        if not past or not neyman[row] > 0:
            continue
        slopes = np.zeros(past)
        for k in range(begin, len(moments)):
            inverse = np.linalg.pinv(moments[k][:past, :past], rcond=_RANK, hermitian=True)
            slopes += inverse @ moments[k][:past] @ after[k]
        typical = sum(moment[:past, :past] for moment in moments[begin:]) / len(moments[begin:])
        shrink[row] = np.sqrt(max(1 - slopes @ typical @ slopes / len(data.rows) / neyman[row], 0.0))
    return shrink


# ---------------------------------------------------------------- packing


def _packed(panel: Panel, data: _Data, contrasts: _Contrasts, effects: _Effects, options: dict[str, Any]) -> Estimate:
    aggregate = options["aggregate"]
    name = {"event": "event_time"}.get(aggregate, aggregate)
    terms = [HEADLINE, *(path_term(name, label) for label in contrasts.labels)]
    path = pd.DataFrame({"estimate": effects.estimate[1:]}, index=pd.Index(contrasts.labels, name=name))
    clusters = panel.clusters[data.rows]
    adjusted = options["variance"] == "adjusted" and len(pd.unique(clusters)) == len(clusters)
    influence = effects.influence * (effects.shrink if adjusted else 1.0)
    return Estimate.from_psi(
        value=float(effects.estimate[0]),
        psi=pd.DataFrame(influence, index=panel.units[data.rows], columns=terms),
        panel=panel,
        path=path if contrasts.labels else None,
        clusters=clusters,
        correction=f"Neyman{', adjusted for past outcomes' if adjusted else ''} (cohort variances with n - 1)",
        weights=pd.DataFrame({"beta": effects.beta}, index=pd.Index(terms, name="term")),
        estimand=f"average effect on the treated on {panel.outcome}, {HEADLINES[aggregate]}",
        method="efficient estimator of staggered adoption",
        citation=_CITATION,
        options=options,
        n_units=len(data.rows),
        n_treated=int(np.isfinite(panel.G[data.rows]).sum()),
        checks=(*panel.checks, *data.checks, *_adjustment(effects, adjusted)),
        fit=partial(efficient_staggered, **options),
        aggregator=_again,
    )


def _adjustment(effects: _Effects, adjusted: bool) -> tuple[Check, ...]:
    gone = int((effects.shrink == 0).sum())
    if not adjusted or not gone:
        return ()
    text = (
        f"What past outcomes tell takes off the whole variance of {gone} of {len(effects.shrink)} terms, whose standard error is zero: "
        "cohorts are small beside the periods before them. Use variance='neyman'."
    )
    return (Check("variance_adjusted_away", False, gone, text),)


def _again(estimate: Estimate, kind: Kind) -> Estimate:
    """Estimate again on the panel of an estimate: every average has its own beta."""
    if estimate.panel is None:
        raise EstimationError("This estimate does not carry its panel. Estimate again with aggregate=.")
    found = efficient_staggered(estimate.panel, **{**estimate.options, "aggregate": kind})
    if estimate.clusters is None or not np.array_equal(np.asarray(found.clusters), estimate.clusters):
        raise EstimationError("The standard errors were changed after the estimate. Aggregate first.")
    return found
