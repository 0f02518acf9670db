"""A known effect in panels where most cells of the treated unit, or of every unit, have no event."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crimepolicy.bayes.synthetic_control import bayesian_synthetic_control
from crimepolicy.panel import Panel

pytestmark = [pytest.mark.bayes, pytest.mark.slow]

TABLES = Path(__file__).parents[1] / "coverage"
PANELS, BEFORE, AFTER, DONORS = 12, 36, 24, 5
EFFECT = np.log(3.0)
# At a mean of 0.21 events, 81% of the cells are zero.
RARE, COMMON = 0.21, 10.0


def sparse(donor_rate, seed):
    """Return a panel whose treated unit has the average rate of its first two donors, at `RARE` events a month."""
    rng = np.random.default_rng(seed)
    path = np.exp(np.cumsum(rng.normal(0, 0.05, (DONORS, BEFORE + AFTER)), axis=1))
    treated = np.arange(BEFORE + AFTER) >= BEFORE
    mean = np.vstack([RARE * path[:2].mean(axis=0) * np.exp(EFFECT * treated), donor_rate * path])
    frame = pd.DataFrame({"unit": np.repeat(np.arange(DONORS + 1), BEFORE + AFTER)})
    frame["month"] = np.tile(np.arange(BEFORE + AFTER), DONORS + 1)
    frame["deaths"], frame["treated"] = rng.poisson(mean).ravel(), ((frame.unit == 0) & (frame.month >= BEFORE)) * 1
    # The same rate per inhabitant everywhere: the donors are larger.
    frame["population"] = np.where(frame.unit == 0, 1e4, 1e4 * donor_rate / RARE)
    return Panel.from_frame(
        frame, unit="unit", time="month", outcome="deaths", treated="treated", population="population"
    )


@pytest.mark.parametrize(("name", "rate"), [("large donors", COMMON), ("donors as sparse", RARE)])
def test_known_effect_is_recovered(name, rate):
    found = []
    for seed in range(PANELS):
        panel = sparse(rate, seed)
        ours = bayesian_synthetic_control(panel, draws=200, tune=200, seed=seed)
        low, high = np.quantile(ours.draws["att"], [0.05, 0.95])
        zeros = (panel.Y[0, :BEFORE] == 0).mean()
        failed = any(check.passed is False for check in ours.checks if check.name in ("divergences", "bfmi"))
        found.append((ours.value, ours.std_error, low <= EFFECT <= high, zeros, failed))
    value, error, covered, zeros, failed = np.array(found, dtype=float).T
    text = (
        f"{PANELS} panels, {name}: {zeros.mean():.0%} of the treated unit's cells before treatment without an event, log effect {EFFECT:.3f}\n"
        f"mean estimate {value.mean():.3f} (Monte Carlo error {value.std() / np.sqrt(PANELS):.3f}), root mean square error "
        f"{np.sqrt(((value - EFFECT) ** 2).mean()):.3f}, mean posterior sd {error.mean():.3f},\n"
        f"90% intervals that cover: {covered.mean():.0%}, fits with divergences: {failed.mean():.0%}\n"
    )
    print(text)
    (TABLES / f"sparse_counts_{name.replace(' ', '_')}.txt").write_text(text, encoding="utf-8")
    # Four Monte Carlo errors; and coverage that a right interval falls below once in a thousand times.
    assert abs(value.mean() - EFFECT) < 4 * value.std() / np.sqrt(PANELS)
    assert covered.sum() >= 7
