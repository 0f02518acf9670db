"""Simulation-based calibration of the synthetic control: weights, level, scales and the total that would have been."""

from dataclasses import replace

import numpy as np
import pytest

from crimepolicy.bayes.donor_density import donor_density
from crimepolicy.bayes.donor_model import DonorModel
from crimepolicy.bayes.donor_weights import Horseshoe, Simplex
from crimepolicy.bayes.sampling import sample
from tests.bayes.test_calibration import judge, rank

pytestmark = [pytest.mark.bayes, pytest.mark.slow]

PERIODS, DONORS = 12, 4


def donor_ranks(n, link, prior, exposure):
    rng = np.random.default_rng(21)
    x = np.cumsum(rng.normal(0, 0.3, (PERIODS, DONORS)), axis=0)
    x = 5 * np.exp(x) if link == "rate" else x - x.mean(axis=0)
    template = DonorModel(np.zeros(PERIODS), np.full(PERIODS, exposure), x, link, prior, 0.0, 0.3, 0.2, 0.3)
    worlds = template.prior_draws(n, rng)
    for i in range(n):
        truth = {name: getattr(worlds, name)[i] for name in ("weights", "level", "step", "noise")}
        mean = template.expected(x, template.exposure, truth["weights"], truth["level"])
        density = donor_density(replace(template, y=template.outcomes(mean, truth["noise"], rng)))
        found = density.draws(sample(density.target(), draws=285, tune=250, chains=1, seed=i).draws)
        untreated = density.model.expected(x, template.exposure, found.weights, found.level)
        yield {
            "first weight": rank(found.weights[..., 0], truth["weights"][0]),
            "last weight": rank(found.weights[..., -1], truth["weights"][-1]),
            "first level": rank(found.level[..., 0], truth["level"][0]),
            "last level": rank(found.level[..., -1], truth["level"][-1]),
            "last mean": rank(untreated[..., -1], mean[-1]),
            "step": rank(found.step, truth["step"]),
        } | ({"noise": rank(found.noise, truth["noise"])} if link == "identity" else {})


@pytest.mark.parametrize(
    ("name", "link", "prior", "exposure"),
    [
        ("Synthetic control simplex counts", "rate", Simplex(DONORS, 0.5, (2, 0, 1, 3)), 10.0),
        ("Synthetic control simplex sparse", "rate", Simplex(DONORS, 0.5, (2, 0, 1, 3)), 0.2),
        ("Synthetic control simplex normal", "identity", Simplex(DONORS, 0.5, (2, 0, 1, 3)), 1.0),
        ("Synthetic control horseshoe counts", "log", Horseshoe(DONORS, 0.2, 1.0), 50.0),
        ("Synthetic control horseshoe normal", "identity", Horseshoe(DONORS, 0.2, 1.0), 1.0),
    ],
)
def test_ranks_are_uniform(name, link, prior, exposure):
    judge(name, list(donor_ranks(100, link, prior, exposure)))
