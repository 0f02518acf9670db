"""Homicide rates of Mexican states before and after a joint federal operation began, in per cent of the quarter before, by two-way Poisson regression.

Mexico, 32 states, quarters of 2003 to 2010; ten states had an operation. Effects are assumed the same for all states and dates.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    effect = cp.two_way_fixed_effects(states, family="poisson", event_study=(-8, 8))
    return effect.plot(title="Joint operations in Mexico, two-way regression").figure
