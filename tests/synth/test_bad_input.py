"""Panels that cannot be estimated are refused with what, where and what to do; odd ones that can be are estimated."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crimepolicy.errors import CrimepolicyError, DesignError, InferenceError
from crimepolicy.panel import Panel
from crimepolicy.synth.augmented import augmented_synthetic_control
from crimepolicy.synth.factor_model import factor_model
from crimepolicy.synth.prediction_intervals import prediction_intervals
from crimepolicy.synth.synthetic_control import synthetic_control
from crimepolicy.synth.synthetic_did import synthetic_did

Make = Callable[..., Panel]
WEIGHTED = (synthetic_control, augmented_synthetic_control, synthetic_did)


def holed(panel: Panel, rows: list[int]) -> Panel:
    Y = panel.Y.copy()
    Y[rows, 3] = np.nan
    return panel.with_outcome(Y)


@pytest.mark.parametrize("estimator", WEIGHTED)
def test_no_donor_says_why_and_what_to_do(simulated: Make, estimator: Any) -> None:
    panel = simulated(n_units=4)
    with pytest.raises(DesignError, match=r"3 are incomplete.*factor_model"):
        estimator(holed(panel, [1, 2, 3]))
    with pytest.raises(DesignError, match="Shorten exclude"):
        estimator(panel, exclude=panel.units[1:].tolist())
    with pytest.raises(DesignError, match=r"0 never treated.*group_time_effects"):
        estimator(simulated(n_units=3, starts=(8, 9, 10)))
    with pytest.raises(DesignError, match=r"missing cells: u00 \(1\)"):
        estimator(holed(panel, [0]))


def test_the_variance_that_is_offered_instead_exists(simulated: Make) -> None:
    one, two = simulated(n_units=2), simulated(n_units=4, starts=(9, 9))
    with pytest.raises(InferenceError, match="variance='none'"):
        synthetic_did(one)
    assert np.isfinite(synthetic_did(one, variance="none").value)
    with pytest.raises(InferenceError, match="variance='jackknife'"):
        synthetic_did(two)
    assert synthetic_did(two, variance="jackknife").std_error > 0


def test_intervals_need_residuals(simulated: Make) -> None:
    with pytest.raises(InferenceError, match="has 2 such periods"):
        prediction_intervals(synthetic_control(simulated(starts=(2,))))
    panel = simulated(n_units=4)
    Y = panel.Y.copy()
    Y[0, :9] = Y[1:3, :9].mean(axis=0)
    with pytest.raises(InferenceError, match="fits all 9 periods before treatment exactly"):
        prediction_intervals(synthetic_control(panel.with_outcome(Y)))


def test_a_rank_cannot_be_chosen_where_nothing_can_be_hidden(simulated: Make) -> None:
    panel = simulated(n_units=2)
    with pytest.raises(DesignError, match="Give the rank"):
        factor_model(panel, variance="none")
    assert np.isfinite(factor_model(panel, rank=0, variance="none").value)
    # Four donors bear two factors, of which one can be judged in hidden cells.
    assert np.isfinite(factor_model(simulated(n_units=5, n_periods=40, starts=(30,)), variance="none").value)


@pytest.mark.parametrize("constraint", ["simplex", "lasso", "ridge", "simplex_ridge", "ols"])
def test_series_without_variation_have_no_effect(simulated: Make, constraint: Any) -> None:
    flat = simulated().with_outcome(np.zeros((12, 14)))
    assert synthetic_control(flat, constraint=constraint).value == 0
    assert augmented_synthetic_control(flat).value == 0
    assert synthetic_did(flat).value == 0


def test_one_donor_and_donors_that_are_alike(simulated: Make) -> None:
    panel = simulated(n_units=2)
    difference = (panel.Y[0] - panel.Y[1])[9:].mean()
    assert synthetic_control(panel).value == pytest.approx(difference)
    assert augmented_synthetic_control(panel).value == pytest.approx(difference)
    wide = simulated()
    Y = wide.Y.copy()
    Y[5] = Y[4]
    twice = synthetic_control(wide.with_outcome(Y)).value
    assert twice == pytest.approx(synthetic_control(wide.with_outcome(Y), exclude=["u05"]).value, abs=1e-8)


def test_everything_raised_is_ours(simulated: Make) -> None:
    panel = simulated()
    ends = panel.with_treatment(panel.D & (np.arange(14) < 12))
    for estimator in WEIGHTED:
        for odd in (ends, panel.with_treatment(np.zeros_like(panel.D)), panel.treat(["u00"], at=0)):
            with pytest.raises(CrimepolicyError, match=r"factor_model|treat\("):
                estimator(odd)
