"""Prediction intervals: an independent general solver, published numbers, algebra, several units, coverage."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from crimepolicy.errors import InferenceError
from crimepolicy.panel import Panel
from crimepolicy.synth.constraints import bounded_weights
from crimepolicy.synth.extremes import largest_in_ball
from crimepolicy.synth.in_sample import InSample, in_sample, simulated_bounds
from crimepolicy.synth.out_of_sample import noise_bounds
from crimepolicy.synth.prediction_intervals import prediction_intervals
from crimepolicy.synth.synthetic_control import synthetic_control

TWIN = 1e-6  # what sequential quadratic programming reaches where constraints are nearly tangent
NOISE = 5e-4  # share of the range; the reference's quantile regressions are iterative and stop early
SIMULATED = 0.12  # share of the average width: Monte Carlo error of 2.5% quantiles of 300 draws, of both sides
ESTIMATES = 3e-4  # packs; the reference's interior-point weights, one of them on a flat optimum

Make = Callable[..., Panel]


def world(T: int, J: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pool = 20 + rng.normal(size=(T + 4, 2)).cumsum(axis=0) @ rng.uniform(size=(2, J)) + rng.normal(size=(T + 4, J))
    treated = pool[:, :4].mean(axis=1) + rng.normal(size=T + 4)
    return pool[:T], treated[:T], pool[T:]


def problem_of(constraint: Any, intercept: bool, seed: int) -> tuple[InSample, np.ndarray]:
    before, treated, after = world(24, 8, seed)
    fit = bounded_weights(before, treated, constraint, intercept=intercept)
    return in_sample(before, treated, fit, constraint, intercept), after


def smooth_twin(problem: InSample, c: np.ndarray, scores: np.ndarray, sign: float) -> float:
    """Solve ``max sign * c'(x - w)`` over the same set by sequential quadratic programming, from the centre of the ball."""
    w, T = problem.fit.weights, len(problem.donors)
    n, split = len(w), problem.constraint == "lasso"
    level = np.ones((T, int(problem.intercept)))
    L = np.column_stack([problem.donors, level]) / np.sqrt(T)
    cost = sign * np.concatenate([c, np.ones(level.shape[1])])
    bounds: list[tuple[float | None, float | None]] = [(None, None)] * L.shape[1]
    more: list[dict[str, Any]] = []
    if problem.constraint == "simplex":
        bounds[:n] = [(-x if x >= problem.threshold else 0.0, None) for x in w]
        more.append({"type": "eq", "fun": lambda d: d[:n].sum()})
    start = np.zeros(L.shape[1])
    if split:
        # Positive and negative parts of the weights make the absolute sum smooth.
        total = np.abs(w).sum()
        size = total if total >= problem.fit.size - problem.threshold * np.sqrt(n) else problem.fit.size
        L, cost = np.hstack([L[:, :n], -L]), np.concatenate([cost[:n], -cost])
        L[:, 2 * n :], cost[2 * n :] = -L[:, 2 * n :], -cost[2 * n :]
        origin = np.concatenate([np.maximum(w, 0), np.maximum(-w, 0)])
        bounds = [(-x, None) for x in origin] + bounds[n:]
        start = np.zeros(L.shape[1])
        more.append({"type": "ineq", "fun": lambda d: size - (origin + d[: 2 * n]).sum()})
    if problem.constraint == "ridge":
        length = np.linalg.norm(w)
        near = length**2 >= problem.fit.size**2 - min(2 * length * problem.threshold, 0.2)
        bound = length if near else problem.fit.size
        more.append({"type": "ineq", "fun": lambda d: bound**2 - ((w + d) ** 2).sum()})
    ball = {"type": "ineq", "fun": lambda d: scores @ scores - ((L @ d - scores) ** 2).sum()}
    found = minimize(
        lambda d: -cost @ d,
        start + 1e-3,
        jac=lambda _: -cost,
        method="SLSQP",
        bounds=bounds,
        constraints=[*more, ball],
        options={"maxiter": 300, "ftol": 1e-13},
    )
    return float(-found.fun)


