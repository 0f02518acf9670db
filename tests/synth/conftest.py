"""Panels of the reference datasets, read from the local mirror."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crimepolicy.panel import Panel


@pytest.fixture(scope="session")
def prop99(reference_data: Callable[[str], Path]) -> Panel:
    frame = pd.read_csv(reference_data("california_prop99"))
    return Panel.from_frame(frame, unit="State", time="Year", outcome="PacksPerCapita", treated="treated")


@pytest.fixture(scope="session")
def smoking(reference_data: Callable[[str], Path]) -> Panel:
    frame = pd.read_csv(reference_data("smoking_tidysynth"))
    covariates = ["lnincome", "beer", "age15to24", "retprice"]
    panel = Panel.from_frame(frame, unit="state", time="year", outcome="cigsale", covariates=covariates)
    return panel.treat(["California"], at=1989)


@pytest.fixture(scope="session")
def basque(reference_data: Callable[[str], Path]) -> Panel:
    frame = pd.read_csv(reference_data("basque"))
    frame = frame[frame["regionno"] != 1]
    covariates = [name for name in frame if name not in {"regionno", "regionname", "year", "gdpcap"}]
    panel = Panel.from_frame(frame, unit="regionno", time="year", outcome="gdpcap", covariates=covariates)
    return panel.treat([17], at=1970)


@pytest.fixture(scope="session")
def saopaulo(reference_data: Callable[[str], Path]) -> Panel:
    frame = pd.read_csv(reference_data("saopaulo_homicides"))
    covariates = ["state.gdp.capita", "state.gdp.growth.percent", "population.projection.ln", "years.schooling.imp"]
    covariates += ["proportion.extreme.poverty", "gini.imp"]
    panel = Panel.from_frame(frame, unit="code", time="year", outcome="homicide.rates", covariates=covariates)
    return panel.treat([35], at=1999)


@pytest.fixture(scope="session")
def simulated() -> Callable[..., Panel]:
    return simulate


def simulate(
    n_units: int = 12, n_periods: int = 14, starts: tuple[int, ...] = (9,), seed: int = 0, effect: float = 3.0
) -> Panel:
    """Two factors, unit and period effects; unit k is treated from starts[k] on."""
    rng = np.random.default_rng(seed)
    factors, loadings = rng.normal(size=(2, n_periods)).cumsum(axis=1), rng.uniform(size=(n_units, 2))
    level = 20 + rng.normal(size=(n_units, 1)) * 3
    Y = level + loadings @ factors + rng.normal(size=(n_units, n_periods)) * 0.5
    D = np.zeros(Y.shape, dtype=bool)
    for row, start in enumerate(starts):
        D[row, start:] = True
    return Panel(
        Y=Y + effect * D, D=D, units=pd.Index([f"u{i:02d}" for i in range(n_units)]), periods=pd.Index(range(n_periods))
    )
