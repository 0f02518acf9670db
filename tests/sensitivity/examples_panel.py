"""Small panels and estimators that are quick, transparent and do not belong to the package."""

from functools import partial

import numpy as np
import pandas as pd

from crimepolicy.errors import DesignError
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.panel import Panel


def count_panel(seed: int = 0, n: int = 12, t: int = 20, effect: float = 0.0, **columns: object) -> Panel:
    """Return counts with three adopters at period t - 6 (the third at t - 4), and an exposure of one million."""
    rng = np.random.default_rng(seed)
    unit, period = np.repeat(np.arange(n), t), np.tile(np.arange(t), n)
    treated = (unit < 2) & (period >= t - 6) | (unit == 2) & (period >= t - 4)
    mean = np.exp(4 + rng.normal(0, 0.5, n)[unit] + rng.normal(0, 0.1, t)[period] + effect * treated)
    rows = pd.DataFrame(
        {
            "unit": [f"place {u:02d}" for u in unit],
            "period": period,
            "deaths": rng.poisson(mean).astype(float),
            "treated": treated.astype(int),
            "people": 1e6,
            "region": np.array(["north", "south", "east", "west"])[unit % 4],
        }
    )
    return Panel.from_frame(
        rows, unit="unit", time="period", outcome="deaths", treated="treated", population="people", **columns
    )


def log_change(panel: Panel, *, seasonal: float = 0.0, refuse: str | None = None) -> Estimate:
    """Difference in differences of mean log counts, unit by unit, with one influence per unit."""
    if refuse is not None and refuse not in panel.units:
        raise DesignError(f"{refuse} is needed.")
    treated = panel.D.any(axis=1)
    if not treated.any() or treated.all():
        raise DesignError("Nobody is treated, or everybody.")
    Y = np.log(panel.Y + 0.5)
    first = int(panel.first_treated[treated].min())
    change = np.nanmean(Y[:, first:], axis=1) - np.nanmean(Y[:, :first], axis=1)
    groups = [change[treated], change[~treated]]
    value = groups[0].mean() - groups[1].mean() + seasonal
    psi = np.where(
        treated, (change - groups[0].mean()) / treated.sum(), -(change - groups[1].mean()) / (~treated).sum()
    )
    return Estimate.from_psi(
        value=value,
        psi=pd.DataFrame({HEADLINE: psi}, index=panel.units),
        panel=panel,
        estimand="effect on log deaths",
        method="log change",
        citation="",
        scale="log",
        fit=partial(log_change, seasonal=seasonal, refuse=refuse),
    )
