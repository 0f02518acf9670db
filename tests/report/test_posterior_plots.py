"""Plots of Bayesian fits and of a synthesis, from trees made by hand: what is drawn is what the tree holds."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from crimepolicy.errors import EstimationError
from crimepolicy.estimate import Estimate
from crimepolicy.report.plot_data import plot_data
from crimepolicy.report.plots import plot
from crimepolicy.synthesis.meta import synthesise

pytestmark = pytest.mark.bayes

FACTS = {"estimand": "effect", "value": 0.2, "std_error": 0.1, "method": "by hand", "citation": "", "scale": "log"}
TIMES = [-2, -1, 0, 1]


def fitted():
    from crimepolicy.bayes.data_tree import data_tree

    rng = np.random.default_rng(0)
    path = rng.normal(0.2, 0.1, (2, 100, 4)) * (np.array(TIMES) >= 0)
    effect = np.where(np.arange(12).reshape(3, 4) == 0, np.nan, rng.normal(0.2, 0.2, (1, 50, 3, 4)))
    shared = {"path": path, "new_path": path + rng.normal(0, 0.3, path.shape), "att": path.mean(axis=-1)}
    seen = np.array([[3.0, 4.0, np.nan], [1.0, 2.0, 5.0]])
    groups = {
        "posterior": shared | {"scale": np.abs(path[..., :2])},
        "prior": {"att": 3 * shared["att"][:1], "scale": np.abs(path[:1, :, :2])},
        "event_paths": {"effect": effect},
        "posterior_predictive": {"counts": rng.poisson(3, (1, 40, 2, 3)).astype(float)},
        "prior_predictive": {"counts": rng.poisson(30, (1, 40, 2, 3)).astype(float)},
        "observed_data": {"counts": seen},
    }
    dims = {"path": ["event_time"], "new_path": ["event_time"], "effect": ["event", "event_time"]}
    dims |= {"scale": ["scale_name"], "counts": ["unit", "period"]}
    coords = {
        "event_time": TIMES,
        "event": list("xyz"),
        "scale_name": ["unit", "period"],
        "unit": ["a", "b"],
        "period": list("123"),
    }
    return Estimate(**FACTS, inference_data=data_tree(groups, dims=dims, coords=coords, sample_stats=None))


def synthesis():
    facts = {"estimand": "effect", "method": "example", "citation": "", "scale": "log"}
    values = {"a": -0.6, "b": -0.1, "c": 0.3, "d": -0.2}
    return synthesise({name: Estimate(value=v, std_error=0.15, **facts) for name, v in values.items()})


@pytest.mark.parametrize("kind", ["events", "prior", "prior_predictive", "posterior_predictive", "forest"])
def test_every_kind_is_drawn_on_the_axes_given(kind):
    estimate, ax = synthesis() if kind == "forest" else fitted(), Figure().add_subplot()
    assert plot(estimate, ax, kind=kind) is ax
    assert ax.has_data()
    assert ax.get_legend() is not None


def test_event_paths_are_means_of_their_draws_and_the_band_is_that_of_the_next_event():
    estimate = fitted()
    data = plot_data(estimate, "events", level=0.8)
    tree = estimate.inference_data
    assert data["paths"][0][0] is None
    assert data["paths"][2][3] == pytest.approx(float(tree["event_paths"]["effect"].values[0, :, 2, 3].mean()))
    flat = tree["posterior"]["new_path"].values.reshape(-1, 4)
    np.testing.assert_allclose(data["next_low"], np.quantile(flat, 0.1, axis=0))
    assert np.ptp(np.subtract(data["next_high"], data["high"])) > 0


def test_prior_and_posterior_stand_side_by_side():
    data = plot_data(fitted(), "prior")
    assert data["label"] == ["att", "scale[unit]", "scale[period]"]
    # This prior is three times as wide as the posterior.
    assert data["prior_high"][0] - data["prior_low"][0] > 2 * (data["high"][0] - data["low"][0])


def test_a_cell_that_was_not_seen_is_not_predicted_either():
    estimate = fitted()
    data = plot_data(estimate, "posterior_predictive", level=0.9)
    assert data["observed"] == [4.0, 6.0, 5.0]
    drawn = estimate.inference_data["posterior_predictive"]["counts"].values[0, :, 1, 2]
    assert data["high"][2] == pytest.approx(np.quantile(drawn, 0.95))


def test_forest_shows_shrinkage_towards_the_mean():
    data = plot_data(synthesis(), "forest")
    away = np.abs(np.subtract(data["estimate"], data["mean"][0]))
    assert (np.abs(np.subtract(data["shrunken"], data["mean"][0])) < away).all()
    assert data["next"][0] < data["mean"][1] < data["mean"][2] < data["next"][1]


@pytest.mark.parametrize("kind", ["events", "prior", "prior_predictive", "posterior_predictive", "forest"])
def test_an_estimate_without_it_says_what_to_do(kind):
    with pytest.raises(EstimationError, match=r"Bayesian|synthesise"):
        plot_data(Estimate(**FACTS), kind)
