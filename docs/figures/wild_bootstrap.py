"""Bootstrap estimates of a two-way regression on Mexican states under no effect, beside the estimate.

Mexico, 32 states, quarters of 2003 to 2010; homicides per 100,000, null imposed.
"""

from dataclasses import replace

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    effect = cp.two_way_fixed_effects(replace(states.rate(), weights=None))
    return cp.wild_bootstrap(effect, draws=1999).plot(kind="null", title="Wild cluster bootstrap, no effect").figure
