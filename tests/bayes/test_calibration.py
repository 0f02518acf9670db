"""Simulation-based calibration: parameters from the prior, counts from them, and the rank of the truth in the posterior."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from crimepolicy.bayes.count_fit import count_fit
from crimepolicy.bayes.event_cells import event_cells
from crimepolicy.bayes.event_design import EventModel, event_design
from crimepolicy.bayes.event_summary import event_draws
from crimepolicy.bayes.predictive import prior_predictive
from tests.bayes.worlds import world

pytestmark = [pytest.mark.bayes, pytest.mark.slow]

N_WORLDS = 60
N_RANKS = 20
# A test at this level per parameter fails one run in a thousand by chance; the seed is fixed.
LEVEL = 0.001
TABLE = Path(__file__).parents[1] / "coverage" / "bayesian_event_study.txt"
MODEL = EventModel(
    family="negative_binomial",
    effects="unit+period",
    path="random_walk",
    pooling="partial",
    unit_effects="independent",
    moderators=None,
    length=6.0,
    effect_scale=0.5,
    drift_scale=0.3,
    event_scale=0.3,
    event_drift_scale=0.3,
    moderator_scale=0.5,
    unit_scale=0.5,
    period_scale=0.3,
    season_scale=0.25,
    dispersion_scale=0.3,
)


def ranks():
    """Return the rank (N_WORLDS,) of the truth among N_RANKS - 1 thinned draws, by parameter."""
    panel, _ = world(5, 16, n_treated=3, rate=8, seed=11)
    events = event_cells(panel, window=(-2, 4))
    template = event_design(panel, events, MODEL)
    counts, theta, h = prior_predictive(template, n=N_WORLDS, seed=12)
    found: dict[str, list[int]] = {}
    for i in range(N_WORLDS):
        fit = count_fit(replace(template, counts=counts[i]), draws=190, tune=200, seed=i)
        posterior = terms(template, events, fit.theta, fit.h, fit.scales)
        truth = terms(template, events, theta[i], h[i], fit.scales)
        for name, value in truth.items():
            thinned = posterior[name].reshape(-1)[:: 380 // (N_RANKS - 1)]
            found.setdefault(name, []).append(int((thinned < value).sum()))
    return {name: np.array(values) for name, values in found.items()}


def terms(design, events, theta, h, scales):
    log_sd = np.apply_along_axis(scales.log_sd, -1, h)
    draws = event_draws(design, events, theta, log_sd, 0)
    last = draws.path[..., -1]
    return {"att": draws.events.mean(axis=-1), "first event": draws.events[..., 0], "end of path": last} | {
        name: h[..., i] for i, name in enumerate(scales.names)
    }


def test_ranks_are_uniform():
    found = ranks()
    lines = [f"ranks of the truth among {N_RANKS - 1} draws, {N_WORLDS} worlds, five bins", ""]
    p_values = {}
    for name, values in found.items():
        bins = np.bincount(values * 5 // N_RANKS, minlength=5)
        p_values[name] = float(stats.chisquare(bins).pvalue)
        lines.append(
            f"{name:14s} {' '.join(f'{b:4d}' for b in bins)}   mean rank {values.mean():5.1f}   p = {p_values[name]:.3f}"
        )
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert min(p_values.values()) > LEVEL
