"""Randomisation tests: worked by hand, exact in size, and the same bits in any number of workers."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crimepolicy.errors import DesignError, InferenceError
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.mechanisms import MoveClusters, RedrawDates, RedrawPlaces
from crimepolicy.inference.randomization import randomization_test
from crimepolicy.inference.randomization_interval import randomization_interval
from crimepolicy.panel import Panel

Panels = dict[str, Callable[..., Panel]]
Estimators = dict[str, Callable[[Panel], Estimate]]

# One number, summed in two orders.
ROUNDING = 1e-12


def means(panel: Panel) -> Estimate:
    """Difference of means of treated and untreated units in the last period, with its unpooled standard error."""
    y, d = panel.Y[:, -1], panel.D[:, -1]
    error = np.sqrt(y[d].var(ddof=1) / d.sum() + y[~d].var(ddof=1) / (~d).sum()) if d.sum() > 1 else np.nan
    return Estimate(
        estimand="difference",
        value=float(y[d].mean() - y[~d].mean()),
        std_error=float(error),
        method="means",
        citation="",
        panel=panel,
        fit=means,
    )


def cross_section(y: list[float], treated: int) -> Panel:
    n = len(y)
    D = np.zeros((n, 2), dtype=bool)
    D[:treated, 1] = True
    return Panel(Y=np.column_stack([np.zeros(n), y]), D=D, units=pd.RangeIndex(n), periods=pd.RangeIndex(2))


def test_worked_by_hand() -> None:
    """Treated 9, 8; others 1, 2, 3: of the ten pairs only the observed one and none other reaches |6.5|."""
    result = randomization_test(means(cross_section([9, 8, 1, 2, 3], 2)), RedrawPlaces(), statistic="value")
    assert result.p_value() == pytest.approx(1 / 10, rel=ROUNDING)
    assert len(result.null) == 10
    assert "all 10 assignments" in result.correction


def test_exact_p_is_that_of_every_subset_by_brute_force() -> None:
    y = np.random.default_rng(4).normal(size=9).round(1).tolist()
    result = randomization_test(means(cross_section(y, 4)), RedrawPlaces(), statistic="studentised")
    values = np.array(y)

    def t(rows: tuple[int, ...]) -> float:
        d = np.isin(np.arange(9), rows)
        return stats.ttest_ind(values[d], values[~d], equal_var=False).statistic

    all_t = np.array([t(rows) for rows in combinations(range(9), 4)])
    assert result.p_value() == pytest.approx((np.abs(all_t) >= abs(t((0, 1, 2, 3))) - 1e-9).mean(), rel=ROUNDING)
    sides = {
        side: randomization_test(means(cross_section(y, 4)), RedrawPlaces(), sides=side).p_value()
        for side in ("greater", "less")
    }
    assert sides["greater"] == pytest.approx((all_t >= t((0, 1, 2, 3)) - 1e-9).mean(), rel=ROUNDING)
    assert sides["less"] == pytest.approx((all_t <= t((0, 1, 2, 3)) + 1e-9).mean(), rel=ROUNDING)


def test_same_bits_in_one_worker_and_two(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["event_difference"](panels["normal"](20, 6, treated=8, at=3, seed=1))
    one, two = (randomization_test(effect, RedrawPlaces(), draws=60, seed=3, n_jobs=n) for n in (1, 2))
    pd.testing.assert_frame_equal(one.null, two.null, check_exact=True)
    assert one.null_p == two.null_p
    other = randomization_test(effect, RedrawPlaces(), draws=60, seed=4)
    assert not other.null.equals(one.null)


def test_every_term_gets_its_own_p(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](40, 8, treated=20, at=4, seed=1)
    late = panel.with_outcome(panel.Y + 3.0 * (panel.D & (np.arange(8) >= 6)))
    result = randomization_test(
        estimators["event_difference"](late), RedrawPlaces(), draws=199, windows={"early": (0, 1), "late": (2, 3)}
    )
    assert list(result.null.columns)[:3] == [HEADLINE, "early", "late"]
    assert result.null_p["late"] == pytest.approx(1 / 200)
    assert result.null_p["event_time[3]"] == pytest.approx(1 / 200)
    assert result.null_p["early"] > 0.02
    assert result.null["late"].to_numpy() == pytest.approx(
        result.null[["event_time[2]", "event_time[3]"]].mean(axis=1).to_numpy(), rel=1e-9, abs=1e-12
    )


def test_window_errors_are_those_of_the_average(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["event_difference"](panels["normal"](30, 8, treated=10, at=4, seed=1))
    result = randomization_test(effect, RedrawPlaces(), draws=19, windows={"post": (0, 3)})
    # The headline is the same average, so its studentised p-value must be the same.
    assert result.null_p["post"] == result.null_p[HEADLINE]


def test_imposing_the_true_effect_restores_the_null(panels: Panels, estimators: Estimators) -> None:
    null = panels["normal"](30, 8, treated=12, at=4, seed=3)
    affected = null.with_outcome(null.Y + 2.5 * null.D)
    plain = randomization_test(estimators["two_way"](null), RedrawPlaces(), draws=199)
    imposed = randomization_test(estimators["two_way"](affected), RedrawPlaces(), draws=199, effect=2.5)
    assert imposed.null_p == plain.null_p
    assert randomization_test(estimators["two_way"](affected), RedrawPlaces(), draws=199).p_value() == pytest.approx(
        1 / 200
    )


def test_log_effects_are_imposed_as_factors(panels: Panels, estimators: Estimators) -> None:
    null = panels["counts"](seed=5)
    doubled = null.with_outcome(np.where(null.D, 2 * null.Y, null.Y))
    plain = randomization_test(estimators["log_ratio"](null), RedrawPlaces(), draws=99)
    imposed = randomization_test(estimators["log_ratio"](doubled), RedrawPlaces(), draws=99, effect=np.log(2))
    as_ratio = (
        estimators["log_ratio"](doubled).as_ratio().replace(fit=lambda panel: estimators["log_ratio"](panel).as_ratio())
    )
    assert imposed.null_p == plain.null_p
    assert randomization_test(as_ratio, RedrawPlaces(), draws=99, effect=2.0).null_p == plain.null_p


def test_interval_ends_are_where_the_test_turns(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["two_way"](panels["normal"](20, 6, treated=8, at=3, seed=6, effect=1.0))
    interval = randomization_interval(effect, RedrawPlaces(), draws=99, level=0.9, tolerance=0.05)
    low, high = interval.loc[HEADLINE, ["conf_low", "conf_high"]]
    assert low < effect.value < high
    width = high - low
    for end, inward in ((low, 0.05 * width), (high, -0.05 * width)):
        assert randomization_test(effect, RedrawPlaces(), draws=99, effect=end).p_value() <= 0.1
        assert randomization_test(effect, RedrawPlaces(), draws=99, effect=end + inward).p_value() > 0.1


def test_interval_is_open_where_nothing_can_be_rejected() -> None:
    interval = randomization_interval(means(cross_section([9, 8, 1, 2, 3], 2)), RedrawPlaces(), statistic="value")
    assert np.isneginf(interval.conf_low[HEADLINE])
    assert np.isposinf(interval.conf_high[HEADLINE])


def test_the_correction_stays_in_the_statistic(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](20, 6, treated=8, at=3, seed=6)
    pairs = cluster(estimators["two_way"](panel), np.arange(20) // 2)
    assert pairs.refit(panel).std_error == pytest.approx(pairs.std_error, rel=ROUNDING)
    plain = randomization_test(estimators["two_way"](panel), RedrawPlaces(), draws=199)
    assert randomization_test(pairs, RedrawPlaces(), draws=199).p_value() != plain.p_value()


def test_spread_over_assignments_stands_beside_the_standard_error(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["two_way"](panels["normal"](20, 6, treated=8, at=3, seed=6))
    result = randomization_test(effect, RedrawPlaces(), draws=49)
    spread = next(check for check in result.checks if check.name == "randomisation_sd")
    assert spread.value == pytest.approx(result.null[HEADLINE].std())
    assert f"{effect.std_error:.4g}" in spread.text
    assert result.std_error == effect.std_error


@dataclass(frozen=True)
class Fixed:
    """Moves treatment to two units that it never was at."""

    def draw(self, panel: Panel, rng: np.random.Generator) -> Panel:
        return panel.with_treatment(np.roll(panel.D, 5, axis=0))

    def count(self, panel: Panel) -> int:
        return 1

    def enumerate(self, panel: Panel) -> Any:
        yield self.draw(panel, np.random.default_rng(0))


def test_what_cannot_be_tested_says_so(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](20, 6, treated=8, at=3, seed=6)
    effect = estimators["two_way"](panel)
    with pytest.raises(InferenceError, match="cannot have produced the observed assignment"):
        randomization_test(effect, Fixed())
    with pytest.raises(InferenceError, match="statistic='value'"):
        randomization_test(means(cross_section([9, 1, 2, 3], 1)), RedrawPlaces())
    with pytest.raises(InferenceError, match="cannot list"):
        randomization_test(effect, MoveClusters(), exact=True)
    with pytest.raises(InferenceError, match="No such term: nothing"):
        randomization_test(effect, RedrawPlaces(), terms=["nothing"])
    with pytest.raises(InferenceError, match="averages a path"):
        randomization_test(effect, RedrawPlaces(), windows={"late": (0, 3)})
    with pytest.raises(InferenceError, match="Fitting two-way test again"):
        randomization_test(effect.replace(value=99.0), RedrawPlaces())
    with pytest.raises(DesignError, match="'studentised', 'value'"):
        randomization_test(effect, RedrawPlaces(), statistic="t")  # type: ignore[arg-type]


def test_assignments_that_fail_are_counted(panels: Panels, estimators: Estimators) -> None:
    def picky(panel: Panel) -> Estimate:
        if panel.D[0].any():
            raise DesignError("unit zero may not be treated")
        return estimators["two_way"](panel).replace(fit=picky)

    panel = panels["normal"](8, 6, treated=3, at=3, seed=6)
    moved = panel.with_treatment(panel.D[::-1])
    result = randomization_test(picky(moved), RedrawPlaces())
    failed = next(check for check in result.checks if check.name == "failed_assignments")
    assert failed.value == 21
    assert "unit zero" in failed.text
    assert result.null[HEADLINE].notna().sum() == 35


@pytest.mark.slow
def test_size_is_exact_for_overdispersed_counts(panels: Panels, estimators: Estimators) -> None:
    """Negative binomial counts in places of very different size; two of fourteen treated: places and dates redrawn."""
    draws, rejected = 300, {"places": 0, "dates": 0, "clustered": 0}
    for seed in range(draws):
        panel = panels["counts"](14, 16, treated=2, at=8, seed=seed, size=1.0, mean=200.0)
        effect = estimators["log_ratio"](panel)
        rejected["places"] += randomization_test(effect, RedrawPlaces(), draws=99, seed=seed).p_value() <= 0.1
        rng = np.random.default_rng(seed)
        together = dict.fromkeys(panel.units, 0)
        random_date = panel.untreated().treat(panel.units[panel.D.any(axis=1)], at=int(rng.integers(3, 13)))
        dated = estimators["log_ratio"](random_date)
        rejected["dates"] += (
            randomization_test(dated, RedrawDates(together=together, first=3, last=12), statistic="value").p_value()
            <= 0.1
        )
        rejected["clustered"] += cluster(effect).p_value() < 0.1
    print({name: count / draws for name, count in rejected.items()})
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.1)
    assert low <= rejected["places"] <= high
    assert low <= rejected["dates"] <= high
    assert rejected["clustered"] > high


def test_a_ratio_under_the_null_is_taken_out_as_a_ratio(panels: Panels, estimators: Estimators) -> None:
    log = estimators["log_ratio"](panels["counts"](seed=1, mean=50.0))
    options = {"draws": 19, "statistic": "value", "terms": [HEADLINE]}
    for ratio in (1.0, 2.0):
        by_ratio = randomization_test(log.as_ratio(), RedrawDates(), effect=ratio, **options)
        by_log = randomization_test(log, RedrawDates(), effect=float(np.log(ratio)), **options)
        assert by_ratio.p_value() == by_log.p_value()
        assert np.log(by_ratio.null[HEADLINE]).to_numpy() == pytest.approx(by_log.null[HEADLINE].to_numpy())


def test_the_smallest_p_counts_the_observed_assignment(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["log_ratio"](panels["counts"](seed=1, mean=50.0))
    for draws, passed in ((18, False), (19, True)):
        test = randomization_test(effect, RedrawDates(), draws=draws, statistic="value", exact=False)
        smallest = next(check for check in test.checks if check.name == "smallest_p")
        assert (smallest.value, smallest.passed) == (pytest.approx(1 / (1 + draws)), passed)
