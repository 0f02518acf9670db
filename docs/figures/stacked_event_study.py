"""Homicide rates of Mexican states around the month in which a leader of a criminal organisation was removed, beside states without a removal near.

Mexico, 32 states, months of 2000 to 2020; Poisson stacks of removals with a clean window of six months before and twelve after.
"""

import pandas as pd
from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    months = cp.load_panel("mexico_state_month", end="2020-12")
    for event in cp.load_events("kingpins_mexico", place="operations_state", incomplete="leave_out"):
        if event.attributes["rank"] == "leader" and event.at < "2020-12":
            months = months.treat([event.unit], at=event.at[:7], until=str(pd.Period(event.at[:7]) + 1))
    effect = cp.stacked_event_study(months, window=(-6, 12), family="poisson", control="clean")
    return effect.plot(title="Removals of leaders in Mexico, stacked").figure
