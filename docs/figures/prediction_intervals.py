"""Effects by year in São Paulo with prediction intervals: uncertain weights alone, single years, and all years at once.

Brazil, 27 states, 1990 to 2009, treated from 1999; synthetic control of homicides per 100,000, 90% intervals.
"""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import crimepolicy as cp
from crimepolicy.report.style import style

BARS = (("joint", 9, "0.88"), ("conf", 5, "0.6"), ("in_sample", 2, "C0"))


def draw() -> Figure:
    """Draw the figure."""
    states = cp.load_panel("brazil_state_year", start="1990", end="2009").treat(["SP"], at=1999)
    table = cp.prediction_intervals(cp.synthetic_control(states)).iloc[1:]
    years = states.periods[-len(table) :]
    with style():
        figure, axes = plt.subplots(figsize=(6, 3.6))
        for which, width, shade in BARS:
            axes.vlines(years, table[f"{which}_low"], table[f"{which}_high"], linewidth=width, color=shade)
        axes.plot(years, table["estimate"], "o", color="black", markersize=3)
        axes.axhline(0, color="0.3", linewidth=0.8)
        axes.set_title("Homicides per 100,000: weights (blue), one year (dark), all (light)", fontsize=9, loc="left")
    return figure
