"""Effects on homicide rates of Mexican states by quarters since a joint federal operation began, each group beside states not yet treated.

Mexico, 32 states, quarters of 2003 to 2010; homicides per 100,000 and quarter, weighted by population.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    effect = cp.group_time_effects(states.rate(), control="not_yet", base="universal").aggregate(
        "event", window=(-8, 8)
    )
    return effect.plot(title="Joint operations in Mexico, group-time effects").figure
