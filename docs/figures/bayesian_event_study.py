"""Paths of homicides around the removals of cartel leaders in Mexican states, each shrunk towards their common path, with a wide band for the next removal.

Mexico, 32 states, quarters of 2003 to 2014; a removal acts for four quarters, and one that follows within that time prolongs the spell.
A short run, so that the figure takes seconds: it shows the method and is no finding.
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
    return effect.plot(kind="events", title="Removals of leaders in Mexico").figure
