"""The effect of joint federal operations on homicides under twenty-four combinations of choices, in order, with a dot for each choice.

Mexico, 32 states, quarters; Poisson imputation, effects on the log scale. Beside each choice is its share of the variance.
"""

from matplotlib.figure import Figure

import crimepolicy as cp
from crimepolicy.estimate import Estimate


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]

    def fit(first: int, last: int, quarters: int, without: str) -> Estimate:
        states = cp.load_panel("mexico_state_month", start=f"{first}-01", end=f"{last}-12", events=started)
        kept = states if without == "nobody" else states.drop([without])
        return cp.imputation(kept.aggregate("quarter"), family="poisson", horizon=(0, quarters))

    choices = {
        "first": [2001, 2003, 2005],
        "last": [2009, 2010],
        "quarters": [4, 8],
        "without": {"nobody": "nobody", "Chihuahua": "08"},
    }
    return cp.specification_curve(fit, choices).plot()
