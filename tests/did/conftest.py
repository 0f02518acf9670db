"""Panels that several difference-in-differences tests use."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crimepolicy.panel import Panel


@pytest.fixture(scope="session")
def mpdta_panel(reference_data: Callable[[str], Path]) -> Callable[..., Panel]:
    """Return a function that builds the panel of county teen employment, with options of `Panel.from_frame`."""

    @cache
    def build(
        *,
        unbalanced: bool = False,
        never: bool = True,
        counts: bool = False,
        sections: bool = False,
        **options: Any,
    ) -> Panel:
        rows = pd.read_csv(reference_data("mpdta_unbalanced" if unbalanced else "mpdta"))
        rows["first"] = rows["first.treat"].replace(0, np.nan)
        rows["w"], rows["employment"] = np.exp(rows["lpop"]), np.exp(rows["lemp"])
        for year in range(2004, 2008):
            rows[f"lpop{year}"] = rows["lpop"] * (rows["year"] == year)
        if sections:
            rows["countyreal"] = np.arange(len(rows))
        rows = rows if never else rows[rows["first"].notna()]
        outcome = "employment" if counts else "lemp"
        columns = {"unit": "countyreal", "time": "year", "outcome": outcome, "first_treated": "first"}
        names = ["lpop", *(f"lpop{year}" for year in range(2004, 2008))]
        return Panel.from_frame(rows, covariates=names, **columns, **options)

    return build


@pytest.fixture(scope="session")
def staggered() -> Callable[..., Panel]:
    """Return a function that draws a staggered panel: counts or normal outcomes, with or without gaps."""

    def build(
        seed: int = 0,
        *,
        n: int = 40,
        length: int = 8,
        counts: bool = False,
        gaps: float = 0.0,
        weighted: bool = False,
        never: bool = True,
    ) -> Panel:
        rng = np.random.default_rng(seed)
        starts = [2.0, 4.0, 6.0, np.inf] if never else [2.0, 4.0, 6.0]
        first = np.resize(starts, n)
        D = np.arange(length) >= first[:, None]
        x = np.repeat(rng.normal(size=(n, 1)), length, axis=1)
        mean = rng.normal(size=(n, 1)) + rng.normal(size=length) + 0.5 * D + 0.3 * x * np.arange(length) / length
        population = np.exp(rng.normal(size=(n, length)) * 0.2 + 2)
        Y = rng.poisson(population * np.exp(0.4 * mean)).astype(float) if counts else mean + rng.normal(size=mean.shape)
        Y = np.where(rng.random(Y.shape) < gaps, np.nan, Y)
        return Panel(
            Y=Y,
            D=D,
            units=pd.Index([f"u{i:03d}" for i in range(n)]),
            periods=pd.Index(range(2000, 2000 + length)),
            X={"x": x, "z": rng.normal(size=Y.shape)},
            population=population if counts else None,
            weights=np.repeat(rng.uniform(0.5, 2, size=(n, 1)), length, axis=1) if weighted else None,
            region=np.resize(["north", "south"], n // 2).repeat(2)[:n],
            outcome="homicides",
        )

    return build
