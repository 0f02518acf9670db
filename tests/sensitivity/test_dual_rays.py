"""The double description method against the definition of a vertex."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import null_space

from crimepolicy.sensitivity.dual_rays import dual_rays


def enumerated(X: np.ndarray) -> np.ndarray:
    """Every support whose rows have a one-dimensional left null space of one sign is an extreme ray."""
    found = []
    for size in range(1, X.shape[1] + 2):
        for support in combinations(range(len(X)), size):
            space = null_space(X[list(support)].T) if X.shape[1] else np.eye(size)
            if space.shape[1] == 1 and (np.all(space > 1e-9) or np.all(space < -1e-9)):
                ray = np.zeros(len(X))
                ray[list(support)] = np.abs(space[:, 0])
                found.append(ray / ray.max())
    return np.array(found).reshape(-1, len(X))


def in_order(rays: np.ndarray) -> np.ndarray:
    return rays[np.lexsort(np.round(rays, 6).T)]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), m=st.integers(3, 7), p=st.integers(0, 3))
def test_rays_are_those_of_exhaustive_enumeration(seed: int, m: int, p: int) -> None:
    # Small integers make ties and degenerate rays common.
    X = np.random.default_rng(seed).integers(-2, 3, (m, p)).astype(float)
    rays = dual_rays(X)
    assert rays is not None
    assert in_order(rays / rays.max(axis=1, keepdims=True) if len(rays) else rays) == pytest.approx(
        in_order(enumerated(X)), abs=1e-8
    )


def test_too_many_rays_are_given_up_before_they_are_built() -> None:
    X = np.random.default_rng(0).standard_normal((60, 20))
    assert dual_rays(X, limit=1000) is None
