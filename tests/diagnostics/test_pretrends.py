"""The pre-trend test: the statistic by hand, and its power by simulation."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crimepolicy.diagnostics.pretrends import joint_test, pretrend_test
from crimepolicy.did.group_time import group_time_effects
from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.errors import InferenceError
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

# 20,000 draws: three standard errors of a share near one half.
MONTE_CARLO = 0.011


@pytest.fixture
def panel() -> Panel:
    rng = np.random.default_rng(0)
    D = np.arange(9) >= np.resize([4.0, 6.0, np.inf], 90)[:, None]
    return Panel(Y=rng.normal(size=(90, 9)) + D, D=D, units=pd.Index(range(90)), periods=pd.Index(range(9)))


def test_statistic_by_hand(panel: Panel) -> None:
    effect = two_way_fixed_effects(panel, event_study=(-4, 3))
    terms = ["event_time[-4]", "event_time[-3]", "event_time[-2]"]
    values, covariance = effect.estimates[terms].to_numpy(), effect.covariance(terms).to_numpy()
    found = pretrend_test(effect)
    wanted = values @ np.linalg.inv(covariance) @ values
    assert found.statistic == pytest.approx(wanted)
    assert found.p_value == pytest.approx(stats.chi2.sf(wanted, 3))
    assert found.df == 3
    assert found.check.passed == (found.p_value > 0.05)


@pytest.mark.parametrize("rule", ["joint", "any"])
@pytest.mark.parametrize("base", ["universal", "varying"])
def test_power_by_simulation(panel: Panel, rule: Any, base: Any) -> None:
    effect = group_time_effects(panel, base=base).aggregate("event")
    found = pretrend_test(effect, rule=rule, power=(0.5, 0.8))
    times = [e for e in effect.path.index if e < (0 if base == "varying" else -1)]  # type: ignore[union-attr]
    covariance = effect.covariance([f"event_time[{e}]" for e in times]).to_numpy()
    shape = np.ones(len(times)) if base == "varying" else np.array(times) + 1.0
    noise = np.random.default_rng(1).multivariate_normal(np.zeros(len(times)), covariance, size=20_000)
    for power, row in found.slopes.iterrows():
        draws = noise + row["slope"] * shape
        if rule == "joint":
            rejected = np.einsum("ni,ij,nj->n", draws, np.linalg.inv(covariance), draws) > stats.chi2.ppf(
                0.95, len(times)
            )
        else:
            rejected = (np.abs(draws) / np.sqrt(np.diag(covariance)) > stats.norm.ppf(0.975)).any(axis=1)
        assert rejected.mean() == pytest.approx(power, abs=2 * MONTE_CARLO)


def test_bias_is_what_the_trend_adds(panel: Panel) -> None:
    effect = group_time_effects(panel, base="universal").aggregate("event")
    row = pretrend_test(effect).slopes.loc[0.8]
    trend = row["slope"] * np.arange(9) * np.isfinite(panel.G)[:, None]
    moved = group_time_effects(panel.with_outcome(panel.Y + trend), base="universal").aggregate("event")
    assert moved.value - effect.value == pytest.approx(row["bias"])
    assert row["bias_share"] == pytest.approx(row["bias"] / abs(effect.value))


def test_cells_are_averaged_first(panel: Panel) -> None:
    cells = group_time_effects(panel)
    assert pretrend_test(cells).statistic == pytest.approx(pretrend_test(cells.aggregate("event")).statistic)
    assert "It finds a difference in trends" in str(pretrend_test(cells))


def test_what_cannot_be_tested(panel: Panel) -> None:
    with pytest.raises(InferenceError, match="no effect before treatment"):
        pretrend_test(group_time_effects(panel).aggregate("event", window=(0, 3)))
    with pytest.raises(InferenceError, match="between the size"):
        pretrend_test(group_time_effects(panel), power=(0.01,))
    few = pd.DataFrame({"att": [1.0, -1.0], "event_time[-3]": [1.0, 2.0], "event_time[-2]": [2.0, 4.0]}, index=[0, 1])
    path = pd.DataFrame({"estimate": [1.0, 2.0]}, index=pd.Index([-3, -2], name="event_time"))
    effect = Estimate.from_psi(value=1, psi=few, path=path, panel=panel, estimand="", method="", citation="")
    with pytest.raises(InferenceError, match="singular"):
        joint_test(effect, ["event_time[-3]", "event_time[-2]"])
