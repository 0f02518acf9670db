"""Effects on homicides in Mexican states by quarters since a joint federal operation began, averaged over cohorts by their size.

Mexico, 32 states, quarters of 2003 to 2010; Poisson with the population as exposure.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    effect = cp.interaction_weighted(states, family="poisson").aggregate("event", window=(-8, 8))
    return effect.plot(title="Joint operations in Mexico, interaction-weighted").figure
