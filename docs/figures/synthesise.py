"""Effects of joint operations on homicides in ten Mexican states, one by one and shrunk to their mean, with the interval of the next operation.

Mexico, 32 states, quarters of 2003 to 2010; Poisson imputation of one state at a time against those without an operation.
"""

from matplotlib.figure import Figure

import crimepolicy as cp


def draw() -> Figure:
    """Draw the figure."""
    started = [
        event for event in cp.load_events("joint_operations_mexico") if event.attributes["change"] == "new_operation"
    ]
    states = cp.load_panel("mexico_state_month", start="2003-01", end="2010-12", events=started).aggregate("quarter")
    treated = states.units[states.D.any(axis=1)]
    effects = {
        str(unit): cp.imputation(states.drop(treated.drop(unit).tolist()), family="poisson", horizon=(0, 4))
        for unit in treated
    }
    return cp.synthesise(effects).plot(kind="forest", title="Joint operations in Mexico, by state code").figure
