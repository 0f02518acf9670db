"""Plots of an estimate, of every kind, on axes of one's own."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.report.plot_data import Data, Kind, plot_data
from crimepolicy.report.style import ACCENT, BAND, GREY, INK, SECOND, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw", "plot"]

_HEIGHTS: dict[str, float] = {
    "event": 3.5,
    "counts": 3.2,
    "series": 3.2,
    "null": 2.9,
    "draws": 2.9,
    "cells": 4.2,
    "events": 3.8,
    "prior_predictive": 3.2,
    "posterior_predictive": 3.2,
}
# Ratios that read as round percentages, in the order in which they deserve a label.
_RATIOS = (1.0, 2.0, 0.5, 1.5, 0.75, 3.0, 0.25, 5.0, 0.1, 10.0, 0.9, 1.25, 1.1, 20.0, 0.05, 50.0, 0.02)
_LABEL_WIDTH, _LABEL_HEIGHT = 0.52, 0.26
"""Inches that a label of an axis needs for itself."""


def plot(
    estimate: Estimate,
    ax: "Axes | None" = None,
    *,
    kind: Kind | None = None,
    term: str = HEADLINE,
    level: float = 0.95,
    title: str = "",
    xlabel: str | None = None,
    ylabel: str | None = None,
    names: Mapping[str, str] | None = None,
) -> "Axes":
    """Draw an estimate and return the axes.

    An event path has thin bars for pointwise intervals and a pale band that covers the whole path at once; hollow points lie before
    the treatment. Log effects are drawn as percentages on a logarithmic axis. Everything stays readable in grey.

    Parameters
    ----------
    estimate : Estimate
        Any.
    ax : matplotlib.axes.Axes, optional
        Where to draw; a new figure by default.
    kind : {"event", "terms", "cells", "null", "draws", "weights", "counts", ...}, optional
        By default what the estimate carries first: path, cells, placebo distribution, posterior, weights. `plot_data` lists all kinds,
        those of a Bayesian fit (``"events"``, ``"prior"``, ``"posterior_predictive"``) and of a synthesis (``"forest"``) among them.
    term : str
        The term whose distribution is shown (kinds null and draws).
    level : float
        Coverage of the intervals.
    title, xlabel, ylabel : str
        Texts; the labels have defaults.
    names : mapping of str to str, optional
        Other words for terms and labels.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    EstimationError
        Where the estimate does not carry what the kind shows.

    Examples
    --------
    >>> import pandas as pd
    >>> null = pd.DataFrame({"att": [-0.1, 0.0, 0.2]})
    >>> effect = Estimate(estimand="effect", value=0.5, std_error=float("nan"), method="", citation="", null=null)
    >>> plot(effect).get_xlabel()
    'Estimate where nothing happened'
    """
    data = plot_data(estimate, kind, term=term, level=level)
    labels = {key: text for key, text in {"xlabel": xlabel, "ylabel": ylabel}.items() if text is not None}
    return draw(data, ax, title=title, names=names, **labels)


def draw(
    data: Data,
    ax: "Axes | None" = None,
    *,
    title: str = "",
    names: Mapping[str, str] | None = None,
    **labels: str,
) -> "Axes":
    """Draw the data of a plot, as `plot_data` returns them or as they were saved beside a figure.

    Beside the kinds of `plot`, ``{"kind": "series", "x": [...], "series": {"name": [...]}}`` draws up to three lines;
    ``"marks": [[x, label], ...]`` adds dated lines and
    ``"ticks": [x, ...]`` short strokes at the foot. ``{"kind": "map", "shapes": [[[lon, lat], ...]], "level": [...], "classes": [...]}``
    fills outlines with shades by class.
    """
    with style():
        axes = ax if ax is not None else _new_axes(data)
        words = dict(names or {})
        shown = data | ({"label": [words.get(label, label) for label in data["label"]]} if "label" in data else {})
        _DRAWERS[data["kind"]](axes, shown)
        axes.set(**labels)
        if title:
            axes.set_title(title, loc="left", color=INK, pad=_above_legend(axes))
    return axes


def _new_axes(data: Data) -> "Axes":
    height = _HEIGHTS.get(data["kind"], 0.9 + 0.3 * len(data.get("label", ())))
    return new_figure(height).add_subplot()


# --------------------------------------------------------------------------------------------------------------- paths


def _event(ax: "Axes", data: Data) -> None:
    time = np.asarray(data["event_time"], dtype=float)
    value, low, high = (np.asarray(data[key], dtype=float) for key in ("estimate", "low", "high"))
    if data["band_low"] is not None:
        lower, upper = (np.asarray(data[key], dtype=float) for key in ("band_low", "band_high"))
        ax.fill_between(
            time, lower, upper, color=BAND, linewidth=0, label=f"{data['level']:.0%} band for the whole path"
        )
    if np.isfinite(low).any():
        name = f"{data['level']:.0%} interval" + (", point by point" if len(time) > 24 else "")
        ax.vlines(time, low, high, color=ACCENT, linewidth=0.9, label=name)
    before = time < 0
    ax.plot(
        time[before],
        value[before],
        "o",
        markersize=3.4,
        markerfacecolor="white",
        markeredgecolor=ACCENT,
        markeredgewidth=0.9,
    )
    ax.plot(time[~before], value[~before], "o", markersize=3.4, color=ACCENT)
    ax.axvline(-0.5, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    # Estimates without an interval, such as a synthetic control before its placebos, still need an axis.
    _effect_axis(ax, data["scale"], np.fmin(low, value), np.fmax(high, value), "y")
    _whole_ticks(ax)
    ax.set_xlabel("Periods since the start of treatment")
    _legend_above(ax)
    ax.margins(x=0.02)


def _counts(ax: "Axes", data: Data) -> None:
    time, observed, expected = (np.asarray(data[key], dtype=float) for key in ("event_time", "observed", "expected"))
    ax.plot(time, observed, color=ACCENT, marker="o", markersize=3, label="observed")
    ax.plot(time, expected, color=SECOND, linestyle=(0, (4, 2)), label="expected without treatment")
    ax.fill_between(time, observed, expected, color=BAND, linewidth=0)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("Periods since the start of treatment")
    ax.set_ylabel("Events")
    _legend_above(ax)


def _series(ax: "Axes", data: Data) -> None:
    looks: tuple[dict[str, Any], ...] = (
        {"color": ACCENT, "marker": "o", "markersize": 2.6},
        {"color": SECOND, "linestyle": (0, (4, 2))},
        {"color": GREY, "linestyle": (0, (1, 1))},
    )
    for look, (name, values) in zip(looks, data["series"].items(), strict=False):
        ax.plot(data["x"], np.asarray(values, dtype=float), label=name, **look)
    ax.set_ylim(bottom=0)
    ax.margins(x=0.02)
    _whole_ticks(ax)
    if data.get("ticks"):
        ax.plot(data["ticks"], [0.02] * len(data["ticks"]), "|", color=SECOND, markersize=7, transform=ax.get_xaxis_transform())  # fmt: skip
    for place, label in data.get("marks", ()):
        ax.axvline(place, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
        top = ax.get_xaxis_transform()
        ax.annotate(label, (place, 0.98), xycoords=top, xytext=(3, 0), textcoords="offset points", rotation=90, va="top", fontsize=7.5, color=GREY)  # fmt: skip
    if len(data["series"]) > 1:
        _legend_above(ax)
    else:
        ax.set_ylabel(next(iter(data["series"])))


def _whole_ticks(ax: "Axes") -> None:
    """Put ticks at whole years and periods; there is no half one."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def _above_legend(ax: "Axes") -> float | None:
    """Return the distance in points at which a title stands above the legend; None where there is no legend."""
    legend = ax.get_legend()
    return None if legend is None else 6 + 13.5 * -(-len(legend.get_texts()) // 2)


def _legend_above(ax: "Axes") -> None:
    if not ax.get_legend_handles_labels()[0]:
        return
    # Above the axes a legend hides no number, however the path runs.
    ax.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=2, fontsize=8.5, handlelength=1.4, columnspacing=1.4
    )


