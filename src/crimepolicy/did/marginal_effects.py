"""Averages of fitted outcomes with treatment against fitted outcomes without it."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.did.aggregation import Kind, Window, within
from crimepolicy.errors import EstimationError, choose
from crimepolicy.estimate import HEADLINE, Estimate, path_term

__all__ = ["MarginalEffects", "Measure"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

Measure = Literal["difference", "log_ratio", "log_mean", "total"]


@dataclass(frozen=True, eq=False)
class MarginalEffects:
    """Fitted outcomes by cohort and period; calling it returns an estimate of their averages.

    Attributes
    ----------
    measure : {"difference", "log_ratio", "log_mean", "total"}
        Mean difference per cell; log of the ratio of sums; mean of the difference of logs; difference of sums.
    group, time : int array (c,)
        Positions of first treated period and period.
    treated, untreated, size : float array (c,)
        Weighted sum of fitted outcomes with and without treatment, and sum of weights. For ``"log_mean"`` sums of logs.
    treated_influence, untreated_influence : float array (c, n)
    periods : pandas.Index (T,)
    """

    measure: Measure
    group: Ints
    time: Ints
    treated: Floats
    untreated: Floats
    size: Floats
    treated_influence: Floats
    untreated_influence: Floats
    periods: pd.Index

    def __call__(self, estimate: Estimate, kind: Kind, *, window: Window | None = None) -> Estimate:
        """Return the estimate averaged over cells, each by its size; the headline is over all treated cells kept.

        Parameters
        ----------
        estimate : Estimate
            Gives its names, clusters and factor.
        kind : {"simple", "event", "group", "calendar"}
        window : (first, last), optional
            Event times to keep, both included; None leaves a side open.
        """
        choose("kind", kind, Kind)
        event = self.time - self.group
        kept = within(event, window)
        after = kept & (event >= 0)
        if not after.any():
            raise EstimationError("No treated cell is left to average. Widen the window of event times.")
        options = {"window": window}
        headline, influence = self.over(after)
        path, parts = self._path(kind, kept if kind == "event" else after)
        psi = pd.DataFrame({HEADLINE: influence} | parts, index=estimate.psi.index)  # type: ignore[union-attr]
        return Estimate.from_psi(
            value=headline,
            psi=psi,
            panel=estimate.panel,  # type: ignore[arg-type]
            path=path,
            clusters=estimate.clusters,
            factor=estimate.factor,
            correction=estimate.correction,
            df=estimate.df,
            estimand=estimate.estimand,
            method=estimate.method,
            citation=estimate.citation,
            options={**estimate.options, "aggregate": kind, **options},
            scale=estimate.scale,
            n_units=estimate.n_units,
            n_treated=estimate.n_treated,
            checks=estimate.checks,
            aggregator=self,
        )

    def over(self, kept: Bools) -> tuple[float, Floats]:
        """Return the measure over kept cells (c,) and its influence (n,)."""
        above, below, size = self.treated[kept].sum(), self.untreated[kept].sum(), self.size[kept].sum()
        upper, lower = self.treated_influence[kept].sum(axis=0), self.untreated_influence[kept].sum(axis=0)
        if self.measure == "total":
            return float(above - below), upper - lower
        if self.measure != "log_ratio":
            return float((above - below) / size), (upper - lower) / size
        if above <= 0:
            return float("-inf"), np.zeros_like(upper)
        return float(np.log(above / below)), upper / above - lower / below

    def _path(self, kind: Kind, kept: Bools) -> tuple[pd.DataFrame | None, dict[str, Floats]]:
        if kind == "simple":
            return None, {}
        by = {"event": self.time - self.group, "group": self.group, "calendar": self.time}[kind]
        name = "event_time" if kind == "event" else kind
        values, counts, parts = [], [], {}
        labels = np.unique(by[kept])
        named = labels.tolist() if kind == "event" else list(self.periods[labels])
        for label, shown in zip(labels, named, strict=True):
            value, influence = self.over(kept & (by == label))
            values.append(value)
            counts.append(int((kept & (by == label)).sum()))
            if influence.any():
                parts[path_term(name, shown)] = influence
        path = pd.DataFrame({"estimate": values, "n_cells": counts}, index=pd.Index(named, name=name))
        if kind == "event" and labels[0] < -1:
            # Leads are relative to the last period before treatment, whose effect is zero by construction.
            path.loc[-1] = [0.0, 0]
        return path.sort_index().astype({"n_cells": int}), parts
