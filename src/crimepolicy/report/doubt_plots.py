"""Plots of what could break an estimate: curves of specifications, parts left out, bounds, calibrations."""

from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from crimepolicy.errors import EstimationError
from crimepolicy.report.style import ACCENT, BAND, GREY, SECOND, new_figure, style
from crimepolicy.sensitivity.calibration import Calibration
from crimepolicy.sensitivity.honest import HonestBounds
from crimepolicy.sensitivity.leave_one_out import LeaveOneOut
from crimepolicy.sensitivity.refits import Variants
from crimepolicy.sensitivity.specification import SpecificationCurve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_result"]

_MOST = 20
_NUMBERS = ("estimate", "std_error", "conf_low", "conf_high", "p_value", "n_units", "n_treated", "error")


def plot_result(result: Any) -> "Figure":
    """Draw the result of a sensitivity tool and return the figure.

    Parameters
    ----------
    result : SpecificationCurve, LeaveOneOut, Variants, HonestBounds or Calibration

    Returns
    -------
    matplotlib.figure.Figure
        Of a curve: the estimates in order with their intervals, below them a dot for each choice, beside each choice its share of
        the variance. Of parts left out: the most influential twenty. Of a calibration: size and coverage beside the nominal ones.

    Raises
    ------
    EstimationError
        Where nothing could be estimated.

    Examples
    --------
    >>> from crimepolicy.estimate import Estimate
    >>> from crimepolicy.sensitivity.specification import specification_curve
    >>> def fit(slope):
    ...     return Estimate(value=slope, estimand="y", method="toy", citation="", std_error=1.0)
    >>> len(plot_result(specification_curve(fit, {"slope": [1, -1]})).axes)
    2
    """
    with style():
        figure: Figure = _drawn(result)
    return figure


@singledispatch
def _drawn(result: Any) -> "Figure":
    raise EstimationError(f"No plot is known for {type(result).__name__}. Draw its frame instead.")


def _done(frame: pd.DataFrame) -> pd.DataFrame:
    done = frame[frame["error"] == ""]
    if done.empty:
        raise EstimationError("Nothing could be estimated, so there is nothing to draw. See the column error.")
    return done


# ----------------------------------------------------------------------------------------------- specification curves


@_drawn.register(SpecificationCurve)
def _(result: SpecificationCurve) -> "Figure":
    done = _done(result.frame).reset_index(drop=True)
    names = [name for name in done.columns if name not in _NUMBERS]
    labels = [(name, label) for name in names for label in pd.unique(done[name])]
    figure = new_figure(2.2 + 0.21 * (len(labels) + len(names)))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 0.21 * (len(labels) + len(names))])
    clear = (done["p_value"] < 0.05).to_numpy()
    above.vlines(done.index, done["conf_low"], done["conf_high"], color=BAND, linewidth=1.2)
    above.scatter(done.index, done["estimate"], s=9, c=np.where(clear, ACCENT, GREY), zorder=3)
    above.axhline(0, color=GREY, linewidth=0.7)
    above.set_ylabel("Estimate")
    above.tick_params(axis="x", length=0)
    _choices(below, done, labels, result.shares)
    return figure


def _choices(ax: "Axes", done: pd.DataFrame, labels: list[tuple[str, str]], shares: pd.Series) -> None:
    places, heads, row, last = [], [], 0, ""
    for name, label in labels:
        if name != last:
            share = f" ({shares[name]:.0%} of the variance)" if name in shares else ""
            heads.append((row, f"{name}{share}"))
            row, last = row + 1, name
        places.append((row, label))
        used = np.flatnonzero((done[name] == label).to_numpy())
        ax.plot(used, np.full(len(used), row), "s", markersize=2.6, color=ACCENT)
        row += 1
    ax.set_yticks([place for place, _ in places], [label for _, label in places])
    for place, text in heads:
        ax.annotate(text, (0, place), xycoords=("axes fraction", "data"), va="center", fontsize=8.5, color=SECOND)
    ax.set_ylim(row - 0.4, -0.6)
    ax.set_xticks([])
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "bottom"]].set_visible(False)


# -------------------------------------------------------------------------------------------- one interval per row


@_drawn.register(LeaveOneOut)
def _(result: LeaveOneOut) -> "Figure":
    shown = _done(result.frame).head(_MOST)
    more = len(_done(result.frame)) - len(shown)
    label = f"Estimate without one {result.by}" + (f" (the {len(shown)} most influential; {more} more)" if more else "")
    return _intervals(shown, list(shown["left_out"]), result.full.value, result.full.interval(), label)


@_drawn.register(Variants)
def _(result: Variants) -> "Figure":
    shown = _done(result.frame).head(_MOST)
    heads = [name for name in shown.columns if name not in _NUMBERS]
    labels = [", ".join(str(value) for value in row) for row in shown[heads].itertuples(index=False)]
    return _intervals(shown, labels, result.full.value, result.full.interval(), "Estimate")


@_drawn.register(HonestBounds)
def _(result: HonestBounds) -> "Figure":
    frame = result.frame.assign(estimate=(result.frame["identified_low"] + result.frame["identified_high"]) / 2)
    label = f"{result.target[:1].upper()}{result.target[1:]}: {result.level:.0%} intervals"
    return _intervals(
        frame, [_wrapped(text) for text in frame["restriction"]], result.estimate, result.original, label, points=False
    )


def _wrapped(text: str, width: int = 38) -> str:
    from textwrap import fill

    return fill(text, width)


def _intervals(
    frame: pd.DataFrame,
    labels: list[str],
    full: float,
    interval: tuple[float, float],
    xlabel: str,
    *,
    points: bool = True,
) -> "Figure":
    lines = sum(label.count("\n") + 1 for label in labels)
    figure = new_figure(0.9 + 0.2 * lines + 0.06 * len(labels))
    ax = figure.add_subplot()
    place = np.arange(len(frame))[::-1]
    ax.axvspan(*interval, color=BAND, alpha=0.5, linewidth=0)
    ax.axvline(full, color=SECOND, linewidth=1.0)
    ax.axvline(0, color=GREY, linewidth=0.7)
    ax.hlines(place, frame["conf_low"], frame["conf_high"], color=ACCENT, linewidth=1.4)
    if points:
        ax.plot(frame["estimate"], place, "o", color=ACCENT, markersize=3.6)
    ax.set_yticks(place, labels)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(xlabel)
    return figure


# ------------------------------------------------------------------------------------------------------- calibrations


@_drawn.register(Calibration)
def _(result: Calibration) -> "Figure":
    rows = result.frame[result.frame["effect"] == 0]
    labels = [f"{row.estimator} ({row.inference})" for row in rows.itertuples()]
    figure = new_figure(0.9 + 0.3 * len(labels))
    size, cover = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(labels))[::-1]
    for ax, column, nominal, name in (
        (size, "rejections", 1 - result.level, "Rejections of a true null"),
        (cover, "coverage", result.level, "Coverage"),
    ):
        ax.axvline(nominal, color=SECOND, linewidth=1.0, linestyle=(0, (4, 2)))
        reach = 1.96 * np.sqrt(rows[column] * (1 - rows[column]) / result.placebos)
        ax.hlines(place, rows[column] - reach, rows[column] + reach, color=BAND, linewidth=3)
        ax.plot(rows[column], place, "o", color=ACCENT, markersize=4.5)
        ax.set_xlabel(name)
        ax.tick_params(axis="y", length=0)
    size.set_xlim(left=0)
    cover.set_xlim(right=1)
    size.set_yticks(place, labels)
    return figure
