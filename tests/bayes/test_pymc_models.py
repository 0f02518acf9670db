"""The densities by hand against PyMC models of the same coordinates, written by distributions and differentiated by PyTensor."""

import numpy as np
import pytest

from crimepolicy.bayes.count_model import count_model
from crimepolicy.bayes.donor_density import donor_density
from crimepolicy.bayes.donor_model import DonorModel
from crimepolicy.bayes.donor_weights import Horseshoe, Simplex
from crimepolicy.bayes.event_study import bayesian_event_study
from tests.bayes.test_density import CASES, density, make
from tests.bayes.worlds import chain, world

pytestmark = pytest.mark.bayes

# Sums of a few hundred logarithms of size one to ten, in another order.
SAME_DENSITY = 1e-9
SAME_SLOPE = 1e-7


def compare(model, evaluate, points):
    """Assert that log densities differ by one constant and that gradients are the same."""
    value, slope = model.compile_logp(), model.compile_dlogp()
    shapes = {name: array.shape for name, array in model.initial_point().items()}
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]
    gaps = []
    for x in points:
        at = {n: part.reshape(shapes[n]) for n, part in zip(shapes, np.split(x, ends), strict=True)}
        ours, gradient = evaluate(x)
        gaps.append(float(value(at)) - ours)
        np.testing.assert_allclose(slope(at), gradient, atol=SAME_SLOPE, rtol=SAME_SLOPE)
    assert np.ptp(gaps) < SAME_DENSITY * max(1.0, abs(gaps[0]))


EVERY_CASE = [
    pytest.param(case, marks=[pytest.mark.slow] if 0 < i < len(CASES) else [], id=str(case))
    for i, case in enumerate([*CASES, {"unit_effects": "spatial"}])
]


@pytest.mark.parametrize("options", EVERY_CASE)
def test_event_study(options):
    panel, _ = world(6, 30, n_treated=3, rate=4, neighbours=chain(6))
    _, design = make(panel, **options)
    turned = density(design)
    points = turned.start() + 0.5 * np.random.default_rng(0).standard_normal((5, len(turned.start())))
    compare(count_model(turned), turned.evaluate, points)


@pytest.mark.parametrize(
    ("link", "prior"),
    [("rate", Simplex(3, 0.5, (2, 0, 1))), ("log", Horseshoe(3, 0.2, 1.0)), ("identity", Horseshoe(3, 0.2, 1.0))],
)
def test_synthetic_control(link, prior):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(1, 3, (7, 3)), rng.poisson(5, 7)
    case = donor_density(DonorModel(y, np.full(7, 2.0), x, link, prior, 0.3, 0.7, 0.2, 0.3))
    compare(case.pymc_model(), case.evaluate, case.start() + 0.3 * rng.standard_normal((5, len(case.start()))))


@pytest.mark.slow
def test_pymc_finds_what_nutpie_finds():
    panel, _ = world(6, 24, n_treated=3, rate=20)
    ours, theirs = (
        bayesian_event_study(panel, window=(-2, 4), draws=500, tune=500, sampler=sampler)
        for sampler in ("nutpie", "pymc")
    )
    # Four Monte Carlo errors of a difference, with at least 300 effective draws on either side.
    assert ours.value == pytest.approx(theirs.value, abs=4 * ours.std_error * np.sqrt(2 / 300))
    assert ours.std_error == pytest.approx(theirs.std_error, rel=4 * np.sqrt(1 / 300))
