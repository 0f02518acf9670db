"""Effects of pacification units on lethal violence by the share of a precinct's residents who live under them, in three bins.

Rio de Janeiro, 126 precincts with constant limits, years 2003 to 2014; deaths per 100,000 and year.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    precincts = cp.load_panel(
        "rio_precinct_month", outcome="lethal_violence", end="2014-12", dose="upp_share_installed"
    )
    effect = cp.dose_response(precincts.aggregate("year").rate(), bins=3, control="not_yet")
    return effect.plot(title="Pacification units in Rio, by share of residents covered").figure
