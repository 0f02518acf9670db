"""The standard error of the effect of a captured or killed leader as places farther and farther apart may share shocks.

Mexico, municipalities above 200,000 people, years of 2003 to 2012; two-way regression of homicides per 100,000. Distance 0: no two places share any.
"""

from matplotlib.figure import Figure

import crimepolicy as cp
from crimepolicy.report.plots import draw as draw_data


def draw() -> Figure:
    """Draw the figure."""
    killed = cp.load_events(
        "kingpins_mexico",
        rank=["leader"],
        actor=["mexican_forces"],
        place_precision=["municipality"],
        incomplete="leave_out",
    )
    panel = cp.load_panel("mexico_municipality_month", start="2003-01", end="2012-12", events=killed)
    large = panel.keep(panel.units[panel.population.mean(axis=1) > 200_000]).aggregate("year").rate()
    effect = cp.two_way_fixed_effects(large)
    distances = [0, 50, 100, 200, 300, 400, 600, 800]
    errors = [effect.std_error, *(cp.conley(effect, km=km).std_error for km in distances[1:])]
    data = {"kind": "series", "x": distances, "series": {"Standard error": errors}}
    return draw_data(data, title="Neighbours that share shocks", xlabel="Kilometres").figure
