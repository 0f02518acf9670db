"""Imputation: the published numbers, dense and numerical twins, invariances."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from crimepolicy.did.fixed_effects import fit_effects
from crimepolicy.did.imputation import imputation
from crimepolicy.errors import DesignError
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

# R packages run with fixef.tol=1e-11: their own error is some 1e-11.
REFERENCE = 1e-9
# Sums of 10^4 terms in another order.
ROUNDING = 1e-9
# Central difference of step 1e-4 in a smooth function: error of order 1e-8.
NUMERICAL = 1e-6


def staggered(
    seed: int = 1, n: int = 40, t: int = 18, effect: float = 0.3, gaps: float = 0.03, **changes: Any
) -> Panel:
    """Counts with exposure; ten units treated at several dates, some of which end; a few missing cells."""
    rng = np.random.default_rng(seed)
    level, season = np.exp(rng.normal(-0.3, 1, (n, 1))), np.exp(rng.normal(0, 0.3, t))
    population = np.exp(rng.normal(0, 0.5, (n, 1))) * np.linspace(1, 1.2, t)
    D = np.zeros((n, t), dtype=bool)
    for i in range(10):
        start = rng.integers(5, 14)
        D[i, start : start + 4 if i % 3 == 0 else t] = True
    X = rng.normal(size=(n, t))
    Y = rng.poisson(level * season * population * np.exp(0.2 * X + effect * D)).astype(float)
    Y[rng.random((n, t)) < gaps] = np.nan
    fields: dict[str, Any] = {
        "Y": Y,
        "D": D,
        "units": pd.Index([f"u{i:02d}" for i in range(n)]),
        "periods": pd.Index(np.arange(t)),
        "population": population,
        "weights": np.ones((n, t)),
        "X": {"x": X},
        "region": np.array(["north", "south"])[np.arange(n) % 2],
    }
    return Panel(**(fields | changes))


@pytest.fixture(scope="module")
def panel() -> Panel:
    return staggered()


def mpdta(path: Path) -> Panel:
    return Panel.from_frame(
        pd.read_csv(path),
        unit="countyreal",
        time="year",
        outcome="lemp",
        first_treated="first.treat",
        covariates=["lpop"],
    )


# -------------------------------------------------------------------- published numbers


def test_equals_didimputation_on_mpdta(reference_data: Any, reference: Any) -> None:
    found = imputation(mpdta(reference_data("mpdta")), pretrends=3)
    specs = reference("mpdta_didimputation")["specs"]
    assert found.value == pytest.approx(specs["static"]["estimate"], rel=REFERENCE)
    assert found.std_error == pytest.approx(specs["static"]["std_error"], rel=REFERENCE)
    after = found.path.loc[0:]
    np.testing.assert_allclose(after["estimate"], specs["event"]["estimate"], rtol=REFERENCE)
    np.testing.assert_allclose(after["std_error"], specs["event"]["std_error"], rtol=REFERENCE)
    np.testing.assert_allclose(found.path["estimate"], specs["pretrends"]["estimate"], rtol=REFERENCE)
    # The leads are a regression, whose reference error carries fixest's factor: 500 counties, 2,209 cells, 3 leads + 5 years.
    factor = np.sqrt(500 / 499 * 2208 / (2209 - 8))
    np.testing.assert_allclose(
        found.path["std_error"][:3] * factor, specs["pretrends"]["std_error"][:3], rtol=REFERENCE
    )


def test_equals_didimputation_on_a_larger_panel(reference_data: Any, reference: Any) -> None:
    frame = pd.read_csv(reference_data("timing_did_2000x20"))
    found = imputation(Panel.from_frame(frame, unit="id", time="time", outcome="y", treated="D"))
    specs = reference("timing_did_2000x20_didimputation")["specs"]
    assert found.value == pytest.approx(specs["static"]["estimate"], rel=REFERENCE)
    assert found.std_error == pytest.approx(specs["static"]["std_error"], rel=REFERENCE)
    np.testing.assert_allclose(found.path["estimate"], specs["event"]["estimate"], rtol=REFERENCE)
    np.testing.assert_allclose(found.path["std_error"], specs["event"]["std_error"], rtol=REFERENCE)


def test_equals_did2s_where_the_definition_is_the_same(reference_data: Any, reference: Any) -> None:
    panel = mpdta(reference_data("mpdta"))
    specs = reference("mpdta_did2s")["specs"]
    found = imputation(panel)
    np.testing.assert_allclose(found.path["estimate"], specs["event"]["estimate"][4:], rtol=REFERENCE)
    # Two-stage regression takes residuals around one mean; only one cohort reaches event times 2 and 3, so there they agree.
    np.testing.assert_allclose(found.path["std_error"][2:], specs["event"]["std_error"][6:], rtol=REFERENCE)
    around_one = imputation(panel, average="event_time", centre="plain")
    np.testing.assert_allclose(around_one.path["std_error"], specs["event"]["std_error"][4:], rtol=REFERENCE)
    around_all = imputation(panel, average="all", centre="plain")
    np.testing.assert_allclose(
        [around_all.value, around_all.std_error], list(specs["static"].values())[1:], rtol=REFERENCE
    )


def test_equals_did2s_with_covariates(reference_data: Any, reference: Any) -> None:
    panel = mpdta(reference_data("mpdta"))
    year = np.arange(panel.n_periods)
    slopes = {f"lpop{k}": np.where(year == k, panel.X["lpop"], 0.0) for k in year[1:]}
    found = imputation(replace(panel, X=slopes), covariates=tuple(slopes), average="all", centre="plain")
    spec = reference("mpdta_did2s")["specs"]["covariate"]
    np.testing.assert_allclose([found.value, found.std_error], [spec["estimate"], spec["std_error"]], rtol=REFERENCE)


@pytest.mark.parametrize("dataset", ["mpdta", "fect_simdata", "fect_simgsynth"])
def test_equals_the_fixed_effects_counterfactual(dataset: str, reference_data: Any, reference: Any) -> None:
    spec = reference(f"{dataset}_fect")["specs"]["fe"]
    if dataset == "mpdta":
        found = imputation(mpdta(reference_data(dataset)))
    else:
        frame = pd.read_csv(reference_data(dataset))
        panel = Panel.from_frame(frame, unit="id", time="time", outcome="Y", treated="D", covariates=["X1", "X2"])
        found = imputation(panel, covariates=["X1", "X2"])
    theirs = pd.Series(spec["path"], index=np.array(spec["time"]) - 1).loc[0:]
    assert found.value == pytest.approx(spec["att"], rel=1e-8)
    np.testing.assert_allclose(found.path["estimate"], theirs.reindex(found.path.index), rtol=1e-8)
    assert found.path["n_cells"].tolist() == pd.Series(spec["count"], index=np.array(spec["time"]) - 1).loc[0:].tolist()


# -------------------------------------------------------------------- slow twins


def dense(panel: Panel, region: bool, covariate: bool, trends: bool) -> np.ndarray:
    """Design matrix (N*T, p) of dummies."""
    n, t = panel.Y.shape
    unit = np.kron(np.eye(n), np.ones((t, 1)))
    period = np.kron(np.ones((n, 1)), np.eye(t))
    parts = [unit, period]
    if region:
        code = np.repeat(pd.factorize(pd.Series(panel.region))[0], t)[:, None]
        parts = [unit, period * (code == 0), period * (code == 1)]
    if trends:
        parts.append(unit * np.tile(np.arange(t) / t, n)[:, None])
    if covariate:
        parts.append(panel.X["x"].reshape(-1, 1))
    return np.hstack(parts)


@pytest.mark.parametrize(
    ("region", "covariate", "trends"), [(False, False, False), (True, True, False), (False, True, True)]
)
def test_gaussian_equals_dense_least_squares(panel: Panel, region: bool, covariate: bool, trends: bool) -> None:
    A = dense(panel, region, covariate, trends)
    y, d, seen = panel.Y.ravel(), panel.D.ravel(), panel.observed.ravel()
    fit = seen & ~d
    gap = (y - A @ np.linalg.lstsq(A[fit], y[fit], rcond=None)[0])[seen & d]
    found = imputation(
        panel,
        effects="unit+region:period" if region else "unit+period",
        covariates=("x",) if covariate else (),
        unit_trends=trends,
    )
    assert found.value == pytest.approx(gap.mean(), rel=ROUNDING)


@pytest.mark.parametrize(("region", "covariate"), [(False, False), (True, True)])
def test_poisson_equals_a_generalised_linear_model_with_dummies(panel: Panel, region: bool, covariate: bool) -> None:
    y, d, seen = panel.Y.ravel(), panel.D.ravel(), panel.observed.ravel()
    # A unit without any untreated event is expected to have none; the likelihood of the others does not know it.
    some = np.repeat(np.where(panel.observed & ~panel.D, panel.Y, 0.0).sum(axis=1) > 0, panel.n_periods)
    fit, treated = seen & ~d & some, seen & d
    # One period dummy per region is redundant beside the unit dummies.
    A = np.delete(dense(panel, region, covariate, False), [40, 58] if region else [40], axis=1)
    A = A[:, (A[fit] != 0).any(axis=0)]
    model = sm.GLM(y[fit], A[fit], family=sm.families.Poisson(), exposure=panel.population.ravel()[fit])
    mean = panel.population.ravel() * np.exp(A @ model.fit(tol=1e-13, maxiter=200).params)
    expected = mean[treated & some].sum()
    found = imputation(
        panel,
        family="poisson",
        effects="unit+region:period" if region else "unit+period",
        covariates=("x",) if covariate else (),
    )
    assert found.value == pytest.approx(np.log(y[treated].sum() / expected), rel=1e-7)
    assert found.excess().value == pytest.approx(y[treated].sum() - expected, rel=1e-7)
    persons = panel.population.ravel()[treated].sum()
    assert found.companions["rate_difference"].value == pytest.approx(
        1e5 * (y[treated].sum() - expected) / persons, rel=1e-7
    )


def derivative(panel: Panel, unit: int, terms: list[str], options: dict[str, Any]) -> pd.Series:
    """Central difference of the estimates by the weight of one unit: its influence, where no mean is taken over other cells."""
    ends = []
    for step in (1e-4, -1e-4):
        weights = np.ones(panel.Y.shape)
        weights[unit] += step
        ends.append(imputation(replace(panel, weights=weights), **options).estimates[terms])
    return (ends[0] - ends[1]) / 2e-4


@pytest.mark.parametrize(
    "options", [{}, {"covariates": ("x",)}, {"effects": "unit+region:period", "covariates": ("x",)}]
)
@pytest.mark.parametrize(
    ("average", "terms"), [("all", ["att", "event_time[-1]"]), ("event_time", ["event_time[0]", "event_time[3]"])]
)
def test_poisson_influence_is_the_derivative_by_the_weight_of_a_unit(
    panel: Panel, options: dict[str, Any], average: str, terms: list[str]
) -> None:
    options = options | {"family": "poisson", "average": average, "pretrends": 2, "leave_out": False}
    psi = imputation(panel, **options).psi[terms]
    for unit in (0, 3, 25):
        assert ((psi.iloc[unit] - derivative(panel, unit, terms, options)).abs() / psi.abs().max()).max() < NUMERICAL


@pytest.mark.parametrize(
    "options", [{}, {"covariates": ("x",)}, {"effects": "unit+region:period"}, {"unit_trends": True}]
)
def test_gaussian_influence_is_the_derivative_by_the_weight_of_a_unit(panel: Panel, options: dict[str, Any]) -> None:
    options = options | {"average": "event_time", "pretrends": 2, "horizon": (0, 3)}
    terms = [f"event_time[{k}]" for k in (-2, -1, 0, 3)]
    psi = imputation(panel, **options).psi[terms]
    for unit in (0, 3, 25):
        assert ((psi.iloc[unit] - derivative(panel, unit, terms, options)).abs() / psi.abs().max()).max() < NUMERICAL


def test_leave_out_takes_the_mean_of_the_others() -> None:
    panel = staggered(gaps=0.0)
    plain, other = (
        imputation(panel, average="event_time", horizon=(0, 0), leave_out=flag).psi["att"].to_numpy()
        for flag in (False, True)
    )
    onset = panel.D.argmax(axis=1)[:10]
    gap = (panel.Y - fit_effects(panel.Y, ~panel.D).fitted)[np.arange(10), onset]
    # Ten treated cells of weight 1/10: the residual around the mean of the other nine is 10/9 of the one around the mean.
    np.testing.assert_allclose((other - plain)[:10], (gap - gap.mean()) / 10 * (10 / 9 - 1), atol=1e-12)
    np.testing.assert_allclose((other - plain)[10:], 0, atol=1e-12)


# -------------------------------------------------------------------- invariances


def same(left: Estimate, right: Estimate, rtol: float = ROUNDING) -> None:
    assert left.value == pytest.approx(right.value, rel=rtol, abs=1e-10)
    assert left.std_error == pytest.approx(right.std_error, rel=rtol)
    np.testing.assert_allclose(left.path["estimate"], right.path["estimate"], rtol=rtol, atol=1e-10)
    np.testing.assert_allclose(left.path["std_error"], right.path["std_error"], rtol=rtol)


def test_gaussian_ignores_unit_and_period_shocks(panel: Panel) -> None:
    rng = np.random.default_rng(5)
    shocked = panel.with_outcome(
        panel.Y + 10 * rng.normal(size=(panel.n_units, 1)) + 10 * rng.normal(size=panel.n_periods)
    )
    same(
        imputation(replace(panel, population=None), pretrends=2),
        imputation(replace(shocked, population=None), pretrends=2),
        1e-7,
    )


def test_poisson_ignores_multiplicative_exposure_shocks(panel: Panel) -> None:
    rng = np.random.default_rng(5)
    scaled = panel.population * np.exp(rng.normal(size=(panel.n_units, 1)) + rng.normal(size=panel.n_periods))
    options = {"family": "poisson", "pretrends": 2}
    same(imputation(panel, **options), imputation(replace(panel, population=scaled), **options), 1e-7)


def test_poisson_ignores_multiplicative_shocks_to_the_outcome(panel: Panel) -> None:
    """Rates multiplied by unit and period factors, with the exposure divided and weights so that counts and weights agree."""
    rng = np.random.default_rng(6)
    factor = np.exp(rng.normal(size=(panel.n_units, 1)))
    shocked = replace(panel, Y=panel.Y * factor, weights=np.broadcast_to(1 / factor, panel.Y.shape).copy())
    same(imputation(panel, family="poisson", pretrends=2), imputation(shocked, family="poisson", pretrends=2), 1e-7)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_order_of_units_and_rows_does_not_matter(panel: Panel, family: Any) -> None:
    order = np.random.default_rng(2).permutation(panel.n_units)
    cells = {key: getattr(panel, key)[order].copy() for key in ("Y", "D", "population", "weights", "region")}
    shuffled = replace(panel, units=panel.units[order], X={"x": panel.X["x"][order].copy()}, **cells)
    left, right = (imputation(p, family=family, pretrends=2, covariates=("x",)) for p in (panel, shuffled))
    same(left, right)
    np.testing.assert_allclose(right.psi.loc[panel.units], left.psi, atol=1e-9)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_always_treated_units_change_nothing(panel: Panel, family: Any) -> None:
    n = panel.n_units
    longer = {
        key: np.vstack([getattr(panel, key), getattr(panel, key)[20:23]]) for key in ("Y", "population", "weights")
    }
    more = replace(
        panel,
        D=np.vstack([panel.D, np.ones((3, panel.n_periods), dtype=bool)]),
        units=pd.Index([*panel.units, "z1", "z2", "z3"]),
        X={},
        region=None,
        **longer,
    )
    found = imputation(more, family=family)
    same(imputation(panel, family=family), found)
    assert (found.psi.iloc[n:] == 0).all().all()
    cells = int(more.observed[n:].sum())
    assert {check.name: check.value for check in found.checks}["unidentified_cells"] == cells


def test_a_period_without_untreated_unit_is_left_out_and_counted() -> None:
    panel = staggered(gaps=0.0)
    D = panel.D.copy()
    D[:, -1] = True
    found = imputation(panel.with_treatment(D))
    kept = panel.D.copy()
    kept[:, -1] = False
    Y = panel.Y.copy()
    Y[:, -1] = np.nan
    assert found.value == pytest.approx(imputation(panel.with_treatment(panel.D).with_outcome(Y)).value, rel=ROUNDING)
    assert {c.name: c.value for c in found.checks}["unidentified_cells"] == panel.n_units


# -------------------------------------------------------------------- options


def test_aggregations_agree_with_each_other(panel: Panel) -> None:
    for family in ("gaussian", "poisson"):
        found = imputation(panel, family=family)
        for kind in ("group", "calendar"):
            again = found.aggregate(kind)
            assert again.value == found.value
            assert again.path.index.name == kind
            assert again.path["n_cells"].sum() == found.path["n_cells"].sum()
        assert found.aggregate("simple").path is None
        window = found.aggregate("event", window=(1, 2))
        assert window.value == pytest.approx(imputation(panel, family=family, horizon=(1, 2)).value, rel=ROUNDING)
        assert window.std_error == pytest.approx(
            imputation(panel, family=family, horizon=(1, 2)).std_error, rel=ROUNDING
        )
        named = imputation(panel, family=family, windows={"soon": (1, 2), "late": (3, 5)})
        assert named.estimates["window[soon]"] == pytest.approx(window.value, rel=ROUNDING)
        assert named.std_errors["window[soon]"] == pytest.approx(window.std_error, rel=ROUNDING)


def test_the_ratio_of_a_path_entry_is_observed_to_expected(panel: Panel) -> None:
    path = imputation(panel, family="poisson").path
    np.testing.assert_allclose(path["estimate"], np.log(path["observed"] / path["expected"]))


def test_excess_and_ratio_say_the_same(panel: Panel) -> None:
    found = imputation(panel, family="poisson", average="all")
    path = found.path
    observed = path["observed"].sum()
    assert found.excess().value == pytest.approx(observed - observed / np.exp(found.value), rel=ROUNDING)
    assert found.excess().path["estimate"].sum() == pytest.approx(found.excess().value, rel=ROUNDING)


def test_naming_the_index_of_one_estimate_leaves_others_alone(panel: Panel) -> None:
    first = imputation(panel, pretrends=2)
    assert first.path is not None
    first.path.index.name = "mine"
    again = imputation(panel, pretrends=2).path
    assert again is not None
    assert again.index.name == "event_time"


def test_carryover_sets_aside_the_cells_after_the_end(panel: Panel) -> None:
    Y = panel.Y.copy()
    for i in (0, 3, 6, 9):
        last = np.flatnonzero(panel.D[i])[-1]
        Y[i, last + 1 : last + 3] += 1000
    assert imputation(panel.with_outcome(Y), carryover=2).value == pytest.approx(
        imputation(panel, carryover=2).value, rel=ROUNDING
    )


def test_anticipation_sets_aside_the_cells_before_the_onset_and_shows_them(panel: Panel) -> None:
    found = imputation(panel, anticipation=2)
    assert list(found.path.index[:3]) == [-2, -1, 0]
    Y = panel.Y.copy()
    for i in range(10):
        first = panel.D[i].argmax()
        Y[i, first - 2 : first] += 1000
    shocked = imputation(panel.with_outcome(Y), anticipation=2)
    assert shocked.value == pytest.approx(found.value, rel=ROUNDING)
    assert shocked.path.loc[-1, "estimate"] > 900


def test_no_variance_gives_the_same_numbers(panel: Panel) -> None:
    for family in ("gaussian", "poisson"):
        full, light = (imputation(panel, family=family, variance=v, pretrends=1) for v in ("analytic", "none"))
        assert light.value == pytest.approx(full.value, rel=ROUNDING)
        np.testing.assert_allclose(light.path["estimate"], full.path["estimate"], rtol=ROUNDING)
        assert light.psi is None
        assert np.isnan(light.std_error)


@pytest.mark.parametrize("name", ["excess", "rate_difference"])
def test_companions_are_made_when_asked_for_and_can_be_fitted_again(panel: Panel, name: str) -> None:
    found = imputation(panel, family="poisson")
    part = found.aggregate("event", window=(0, 1))
    assert sorted(found.companions) == ["excess", "rate_difference"]
    for whole in (found, part):
        other = whole.companions[name]
        assert whole.companions[name] is other
        again = pickle.loads(pickle.dumps(other)).refit(panel)
        assert (again.value, again.std_error) == (other.value, other.std_error)
    assert part.companions[name].value != found.companions[name].value


def test_refit_uses_the_same_options(panel: Panel) -> None:
    found = imputation(panel, family="poisson", horizon=(0, 2), pretrends=1)
    same(found.refit(panel), found)


def test_a_unit_without_untreated_events_counts_with_zero_expected(panel: Panel) -> None:
    Y = panel.Y.copy()
    Y[0] = np.where(panel.D[0], 5.0, 0.0)
    found = imputation(panel.with_outcome(Y), family="poisson")
    assert {c.name: c.value for c in found.checks}["zero_untreated_counts"] == 1
    assert found.path["observed"].sum() == np.nansum(Y[panel.D])


def test_units_alone_in_their_cohort_raise_a_failed_check() -> None:
    panel = staggered(n=30, t=30)
    D = np.zeros_like(panel.D)
    for i in range(5):
        D[i, 10 + i :] = True
    failed = {c.name for c in imputation(panel.with_treatment(D)).checks if c.passed is False}
    assert failed == {"single_cluster_groups"}
    assert not [c for c in imputation(panel.with_treatment(D), average="all").checks if c.passed is False]


def test_errors_say_what_to_do(panel: Panel) -> None:
    with pytest.raises(DesignError, match="'gaussian', 'poisson'"):
        imputation(panel, family="binomial")  # type: ignore[arg-type]
    with pytest.raises(DesignError, match="Nobody is treated"):
        imputation(panel.untreated())
    with pytest.raises(DesignError, match="needs regions"):
        imputation(replace(panel, region=None), effects="unit+region:period")
    with pytest.raises(DesignError, match="No treated cell is identified"):
        imputation(panel.with_treatment(np.ones_like(panel.D)))
    with pytest.raises(DesignError, match="Known: x"):
        imputation(panel, covariates=("z",))
    with pytest.raises(DesignError, match="ends before it starts"):
        imputation(panel, horizon=(3, 1))
    with pytest.raises(DesignError, match="some outcomes are negative"):
        imputation(replace(panel, Y=panel.Y - 1, population=None), family="poisson")


def test_the_panel_is_left_as_it_was(panel: Panel) -> None:
    before = panel.digest
    imputation(panel, family="poisson", pretrends=2, covariates=("x",))
    assert replace(panel).digest == before


@pytest.mark.parametrize(("average", "centre"), [("cohort", "cell"), ("event_time", "plain"), ("all", "plain")])
def test_centres_equal_dense_twins_with_weights_and_clusters(average: Any, centre: Any, staggered: Any) -> None:
    panel = staggered(5, gaps=0.1, weighted=True)
    panel = replace(panel, cluster=np.arange(panel.n_units) // 3)
    found = imputation(panel, average=average, centre=centre)
    unit, period = np.nonzero(panel.observed)
    y, w, treated = panel.Y[unit, period], panel.weights[unit, period], panel.D[unit, period]  # type: ignore[index]
    design = np.column_stack([np.eye(panel.n_units)[unit], np.eye(panel.n_periods)[period]])
    fitted = np.linalg.pinv((design[~treated] * w[~treated, None]).T @ design[~treated])
    residual = y - design @ (fitted @ (design[~treated] * w[~treated, None]).T @ y[~treated])
    share = np.where(treated, w, 0) / w[treated].sum()
    # didimputation weights cells by the square of their share, did2s (a regression) by their share.
    square = share**2 if centre == "cell" else share
    group = pd.Series(period - panel.G[unit]) + (100 * panel.G[unit] if average == "cohort" else 0)
    group = group if average != "all" else pd.Series(np.zeros(len(y)))
    sums = pd.DataFrame({"top": square * residual, "bottom": square})[treated].groupby(group[treated]).sum()
    mean = group.map(sums["top"] / sums["bottom"]).fillna(0).to_numpy()
    untreated = -(design * w[:, None]) @ fitted @ (design.T @ share)
    scores = np.where(treated, share * (residual - mean), untreated * residual)
    by_cluster = np.bincount(panel.clusters[unit], scores)
    assert found.value == pytest.approx(share @ residual, rel=ROUNDING)
    assert found.std_error == pytest.approx(np.sqrt((by_cluster**2).sum()), rel=ROUNDING)


@pytest.mark.parametrize("missing", [0.0, np.nan])
def test_a_cell_without_weight_is_left_out_and_counted(panel: Panel, missing: float) -> None:
    weights, outcome = panel.weights.copy(), panel.Y.copy()  # type: ignore[union-attr]
    weights[::7, ::5], outcome[::7, ::5] = missing, np.nan
    found, wanted = (imputation(replace(panel, **change)) for change in ({"weights": weights}, {"Y": outcome}))
    assert (found.value, found.std_error) == (pytest.approx(wanted.value), pytest.approx(wanted.std_error))
    counts = [next(c.value for c in e.checks if c.name == "missing_cells") for e in (found, wanted)]
    assert counts[0] == counts[1]


def test_treated_cells_without_any_event_have_no_ratio_but_an_excess(panel: Panel) -> None:
    found = imputation(panel.with_outcome(np.where(panel.D, 0.0, panel.Y)), family="poisson")
    assert np.isnan(found.value)
    assert [check.name for check in found.checks if check.passed is False] == ["no_ratio"]
    assert found.excess().value < 0
    assert found.excess().std_error > 0


def test_absent_rows_are_unobserved_counts(panel: Panel) -> None:
    """A table without some rows has no population there; only the outcome is missing in the twin."""
    rows = panel.to_frame()
    held = rows[rows["outcome"].notna()]
    columns = {"unit": "unit", "time": "period", "outcome": "outcome", "treated": "treated", "population": "population"}
    found = imputation(Panel.from_frame(held, missing="keep", **columns), family="poisson", pretrends=2)
    wanted = imputation(replace(panel, weights=None), family="poisson", pretrends=2)
    assert len(held) < len(rows)
    pd.testing.assert_frame_equal(found.path, wanted.path)
    assert found.excess().value == pytest.approx(wanted.excess().value, rel=ROUNDING)
