"""Effects of joint federal operations on homicides in Mexican states by quarters since the start, by matrix completion.

Mexico, 32 states, quarters of 2000 to 2009; homicides per 100,000, intervals from deleting one state at a time.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2000-01", end="2009-12", events=started).aggregate("quarter")
    effect = cp.factor_model(states.rate(), method="matrix_completion")
    return effect.plot(title="Joint operations in Mexico, matrix completion").figure
