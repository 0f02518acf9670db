"""Averages of group-time effects: overall, by event time, by group, by calendar period."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import EstimationError, choose
from crimepolicy.estimate import HEADLINE, Estimate, path_term

__all__ = ["HEADLINES", "Averages", "CellAverages", "Kind", "Window", "average", "within"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Kind = Literal["simple", "event", "group", "calendar"]
Window = tuple[int | None, int | None]

HEADLINES = {
    "simple": "average over treated cells",
    "event": "average over event times from 0 on",
    "group": "average over groups of each group's average",
    "calendar": "average over calendar periods of each period's average",
}


@dataclass(frozen=True, slots=True)
class Averages:
    """Averages of cells: headline, path with its labels, and the influence (n, 1 + p) of all."""

    value: float
    labels: list[Any]
    values: Floats
    influence: Floats
    cells: list[int]


@dataclass(frozen=True, eq=False)
class CellAverages:
    """What it takes to average the cells of an estimate; calling it returns the averaged estimate.

    Attributes
    ----------
    group, time : int array (c,)
        Positions of first treated period and period of each cell.
    effect : float array (c,)
    influence : float array (c, n)
        By unit; zero for reference cells. No columns where uncertainty was not asked for.
    cohort : float array (n,)
        Position of the first treated period of each unit.
    weights : float array (n,)
        Weight of each unit in its cohort's share.
    periods : pandas.Index (T,)
    estimand : str
        What one cell estimates, in words.
    estimated_shares : bool
        Whether cohort shares are estimates, with an influence of their own, or taken as given.
    shares : float array (c,), optional
        Weight of each cell, taken as given, in place of the cohort's.
    """

    group: Ints
    time: Ints
    effect: Floats
    influence: Floats
    cohort: Floats
    weights: Floats
    periods: pd.Index
    estimand: str
    estimated_shares: bool = True
    shares: Floats | None = None

    def __call__(
        self,
        estimate: Estimate,
        kind: Kind,
        *,
        window: Window | None = None,
        balance: int | None = None,
        cumulative: bool = False,
    ) -> Estimate:
        """Return the estimate averaged over cells.

        Parameters
        ----------
        estimate : Estimate
            Gives its names, clusters and factor.
        kind : {"simple", "event", "group", "calendar"}
            ``"simple"`` has no path. The headline of ``"event"`` averages event times from 0 on.
        window : (first, last), optional
            Event times to keep, both included; None leaves a side open.
        balance : int, optional
            Keep the groups that are seen at this event time, up to this event time, so that the same groups make every point (``"event"`` only).
        cumulative : bool
            Sum the path from event time 0 on (``"event"`` only); the headline is then the last sum.

        Returns
        -------
        Estimate
        """
        choose("kind", kind, Kind)
        if kind != "event" and (balance is not None or cumulative):
            raise EstimationError(f"balance and cumulative concern aggregate('event'), not aggregate({kind!r}).")
        options: dict[str, Any] = {"window": window, "balance": balance, "cumulative": cumulative}
        return _packed(self, estimate, kind, options, average(self, kind, **options))


def average(
    cells: CellAverages,
    kind: Kind,
    *,
    window: Window | None = None,
    balance: int | None = None,
    cumulative: bool = False,
) -> Averages:
    """Return averages of cells and their influence; options as in `CellAverages`."""
    event = cells.time - cells.group
    inside = within(event, window)
    after = inside & (event >= 0)
    if not after.any():
        raise EstimationError("No treated cell is left to average. Widen the window of event times.")
    shares = _shares(cells)
    if kind == "simple":
        value, influence = _weighted(cells, after, shares)
        return Averages(value, [], np.zeros(0), influence[:, None], [])
    if kind == "group":
        return _by_group(cells, after, shares)
    if kind == "calendar":
        return _equal(*_each(cells, after, cells.time, shares), cells.periods)
    kept = inside if balance is None else inside & _balanced(cells, event, balance)
    labels, values, influence, counts = _each(cells, kept, event, shares)
    return _cumulated(labels, values, influence, counts) if cumulative else _equal(labels, values, influence, counts)


def within(event: Ints, window: Window | None) -> Bools:
    """Return which event times lie in the window."""
    first, last = (None, None) if window is None else window
    kept: Bools = (event >= (-np.inf if first is None else first)) & (event <= (np.inf if last is None else last))
    return kept


def _balanced(cells: CellAverages, event: Ints, balance: int) -> Bools:
    final = cells.time.max()
    return (final - cells.group >= balance) & (event <= balance) & (event >= balance - final + cells.time.min())


def _shares(cells: CellAverages) -> Floats:
    if cells.shares is not None:
        return cells.shares
    totals = np.bincount(
        cells.cohort[np.isfinite(cells.cohort)].astype(int),
        cells.weights[np.isfinite(cells.cohort)],
        len(cells.periods),
    )
    return np.asarray(totals[cells.group])


def _weighted(cells: CellAverages, kept: Bools, shares: Floats) -> tuple[float, Floats]:
    """Return the average of kept cells by cohort share, and its influence (n,)."""
    _, values, influence, _ = _each(cells, kept, np.zeros_like(cells.time), shares)
    return float(values[0]), influence[:, 0]


def _shares_vary(cells: CellAverages) -> bool:
    return cells.estimated_shares and cells.shares is None and cells.influence.shape[1] > 0


def _by_cohort(cells: CellAverages, pull: Floats) -> Floats:
    """Return the weight of each unit (n,) times the pull (T,) of its cohort."""
    known = np.isfinite(cells.cohort)
    spread = np.zeros(len(known))
    spread[known] = cells.weights[known] * pull[cells.cohort[known].astype(int)]
    return spread


def _each(cells: CellAverages, kept: Bools, by: Ints, shares: Floats) -> tuple[list[int], Floats, Floats, list[int]]:
    """Return the labels (p,) in kept cells, averages by cohort share (p,), their influence (n, p) and cell counts (p,)."""
    members = np.flatnonzero(kept)
    labels, part, counts = np.unique(by[members], return_inverse=True, return_counts=True)
    total = np.bincount(part, shares[members])
    weight = shares[members] / total[part]
    values = np.bincount(part, weight * cells.effect[members])
    influence = np.zeros((len(labels), cells.influence.shape[1]))
    for label in range(len(labels)) if influence.size else ():
        inside = part == label
        influence[label] = weight[inside] @ cells.influence[members[inside]]
        if _shares_vary(cells):
            pull = np.bincount(
                cells.group[members[inside]], cells.effect[members[inside]] - values[label], len(cells.periods)
            )
            influence[label] += _by_cohort(cells, pull / total[label])
    return labels.tolist(), values, influence.T, counts.tolist()


def _equal(
    labels: list[int], values: Floats, influence: Floats, counts: list[int], periods: pd.Index | None = None
) -> Averages:
    """Average the path with equal weights: event times from 0 on, or all calendar periods."""
    after = np.array([periods is not None or label >= 0 for label in labels])
    if not after.any():
        raise EstimationError("No treated cell is left to average. Widen the window of event times.")
    named = labels if periods is None else list(periods[labels])
    headline = influence[:, after].mean(axis=1)
    return Averages(float(values[after].mean()), named, values, np.column_stack([headline, influence]), counts)


def _cumulated(labels: list[int], values: Floats, influence: Floats, counts: list[int]) -> Averages:
    after = np.array([label >= 0 for label in labels])
    sums, spread = values[after].cumsum(), influence[:, after].cumsum(axis=1)
    kept = [label for label in labels if label >= 0]
    return Averages(float(sums[-1]), kept, sums, np.column_stack([spread[:, -1], spread]), counts[-len(kept) :])


def _by_group(cells: CellAverages, after: Bools, shares: Floats) -> Averages:
    # The periods of a group count alike, unless each cell was given a weight of its own.
    given = cells.shares is not None
    each = shares if given else np.ones_like(shares)
    labels, values, influence, counts = _each(replace(cells, estimated_shares=False), after, cells.group, each)
    groups = np.asarray(labels)
    members = [shares[after & (cells.group == group)] for group in groups]
    size = np.array([part.sum() if given else part[0] for part in members])
    weight, total = size / size.sum(), size.sum()
    value = float(weight @ values)
    headline = influence @ weight
    if _shares_vary(cells):
        headline = headline + _by_cohort(cells, np.bincount(groups, values - value, len(cells.periods)) / total)
    return Averages(value, list(cells.periods[groups]), values, np.column_stack([headline, influence]), counts)


def _packed(
    cells: CellAverages, estimate: Estimate, kind: Kind, options: dict[str, Any], averages: Averages
) -> Estimate:
    name = {"event": "event_time"}.get(kind, kind)
    path = None
    if averages.labels:
        path = pd.DataFrame(
            {"estimate": averages.values, "n_cells": averages.cells}, index=pd.Index(averages.labels, name=name)
        )
    headline = "sum over event times from 0 on" if options["cumulative"] else HEADLINES[kind]
    changes: dict[str, Any] = {
        "estimand": f"{cells.estimand}, {headline}",
        "options": {**estimate.options, "aggregate": kind, **options},
    }
    if estimate.psi is None:
        path = None if path is None else path.assign(std_error=np.nan)
        return estimate.replace(value=averages.value, path=path, cells=None, **changes)
    terms = [HEADLINE, *(path_term(name, label) for label in averages.labels)]
    psi = pd.DataFrame(averages.influence, index=estimate.psi.index, columns=terms, copy=False)
    # A reference point is zero by construction: no influence, hence no standard error.
    known = averages.influence.any(axis=0)
    known[0] = True
    psi = psi if known.all() else psi.loc[:, known]
    return Estimate.from_psi(
        value=averages.value,
        psi=psi,
        panel=estimate.panel,  # type: ignore[arg-type]
        path=path,
        clusters=estimate.clusters,
        factor=estimate.factor,
        correction=estimate.correction,
        df=estimate.df,
        method=estimate.method,
        citation=estimate.citation,
        scale=estimate.scale,
        n_units=estimate.n_units,
        n_treated=estimate.n_treated,
        checks=estimate.checks,
        aggregator=cells,
        **changes,
    )
