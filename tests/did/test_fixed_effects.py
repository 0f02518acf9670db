"""The array kernel: proportional fitting, what is identified, sparse regressors, against dense linear algebra."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crimepolicy.did.fixed_effects import Cells, estimable, fit_effects, influence, regress_cells
from crimepolicy.did.proportional_fitting import fit_margins
from crimepolicy.did.spells import find_spells
from crimepolicy.errors import EstimationError

ROUNDING = 1e-8
# Singular values of a design of dummies are zero or of order one.
RANK = 1e-10


def dummies(n: int, t: int, trends: bool = False) -> np.ndarray:
    """Unit and period dummies (and unit trends) as columns (N*T, p)."""
    unit, period = np.kron(np.eye(n), np.ones((t, 1))), np.kron(np.ones((n, 1)), np.eye(t))
    return np.hstack([unit, period, *([unit * np.tile(np.arange(t) / t, n)[:, None]] if trends else [])])


# -------------------------------------------------------------------- proportional fitting


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.floats(0.3, 1.0))
def test_fitted_counts_have_the_margins_of_the_counts(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((15, 8)) < share
    mask[0] = True
    exposure = np.where(mask, np.exp(rng.normal(size=mask.shape)), 0.0)
    counts = np.where(mask, rng.poisson(3, size=mask.shape), 0).astype(float)
    counts[0] += 1
    found = fit_margins(counts, exposure)
    fitted = exposure * found.unit[:, None] * found.period
    np.testing.assert_allclose(fitted.sum(axis=0), counts.sum(axis=0), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(fitted.sum(axis=1), counts.sum(axis=1), rtol=1e-10, atol=1e-12)


def test_a_chain_of_weak_links_is_still_exact() -> None:
    """Each unit is seen in two periods only, so that plain sweeps would need thousands."""
    t = 60
    exposure = np.zeros((t - 1, t))
    exposure[np.arange(t - 1), np.arange(t - 1)] = 1.0
    exposure[np.arange(t - 1), np.arange(1, t)] = 2.0
    counts = exposure * np.random.default_rng(0).integers(1, 9, size=exposure.shape)
    found = fit_margins(counts, exposure)
    fitted = exposure * found.unit[:, None] * found.period
    # A chain is saturated: the fit reproduces every count.
    np.testing.assert_allclose(fitted, counts, rtol=1e-9)


def test_empty_units_and_periods_get_zero() -> None:
    counts = np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 0.0], [3.0, 0.0, 1.0]])
    found = fit_margins(counts, np.ones((3, 3)))
    assert found.unit[1] == 0
    assert found.period[1] == 0


# -------------------------------------------------------------------- what is identified


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.15, 0.6), st.booleans())
def test_a_cell_is_estimable_when_its_row_lies_in_the_span_of_the_fitted_rows(
    seed: int, share: float, trends: bool
) -> None:
    rng = np.random.default_rng(seed)
    n, t = 7, 6
    sample = rng.random((n, t)) < share
    sample[0, 0] = True
    A = dummies(n, t, trends)
    rows = A[sample.ravel()]
    projector = np.linalg.pinv(rows, rcond=RANK) @ rows
    expected = np.abs(A - A @ projector).max(axis=1) < 1e-7
    fit = fit_effects(rng.normal(size=(n, t)), sample, unit_trends=trends)
    unit, period = np.nonzero(~sample)
    np.testing.assert_array_equal(estimable(fit, sample, unit, period), expected[~sample.ravel()])


def test_poisson_links_through_zero_counts_do_not_identify() -> None:
    counts = np.zeros((4, 4))
    counts[:2, :2] = counts[2:, 2:] = 5
    sample = counts > 0
    sample[0, 2] = True
    fit = fit_effects(counts, sample, family="poisson")
    assert not estimable(fit, sample, np.array([1]), np.array([3])).any()
    assert estimable(fit, sample, np.array([0, 3]), np.array([1, 2])).all()


def test_units_without_counts_are_expected_to_have_none() -> None:
    counts = np.array([[2.0, 3.0, 4.0], [0.0, 0.0, 9.0], [1.0, 1.0, 1.0]])
    sample = np.array([[True, True, True], [True, True, False], [True, True, True]])
    fit = fit_effects(counts, sample, family="poisson")
    assert fit.fitted[1, 2] == 0
    assert fit.zero_units.tolist() == [False, True, False]
    assert estimable(fit, sample, np.array([1]), np.array([2])).all()


# -------------------------------------------------------------------- sparse regressors and influence


@pytest.mark.parametrize("trends", [False, True])
def test_regressors_equal_dense_least_squares(trends: bool) -> None:
    rng = np.random.default_rng(3)
    n, t = 20, 12
    Y, sample, weights = rng.normal(size=(n, t)), rng.random((n, t)) < 0.9, rng.uniform(0.5, 2, size=(n, t))
    X = rng.normal(size=(n, t))
    term = rng.integers(0, 3, size=60)
    unit, period = np.divmod(rng.choice(n * t, size=60, replace=False), t)
    cells = Cells(unit, period, term, rng.normal(size=60), 3)
    found = regress_cells(Y, sample, cells, weights=weights, covariates=[X], unit_trends=trends)
    regressors = np.zeros((n * t, 3))
    np.add.at(regressors, (unit * t + period, term), cells.weight)
    A = np.hstack([regressors, X.reshape(-1, 1), dummies(n, t, trends)])
    root = np.where(sample, np.sqrt(weights), 0.0).ravel()
    pseudo = np.linalg.pinv(A * root[:, None], rcond=RANK)
    coefficients = pseudo @ (root * Y.ravel())
    np.testing.assert_allclose(found.coefficients, coefficients[:3], rtol=ROUNDING)
    psi = (pseudo[:3] * (root * (Y.ravel() - A @ coefficients))).reshape(3, n, t).sum(axis=2).T
    np.testing.assert_allclose(found.influence, psi, atol=1e-10)


def test_regressors_with_poisson_satisfy_their_first_order_conditions() -> None:
    rng = np.random.default_rng(4)
    n, t = 30, 10
    exposure = np.exp(rng.normal(0, 0.5, (n, t)))
    counts = rng.poisson(2 * exposure).astype(float)
    sample = rng.random((n, t)) < 0.95
    unit, period = np.divmod(rng.choice(n * t, size=50, replace=False), t)
    cells = Cells(unit, period, rng.integers(0, 2, size=50), np.ones(50), 2)
    found = regress_cells(counts, sample, cells, family="poisson", exposure=exposure)
    for k in range(2):
        here = cells.term == k
        assert found.fit.scores[unit[here], period[here]].sum() == pytest.approx(0, abs=1e-7)
    np.testing.assert_allclose(found.fit.scores.sum(axis=1), 0, atol=1e-7)
    np.testing.assert_allclose(found.fit.scores.sum(axis=0), 0, atol=1e-7)


@pytest.mark.parametrize("count", [0.0, 3.0])
def test_a_first_fit_given_is_used_only_where_no_cell_is_left_out(count: float) -> None:
    rng = np.random.default_rng(6)
    counts, sample = rng.poisson(3.0, size=(8, 6)).astype(float), np.ones((8, 6), dtype=bool)
    counts[0, 2] = count
    cells = Cells(np.array([0, 1, 2]), np.array([2, 3, 4]), np.array([0, 1, 1]), np.ones(3), 2)
    start = fit_effects(counts, sample, family="poisson")
    found = regress_cells(counts, sample, cells, family="poisson", start=start)
    anew = regress_cells(counts, sample, cells, family="poisson")
    np.testing.assert_array_equal(found.coefficients, anew.coefficients)
    np.testing.assert_array_equal(found.influence, anew.influence)


def test_a_regressor_without_any_count_is_not_identified() -> None:
    rng = np.random.default_rng(5)
    counts = rng.poisson(3.0, size=(8, 6)).astype(float)
    counts[0, 2] = 0
    cells = Cells(np.array([0, 1, 2]), np.array([2, 3, 4]), np.array([0, 1, 1]), np.ones(3), 2)
    found = regress_cells(counts, np.ones((8, 6), dtype=bool), cells, family="poisson")
    assert np.isnan(found.coefficients[0])
    assert np.isfinite(found.coefficients[1])


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_collinear_covariates_are_refused(family: Any) -> None:
    counts = np.random.default_rng(6).poisson(3.0, size=(8, 6)).astype(float)
    constant = np.broadcast_to(np.arange(8.0)[:, None], (8, 6))
    with pytest.raises(EstimationError, match="collinear"):
        fit_effects(counts, np.ones((8, 6), dtype=bool), family=family, covariates=[constant])


def test_influence_needs_the_factorised_fit() -> None:
    fit = fit_effects(np.ones((3, 3)), np.ones((3, 3), dtype=bool), family="poisson", factorise=False)
    with pytest.raises(EstimationError, match="factorise=True"):
        influence(fit, Cells(np.array([0]), np.array([0]), np.array([0]), np.ones(1), 1))


# -------------------------------------------------------------------- spells


@settings(deadline=None, max_examples=50)
@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_spells_equal_a_walk_along_the_periods(treated: list[bool]) -> None:
    found = find_spells(np.array([treated]))
    for t in range(len(treated)):
        starts = [s for s in range(1, len(treated)) if treated[s] and not treated[s - 1]]
        if treated[t]:
            own = [s for s in starts if s <= t]
            expected = t - own[-1] if own else np.nan
        else:
            later = [s for s in starts if s > t]
            expected = t - later[0] if later else np.nan
        np.testing.assert_equal(found.event_time[0, t], expected)
        last = [s for s in range(t) if treated[s]]
        np.testing.assert_equal(found.since_end[0, t], t - last[-1] if last and not treated[t] else np.nan)
