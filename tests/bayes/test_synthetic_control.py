"""Bayesian synthetic control: density against finite differences, recovery, units of measurement, errors."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

from crimepolicy.bayes.donor_density import donor_density
from crimepolicy.bayes.donor_model import DonorModel
from crimepolicy.bayes.donor_weights import Horseshoe, Simplex
from crimepolicy.bayes.synthetic_control import bayesian_synthetic_control
from crimepolicy.errors import DesignError
from crimepolicy.panel import Panel

pytestmark = pytest.mark.bayes

QUICK = {"draws": 120, "tune": 200}
WEIGHTS = np.array([0.6, 0.4, 0.0, 0.0])


def donors(n_periods=30, seed=0, *, counts=False, effect=0.0, factor=1.0):
    """Four donors and one unit that is 60% the first and 40% the second; treated in the last ten periods."""
    rng = np.random.default_rng(seed)
    paths = 40 + np.cumsum(rng.normal(0, 2, (4, n_periods)), axis=1)
    paths = np.vstack([WEIGHTS @ paths, paths])
    treated = np.zeros(paths.shape, dtype=int)
    treated[0, -10:] = 1
    y = (
        rng.poisson(20 * paths * np.exp(effect * treated))
        if counts
        else paths + rng.normal(0, 0.3, paths.shape) + effect * treated
    )
    frame = pd.DataFrame({"u": np.repeat(list("abcde"), n_periods), "t": np.tile(np.arange(n_periods), 5)})
    frame["y"], frame["d"], frame["population"] = factor * y.ravel(), treated.ravel(), 1e5
    extra = {"population": "population"} if counts else {}
    return Panel.from_frame(frame, unit="u", time="t", outcome="y", treated="d", **extra)


LINKS = [
    pytest.param(link, prior, id=f"{link}-{name}")
    for name, prior in {"simplex": Simplex(3, 0.5, (2, 0, 1)), "horseshoe": Horseshoe(3, 0.2, 1.0)}.items()
    for link in ("rate", "log", "identity")
    # Free weights can make a rate negative, where no density exists.
    if (link, name) != ("rate", "horseshoe")
]


def small(link, prior):
    """Return a density of seven periods and three donors, a point of it, and where its standard normals begin."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(1, 3, (7, 3)), rng.poisson(5, 7).astype(float)
    density = donor_density(DonorModel(y, np.full(7, 2.0), x, link, prior, 0.3, 0.7, 0.2, 0.3))
    start = density.start()
    return density, start + 0.2 * rng.standard_normal(len(start)), prior.size + 2


@pytest.mark.parametrize(("link", "prior"), LINKS)
def test_gradient(link, prior):
    density, p, _ = small(link, prior)
    numeric = optimize.approx_fprime(p, lambda v: density.evaluate(v)[0], 1e-7)
    np.testing.assert_allclose(density.evaluate(p)[1], numeric, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("link", "prior"), LINKS)
def test_density_is_that_of_the_model(link, prior):
    density, p, k = small(link, prior)
    model = density.model

    def normals(v):
        found = density.draws(v)
        free = [] if isinstance(prior, Simplex) else found.weights / prior.scales(v[: k - 2])
        first = (found.level[0] - model.base) / model.level_scale
        return np.concatenate([free, [first], np.diff(found.level) / found.step])

    def exact(v):
        found, q = density.draws(v), v[: k - 2]
        parts = [stats.norm.logpdf(normals(v)).sum()]
        parts += [stats.halfnorm.logpdf(found.step, scale=0.2) + v[k - 2]]
        parts += [stats.halfnorm.logpdf(found.noise, scale=0.3) + v[k - 1]]
        # The normals are linear in their round coordinates, so that differences give their derivative exactly.
        moves = [normals(v + step) - normals(v) for step in np.eye(len(v))[k:]]
        parts.append(np.linalg.slogdet(np.array(moves))[1])
        if isinstance(prior, Simplex):
            # Log odds of the sticks to weights: each stick moves its own weight and all later ones.
            parts += [stats.dirichlet.logpdf(found.weights, np.full(3, 0.5)), np.log(found.weights).sum()]
        else:
            own, common, slab = np.exp(q[:3]), np.exp(q[3]), np.exp(q[4])
            parts += [(stats.halfcauchy.logpdf(own) + q[:3]).sum()]
            parts += [stats.halfcauchy.logpdf(common, scale=0.2) + q[3], stats.invgamma.logpdf(slab, 2, scale=2) + q[4]]
        mean = model.expected(model.x, model.exposure, found.weights, found.level)
        if link == "identity":
            return sum(parts) + stats.norm.logpdf(model.y, mean, found.noise).sum()
        return sum(parts) + stats.poisson.logpmf(model.y, mean).sum()

    q = p + 0.1 * np.random.default_rng(1).random(len(p))
    assert density.evaluate(p)[0] - density.evaluate(q)[0] == pytest.approx(exact(p) - exact(q), abs=1e-8)


def test_finds_the_donors_and_the_effect():
    ours = bayesian_synthetic_control(donors(effect=5.0), **QUICK)
    assert ours.value == pytest.approx(5.0, abs=3 * ours.std_error)
    assert ours.std_error < 2.5
    np.testing.assert_allclose(ours.weights["weight"], WEIGHTS, atol=0.15)
    assert ours.weights["weight"].sum() == pytest.approx(1)


@pytest.mark.slow
def test_counts_with_exposure():
    ours = bayesian_synthetic_control(donors(counts=True, effect=0.4, seed=2), **QUICK)
    assert ours.scale == "log"
    low, high = ours.interval()
    assert low < 0.4 < high
    assert low > 0
    seen = donors(counts=True, effect=0.4, seed=2).Y[0, -10:].sum()
    assert ours.excess().value == pytest.approx(seen * (1 - np.exp(-0.4)), abs=3 * ours.excess().std_error)


def test_units_of_measurement_do_not_matter():
    # The default priors follow the data, so that only Monte Carlo error tells persons from thousands of persons.
    plain, large = (bayesian_synthetic_control(donors(effect=5.0, factor=f), **QUICK) for f in (1.0, 1000.0))
    assert large.value / 1000 == pytest.approx(plain.value, abs=0.5 * plain.std_error)
    assert large.std_error / 1000 == pytest.approx(plain.std_error, rel=0.3)


@pytest.mark.slow
def test_far_periods_are_less_certain():
    path = bayesian_synthetic_control(donors(), **QUICK).path
    assert path.loc[9, "std_error"] > path.loc[0, "std_error"]
    assert path.loc[0, "std_error"] > path.loc[-5, "std_error"]


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda p: p.treat(["b"], at=20), {}, "One unit should be treated"),
        (lambda p: p.untreated(), {}, "One unit should be treated"),
        (lambda p: p.window(18, 29), {}, "periods before treatment"),
        (lambda p: p, {"family": "binomial"}, "family='binomial'"),
        (lambda p: p, {"step_scale": 0}, "step_scale=0 should be a positive number"),
        (lambda p: p.with_outcome(np.where(p.Y[1, 1] == p.Y, np.nan, p.Y)), {}, "missing"),
        (lambda p: p.with_outcome(-p.Y), {"family": "poisson"}, "negative"),
    ],
)
def test_bad_input_is_named(change, options, message):
    with pytest.raises(DesignError, match=message):
        bayesian_synthetic_control(change(donors()), **options)
