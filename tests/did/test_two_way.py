"""Two-way fixed effects: published numbers, dense twins, invariances, and what is left out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.errors import CrimepolicyError, DesignError
from crimepolicy.inference.cluster import cluster
from crimepolicy.panel import Panel

# Feols with a demeaning tolerance of 1e-11.
FEOLS = 1e-10
# fepois stops its Newton steps at a relative change of the deviance of 1e-11.
FEPOIS = 1e-8
# Two exact solvers of one problem differ by rounding.
EXACT = 1e-9
# GLM by dummies, both run to convergence.
GLM = 1e-6


def _terms(names: list[str]) -> list[str]:
    found = []
    for name in names:
        if name.startswith("rel::"):
            found.append(f"event_time[{name.removeprefix('rel::')}]")
        else:
            found.append(f"covariate[{name}]" if name in {"X1", "X2"} else "att")
    return found


def _case(
    name: str, mpdta_panel: Callable[..., Panel], reference_data: Callable[[str], Path]
) -> tuple[Panel, dict[str, Any]]:
    if name == "fect_simdata_twfe":
        rows = pd.read_csv(reference_data("fect_simdata"))
        return Panel.from_frame(rows, unit="id", time="time", outcome="Y", treated="D", covariates=["X1", "X2"]), {
            "covariates": ("X1", "X2")
        }
    if name == "california_prop99_twfe":
        rows = pd.read_csv(reference_data("california_prop99"))
        return Panel.from_frame(rows, unit="State", time="Year", outcome="PacksPerCapita", treated="treated"), {}
    if name == "mpdta_poisson_twfe":
        return mpdta_panel(counts=True), {"family": "poisson"}
    if name == "mpdta_event_twfe":
        return mpdta_panel(), {"event_study": (-4, 3)}
    return (mpdta_panel(weights="w") if "weight" in name else mpdta_panel()), {}


@pytest.mark.parametrize(
    "name",
    [
        "mpdta_twfe",
        "mpdta_twfe_lpop_weight",
        "mpdta_event_twfe",
        "mpdta_poisson_twfe",
        "fect_simdata_twfe",
        "california_prop99_twfe",
    ],
)
@pytest.mark.parametrize("correction", ["CR0", "CR1", "CR1N", "CR1S"])
def test_fixest(name: str, correction: Any, reference: Any, mpdta_panel: Any, reference_data: Any) -> None:
    spec = reference("fixest_two_way")["specs"][name]
    panel, options = _case(name, mpdta_panel, reference_data)
    effect = two_way_fixed_effects(panel, correction=correction, **options)
    tolerance = FEPOIS if "poisson" in name else FEOLS
    terms = _terms(spec["term"])
    np.testing.assert_allclose(effect.estimates[terms], spec["estimate"], rtol=tolerance)
    np.testing.assert_allclose(effect.std_errors[terms], spec["std_error"][correction], rtol=tolerance)


VARIANCES: dict[str, dict[str, Any]] = {
    "iid": {"correction": "iid"},
    "HC1": {"by": "cell", "correction": "CR1S"},
    "CR1N": {"by": "unit", "correction": "CR1N"},
    "CR1S": {"by": "unit", "correction": "CR1S"},
    "two_way_smallest": {"by": "unit", "second": "period", "correction": "CR1N", "smallest": True},
    "two_way_own": {"by": "unit", "second": "period", "correction": "CR1N"},
}


@pytest.mark.parametrize(
    "name",
    [
        "mpdta_twfe",
        "mpdta_twfe_lpop_weight",
        "mpdta_event_twfe",
        "mpdta_poisson_twfe",
        "fect_simdata_twfe",
        "california_prop99_twfe",
    ],
)
def test_variances_of_fixest(name: str, reference: Any, mpdta_panel: Any, reference_data: Any) -> None:
    spec = reference("fixest_two_way")["specs"][name]
    panel, options = _case(name, mpdta_panel, reference_data)
    effect, terms = two_way_fixed_effects(panel, **options), _terms(spec["term"])
    for variance in [key for key in VARIANCES if key in spec["std_error"]]:
        found = cluster(effect, **VARIANCES[variance])
        tolerance = FEPOIS if "poisson" in name else FEOLS
        np.testing.assert_allclose(found.std_errors[terms], spec["std_error"][variance], rtol=tolerance)
        assert found.df == spec["df"].get(variance, found.df)


def _dense(
    panel: Panel, columns: list[np.ndarray], by_region: bool, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Least squares on dummies, and the CR0 variance by unit."""
    n, length = panel.Y.shape
    seen = panel.observed.ravel()
    unit, period = np.repeat(np.arange(n), length), np.tile(np.arange(length), n)
    if by_region:
        period = period + length * pd.factorize(panel.region)[0][unit]
    dummies = np.column_stack([pd.get_dummies(unit), pd.get_dummies(period)]).astype(float)
    X = np.column_stack([*(column.ravel() for column in columns), dummies])[seen]
    root = np.sqrt(weights.ravel()[seen])
    bread = np.linalg.pinv((X * root[:, None]).T @ (X * root[:, None]), rcond=1e-11, hermitian=True)
    slopes = bread @ ((X * root[:, None]).T @ (panel.Y.ravel()[seen] * root))
    scores = X * (root**2 * (panel.Y.ravel()[seen] - X @ slopes))[:, None]
    sums = pd.DataFrame(scores).groupby(unit[seen]).sum().to_numpy()
    k = len(columns)
    return slopes[:k], (bread @ sums.T @ sums @ bread)[:k, :k]


