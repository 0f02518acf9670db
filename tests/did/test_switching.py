"""Switching effects: published numbers, a brute-force twin, invariances."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crimepolicy.did.switching import switching_effects
from crimepolicy.errors import DesignError
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

# The packages compute plain sums; their numbers hold 15 digits.
REFERENCE = 1e-9


def load(dataset: str, path: Any) -> Panel:
    frame = pd.read_csv(path)
    if dataset == "mpdta":
        return Panel.from_frame(frame, unit="countyreal", time="year", outcome="lemp", first_treated="first.treat")
    return Panel.from_frame(frame, unit="id", time="time", outcome="Y", treated="D", covariates=["X1", "X2"])


# The package inverts the covariance with a tolerance of its own; its p-values of the same numbers differ in the ninth digit.
JOINT = 1e-7


def wald(found: Estimate, contrasts: np.ndarray[Any, Any]) -> float:
    """Return the p-value of contrasts of the effects of a path."""
    after = found.path.loc[0:, "estimate"]
    terms = [f"event_time[{label}]" for label in after.index]
    gap = contrasts @ after.to_numpy()
    spread = contrasts @ found.covariance(terms).to_numpy() @ contrasts.T
    return float(stats.chi2.sf(gap @ np.linalg.solve(spread, gap), len(gap)))


CASES = [
    ("mpdta", "base"),
    ("mpdta", "norm"),
    ("mpdta", "same"),
    ("mpdta", "only_never"),
    ("mpdta", "less_cons"),
    ("mpdta", "effects_equal"),
    ("mpdta", "trends_lin"),
    ("fect_simdata", "base"),
    ("fect_simdata", "sw_in"),
]


@pytest.mark.parametrize(("dataset", "spec"), CASES)
def test_equals_did_multiplegt_dyn(dataset: str, spec: str, reference_data: Any, reference: Any) -> None:
    panel = load(dataset, reference_data(dataset))
    published = reference(f"{dataset}_switching")["specs"][spec]
    asked = published["options"]
    found = switching_effects(
        panel,
        effects=asked["effects"],
        placebos=asked["placebo"],
        normalized=asked.get("normalized", False),
        same_switchers=asked.get("same_switchers", False),
        control="never" if asked.get("only_never_switchers") else "not_yet",
        direction="on" if asked.get("switchers") == "in" else "both",
        unit_trends=asked.get("trends_lin", False),
    )
    after = found.path.loc[0:]
    np.testing.assert_allclose(after["estimate"], published["effects"]["estimate"], rtol=REFERENCE)
    np.testing.assert_allclose(after["std_error"], published["effects"]["std_error"], rtol=REFERENCE)
    assert after["n_switchers"].tolist() == published["effects"]["switchers"]
    if "average" in published:
        assert found.value == pytest.approx(published["average"]["estimate"], rel=REFERENCE)
        assert found.std_error == pytest.approx(published["average"]["std_error"], rel=REFERENCE)
    size = asked["effects"]
    assert wald(found, np.eye(size)) == pytest.approx(published["joint"], rel=JOINT)
    if "equality" in published:
        assert wald(found, np.eye(size)[1:] - np.eye(size)[:1]) == pytest.approx(published["equality"], rel=JOINT)
    if "placebos" in published:
        before = found.path.loc[:-2].iloc[::-1]
        np.testing.assert_allclose(before["estimate"], published["placebos"]["estimate"], rtol=REFERENCE)
        np.testing.assert_allclose(before["std_error"], published["placebos"]["std_error"], rtol=REFERENCE)


def test_equals_did_multiplegt_dyn_with_controls(reference_data: Any, reference: Any) -> None:
    panel = load("fect_simdata", reference_data("fect_simdata"))
    published = reference("fect_simdata_switching")["specs"]["ctrl"]
    plain, found = (
        switching_effects(panel, effects=3, placebos=1, covariates=names)
        for names in ((), published["options"]["controls"])
    )
    wanted = {
        "estimate": [
            published["average"]["estimate"],
            *published["placebos"]["estimate"],
            *published["effects"]["estimate"],
        ],
        "std_error": [
            published["average"]["std_error"],
            *published["placebos"]["std_error"],
            *published["effects"]["std_error"],
        ],
    }
    np.testing.assert_allclose(found.estimates, wanted["estimate"], rtol=REFERENCE)
    # The package adds the mean of what covariates explain to the influence of every unit (decision 235).
    eligible = ~panel.D[:, 0]
    shifted = (found.psi + (plain.estimates - found.estimates) / eligible.sum())[eligible]
    np.testing.assert_allclose(np.sqrt((shifted**2).sum()), wanted["std_error"], rtol=REFERENCE)
    np.testing.assert_allclose(found.std_errors, wanted["std_error"], rtol=6e-3)


def test_no_unit_switches_off_first_in_the_reference_data(reference_data: Any, reference: Any) -> None:
    assert "error" in reference("fect_simdata_switching")["specs"]["sw_out"]
    with pytest.raises(DesignError, match="No unit changes treatment"):
        switching_effects(load("fect_simdata", reference_data("fect_simdata")), direction="off")


@pytest.mark.parametrize("dataset", ["mpdta", "fect_simdata"])
def test_equals_did_m_of_did_multiplegt(dataset: str, reference_data: Any, reference: Any) -> None:
    published = reference(f"{dataset}_switching")["did_m"]
    found = switching_effects(load(dataset, reference_data(dataset)), switchers="all", effects=3, placebos=1)
    np.testing.assert_allclose(found.path.loc[0:, "estimate"], published["effects"], rtol=REFERENCE)
    assert found.path.loc[0:, "n_switchers"].tolist() == published["switchers"]
    # The package reports the placebo as change into the reference period, here it is relative to that period.
    assert found.path.loc[-2, "estimate"] == pytest.approx(-published["placebo"], rel=REFERENCE)
    assert found.value == found.path.loc[0, "estimate"]


# -------------------------------------------------------------------- twins and invariances


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(4)
    D = np.zeros((30, 12), dtype=bool)
    D[20:] = True
    for i in (*range(10), *range(20, 24)):
        for t in np.sort(rng.choice(np.arange(2, 12), size=2, replace=False)):
            D[i, t:] = ~D[i, t]
    Y = rng.normal(size=D.shape) + D
    return Panel(Y=Y, D=D, units=pd.Index([f"u{i:02d}" for i in range(30)]), periods=pd.RangeIndex(12))


def test_did_m_equals_a_loop_over_cells(panel: Panel) -> None:
    gaps = []
    for t in range(1, 12):
        for i in range(30):
            old = panel.D[i, t - 1]
            stable = [j for j in range(30) if panel.D[j, t - 1] == panel.D[j, t] == old]
            if panel.D[i, t] != old and stable:
                change = panel.Y[:, t] - panel.Y[:, t - 1]
                gaps.append((change[i] - change[stable].mean()) * (-1 if old else 1))
    found = switching_effects(panel, switchers="all")
    assert found.value == pytest.approx(np.mean(gaps), rel=REFERENCE)
    assert found.path.loc[0, "n_switchers"] == len(gaps)


def with_covariate(panel: Panel, slope: float = 0.0) -> Panel:
    x = np.cumsum(np.random.default_rng(9).normal(size=panel.Y.shape), axis=1)
    return replace(panel, X={"income": x}, Y=panel.Y + slope * x)


def test_slopes_equal_a_regression_with_dummies(panel: Panel) -> None:
    moved = with_covariate(panel, 0.5)
    rows = [
        (i, t, old)
        for i in range(30)
        for t in range(1, 12)
        for old in (bool(panel.D[i, 0]),)
        if (panel.D[i, : t + 1] == old).all()
    ]
    found = switching_effects(moved, effects=1, covariates=["income"])
    total, count = 0.0, 0
    change, step = np.diff(moved.Y, axis=1, prepend=np.nan), np.diff(moved.X["income"], axis=1, prepend=np.nan)
    for old in (False, True):
        mine = [(i, t) for i, t, o in rows if o == old]
        X = np.array([[step[i, t], *(t == s for s in range(1, 12))] for i, t in mine], dtype=float)
        slope = np.linalg.lstsq(X, np.array([change[cell] for cell in mine]), rcond=None)[0][0]
        for t in range(1, 12):
            net = change[:, t] - slope * step[:, t]
            first = [
                i
                for i in range(30)
                if (i, t - 1) in {*mine, *((j, 0) for j in range(30) if panel.D[j, 0] == old)} and panel.D[i, t] != old
            ]
            stable = [i for i, s in mine if s == t]
            if first and stable:
                total += (-1 if old else 1) * (net[first].sum() - len(first) * net[stable].mean())
                count += len(first)
    assert found.path.loc[0, "estimate"] == pytest.approx(total / count, rel=REFERENCE)


def test_covariates_take_out_what_they_explain(panel: Panel) -> None:
    options = {"effects": 2, "placebos": 1, "covariates": ["income"]}
    plain, moved = (switching_effects(with_covariate(panel, slope), **options) for slope in (0.0, 3.0))
    np.testing.assert_allclose(moved.path, plain.path, rtol=1e-7, atol=1e-10)


def test_unit_trends_do_not_matter_when_they_are_allowed(panel: Panel) -> None:
    slope = np.random.default_rng(3).normal(size=(30, 1))
    early = panel.treat(["u12"], at=1)
    trended = early.with_outcome(panel.Y + slope * np.arange(12))
    plain, moved = (switching_effects(p, effects=2, placebos=1, unit_trends=True) for p in (early, trended))
    np.testing.assert_allclose(moved.path, plain.path, rtol=1e-8, atol=1e-10)
    # A change in the second period has one period before it, and no trend.
    assert plain.path.loc[0, "n_switchers"] < switching_effects(early).path.loc[0, "n_switchers"]


def test_the_influence_with_covariates_is_the_jackknife(panel: Panel) -> None:
    rng = np.random.default_rng(5)
    index, x = np.repeat(np.arange(30), 8), rng.normal(size=(240, 12))
    large = Panel(
        Y=rng.normal(size=(240, 12)) + panel.D[index] + 2 * x,
        D=panel.D[index],
        units=pd.RangeIndex(240),
        periods=panel.periods,
        X={"income": x},
    )
    found = switching_effects(large, covariates=["income"])
    left = [switching_effects(large.drop([i]), covariates=["income"], variance="none").value for i in range(240)]
    jackknife = np.sqrt(((np.array(left) - np.mean(left)) ** 2).sum())
    assert found.std_error == pytest.approx(jackknife, rel=0.05)


@pytest.mark.parametrize("switchers", ["first", "all"])
def test_on_and_off_add_up_to_both(panel: Panel, switchers: Any) -> None:
    both, on, off = (
        switching_effects(panel, switchers=switchers, effects=2, direction=d) for d in ("both", "on", "off")
    )
    total = sum(e.path["estimate"] * e.path["n_switchers"] for e in (on, off))
    np.testing.assert_allclose(total, both.path["estimate"] * both.path["n_switchers"], rtol=REFERENCE)


def test_the_average_carries_the_covariance_of_its_parts(panel: Panel) -> None:
    found = switching_effects(panel, effects=3)
    psi = found.psi
    weight = found.path["n_switchers"].to_numpy()
    combined = psi.iloc[:, 1:].to_numpy() @ weight
    assert found.std_error / found.value == pytest.approx(
        np.sqrt((combined**2).sum()) / (weight @ found.path["estimate"]), rel=REFERENCE
    )
    apart = np.sqrt(((weight * found.path["std_error"]) ** 2).sum()) / abs(weight @ found.path["estimate"])
    assert abs(apart / (found.std_error / abs(found.value)) - 1) > 0.01


@pytest.mark.parametrize("switchers", ["first", "all"])
def test_shocks_and_order_do_not_matter(panel: Panel, switchers: Any) -> None:
    rng = np.random.default_rng(1)
    options = {"switchers": switchers, "effects": 2, "placebos": 1}
    shocked = panel.with_outcome(panel.Y + rng.normal(size=(30, 1)) + rng.normal(size=12))
    order = rng.permutation(30)
    moved = replace(panel, Y=panel.Y[order], D=panel.D[order], units=panel.units[order])
    plain = switching_effects(panel, **options)
    for other in (shocked, moved):
        found = switching_effects(other, **options)
        np.testing.assert_allclose(found.path, plain.path, rtol=1e-8, atol=1e-12)
        assert found.std_error == pytest.approx(plain.std_error, rel=1e-8)


def test_missing_outcomes_are_counted_and_refits_agree(panel: Panel) -> None:
    Y = panel.Y.copy()
    Y[3, 4] = np.nan
    found = switching_effects(panel.with_outcome(Y), effects=2)
    assert {c.name for c in found.checks} >= {"missing_cells"}
    assert found.refit(panel.with_outcome(Y)).value == found.value
    assert switching_effects(panel.with_outcome(Y), effects=2, variance="none").value == found.value


def test_errors_say_what_to_do(panel: Panel) -> None:
    with pytest.raises(DesignError, match="No unit changes treatment"):
        switching_effects(panel.untreated())
    with pytest.raises(DesignError, match="goes with switchers='first'"):
        switching_effects(panel, switchers="all", control="never")
    with pytest.raises(DesignError, match="go with switchers='first'"):
        switching_effects(panel, switchers="all", unit_trends=True)
    with pytest.raises(DesignError, match="should be 1 or more"):
        switching_effects(panel, effects=0)


def _one_effect(panel: Panel, length: int) -> tuple[float, float, int]:
    """Return effect (placebo, if negative) `length` by a loop over cohorts that switch on once, its error and its switchers."""
    w = np.ones(panel.Y.shape) if panel.weights is None else panel.weights
    cluster = pd.factorize(panel.clusters)[0]
    total, size, switchers, psi = 0.0, 0.0, 0, np.zeros(panel.n_units)
    for first in np.unique(panel.G[np.isfinite(panel.G)]).astype(int):
        base, reach, ahead = first - 1, first - 1 + length, first - 1 + abs(length)
        if base < 0 or reach < 0 or ahead >= panel.n_periods:
            continue
        # Both the effect and its placebo must be there.
        seen = ~np.isnan(panel.Y[:, [base, reach, ahead]]).any(axis=1)
        moved, stable = np.flatnonzero(seen & (first == panel.G)), np.flatnonzero(seen & (ahead < panel.G))
        if not len(moved) or not len(stable):
            continue
        change, weight = panel.Y[:, reach] - panel.Y[:, base], w[:, ahead]
        for sign, own, other in ((1.0, moved, stable), (-1.0, stable, moved)):
            mean = np.average(change[own], weights=weight[own])
            total += sign * weight[moved].sum() * mean
            rows = own if len(set(cluster[own])) > 1 else np.concatenate([own, other])
            n = len(set(cluster[rows]))
            centre = np.average(change[rows], weights=weight[rows])
            share = weight[moved].sum() / weight[own].sum()
            psi[own] += sign * share * weight[own] * (change[own] - centre) * np.sqrt(n / (n - 1))
        size, switchers = size + weight[moved].sum(), switchers + len(moved)
    sums = np.bincount(cluster, psi)
    return total / size, float(np.sqrt((sums**2).sum())) / size, switchers


@pytest.mark.parametrize("gaps", [0.0, 0.12])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("clustered", [False, True])
def test_weights_clusters_and_gaps_equal_a_loop_over_cohorts(
    gaps: float, weighted: bool, clustered: bool, staggered: Any
) -> None:
    panel = staggered(3, gaps=gaps, weighted=weighted)
    # One control for the last cohort, and one cluster with a whole cohort in it.
    panel = panel.drop(panel.units[np.isinf(panel.G)][1:])
    labels = np.where(panel.G == 4, 0, 1 + np.arange(panel.n_units) // 3)
    panel = replace(panel, cluster=labels) if clustered else panel
    found = switching_effects(panel, effects=3, placebos=2, weights="panel" if weighted else "equal").path
    for length, label in ((1, 0), (2, 1), (3, 2), (-1, -2), (-2, -3)):
        estimate, error, switchers = _one_effect(panel, length)
        row = found.loc[label]  # type: ignore[union-attr]
        assert (row["estimate"], row["std_error"]) == (pytest.approx(estimate), pytest.approx(error, rel=REFERENCE))
        assert row["n_switchers"] == switchers


def test_equal_weights_change_nothing(panel: Panel) -> None:
    plain = switching_effects(panel, effects=2, placebos=1)
    weighted = replace(panel, weights=np.full(panel.Y.shape, 3.0))
    pd.testing.assert_frame_equal(switching_effects(weighted, effects=2, placebos=1, weights="panel").path, plain.path)
    with pytest.raises(DesignError, match="switchers='first'"):
        switching_effects(weighted, switchers="all", weights="panel")


def test_placebos_of_a_change_in_the_last_period_need_no_later_one() -> None:
    D = np.zeros((6, 6), dtype=bool)
    D[:2, 5] = True
    Y = np.random.default_rng(1).normal(size=D.shape)
    panel = Panel(Y=Y, D=D, units=pd.Index(range(6)), periods=pd.RangeIndex(6))
    found = switching_effects(panel, switchers="all", placebos=3).path
    for label, reach in ((0, 5), (-2, 3), (-3, 2), (-4, 1)):
        change = Y[:, reach] - Y[:, 4]
        assert found.loc[label, "estimate"] == pytest.approx(change[:2].mean() - change[2:].mean())  # type: ignore[union-attr]
    # An effect of more than one period does not exist, and with first switchers nor does its placebo.
    assert switching_effects(panel, effects=3, placebos=3).path.index.tolist() == [-2, 0]  # type: ignore[union-attr]
