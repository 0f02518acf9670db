"""Ninety-five percent intervals of every headline parameter of the event study of leaders removed in Mexico, before and after the data.

The fit of the figure above on this page: a short run, which shows the method and is no finding.
"""

import pandas as pd
from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    removals = cp.load_events("kingpins_mexico", rank=["leader"], place="operations_state", incomplete="leave_out")
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2014-12").aggregate("quarter")
    for removal in removals:
        quarter = pd.Period(removal.at, "Q")
        if quarter < states.periods[-8]:
            states = states.treat([removal.unit], at=str(quarter), until=str(quarter + 3))
    effect = cp.bayesian_event_study(states, window=(-6, 6), draws=250, tune=250)
    return effect.plot(kind="prior", title="Removals of leaders in Mexico").figure
