"""P-values of the effects by quarter since a joint federal operation began, as they are and adjusted for there being eight of them.

Mexico, 32 states, quarters of 2003 to 2010; group-time effects on homicides per 100,000, clustered by state.
"""

from matplotlib.figure import Figure

import crimepolicy as cp
from crimepolicy.report.plots import draw as draw_data


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    effect = cp.group_time_effects(states.rate(), control="not_yet").aggregate("event", window=(0, 7))
    quarters = list(range(8))
    p = {quarter: effect.p_value(f"event_time[{quarter}]") for quarter in quarters}
    adjusted = {name: cp.multiple_testing(p, method)["p_adjusted"].tolist() for name, method in _METHODS.items()}
    data = {"kind": "series", "x": quarters, "series": {"as they are": list(p.values()), **adjusted}}
    ax = draw_data(data, title="P-values of eight quarters", xlabel="Quarters since the start")
    ax.axhline(0.05, color="grey", linewidth=0.7)
    return ax.figure


_METHODS = {"Holm": "holm", "Benjamini-Hochberg": "bh"}
