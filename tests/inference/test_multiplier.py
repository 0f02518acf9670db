"""The multiplier bootstrap: moments, bands, and the numbers of did within Monte Carlo error."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crimepolicy.errors import DesignError, InferenceError
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.multiplier import multiplier_bootstrap, multiplier_draws
from crimepolicy.panel import Panel

Panels = dict[str, Callable[..., Panel]]
Estimators = dict[str, Callable[[Panel], Estimate]]

# The interquartile range of B normal draws has relative standard deviation 1.573 / (1.349 sqrt(B)); four of them.
DRAWS = 40_000
MONTE_CARLO = 4 * 1.573 / 1.349 / np.sqrt(DRAWS)


@pytest.mark.parametrize("weights", ["mammen", "rademacher", "webb"])
def test_weights_have_mean_zero_and_variance_one(weights: Any) -> None:
    drawn = multiplier_draws(np.eye(3), DRAWS, weights, np.random.default_rng(1))
    assert np.abs(drawn.mean(axis=0)).max() < 4 / np.sqrt(DRAWS)
    assert np.abs((drawn**2).mean(axis=0) - 1).max() < 4 * 1.5 / np.sqrt(DRAWS)
    skewness = 1.0 if weights == "mammen" else 0.0
    assert (drawn**3).mean() == pytest.approx(skewness, abs=0.05)


def test_chunks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = np.random.default_rng(0).standard_normal((7, 2))
    whole = multiplier_draws(sums, 101, "webb", np.random.default_rng(3))
    monkeypatch.setattr("crimepolicy.inference.multiplier._CHUNK", 70)
    assert multiplier_draws(sums, 101, "webb", np.random.default_rng(3)) == pytest.approx(whole, rel=1e-14)


def test_errors_agree_with_the_analytic_ones_when_clusters_are_many(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["event_difference"](panels["normal"](300, 8, treated=100, seed=1))
    result = multiplier_bootstrap(effect, draws=DRAWS)
    assert result.std_error == pytest.approx(effect.std_error, rel=MONTE_CARLO)
    assert result.path["std_error"].to_numpy() == pytest.approx(effect.path["std_error"].to_numpy(), rel=MONTE_CARLO)
    assert result.band().attrs["critical"] == pytest.approx(effect.band().attrs["critical"], rel=0.02)


def test_factor_and_clusters_are_kept(panels: Panels, estimators: Estimators) -> None:
    effect = cluster(
        estimators["two_way"](panels["normal"](60, 6, treated=30, at=3, seed=2)), np.arange(60) // 2, correction="CR1"
    )
    result = multiplier_bootstrap(effect, draws=DRAWS, weights="rademacher")
    assert result.std_error == pytest.approx(effect.std_error, rel=0.05)
    assert result.draws[HEADLINE].std() == pytest.approx(effect.std_error, rel=MONTE_CARLO)
    assert "30 clusters" in result.correction


def test_same_seed_same_bits(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["two_way"](panels["normal"](seed=2))
    first, again, other = (multiplier_bootstrap(effect, seed=seed).draws for seed in (5, 5, 6))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_refusals(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["two_way"](panels["normal"](seed=2))
    with pytest.raises(InferenceError, match="Only one cluster"):
        multiplier_bootstrap(effect, by=np.zeros(12))
    with pytest.raises(InferenceError, match="too few"):
        multiplier_bootstrap(effect, draws=5)
    with pytest.raises(DesignError, match="'mammen', 'rademacher', 'webb'"):
        multiplier_bootstrap(effect, weights="normal")  # type: ignore[arg-type]


@pytest.mark.slow
def test_simultaneous_coverage(panels: Panels, estimators: Estimators) -> None:
    """The band covers the whole path (all zero) in 95% of panels; the pointwise intervals do not."""
    draws, jointly, pointwise = 300, 0, 0
    for seed in range(draws):
        result = multiplier_bootstrap(
            estimators["event_difference"](panels["normal"](120, 8, treated=60, at=4, seed=seed)), seed=seed
        )
        band = result.band()
        jointly += ((band.conf_low <= 0) & (band.conf_high >= 0)).all()
        pointwise += (result.path["estimate"].abs() <= 1.96 * result.path["std_error"]).all()
    print({"joint": jointly / draws, "pointwise": pointwise / draws})
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.95)
    assert low <= jointly <= high
    assert pointwise < low
