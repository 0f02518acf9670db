"""Effects by quarter in Michoacan since the first joint operation, with conformal intervals.

Mexico, states without an operation in 2007 and Michoacan, quarters of 2000 to 2007; synthetic control of homicides per 100,000, 90% intervals.
"""

from matplotlib.figure import Figure

import crimepolicy as cp
from crimepolicy.report.plots import draw as draw_data


def draw() -> Figure:
    """Draw the figure."""
    started = cp.load_events("joint_operations_mexico")
    states = cp.load_panel("mexico_state_month", start="2000-01", end="2007-12").aggregate("quarter")
    others = sorted({event.unit for event in started if event.unit != "16"} & set(states.units))
    panel = states.drop(others).treat(["16"], at="2007Q1").rate()
    found = cp.conformal_interval(cp.synthetic_control(panel), level=0.9)
    data = {
        "kind": "terms",
        "label": ["a constant effect", *(f"quarter {k}" for k in range(1, len(found)))],
        "estimate": found["estimate"].tolist(),
        "low": found["conf_low"].tolist(),
        "high": found["conf_high"].tolist(),
        "scale": "level",
    }
    return draw_data(data, title="One state, quarter by quarter").figure
