"""Checks of samplers: they pass where draws are independent and fail where something is wrong."""

import numpy as np
import pytest

from crimepolicy.diagnostics.convergence import convergence_checks
from crimepolicy.errors import InferenceError

pytestmark = pytest.mark.bayes


def verdicts(*args, **kwargs):
    return {check.name: check.passed for check in convergence_checks(*args, **kwargs)}


def normal(shape=(2, 500), seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_independent_draws_pass():
    energy = normal() ** 2
    statistics = {"diverging": np.zeros((2, 500), bool), "energy": energy, "maxdepth_reached": np.zeros((2, 500), bool)}
    found = verdicts({"att": normal()}, statistics=statistics, nuisance={"z": normal((2, 500, 3))})
    assert all(found.values())
    assert set(found) == {"rhat", "ess_bulk", "ess_tail", "divergences", "bfmi", "tree_depth"}


def test_chains_that_disagree_fail():
    apart = normal() + np.array([[0.0], [1.0]])
    assert verdicts({"att": apart})["rhat"] is False
    assert verdicts({"att": normal()}, nuisance={"z": apart[..., None]})["rhat"] is False


def test_draws_that_hardly_move_fail():
    slow = np.cumsum(0.05 * normal(), axis=1)
    found = verdicts({"att": slow})
    assert found["ess_bulk"] is False
    assert found["rhat"] is False


def test_divergences_energy_and_depth_fail():
    statistics = {
        "diverging": np.eye(2, 500, dtype=bool),
        "energy": np.cumsum(normal(), axis=1),
        "maxdepth_reached": np.eye(2, 500, dtype=bool),
    }
    found = verdicts({"att": normal()}, statistics=statistics)
    assert not any(found[name] for name in ("divergences", "bfmi", "tree_depth"))


def test_constants_are_no_evidence_against_a_sampler():
    assert verdicts({"att": normal(), "event_time[-1]": np.zeros((2, 500))})["rhat"]


def test_a_cell_that_moves_the_posterior_is_named():
    quiet, loud = normal((2, 500, 3), 1), 30 * normal((2, 500, 1), 2)
    assert verdicts({"att": normal()}, log_likelihood=0.1 * quiet)["pareto_k"]
    found = [
        c
        for c in convergence_checks({"att": normal()}, log_likelihood=np.dstack([quiet, loud]))
        if c.name == "pareto_k"
    ]
    assert found[0].passed is None
    assert found[0].value > 0.7


@pytest.mark.parametrize("draws", [{}, {"att": normal((1, 500))}, {"att": normal((2, 3))}])
def test_too_few_chains_or_draws_are_refused(draws):
    with pytest.raises(InferenceError, match="two chains"):
        convergence_checks(draws)
