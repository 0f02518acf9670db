"""The density by hand against independent twins: SciPy's distributions, finite differences, brute-force covariance."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats

from crimepolicy.bayes import bases
from crimepolicy.bayes.count_draws import prior_draws
from crimepolicy.bayes.event_cells import event_cells
from crimepolicy.bayes.event_design import EventModel, event_design
from crimepolicy.bayes.event_draws import event_draws, pointwise_likelihood
from crimepolicy.bayes.laplace import find_center
from crimepolicy.bayes.layout import scale_table
from crimepolicy.bayes.likelihood import count_likelihood
from crimepolicy.bayes.posterior_density import round_density
from crimepolicy.bayes.predictor import event_effects, linear_predictor, pull_back, untreated_at_events
from crimepolicy.errors import DesignError
from tests.bayes.worlds import world

pytestmark = pytest.mark.bayes

# Sums over a few hundred cells in another order.
ROUNDING = 1e-9
# Central differences of a function of size 1e3 at a step of 1e-5.
DIFFERENCES = 1e-4


def make(panel, *, window=(-4, 6), anticipation=0, **changes):
    defaults = {
        "family": "negative_binomial",
        "effects": "unit+period",
        "path": "random_walk",
        "pooling": "partial",
        "unit_effects": "independent",
        "moderators": None,
        "length": 6.0,
        "effect_scale": 1.0,
        "drift_scale": 0.5,
        "event_scale": 0.5,
        "event_drift_scale": 0.5,
        "moderator_scale": 0.5,
        "unit_scale": None,
        "period_scale": None,
        "season_scale": 0.25,
        "dispersion_scale": 0.5,
    }
    events = event_cells(panel, window=window, anticipation=anticipation)
    return events, event_design(panel, events, EventModel(**(defaults | changes)))


def density(design):
    scales = scale_table(design.blocks, design.dispersion_scale)
    likelihood = count_likelihood(design.counts, design.used)
    return round_density(design, scales, likelihood, find_center(design, scales, likelihood))


CASES = [
    {},
    {"family": "poisson"},
    {"effects": "unit+region:period"},
    {"path": "gaussian_process"},
    {"pooling": "none"},
    {"pooling": "complete"},
    {"anticipation": 2},
]


@pytest.mark.parametrize("options", CASES, ids=str)
def test_gradient_is_the_slope_of_the_density(options):
    panel, _ = world(6, 30, n_treated=3, rate=4)
    _, design = make(panel, **options)
    turned = density(design)
    x = turned.start() + 0.3 * np.random.default_rng(1).standard_normal(len(turned.start()))
    slope = turned.evaluate(x)[1]
    numeric = optimize.approx_fprime(x, lambda v: turned.evaluate(v)[0], 1e-6)
    central = [
        (turned.evaluate(x + e)[0] - turned.evaluate(x - e)[0]) / 2e-5 for e in 1e-5 * np.eye(len(x))[:: len(x) // 20]
    ]
    np.testing.assert_allclose(slope[:: len(x) // 20], central, atol=DIFFERENCES)
    np.testing.assert_allclose(slope, numeric, atol=0.1)


def test_levels_are_turned_so_that_counts_do_not_see_what_they_cannot_tell():
    panel, _ = world(6, 30, n_treated=4, rate=4)
    _, design = make(panel, moderators=pd.DataFrame({"rank": [-1.0, 1.0, 1.0, -1.0]}))
    assert abs(np.linalg.det(design.turn)) == pytest.approx(1)
    # Behind the two common levels: the own ones, of which as many directions are the same to the counts as a move of the common ones.
    unseen = np.eye(design.size)[design.at["event_level"]][:2]
    theta = np.zeros((2, design.size))
    theta[:, design.turned] = unseen[:, design.turned] @ design.turn.T
    assert (abs(theta).max(axis=1) > 0.1).all()
    np.testing.assert_allclose(event_effects(design, theta), 0, atol=ROUNDING)
    turned = density(design)
    x = turned.start() + 0.3 * np.random.default_rng(1).standard_normal(len(turned.start()))
    assert abs(np.linalg.det(turned.center.turn)) == pytest.approx(1)
    for i in [*turned.center.turned.tolist(), *range(design.size, len(x))]:
        step = 1e-5 * np.eye(len(x))[i]
        central = (turned.evaluate(x + step)[0] - turned.evaluate(x - step)[0]) / 2e-5
        assert turned.evaluate(x)[1][i] == pytest.approx(central, abs=DIFFERENCES)


def stretch(turned, x):
    """Return the log volume that the coordinates fill for one of z, which enters them linearly."""
    size = turned.design.size
    moved = x + np.hstack([np.eye(size), np.zeros((size, len(x) - size))])
    return np.linalg.slogdet(turned.coordinates(moved)[0] - turned.coordinates(x)[0])[1]


def test_compiled_pass_equals_scipy_distributions():
    panel, _ = world(6, 30, n_treated=3, rate=4)
    _, design = make(panel)
    turned = density(design)
    x = turned.start() + 0.1
    theta, h = turned.coordinates(x)
    mean = np.exp(linear_predictor(design, theta))[design.used]
    shape = float(np.exp(-2 * h[turned.scales.dispersion]))
    exact = stats.nbinom.logpmf(design.counts[design.used], shape, shape / (shape + mean)).sum()
    log_sd = turned.scales.log_sd(h)
    exact += stats.norm.logpdf(theta, 0, np.exp(log_sd)).sum() + stretch(turned, x)
    exact += stats.norm.logpdf(x[design.size :]).sum()
    y = turned.start()
    theta_y, h_y = turned.coordinates(y)
    mean_y = np.exp(linear_predictor(design, theta_y))[design.used]
    shape_y = float(np.exp(-2 * h_y[turned.scales.dispersion]))
    log_sd_y = turned.scales.log_sd(h_y)
    exact_y = stats.nbinom.logpmf(design.counts[design.used], shape_y, shape_y / (shape_y + mean_y)).sum()
    exact_y += stats.norm.logpdf(theta_y, 0, np.exp(log_sd_y)).sum()
    exact_y += stretch(turned, y) + stats.norm.logpdf(y[design.size :]).sum()
    ours = turned.evaluate(x)[0] - turned.evaluate(y)[0]
    assert ours == pytest.approx(exact - exact_y, abs=1e-6)


@pytest.mark.parametrize("family", ["negative_binomial", "poisson"])
def test_pointwise_likelihood_is_that_of_scipy(family):
    events, design = make(world(6, 30, n_treated=3, rate=4)[0], family=family)
    draws = prior_draws(design, 3, np.random.default_rng(0))
    ours = pointwise_likelihood(design, events, event_draws(design, events, draws, 0), draws.dispersion)
    cells = events.cell[events.counted]
    counts = design.counts.ravel()[cells]
    for i in range(3):
        mean = np.exp(linear_predictor(design, draws.theta[i])).ravel()[cells]
        exact = stats.poisson.logpmf(counts, mean)
        if draws.dispersion is not None:
            shape = draws.dispersion[i] ** -2
            exact = stats.nbinom.logpmf(counts, shape, shape / (shape + mean))
        np.testing.assert_allclose(ours[i], exact, rtol=1e-8)


def test_scales_have_their_priors():
    scales = density(make(world(6, 30, n_treated=3)[0])[1]).scales
    x = np.linspace(-7, 4, 23)
    h, slope = scales.from_normal(np.repeat(x[:, None], len(scales.names), axis=1))
    probability = special.erf(np.exp(h) / scales.prior / np.sqrt(2))
    np.testing.assert_allclose(probability, stats.norm.cdf(x)[:, None] * np.ones(len(scales.names)), rtol=1e-6)
    step = 1e-6
    numeric = (scales.from_normal(x[:, None] * np.ones(len(scales.names)) + step)[0] - h) / step
    np.testing.assert_allclose(slope[1:], numeric[1:], rtol=1e-4)
    np.testing.assert_allclose(scales.to_normal(h[10]), x[10], atol=ROUNDING)


def test_numpy_likelihood_is_the_compiled_one():
    panel, _ = world(6, 30, n_treated=3)
    _, design = make(panel)
    turned = density(design)
    x = turned.start() + 0.1
    theta, h = turned.coordinates(x)
    likelihood = count_likelihood(design.counts, design.used)
    value = likelihood.negative_binomial(linear_predictor(design, theta), float(np.exp(h[turned.scales.dispersion])))[0]
    assert turned.log_likelihood(x) == pytest.approx(value, rel=ROUNDING)


def test_numpy_likelihood_has_the_slope_it_claims():
    panel, _ = world(6, 30, n_treated=3)
    _, design = make(panel)
    likelihood = count_likelihood(design.counts, design.used)
    theta = 0.1 * np.random.default_rng(0).standard_normal(design.size)
    _, slope, bend = likelihood.negative_binomial(linear_predictor(design, theta), 0.3)

    def value(theta, log_dispersion):
        return likelihood.negative_binomial(linear_predictor(design, theta), np.exp(log_dispersion))[0]

    numeric = optimize.approx_fprime(theta, value, 1e-6, np.log(0.3))
    np.testing.assert_allclose(pull_back(design, slope), numeric, rtol=1e-3, atol=0.05)
    change = value(theta, np.log(0.3) + 1e-5) - value(theta, np.log(0.3) - 1e-5)
    assert bend == pytest.approx(change / 2e-5, rel=1e-4)


def test_effects_act_where_the_event_is_and_nowhere_else():
    panel, _ = world(6, 30, n_treated=3)
    events, design = make(panel, anticipation=1)
    theta = np.random.default_rng(0).standard_normal(design.size)
    effect = event_effects(design, theta)
    quiet = theta.copy()
    quiet[design.at["level"].start :] = 0
    change = linear_predictor(design, theta) - linear_predictor(design, quiet)
    expected = np.zeros(change.size + 1)
    expected[design.cell.ravel()] = effect.ravel()
    np.testing.assert_allclose(change.ravel(), expected[:-1], atol=ROUNDING)
    np.testing.assert_allclose(effect[:, events.times == -2], 0, atol=ROUNDING)
    untreated = np.append(linear_predictor(design, quiet), -np.inf)[design.cell]
    np.testing.assert_allclose(untreated_at_events(design, theta), untreated, atol=ROUNDING)


def test_bases_have_the_covariance_they_claim():
    walk = bases.random_walk(12)
    difference = np.diff(np.eye(12), axis=0)
    generalised = np.linalg.pinv(difference.T @ difference)
    scale = np.exp(np.log(np.diag(generalised)).mean())
    np.testing.assert_allclose(walk @ walk.T, generalised / scale, atol=ROUNDING)
    times = np.arange(-3, 6)
    path = bases.anchored_path(times, -1, kind="random_walk", length=1.0)
    distance = times + 1
    exact = np.where(np.outer(distance, distance) > 0, np.minimum.outer(abs(distance), abs(distance)), 0) / 6
    np.testing.assert_allclose(path @ path.T, exact, atol=ROUNDING)
    kept = bases.anchored_path(times, -1, kind="gaussian_process", length=3.0, keep=0.9)
    whole = bases.anchored_path(times, -1, kind="gaussian_process", length=3.0)
    assert kept.shape[1] < whole.shape[1]
    assert np.trace(kept @ kept.T) == pytest.approx(np.trace(whole @ whole.T))


def test_spatial_variance_is_that_of_the_graph():
    weights = np.zeros((7, 7))
    for a, b in [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (4, 6)]:
        weights[a, b] = weights[b, a] = 1
    basis, variance = bases.spatial_variance(weights)
    covariance = (basis * variance) @ basis.T
    for part in (slice(0, 4), slice(4, 7)):
        block = weights[part, part]
        exact = np.linalg.pinv(np.diag(block.sum(axis=0)) - block)
        exact /= np.exp(np.log(np.diag(exact)).mean())
        np.testing.assert_allclose(covariance[part, part], exact, atol=ROUNDING)
    np.testing.assert_allclose(covariance[:4, 4:], 0, atol=ROUNDING)
    with pytest.raises(DesignError, match="neighbours"):
        bases.spatial_variance(np.zeros((3, 3)))