@pytest.mark.parametrize("gaps", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("effects", ["unit+period", "unit+region:period"])
def test_dense_twin(staggered: Any, gaps: float, weighted: bool, effects: Any) -> None:
    panel = staggered(3, gaps=gaps, weighted=weighted)
    effect = two_way_fixed_effects(panel, effects=effects, covariates=("z",), correction="CR0")
    weights = panel.weights if weighted else np.ones(panel.Y.shape)
    slopes, variance = _dense(panel, [panel.D.astype(float), panel.X["z"]], "region" in effects, weights)
    np.testing.assert_allclose(effect.estimates[["att", "covariate[z]"]], slopes, rtol=EXACT)
    np.testing.assert_allclose(effect.covariance(["att", "covariate[z]"]), variance, rtol=EXACT)


def test_weights_that_change_over_time(staggered: Any) -> None:
    panel = staggered(4)
    weights = np.random.default_rng(0).uniform(0.2, 3, size=panel.Y.shape)
    effect = two_way_fixed_effects(replace(panel, weights=weights), correction="CR0")
    slopes, variance = _dense(panel, [panel.D.astype(float)], False, weights)
    np.testing.assert_allclose([effect.value, effect.std_error], [slopes[0], np.sqrt(variance[0, 0])], rtol=EXACT)


@pytest.mark.parametrize("ends", ["bin", "drop"])
def test_event_study_twin(staggered: Any, ends: Any) -> None:
    panel = staggered(5, gaps=0.1)
    effect = two_way_fixed_effects(panel, event_study=(-3, 2), ends=ends, correction="CR0")
    event = np.arange(panel.n_periods) - panel.G[:, None]
    inside = ~np.isfinite(event) | ((event >= -3) & (event <= 2))
    clipped = np.clip(event, -3, 2) if ends == "bin" else event
    kept = panel if ends == "bin" else panel.with_outcome(np.where(inside, panel.Y, np.nan))
    times = [-3, -2, 0, 1, 2]
    slopes, variance = _dense(
        kept,
        [np.where(np.isfinite(event), clipped == e, False).astype(float) for e in times],
        False,
        np.ones(panel.Y.shape),
    )
    terms = [f"event_time[{e}]" for e in times]
    np.testing.assert_allclose(effect.estimates[terms], slopes, rtol=EXACT)
    np.testing.assert_allclose(effect.covariance(terms), variance, rtol=EXACT)
    assert effect.value == pytest.approx(slopes[2:].mean(), rel=EXACT)
    assert effect.path is not None
    assert effect.path.loc[-1, "estimate"] == 0
    assert np.isnan(effect.path.loc[-1, "std_error"])


@pytest.mark.parametrize("effects", ["unit+period", "unit+region:period"])
def test_poisson_twin(staggered: Any, effects: Any) -> None:
    panel = staggered(6, counts=True, gaps=0.1, weighted=True)
    effect = two_way_fixed_effects(panel, family="poisson", effects=effects, covariates=("z",), correction="CR0")
    n, length = panel.Y.shape
    seen = panel.observed.ravel()
    unit, period = np.repeat(np.arange(n), length), np.tile(np.arange(length), n)
    code = period + (length * pd.factorize(panel.region)[0][unit] if "region" in effects else 0)
    periods = pd.get_dummies(code).to_numpy()[:, np.arange(code.max() + 1) % length > 0]
    X = np.column_stack([panel.D.ravel(), panel.X["z"].ravel(), pd.get_dummies(unit), periods]).astype(float)[seen]
    assert panel.population is not None
    assert panel.weights is not None
    weights = panel.weights.ravel()[seen]
    model = sm.GLM(
        panel.Y.ravel()[seen],
        X,
        family=sm.families.Poisson(),
        offset=np.log(panel.population.ravel()[seen]),
        freq_weights=weights,
    )
    fit = model.fit(tol=1e-14, maxiter=200)
    scores = (
        pd.DataFrame(X * (weights * (panel.Y.ravel()[seen] - fit.mu))[:, None]).groupby(unit[seen]).sum().to_numpy()
    )
    bread = np.linalg.inv((X * (weights * fit.mu)[:, None]).T @ X)
    variance = (bread @ scores.T @ scores @ bread)[:2, :2]
    np.testing.assert_allclose(effect.estimates[["att", "covariate[z]"]], fit.params[:2], rtol=GLM)
    np.testing.assert_allclose(effect.covariance(["att", "covariate[z]"]), variance, rtol=GLM)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 100))
