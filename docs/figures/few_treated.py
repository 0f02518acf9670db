"""Intervals of the effect of the first joint operations, in six states, by four tools for few treated places.

Mexico, 32 states, months of 2003 to 2008; two-way regression of homicides per 100,000.
"""

from dataclasses import replace

from matplotlib.figure import Figure

import crimepolicy as cp
from crimepolicy.report.plots import draw as draw_data


def draw() -> Figure:
    """Draw the figure."""
    first = [event for event in cp.load_events("joint_operations_mexico") if event.at < "2007-01-31"]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2008-12", events=first)
    people = dict(zip(states.units, states.population.mean(axis=1), strict=True))
    effect = cp.two_way_fixed_effects(replace(states.rate(), weights=None))
    kinds = {
        "clustered (CR1)": cp.cluster(effect, "unit"),
        "Conley-Taber": cp.conley_taber(effect),
        "Ferman-Pinto": cp.ferman_pinto(effect, population=people),
        "Alvarez-Ferman": cp.alvarez_ferman(effect),
    }
    ends = [estimate.interval() for estimate in kinds.values()]
    data = {
        "kind": "terms",
        "label": list(kinds),
        "estimate": [estimate.value for estimate in kinds.values()],
        "low": [low for low, _ in ends],
        "high": [high for _, high in ends],
        "scale": "level",
    }
    return draw_data(data, title="The first joint operations, four ways to be unsure").figure
