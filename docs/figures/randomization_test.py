"""The effect of joint federal operations on homicides beside those of 499 other sets of states that could have been chosen.

Mexico, 32 states, quarters of 2003 to 2010; Poisson imputation, dates kept and places drawn anew.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    effect = cp.imputation(states, family="poisson", horizon=(0, 8))
    test = cp.randomization_test(effect, cp.RedrawPlaces(), draws=499)
    return test.plot(kind="null", title="Other states, the same dates").figure
