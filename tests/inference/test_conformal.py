"""Conformal inference and the cross-fitted t-test: twins by hand, size and coverage."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.errors import InferenceError
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.inference.conformal import conformal_interval, conformal_test
from crimepolicy.inference.cross_fit_t import cross_fit_t_test
from crimepolicy.inference.take_periods import take_periods
from crimepolicy.panel import Panel
from crimepolicy.synth.synthetic_control import synthetic_control
from crimepolicy.synth.weights import simplex_weights

Panels = dict[str, Callable[..., Panel]]
Estimators = dict[str, Callable[[Panel], Estimate]]

# The same weights and sums in another order.
ROUNDING = 1e-9


def average_gap(panel: Panel) -> Estimate:
    """Treated less the mean of the others, less its own mean over all periods: the difference in differences under the null."""
    treated = panel.D.any(axis=1)
    gap = panel.Y[treated].mean(axis=0) - panel.Y[~treated].mean(axis=0)
    start = int(panel.first_treated[treated].min())
    events = np.arange(panel.n_periods) - start
    gap -= gap[:start].mean()
    path = pd.DataFrame({"estimate": gap, "std_error": np.nan}, index=pd.Index(events, name="event_time"))
    value = float(gap[start:].mean())
    return Estimate(
        estimand="gap",
        value=value,
        std_error=np.nan,
        method="gap",
        citation="",
        path=path,
        panel=panel,
        fit=average_gap,
    )


def series(
    n: int = 10,
    t: int = 30,
    at: int = 24,
    *,
    seed: int = 0,
    effect: float = 0.0,
    rho: float = 0.0,
    trending: bool = True,
) -> Panel:
    """Two factors, loadings of the treated unit inside those of the donors, and autoregressive noise."""
    rng = np.random.default_rng(seed)
    loading = rng.dirichlet(np.ones(2), n)
    noise = rng.standard_normal((n, t))
    for k in range(1, t):
        noise[:, k] = rho * noise[:, k - 1] + np.sqrt(1 - rho**2) * noise[:, k]
    D = np.zeros((n, t), dtype=bool)
    D[0, at:] = True
    factors = rng.standard_normal((2, t))
    factors = 2 * factors.cumsum(axis=1) if trending else factors
    Y = loading @ factors + noise + effect * D
    return Panel(
        Y=Y, D=D, units=pd.Index([f"u{i}" for i in range(n)]), periods=pd.period_range("2001-01", periods=t, freq="M")
    )


def p_by_hand(panel: Panel, start: int, effect: float) -> float:
    """Simplex weights on all periods of the adjusted series, absolute residuals, every cyclic shift."""
    y = panel.Y[0] - effect * panel.D[0]
    weights = simplex_weights(panel.Y[1:].T, y).weights
    size = np.abs(y - weights @ panel.Y[1:])
    after = len(size) - start
    sums = [sum(size[(start + j + shift) % len(size)] for j in range(after)) for shift in range(len(size))]
    return float(np.mean(np.array(sums) >= sums[0] - 1e-9))


def test_joint_p_by_hand() -> None:
    panel = series(seed=1, effect=1.0)
    for null in (0.0, 1.0, 2.5):
        found = conformal_test(synthetic_control(panel), null=null).null_p[HEADLINE]
        assert found == pytest.approx(p_by_hand(panel, 24, null), rel=ROUNDING)


def test_the_smallest_p_is_one_over_the_periods() -> None:
    for t, passed in ((12, False), (30, True)):
        test = conformal_test(average_gap(series(t=t, at=t - 2)))
        smallest = next(check for check in test.checks if check.name == "smallest_p")
        assert (smallest.value, smallest.passed) == (pytest.approx(1 / t), passed)


def test_single_periods_by_hand() -> None:
    panel = series(seed=2, effect=1.5)
    p = conformal_test(synthetic_control(panel)).null_p
    for k in range(6):
        columns = [*range(24), 24 + k]
        single = Panel(Y=panel.Y[:, columns], D=panel.D[:, columns], units=panel.units, periods=panel.periods[:25])
        assert p[f"event_time[{k}]"] == pytest.approx(p_by_hand(single, 24, 0.0), rel=ROUNDING)


def test_random_permutations_agree_with_all_of_them() -> None:
    """With one period after treatment every residual is equally likely to come last."""
    panel = series(t=20, at=19, seed=3, effect=2.0)
    found = conformal_test(synthetic_control(panel), permutations="iid", draws=20_000).p_value()
    block = conformal_test(synthetic_control(panel)).p_value()
    assert found == pytest.approx(block, abs=4 * np.sqrt(block * (1 - block) / 20_000))


def test_interval_holds_everything_that_is_not_rejected() -> None:
    panel = series(t=20, at=18, seed=4, effect=3.0)
    effect = synthetic_control(panel)
    interval = conformal_interval(effect, level=0.8)
    assert list(interval.index) == [HEADLINE, "event_time[0]", "event_time[1]"]
    low, high = interval.loc[HEADLINE, ["conf_low", "conf_high"]]
    width = high - low
    for outside in (low, high, *(low - width * np.array([0.1, 0.4, 1.0])), *(high + width * np.array([0.1, 0.4, 1.0]))):
        assert conformal_test(effect, null=outside).null_p[HEADLINE] <= 0.2
    for inside in (low + 0.01 * width, high - 0.01 * width):
        assert conformal_test(effect, null=inside).null_p[HEADLINE] > 0.2


def test_interval_is_open_where_permutations_are_too_few() -> None:
    interval = conformal_interval(average_gap(series(t=12, at=10)), level=0.95)
    assert np.isinf(interval.loc["event_time[0]", ["conf_low", "conf_high"]].astype(float)).all()


def test_adding_the_effect_moves_the_interval() -> None:
    plain, moved = (
        conformal_interval(synthetic_control(series(t=14, at=13, seed=6, effect=e)), level=0.8) for e in (0.0, 5.0)
    )
    assert moved.to_numpy() - plain.to_numpy() == pytest.approx(np.full(moved.shape, 5.0), abs=0.02)


def test_cross_fit_by_hand() -> None:
    panel = series(t=29, at=20, seed=7, effect=2.0)
    result = cross_fit_t_test(synthetic_control(panel), folds=3)
    effects = []
    for held in (np.arange(2, 8), np.arange(8, 14), np.arange(14, 20)):
        fit = np.setdiff1d(np.arange(20), held)
        gap = panel.Y[0] - simplex_weights(panel.Y[1:, fit].T, panel.Y[0, fit]).weights @ panel.Y[1:]
        effects.append(gap[20:].mean() - gap[held].mean())
    assert result.value == pytest.approx(np.mean(effects), rel=ROUNDING)
    assert result.std_error == pytest.approx(np.sqrt(1 + 18 / 9) * np.std(effects, ddof=1) / np.sqrt(3), rel=ROUNDING)
    assert result.df == 2
    half = (result.interval()[1] - result.interval()[0]) / 2
    assert half == pytest.approx(stats.t(2).ppf(0.975) * result.std_error, rel=ROUNDING)


def test_periods_keep_their_data_and_get_regular_labels() -> None:
    panel = series(t=8, at=6, seed=1)
    moved = take_periods(panel, [0, 3, 4, 1, 2, 7], 3)
    assert np.array_equal(moved.Y, panel.Y[:, [0, 3, 4, 1, 2, 7]])
    assert moved.first_treated[0] == 3
    assert list(moved.periods) == list(panel.periods[:6])
    assert len(take_periods(panel, [*range(8), 7], 8).periods) == 9


def test_what_cannot_be_done_says_so(panels: Panels, estimators: Estimators) -> None:
    staggered = series(seed=1).treat(["u1"], at="2002-01")
    with pytest.raises(InferenceError, match="one date of treatment"):
        conformal_test(synthetic_control(staggered))
    with pytest.raises(InferenceError, match="no path by event time"):
        conformal_test(two_way_fixed_effects(series(seed=1)))
    with pytest.raises(InferenceError, match="lacks gaps"):
        conformal_test(two_way_fixed_effects(series(seed=1), event_study=(-4, 5)))
    with pytest.raises(InferenceError, match="at least two folds"):
        cross_fit_t_test(synthetic_control(series(seed=1)), folds=1)
    with pytest.raises(InferenceError, match="before as_ratio"):
        conformal_test(average_gap(series(seed=1)).replace(scale="ratio", value=1.0))
    counts = panels["counts"](12, 20, treated=1, seed=2, mean=40.0)
    with pytest.raises(InferenceError, match="other units than the panel's outcome"):
        conformal_test(synthetic_control(counts))
    assert 0 < conformal_test(synthetic_control(counts.rate())).p_value() <= 1


@pytest.mark.slow
def test_size_and_coverage() -> None:
    """Autoregressive noise: block permutations hold their size under trends; the t-test covers where factors are stationary."""
    draws = 200
    rejected = {"block": 0, "iid": 0}
    covered = {"conformal": 0, "t": 0}
    for seed in range(draws):
        effect = synthetic_control(series(t=40, at=36, seed=seed, rho=0.3, effect=1.0))
        rejected["block"] += conformal_test(effect, null=1.0).null_p[HEADLINE] <= 0.1
        rejected["iid"] += conformal_test(effect, null=1.0, permutations="iid", draws=199).null_p[HEADLINE] <= 0.1
        covered["conformal"] += conformal_test(effect, null=1.0).null_p["event_time[0]"] > 0.1
        long = cross_fit_t_test(synthetic_control(series(t=60, at=40, seed=seed, rho=0.3, effect=1.0, trending=False)))
        low, high = long.interval(0.9)
        covered["t"] += low <= 1.0 <= high
    print({name: n / draws for name, n in (rejected | covered).items()})
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.1)
    assert rejected["block"] <= high
    assert draws - high <= covered["conformal"]
    assert draws - high <= covered["t"] <= draws - low


@pytest.mark.slow
def test_how_far_serial_dependence_may_go() -> None:
    """Size at 0.10 of the joint test with 36 periods before and 4 after, by the autocorrelation of the gaps."""
    draws, sizes = 100, {}
    for rho in (0.0, 0.3, 0.9):
        p: dict[str, list[float]] = {kind: [] for kind in ("block", "iid")}
        for seed in range(draws):
            effect = average_gap(series(t=40, at=36, seed=seed, rho=rho, trending=False))
            for kind, found in p.items():
                found.append(conformal_test(effect, permutations=kind, draws=199).null_p[HEADLINE])
        sizes[rho] = {kind: float(np.mean(np.array(found) <= 0.1)) for kind, found in p.items()}
    lines = ["Size of the conformal test at 0.10: 36 periods before, 4 after, average of donors, 100 panels"]
    lines += [f"autocorrelation {rho}: block {size['block']:.3f}, iid {size['iid']:.3f}" for rho, size in sizes.items()]
    (Path(__file__).parents[1] / "coverage" / "conformal_dependence.txt").write_text("\n".join(lines) + "\n", "utf-8")
    high = stats.binom.ppf(0.9995, draws, 0.1) / draws
    # Blocks keep the size while dependence fades within the block; shuffles lose it early.
    assert max(sizes[rho]["block"] for rho in (0.0, 0.3)) <= high
    assert sizes[0.0]["iid"] <= high < sizes[0.9]["iid"]
    assert sizes[0.9]["block"] < sizes[0.9]["iid"]
