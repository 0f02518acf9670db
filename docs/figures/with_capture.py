"""Change of homicides in Medellín in 2011 against seven cities: as the police counted, with the captured share drawn from a prior, and by the registry.

Colombia, months of 2010 to 2012. Nothing is claimed to have happened in January 2011 but this: the police began to count nearly all deaths,
after about two thirds of them in 2010. The registry, which had counted them all along, is what the corrected estimate should agree with.
"""

from functools import partial

from matplotlib.figure import Figure

import crimepolicy as cp
from crimepolicy.report.style import ACCENT, GREY, new_figure, style

CITIES = ["05001", "08001", "13001", "17001", "54001", "66001", "68001", "73001"]
CAPTURE = cp.Capture(before=(0.68, 0.05), after=(0.95, 0.02), at="2011-01", units=("05001",))


def draw() -> Figure:
    """Draw the figure."""
    police = cp.load_panel("colombia_municipality_month", start="2010-01", end="2012-12", units=CITIES)
    police = police.treat(["05001"], at="2011-01")
    months = cp.load_table("medellin_capture_month").set_index("month")["registry"]
    deaths = police.Y.copy()
    deaths[police.units.get_loc("05001")] = months.loc["2010-01":"2012-12"]
    fit = partial(cp.imputation, family="poisson")
    found = cp.with_capture(police, fit, CAPTURE, n_draws=200)
    rows = {
        "As the police counted": found["as_counted"],
        "With the captured share": found["with_capture"],
        "By the registry": fit(police.with_outcome(deaths)),
    }
    with style():
        figure = new_figure(1.9)
        axes = figure.subplots()
        for place, row in enumerate(rows.values()):
            axes.plot(row.as_ratio().interval(), [place, place], color=ACCENT)
            axes.plot(row.as_ratio().value, place, "o", color=ACCENT)
        axes.axvline(1, color=GREY, linewidth=0.7)
        axes.set(xlim=(0.55, 1.25), ylim=(2.6, -0.6), xlabel="Homicides after January 2011, relative to those expected")
        axes.set_yticks(range(3), rows)
    return figure
