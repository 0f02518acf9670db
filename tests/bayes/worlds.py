"""Simulated panels of counts whose effects are known."""

from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.panel import Panel


def world(
    n_units: int = 16,
    n_periods: int = 60,
    *,
    n_treated: int = 6,
    rate: float = 20.0,
    effect: float = 0.3,
    spread: float = 0.0,
    length: int = 100,
    dispersion: float = 0.1,
    unit_sd: float = 0.6,
    seed: int = 0,
    **extra: Any,
) -> tuple[Panel, np.ndarray[Any, Any]]:
    """Return a monthly panel and the true log effect of each treated unit (its first `n_treated` units)."""
    rng = np.random.default_rng(seed)
    unit = rng.normal(0, unit_sd, n_units)
    period = np.cumsum(rng.normal(0, 0.05, n_periods))
    season = 0.1 * np.sin(2 * np.pi * np.arange(n_periods) / 12)
    effects = effect + spread * rng.normal(size=n_treated)
    onset = rng.integers(n_periods // 3, 2 * n_periods // 3, n_treated)
    time = np.arange(n_periods)
    treated = np.zeros((n_units, n_periods), dtype=bool)
    treated[:n_treated] = (time >= onset[:, None]) & (time < onset[:, None] + length)
    log_mean = np.log(rate) + unit[:, None] + (period - period.mean()) + season
    log_mean[:n_treated] += treated[:n_treated] * effects[:, None]
    shape = 1 / dispersion**2
    counts = rng.poisson(np.exp(log_mean) * rng.gamma(shape, 1 / shape, log_mean.shape))
    labels = np.repeat([f"u{i:03d}" for i in range(n_units)], n_periods)
    months = pd.period_range("2000-01", periods=n_periods, freq="M").astype(str)
    frame = pd.DataFrame(
        {"unit": labels, "month": np.tile(months, n_units), "deaths": counts.ravel(), "d": treated.ravel().astype(int)}
    )
    frame["population"] = 100_000.0
    frame["region"] = np.repeat(np.arange(n_units) % 2, n_periods)
    panel = Panel.from_frame(
        frame,
        unit="unit",
        time="month",
        outcome="deaths",
        treated="d",
        population="population",
        region="region",
        **extra,
    )
    return panel, effects


def chain(n: int) -> pd.DataFrame:
    """Return neighbours along a line of `n` units, as named by `world`."""
    pairs = [(f"u{i:03d}", f"u{i + 1:03d}") for i in range(n - 1)]
    return pd.DataFrame(pairs + [(b, a) for a, b in pairs], columns=["unit", "neighbour"])
