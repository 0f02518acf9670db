"""Figures from published numbers: each is drawn from data that are saved beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from analyses.ledger import translations
from crimepolicy.report.figure_words import in_words
from crimepolicy.report.language import language
from crimepolicy.report.numbers import write_numbers
from crimepolicy.report.phrases import Phrases
from crimepolicy.report.plots import draw
from crimepolicy.report.style import new_figure, save_figure, style

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes: the data drawn, its title and labels."""

    data: Data
    title: str = ""
    labels: Mapping[str, str] | None = None


def draw_figure(
    path: Path, panels: Sequence[Panel], *, columns: int = 1, height: float = 3.4, share_labels: bool = False
) -> None:
    """Draw panels in a grid, and write the figure in every language, with its data."""
    rows = -(-len(panels) // columns)
    with style():
        figure = new_figure(height)
        shares = {"height_ratios": [_share(panel) for panel in panels]} if columns == 1 else {}
        grid = figure.subplots(rows, columns, squeeze=False, sharey=share_labels, gridspec_kw=shares)
        for ax, panel in zip(grid.ravel(), panels, strict=False):
            draw(panel.data, ax, title=panel.title, **(panel.labels or {}))
        save_figure(figure, path)
        for code, phrases in _books().items():
            with in_words(figure, phrases):
                save_figure(figure, path.parent / code / path.name)
    write_numbers(path.with_suffix(".json"), {"panels": [{"title": panel.title, **panel.data} for panel in panels]})


@cache
def _books() -> dict[str, Phrases]:
    return {code: Phrases(language(code), words["phrases"]) for code, words in translations().items()}


def _share(panel: Panel) -> float:
    """Return the part of the height that a panel needs: lists of intervals by their number of lines."""
    if panel.data["kind"] != "terms":
        return 1.0
    return 1.0 + 0.3 * sum(1 + label.count("\n") for label in panel.data["label"])


def path_data(numbers: Mapping[str, Any], level: float) -> Data:
    """Return the data of an event path from published ratios."""
    months = sorted(numbers["months"], key=int)

    def log(key: str) -> list[float]:
        return [float(np.log(numbers["months"][month][key])) for month in months]

    ends = {"low": log("low"), "high": log("high"), "band_low": log("band_low"), "band_high": log("band_high")}
    return {
        "kind": "event",
        "scale": "log",
        "level": level,
        "event_time": [int(m) for m in months],
        "estimate": log("ratio"),
        **ends,
    }


def interval_data(
    rows: Mapping[str, tuple[float | None, float | None, float | None]], limits: tuple[float, float] | None = None
) -> Data:
    """Return the data of intervals of ratios by label; rows without a number stay as empty rows.

    `limits` are ratios at which the axis ends; intervals beyond are cut in the drawing, not in the data.
    """
    ends = None if limits is None else [float(np.log(end)) for end in limits]
    columns = {
        key: [None if row[k] is None else float(np.log(row[k])) for row in rows.values()]
        for k, key in enumerate(("estimate", "low", "high"))
    }
    return {
        "kind": "terms",
        "scale": "log",
        "label": list(rows),
        "limits": ends,
        **columns,
    }


def series_data(x: Sequence[float], series: Mapping[str, Sequence[float]]) -> Data:
    """Return the data of lines over time."""
    return {"kind": "series", "x": list(x), "series": {name: list(values) for name, values in series.items()}}
