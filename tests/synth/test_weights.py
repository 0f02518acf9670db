"""Simplex weights: optimality, an independent solver, uniqueness, invariance."""

import daqp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crimepolicy.errors import EstimationError
from crimepolicy.synth.weights import simplex_weights

TWIN = 1e-7  # daqp stops at a primal-dual tolerance of about 1e-8
KKT = 1e-8  # relative to the largest reduced gradient
FINITE = st.floats(-50, 50, allow_nan=False).map(lambda x: round(x, 3))


def problem(T: int, J: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(T, J)).cumsum(axis=0) + 3 * rng.normal(size=J)
    return A, A[:, : min(J, 5)].mean(axis=1) + 0.3 * rng.normal(size=T)


def quadratic_twin(A: np.ndarray, b: np.ndarray, ridge: float, intercept: bool) -> np.ndarray:
    """Solve the same problem by an independent dual active-set solver."""
    if intercept:
        A, b = A - A.mean(axis=0), b - b.mean()
    n = A.shape[1]
    H = A.T @ A + (ridge + 1e-10) * np.eye(n)
    upper, lower = np.append(np.full(n, 1e30), 1.0), np.append(np.zeros(n), 1.0)
    constraints = np.vstack([np.eye(n), np.ones(n)])
    sense = np.zeros(n + 1, dtype=np.int32)
    sense[-1] = 5
    x, _, status, _ = daqp.solve(H, -A.T @ b, constraints, upper, lower, sense)
    assert status == 1
    return np.asarray(x)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(
    ("T", "J", "ridge"), [(19, 38, 0.0), (19, 38, 50.0), (30, 8, 0.0), (12, 90, 4.0), (40, 120, 30.0)]
)
def test_equal_to_an_independent_solver(T: int, J: int, ridge: float, intercept: bool) -> None:
    A, b = problem(T, J, seed=T + J)
    fit = simplex_weights(A, b, ridge=ridge, intercept=intercept)
    twin = quadratic_twin(A, b, ridge, intercept)
    assert np.abs(fit.weights - twin).max() < TWIN * (1 if ridge else 100)
    assert fit.weights.sum() == pytest.approx(1, abs=1e-12)
    assert (fit.weights >= 0).all()
    assert (fit.weights == 0).any() == (twin < 1e-9).any()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(1, 15), st.sampled_from([0.0, 0.1, 5.0]), st.booleans(), st.integers(0, 10_000))
def test_no_feasible_direction_improves(T: int, J: int, ridge: float, intercept: bool, seed: int) -> None:
    A, b = problem(T, J, seed)
    fit = simplex_weights(A, b, ridge=ridge, intercept=intercept)
    residual = A @ fit.weights + fit.intercept - b
    gradient = A.T @ residual + ridge * fit.weights
    scale = max(np.abs(gradient).max(), np.sqrt((A**2).sum()))
    assert (gradient - gradient @ fit.weights).min() >= -KKT * scale
    assert fit.loss == pytest.approx(residual @ residual + ridge * fit.weights @ fit.weights, rel=1e-6, abs=1e-12)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000), st.sampled_from([1e-9, 1e-3, 7.0, 1e6]), FINITE)
def test_invariant_to_scale_shift_and_order(seed: int, factor: float, shift: float) -> None:
    A, b = problem(15, 10, seed)
    base = simplex_weights(A, b).weights
    assert simplex_weights(factor * A, factor * b).weights == pytest.approx(base, abs=1e-7)
    # Weights sum to one, so a series added to everybody cancels.
    assert simplex_weights(A + shift, b + shift).weights == pytest.approx(base, abs=1e-7)
    order = np.random.default_rng(seed).permutation(10)
    assert simplex_weights(A[:, order], b).weights == pytest.approx(base[order], abs=1e-7)


def test_block_exchange_equals_the_plain_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    A, b = problem(60, 200, seed=3)
    fast = simplex_weights(A, b, ridge=40.0)
    monkeypatch.setattr("crimepolicy.synth.weights._SMALL", 10**9)
    plain = simplex_weights(A, b, ridge=40.0)
    assert fast.weights == pytest.approx(plain.weights, abs=1e-12)


def test_uniqueness_is_certified_or_denied() -> None:
    A, b = problem(20, 6, seed=1)
    assert simplex_weights(A, b).unique
    twice = np.column_stack([A, A])
    assert not simplex_weights(twice, b).unique
    assert simplex_weights(twice, b, ridge=0.1).unique
    # Beside data a million times larger a penalty of 1e-9 decides nothing.
    assert not simplex_weights(1e6 * twice, 1e6 * b, ridge=1e-9).unique
    inside = np.array([[0.0, 1.0, 2.0, 3.0]])
    assert not simplex_weights(inside, np.array([1.5])).unique


def test_one_donor_takes_all() -> None:
    fit = simplex_weights(np.array([[1.0], [2.0]]), np.array([4.0, 6.0]), intercept=True)
    assert fit.weights == pytest.approx([1.0])
    assert fit.intercept == pytest.approx(3.5)


def test_no_donor_and_holes_are_refused() -> None:
    with pytest.raises(EstimationError, match="at least one donor"):
        simplex_weights(np.empty((3, 0)), np.zeros(3))
    with pytest.raises(EstimationError, match="1 values that are not"):
        simplex_weights(np.array([[1.0, np.nan], [2.0, 3.0]]), np.zeros(2))
