"""Effects of police pacification units in Rio de Janeiro on lethal violence in their precincts and in bands of distance around them.

Rio de Janeiro, 126 precincts with constant limits, months of 2006 to 2013; a precinct is treated once a tenth of its residents live under a unit.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    rows = cp.load_table("rio_precinct_month")
    first = rows.groupby("unit")["installation_dose10"].first().dropna()
    precincts = cp.load_panel("rio_precinct_month", outcome="lethal_violence", start="2006-01", end="2013-12")
    for unit, date in first[first < "2014"].items():
        precincts = precincts.treat([unit], at=str(date)[:7])
    effect = cp.spillover_effects(precincts, exposure="rings", rings=(2, 5, 10), family="poisson")
    return effect.plot(title="Pacification units in Rio, and around them").figure
