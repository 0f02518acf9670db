"""How often each estimator rejects a true null of no effect, and covers it, when the dates of real operations are laid on untreated Mexican states.

Mexico, 32 states, quarters of 2003 to 2010, 100 placebo interventions on states without operations. Dashed lines are the nominal 5% and 95%.
"""

from functools import partial

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    estimators = {
        "imputation, counts": partial(cp.imputation, family="poisson"),
        "imputation, rates": lambda panel: cp.imputation(panel.rate()),
        "two-way, rates": lambda panel: cp.two_way_fixed_effects(panel.rate()),
    }
    return cp.calibrate(estimators, cp.mask_treated(states), effects=(0.0,), placebos=100).plot()
