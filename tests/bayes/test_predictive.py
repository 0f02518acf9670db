"""Counts drawn from the model: their moments, a prior that is not absurd, and checks that can fail."""

from dataclasses import replace

import numpy as np
import pytest

from crimepolicy.bayes.count_draws import CountDraws, prior_draws
from crimepolicy.bayes.layout import scale_table
from crimepolicy.bayes.predictive import draw_counts, predictive_checks, replicates
from tests.bayes.test_density import make
from tests.bayes.worlds import world

pytestmark = pytest.mark.bayes


def test_drawn_counts_have_the_moments_of_the_negative_binomial():
    _, design = make(world(6, 30, n_treated=3, rate=10)[0])
    rng = np.random.default_rng(0)
    theta = np.zeros(design.size)
    drawn = np.array([draw_counts(design, theta, 0.5, rng) for _ in range(300)])[:, design.used]
    mean = np.exp(design.offset[design.used][0])
    assert drawn.mean() == pytest.approx(mean, rel=0.02)
    assert drawn.var() == pytest.approx(mean + (0.5 * mean) ** 2, rel=0.05)


def test_prior_covers_the_data_without_being_absurd():
    panel, _ = world(8, 36, n_treated=3, rate=10)
    _, design = make(panel)
    counts = replicates(design, prior_draws(design, 100, np.random.default_rng(1)), n=100, seed=1)
    assert counts.shape == (100, *design.counts.shape)
    means = counts.sum(axis=(1, 2)) / design.used.sum()
    low, high = np.quantile(means, [0.1, 0.9])
    seen = design.counts.sum() / design.used.sum()
    # The rate of the data lies well inside, and the prior does not stray beyond three orders of magnitude either way.
    assert low < seen < high
    assert low > seen / 1000
    assert high < seen * 1000


def test_a_model_that_misses_the_zeros_is_told_so():
    panel, _ = world(6, 30, n_treated=3, rate=10, unit_sd=0.1)
    _, design = make(panel)
    scales = scale_table(design.blocks, None)
    draws = CountDraws(np.zeros((2, 50, design.size)), np.zeros((2, 50, len(scales.names))), scales)
    replicas = replicates(design, draws, n=100, seed=0)
    gaps = replace(design, counts=np.where(np.arange(30) % 3 == 0, 0.0, design.counts))
    found = {c.name: c.passed for c in predictive_checks(gaps, replicas)}
    assert found["predictive_zeros"] is None
    own = replace(design, counts=draw_counts(design, draws.theta[0, 0], None, np.random.default_rng(3)))
    assert {c.name: c.passed for c in predictive_checks(own, replicas)}["predictive_zeros"]