def test_invariance_to_shocks_and_scale(staggered: Any, seed: int, scale: float) -> None:
    panel, rng = staggered(7, gaps=0.1), np.random.default_rng(seed)
    shocks = rng.normal(size=(panel.n_units, 1)) * 10 + rng.normal(size=panel.n_periods) * 10
    before, after = two_way_fixed_effects(panel), two_way_fixed_effects(panel.with_outcome(scale * panel.Y + shocks))
    np.testing.assert_allclose(
        [after.value, after.std_error], [scale * before.value, scale * before.std_error], rtol=1e-7
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_poisson_invariance_to_exposure_shocks(staggered: Any, seed: int) -> None:
    panel, rng = staggered(8, counts=True), np.random.default_rng(seed)
    shocks = np.exp(rng.normal(size=(panel.n_units, 1)) + rng.normal(size=panel.n_periods))
    before, after = (
        two_way_fixed_effects(p, family="poisson")
        for p in (panel, replace(panel, population=panel.population * shocks))
    )
    np.testing.assert_allclose([after.value, after.std_error], [before.value, before.std_error], rtol=1e-7)


def test_unit_order_does_not_matter(staggered: Any) -> None:
    panel = staggered(9, gaps=0.1)
    order = np.random.default_rng(0).permutation(panel.n_units)
    names = {
        "Y": panel.Y[order],
        "D": panel.D[order],
        "units": panel.units[order],
        "X": {k: v[order] for k, v in panel.X.items()},
        "region": panel.region[order],
    }
    before, after = two_way_fixed_effects(panel), two_way_fixed_effects(replace(panel, **names))
    assert after.value == pytest.approx(before.value, rel=EXACT)
    assert after.psi is not None
    assert before.psi is not None
    np.testing.assert_allclose(after.psi.loc[before.psi.index], before.psi, atol=1e-12)


def test_dose_replaces_treatment(staggered: Any) -> None:
    panel = staggered(10)
    dose = panel.D * np.random.default_rng(0).uniform(0.5, 2, size=panel.Y.shape)
    effect = two_way_fixed_effects(replace(panel, dose=dose))
    slopes, _ = _dense(panel, [dose], False, np.ones(panel.Y.shape))
    assert effect.value == pytest.approx(slopes[0], rel=EXACT)
    assert "one unit of dose" in effect.estimand


def test_excess_counts_events_in_treated_cells(staggered: Any) -> None:
    panel = staggered(11, counts=True)
    effect = two_way_fixed_effects(panel, family="poisson")
    treated = panel.Y[panel.D].sum()
    assert effect.excess().value == pytest.approx(treated * (1 - np.exp(-effect.value)), rel=EXACT)
    assert effect.excess().std_error == pytest.approx(treated * np.exp(-effect.value) * effect.std_error, rel=EXACT)
    assert effect.excess().refit(panel).value == pytest.approx(effect.excess().value)


def test_negative_weights_are_counted(staggered: Any) -> None:
    panel = staggered(12, never=False)
    D = panel.D - panel.D.mean(axis=1, keepdims=True) - panel.D.mean(axis=0) + panel.D.mean()
    on = D[panel.D]
    check = next(check for check in two_way_fixed_effects(panel).checks if check.name == "negative_weights")
    assert (on < 0).any()
    assert check.value == pytest.approx(-on[on < 0].sum() / on.sum())
    assert f"{(on < 0).sum()} of" in check.text


def test_cells_left_out_are_counted(staggered: Any) -> None:
    panel = staggered(13, counts=True, gaps=0.1)
    Y = panel.Y.copy()
    Y[0, panel.observed[0]] = 0
    effect = two_way_fixed_effects(panel.with_outcome(Y), family="poisson")
    counts = {check.name: check.value for check in effect.checks}
    assert counts["unobserved_cells"] == (~panel.observed).sum()
    assert counts["uninformative_cells"] == panel.observed[0].sum()
    assert effect.n_units == panel.n_units - 1
    assert effect.psi is not None
    assert panel.units[0] not in effect.psi.index


def test_separated_cells_do_not_move_the_rest(staggered: Any) -> None:
    panel = staggered(14, counts=True)
    extra = np.zeros_like(panel.Y)
    extra[3, 5] = 1.0
    Y = panel.Y.copy()
    Y[3, 5] = 0
    effect = two_way_fixed_effects(replace(panel.with_outcome(Y), X={"only": extra}), family="poisson")
    gone = Y.copy()
    gone[3, 5] = np.nan
    without = two_way_fixed_effects(panel.with_outcome(gone), family="poisson")
    assert effect.value != pytest.approx(without.value, rel=1e-6)
    with pytest.raises(DesignError, match=r"covariate\[only\]"):
        two_way_fixed_effects(replace(panel.with_outcome(Y), X={"only": extra}), family="poisson", covariates=("only",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.untreated(), "Nobody is treated"),
        (lambda p: p.with_treatment(np.ones_like(p.D)), "leave no variation in the treatment"),
        (lambda p: replace(p, weights=-np.ones_like(p.Y)), "Weights cannot be negative"),
    ],
)
def test_designs_that_say_nothing(staggered: Any, change: Any, message: str) -> None:
    with pytest.raises(DesignError, match=message):
        two_way_fixed_effects(change(staggered(0)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"covariates": ("zz",)}, "Did you mean 'z'"),
        ({"family": "normal"}, "Use one of: 'gaussian', 'poisson'"),
        ({"correction": "HC1"}, "CR1S"),
        ({"event_study": (0, 3)}, "around the reference -1"),
        ({"event_study": (-3, -1)}, "no treated period"),
        ({"family": "poisson"}, "needs counts"),
    ],
)
def test_options_that_make_no_sense(staggered: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CrimepolicyError, match=message):
        two_way_fixed_effects(staggered(0), **options)


def test_leads_and_lags_need_controls(staggered: Any) -> None:
    with pytest.raises(DesignError, match="not identified"):
        two_way_fixed_effects(staggered(0, never=False), event_study=(-6, 5))


def test_treated_cells_without_events(staggered: Any) -> None:
    panel = staggered(0, counts=True)
    with pytest.raises(DesignError, match="some cells with an event"):
        two_way_fixed_effects(panel.with_outcome(np.where(panel.D, 0, panel.Y)), family="poisson")


def test_refit_is_the_same_estimator(staggered: Any) -> None:
    effect = two_way_fixed_effects(
        staggered(1, counts=True), family="poisson", effects="unit+region:period", covariates=("z",)
    )
    again = effect.refit(staggered(1, counts=True))
    assert again.value == effect.value
    assert again.options == effect.options
