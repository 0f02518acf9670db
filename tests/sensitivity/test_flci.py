"""Fixed-length intervals: converged references, a general-purpose optimiser and the meaning of the worst-case bias."""

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from crimepolicy.sensitivity.flci import fixed_length, folded_normal_quantile
from crimepolicy.sensitivity.r_flci import fixed_length_as_in_r
from crimepolicy.sensitivity.restrictions import smoothness
from tests.sensitivity.examples import random_study

# Both sides are converged; the centre varies with the square root of the half length's error, because its optimum is flat.
HALF_LENGTH = 1e-10
CENTRE = 2e-6
# The same search with an exact solver in it: ECOS is right to about 1e-8 where it says "optimal", and the optimum is flat.
SAME_SEARCH = 1e-7
SAME_SEARCH_CENTRE = 1e-4
# Where it says "optimal_inaccurate", the estimator of least variance is the only feasible one, and it ends 0.005 of a weight beside it.
INACCURATE = 2e-5
INACCURATE_CENTRE = 0.01


def test_converged_references(reference, reference_data) -> None:
    known = reference("honest_bounds_lw")
    path = np.loadtxt(reference_data("LWdata_EventStudy_betahat"), delimiter=",")
    covariance = np.loadtxt(reference_data("LWdata_EventStudy_sigma"), delimiter=",")
    for case in known["fixed_length"]["cases"]:
        found = fixed_length(path, covariance, np.eye(23)[case["target"]], case["M"], case["level"])
        assert found.half_length == pytest.approx(case["half_length"], rel=HALF_LENGTH)
        assert found.centre == pytest.approx((case["low"] + case["high"]) / 2, abs=CENTRE)
        assert found.weights == pytest.approx(np.array(case["weights"]), abs=CENTRE)


def same_search(cases: list, path: np.ndarray, covariance: np.ndarray) -> None:
    for case in cases:
        found = fixed_length_as_in_r(path, covariance, np.eye(23)[case["target"]], case["M"], case["level"])
        exact = case["r_status"] == "optimal"
        assert found.half_length == pytest.approx(case["r_half_length"], abs=SAME_SEARCH if exact else INACCURATE)
        centre = (case["r_low"] + case["r_high"]) / 2
        assert found.centre == pytest.approx(centre, abs=SAME_SEARCH_CENTRE if exact else INACCURATE_CENTRE)


def test_the_search_of_the_reference(reference, reference_data) -> None:
    path = np.loadtxt(reference_data("LWdata_EventStudy_betahat"), delimiter=",")
    covariance = np.loadtxt(reference_data("LWdata_EventStudy_sigma"), delimiter=",")
    cases = reference("honest_bounds_lw")["fixed_length"]["cases"]
    # By bisection, at the estimator of least variance.
    same_search([c for c in cases if (c["target"], c["level"]) == (3, 0.95) and c["M"] in (0.04, 0)], path, covariance)


@pytest.mark.slow
def test_the_search_of_the_reference_on_every_case(reference, reference_data) -> None:
    path = np.loadtxt(reference_data("LWdata_EventStudy_betahat"), delimiter=",")
    covariance = np.loadtxt(reference_data("LWdata_EventStudy_sigma"), delimiter=",")
    same_search(reference("honest_bounds_lw")["fixed_length"]["cases"], path, covariance)


def test_the_search_of_the_reference_is_never_shorter_and_hardly_longer() -> None:
    path, covariance = random_study(2, 2, 3)
    for target in (np.array([1.0, 0.0, 0.0]), np.ones(3) / 3):
        best, theirs = (f(path, covariance, target, 0.03, 0.95) for f in (fixed_length, fixed_length_as_in_r))
        # Up to the simulation error of its quantile.
        assert 0.999 < theirs.half_length / best.half_length < 1.01
    path, covariance = random_study(2, 1, 1)
    assert fixed_length_as_in_r(path, covariance, np.ones(1), 0.03, 0.95).centre == pytest.approx(path[1] + path[0])


def worst_bias(weights: np.ndarray, M: float, n_pre: int, n_post: int) -> float:
    polyhedron = smoothness(M).polyhedra(n_pre, n_post)[0]
    solved = linprog(-weights, A_ub=polyhedron.A, b_ub=polyhedron.d, bounds=(None, None))
    return np.inf if solved.status == 3 else -solved.fun


@pytest.mark.parametrize("M", [0.0, 0.01, 0.3, 50.0])
def test_bias_is_the_worst_over_all_smooth_violations(M: float) -> None:
    path, covariance = random_study(1, 5, 4)
    found = fixed_length(path, covariance, np.array([0.5, 0.0, 0.0, 0.5]), M, 0.95)
    assert found.weights[-4:] == pytest.approx([0.5, 0.0, 0.0, 0.5])
    assert found.bias == pytest.approx(worst_bias(found.weights, M, 5, 4), rel=1e-7, abs=1e-12)
    assert found.std_error == pytest.approx(np.sqrt(found.weights @ covariance @ found.weights), rel=1e-9)


@pytest.mark.parametrize("M", [0.005, 0.03, 0.2])
def test_no_other_estimator_is_shorter(M: float) -> None:
    path, covariance = random_study(2, 4, 3)
    target = np.array([0.0, 0.3, 0.7])
    found = fixed_length(path, covariance, target, M, 0.9)
    # Keep the linear trend cancelled by solving for the first lead weight.
    before, trend = np.arange(4, 0, -1.0), target @ np.arange(1.0, 4)

    def half_length(rest: np.ndarray) -> float:
        first = (trend - before[1:] @ rest) / before[0]
        f = np.concatenate([[first], rest, target])
        error = np.sqrt(f @ covariance @ f)
        return error * folded_normal_quantile(worst_bias(f, M, 4, 3) / error, 0.1)

    start = found.weights[1:4]
    best = minimize(
        half_length, start + 0.05, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9, "maxfev": 400}
    )
    assert half_length(start) == pytest.approx(found.half_length, rel=1e-6)
    assert best.fun >= found.half_length * (1 - 1e-7)


def test_a_linear_trend_changes_nothing() -> None:
    path, covariance = random_study(3, 5, 4)
    trend = np.concatenate([np.arange(-5, 0), np.arange(1, 5)]) * 0.7
    target = np.ones(4) / 4
    assert fixed_length(path + trend, covariance, target, 0.02, 0.95).centre == pytest.approx(
        fixed_length(path, covariance, target, 0.02, 0.95).centre, abs=1e-9
    )


@pytest.mark.parametrize("shift", [0.0, 0.3, 2.0, 40.0, 1e4])
def test_folded_normal_quantile_covers_exactly(shift: float) -> None:
    from scipy.stats import norm

    c = folded_normal_quantile(shift, 0.05)
    assert norm.cdf(c - shift) - norm.cdf(-c - shift) == pytest.approx(0.95, abs=1e-9)


def test_one_period_before_leaves_no_choice() -> None:
    path, covariance = np.array([0.2, 1.0]), np.diag([0.04, 0.09])
    found = fixed_length(path, covariance, np.array([1.0]), 0.1, 0.95)
    assert found.centre == pytest.approx(1.2)
    assert found.bias == pytest.approx(0.1)
    assert found.std_error == pytest.approx(np.sqrt(0.13))


def test_more_event_times_than_clusters() -> None:
    rng = np.random.default_rng(0)
    psi = rng.standard_normal((6, 12)) * 0.1
    found = fixed_length(np.zeros(12), psi.T @ psi, np.ones(6) / 6, 0.01, 0.95)
    assert found.bias == pytest.approx(worst_bias(found.weights, 0.01, 6, 6), rel=1e-6)
