"""Factor models: published and exact numbers, independent twins, on/off treatment, missing cells, counts, uncertainty."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crimepolicy.errors import DesignError, InferenceError
from crimepolicy.panel import Panel
from crimepolicy.synth.completion import complete, largest_penalty
from crimepolicy.synth.factor_model import factor_model
from crimepolicy.synth.interactive import fit_interactive
from crimepolicy.synth.spell_time import UNKNOWN, since_end, since_start
from crimepolicy.synth.two_way import TwoWayProjector

TWO_WAY = 1e-10
CONVERGED = 1e-6  # the reference's own solver stopped near 2e-7
TIGHT = 1e-5  # fect at tol = 1e-12; MCPanel stops at about 6e-6
NEAR_ZERO = (
    3e-4  # packs; two factors leave an effect of -0.18 on a flat optimum, where fect's 560 steps end a little early
)

Make = Callable[..., Panel]


@pytest.fixture(scope="session")
def panel_of(reference_data: Callable[[str], Path]) -> Callable[[str], Panel]:
    def build(name: str) -> Panel:
        frame = pd.read_csv(reference_data(name))
        if name == "california_prop99":
            return Panel.from_frame(frame, unit="State", time="Year", outcome="PacksPerCapita", treated="treated")
        if name == "mpdta":
            return Panel.from_frame(frame, unit="countyreal", time="year", outcome="lemp", first_treated="first.treat")
        return Panel.from_frame(frame, unit="id", time="time", outcome="Y", treated="D", covariates=["X1", "X2"])

    return build


def options_of(panel: Panel, case: dict[str, Any]) -> dict[str, Any]:
    given = case["options"]
    if case["package"] == "fect" and given["method"] != "mc":
        return {"rank": int(given.get("r", 0)), "covariates": tuple(panel.X)}
    W = (~panel.D).astype(float)
    covariates = tuple(panel.X) if case["package"] == "fect" else ()
    X = np.stack([panel.X[name] for name in covariates]) if covariates else np.zeros((0, *W.shape))
    tau = given["lambda"] * W.size if case["package"] == "fect" else given["lambda_L"] * W.sum() / 2
    share = min(tau / largest_penalty(panel.Y, W, X), 1.0)
    return {"method": "matrix_completion", "penalty": share, "covariates": covariates}


def test_published_numbers(panel_of: Callable[[str], Panel], reference: Callable[[str], Any]) -> None:
    for name, case in reference("factor_model")["cases"].items():
        panel = panel_of(case["dataset"])
        estimate = factor_model(panel, variance="none", **options_of(panel, case))
        flat = name == "california_prop99/ife_r2_tight"
        tolerance = {"abs": NEAR_ZERO} if flat else {"rel": TWO_WAY if "/fe_" in name else TIGHT}
        assert estimate.value == pytest.approx(case["estimate"], **tolerance), name
        if case["package"] == "fect":
            path = estimate.path["estimate"]
            # The reference counts the first treated period as 1.
            published = pd.Series(case["path"], np.array(case["time"]) - 1)
            scale = np.abs(published).max()
            assert path.to_numpy() == pytest.approx(
                published[path.index].to_numpy(), abs=(1e-3 if flat else TIGHT) * scale
            ), name
            if case["path_off"]:
                ends = estimate.companions["exit"].path["estimate"]
                published = pd.Series(case["path_off"], np.array(case["time_off"]) - 1)
                assert ends.to_numpy() == pytest.approx(published[ends.index].to_numpy(), abs=TIGHT * scale), name


def test_converged_completion(panel_of: Callable[[str], Panel], reference: Callable[[str], Any]) -> None:
    panel = panel_of("california_prop99")
    W = (~panel.D).astype(float)
    for name, case in reference("factor_model")["converged"].items():
        if "tau" not in case:
            continue
        fit = complete(panel.Y, W, np.zeros((0, *W.shape)), case["tau"])
        assert fit.converged
        assert (panel.Y - fit.fitted)[panel.D].mean() == pytest.approx(case["att"], rel=CONVERGED), name
        assert len(fit.singular_values) == case["rank"]
        objective = 0.5 * (W * (panel.Y - fit.fitted) ** 2).sum() + case["tau"] * fit.singular_values.sum()
        assert objective <= case["objective_half_sq_plus_tau_nuc"] * (1 + 1e-12)


def test_completion_satisfies_the_optimality_conditions(simulated: Make) -> None:
    panel = simulated(n_units=20)
    W = np.random.default_rng(0).uniform(0.2, 2, size=panel.Y.shape) * ~panel.D
    X = np.zeros((0, *W.shape))
    tau = 0.3 * largest_penalty(panel.Y, W, X)
    fit = complete(panel.Y, W, X, tau)
    residual = W * (panel.Y - fit.fitted)
    assert np.abs(residual.sum(axis=0)).max() < 1e-6 * tau
    assert np.abs(residual.sum(axis=1)).max() < 1e-6 * tau
    # The residual is tau times a subgradient of the nuclear norm at L.
    assert np.linalg.norm(residual, 2) == pytest.approx(tau, rel=1e-6)
    assert (residual * fit.low_rank).sum() == pytest.approx(tau * fit.singular_values.sum(), rel=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(0, 2))
def test_two_way_projector_equals_dense_least_squares(seed: int, p: int) -> None:
    rng = np.random.default_rng(seed)
    n, t = 7, 5
    W = rng.uniform(0.5, 2, size=(n, t)) * (rng.uniform(size=(n, t)) < 0.8)
    W[:, 0] = np.maximum(W[:, 0], 0.1)
    W[0] = np.maximum(W[0], 0.1)
    Z, X = rng.normal(size=(n, t)), rng.normal(size=(p, n, t))
    fit = TwoWayProjector(W, X).fit(Z)
    dummies = [np.kron(np.eye(n), np.ones((t, 1))), np.kron(np.ones((n, 1)), np.eye(t)), X.reshape(p, n * t).T]
    design, root = np.column_stack(dummies), np.sqrt(W.ravel())
    solution = np.linalg.lstsq(design * root[:, None], Z.ravel() * root)[0]
    assert fit.fitted.ravel() == pytest.approx(design @ solution, abs=1e-8)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_interactive_fit_is_stationary_and_beats_alternating(family: Any) -> None:
    rng = np.random.default_rng(4)
    eta = (
        rng.normal(size=(15, 1)) * 0.3
        + rng.normal(size=12) * 0.2
        + np.outer(rng.normal(size=15), rng.normal(size=12)) * 0.5
    )
    Z = eta + 0.3 * rng.normal(size=eta.shape) if family == "gaussian" else rng.poisson(8 * np.exp(eta)).astype(float)
    W = (rng.uniform(size=Z.shape) < 0.85).astype(float)
    X = rng.normal(size=(1, *Z.shape))
    fit = fit_interactive(Z, W, X, 1, family=family)
    assert fit.converged
    residual = W * (Z - (fit.eta if family == "gaussian" else np.exp(fit.eta)))
    loads, factors = np.column_stack([np.ones(15), fit.units[:, 1]]), np.column_stack([np.ones(12), fit.periods[:, 1]])
    scale = np.sqrt((Z**2).sum())
    assert np.abs(residual @ factors).max() < 1e-4 * scale
    assert np.abs(residual.T @ loads).max() < 1e-4 * scale
    assert abs((residual * X[0]).sum()) < 1e-4 * scale


def test_recovers_the_effect_where_unit_and_period_effects_do_not() -> None:
    panel = factor_panel(seed=2)
    naive = factor_model(panel, rank=0, variance="none")
    right = factor_model(panel, rank=1, variance="none")
    assert abs(right.value - 2) < 0.2 < abs(naive.value - 2)
    chosen = factor_model(panel, variance="none")
    assert chosen.options["rank"] == 1
    completed = factor_model(panel, method="matrix_completion", variance="none")
    assert abs(completed.value - 2) < abs(naive.value - 2)
    assert chosen.refit(panel).value == pytest.approx(chosen.value, rel=1e-9)


def factor_panel(seed: int, effect: float = 2.0, n: int = 40, t: int = 24, noise: float = 0.3) -> Panel:
    """One factor; a third of the units, with larger loadings, are treated, some on and off; some cells are missing."""
    rng = np.random.default_rng(seed)
    loading = rng.normal(size=n)
    factor = rng.normal(size=t).cumsum()
    Y = rng.normal(size=(n, 1)) + rng.normal(size=t) + np.outer(loading, factor) + noise * rng.normal(size=(n, t))
    D = np.zeros((n, t), dtype=bool)
    for row in np.argsort(-loading)[: n // 3]:
        start = rng.integers(10, 18)
        D[row, start : (t if rng.uniform() < 0.5 else start + 4)] = True
    Y = Y + effect * D
    Y[rng.uniform(size=Y.shape) < 0.05] = np.nan
    return Panel(Y=Y, D=D, units=pd.Index([f"u{i:02d}" for i in range(n)]), periods=pd.Index(range(t)))


def test_unit_and_period_effects_and_scale_pass_through() -> None:
    panel = factor_panel(seed=1)
    rng = np.random.default_rng(0)
    moved = panel.with_outcome(5 * (panel.Y + rng.normal(size=(40, 1)) + rng.normal(size=24)) + 3.0 * panel.D)
    for options in ({"rank": 1}, {"method": "matrix_completion", "penalty": 0.1}):
        base = factor_model(panel, variance="none", **options).value
        assert factor_model(moved, variance="none", **options).value == pytest.approx(5 * base + 3, abs=1e-5)


def test_event_time_counts_from_starts_and_ends() -> None:
    D = np.array([[0, 0, 1, 1, 0, 0, 1, 0], [1, 1, 0, 0, 0, 1, 1, 1], [0] * 8], dtype=bool)
    u = UNKNOWN
    expected = [[-2, -1, 0, 1, -2, -1, 0, u], [u, u, -3, -2, -1, 0, 1, 2], [u] * 8]
    assert since_start(D).tolist() == expected
    assert since_end(D).tolist() == [[u, u, -2, -1, 0, 1, -1, 0], [-2, -1, 0, 1, 2, u, u, u], [u] * 8]


def test_carryover_is_found_and_set_aside() -> None:
    panel = factor_panel(seed=3, n=60)
    lingering = since_end(panel.D) == 0
    remains = panel.with_outcome(panel.Y + 1.5 * lingering)
    found = factor_model(remains, rank=1, carryover=1, variance="jackknife")
    assert found.companions["carryover"].value == pytest.approx(1.5, abs=0.3)
    assert found.companions["carryover"].p_value() < 0.01
    assert next(c for c in found.checks if c.name == "carryover").passed is False
    none = factor_model(panel, rank=1, carryover=1, variance="jackknife")
    assert none.companions["carryover"].p_value() > 0.01
    assert found.value == pytest.approx(none.value, abs=1e-6)
    exits = none.companions["exit"]
    assert exits.path.index.min() < 0 <= exits.path.index.max()


def test_jackknife_equals_deleting_by_hand() -> None:
    panel = factor_panel(seed=5, n=18)
    estimate = factor_model(panel, rank=1, variance="jackknife")
    values = np.array([factor_model(panel.drop([unit]), rank=1, variance="none").value for unit in panel.units])
    n = len(values)
    assert estimate.std_error == pytest.approx(np.sqrt((n - 1) / n * ((values - values.mean()) ** 2).sum()), rel=1e-3)
    assert estimate.covariance(["att"]).to_numpy()[0, 0] == pytest.approx(estimate.std_error**2, rel=1e-10)
    assert estimate.df == panel.D.any(axis=1).sum() - 1
    bootstrap = factor_model(panel, rank=1, variance="bootstrap", draws=60, seed=2)
    assert 0.4 < bootstrap.std_error / estimate.std_error < 2.5
    assert bootstrap.draws.equals(factor_model(panel, rank=1, variance="bootstrap", draws=60, seed=2).draws)


def test_imputed_outcomes_beyond_everything_observed_are_counted() -> None:
    rng = np.random.default_rng(3)
    trend = np.r_[np.zeros(10), np.linspace(0.0, 40.0, 6)]
    Y = (
        np.outer(np.r_[20.0, rng.uniform(0.1, 1.0, 9)], np.r_[rng.normal(size=10), trend[10:]])
        + rng.normal(size=(10, 16)) * 0.1
    )
    D = np.zeros(Y.shape, dtype=bool)
    D[0, 10:] = True
    panel = Panel(Y=np.where(D, 5.0, Y), D=D, units=pd.Index(list("abcdefghij")), periods=pd.Index(range(16)))
    factors, none = (factor_model(panel, rank=rank, variance="none") for rank in (1, 0))
    flagged, fine = (next(c for c in e.checks if c.name == "imputed_range") for e in (factors, none))
    assert flagged.passed is False
    assert flagged.value >= 3
    assert fine.passed


def test_counts_with_exposure_give_a_log_ratio_and_events() -> None:
    rng = np.random.default_rng(7)
    n, t = 40, 20
    population = rng.uniform(1e5, 1e6, size=(n, 1)) * np.ones((n, t))
    log_rate = -9 + 0.4 * rng.normal(size=(n, 1)) + np.outer(rng.normal(size=n), np.linspace(-1, 1, t)) * 0.4
    D = np.zeros((n, t), dtype=bool)
    D[:10, 12:17] = True
    Y = rng.poisson(population * np.exp(log_rate - 0.5 * D)).astype(float)
    panel = Panel(
        Y=Y, D=D, units=pd.Index(range(n)), periods=pd.Index(range(t)), population=population, outcome="deaths"
    )
    for options in ({"rank": 1}, {"method": "matrix_completion", "penalty": 0.1}):
        estimate = factor_model(panel, family="poisson", variance="none", **options)
        assert estimate.value == pytest.approx(-0.5, abs=0.12)
        expected = Y[D].sum() - estimate.excess().value
        assert estimate.value == pytest.approx(np.log(Y[D].sum() / expected), rel=1e-10)
        assert estimate.as_ratio().value == pytest.approx(np.exp(estimate.value))
        doubled = Panel(Y=Y, D=D, units=panel.units, periods=panel.periods, population=2 * population)
        assert factor_model(doubled, family="poisson", variance="none", **options).value == pytest.approx(
            estimate.value, abs=1e-6
        )
    assert factor_model(panel, rank=1, family="poisson", variance="jackknife").std_error > 0


def test_poisson_without_factors_is_the_multiplicative_two_way_model(simulated: Make) -> None:
    panel = simulated(n_units=10)
    counts = panel.with_outcome(np.round(panel.Y))
    estimate = factor_model(counts, rank=0, family="poisson", variance="none")
    seen = ~counts.D
    mu = np.ones(counts.Y.shape)
    for _ in range(500):  # iterative proportional fitting of the untreated margins
        mu *= ((counts.Y * seen).sum(1) / (mu * seen).sum(1))[:, None]
        mu *= (counts.Y * seen).sum(0) / (mu * seen).sum(0)
    assert estimate.value == pytest.approx(np.log(counts.Y[counts.D].sum() / mu[counts.D].sum()), rel=1e-8)


def test_a_zero_that_a_factor_explains_perfectly_is_a_failed_check() -> None:
    rng = np.random.default_rng(0)
    Y = rng.poisson(20.0, size=(12, 10)).astype(float)
    Y[1:, 3] = 0  # one period empty in all units but one: their loadings on its factor have no finite best value
    D = np.zeros(Y.shape, dtype=bool)
    D[0, 6:] = True
    counts = Panel(Y=Y, D=D, units=pd.Index(range(12)), periods=pd.Index(range(10)))
    failed = {
        check.name: check
        for check in factor_model(counts, rank=1, family="poisson", variance="none").checks
        if check.passed is False
    }
    assert failed["finite_maximum"].value >= 10
    assert "lower the rank" in failed["finite_maximum"].text
    everywhere = factor_model(counts.with_outcome(Y + 1), rank=1, family="poisson", variance="none")
    assert "finite_maximum" not in {check.name for check in everywhere.checks}


def test_what_cannot_be_imputed_is_counted_or_refused() -> None:
    panel = factor_panel(seed=8)
    D = panel.D.copy()
    D[0] = True
    always = factor_model(panel.with_treatment(D), rank=1, variance="none")
    found = {check.name: check.value for check in always.checks}
    assert found["units_dropped"] == 1
    assert found["treated_cells_dropped"] == np.isfinite(panel.Y[0]).sum()
    assert found["cells_missing"] == np.isnan(panel.Y).sum()
    with pytest.raises(DesignError, match="No treated cell"):
        factor_model(panel.untreated())
    for options, message in [
        ({"rank": -1}, "zero or more"),
        ({"penalty": 2.0}, "share of the penalty"),
        ({"covariates": ["x"]}, "No such covariate"),
        ({"family": "poisson"}, "negative"),
        ({"method": "pca"}, "not an option"),
        ({"rank": 30}, "lower rank"),
    ]:
        with pytest.raises(DesignError, match=message):
            factor_model(panel, **options)


def test_one_treated_unit_has_no_jackknife(simulated: Make) -> None:
    for variance in ("bootstrap", "jackknife"):
        with pytest.raises(InferenceError, match="1 of 12 clusters are treated"):
            factor_model(simulated(), rank=1, variance=variance)


@pytest.mark.slow
def test_coverage() -> None:
    covered = {"jackknife": 0, "bootstrap": 0}
    for seed in range(150):
        panel = factor_panel(seed=seed)
        for variance in covered:
            low, high = factor_model(panel, rank=1, variance=variance, draws=60, seed=seed).interval()
            covered[variance] += low <= 2.0 <= high
    print({name: count / 150 for name, count in covered.items()}, "nominal 0.95")
    assert all(0.86 < count / 150 < 1.0 for count in covered.values())
