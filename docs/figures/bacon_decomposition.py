"""Two-by-two comparisons behind the two-way coefficient of joint federal operations in Mexico: the estimate of each beside its weight.

Mexico, 32 states, 2003 to 2010; homicides per 100,000 and year. Crosses use states that are treated already as controls.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("year")
    rates = states.rate()
    found = cp.bacon_decomposition(replace(rates, weights=None))
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    marks = {"treated_never": "o", "earlier_later": "s", "later_earlier": "x", "later_always": "+"}
    for kind, part in found.components.groupby("comparison"):
        ax.scatter(
            part["weight"], part["estimate"], marker=marks[kind], color="black", label=kind.replace("_", " against ")
        )
    ax.axhline(found.estimate, color="grey", linewidth=0.8)
    ax.set(xlabel="weight", ylabel="difference in differences", title="Joint operations in Mexico, by comparison")
    ax.legend(frameon=False)
    return figure
