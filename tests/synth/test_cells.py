"""Optimum of one cell of the predictor-weight search: a general solver, and that some V gives it."""

import numpy as np
import pytest
from scipy.optimize import minimize

from crimepolicy.synth.cells import cell_weights
from crimepolicy.synth.weights import simplex_weights

TWIN = 1e-6  # relative to the loss: where sequential quadratic programming stops


@pytest.mark.parametrize("seed", range(8))
def test_no_other_weights_of_the_cell_fit_better_and_a_v_gives_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predictors, outcomes = rng.normal(size=(5, 20)) + 1.5, rng.normal(size=(12, 20))
    v = rng.dirichlet(np.ones(5))
    start = simplex_weights(np.sqrt(v)[:, None] * predictors, np.zeros(5)).weights
    used = np.flatnonzero(start)
    columns, series, x0 = predictors[:, used], outcomes[:, used], start[used]
    normal = v * (columns @ x0)
    found = cell_weights(columns, series, np.sign(normal))
    assert found is not None
    rows = np.sign(normal)[:, None] * columns
    assert (rows @ found).min() > -1e-9
    twin = minimize(
        lambda w: ((series @ w) ** 2).sum(),
        x0,
        jac=lambda w: 2 * series.T @ (series @ w),
        method="SLSQP",
        bounds=[(0, None)] * len(x0),
        constraints=[
            {"type": "eq", "fun": lambda w: w.sum() - 1},
            {"type": "ineq", "fun": lambda w: rows @ w},
        ],
        options={"ftol": 1e-14, "maxiter": 300},
    )
    assert ((series @ found) ** 2).sum() == pytest.approx(twin.fun, rel=TWIN)
    # Halfway to the optimum all signs are kept strictly, and V = normal / apart has these weights as its optimum.
    between = (found + x0) / 2
    v = normal / (columns @ between)
    assert (v > 0).all()
    again = simplex_weights(np.sqrt(v)[:, None] * predictors, np.zeros(5)).weights
    assert again[used] == pytest.approx(between, abs=1e-7)
