"""Spatial standard errors: the double sum written out, limits, and size under dependence."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crimepolicy.errors import InferenceError
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.conley import conley
from crimepolicy.panel import Panel

Panels = dict[str, Callable[..., Panel]]
Estimators = dict[str, Callable[[Panel], Estimate]]

# Matrix roots in double precision.
ROOTS = 1e-8


def haversine(points: np.ndarray) -> np.ndarray:
    longitude, latitude = np.radians(points).T
    half = np.sin((latitude[:, None] - latitude) / 2) ** 2
    half += np.cos(latitude[:, None]) * np.cos(latitude) * np.sin((longitude[:, None] - longitude) / 2) ** 2
    return 2 * 6371.0088 * np.arcsin(np.sqrt(half))


def mexican(panels: Panels, n: int = 40, seed: int = 1) -> Panel:
    rng = np.random.default_rng(seed)
    return panels["normal"](
        n, 8, treated=n // 3, at=4, seed=seed, coordinates=rng.uniform([-110, 15], [-90, 32], (n, 2))
    )


def test_double_sum_written_out(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["event_difference"](mexican(panels))
    psi = effect.psi.to_numpy()
    weight = np.clip(1 - haversine(effect.panel.coordinates) / 300, 0, None)
    result = conley(effect, km=300)
    assert np.linalg.eigvalsh(weight).min() > 0
    assert result.covariance().to_numpy() == pytest.approx(psi.T @ weight @ psi, rel=ROOTS, abs=1e-14)
    assert result.std_error == pytest.approx(np.sqrt(psi[:, 0] @ weight @ psi[:, 0]), rel=ROOTS)
    assert result.correction == "Conley (bartlett, 300 km)"


def test_limits(panels: Panels, estimators: Estimators) -> None:
    """Nobody near: CR0. All near with one weight: influence sums to zero, and so does the variance."""
    effect = estimators["event_difference"](mexican(panels))
    assert conley(effect, km=0.001).std_error == pytest.approx(cluster(effect, correction="CR0").std_error, rel=ROOTS)
    assert conley(effect, km=30_000, kernel="uniform").std_error < 1e-6 * effect.std_error


def test_places_that_coincide_are_a_cluster(panels: Panels, estimators: Estimators) -> None:
    rng = np.random.default_rng(2)
    towns = np.repeat(rng.uniform([-110, 15], [-90, 32], (10, 2)), 3, axis=0)
    effect = estimators["event_difference"](panels["normal"](30, 8, treated=12, at=4, seed=1, coordinates=towns))
    blocks = cluster(effect, np.repeat(np.arange(10), 3), correction="CR0")
    result = conley(effect, km=0.5, kernel="uniform")
    assert result.covariance().to_numpy() == pytest.approx(blocks.covariance().to_numpy(), rel=ROOTS, abs=1e-14)


def test_an_indefinite_kernel_is_reported(panels: Panels, estimators: Estimators) -> None:
    line = np.column_stack([np.arange(12) * 0.4, np.zeros(12)])
    effect = estimators["event_difference"](panels["normal"](12, 8, treated=5, at=4, seed=1, coordinates=line))
    result = conley(effect, km=100, kernel="uniform")
    near = (haversine(line) < 100).astype(float)
    assert np.linalg.eigvalsh(near).min() < -0.1
    check = next(c for c in result.checks if c.name == "kernel_definite")
    assert check.passed is False
    psi = effect.psi[HEADLINE].to_numpy()
    assert result.std_error**2 >= psi @ near @ psi


def test_what_is_not_defined_says_so(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["event_difference"](panels["normal"](12, 8, treated=5, at=4))
    with pytest.raises(InferenceError, match="no coordinates"):
        conley(effect, km=100)
    holes = mexican(panels, 12).coordinates.copy()
    holes[3] = np.nan
    with pytest.raises(InferenceError, match="missing for u003"):
        conley(estimators["event_difference"](panels["normal"](12, 8, treated=5, at=4, coordinates=holes)), km=100)
    with pytest.raises(InferenceError, match="positive distance"):
        conley(estimators["event_difference"](mexican(panels)), km=0)


@pytest.mark.slow
def test_size_under_spatial_dependence(panels: Panels, estimators: Estimators) -> None:
    """Treatment and shocks that both fade over some 150 km: units as clusters reject too often, the kernel about right."""
    draws, n = 300, 200
    rejected = {"unit": 0, "conley": 0}
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        points = rng.uniform([-110, 15], [-90, 32], (n, 2))
        root = np.linalg.cholesky(np.exp(-haversine(points) / 150) + 1e-9 * np.eye(n))
        treated = root @ rng.standard_normal(n) > 0.5
        Y = root @ rng.standard_normal((n, 8))
        D = treated[:, None] & (np.arange(8) >= 4)
        panel = Panel(Y=Y, D=D, units=pd.RangeIndex(n), periods=pd.RangeIndex(8), coordinates=points)
        effect = estimators["two_way"](panel)
        rejected["unit"] += effect.p_value() < 0.05
        rejected["conley"] += conley(effect, km=600).p_value() < 0.05
    print({name: n / draws for name, n in rejected.items()})
    assert rejected["unit"] > stats.binom.ppf(0.9995, draws, 0.05)
    # Kernels are biased downwards: their weights discount dependence that is there. Twice the level bounds what we accept.
    assert rejected["conley"] <= stats.binom.ppf(0.9995, draws, 0.10)
    assert rejected["conley"] < rejected["unit"]