@pytest.mark.parametrize(
    ("constraint", "intercept"),
    [
        ("simplex", False),
        ("simplex", True),
        ("lasso", False),
        ("lasso", True),
        ("ridge", False),
        ("ols", False),
        ("ols", True),
    ],
)
def test_simulated_bounds_equal_a_general_solver(constraint: Any, intercept: bool) -> None:
    problem, after = problem_of(constraint, intercept, 3)
    low, high = simulated_bounds(problem, after, 5, np.random.default_rng(0))
    scores = np.random.default_rng(0).standard_normal((5, 24)) * problem.noise / np.sqrt(24)
    # A score outside the span of the donors pulls at nothing; its projection is what the ball sees.
    span = np.column_stack([problem.donors, np.ones((24, int(intercept)))])
    scores = scores @ (span @ np.linalg.pinv(span)).T
    for draw, row in ((0, 0), (3, 3)):
        assert -low[draw, row] == pytest.approx(smooth_twin(problem, after[row], scores[draw], 1.0), abs=TWIN)
        assert high[draw, row] == pytest.approx(smooth_twin(problem, after[row], scores[draw], -1.0), abs=TWIN)
    assert (low <= 0).all()
    assert (high >= 0).all()


def test_nothing_bounds_a_direction_that_no_donor_spans() -> None:
    L = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    found = largest_in_ball(np.eye(3), L, np.array([[1.0, 2.0]]), np.array([0.5]), np.inf)
    assert found[0] == pytest.approx([1.5, 1.25, np.inf])
    bounded = largest_in_ball(np.eye(3), L, np.array([[0.3, 0.2]]), np.array([0.5]), 1.0)
    assert bounded[0, 0] == pytest.approx(0.8)


def test_published_estimates(prop99: Panel, reference: Callable[[str], Any]) -> None:
    for case in reference("scpi")["estimates"]:
        estimate = synthetic_control(prop99, constraint=case["constraint"], intercept=case["intercept"])
        treated = prop99.D.any(axis=1)
        fitted = prop99.Y[treated][0, 19:] - estimate.path["estimate"].loc[0:].to_numpy()
        assert fitted == pytest.approx(case["path"], abs=ESTIMATES), case["constraint"]


def test_published_intervals(prop99: Panel, basque: Panel, reference: Callable[[str], Any]) -> None:
    panels = {"prop99": prop99, "basque": basque}
    for case in reference("scpi")["intervals"]:
        panel = panels[case["dataset"]]
        estimate = synthetic_control(panel, intercept=case["intercept"])
        for model in ("subgaussian", "location_scale", "quantile"):
            table = prediction_intervals(estimate, model=model, draws=20 if model == "quantile" else 2).iloc[1:]  # type: ignore[arg-type]
            inner = table[["in_sample_low", "in_sample_high"]].to_numpy()
            noise = np.sort((inner - table[["conf_low", "conf_high"]].to_numpy())[:, ::-1], axis=1)
            # Published quantiles may cross, and are left so.
            published = np.sort(np.array(case[f"{model}_noise"]), axis=1)
            assert noise == pytest.approx(published, abs=NOISE * np.ptp(panel.Y))
        simulated = (table["estimate"].to_numpy()[:, None] - inner)[:, ::-1]
        width = np.ptp(case["in_sample"], axis=1).mean()
        # 20 draws against 300: the average over periods is what the comparison can bear.
        assert np.ptp(simulated, axis=1).mean() == pytest.approx(width, rel=3 * SIMULATED)


def test_noise_bounds_by_hand() -> None:
    residual = np.array([-2.0, -1.0, 0.5, 1.0, 3.0])
    none = np.zeros((5, 0)), residual, np.zeros((2, 0))
    low, high = noise_bounds(*none, "quantile", 0.1)
    assert (low[0], high[0]) == pytest.approx((np.quantile(residual, 0.1), np.quantile(residual, 0.9)))
    low, high = noise_bounds(*none, "subgaussian", 0.1)
    left = residual - residual.mean()
    scale = min(np.exp(np.log(left**2).mean() / 2), np.subtract(*np.quantile(left, [0.75, 0.25])) / 1.34)
    assert high == pytest.approx(residual.mean() + np.sqrt(2 * np.log(10)) * scale)
    low, high = noise_bounds(*none, "location_scale", 0.1)
    assert low == pytest.approx(residual.mean() + scale * np.quantile(left / np.exp(np.log(left**2).mean() / 2), 0.1))


