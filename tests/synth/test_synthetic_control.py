"""Synthetic control: predictors, the search for V, penalty, published and exact numbers, checks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from crimepolicy.errors import DesignError
from crimepolicy.panel import Panel
from crimepolicy.synth.nested import nested_v
from crimepolicy.synth.penalised import penalised_weights
from crimepolicy.synth.predictors import Predictor
from crimepolicy.synth.synthetic_control import synthetic_control

EXACT = 1e-9
SAME_V = 2e-7  # the reference's exact inner optimum is polished to about this
NO_WORSE = 1e-6

Make = Callable[..., Panel]

PROP99 = (
    Predictor("lnincome", 1980, 1988),
    Predictor("retprice", 1980, 1988),
    Predictor("age15to24", 1980, 1988),
    Predictor("beer", 1984, 1988),
    Predictor("cigsale", 1975),
    Predictor("cigsale", 1980),
    Predictor("outcome", 1988),
)
SCHOOL = ("school.illit", "school.prim", "school.med", "school.high", "school.post.high", "invest")
SECTORS = ("agriculture", "energy", "industry", "construction", "services.venta", "services.nonventa")
BASQUE = (
    *(Predictor(name, 1964, 1969) for name in SCHOOL),
    Predictor("gdpcap", 1960, 1969),
    *(Predictor(f"sec.{name}", 1961, 1969) for name in SECTORS),
    Predictor("popdens", 1969),
)
SAOPAULO = (
    *(
        Predictor(name, 1990, 1998)
        for name in ("state.gdp.capita", "state.gdp.growth.percent", "population.projection.ln", "years.schooling.imp")
    ),
    *(Predictor(name, 1990, 1998) for name in ("outcome", "proportion.extreme.poverty", "gini.imp")),
)
# Dataset, predictors, periods of the fit, donors left out (as the reference does).
CASES = {
    "smoking": ("california_prop99", PROP99, None, ()),
    "basque": ("basque", BASQUE, (1960, 1969), ()),
    "saopaulo": ("saopaulo", SAOPAULO, None, (28, 29)),
}


def column(estimate: Any, role: str) -> pd.Series:
    rows = estimate.weights[estimate.weights["role"] == role]
    return rows.set_index("label")["weight"]


def check(estimate: Any, name: str) -> Any:
    return next(check for check in estimate.checks if check.name == name)


def pre_loss(estimate: Any, window: tuple[int, int] | None, treated_at: int) -> float:
    gaps = estimate.path["estimate"]
    first, last = (None, -1) if window is None else (window[0] - treated_at, window[1] - treated_at)
    return float((gaps.loc[first:last] ** 2).mean())


@pytest.mark.parametrize("dataset", list(CASES))
def test_inner_problem_at_the_published_v(
    dataset: str, reference: Callable[[str], Any], request: pytest.FixtureRequest
) -> None:
    panel = request.getfixturevalue(dataset)
    name, predictors, window, exclude = CASES[dataset]
    at = int(panel.periods[int(panel.first_treated.min())])
    for case, numbers in reference(f"synth_{name}")["cases"].items():
        if case.startswith("jss"):
            continue
        estimate = synthetic_control(panel, predictors=predictors, v=numbers["v"], exclude=exclude)
        labels = numbers["names"] if dataset == "smoking" else numbers["units"]
        assert column(estimate, "donor")[labels].to_numpy() == pytest.approx(numbers["weights_at_v"], abs=SAME_V), case
        assert pre_loss(estimate, window, at) == pytest.approx(numbers["loss_at_v"], rel=1e-6), case


@pytest.mark.parametrize("dataset", list(CASES))
def test_the_search_beats_every_published_optimum(
    dataset: str, reference: Callable[[str], Any], request: pytest.FixtureRequest
) -> None:
    panel = request.getfixturevalue(dataset)
    name, predictors, window, exclude = CASES[dataset]
    estimate = synthetic_control(panel, predictors=predictors, fit_window=window, exclude=exclude)
    published = min(numbers["loss"] for numbers in reference(f"synth_{name}")["cases"].values())
    found = check(estimate, "v_search")
    assert found.value <= published * (1 + NO_WORSE)
    at = int(panel.periods[int(panel.first_treated.min())])
    assert found.value == pytest.approx(pre_loss(estimate, window, at), rel=1e-9)
    assert column(estimate, "predictor").sum() == pytest.approx(1)


def test_unit_variance_is_the_published_equal_weighting(smoking: Panel, reference: Callable[[str], Any]) -> None:
    numbers = reference("synth_california_prop99")["cases"]["custom_v_equal"]
    estimate = synthetic_control(smoking, predictors=PROP99, v="inverse_variance")
    assert column(estimate, "donor").to_numpy() == pytest.approx(numbers["weights_at_v"], abs=SAME_V)


def test_outcome_only_is_the_exact_optimum(prop99: Panel, reference: Callable[[str], Any]) -> None:
    numbers = reference("synthdid_california_prop99")["cases"]["sc_no_ridge"]
    estimate = synthetic_control(prop99)
    assert estimate.value == pytest.approx(numbers["estimate"], rel=EXACT)
    assert check(estimate, "pre_rmspe").value == pytest.approx(numbers["pre_rmspe"], rel=EXACT)
    assert np.isnan(estimate.std_error)
    assert check(estimate, "weights_unique").passed
    assert check(estimate, "inside_hull").passed is None
    assert check(estimate, "smallest_p").value == pytest.approx(1 / 39)


def test_gradient_of_the_search_is_exact() -> None:
    rng = np.random.default_rng(0)
    predictors, outcomes = rng.normal(size=(4, 15)), rng.normal(size=(9, 15))
    from crimepolicy.synth import nested

    problem = nested._Nested(predictors, outcomes)
    theta = rng.normal(size=4)
    _, gradient = problem.loss_and_gradient(theta)
    steps = 1e-6 * np.eye(4)
    numeric = [(problem.loss(softmax(theta + s)) - problem.loss(softmax(theta - s))) / 2e-6 for s in steps]
    assert gradient == pytest.approx(numeric, rel=1e-5, abs=1e-7)


def softmax(theta: np.ndarray) -> np.ndarray:
    return np.exp(theta) / np.exp(theta).sum()


@pytest.mark.parametrize("seed", range(4))
def test_search_is_no_worse_than_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predictors, outcomes = rng.normal(size=(2, 8)), rng.normal(size=(6, 8)) + 0.5
    found = nested_v(predictors, outcomes)
    from crimepolicy.synth import nested

    problem = nested._Nested(predictors, outcomes)
    grid = min(problem.loss(np.array([share, 1 - share])) for share in np.linspace(1e-6, 1 - 1e-6, 4001))
    assert found.loss <= grid * (1 + NO_WORSE)
    assert found.bound <= found.loss
    assert (np.diff(found.losses) >= 0).all()


def test_recovers_v_that_makes_the_outcome_optimum_optimal() -> None:
    rng = np.random.default_rng(3)
    outcomes = rng.normal(size=(6, 10)) + 0.3
    found = nested_v(outcomes, outcomes)
    assert found.at_bound
    assert found.loss == pytest.approx(found.bound, rel=1e-3)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 5000), st.sampled_from([0.01, 0.3, 2.0, 50.0]))
def test_penalised_weights_are_optimal(seed: int, penalty: float) -> None:
    rng = np.random.default_rng(seed)
    differences = rng.normal(size=(5, 9)) * rng.uniform(0.1, 10)
    w = penalised_weights(differences, penalty)
    size = (differences**2).sum(axis=0)
    gradient = 2 * differences.T @ (differences @ w) + penalty * size
    assert w.sum() == pytest.approx(1)
    assert (w >= 0).all()
    assert (gradient - gradient @ w).min() >= -1e-7 * np.abs(gradient).max()


def test_penalty_by_a_general_optimiser_and_its_limit(prop99: Panel) -> None:
    estimate = synthetic_control(prop99, penalty=0.05)
    Y, start = prop99.Y, 19
    treated = prop99.D.any(axis=1)
    B = (Y[~treated] - Y[treated])[:, :start].T
    size = (B**2).sum(axis=0)
    n = B.shape[1]
    twin = minimize(
        lambda w: ((B @ w) @ (B @ w) + 0.05 * size @ w) / 1e3,
        np.full(n, 1 / n),
        jac=lambda w: (2 * B.T @ (B @ w) + 0.05 * size) / 1e3,
        method="SLSQP",
        bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert column(estimate, "donor").to_numpy() == pytest.approx(twin.x, abs=1e-5)
    nearest = synthetic_control(prop99, penalty=1e3)
    assert column(nearest, "donor").max() == 1.0


def test_constant_makes_levels_irrelevant(simulated: Make) -> None:
    panel = simulated()
    levels = np.random.default_rng(1).normal(size=(panel.n_units, 1)) * 100
    moved = synthetic_control(panel.with_outcome(panel.Y + levels), intercept=True)
    assert moved.value == pytest.approx(synthetic_control(panel, intercept=True).value, abs=1e-7)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([0.01, 5.0]))
def test_common_shocks_and_scale_pass_through(simulated: Make, seed: int, factor: float) -> None:
    panel = simulated(seed=seed % 50)
    shocks = np.random.default_rng(seed).normal(size=panel.n_periods) * 10
    moved = synthetic_control(panel.with_outcome(factor * (panel.Y + shocks) + 3 * panel.D))
    assert moved.value == pytest.approx(factor * synthetic_control(panel).value + 3, rel=1e-6, abs=1e-6)


def test_rescaling_a_predictor_changes_nothing(smoking: Panel) -> None:
    X = dict(smoking.X) | {"beer": smoking.X["beer"] * 1000}
    rescaled = Panel(Y=smoking.Y, D=smoking.D, units=smoking.units, periods=smoking.periods, X=X, outcome="cigsale")
    for v in ("inverse_variance", "regression"):
        pair = [synthetic_control(p, predictors=PROP99, v=v).value for p in (smoking, rescaled)]
        assert pair[0] == pytest.approx(pair[1], rel=1e-7)


def test_cross_validation_moves_every_window(prop99: Panel) -> None:
    predictors = (Predictor("outcome", 1980, 1983), Predictor("outcome", 1984, 1988))
    estimate = synthetic_control(prop99, predictors=predictors, v="cross_validated", validation=9)
    assert check(estimate, "v_search").value > 0
    with pytest.raises(DesignError, match="back by 15 periods"):
        synthetic_control(prop99, predictors=predictors, v="cross_validated", validation=15)


def test_refit_gives_placebos_with_the_same_predictors(smoking: Panel) -> None:
    estimate = synthetic_control(smoking, predictors=PROP99, v="regression")
    placebo = estimate.refit(smoking.drop(["California"]).treat(["Utah"], at=1989))
    assert placebo.path.index.tolist() == estimate.path.index.tolist()
    assert "Utah" not in column(placebo, "donor").index


def test_one_control_per_treated_unit(simulated: Make) -> None:
    panel = simulated(starts=(9, 10))
    each = synthetic_control(panel, target="each")
    single = [synthetic_control(panel.drop([other])).value for other in ("u01", "u00")]
    assert each.value == pytest.approx(np.average(single, weights=[5, 4]), rel=1e-9)


def test_what_cannot_be_is_refused(smoking: Panel) -> None:
    for options, message in [
        ({"predictors": (Predictor("bear", 1984, 1988),)}, "Did you mean 'beer'"),
        ({"predictors": (Predictor("beer", 1984, 1990),)}, "windows before treatment"),
        ({"predictors": (Predictor("beer", 1970, 1975),)}, "no value for Alabama"),
        ({"predictors": (Predictor("beer", 1988, 1984),)}, "ends before it starts"),
        ({"predictors": ()}, "predictors is empty"),
        ({"predictors": PROP99, "v": [1.0]}, "one weight"),
        ({"predictors": PROP99, "v": "best"}, "not an option"),
        ({"predictors": PROP99, "intercept": True}, "neither predictors"),
        ({"predictors": PROP99, "fit_window": (1970, 1995)}, "before treatment"),
        ({"penalty": -1.0}, "should be positive"),
    ]:
        with pytest.raises(DesignError, match=message):
            synthetic_control(smoking, **options)


def test_no_treatment_and_logs_of_zero_are_refused(simulated: Make) -> None:
    panel = simulated()
    with pytest.raises(DesignError, match="nothing to compare"):
        synthetic_control(panel.untreated())
    with pytest.raises(DesignError, match="no logarithm"):
        synthetic_control(panel.with_outcome(panel.Y * (np.arange(14) != 3)), scale="log")
