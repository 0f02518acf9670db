"""Switching effects: published numbers, a brute-force twin, invariances."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crimepolicy.did.switching import switching_effects
from crimepolicy.errors import DesignError
from crimepolicy.panel import Panel

# The packages compute plain sums; their numbers hold 15 digits.
REFERENCE = 1e-9


def load(dataset: str, path: Any) -> Panel:
    frame = pd.read_csv(path)
    if dataset == "mpdta":
        return Panel.from_frame(frame, unit="countyreal", time="year", outcome="lemp", first_treated="first.treat")
    return Panel.from_frame(frame, unit="id", time="time", outcome="Y", treated="D")


CASES = [
    ("mpdta", "base"),
    ("mpdta", "norm"),
    ("mpdta", "same"),
    ("mpdta", "only_never"),
    ("fect_simdata", "base"),
    ("fect_simdata", "sw_in"),
]


@pytest.mark.parametrize(("dataset", "spec"), CASES)
def test_equals_did_multiplegt_dyn(dataset: str, spec: str, reference_data: Any, reference: Any) -> None:
    panel = load(dataset, reference_data(dataset))
    published = reference(f"{dataset}_switching")["specs"][spec]
    asked = published["options"]
    found = switching_effects(
        panel,
        effects=asked["effects"],
        placebos=asked["placebo"],
        normalized=asked.get("normalized", False),
        same_switchers=asked.get("same_switchers", False),
        control="never" if asked.get("only_never_switchers") else "not_yet",
        direction="on" if asked.get("switchers") == "in" else "both",
    )
    after = found.path.loc[0:]
    np.testing.assert_allclose(after["estimate"], published["effects"]["estimate"], rtol=REFERENCE)
    np.testing.assert_allclose(after["std_error"], published["effects"]["std_error"], rtol=REFERENCE)
    assert after["n_switchers"].tolist() == published["effects"]["switchers"]
    assert found.value == pytest.approx(published["average"]["estimate"], rel=REFERENCE)
    assert found.std_error == pytest.approx(published["average"]["std_error"], rel=REFERENCE)
    if "placebos" in published:
        before = found.path.loc[:-2].iloc[::-1]
        np.testing.assert_allclose(before["estimate"], published["placebos"]["estimate"], rtol=REFERENCE)
        np.testing.assert_allclose(before["std_error"], published["placebos"]["std_error"], rtol=REFERENCE)


@pytest.mark.parametrize("dataset", ["mpdta", "fect_simdata"])
def test_equals_did_m_of_did_multiplegt(dataset: str, reference_data: Any, reference: Any) -> None:
    published = reference(f"{dataset}_switching")["did_m"]
    found = switching_effects(load(dataset, reference_data(dataset)), switchers="all", effects=3, placebos=1)
    np.testing.assert_allclose(found.path.loc[0:, "estimate"], published["effects"], rtol=REFERENCE)
    assert found.path.loc[0:, "n_switchers"].tolist() == published["switchers"]
    # The package reports the placebo as change into the reference period, here it is relative to that period.
    assert found.path.loc[-2, "estimate"] == pytest.approx(-published["placebo"], rel=REFERENCE)
    assert found.value == found.path.loc[0, "estimate"]


# -------------------------------------------------------------------- twins and invariances


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(4)
    D = np.zeros((30, 12), dtype=bool)
    D[20:] = True
    for i in (*range(10), *range(20, 24)):
        for t in np.sort(rng.choice(np.arange(2, 12), size=2, replace=False)):
            D[i, t:] = ~D[i, t]
    Y = rng.normal(size=D.shape) + D
    return Panel(Y=Y, D=D, units=pd.Index([f"u{i:02d}" for i in range(30)]), periods=pd.RangeIndex(12))


def test_did_m_equals_a_loop_over_cells(panel: Panel) -> None:
    gaps = []
    for t in range(1, 12):
        for i in range(30):
            old = panel.D[i, t - 1]
            stable = [j for j in range(30) if panel.D[j, t - 1] == panel.D[j, t] == old]
            if panel.D[i, t] != old and stable:
                change = panel.Y[:, t] - panel.Y[:, t - 1]
                gaps.append((change[i] - change[stable].mean()) * (-1 if old else 1))
    found = switching_effects(panel, switchers="all")
    assert found.value == pytest.approx(np.mean(gaps), rel=REFERENCE)
    assert found.path.loc[0, "n_switchers"] == len(gaps)


@pytest.mark.parametrize("switchers", ["first", "all"])
def test_on_and_off_add_up_to_both(panel: Panel, switchers: Any) -> None:
    both, on, off = (
        switching_effects(panel, switchers=switchers, effects=2, direction=d) for d in ("both", "on", "off")
    )
    total = sum(e.path["estimate"] * e.path["n_switchers"] for e in (on, off))
    np.testing.assert_allclose(total, both.path["estimate"] * both.path["n_switchers"], rtol=REFERENCE)


def test_the_average_carries_the_covariance_of_its_parts(panel: Panel) -> None:
    found = switching_effects(panel, effects=3)
    psi = found.psi
    weight = found.path["n_switchers"].to_numpy()
    combined = psi.iloc[:, 1:].to_numpy() @ weight
    assert found.std_error / found.value == pytest.approx(
        np.sqrt((combined**2).sum()) / (weight @ found.path["estimate"]), rel=REFERENCE
    )
    apart = np.sqrt(((weight * found.path["std_error"]) ** 2).sum()) / abs(weight @ found.path["estimate"])
    assert abs(apart / (found.std_error / abs(found.value)) - 1) > 0.01


@pytest.mark.parametrize("switchers", ["first", "all"])
def test_shocks_and_order_do_not_matter(panel: Panel, switchers: Any) -> None:
    rng = np.random.default_rng(1)
    options = {"switchers": switchers, "effects": 2, "placebos": 1}
    shocked = panel.with_outcome(panel.Y + rng.normal(size=(30, 1)) + rng.normal(size=12))
    order = rng.permutation(30)
    moved = replace(panel, Y=panel.Y[order], D=panel.D[order], units=panel.units[order])
    plain = switching_effects(panel, **options)
    for other in (shocked, moved):
        found = switching_effects(other, **options)
        np.testing.assert_allclose(found.path, plain.path, rtol=1e-8, atol=1e-12)
        assert found.std_error == pytest.approx(plain.std_error, rel=1e-8)


def test_missing_outcomes_are_counted_and_refits_agree(panel: Panel) -> None:
    Y = panel.Y.copy()
    Y[3, 4] = np.nan
    found = switching_effects(panel.with_outcome(Y), effects=2)
    assert {c.name for c in found.checks} >= {"missing_cells"}
    assert found.refit(panel.with_outcome(Y)).value == found.value
    assert switching_effects(panel.with_outcome(Y), effects=2, variance="none").value == found.value


def test_errors_say_what_to_do(panel: Panel) -> None:
    with pytest.raises(DesignError, match="No unit changes treatment"):
        switching_effects(panel.untreated())
    with pytest.raises(DesignError, match="goes with switchers='first'"):
        switching_effects(panel, switchers="all", control="never")
    with pytest.raises(DesignError, match="should be 1 or more"):
        switching_effects(panel, effects=0)
