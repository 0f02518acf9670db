"""Intervals of one effect under six kinds of standard error.

Mexico, 32 states, quarters of 2003 to 2010; two-way regression of homicides per 100,000. CR names the small-sample correction.
"""

from dataclasses import replace

from matplotlib.figure import Figure

import crimepolicy as cp
from crimepolicy.report.plots import draw as draw_data


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    effect = cp.two_way_fixed_effects(replace(states.rate(), weights=None))
    kinds = {name: cp.cluster(effect, "unit", correction=name) for name in ("CR0", "CR1", "CR1S", "CR2", "CR3")}
    ends = [estimate.interval() for estimate in kinds.values()]
    data = {
        "kind": "terms",
        "label": [f"{name}, by state" for name in kinds],
        "estimate": [estimate.value for estimate in kinds.values()],
        "low": [low for low, _ in ends],
        "high": [high for _, high in ends],
        "scale": "level",
    }
    return draw_data(data, title="One effect, five corrections").figure
