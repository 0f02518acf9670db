"""Effects on homicide rates of Mexican states by years since a joint federal operation began, with the slope on the past estimated and set to one.

Mexico, 32 states, 2003 to 2010, taking the years of the operations as if drawn at random, which they were not.
"""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("year")
    efficient, difference = (
        cp.efficient_staggered(states.rate(), aggregate="event", beta=beta) for beta in ("efficient", 1)
    )
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    efficient.plot(ax=axes[0], title="slope estimated")
    difference.plot(ax=axes[1], title="slope one")
    return figure
