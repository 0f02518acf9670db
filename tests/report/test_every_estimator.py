"""Every estimator's estimate plots itself on given axes, and becomes a table of every format."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import crimepolicy as cp
from crimepolicy.cli.estimators import list_estimators
from crimepolicy.report.plot_data import plot_data
from crimepolicy.report.style import ACCENT, BAND, GREY, INK, SECOND
from crimepolicy.report.tables import table

QUICK = {"draws": 100, "tune": 100, "chains": 1}
OPTIONS: dict[str, dict[str, Any]] = {
    "bayesian_event_study": {"window": (-2, 4), **QUICK},
    "bayesian_synthetic_control": QUICK,
    "dose_response": {"bins": 1},
    "factor_model": {"rank": 1, "draws": 20},
    "spillover_effects": {"exposure": "neighbours"},
    "stacked_event_study": {"window": (-3, 3)},
    "switching_effects": {"effects": 2, "placebos": 1},
    "synthetic_did": {"draws": 20},
}
ONE_TREATED = {"synthetic_control", "augmented_synthetic_control", "synthetic_did", "bayesian_synthetic_control"}
COLUMNS = ["b", "se", "t", "p", "ci95l", "ci95u"]


def panel(one: bool) -> cp.Panel:
    """Twelve towns by sixteen months; one treated from the ninth, or four from the seventh and the ninth."""
    rng = np.random.default_rng(4)
    n, t = 12, 16
    counts = rng.poisson(20 + 2 * np.arange(n)[:, None] + rng.normal(0, 1, t))
    start = np.full(n, t)
    start[: 1 if one else 4] = [8] if one else [6, 6, 8, 8]
    frame = pd.DataFrame(
        {
            "town": np.repeat([f"t{i:02d}" for i in range(n)], t),
            "month": np.tile(pd.period_range("2010-01", periods=t, freq="M").astype(str), n),
            "deaths": counts.ravel(),
            "people": 50_000.0,
            "dose": (np.arange(t) >= start[:, None]).ravel() * 0.5,
        }
    )
    pairs = pd.DataFrame({"unit": ["t00", "t01"], "neighbour": ["t05", "t06"]})
    return cp.Panel.from_frame(
        frame, unit="town", time="month", outcome="deaths", population="people", dose="dose", neighbours=pairs, name="towns"
    )  # fmt: skip


def estimated(method: str) -> cp.Estimate:
    found: cp.Estimate = getattr(cp, method)(panel(method in ONE_TREATED), **OPTIONS.get(method, {}))
    return found


METHODS = [pytest.param(name, marks=[pytest.mark.bayes] * name.startswith("bayesian")) for name in list_estimators()]


@pytest.mark.parametrize("method", METHODS)
def test_an_estimate_is_drawn_and_tabulated(method: str) -> None:
    effect = estimated(method)
    ax = Figure().add_subplot()
    assert effect.plot(ax=ax) is ax
    assert ax.has_data()
    assert ax.get_xlabel() or ax.get_ylabel()
    shown = plot_data(effect)
    assert shown["method"] == effect.method
    for format in ("html", "latex", "typst", "markdown"):
        assert effect.method.split(" ")[0] in table(effect, format=format, title="Towns")
    coefficients = effect.__maketables_coef_table__
    assert list(coefficients.columns) == COLUMNS
    assert coefficients["b"].iloc[0] == effect.value


@pytest.mark.parametrize("method", ["synthetic_control", "augmented_synthetic_control"])
def test_a_placebo_distribution_is_drawn_too(method: str) -> None:
    effect = cp.placebo_test(estimated(method))
    assert effect.plot(ax=Figure().add_subplot(), kind="null").get_xlabel() == "Estimate where nothing happened"


# ------------------------------------------------------------------------------------------------------------- colours

# From linear red, green and blue to what somebody without long- or middle-wave cones sees (Vienot, Brettel and Mollon 1999).
BLIND = {
    "protan": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deutan": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


def linear(colour: str) -> Any:
    value = np.array(to_rgb(colour))
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(first: Any, second: Any) -> float:
    """Return the ratio of luminances as the accessibility guidelines define it."""
    bright, dark = sorted((float(LUMINANCE @ first), float(LUMINANCE @ second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("eye", ["typical", "grey", *BLIND])
@pytest.mark.parametrize("colour", [ACCENT, SECOND, GREY, INK])
def test_what_carries_meaning_stands_out_from_paper_for_every_eye(colour: str, eye: str) -> None:
    seen = linear(colour) if eye in ("typical", "grey") else np.clip(np.array(BLIND[eye]) @ linear(colour), 0, 1)
    assert contrast(seen, linear("#ffffff")) > 3


@pytest.mark.parametrize("eye", ["typical", "grey", *BLIND])
def test_the_two_colours_of_a_figure_differ_for_every_eye(eye: str) -> None:
    pair = [linear(colour) for colour in (ACCENT, SECOND)]
    if eye in BLIND:
        pair = [np.clip(np.array(BLIND[eye]) @ colour, 0, 1) for colour in pair]
    apart = contrast(*pair) if eye == "grey" else float(np.abs(pair[0] - pair[1]).max())
    assert apart > (1.3 if eye == "grey" else 0.1)
    assert contrast(linear(ACCENT), linear(BAND)) > 4
