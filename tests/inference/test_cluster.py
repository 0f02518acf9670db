"""Clustered standard errors: published numbers, dense twins, and what they must not do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, stats

from crimepolicy.errors import DesignError, InferenceError
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.inference.bell_mccaffrey import bell_mccaffrey
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.few_clusters import few_treated_clusters
from crimepolicy.inference.regression import least_squares, regression
from crimepolicy.panel import Panel

# sandwich and clubSandwich are believable to 1e-10; the inputs are printed with ten digits.
PUBLISHED = 1e-9
# Two dense factorisations of the same matrices in double precision.
SOLVERS = 1e-9

Panels = dict[str, Callable[..., Panel]]
Estimators = dict[str, Callable[[Panel], Estimate]]


@pytest.fixture(scope="session")
def california(reference_data: Callable[[str], Path]) -> Panel:
    rows = pd.read_csv(reference_data("california_prop99"))
    return Panel.from_frame(rows, unit="State", time="Year", outcome="PacksPerCapita", treated="treated")


@pytest.fixture(scope="session")
def castle(reference_data: Callable[[str], Path]) -> pd.DataFrame:
    return pd.read_csv(reference_data("castle_small10"))


def dense_cr2(y: np.ndarray, d: np.ndarray, Z: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """CR2 and its degrees of freedom from the definition, with every matrix written out."""
    X = np.column_stack([d, Z])
    bread = linalg.pinvh(X.T @ X)
    hat = X @ bread @ X.T
    residual = y - hat @ y
    annihilator = np.eye(len(y)) - hat
    meat, columns = 0.0, []
    for name in np.unique(labels):
        rows = labels == name
        values, vectors = linalg.eigh(annihilator[np.ix_(rows, rows)])
        root = vectors @ np.diag(np.where(values > 1e-9, 1 / np.sqrt(np.maximum(values, 1e-9)), 0.0)) @ vectors.T
        direction = (bread @ X[rows].T)[0] @ root
        meat += (direction @ residual[rows]) ** 2
        columns.append(annihilator[:, rows] @ direction)
    P = np.array(columns) @ np.array(columns).T
    return float(np.sqrt(meat)), float(np.trace(P) ** 2 / (P**2).sum())


@pytest.mark.parametrize("correction", ["CR0", "CR1", "CR1S", "CR2"])
def test_published_standard_errors(
    correction: Any, california: Panel, estimators: Estimators, reference: Callable[[str], dict[str, Any]]
) -> None:
    published = reference("cluster_robust")
    result = cluster(estimators["two_way"](california), correction=correction)
    assert result.value == pytest.approx(published["coefficient"], rel=PUBLISHED)
    assert result.std_error == pytest.approx(published["std_error"][correction], rel=PUBLISHED)
    assert result.correction.startswith(correction)


def test_published_degrees_of_freedom(
    california: Panel, estimators: Estimators, reference: Callable[[str], dict[str, Any]]
) -> None:
    result = cluster(estimators["two_way"](california), correction="CR2")
    assert result.df == pytest.approx(reference("cluster_robust")["satterthwaite_df"]["CR2"], rel=PUBLISHED)


def test_castle_without_unit_effects(castle: pd.DataFrame, reference: Callable[[str], dict[str, Any]]) -> None:
    published = reference("cluster_robust")["castle"]
    years = pd.get_dummies(castle.year).to_numpy(dtype=float)
    Z = np.column_stack([castle.unemployrt, years])
    problem = least_squares(castle.l_homicide.to_numpy(), castle.D.to_numpy(), Z, castle.sid.to_numpy())
    assert problem.coefficient == pytest.approx(published["coefficient"], rel=PUBLISHED)
    assert (problem.n_rows, problem.n_parameters, problem.n_clusters) == (110, 13, 10)
    scores = problem.regressor * (problem.outcome - problem.coefficient * problem.regressor)
    sums = np.bincount(problem.codes, weights=scores) / problem.scale
    assert np.sqrt((sums**2).sum()) == pytest.approx(published["CR0"], rel=PUBLISHED)
    twin = dense_cr2(castle.l_homicide.to_numpy(), castle.D.to_numpy(), Z, castle.sid.to_numpy())
    found = bell_mccaffrey(problem)
    assert (found.std_error, found.df) == pytest.approx(twin, rel=SOLVERS)


def test_castle_two_way(
    castle: pd.DataFrame, estimators: Estimators, reference: Callable[[str], dict[str, Any]]
) -> None:
    published = reference("cluster_robust")["castle_two_way"]
    panel = Panel.from_frame(castle, unit="sid", time="year", outcome="l_homicide", treated="D")
    effect = estimators["two_way"](panel)
    assert effect.value == pytest.approx(published["coefficient"], rel=PUBLISHED)
    for correction in ("CR0", "CR1S"):
        assert cluster(effect, correction=correction).std_error == pytest.approx(published[correction], rel=PUBLISHED)


def test_cr2_with_units_in_larger_clusters_matches_the_dense_definition(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](12, 6, seed=3, cluster=np.repeat(list("abcd"), 3))
    result = cluster(estimators["two_way"](panel), correction="CR2")
    unit = np.repeat(np.arange(12), 6)
    Z = np.column_stack([unit[:, None] == np.arange(12), np.tile(np.eye(6), (12, 1))]).astype(float)
    error, df = dense_cr2(panel.Y.ravel(), panel.D.ravel().astype(float), Z, np.repeat(panel.clusters, 6))
    assert result.std_error == pytest.approx(error, rel=SOLVERS)
    assert result.df == pytest.approx(df, rel=SOLVERS)
    # The influence that it carries gives the same standard error.
    sums = result.psi.groupby(panel.clusters).sum()
    assert np.sqrt((sums**2).sum().item()) == pytest.approx(error, rel=SOLVERS)


def test_jackknife_is_the_spread_of_leave_one_cluster_out_fits(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](12, 6, treated=6, at=3, seed=4, cluster=np.tile(list("abcd"), 3))
    effect = estimators["event_difference"](panel)
    result = cluster(effect, correction="CR3")
    changes = [
        effect.value - estimators["event_difference"](panel.drop(panel.units[panel.clusters == g])).value
        for g in "abcd"
    ]
    assert result.std_error == pytest.approx(np.sqrt(3 / 4 * np.square(changes).sum()), rel=SOLVERS)
    assert result.df == 3
    assert result.covariance().loc[HEADLINE, HEADLINE] == pytest.approx(result.std_error**2, rel=SOLVERS)
    assert (result.path["std_error"] > effect.path["std_error"] * 0.5).all()


def test_corrections_are_ordered_and_scale(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](10, 6, treated=4, at=3, seed=5)
    effect = estimators["two_way"](panel)
    errors = {name: cluster(effect, correction=name).std_error for name in ("CR0", "CR1", "CR2", "CR3")}
    assert errors["CR0"] < errors["CR2"] < errors["CR3"]
    assert errors["CR1"] == pytest.approx(errors["CR0"] * np.sqrt(10 / 9), rel=SOLVERS)
    doubled = estimators["two_way"](panel.with_outcome(2 * panel.Y))
    for name, error in errors.items():
        assert cluster(doubled, correction=name).std_error == pytest.approx(2 * error, rel=SOLVERS)


def test_two_way_clusters_add_and_subtract(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](12, 6, seed=6)
    effect = estimators["event_difference"](panel)
    rows, columns = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    result = cluster(effect, rows, second=columns, correction="CR0")
    expected = (
        sum(cluster(effect, labels, correction="CR0").covariance() for labels in (rows, columns))
        - cluster(effect, "unit", correction="CR0").covariance()
    )
    added = np.linalg.eigvalsh((result.covariance() - expected).to_numpy())
    clipped = next(check for check in result.checks if check.name == "kernel_definite").value
    # Only a negative part of the kernel is taken away, so nothing becomes smaller, and by no more than is reported.
    assert added.min() > -1e-12
    assert added.sum() == pytest.approx(clipped * np.trace(result.covariance()), rel=1e-8)
    with pytest.raises(InferenceError, match="already combined"):
        cluster(result)


def test_two_way_clusters_have_the_degrees_of_freedom_of_the_fewer(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["event_difference"](panels["normal"](12, 6, seed=6))
    rows, columns = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    assert cluster(effect, rows, second=columns, correction="CR1").df == 2
    assert cluster(effect, rows, second=columns, correction="CR0").df is None


@pytest.mark.parametrize(("treated", "untreated", "enough"), [(6, 6, True), (5, 9, False), (9, 5, False), (6, 0, True)])
def test_six_clusters_on_each_side_are_enough(treated: int, untreated: int, enough: bool, panels: Panels) -> None:
    panel = panels["normal"](treated + untreated, 6, treated=treated)
    check = few_treated_clusters(panel)
    assert check.passed is enough
    assert check.value == (min(treated, untreated) if untreated else treated)
    assert ("too small" in check.text) is not enough


def test_two_way_of_nested_labels_is_the_coarser(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["event_difference"](panels["normal"](12, 6, seed=7))
    coarse = np.repeat(np.arange(4), 3)
    nested = cluster(effect, coarse, second="unit", correction="CR0")
    assert nested.covariance().to_numpy() == pytest.approx(
        cluster(effect, coarse, correction="CR0").covariance().to_numpy(), rel=1e-8, abs=1e-12
    )


def test_labels_in_every_form_agree(panels: Panels, estimators: Estimators) -> None:
    labels = np.repeat(list("abcd"), 3)
    panel = panels["normal"](12, 6, seed=8, cluster=labels, region=labels)
    effect = estimators["two_way"](panel)
    named = dict(zip(panel.units, labels, strict=True))
    shuffled = pd.Series(named).sample(frac=1, random_state=1)
    errors = [
        cluster(effect, by).std_error for by in (None, "cluster", "region", labels, list(labels), named, shuffled)
    ]
    assert errors == pytest.approx([errors[0]] * len(errors), rel=1e-14)
    assert cluster(effect, "unit").std_error != pytest.approx(errors[0], rel=1e-3)


def test_companions_are_clustered_too(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](12, 6, seed=9)
    effect = estimators["two_way"](panel)
    carrying = effect.replace(companions={"excess": estimators["event_difference"](panel)})
    labels = np.repeat(np.arange(4), 3)
    expected = cluster(estimators["event_difference"](panel), labels).std_error
    assert cluster(carrying, labels).excess().std_error == pytest.approx(expected, rel=1e-14)


def test_what_is_not_defined_says_so(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](12, 6, seed=9)
    effect = estimators["event_difference"](panel)
    with pytest.raises(InferenceError, match="Only one cluster"):
        cluster(effect, np.zeros(12))
    with pytest.raises(InferenceError, match="no influence by cell"):
        cluster(effect, "period")
    with pytest.raises(InferenceError, match="no region labels"):
        cluster(effect, "region")
    with pytest.raises(InferenceError, match="No cluster label is given for u000"):
        cluster(effect, {"u001": 1})
    with pytest.raises(InferenceError, match="11 cluster labels"):
        cluster(effect, np.arange(11))
    with pytest.raises(DesignError, match="'CR0', 'CR1'"):
        cluster(effect, correction="HC1")  # type: ignore[arg-type]
    with pytest.raises(InferenceError, match="no influence functions"):
        cluster(effect.replace(psi=None))
    with pytest.raises(InferenceError, match="not a least-squares regression"):
        cluster(estimators["log_ratio"](panels["counts"](seed=1)), correction="CR2")


def test_jackknife_needs_every_cluster_to_be_dispensable(california: Panel, estimators: Estimators) -> None:
    with pytest.raises(InferenceError, match="California"):
        cluster(estimators["event_difference"](california), correction="CR3")


def test_few_treated_clusters_are_loud(panels: Panels, estimators: Estimators) -> None:
    one = panels["normal"](12, 6, treated=1, seed=2)
    result = cluster(estimators["two_way"](one))
    check = next(check for check in result.checks if check.name == "few_treated_clusters")
    assert check.passed is False
    assert "randomization_test" in str(result)
    assert few_treated_clusters(panels["normal"](20, 6, treated=10)).passed
    blocks = np.repeat(np.arange(5), 4)
    assert few_treated_clusters(panels["normal"](20, 6, treated=10), blocks).passed is False


def test_regression_refuses_a_panel_with_weights(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](12, 6, seed=9, weights=np.ones((12, 6)))
    with pytest.raises(InferenceError, match="weighted"):
        regression(estimators["two_way"](panel))


@pytest.mark.slow
def test_size_of_the_corrections_with_few_clusters(panels: Panels, estimators: Estimators) -> None:
    """Ten clusters, three of them treated, serial dependence: CR0 rejects too often, CR2 with its own df holds."""
    draws = 400
    rejections = dict.fromkeys(("CR0", "CR1", "CR2", "CR3"), 0)
    for seed in range(draws):
        effect = estimators["two_way"](panels["normal"](10, 8, treated=3, at=4, seed=seed, persistence=0.6))
        for name in rejections:
            rejections[name] += cluster(effect, correction=name).p_value() < 0.05
    print({name: count / draws for name, count in rejections.items()})
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.05)
    assert rejections["CR0"] > high
    assert low <= rejections["CR2"] <= high
    assert rejections["CR3"] <= rejections["CR0"]