def test_intervals_are_equivariant_and_reproducible(simulated: Make) -> None:
    panel = simulated(n_periods=30, starts=(26,))
    base = prediction_intervals(synthetic_control(panel), draws=30, seed=4)
    again = prediction_intervals(synthetic_control(panel), draws=30, seed=4)
    pd.testing.assert_frame_equal(base, again)
    scaled = prediction_intervals(synthetic_control(panel.with_outcome(3.0 * panel.Y)), draws=30, seed=4)
    # The threshold compares weights with a scale-free number, so that units of measurement drop out.
    np.testing.assert_allclose(scaled, 3.0 * base, rtol=1e-5, atol=1e-6)
    effect = prediction_intervals(synthetic_control(panel.with_outcome(panel.Y + 2.0 * panel.D)), draws=30, seed=4)
    np.testing.assert_allclose(effect, base + 2.0, rtol=1e-7, atol=1e-7)
    path = base.iloc[1:]
    assert (path["joint_low"] <= path["conf_low"]).all()
    assert (path["joint_high"] >= path["conf_high"]).all()
    assert np.isnan(base.loc["att", "joint_low"])


def test_several_units_average_their_cells(simulated: Make) -> None:
    panel = simulated(n_units=16, n_periods=26, starts=(20, 20, 22))
    estimate = synthetic_control(panel, target="each")
    table = prediction_intervals(estimate, draws=30)
    assert table["estimate"]["att"] == pytest.approx(estimate.value)
    for k in range(6):
        assert table["estimate"][f"event_time[{k}]"] == pytest.approx(estimate.path["estimate"][k])
    cells = table[table.index.str.startswith("cell[")]
    assert len(cells) == 6 + 6 + 4
    first = [f"cell[u0{i}, {20 + 2 * (i == 2)}]" for i in range(3)]
    # The noise of the mean is at most the mean of the noises.
    reach = table["conf_low"] - table["in_sample_low"]
    assert reach["event_time[0]"] == pytest.approx(reach[first].mean())


def test_what_cannot_be_is_refused(simulated: Make) -> None:
    panel = simulated()
    with pytest.raises(InferenceError, match="without penalty"):
        prediction_intervals(synthetic_control(panel, penalty=0.1))
    with pytest.raises(InferenceError, match="No simulated bounds"):
        prediction_intervals(synthetic_control(panel, constraint="simplex_ridge"))
    with pytest.raises(InferenceError, match="not a synthetic control"):
        prediction_intervals(synthetic_control(panel).replace(options={}))
    with pytest.raises(InferenceError, match="between 0 and 1"):
        prediction_intervals(synthetic_control(panel), level=90)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["subgaussian", "location_scale", "quantile"])
def test_coverage(model: Any) -> None:
    covered, joint, average = 0.0, 0, 0
    worlds = 100
    for seed in range(worlds):
        before, treated, after = world(40, 10, seed)
        rng = np.random.default_rng(10_000 + seed)
        observed = np.append(treated, after[:, :4].mean(axis=1) + rng.normal(size=4))
        Y = np.vstack([observed, np.vstack([before, after]).T])
        D = np.zeros(Y.shape, dtype=bool)
        D[0, 40:] = True
        panel = Panel(Y=Y, D=D, units=pd.Index([f"u{i:02d}" for i in range(11)]), periods=pd.Index(range(44)))
        table = prediction_intervals(synthetic_control(panel), model=model, draws=100, seed=seed)
        path = table.iloc[1:]
        covered += float(((path["conf_low"] <= 0) & (path["conf_high"] >= 0)).mean()) / worlds
        joint += bool(((path["joint_low"] <= 0) & (path["joint_high"] >= 0)).all())
        average += bool(table["conf_low"]["att"] <= 0 <= table["conf_high"]["att"])
    print(f"{model}: single {covered:.3f}, joint {joint / worlds:.3f}, average {average / worlds:.3f} at nominal 0.90")
    assert covered > 0.85
