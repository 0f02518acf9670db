"""Changes of homicide rates of Mexican states from the quarter before a joint federal operation began, beside states that had none yet.

Mexico, 32 states, quarters of 2003 to 2010; homicides per 100,000 and quarter. The quarter before the start is the reference.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    effect = cp.switching_effects(states.rate(), effects=9, placebos=7)
    return effect.plot(title="Joint operations in Mexico, switchers").figure
