"""Donors with events of their own, and what a placebo test could have seen."""

from collections.abc import Callable

import numpy as np
import pytest

from crimepolicy.errors import EstimationError
from crimepolicy.inference.placebo import placebo_test
from crimepolicy.panel import Event, Panel
from crimepolicy.synth.contamination import donor_events
from crimepolicy.synth.synthetic_control import synthetic_control

Make = Callable[..., Panel]


def test_events_at_donors_in_use_are_counted(simulated: Make) -> None:
    estimate = synthetic_control(simulated())
    weights = estimate.weights.set_index("label")["weight"]
    used, unused = weights.idxmax(), weights.idxmin()
    inside, outside = Event("a", used, at="5"), Event("b", used, at="99")
    for events, value in (([inside], weights[used]), ([outside], 0.0), ([Event("c", unused, at="5")], weights[unused])):
        check = donor_events(estimate, events).checks[-1]
        assert check.value == pytest.approx(value)
        assert check.passed == (value == 0)
    with pytest.raises(EstimationError, match="no donor weights"):
        donor_events(estimate.replace(weights=None), [inside])


def test_an_effect_above_the_detectable_one_is_detected(simulated: Make) -> None:
    panel = simulated(n_units=25, effect=0.0)
    estimate = synthetic_control(panel)
    found = placebo_test(estimate, treated="drop")
    needed = next(check.value for check in found.checks if check.name == "detectable_effect")
    flat = panel.with_outcome(np.where(panel.D, panel.Y - estimate.path["estimate"].loc[0:].to_numpy().mean(), panel.Y))
    for factor, significant in ((3.0, True), (0.0, False)):
        moved = flat.with_outcome(flat.Y + factor * needed * flat.D)
        assert (placebo_test(synthetic_control(moved), treated="drop").p_value() <= 0.05) == significant
    few = placebo_test(synthetic_control(simulated(n_units=8)))
    assert next(check.value for check in few.checks if check.name == "detectable_effect") == np.inf
