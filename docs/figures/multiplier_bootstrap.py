"""Effects by quarter since a joint federal operation began, with pointwise intervals and the band that covers the whole path.

Mexico, 32 states, quarters of 2003 to 2010; group-time effects, 1,999 multiplier draws.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    effect = cp.group_time_effects(states.rate(), control="not_yet").aggregate("event", window=(-4, 8))
    return cp.multiplier_bootstrap(effect, draws=1999).plot(title="Pointwise intervals and the band").figure
