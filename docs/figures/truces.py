"""Effects of four truces on the homicide rate, each by itself and shrunk to their mean, with the interval of the next truce.

Yearly counts of countries; a synthetic difference in differences of one country at a time against the same eight donors, in the year of the truce and the
next. It shows the method; what the package claims of truces has a plan of its own.
"""

from matplotlib.figure import Figure

import crimepolicy as cp

TRUCES = {"El Salvador 2012": "SLV", "Honduras 2013": "HND", "Belize 2012": "BLZ", "Trinidad and Tobago 2007": "TTO"}
DONORS = ["COL", "CRI", "DOM", "MEX", "NIC", "PAN", "PRI", "URY"]


def draw() -> Figure:
    """Draw the figure."""
    effects = {}
    for name, country in TRUCES.items():
        year = int(name[-4:])
        rates = cp.load_panel(
            "latam_country_year", start="2000", end=str(year + 1), units=[country, *DONORS], missing="drop_units"
        ).rate()
        effects[name] = cp.synthetic_did(rates.treat([country], at=year), scale="log")
    return (
        cp.hierarchical_synthesis(effects)
        .plot(kind="forest", title="Truces, put together by a hierarchical model")
        .figure
    )
