"""Homicides in Michoacan with what would have been, as a band of draws; and effects by quarter beside conformal intervals of the plain synthetic control.

Mexico, states without an operation in 2007 and Michoacan, quarters of 2000 to 2007; counts, with 90% predictive intervals. The caption
holds the average of the treated quarters by both.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

import crimepolicy as cp
from crimepolicy.report.style import style


def draw() -> Figure:
    """Draw the figure."""
    started = cp.load_events("joint_operations_mexico")
    states = cp.load_panel("mexico_state_month", start="2000-01", end="2007-12").aggregate("quarter")
    others = sorted({event.unit for event in started if event.unit != "16"} & set(states.units))
    panel = states.drop(others).treat(["16"], at="2007Q1")
    conformal = cp.conformal_interval(cp.synthetic_control(panel.rate()), level=0.9)
    effect = cp.bayesian_synthetic_control(panel, draws=500, tune=500)
    row = list(panel.units).index("16")
    people, seen = panel.population[row] / 1e5, panel.rate().Y[row]
    untreated = effect.inference_data["posterior"]["untreated"].to_numpy().reshape(-1, len(seen)) / people
    low, middle, high = np.quantile(untreated, [0.05, 0.5, 0.95], axis=0)
    after = np.flatnonzero(panel.D[row])
    quarters, periods = np.arange(1, len(after) + 1), np.arange(len(seen))
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
        left.fill_between(periods, low, high, color="C0", alpha=0.25, linewidth=0)
        left.plot(periods, middle, color="C0", linestyle="--", label="without the operation")
        left.plot(periods, seen, color="black", label="Michoacán")
        left.set_xticks(periods[::8], [str(period) for period in panel.periods[::8]])
        left.axvline(after[0] - 0.5, color="0.5", linewidth=0.8)
        gap = (seen - untreated)[:, after]
        ends = [np.quantile(gap, [0.05, 0.95], axis=0), conformal[["conf_low", "conf_high"]].to_numpy()[1:].T]
        for shift, name, (bottom, top) in zip((-0.1, 0.1), ("Bayesian", "conformal"), ends, strict=True):
            right.vlines(quarters + shift, bottom, top, color="C0" if shift < 0 else "C1", linewidth=3, label=name)
        right.axhline(0, color="0.5", linewidth=0.8)
        right.set_xticks(quarters)
        for axes, title in ((left, "Homicides per 100,000 and quarter"), (right, "Effect by quarter, 90% intervals")):
            axes.set_title(title, fontsize=9, loc="left")
            axes.legend(frameon=False, fontsize=8, loc="upper left" if axes is left else "lower left")
        a, b = np.quantile(gap.mean(axis=1), [0.05, 0.95])
        c, d = conformal[["conf_low", "conf_high"]].to_numpy()[0]
        words = f"Average of the treated quarters: Bayesian {gap.mean():.1f} ({a:.1f} to {b:.1f}); conformal, a constant effect {conformal['estimate'].iloc[0]:.1f} ({c:.1f} to {d:.1f})."
        figure.text(0.01, -0.03, words, fontsize=9)
    return figure
