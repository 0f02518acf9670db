"""The same estimator on many changed panels: one row each, failures with their text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import CrimepolicyError, EstimationError
from crimepolicy.estimate import Estimate
from crimepolicy.inference.parallel import ordered_map
from crimepolicy.panel import Panel

__all__ = ["Fit", "Variants", "estimate_row", "failed_row", "panel_and_fit", "refit_frame", "span"]

Fit = Callable[[Panel], Estimate]
Row = dict[str, Any]


def panel_and_fit(estimate: Estimate) -> tuple[Panel, Fit]:
    """Return the panel and the function of an estimate.

    Raises
    ------
    EstimationError
        Where it carries neither, because it was read from a file.
    """
    if estimate.panel is None or estimate.fit is None:
        raise EstimationError(
            f"This estimate of {estimate.method} does not carry its panel and the function that made it. Estimate again."
        )
    return estimate.panel, estimate.fit


def refit_frame(
    fit: Fit,
    panel: Panel,
    change: Callable[[Panel, Any], Panel],
    tasks: Sequence[tuple[Mapping[str, Any], Any]],
    *,
    level: float = 0.95,
    n_jobs: int = 1,
    label: str = "",
) -> pd.DataFrame:
    """Fit on every changed panel and return the rows, in order.

    Parameters
    ----------
    fit, panel
        From `panel_and_fit`.
    change : callable
        From the panel and one task's second part to the panel to fit.
    tasks : sequence of (columns, what to change)
        The first part stands at the head of the row.
    level : float
        Of the intervals.
    n_jobs : int
    label : str
        Shown with the progress.
    """
    one = partial(_refit, fit, panel, change, level)
    return pd.DataFrame(ordered_map(one, tasks, n_jobs=n_jobs, label=label))


def _refit(
    fit: Fit, panel: Panel, change: Callable[[Panel, Any], Panel], level: float, task: tuple[Mapping[str, Any], Any]
) -> Row:
    head, what = task
    try:
        return dict(head) | estimate_row(fit(change(panel, what)), level)
    except CrimepolicyError as problem:
        return dict(head) | failed_row(problem)


def estimate_row(estimate: Estimate, level: float) -> Row:
    """Return the numbers of one estimate as a row."""
    low, high = estimate.interval(level)
    return {
        "estimate": estimate.value,
        "std_error": estimate.std_error,
        "conf_low": low,
        "conf_high": high,
        "p_value": estimate.p_value(),
        "n_units": estimate.n_units,
        "n_treated": estimate.n_treated,
        "error": "",
    }


def failed_row(problem: Exception) -> Row:
    """Return the row of an estimate that could not be computed."""
    numbers = dict.fromkeys(("estimate", "std_error", "conf_low", "conf_high", "p_value"), np.nan)
    return numbers | {"n_units": 0, "n_treated": 0, "error": str(problem)}


@dataclass(frozen=True, slots=True, eq=False)
class Variants:
    """The same estimate under variations of the data, a row each.

    Attributes
    ----------
    frame : pandas.DataFrame
        What varies, then estimate, std_error, conf_low, conf_high, p_value, n_units, n_treated, error.
    full : Estimate
        The estimate as it stands.
    text : str
        The finding in plain language.
    """

    frame: pd.DataFrame
    full: Estimate
    text: str

    def sentence(self) -> str:
        """Return the finding in plain language."""
        return self.text

    def plot(self) -> Any:
        """Draw the result with matplotlib and return the figure; see `crimepolicy.report.doubt_plots`."""
        return import_module("crimepolicy.report.doubt_plots").plot_result(self)

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def span(frame: pd.DataFrame) -> str:
    """Return 'lies between ... and ... (95% intervals from ... to ...)' for the rows that could be estimated."""
    done = frame[frame["error"] == ""]
    if done.empty:
        return "could not be computed in any of them"
    failed = len(frame) - len(done)
    tail = f"; {failed} could not be estimated" if failed else ""
    return (
        f"lies between {done['estimate'].min():.4g} and {done['estimate'].max():.4g} (95% intervals from {done['conf_low'].min():.4g} to "
        f"{done['conf_high'].max():.4g}){tail}"
    )
