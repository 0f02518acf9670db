"""Numbers that stand in the checks, by hand, and corners that a changed sign or bound would reach."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.synth.cohorts import comparison
from crimepolicy.synth.constraints import bounded_weights
from crimepolicy.synth.contrast import contrast
from crimepolicy.synth.donor_sensitivity import leave_donors_out
from crimepolicy.synth.factor_fit import FactorData
from crimepolicy.synth.factor_model import factor_model
from crimepolicy.synth.synthetic_control import synthetic_control
from crimepolicy.synth.synthetic_did import synthetic_did

EXACT = 1e-9

Make = Callable[..., Panel]


def found(estimate: Estimate, name: str) -> object:
    (value,) = [check.value for check in estimate.checks if check.name == name]
    return value


def test_weight_and_fit_stand_in_the_checks(simulated: Make) -> None:
    estimate = synthetic_control(simulated())
    w = estimate.weights["weight"].to_numpy()
    assert found(estimate, "effective_donors") == pytest.approx(1 / (w @ w), rel=EXACT)
    gaps = estimate.path["estimate"].loc[:-1].to_numpy()
    assert found(estimate, "pre_rmspe") == pytest.approx(np.sqrt((gaps**2).mean()), rel=EXACT)
    treated = estimate.panel.Y[0, :9]
    (check,) = [check for check in estimate.checks if check.name == "pre_rmspe"]
    assert f"{np.sqrt((gaps**2).mean()) / treated.std():.1%} of the standard deviation" in check.text


def test_two_units_of_a_cohort_are_averaged_by_their_population(simulated: Make) -> None:
    panel = simulated(starts=(9, 9))
    population = np.full(panel.Y.shape, 1e5)
    population[1] = 3e5
    counts = Panel(
        Y=np.round(panel.Y * 100), D=panel.D, units=panel.units, periods=panel.periods, population=population
    )
    data = comparison(counts)
    rates = counts.Y[:2] / population[:2] * 1e5
    assert data.average(data.cohorts[0].rows) == pytest.approx((rates[0] + 3 * rates[1]) / 4, rel=EXACT)


def test_a_unit_treated_from_the_first_period_is_left_out_and_counted(simulated: Make) -> None:
    panel = simulated(starts=(9, 0))
    estimate = synthetic_control(panel)
    assert found(estimate, "always_treated") == 1
    assert estimate.value == pytest.approx(synthetic_control(panel.drop(["u01"])).value, rel=EXACT)


def test_weights_are_unique_only_where_those_of_donors_and_of_periods_are() -> None:
    rng = np.random.default_rng(0)
    donors = rng.normal(size=(3, 8))
    donors[:, 6:] = donors[:, :6].mean(axis=1, keepdims=True)
    inside = np.array([0.2, 0.3, 0.5]) @ donors
    assert contrast(inside, donors, 6, preset="sc").unique
    # Six periods and three donors: many averages of the periods before equal the periods after.
    assert not contrast(inside, donors, 6, preset="sdid").unique


def test_the_ball_without_effect_is_the_shortest_least_squares() -> None:
    rng = np.random.default_rng(1)
    base = 1e6 * rng.normal(size=(9, 3))
    A, b = np.hstack([base, base @ rng.normal(size=(3, 2))]), 1e6 * rng.normal(size=9)
    shortest = np.linalg.lstsq(A, b)[0]
    free = bounded_weights(A, b, "ridge", size=10 * float(np.linalg.norm(shortest)))
    assert free.weights == pytest.approx(shortest, rel=1e-6)
    bound = bounded_weights(A, b, "ridge", size=0.5 * float(np.linalg.norm(shortest)))
    assert np.linalg.norm(bound.weights) == pytest.approx(0.5 * np.linalg.norm(shortest), rel=1e-8)


def test_a_set_whose_refit_fails_stays_in_the_table(simulated: Make) -> None:
    estimate = synthetic_control(simulated())

    def refuse(panel: Panel) -> Estimate:
        return synthetic_control(panel.window(panel.periods[9]))

    table = leave_donors_out(estimate.replace(fit=refuse))
    assert (table["problem"] != "").all()
    assert table["estimate"].isna().all()
    assert table["weight"].sum() == pytest.approx(1.0)


def test_deviance_of_counts_is_the_poisson_one() -> None:
    counts, mean = np.array([[0.0, 3.0, 7.0]]), np.array([[0.5, 2.0, 9.0]])
    data = FactorData(counts, np.ones((1, 3)), np.zeros((0, 1, 3)), np.zeros((1, 3)), "poisson")
    by_hand = 2 * np.mean([0.5, 3 * np.log(1.5) - 1, 7 * np.log(7 / 9) + 2])
    assert data.deviance(mean, np.ones((1, 3), dtype=bool)) == pytest.approx(by_hand, rel=EXACT)


def test_the_fit_before_treatment_of_a_factor_model_without_factors(simulated: Make) -> None:
    panel = simulated()
    estimate = factor_model(panel, rank=0, variance="none")
    rows, columns = np.nonzero(~panel.D)
    design = pd.get_dummies(pd.DataFrame({"u": rows, "t": columns}).astype("category"), dtype=float).to_numpy()
    y = panel.Y[rows, columns]
    residual = y - design @ np.linalg.lstsq(design, y)[0]
    before = residual[(rows == 0) & (columns < 9)]
    assert found(estimate, "pre_rmspe") == pytest.approx(np.sqrt((before**2).mean()), rel=1e-8)


def test_replicates_become_errors_influence_or_draws(simulated: Make) -> None:
    panel = simulated(starts=(9, 9, 9))
    jackknife = synthetic_did(panel, variance="jackknife")
    assert jackknife.psi is not None
    assert len(jackknife.psi) == len(panel.units)
    influence = jackknife.psi["att"].to_numpy()
    assert jackknife.factor * (influence**2).sum() == pytest.approx(jackknife.std_error**2, rel=EXACT)
    bootstrap = synthetic_did(panel, variance="bootstrap", draws=20)
    assert bootstrap.null is None
    assert bootstrap.draws is not None
    assert bootstrap.draws["att"].std(ddof=0) == pytest.approx(bootstrap.std_error, rel=EXACT)
