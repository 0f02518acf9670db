"""Placebo tests in space and time: ranks by hand, invariances, exactness."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crimepolicy.errors import DesignError, InferenceError
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.inference.placebo import placebo_test
from crimepolicy.inference.placebo_statistics import extremeness
from crimepolicy.inference.prefit_curve import prefit_curve
from crimepolicy.panel import Panel
from crimepolicy.synth.synthetic_control import synthetic_control

Panels = dict[str, Callable[..., Panel]]
Estimators = dict[str, Callable[[Panel], Estimate]]

# The same sums in another order.
ROUNDING = 1e-9


def ratio_by_hand(estimate: Estimate) -> float:
    path = estimate.path["estimate"]
    return np.sqrt((path[path.index >= 0] ** 2).mean() / (path[path.index < 0] ** 2).mean())


@pytest.mark.parametrize("treated", ["donor", "drop"])
def test_rank_by_hand(treated: Any, panels: Panels) -> None:
    panel = panels["normal"](9, 12, treated=1, at=8, seed=4)
    effect = synthetic_control(panel)
    result = placebo_test(effect, treated=treated)
    ratios = [ratio_by_hand(effect)]
    pool = panel if treated == "donor" else panel.drop(["u000"])
    for unit in panel.units[1:]:
        fit = synthetic_control(pool.untreated().treat([unit], at=8))
        ratios.append(ratio_by_hand(fit))
        assert result.null.loc[(unit, "8"), HEADLINE] == pytest.approx(fit.value, rel=ROUNDING)
    assert result.p_value() == pytest.approx(np.mean(np.array(ratios) >= ratios[0]), rel=ROUNDING)
    assert len(result.null) == 8
    assert next(c for c in result.checks if c.name == "smallest_p").value == pytest.approx(1 / 9)


def test_curve_of_california(reference_data: Callable[[str], Path]) -> None:
    """Without the badly fitted states, the gap of California is the largest of all (published figure 7)."""
    rows = pd.read_csv(reference_data("california_prop99"))
    panel = Panel.from_frame(rows, unit="State", time="Year", outcome="PacksPerCapita", treated="treated")
    curve = prefit_curve(placebo_test(synthetic_control(panel)), statistic="gap", sides="less", limits=(2, 5, np.inf))
    assert curve.placebos[np.inf] == 38
    assert curve.p_value[2] == pytest.approx(curve.smallest_p[2])
    assert curve.placebos.is_monotonic_increasing


def test_two_sided_ratio_joins_the_sides() -> None:
    gaps = np.array([[1.0, -1.0, 3.0, -4.0], [1.0, 1.0, 2.0, 0.0], [2.0, 2.0, 0.0, -8.0]])
    events = np.array([-2, -1, 0, 1])
    two, up, down = (
        extremeness("rmspe_ratio", side, gaps[:, 2], np.ones(3), events, gaps) for side in ("two", "greater", "less")
    )
    assert two == pytest.approx(np.array([5.0, 2.0, 4.0]) / np.sqrt(2))
    assert two**2 == pytest.approx(up**2 + down**2)
    assert up[2] == 0


def test_sides_of_the_gap(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](20, 10, treated=1, at=6, seed=1, effect=6.0)
    effect = estimators["event_difference"](panel)
    p = {side: placebo_test(effect, statistic="gap", sides=side).p_value() for side in ("two", "greater", "less")}
    assert p["greater"] == p["two"] == pytest.approx(1 / 20)
    assert p["less"] == 1.0


def test_units_of_measurement_do_not_matter(panels: Panels) -> None:
    panel = panels["normal"](9, 12, treated=1, at=8, seed=5)
    plain = placebo_test(synthetic_control(panel))
    scaled = placebo_test(synthetic_control(panel.with_outcome(1000 * panel.Y)))
    assert plain.null_p == scaled.null_p
    assert scaled.null.to_numpy() == pytest.approx(1000 * plain.null.to_numpy(), rel=1e-6, abs=1e-6)


def test_placebos_in_time_see_no_treated_cell(panels: Panels) -> None:
    panel = panels["normal"](9, 14, treated=1, at=10, seed=6)
    poisoned = panel.with_outcome(panel.Y + 1e6 * panel.D)
    clean, other = (placebo_test(synthetic_control(p), "time", min_before=6) for p in (panel, poisoned))
    assert list(clean.null.index) == [("u000", str(date)) for date in (9, 8, 7, 6)]
    pd.testing.assert_frame_equal(clean.null, other.null)
    assert other.p_value() == pytest.approx(1 / 5)
    early = synthetic_control(panel.window(end=9).untreated().treat(["u000"], at=7))
    assert clean.null.loc[("u000", "7"), HEADLINE] == pytest.approx(early.value, rel=ROUNDING)


def test_staggered_places_lose_their_own_treated_cells(panels: Panels, estimators: Estimators) -> None:
    seen: list[Panel] = []

    def spy(panel: Panel) -> Estimate:
        seen.append(panel)
        return estimators["two_way"](panel.with_outcome(np.nan_to_num(panel.Y))).replace(fit=spy)

    base = panels["normal"](8, 12, treated=0, seed=1)
    panel = base.treat(["u000"], at=8).treat(["u001"], at=10)
    placebo_test(spy(panel), "time", statistic="gap", dates=[6])
    last = seen[-1]
    assert np.isnan(last.Y[0, 8:]).all()
    assert np.isnan(last.Y[1, 10:]).all()
    assert not np.isnan(last.Y[:, :8]).any()
    assert last.first_treated[:2].tolist() == [6, 8]


def test_both_is_every_combination(panels: Panels) -> None:
    panel = panels["normal"](6, 12, treated=1, at=9, seed=6)
    result = placebo_test(synthetic_control(panel), "both", dates=[7, 8])
    assert len(result.null) == 6 * 3 - 1
    assert ("u000", "9") not in result.null.index


def test_several_places_are_drawn_in_sets(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](12, 8, treated=3, at=5, seed=2)
    effect = estimators["event_difference"](panel)
    one, two = (placebo_test(effect, statistic="studentised", draws=40, seed=1) for _ in range(2))
    pd.testing.assert_frame_equal(one.null, two.null)
    assert len(one.null) == 40
    assert all(len(place.split(" + ")) == 3 and "u000" not in place for place, _ in one.null.index)


def test_few_sets_are_listed_once_each(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["event_difference"](panels["normal"](7, 8, treated=2, at=5, seed=2))
    null = placebo_test(effect, statistic="gap").null
    # Ten pairs of five places; with two dates, who receives which matters.
    assert len(null) == len(set(null.index)) == 10
    D = effect.panel.D.copy()
    D[0, 5] = False
    staggered = estimators["event_difference"](effect.panel.with_treatment(D))
    assert len(placebo_test(staggered, statistic="gap").null) == 20


def test_curve_by_hand() -> None:
    path = pd.DataFrame({"estimate": [1.0, -1.0, 4.0]}, index=pd.Index([-2, -1, 0], name="event_time"))
    null = pd.DataFrame(
        [[3.0, 1.0, 1.0, 3.0], [5.0, 3.0, 3.0, 5.0], [9.0, 0.1, 0.1, 9.0], [-6.0, 2.0, 2.0, -6.0], [np.nan] * 4],
        columns=[HEADLINE, "event_time[-2]", "event_time[-1]", "event_time[0]"],
    )
    effect = Estimate(estimand="", value=4.0, std_error=np.nan, method="", citation="", path=path, null=null)
    curve = prefit_curve(effect, limits=(1, 4, 10))
    assert curve.placebos.tolist() == [2, 3, 4]
    assert curve.p_value.tolist() == pytest.approx([2 / 3, 3 / 4, 4 / 5])
    assert prefit_curve(effect, limits=(10,), sides="greater").p_value.tolist() == pytest.approx([3 / 5])


def test_what_cannot_be_done_says_so(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](8, 6, treated=1, at=4, seed=2)
    with pytest.raises(InferenceError, match="no path by event time"):
        placebo_test(estimators["two_way"](panel))
    with pytest.raises(InferenceError, match="Placebo dates need 4 periods"):
        placebo_test(estimators["event_difference"](panel), "time", min_before=4)
    with pytest.raises(InferenceError, match="not so for 1, 5"):
        placebo_test(estimators["event_difference"](panel), "time", dates=[1, 3, 5])
    with pytest.raises(InferenceError, match="2 untreated units cannot stand in for 6"):
        placebo_test(estimators["event_difference"](panels["normal"](8, 6, treated=6, at=4)))
    with pytest.raises(InferenceError, match="no standard error to studentise"):
        placebo_test(synthetic_control(panel), statistic="studentised")
    with pytest.raises(InferenceError, match="Call placebo_test first"):
        prefit_curve(estimators["event_difference"](panel))
    with pytest.raises(DesignError, match="'space', 'time', 'both'"):
        placebo_test(synthetic_control(panel), "place")  # type: ignore[arg-type]


def test_failures_are_counted(panels: Panels, estimators: Estimators) -> None:
    def picky(panel: Panel) -> Estimate:
        if panel.D[3].any():
            raise DesignError("unit three may not be treated")
        return estimators["event_difference"](panel).replace(fit=picky)

    result = placebo_test(picky(panels["normal"](8, 6, treated=1, at=4, seed=2)))
    failed = next(c for c in result.checks if c.name == "failed_placebos")
    assert (failed.value, failed.passed) == (1, False)
    assert result.p_value() * 7 == pytest.approx(round(result.p_value() * 7))


@pytest.mark.slow
def test_size_is_exact_when_the_treated_unit_is_drawn(panels: Panels) -> None:
    """Random walks that share factors; the treated of twenty units drawn at random; the ratio test rejects at its level."""
    draws, rejected = 200, 0
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        factors = rng.standard_normal((2, 24)).cumsum(axis=1)
        Y = rng.uniform(0, 1, (20, 2)) @ factors + rng.standard_normal((20, 24))
        D = np.zeros((20, 24), dtype=bool)
        D[rng.integers(20), 18:] = True
        panel = Panel(Y=Y, D=D, units=pd.Index([f"u{i}" for i in range(20)]), periods=pd.RangeIndex(24))
        rejected += placebo_test(synthetic_control(panel)).p_value() <= 0.1
    print({"rmspe_ratio at 0.10": rejected / draws})
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.1)
    assert low <= rejected <= high
