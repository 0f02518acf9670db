"""Effects by quarter around joint federal operations in Mexico beside the straight line that a joint test of the leads would have found half of the time.

Mexico, 32 states, quarters of 2003 to 2010. The dashed line is a difference in trends that passes the test with even odds.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    effect = cp.group_time_effects(states.rate(), control="not_yet", base="universal").aggregate(
        "event", window=(-8, 8)
    )
    slope = cp.pretrend_test(effect).slopes.loc[0.5, "slope"]
    ax = effect.plot(title="What the pre-trend test would have missed")
    times = effect.path.index.to_numpy()
    ax.plot(times, slope * (times + 1), color="black", linestyle="--", linewidth=1)
    return ax.figure
