"""The change of homicides in Michoacan after the first joint operation beside those of states where nothing began.

Mexico, states without an operation in 2007 and Michoacan, quarters of 2003 to 2007; synthetic control of homicides per 100,000.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = cp.load_events("joint_operations_mexico")
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2007-12").aggregate("quarter")
    others = sorted({event.unit for event in started if event.unit != "16"} & set(states.units))
    panel = states.drop(others).treat(["16"], at="2007Q1").rate()
    effect = cp.synthetic_control(panel)
    return cp.placebo_test(effect).plot(kind="null", title="The same date, other states").figure
