"""Leave one out: how far the estimate rests on single units, clusters, cohorts, events or periods."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import DesignError, choose, of_kind
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.refits import panel_and_fit, refit_frame

__all__ = ["LeaveOneOut", "leave_one_out"]

By = Literal["unit", "cluster", "cohort", "event", "period"]
Only = Literal["treated", "all"]
Cells = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False)
class LeaveOneOut:
    """Estimates without one unit, cluster, cohort, event or period at a time.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns left_out, estimate, std_error, conf_low, conf_high, p_value, n_units, n_treated, error, change (from the full
        estimate) and influence (change in standard errors of the full estimate); the most influential first, failures last.
    by : str
    full : Estimate
    """

    frame: pd.DataFrame
    by: By
    full: Estimate

    def sentence(self) -> str:
        """Return the finding in plain language."""
        done = self.frame[self.frame["error"] == ""]
        failed = len(self.frame) - len(done)
        tail = f" {failed} could not be left out (see the column error)." if failed else ""
        if done.empty:
            return f"No {self.by} could be left out.{tail}"
        top = done.iloc[0]
        flips = int(
            (
                np.sign(done["estimate"] - _no_effect(self.full)) != np.sign(self.full.value - _no_effect(self.full))
            ).sum()
        )
        sign = (
            f"no {self.by} alone changes its sign"
            if flips == 0
            else f"without one of {flips} of them it changes its sign"
        )
        return (
            f"Leaving out one {self.by} at a time ({len(done)}), the estimate of {self.full.value:.4g} lies between {done['estimate'].min():.4g} and "
            f"{done['estimate'].max():.4g}; most influential is {top['left_out']} ({top['estimate']:.4g} without it); {sign}.{tail}"
        )

    def plot(self) -> Any:
        """Draw the result with matplotlib and return the figure; see `crimepolicy.report.doubt_plots`."""
        return import_module("crimepolicy.report.doubt_plots").plot_result(self)

    def __str__(self) -> str:
        return self.sentence()

    __repr__ = __str__


def leave_one_out(
    estimate: Estimate, *, by: By = "unit", only: Only = "treated", level: float = 0.95, n_jobs: int = 1
) -> LeaveOneOut:
    """Estimate again without each unit, cluster, cohort, event or period in turn.

    Parameters
    ----------
    estimate : Estimate
        With its panel and fit.
    by : {"unit", "cluster", "cohort", "event", "period"}
        A cohort is the units first treated at one date; an event one spell of treatment at one unit. Events and periods are
        left out by marking their outcomes missing, so that estimators which need every cell fail, and say so.
    only : {"treated", "all"}
        Leave out only what holds treated cells, or everything.
    level : float
        Of the intervals.
    n_jobs : int
        Workers, through joblib.

    Returns
    -------
    LeaveOneOut

    Raises
    ------
    EstimationError
        Where the estimate does not carry its panel and fit.
    DesignError
        Where clusters are asked for and the panel has none.

    Examples
    --------
    >>> import pandas as pd
    >>> from crimepolicy.panel import Panel
    >>> rows = pd.DataFrame(
    ...     {"city": list("aabbcc"), "year": [1, 2] * 3, "deaths": [3, 4, 5, 9, 2, 2], "truce": [0, 1, 0, 1, 0, 0]}
    ... )
    >>> panel = Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> def mean_of_treated(p):
    ...     facts = {"estimand": "mean", "method": "mean", "citation": "", "std_error": 1.0}
    ...     return Estimate(value=p.Y[p.D].mean(), panel=p, fit=mean_of_treated, **facts)
    >>> leave_one_out(mean_of_treated(panel)).frame["estimate"].tolist()
    [9.0, 4.0]
    """
    of_kind("estimate", estimate, Estimate)
    choose("by", by, By)
    choose("only", only, Only)
    panel, fit = panel_and_fit(estimate)
    left_out = [(label, cells) for label, cells in _GROUPS[by](panel) if only == "all" or (panel.D & cells).any()]
    tasks = [({"left_out": str(label)}, cells) for label, cells in left_out]
    frame = refit_frame(fit, panel, _without, tasks, level=level, n_jobs=n_jobs, label=f"leaving out one {by}")
    frame["change"] = frame["estimate"] - estimate.value
    frame["influence"] = frame["change"] / estimate.std_error
    order = frame["change"].abs().sort_values(ascending=False, na_position="last", kind="stable").index
    return LeaveOneOut(frame.loc[order].reset_index(drop=True), by, estimate)


def _without(panel: Panel, cells: Cells) -> Panel:
    whole = cells.all(axis=1)
    if whole.any():
        return panel.drop(panel.units[whole])
    return panel.with_outcome(np.where(cells, np.nan, panel.Y)).with_treatment(panel.D & ~cells)


def _no_effect(estimate: Estimate) -> float:
    return 1.0 if estimate.scale == "ratio" else 0.0


def _rows(panel: Panel, labels: np.ndarray[Any, Any]) -> list[tuple[object, Cells]]:
    return [(label, np.repeat((labels == label)[:, None], panel.n_periods, axis=1)) for label in pd.unique(labels)]


def _units(panel: Panel) -> list[tuple[object, Cells]]:
    return _rows(panel, panel.units.to_numpy())


def _clusters(panel: Panel) -> list[tuple[object, Cells]]:
    if panel.cluster is None:
        raise DesignError(
            "This panel has no clusters to leave out. Give cluster= to Panel.from_frame, or use by='unit'."
        )
    return _rows(panel, panel.cluster)


def _cohorts(panel: Panel) -> list[tuple[object, Cells]]:
    first = panel.first_treated
    labels = np.array([str(panel.periods[int(g)]) if np.isfinite(g) else "never" for g in first], dtype=object)
    return [group for group in _rows(panel, labels) if group[0] != "never"]


def _events(panel: Panel) -> list[tuple[object, Cells]]:
    starts = panel.D & ~np.pad(panel.D, ((0, 0), (1, 0)))[:, :-1]
    spell = np.where(panel.D, np.cumsum(starts, axis=1), 0)
    found: list[tuple[object, Cells]] = []
    for unit, start in np.argwhere(starts):
        cells = np.zeros_like(panel.D)
        cells[unit] = spell[unit] == spell[unit, start]
        found.append((f"{panel.units[unit]}, {panel.periods[start]}", cells))
    return found


def _periods(panel: Panel) -> list[tuple[object, Cells]]:
    columns = np.eye(panel.n_periods, dtype=bool)
    return [
        (label, np.repeat(column[None, :], panel.n_units, axis=0))
        for label, column in zip(panel.periods, columns, strict=True)
    ]


_GROUPS: dict[By, Callable[[Panel], list[tuple[object, Cells]]]] = {
    "unit": _units,
    "cluster": _clusters,
    "cohort": _cohorts,
    "event": _events,
    "period": _periods,
}
