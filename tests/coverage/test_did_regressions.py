"""Size and coverage of the regression estimators on crime-like counts, by simulation.

Run `pytest -m slow tests/coverage/test_did_regressions.py -s` to see the table; the last one is kept in did_regressions.txt.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crimepolicy.did.extended_twfe import extended_twfe
from crimepolicy.did.group_time import group_time_effects
from crimepolicy.did.interaction_weighted import interaction_weighted
from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

DRAWS = 200
# Four Monte Carlo standard errors of a rejection rate of 5% in 200 draws.
SLACK = 4 * np.sqrt(0.05 * 0.95 / DRAWS)
# Clustered errors with 160 clusters and skewed counts over-reject a little; more than this would be a fault.
FINITE = 0.03

ESTIMATORS: dict[str, Callable[[Panel], Estimate]] = {
    "two-way gaussian": two_way_fixed_effects,
    "two-way poisson": partial(two_way_fixed_effects, family="poisson"),
    "group-time, never treated": group_time_effects,
    "group-time, not yet treated": partial(group_time_effects, control="not_yet"),
    "interaction-weighted poisson": partial(interaction_weighted, family="poisson"),
    "extended poisson": partial(extended_twfe, family="poisson"),
}


def _panel(seed: np.random.SeedSequence, effect: float) -> Panel:
    """Draw 160 places by 24 months of overdispersed counts, about 81% of them zero, with persistent shocks."""
    rng = np.random.default_rng(seed)
    first = np.resize([8.0, 12.0, 16.0, np.inf, np.inf], 160)
    D = np.arange(24) >= first[:, None]
    size = np.exp(rng.normal(size=(160, 1)))
    shocks = np.cumsum(rng.normal(size=24) * 0.1)
    frailty = rng.gamma(2.0, 0.5, size=D.shape) * rng.gamma(8.0, 0.125, size=(160, 3)).repeat(8, axis=1)
    counts = rng.poisson(0.16 * size * np.exp(shocks + effect * D) * frailty).astype(float)
    return Panel(Y=counts, D=D, units=pd.Index(range(160)), periods=pd.Index(range(24)), population=np.ones(D.shape))


@pytest.mark.slow
def test_size_and_coverage_on_counts() -> None:
    seeds = np.random.SeedSequence(20260101).spawn(DRAWS)
    zeros = np.mean([(_panel(seed, 0.0).Y == 0).mean() for seed in seeds[:50]])
    assert 0.75 < zeros < 0.87
    rows: list[dict[str, Any]] = []
    for name, fit in ESTIMATORS.items():
        null = [fit(_panel(seed, 0.0)) for seed in seeds]
        size = float(np.mean([estimate.p_value() < 0.05 for estimate in null]))
        values = np.array([estimate.value for estimate in null])
        row = {
            "estimator": name,
            "rejects a true null": size,
            "mean": values.mean(),
            "sd": values.std(),
            "mean se": np.mean([e.std_error for e in null]),
        }
        if null[0].scale == "log":
            found = [fit(_panel(seed, 0.3)).interval() for seed in seeds]
            row["covers 0.3"] = float(np.mean([low <= 0.3 <= high for low, high in found]))
        rows.append(row)
    table = pd.DataFrame(rows).set_index("estimator")
    text = f"{DRAWS} draws, 160 places x 24 months, {zeros:.0%} zeros, nominal 5% and 95%\n{table.round(4).to_string(na_rep='')}\n"
    print(text)
    Path(__file__).with_name("did_regressions.txt").write_text(text, encoding="utf-8")
    assert (table["rejects a true null"] < 0.05 + SLACK + FINITE).all()
    assert (table["rejects a true null"] > 0.05 - SLACK).all()
    assert (table["covers 0.3"].dropna() > 0.95 - SLACK - FINITE).all()
