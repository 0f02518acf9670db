"""Both samplers find a known density, and the same seed gives the same bits."""

import numpy as np
import pytest

from crimepolicy.bayes.sampling import Density, sample
from crimepolicy.errors import DesignError

pytestmark = pytest.mark.bayes

MEAN, SD = np.array([1.0, -2.0]), np.array([0.5, 3.0])


def normal():
    def evaluate(x):
        z = (x - MEAN) / SD
        return -0.5 * float(z @ z), -z / SD

    def model():
        import pymc as pm

        with pm.Model() as found:
            pm.Normal("x", MEAN, SD, shape=2)
        return found

    return Density(2, evaluate, np.zeros(2), model=model)


@pytest.mark.parametrize("sampler", ["nutpie", pytest.param("pymc", marks=pytest.mark.slow)])
def test_moments_of_a_normal(sampler):
    found = sample(normal(), draws=400, tune=300, seed=1, sampler=sampler)
    flat = found.draws.reshape(-1, 2)
    # Four Monte Carlo errors of 300 effective draws.
    np.testing.assert_allclose(flat.mean(axis=0), MEAN, atol=4 * SD.max() / np.sqrt(300))
    np.testing.assert_allclose(flat.std(axis=0), SD, rtol=0.2)
    assert found.statistics["diverging"].sum() == 0
    assert {"energy", "maxdepth_reached"} <= set(found.statistics)


def test_same_seed_same_bits():
    first, again, other = (sample(normal(), draws=30, tune=30, seed=s).draws for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_unknown_sampler_and_no_draws_are_refused():
    with pytest.raises(DesignError, match="sampler='gibbs'"):
        sample(normal(), sampler="gibbs")
    with pytest.raises(DesignError, match="no PyMC model"):
        sample(Density(1, lambda x: (-0.5 * float(x @ x), -x), np.zeros(1)), sampler="pymc")
    with pytest.raises(DesignError, match="tune=0"):
        sample(normal(), tune=0)