# --------------------------------------------------------------------------------------------------------------- terms


def _terms(ax: "Axes", data: Data) -> None:
    place = np.arange(len(data["label"]))[::-1]
    value, low, high = (np.asarray(data[key], dtype=float) for key in ("estimate", "low", "high"))
    ax.hlines(place, low, high, color=ACCENT, linewidth=1.6)
    ax.plot(value, place, "o", color=ACCENT, markersize=5)
    ax.set_yticks(place, data["label"])
    for label in ax.get_yticklabels():
        label.set_multialignment("right")
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.6, len(place) - 0.4)
    ax.spines["left"].set_visible(False)
    low, high = np.fmin(low, value), np.fmax(high, value)
    if data.get("limits"):
        # Intervals of single cases can be a hundred times wider than the rest.
        ax.set_xlim(data["limits"])
        low, high = (np.asarray(end) for end in data["limits"])
    figure = ax.get_figure(root=True)
    if figure is not None:
        # Long labels narrow the axes, and how many ticks fit is known only then.
        figure.draw_without_rendering()
    _effect_axis(ax, data["scale"], low, high, "x")


def _weights(ax: "Axes", data: Data) -> None:
    place = np.arange(len(data["label"]))[::-1]
    weight = np.asarray(data["weight"], dtype=float)
    ax.hlines(place, 0, weight, color=BAND, linewidth=3)
    ax.plot(weight, place, "o", color=ACCENT, markersize=4.5)
    ax.axvline(0, color=GREY, linewidth=0.7)
    ax.set_yticks(place, data["label"])
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(f"Weight (the {len(place)} largest of {data['n']:,})" if data["n"] > len(place) else "Weight")


