import json
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from crimepolicy.errors import CrimepolicyError, DesignError, EstimationError
from crimepolicy.estimate import Estimate
from crimepolicy.report.plot_data import plot_data
from crimepolicy.report.plots import draw, plot
from crimepolicy.report.style import save_figure


def estimate(**fields):
    facts = {
        "estimand": "effect",
        "value": 0.2,
        "std_error": 0.1,
        "method": "imputation",
        "citation": "",
        "scale": "log",
    }
    return Estimate(**(facts | fields))


def path(index_name="event_time", labels=(-2, -1, 0, 1), **columns):
    frame = pd.DataFrame({"estimate": np.linspace(-0.1, 0.3, len(labels)), "std_error": 0.1, **columns})
    return frame.set_index(pd.Index(labels, name=index_name))


def psi(terms):
    rng = np.random.default_rng(0)
    return pd.DataFrame(rng.normal(0, 0.02, (25, len(terms))), columns=terms)


EVENT = estimate(path=path(), psi=psi(["att", *[f"event_time[{k}]" for k in (-2, -1, 0, 1)]]))
CASES = {
    "event": EVENT,
    "terms": estimate(path=path("window", ("short", "long"))),
    "cells": estimate(
        cells=pd.DataFrame({"group": [1, 1, 2], "time": [1, 2, 2], "estimate": [0.1, -0.3, 0.2], "std_error": 0.1})
    ),
    "null": estimate(null=pd.DataFrame({"att": np.linspace(-0.3, 0.3, 99)})),
    "draws": estimate(draws=pd.DataFrame({"att": np.random.default_rng(1).normal(0.2, 0.1, 400)})),
    "weights": estimate(weights=pd.DataFrame({"weight": [0.6, 0.4, 0.0]}, index=["a", "b", "c"])),
    "counts": estimate(path=path(observed=[np.nan, np.nan, 9.0, 8.0], expected=[np.nan, np.nan, 6.0, 7.0])),
}
NATURAL = {kind: kind for kind in CASES} | {"counts": "event"}


@pytest.mark.parametrize("kind", CASES)
def test_every_kind_is_drawn_on_the_axes_given(kind):
    ax = Figure().add_subplot()
    assert plot(CASES[kind], ax, kind=kind) is ax
    assert ax.has_data()
    assert ax.get_xlabel() or ax.get_ylabel()


@pytest.mark.parametrize("kind", CASES)
def test_the_kind_that_an_estimate_carries_is_the_default(kind):
    assert plot_data(CASES[kind])["kind"] == NATURAL[kind]


@pytest.mark.parametrize("kind", CASES)
def test_the_data_survive_json_and_draw_the_same_figure(kind, tmp_path):
    data = plot_data(CASES[kind], kind)
    back = json.loads(json.dumps(data))
    for name, drawn in (("a", data), ("b", back)):
        save_figure(draw(drawn).figure, tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a.svg").read_bytes()


def test_intervals_drawn_are_those_of_the_estimate():
    data = plot_data(EVENT, level=0.9)
    assert data["low"][2] == pytest.approx(EVENT.interval(0.9, "event_time[0]")[0])
    assert data["band_low"][2] == pytest.approx(EVENT.band(0.9).loc[0, "conf_low"])
    bars: LineCollection = plot(EVENT).collections[1]
    assert bars.get_segments()[0][:, 1] == pytest.approx(EVENT.interval(0.95, "event_time[-2]"))


def test_months_before_treatment_are_hollow():
    before, after = plot(EVENT).lines[:2]
    assert before.get_markerfacecolor() == "white"
    assert list(after.get_xdata()) == [0, 1]


def test_log_effects_read_as_percentages():
    wide = estimate(path=path("window", ("a", "b")).assign(estimate=[-0.69, 0.69], std_error=0.3))
    labels = [text.get_text() for text in plot(wide).get_xticklabels()]
    assert {"\u221250%", "0", "+100%"} <= set(labels)


def test_labels_of_a_narrow_axis_keep_their_distance():
    figure = Figure(figsize=(1.6, 2))
    ax = plot(estimate(path=path("window", ("a", "b")).assign(std_error=0.8)), figure.add_subplot())
    places = np.sort(ax.get_xticks())
    width = 1.6 * ax.get_position().width
    low, high = ax.get_xlim()
    assert np.diff(places).min() / (high - low) * width > 0.3


def test_the_histogram_counts_every_placebo_and_shows_the_observed():
    data = plot_data(estimate(value=2.0, null=pd.DataFrame({"att": np.linspace(-0.3, 0.3, 99)})))
    assert sum(data["count"]) == data["n"] == 99
    assert data["edges"][-1] >= 2.0
    assert data["p_value"] == pytest.approx(estimate(value=2.0).p_value())


def test_the_largest_weights_come_first():
    data = plot_data(estimate(weights=pd.DataFrame({"weight": np.r_[np.arange(30.0), -99.0]})))
    assert data["weight"][:3] == [-99.0, 29.0, 28.0]
    assert len(data["weight"]) == 20
    assert data["n"] == 31


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("cells", EstimationError),
        ("null", EstimationError),
        ("draws", EstimationError),
        ("weights", EstimationError),
        ("counts", EstimationError),
        ("pie", DesignError),
    ],
)
def test_what_is_not_there_is_an_error_that_says_so(kind, error):
    with pytest.raises(error):
        plot_data(EVENT, kind)


def test_unknown_terms_are_named():
    with pytest.raises(CrimepolicyError, match="no term 'event_time"):
        plot_data(CASES["null"], term="event_time[9]")


def test_the_users_own_settings_are_left_alone():
    before = dict(mpl.rcParams)
    plot(EVENT)
    assert dict(mpl.rcParams) == before


def test_an_estimate_plots_itself():
    assert EVENT.plot().has_data()


def test_limits_cut_the_drawing_and_not_the_data():
    data = {
        "kind": "terms",
        "scale": "log",
        "label": ["a", "b"],
        "estimate": [0.1, None],
        "low": [-9.0, None],
        "high": [9.0, None],
        "limits": [-1.0, 1.0],
    }
    ax = draw(data)
    assert ax.get_xlim() == (-1.0, 1.0)
    assert data["low"][0] == -9.0


def test_labels_of_the_axis_are_spaced_for_its_limits_and_not_for_short_intervals():
    data = {"kind": "terms", "scale": "log", "label": ["a"], "estimate": [0.1], "low": [-0.3], "high": [0.7]}
    wide = float(np.log(5))
    ax = draw(data | {"limits": [-wide, wide]}, Figure(figsize=(3.0, 2.0)).add_subplot())
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert len(boxes) >= 3
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_series_have_a_legend():
    ax = draw({"kind": "series", "x": [1, 2], "series": {"here": [3.0, 4.0], "there": [1.0, 2.0]}})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["here", "there"]


def test_a_map_fills_each_outline_with_the_shade_of_its_class():
    square = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    shapes = [[[x + 2 * k, y - 22.9] for x, y in square] for k in range(3)]
    data = {"kind": "map", "shapes": shapes, "level": [0, 2, 1], "classes": ["none", "some", "much"]}
    ax = draw(data, Figure().add_subplot())
    (outlines,) = ax.collections
    assert [len(outline.vertices) - 1 for outline in outlines.get_paths()] == [4, 4, 4]
    light = outlines.get_facecolor()[:, :3].sum(axis=1)
    assert light[0] > light[2] > light[1]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == data["classes"]
    # A degree of longitude is shorter than one of latitude away from the equator.
    assert ax.get_aspect() == pytest.approx(1 / np.cos(np.radians(22.4)), rel=0.01)
