"""Effects by quarter since 2013, around the pact between armed groups of July, on homicides in Medellín, with placebo intervals.

Medellín beside the other Colombian municipalities of 200,000 inhabitants and more, 2008 to 2016; synthetic difference in differences of
homicides per 100,000. The caption holds the placebo p-value.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    places = cp.load_panel("colombia_municipality_month", start="2008-01", end="2016-12").aggregate("quarter")
    large = places.units[places.population.min(axis=1) >= 200_000]
    panel = places.keep(large).treat(["05001"], at="2013Q3")
    effect = cp.synthetic_did(panel, draws=len(large) - 1)
    figure = effect.plot(title="Homicides per 100,000 in Medellín").figure
    p = f"{len(effect.null)} placebos: standard error {effect.std_error:.2f}, p = {effect.p_value():.2f} for the average."
    figure.text(0.01, -0.03, p, fontsize=9)
    return figure
