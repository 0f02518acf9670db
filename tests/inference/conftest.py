"""Small estimators of our own, written for these tests, that know nothing of the estimators of the package."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.panel import Panel


def demeaned(a: np.ndarray) -> np.ndarray:
    return a - a.mean(axis=1, keepdims=True) - a.mean(axis=0) + a.mean()


def two_way(panel: Panel) -> Estimate:
    """Two-way fixed effects on a balanced panel, by row and column means."""
    d, y = demeaned(panel.D.astype(float)), demeaned(panel.Y)
    value = (d * y).sum() / (d**2).sum()
    psi = pd.DataFrame({HEADLINE: (d * (y - value * d)).sum(axis=1) / (d**2).sum()}, index=panel.units)
    return Estimate.from_psi(
        value=value, psi=psi, panel=panel, estimand="effect", method="two-way test", citation="", fit=two_way
    )


def event_difference(panel: Panel) -> Estimate:
    """Difference of means by event time between units treated at one date and the others, base period -1."""
    at = int(panel.G[np.isfinite(panel.G)].min())
    treated = np.isfinite(panel.G)
    change = panel.Y - panel.Y[:, [at - 1]]
    event = np.arange(panel.n_periods) - at
    gap = change[treated].mean(axis=0) - change[~treated].mean(axis=0)
    centred = np.where(
        treated[:, None],
        (change - change[treated].mean(axis=0)) / treated.sum(),
        -(change - change[~treated].mean(axis=0)) / (~treated).sum(),
    )
    shown = event != -1
    names = [HEADLINE, *(f"event_time[{e}]" for e in event[shown])]
    psi = pd.DataFrame(
        np.column_stack([centred[:, at:].mean(axis=1), centred[:, shown]]), index=panel.units, columns=names
    )
    path = pd.DataFrame({"estimate": gap[shown]}, index=pd.Index(event[shown], name="event_time"))
    return Estimate.from_psi(
        value=gap[at:].mean(),
        psi=psi,
        panel=panel,
        path=path,
        estimand="effect",
        method="event test",
        citation="",
        fit=event_difference,
    )


def log_ratio(panel: Panel) -> Estimate:
    """Ratio of treated to expected counts, expected from unit and period sums before treatment (one date)."""
    at = int(panel.G[np.isfinite(panel.G)].min())
    treated = np.isfinite(panel.G)
    before, after = panel.Y[:, :at].sum(axis=1), panel.Y[:, at:].sum(axis=1)
    sums = [after[treated].sum(), before[treated].sum(), after[~treated].sum(), before[~treated].sum()]
    value = np.log(sums[0] / sums[1]) - np.log(sums[2] / sums[3])
    psi = np.where(treated, after / sums[0] - before / sums[1], -after / sums[2] + before / sums[3])
    return Estimate.from_psi(
        value=value,
        psi=pd.DataFrame({HEADLINE: psi}, index=panel.units),
        panel=panel,
        estimand="log ratio",
        method="ratio test",
        citation="",
        scale="log",
        fit=log_ratio,
    )


def make_panel(
    n: int = 12,
    t: int = 8,
    treated: int = 5,
    at: int = 5,
    *,
    seed: int = 0,
    effect: float = 0.0,
    persistence: float = 0.0,
    **fields: Any,
) -> Panel:
    """Normal outcomes with unit and period effects; the first `treated` units are treated from period `at`."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((n, t))
    for k in range(1, t):
        noise[:, k] += persistence * noise[:, k - 1]
    D = np.zeros((n, t), dtype=bool)
    D[:treated, at:] = True
    Y = rng.standard_normal((n, 1)) + np.linspace(0, 1, t) + noise + effect * D
    units = pd.Index([f"u{i:03d}" for i in range(n)])
    return Panel(Y=Y, D=D, units=units, periods=pd.RangeIndex(t), **fields)


def make_counts(
    n: int = 30,
    t: int = 20,
    treated: int = 10,
    at: int = 10,
    *,
    seed: int = 0,
    size: float = 1.5,
    mean: float = 4.0,
    **fields: Any,
) -> Panel:
    """Overdispersed counts (gamma-Poisson) of places whose sizes differ by orders of magnitude; no effect."""
    rng = np.random.default_rng(seed)
    population = np.exp(rng.normal(11, 1, n))[:, None] * np.ones(t)
    level = mean * population / population.mean() * rng.gamma(size, 1 / size, (n, t))
    D = np.zeros((n, t), dtype=bool)
    D[rng.permutation(n)[:treated], at:] = True
    units = pd.Index([f"u{i:03d}" for i in range(n)])
    return Panel(
        Y=rng.poisson(level).astype(float), D=D, units=units, periods=pd.RangeIndex(t), population=population, **fields
    )


Estimator = Callable[[Panel], Estimate]


@pytest.fixture(scope="session")
def estimators() -> dict[str, Estimator]:
    return {"two_way": two_way, "event_difference": event_difference, "log_ratio": log_ratio}


@pytest.fixture(scope="session")
def panels() -> dict[str, Callable[..., Panel]]:
    return {"normal": make_panel, "counts": make_counts}
