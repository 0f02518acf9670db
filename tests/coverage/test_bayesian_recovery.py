"""The Bayesian event study on simulated panels with four cells of five empty: recovery, and what shrinkage does to single events.

Beside it the frequentist imputation on the same panels, and both where counts are plentiful.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crimepolicy.bayes.event_study import bayesian_event_study
from crimepolicy.did.imputation import imputation
from crimepolicy.estimate import Estimate
from tests.bayes.worlds import world

pytestmark = [pytest.mark.bayes, pytest.mark.slow]

EFFECTS, WORLDS, WINDOW = (-0.5, 0.0, 0.5), 8, (-3, 11)
SPARSE = {"n_units": 24, "n_periods": 48, "n_treated": 8, "rate": 0.17, "spread": 0.3, "dispersion": 0.3}
PLENTIFUL = {"n_units": 16, "n_periods": 40, "n_treated": 6, "rate": 300.0, "spread": 0.3, "dispersion": 0.02}
SAMPLING = {"draws": 300, "tune": 300}
# Of 24 intervals, fewer than 19 cover with probability 0.001 where the level is right.
LEAST_COVERED = 19
# The smoothing of period effects is what is left between the two where counts are in the hundreds.
AGREEMENT = 0.01

Row = dict[str, Any]


def covered(estimate: Estimate, truth: float) -> bool:
    low, high = estimate.interval()
    return bool(low < truth < high)


def events(estimate: Estimate, truth: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the errors of single events."""
    return np.asarray(estimate.companions["events"].path["estimate"].to_numpy() - truth)


def sparse_rows() -> Iterator[Row]:
    """Yield one row per world; a world in which imputation finds nothing to compare with is counted with NaN."""
    for effect in EFFECTS:
        for seed in range(WORLDS):
            panel, truth = world(**SPARSE, effect=effect, seed=100 + seed)
            partial, alone = (
                bayesian_event_study(panel, window=WINDOW, pooling=p, **SAMPLING) for p in ("partial", "none")
            )
            other = imputation(panel, family="poisson", horizon=(0, WINDOW[1]))
            yield {
                "effect": effect,
                "zeros": float((panel.Y == 0).mean()),
                "error": partial.value - truth.mean(),
                "covers": covered(partial, truth.mean()),
                "error, imputation": other.value - truth.mean(),
                "covers, imputation": covered(other, truth.mean()),
                "squares, shrunk": float((events(partial, truth) ** 2).mean()),
                "squares, alone": float((events(alone, truth) ** 2).mean()),
            }


def recovery() -> pd.DataFrame:
    """Return bias, root mean squared error and coverage by true effect."""
    rows = pd.DataFrame(sparse_rows())
    groups = rows.groupby("effect")
    return pd.DataFrame(
        {
            "worlds": groups.size(),
            "zeros": groups["zeros"].mean(),
            "bias": groups["error"].mean(),
            "rmse": groups["error"].apply(lambda e: np.sqrt((e**2).mean())),
            "covers": groups["covers"].sum(),
            "imputation bias": groups["error, imputation"].mean(),
            "imputation rmse": groups["error, imputation"].apply(lambda e: np.sqrt((e**2).mean())),
            "imputation covers": groups["covers, imputation"].sum(),
            "events shrunk rmse": np.sqrt(groups["squares, shrunk"].mean()),
            "events alone rmse": np.sqrt(groups["squares, alone"].mean()),
        }
    ).rename_axis("true mean effect")


def agreement() -> pd.DataFrame:
    """Return both estimates of the pooled log ratio where counts are plentiful."""
    found = {}
    for seed in range(5):
        panel, _ = world(**PLENTIFUL, effect=0.3, seed=200 + seed)
        ours = bayesian_event_study(panel, window=WINDOW, family="poisson", pooling="none", **SAMPLING).companions[
            "pooled"
        ]
        theirs = imputation(panel, family="poisson", horizon=(0, WINDOW[1]))
        found[seed] = {"bayesian": ours.value, "imputation": theirs.value, "difference": ours.value - theirs.value}
    return pd.DataFrame(found).T.rename_axis("world")


def test_effects_are_recovered_from_mostly_empty_cells() -> None:
    sparse, plentiful = recovery(), agreement()
    text = (
        f"{SPARSE['n_units']} units x {SPARSE['n_periods']} months, {SPARSE['n_treated']} events that differ with standard deviation {SPARSE['spread']}; "
        f"log ratios over at most 12 months\n\n{sparse.round(3).to_string()}\n\nPlentiful: {PLENTIFUL['n_units']} x {PLENTIFUL['n_periods']}, about "
        f"{PLENTIFUL['rate']:.0f} a month; pooled log ratio\n\n{plentiful.round(4).to_string()}\n"
    )
    print(text)
    Path(__file__).with_name("bayesian_recovery.txt").write_text(text, encoding="utf-8")
    assert sparse["zeros"].between(0.76, 0.86).all()
    assert sparse["covers"].sum() >= LEAST_COVERED
    assert (sparse["events shrunk rmse"] < sparse["events alone rmse"]).all()
    assert plentiful["difference"].abs().max() < AGREEMENT
