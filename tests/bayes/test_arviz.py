"""ArviZ objects out of a fit and into an estimate."""

import numpy as np
import pytest

from crimepolicy.bayes.data_tree import data_tree
from crimepolicy.bayes.event_study import bayesian_event_study
from crimepolicy.bayes.from_arviz import from_arviz
from crimepolicy.bayes.prior_sensitivity import prior_sensitivity
from crimepolicy.errors import DesignError, InferenceError
from crimepolicy.estimate import Estimate
from tests.bayes.worlds import world

pytestmark = pytest.mark.bayes


@pytest.fixture(scope="module")
def fitted():
    panel, _ = world(6, 24, n_treated=3, rate=20)
    return bayesian_event_study(panel, window=(-2, 4), draws=150, tune=150)


def test_arviz_reads_a_fit(fitted):
    from arviz_stats import summary

    table = summary(fitted.inference_data, var_names=["att", "event_effect", "scale"], round_to=8)
    assert float(table.loc["att", "mean"]) == pytest.approx(fitted.value)
    events = [
        label.removeprefix("event_effect[").removesuffix("]") for label in table.index if label.startswith("event_eff")
    ]
    assert [f"event[{name}]" for name in events] == [c for c in fitted.draws if c.startswith("event[")]
    groups = {"posterior", "sample_stats", "log_likelihood", "log_prior", "prior", "prior_predictive"}
    assert groups | {"posterior_predictive", "observed_data"} <= set(fitted.inference_data.children)


def test_there_and_back_again(fitted):
    again = from_arviz(fitted.inference_data, "att", estimand="effect", path="path", scale="log")
    assert again.value == pytest.approx(fitted.value)
    np.testing.assert_allclose(again.path["estimate"], fitted.path["estimate"], atol=1e-12)
    assert again.interval() == pytest.approx(fitted.interval())
    ours, theirs = ({c.name: c.value for c in e.checks} for e in (again, fitted))
    assert ours["divergences"] == theirs["divergences"]
    assert ours["bfmi"] == theirs["bfmi"]


def test_the_tree_stays_out_of_files(fitted):
    assert "inference_data" not in fitted.to_dict()


def test_wrong_variables_are_named(fitted):
    with pytest.raises(DesignError, match="no variable 'effect'"):
        from_arviz(fitted.inference_data, "effect", estimand="")
    with pytest.raises(DesignError, match="has the axes chain, draw, event_time"):
        from_arviz(fitted.inference_data, "path", estimand="")


def test_a_stronger_prior_is_found_to_decide():
    # A normal posterior with as much precision from the prior as from the data, or with hardly any.
    x = np.random.default_rng(0).standard_normal((2, 2000))
    facts = {"estimand": "", "value": 0.0, "std_error": 1.0, "method": "", "citation": ""}

    def reading(share):
        groups = {
            "posterior": {"att": x},
            "log_prior": {"p": -0.5 * share * x**2},
            "log_likelihood": {"all_cells": -0.5 * (1 - share) * x**2},
        }
        return prior_sensitivity(
            Estimate(**facts, inference_data=data_tree(groups, dims={}, coords={}, sample_stats=None))
        )

    weak, strong = reading(0.01).loc["att"], reading(0.99).loc["att"]
    assert weak["reading"] == "the data decide"
    assert strong["reading"] == "the prior decides"
    assert strong["prior"] > 10 * weak["prior"]
    with pytest.raises(InferenceError, match="log_prior"):
        prior_sensitivity(Estimate(**facts))
