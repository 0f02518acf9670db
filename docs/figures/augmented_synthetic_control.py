"""Homicide rates of El Salvador beside its augmented synthetic control, before and during the truce of 2012 and 2013.

Latin American and Caribbean countries with complete counts, 2000 to 2013; left out as donors: Honduras, with a truce of its own in 2013,
and Guatemala and Panama, whose counts are flagged. The caption holds the placebo rank.
"""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import crimepolicy as cp
from crimepolicy.report.style import style

COUNTRIES = [
    "ARG",
    "BLZ",
    "BRA",
    "CHL",
    "COL",
    "CRI",
    "CUB",
    "DOM",
    "ECU",
    "GUY",
    "JAM",
    "MEX",
    "NIC",
    "PER",
    "PRY",
    "SLV",
    "TTO",
    "URY",
    "BOL",
    "BHS",
    "BRB",
]


def draw() -> Figure:
    """Draw the figure."""
    countries = cp.load_panel(
        "latam_country_year",
        start="2000",
        end="2013",
        units=COUNTRIES,
        missing="drop_units",
        accept={"denominator_differs": "a rate needs no exact count"},
    ).treat(["SLV"], at=2012)
    effect = cp.placebo_test(cp.augmented_synthetic_control(countries))
    observed = countries.rate().Y[list(countries.units).index("SLV")]
    found = {check.name: check.value for check in effect.checks}
    with style():
        figure, axes = plt.subplots(figsize=(5.5, 3.6))
        axes.plot(countries.periods, observed, color="black", label="El Salvador")
        axes.plot(
            countries.periods,
            observed - effect.path["estimate"].to_numpy(),
            "--",
            color="C0",
            label="augmented synthetic",
        )
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.axvline(2011.5, color="0.5", linewidth=0.8)
        axes.set_title("Homicides per 100,000", fontsize=9, loc="left")
        axes.legend(frameon=False, fontsize=8)
        rank = f"Rank {found['placebo_rank']:.0f} of {len(effect.null) + 1} by the ratio of gaps after and before: p = {effect.p_value():.2f}."
        figure.text(0.01, -0.03, rank, fontsize=9)
    return figure
