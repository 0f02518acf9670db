"""Observed homicides beside those expected without a joint federal operation in ten Mexican states, by quarters since its start, with a test on eight quarters before.

Mexico, 32 states, quarters of 2003 to 2010; Poisson imputation. Hollow points are the leads of the pre-trend test.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    effect = cp.imputation(states, family="poisson", horizon=(0, 8), pretrends=8)
    return effect.plot(title="Joint operations in Mexico, imputation").figure
