"""Homicide rate ratios of Mexican states in the quarters after a joint federal operation began, from a Poisson regression with an effect per cohort and quarter.

Mexico, 32 states, quarters of 2003 to 2010. The regression has no effects before the operation: those quarters are the reference.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    effect = cp.extended_twfe(states, family="poisson").aggregate("event", window=(0, 8))
    return effect.plot(title="Joint operations in Mexico, extended two-way").figure