def _cells(ax: "Axes", data: Data) -> None:
    groups, times = list(dict.fromkeys(data["group"])), sorted(dict.fromkeys(data["time"]))
    value = np.asarray(data["estimate"], dtype=float)
    size = 160 * np.abs(value) / max(float(np.nanmax(np.abs(value))), 1e-12)
    x, y = [times.index(t) for t in data["time"]], [len(groups) - 1 - groups.index(g) for g in data["group"]]
    # Area is the size of the effect; filled or hollow is its sign, so that it survives a grey printer.
    ax.scatter(x, y, s=size, facecolors=np.where(value > 0, ACCENT, "white"), edgecolors=ACCENT, linewidths=0.9)
    _sparse_ticks(ax, times, groups)
    ax.set_xlabel("Period (filled: increase, hollow: decrease; area: size)")
    ax.set_ylabel("First treated")


def _sparse_ticks(ax: "Axes", times: Sequence[str], groups: Sequence[str]) -> None:
    across, down = max(1, len(times) // 8), max(1, len(groups) // 16)
    ax.set_xticks(range(0, len(times), across), times[::across])
    ax.set_yticks([len(groups) - 1 - i for i in range(0, len(groups), down)], groups[::down])
    ax.set_ylim(-0.8, len(groups) - 0.2)


# ------------------------------------------------------------------------------------------------------- distributions


def _null(ax: "Axes", data: Data) -> None:
    _bars(ax, data)
    ax.axvline(data["observed"], color=SECOND, linewidth=2)
    top = max(data["count"])
    right = data["observed"] > (data["edges"][0] + data["edges"][-1]) / 2
    p = data["p_value"]
    text = "observed" if p is None or np.isnan(p) else f"observed\np = {p:.3f}"
    offset, align = ((-6, 0), "right") if right else ((6, 0), "left")
    ax.annotate(
        text,
        (data["observed"], 1.02 * top),
        xytext=offset,
        textcoords="offset points",
        va="top",
        ha=align,
        color=SECOND,
        fontsize=9,
    )
    _effect_ticks(ax, data["scale"], data["edges"][0], data["edges"][-1], "x")
    ax.set_xlabel("Estimate where nothing happened")
    ax.set_ylabel(f"Count of {data['n']:,}")


def _draws(ax: "Axes", data: Data) -> None:
    _bars(ax, data)
    ax.plot([data["low"], data["high"]], [0, 0], color=ACCENT, linewidth=4, solid_capstyle="butt", clip_on=False)
    ax.plot([data["estimate"]], [0], "o", color=ACCENT, markersize=7, clip_on=False)
    _effect_axis(ax, data["scale"], np.array([data["edges"][0]]), np.array([data["edges"][-1]]), "x")
    ax.set_ylabel(f"Count of {data['n']:,} draws")


def _bars(ax: "Axes", data: Data) -> None:
    edges = np.asarray(data["edges"])
    ax.bar(edges[:-1], data["count"], width=np.diff(edges), align="edge", color=BAND, edgecolor="white", linewidth=0.4)
    ax.set_ylim(bottom=0)


# ----------------------------------------------------------------------------------------------------------- posteriors


def _events(ax: "Axes", data: Data) -> None:
    time, common = np.asarray(data["event_time"], dtype=float), np.asarray(data["estimate"], dtype=float)
    low, high = (np.asarray(data[key], dtype=float) for key in ("next_low", "next_high"))
    ax.fill_between(time, low, high, color=BAND, linewidth=0, label=f"{data['level']:.0%} band for the next event")
    paths = np.asarray(data["paths"], dtype=float)
    for i, path in enumerate(paths):
        label = f"each of {len(paths)} events, shrunk" if i == 0 else None
        ax.plot(time, path, color=GREY, linewidth=0.6, alpha=0.7, label=label)
    ax.vlines(time, data["low"], data["high"], color=ACCENT, linewidth=0.9)
    ax.plot(time, common, color=ACCENT, linewidth=2, label=f"common path, {data['level']:.0%} interval")
    ax.axvline(-0.5, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    _effect_axis(ax, data["scale"], np.fmin(low, np.nanmin(paths)), np.fmax(high, np.nanmax(paths)), "y")
    ax.set_xlabel("Periods since the start of treatment")
    _legend_above(ax)
    ax.margins(x=0.02)


def _prior(ax: "Axes", data: Data) -> None:
    place = np.arange(len(data["label"]))[::-1]
    ax.hlines(
        place, data["prior_low"], data["prior_high"], color=BAND, linewidth=7, label=f"prior, {data['level']:.0%}"
    )
    ax.hlines(place, data["low"], data["high"], color=ACCENT, linewidth=1.8, label=f"posterior, {data['level']:.0%}")
    ax.plot(data["estimate"], place, "o", color=ACCENT, markersize=4.5)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks(place, data["label"])
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("Value, in the units of the parameter")
    _legend_above(ax)


def _predictive(ax: "Axes", data: Data) -> None:
    x, low, high = np.arange(len(data["period"])), np.asarray(data["low"]), np.asarray(data["high"])
    source = "prior" if data["kind"] == "prior_predictive" else "fitted model"
    ax.fill_between(x, low, high, color=BAND, linewidth=0, label=f"{data['level']:.0%} of what the {source} would show")
    ax.plot(x, data["observed"], color=ACCENT, linewidth=1.2, label="seen")
    if data["kind"] == "prior_predictive" and low.min() >= 0:
        # A prior spans orders of magnitude; on a plain axis what was seen would be a flat line.
        ax.set_yscale("symlog", linthresh=max(1.0, float(np.mean(data["observed"]))))
    step = max(1, len(x) // 6)
    ax.set_xticks(x[::step], data["period"][::step])
    ax.set_ylabel("Outcome, all units")
    _legend_above(ax)
    ax.margins(x=0.02)


def _forest(ax: "Axes", data: Data) -> None:
    place = np.arange(len(data["label"]))[::-1] + 1
    mean, low, high = data["mean"]
    ax.axvspan(*data["next"], color=BAND, alpha=0.5, linewidth=0, label="next event")
    ax.hlines(place, data["low"], data["high"], color=GREY, linewidth=1.2)
    ax.plot(
        data["estimate"], place, "o", markersize=4.5, markerfacecolor="white", markeredgecolor=GREY, label="by itself"
    )
    ax.plot(data["shrunken"], place, "o", markersize=4.5, color=ACCENT, label="shrunk to the mean")
    ax.fill([low, mean, high, mean], [0, 0.28, 0, -0.28], color=SECOND, linewidth=0, label="mean")
    ax.set_yticks([*place, 0], [*data["label"], "mean"])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(-0.7, len(place) + 0.6)
    ax.spines["left"].set_visible(False)
    _effect_axis(ax, data["scale"], np.array(data["low"]), np.array(data["high"]), "x")
    _legend_above(ax)


def _map(ax: "Axes", data: Data) -> None:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    # Shades of one colour, so that the order survives a grey printer.
    steps = np.linspace(0, 1, len(data["classes"]))
    red, green, blue = to_rgb(ACCENT)
    shades = [(1 - s * (1 - red), 1 - s * (1 - green), 1 - s * (1 - blue)) for s in steps.tolist()]
    shapes = [np.asarray(shape, dtype=float) for shape in data["shapes"]]
    fills = [shades[level] for level in data["level"]]
    ax.add_collection(PolyCollection(shapes, facecolors=fills, edgecolors=GREY, linewidths=0.5))
    ax.autoscale_view()
    ax.set_aspect(1 / np.cos(np.radians(np.mean([shape[:, 1].mean() for shape in shapes]))))
    ax.set_axis_off()
    patches = [Patch(facecolor=shade, edgecolor=GREY, linewidth=0.5) for shade in shades]
    ax.legend(patches, data["classes"], loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=len(patches), fontsize=8.5, handlelength=1.2)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------- axes


def _effect_axis(ax: "Axes", scale: str, low: Any, high: Any, which: str) -> None:
    none = 1.0 if scale == "ratio" else 0.0
    (ax.axhline if which == "y" else ax.axvline)(none, color=INK, linewidth=0.8)
    _effect_ticks(ax, scale, float(np.nanmin(low)), float(np.nanmax(high)), which)
    text = "Effect" if scale == "level" else "Difference from expected"
    (ax.set_ylabel if which == "y" else ax.set_xlabel)(text)


def _effect_ticks(ax: "Axes", scale: str, low: float, high: float, which: str) -> None:
    """Label log effects and ratios as percentages."""
    if scale == "level":
        return
    axis = ax.yaxis if which == "y" else ax.xaxis
    if scale == "ratio":
        (ax.set_yscale if which == "y" else ax.set_xscale)("log")
        axis.set_minor_locator(_no_ticks())
    ends = (low, high) if scale == "log" else (float(np.log(low)), float(np.log(high)))
    ratios = sorted(_spaced_ratios(ax, min(*ends, 0.0), max(*ends, 0.0), which))
    axis.set_ticks(
        [np.log(ratio) if scale == "log" else ratio for ratio in ratios], [_percent(ratio) for ratio in ratios]
    )


def _spaced_ratios(ax: "Axes", low: float, high: float, which: str) -> list[float]:
    """Return the ratios to label: within the axis, and far enough apart to be read."""
    box, figure = ax.get_position(), ax.get_figure(root=True)
    whole = (WIDTH, WIDTH) if figure is None else (figure.get_figwidth(), figure.get_figheight())
    size = box.width * whole[0] if which == "x" else box.height * whole[1]
    apart = (high - low) / size * (_LABEL_WIDTH if which == "x" else _LABEL_HEIGHT)
    chosen: list[float] = []
    for ratio in _RATIOS:
        place = float(np.log(ratio))
        if low - apart / 3 <= place <= high + apart / 3 and all(
            abs(place - np.log(other)) >= apart for other in chosen
        ):
            chosen.append(ratio)
    return chosen


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _percent(ratio: float) -> str:
    change = round(100 * (ratio - 1))
    return "0" if change == 0 else f"{change:+,}%".replace("-", "\u2212")


_DRAWERS: dict[str, Callable[["Axes", Data], None]] = {
    "event": _event,
    "terms": _terms,
    "cells": _cells,
    "null": _null,
    "draws": _draws,
    "weights": _weights,
    "counts": _counts,
    "series": _series,
    "events": _events,
    "prior": _prior,
    "prior_predictive": _predictive,
    "posterior_predictive": _predictive,
    "forest": _forest,
    "map": _map,
}
