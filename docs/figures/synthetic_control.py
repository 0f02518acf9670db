"""Homicide rates of São Paulo beside its synthetic control, and the gap beside those of the same synthetic control for every other state.

Brazil, 27 states, 1990 to 2009; the first year counted as treated is 1999, as in the published study. The caption holds the placebo rank.
"""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import crimepolicy as cp
from crimepolicy.report.style import style


def draw() -> Figure:
    """Draw the figure."""
    states = cp.load_panel("brazil_state_year", start="1990", end="2009").treat(["SP"], at=1999)
    effect = cp.placebo_test(cp.synthetic_control(states))
    observed = states.rate().Y[list(states.units).index("SP")]
    years, gaps = states.periods, effect.path["estimate"].to_numpy()
    found = {check.name: check.value for check in effect.checks}
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
        left.plot(years, observed, color="black", label="São Paulo")
        left.plot(years, observed - gaps, color="C0", linestyle="--", label="synthetic")
        right.plot(years, effect.null.filter(like="event_time").T.to_numpy(), color="0.8", linewidth=0.7)
        right.plot(years, gaps, color="black")
        for axes, title in ((left, "Homicides per 100,000"), (right, "Observed less synthetic; grey: other states")):
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.axvline(1998.5, color="0.5", linewidth=0.8)
            axes.set_title(title, fontsize=9, loc="left")
        left.legend(frameon=False, fontsize=8)
        rank = f"Rank {found['placebo_rank']:.0f} of {len(effect.null) + 1} by the ratio of gaps after and before: p = {effect.p_value():.2f}."
        figure.text(0.01, -0.03, rank, fontsize=9)
    return figure
