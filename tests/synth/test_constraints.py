"""Other constraints than the simplex, the chosen penalty, and the balance of predictors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crimepolicy.errors import DesignError, EstimationError
from crimepolicy.panel import Panel
from crimepolicy.synth.balance import predictor_balance
from crimepolicy.synth.constraints import bounded_weights
from crimepolicy.synth.penalised import choose_distance_penalty, penalised_weights
from crimepolicy.synth.predictors import Predictor
from crimepolicy.synth.synthetic_control import synthetic_control

OPTIMAL = 1e-7  # relative to the objective of a random feasible point

Make = Callable[..., Panel]


def draw(constraint: str, size: float, J: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random point that the constraint allows."""
    if constraint == "simplex_ridge":
        w = rng.dirichlet(np.ones(J))
        even = np.full(J, 1 / J)
        while w @ w > size**2:
            w = 0.9 * w + 0.1 * even
        return w
    w = rng.normal(size=J)
    norm = np.abs(w).sum() if constraint == "lasso" else np.linalg.norm(w)
    return w * rng.uniform() * size / norm


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.sampled_from(["lasso", "ridge", "simplex_ridge"]), st.booleans())
def test_no_allowed_direction_improves(seed: int, constraint: Any, intercept: bool) -> None:
    rng = np.random.default_rng(seed)
    T, J = int(rng.integers(4, 20)), int(rng.integers(3, 12))
    A = rng.normal(size=(T, J)).cumsum(axis=0) + 4 * rng.normal(size=J)
    b = A[:, :2].sum(axis=1) + rng.normal(size=T)
    size = float(rng.uniform(1.1 / np.sqrt(J), 1.2))
    fit = bounded_weights(A, b, constraint, size=size, intercept=intercept)
    w = fit.weights
    norm = np.abs(w).sum() if constraint == "lasso" else np.linalg.norm(w)
    assert norm <= size * (1 + 1e-7)
    gradient = A.T @ (A @ w + fit.intercept - b)
    scale = float(np.linalg.norm(gradient)) + float((A**2).sum())
    for _ in range(30):
        assert gradient @ (draw(constraint, size, J, rng) - w) >= -OPTIMAL * scale


def test_free_weights_are_least_squares_and_generous_bounds_do_nothing() -> None:
    rng = np.random.default_rng(2)
    A, b = rng.normal(size=(20, 5)), rng.normal(size=20)
    free = bounded_weights(A, b, "ols", intercept=True)
    dense = np.linalg.lstsq(np.column_stack([A, np.ones(20)]), b)[0]
    assert np.append(free.weights, free.intercept) == pytest.approx(dense)
    for constraint in ("lasso", "ridge"):
        loose = bounded_weights(A, b, constraint, size=100.0, intercept=True)  # type: ignore[arg-type]
        assert loose.weights == pytest.approx(free.weights, abs=1e-9)


def test_a_shorter_simplex_spreads_the_weights(simulated: Make) -> None:
    panel = simulated()
    plain = synthetic_control(panel)
    spread = synthetic_control(panel, constraint="simplex_ridge", size=0.4)
    longest, shorter = (float((e.weights["weight"] ** 2).sum()) for e in (plain, spread))
    assert longest > shorter
    assert shorter == pytest.approx(0.16)
    even = synthetic_control(panel, constraint="simplex_ridge", size=0.01)
    assert even.weights["weight"].to_numpy() == pytest.approx(1 / 11)
    names = {check.name for check in spread.checks}
    assert "constraint" in names
    assert "inside_hull" not in names


def test_chosen_penalty_is_the_best_of_the_grid(simulated: Make) -> None:
    panel = simulated(n_units=6)
    pool = panel.Y[1:]
    rows, after = (pool[:, :9] - panel.Y[0, :9]).T, pool[:, 9:].T
    choice = choose_distance_penalty(rows, after)
    errors = []
    for penalty in choice.penalties:
        squares = []
        for j in range(5):
            others = np.delete(pool, j, axis=0)
            w = penalised_weights((others[:, :9] - pool[j, :9]).T, float(penalty))
            squares.append(((pool[j, 9:] - w @ others[:, 9:]) ** 2).mean())
        errors.append(np.sqrt(np.mean(squares)))
    assert choice.errors == pytest.approx(errors, rel=1e-9)
    assert choice.chosen == choice.penalties[int(np.argmin(errors))]
    estimate = synthetic_control(panel, penalty="cross_validated")
    assert next(c.value for c in estimate.checks if c.name == "penalty_chosen") == choice.chosen
    assert estimate.value == pytest.approx(synthetic_control(panel, penalty=choice.chosen).value)


def test_the_choice_does_not_look_at_the_treated_after_treatment(simulated: Make) -> None:
    panel = simulated(n_units=6)
    more = panel.with_outcome(panel.Y + 50.0 * panel.D)
    first, second = (synthetic_control(p, penalty="cross_validated") for p in (panel, more))
    assert second.weights.equals(first.weights)


def test_balance_is_what_the_weights_give(smoking: Panel) -> None:
    predictors = [Predictor("retprice", 1980, 1988), Predictor("cigsale", 1980)]
    estimate = synthetic_control(smoking, predictors=predictors, v="inverse_variance")
    table = predictor_balance(estimate)
    w = estimate.weights[estimate.weights["role"] == "donor"].set_index("label")["weight"]
    price = np.nanmean(smoking.X["retprice"][:, 10:19], axis=1)
    donors = smoking.units.get_indexer(w.index)
    expected = [price[list(smoking.units).index("California")], price[donors] @ w.to_numpy(), price[donors].mean()]
    assert table.loc[0, ["treated", "synthetic", "donor_mean"]].tolist() == pytest.approx(expected)
    assert table["predictor"].tolist() == ["retprice 1980-1988", "cigsale 1980"]
    with pytest.raises(EstimationError, match="no predictors"):
        predictor_balance(synthetic_control(smoking))


def test_what_cannot_be_is_refused(simulated: Make) -> None:
    panel = simulated()
    for options, message in (
        ({"constraint": "ridge", "penalty": 0.1}, "neither predictors nor a penalty"),
        ({"size": 1.0}, "leave it out"),
        ({"constraint": "lasso", "size": -1.0}, "positive"),
        ({"penalty": "best"}, "not an option"),
        ({"constraint": "box"}, "not an option"),
    ):
        with pytest.raises(DesignError, match=message):
            synthetic_control(panel, **options)  # type: ignore[arg-type]
