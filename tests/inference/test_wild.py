"""The wild cluster bootstrap: published enumerations, a brute-force twin, and its size."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crimepolicy.errors import InferenceError
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.inference.regression import Regression, least_squares, regression
from crimepolicy.inference.wild import wild_bootstrap, wild_draws
from crimepolicy.panel import Panel

Panels = dict[str, Callable[..., Panel]]
Estimators = dict[str, Callable[[Panel], Estimate]]

# Shares of 1,024 equally likely sign vectors: the count must be the same, not near.
EXACT = 1e-12
# sandwich-type t statistics from inputs printed with fifteen digits.
PUBLISHED = 1e-9


@pytest.fixture(scope="session")
def castle(reference_data: Callable[[str], Path]) -> dict[str, Regression]:
    rows = pd.read_csv(reference_data("castle_small10"))
    years = pd.get_dummies(rows.year).to_numpy(dtype=float)
    y, d, state = (rows[name].to_numpy() for name in ("l_homicide", "D", "sid"))
    return {
        "without_unit_effects": least_squares(y, d, np.column_stack([rows.unemployrt, years]), state),
        "two_way": least_squares(y, d, years, state, absorbed=state),
    }


@pytest.mark.parametrize("design", ["without_unit_effects", "two_way"])
@pytest.mark.parametrize("residuals", ["classic", "jackknife"])
@pytest.mark.parametrize("impose", [True, False])
def test_published_enumerations(
    design: str, residuals: Any, impose: bool, castle: dict[str, Regression], reference: Callable[[str], dict[str, Any]]
) -> None:
    published = reference("wild_cluster")[design]
    found = wild_draws(castle[design], impose=impose, residuals=residuals)
    assert found.listed
    assert len(found.statistics) == 1024
    assert found.p_value == pytest.approx(published[f"{residuals}_{'imposed' if impose else 'unimposed'}"], rel=EXACT)
    n, k = castle[design].n_rows, castle[design].n_parameters
    factor = 10 / 9 * (n - 1) / (n - k)
    assert found.statistic / np.sqrt(factor) == pytest.approx(published["t_statistic_CR1S"], rel=PUBLISHED)


@pytest.mark.parametrize("impose", [True, False])
def test_every_draw_is_a_regression(impose: bool) -> None:
    """Generate each bootstrap sample, regress it, cluster it: the same statistics, one by one."""
    rng = np.random.default_rng(1)
    group = np.repeat(np.arange(5), 4)
    Z = np.column_stack([np.ones(20), rng.normal(size=20)])
    d, y, null = rng.normal(size=20), rng.normal(size=20), 0.3
    found = wild_draws(least_squares(y, d, Z, group), null=null, impose=impose)
    X = np.column_stack([d, Z])

    def fit(outcome: np.ndarray) -> tuple[float, float, np.ndarray]:
        b, *_ = np.linalg.lstsq(X, outcome)
        direction = np.linalg.inv(X.T @ X)[0] @ X.T
        e = outcome - X @ b
        return b[0], np.sqrt(sum((direction[group == g] @ e[group == g]) ** 2 for g in range(5))), e

    b, error, residual = fit(y)
    fitted, centre = y - residual, b
    if impose:
        c, *_ = np.linalg.lstsq(Z, y - null * d)
        fitted, centre = null * d + Z @ c, null
        residual = y - fitted
    statistics = []
    for signs in product([1.0, -1.0], repeat=5):
        drawn = fit(fitted + residual * np.array(signs)[group])
        statistics.append((drawn[0] - centre) / drawn[1])
    assert np.sort(found.statistics) == pytest.approx(np.sort(statistics), rel=1e-8)
    assert found.statistic == pytest.approx((b - null) / error, rel=1e-9)
    assert found.p_value == np.mean(np.abs(statistics) >= abs((b - null) / error) * (1 - 1e-9))


def test_interval_holds_what_is_not_rejected(
    castle: dict[str, Regression], panels: Panels, estimators: Estimators
) -> None:
    panel = panels["normal"](10, 8, treated=4, at=4, seed=2)
    effect = estimators["two_way"](panel)
    result = wild_bootstrap(effect, weights="rademacher")
    low, high = (float(end) for end in next(c for c in result.checks if c.name == "wild_interval").value.split(" to "))
    assert low < effect.value < high
    inward = 0.02 * (high - low)
    for end, inside in ((low, low + inward), (high, high - inward)):
        assert wild_bootstrap(effect, weights="rademacher", null=end).null_p[HEADLINE] <= 0.05
        assert wild_bootstrap(effect, weights="rademacher", null=inside).null_p[HEADLINE] > 0.05


def test_weights_are_chosen_by_the_number_of_clusters(panels: Panels, estimators: Estimators) -> None:
    few, many = (estimators["two_way"](panels["normal"](n, 6, treated=n // 2, at=3, seed=2)) for n in (8, 30))
    assert "webb" in wild_bootstrap(few, draws=99).correction
    assert "rademacher, 99 draws, 30 clusters" in wild_bootstrap(many, draws=99).correction
    assert "all 256 draws" in wild_bootstrap(few, weights="rademacher").correction


def test_one_treated_cluster_has_no_power(panels: Panels, estimators: Estimators) -> None:
    """With the null imposed an effect of one standard deviation is never found (MacKinnon and Webb 2018); CR0 finds noise."""
    wild = clustered = 0
    for seed in range(20):
        effect = estimators["two_way"](panels["normal"](12, 8, treated=1, at=4, seed=seed, effect=1.0))
        wild += wild_draws(regression(effect), draws=199).p_value <= 0.05
        clustered += effect.replace(value=effect.value - 1.0).p_value() < 0.05
    assert wild == 0
    assert clustered > 8


def test_published_interval_within_the_ties(
    castle: dict[str, Regression], reference: Callable[[str], dict[str, Any]]
) -> None:
    """The published ends count ties as not extreme: there our p-value is 0.05 plus the two ties, up to one draw."""
    for end in reference("wild_cluster")["without_unit_effects"]["interval_strict"]:
        p = wild_draws(castle["without_unit_effects"], null=end).p_value
        assert p - 2 / 1024 == pytest.approx(0.05, abs=1.5 / 1024)


def test_only_for_regressions(panels: Panels, estimators: Estimators) -> None:
    with pytest.raises(InferenceError, match="not a least-squares regression"):
        wild_bootstrap(estimators["log_ratio"](panels["counts"](seed=1, mean=50.0)))


@pytest.mark.slow
def test_size_with_few_unequal_clusters(panels: Panels, estimators: Estimators) -> None:
    draws, rejected = 300, {"wild": 0, "CR1": 0}
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        labels = np.repeat(np.arange(9), [1, 1, 2, 2, 3, 3, 4, 6, 8])
        panel = panels["normal"](30, 8, treated=0, seed=seed, persistence=0.6, cluster=labels)
        shocks = rng.standard_normal((9, 8)).cumsum(axis=1)[labels]
        chosen = np.isin(labels, rng.permutation(9)[:4])
        D = chosen[:, None] & (np.arange(8) >= 4)
        effect = estimators["two_way"](panel.with_outcome(panel.Y + shocks).with_treatment(D))
        problem_p = wild_bootstrap(effect, weights="rademacher").p_value()
        rejected["wild"] += problem_p <= 0.05
        rejected["CR1"] += 2 * stats.norm.sf(abs(effect.value / (effect.std_error * np.sqrt(9 / 8)))) < 0.05
    print({name: count / draws for name, count in rejected.items()})
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.05)
    assert low <= rejected["wild"] <= high
    assert rejected["CR1"] > high
