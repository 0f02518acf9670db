"""Intervals of the average effect of joint federal operations on homicide rates under restrictions on how far parallel trends may fail.

Mexico, 32 states, quarters of 2003 to 2010; group-time effects. The shaded interval is the one under parallel trends.
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
    allowed = [cp.relative_magnitudes(M) for M in (0.0, 0.5, 1.0)] + [cp.smoothness(M) for M in (0.0, 0.1)]
    return cp.honest_bounds(effect, restriction=allowed).plot()
