"""Input that has no answer gets one clear error, whatever the tool."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crimepolicy.diagnostics.pretrends import pretrend_test
from crimepolicy.errors import CrimepolicyError
from crimepolicy.estimate import Estimate
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.conley_taber import conley_taber
from crimepolicy.inference.mechanisms import RedrawPlaces
from crimepolicy.inference.multiple_testing import multiple_testing
from crimepolicy.inference.multiplier import multiplier_bootstrap
from crimepolicy.inference.placebo import placebo_test
from crimepolicy.inference.randomization import randomization_test
from crimepolicy.inference.sign_change import sign_change_test
from crimepolicy.inference.wild import wild_bootstrap
from crimepolicy.panel import Panel

Panels = dict[str, Callable[..., Panel]]
Estimators = dict[str, Callable[[Panel], Estimate]]

NOT_A_NUMBER: dict[str, Callable[[Estimate], Any]] = {
    "cluster": cluster,
    "multiplier": lambda effect: multiplier_bootstrap(effect, draws=999),
    "multiple testing": lambda effect: multiple_testing({"a": effect, "b": effect}),
    "pretrends": pretrend_test,
    "covariance": lambda effect: effect.covariance(),
}

NO_DRAWS: dict[str, Callable[[Estimate], Any]] = {
    "randomisation": lambda effect: randomization_test(effect, RedrawPlaces(), draws=0),
    "wild": lambda effect: wild_bootstrap(effect, draws=0),
    "Conley-Taber": lambda effect: conley_taber(effect, draws=0),
    "signs": lambda effect: sign_change_test(effect, draws=0),
    "multiple testing": lambda effect: multiple_testing({"a": effect}, draws=0),
    "placebos": lambda effect: placebo_test(effect, statistic="gap", draws=0),
}


@pytest.mark.parametrize("name", NOT_A_NUMBER)
def test_influence_that_is_not_a_number(name: str, panels: Panels, estimators: Estimators) -> None:
    effect = estimators["event_difference"](panels["normal"]())
    with pytest.raises(CrimepolicyError, match="is not a number"):
        NOT_A_NUMBER[name](effect.replace(psi=effect.psi * np.nan))


@pytest.mark.parametrize("name", NO_DRAWS)
def test_draws_that_are_none(name: str, panels: Panels, estimators: Estimators) -> None:
    with pytest.raises(CrimepolicyError, match="draws=0 should be 1 or more"):
        NO_DRAWS[name](estimators["two_way"](panels["normal"]()))


def test_leads_without_uncertainty_and_tests_of_nothing(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["event_difference"](panels["normal"]())
    with pytest.raises(CrimepolicyError, match="carry no uncertainty"):
        pretrend_test(effect.replace(psi=effect.psi * 0))
    with pytest.raises(CrimepolicyError, match="no tests to adjust"):
        multiple_testing({})
