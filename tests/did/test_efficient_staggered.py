"""The efficient estimator of staggered adoption: published numbers, the formula of the paper, invariances, unbiasedness."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crimepolicy.did.efficient_staggered import efficient_staggered
from crimepolicy.did.group_time import group_time_effects
from crimepolicy.errors import DesignError, EstimationError
from crimepolicy.inference.cluster import cluster
from crimepolicy.panel import Panel

# Means and covariances of 500 units on both sides.
EXACT = 1e-10
SPECS = [f"{which}{kind}" for which in ("", "cs_", "sa_") for kind in ("simple", "cohort", "calendar", "eventstudy")]


@pytest.mark.parametrize("spec", [*SPECS, "simple_beta1"])
def test_equals_staggered(spec: str, mpdta_panel: Any, reference: Any) -> None:
    wanted = reference("mpdta_staggered")["specs"][spec]
    found = {
        kind: efficient_staggered(mpdta_panel(), variance=kind, **wanted["options"]) for kind in ("adjusted", "neyman")
    }
    for kind, estimate in found.items():
        path = (
            estimate.path.iloc[:3]
            if "event" in spec
            else pd.Series({"estimate": estimate.value, "std_error": estimate.std_error})
        )
        np.testing.assert_allclose(path["estimate"], wanted["estimate"], rtol=EXACT)
        np.testing.assert_allclose(path["std_error"], wanted[kind], rtol=EXACT)


# -------------------------------------------------------------------- twins


@pytest.mark.parametrize("kind", ["simple", "event", "group", "calendar"])
def test_beta_one_is_the_difference_in_differences(kind: Any, staggered: Any) -> None:
    panel = staggered(n=43)
    ours = efficient_staggered(panel, aggregate=kind, beta=1)
    theirs = group_time_effects(panel, control="not_yet").aggregate(kind)
    assert ours.value == pytest.approx(theirs.value, rel=EXACT)
    if kind != "simple":
        np.testing.assert_allclose(ours.path["estimate"], theirs.path["estimate"].reindex(ours.path.index), rtol=1e-9)


def test_the_formula_of_the_paper(staggered: Any) -> None:
    panel = staggered(3, n=60, never=False)
    groups = [2, 4, 6]
    own = [panel.Y[g == panel.G] for g in groups]
    S, N = [np.cov(y, rowvar=False) for y in own], [len(y) for y in own]
    cells = [(0, 2), (0, 3), (0, 4), (0, 5), (1, 4), (1, 5)]
    A = np.zeros((2, 3, 8))
    for k, t in cells:
        weight = N[k] / sum(N[j] for j, _ in cells)
        later = [j for j in range(3) if groups[j] > t]
        for side, period in ((0, t), (1, groups[k] - 1)):
            A[side, k, period] += weight
            for j in later:
                A[side, j, period] -= weight * N[j] / sum(N[i] for i in later)
    V = sum(A[:, k] @ S[k] @ A[:, k].T / N[k] for k in range(3))
    beta = V[0, 1] / V[1, 1]
    theta = sum(A[0, k] @ y.mean(axis=0) - beta * A[1, k] @ y.mean(axis=0) for k, y in enumerate(own))
    slopes = sum(np.linalg.inv(S[k][:2, :2]) @ S[k][:2] @ A[0, k] for k in range(3))
    neyman = V[0, 0] - beta * V[0, 1]
    found = efficient_staggered(panel)
    assert found.value == pytest.approx(theta, rel=EXACT)
    assert found.weights.loc["att", "beta"] == pytest.approx(beta, rel=EXACT)
    adjusted = neyman - slopes @ np.mean([s[:2, :2] for s in S], axis=0) @ slopes / 60
    assert found.std_error == pytest.approx(np.sqrt(adjusted), rel=EXACT)
    assert efficient_staggered(panel, variance="neyman").std_error == pytest.approx(np.sqrt(neyman), rel=EXACT)


def test_no_other_beta_has_a_smaller_variance(staggered: Any) -> None:
    panel = staggered()
    best = efficient_staggered(panel, variance="neyman")
    for step in (-0.01, 0.01):
        other = efficient_staggered(panel, variance="neyman", beta=best.weights.loc["att", "beta"] + step)
        assert other.std_error > best.std_error


def test_it_is_unbiased_and_covers_when_dates_are_random() -> None:
    rng = np.random.default_rng(7)
    level = rng.normal(size=(40, 1)) * 3
    Y = level + rng.normal(size=(40, 6)) * 0.5
    first = np.repeat([2.0, 4.0, np.inf], [13, 13, 14])
    draws = []
    for _ in range(400):
        D = np.arange(6) >= rng.permutation(first)[:, None]
        panel = Panel(Y=Y + D, D=D, units=pd.RangeIndex(40), periods=pd.RangeIndex(6))
        found = efficient_staggered(panel)
        draws.append([found.value, found.std_error])
    value, error = np.array(draws).T
    assert abs(value.mean() - 1) < 4 * value.std() / np.sqrt(len(value))
    # Effects are the same for all, so the variance is no upper bound but the variance.
    assert 0.92 < (np.abs(value - 1) < 1.96 * error).mean() < 0.98


# -------------------------------------------------------------------- invariances


def test_order_and_scale_do_not_matter(staggered: Any) -> None:
    panel = staggered()
    plain = efficient_staggered(panel, aggregate="event")
    order = np.random.default_rng(1).permutation(40)
    moved = Panel(Y=3 * panel.Y[order] + 7, D=panel.D[order], units=panel.units[order], periods=panel.periods)
    found = efficient_staggered(moved, aggregate="event")
    np.testing.assert_allclose(found.path, 3 * plain.path, rtol=1e-9)


def test_always_treated_units_change_nothing_unless_they_are_compared(staggered: Any) -> None:
    panel = staggered()
    more = Panel(
        Y=np.vstack([panel.Y, panel.Y[:5] + 1]),
        D=np.vstack([panel.D, np.ones((5, 8), dtype=bool)]),
        units=pd.Index([*panel.units, *"vwxyz"]),
        periods=panel.periods,
    )
    found = efficient_staggered(more)
    assert found.value == pytest.approx(efficient_staggered(panel).value, rel=EXACT)
    assert {check.name: check.value for check in found.checks}["always_treated"] == 5
    compared = efficient_staggered(more, always_treated="compare", aggregate="group", beta=0)
    means = [np.mean([more.Y[-5:, t].mean() - more.Y[t < more.G][:, t].mean() for t in range(8)])]
    assert compared.path["estimate"].iloc[0] == pytest.approx(means[0], rel=EXACT)


def test_what_cannot_be_used_is_counted(staggered: Any) -> None:
    panel = staggered(gaps=0.01, weighted=True)
    lone = panel.D.copy()
    lone[0] = np.arange(8) >= 3
    found = efficient_staggered(panel.with_treatment(lone))
    counts = {check.name: check.value for check in found.checks}
    incomplete = int(np.isnan(panel.Y).any(axis=1).sum())
    assert counts["units_with_gaps"] == incomplete > 0
    assert counts["single_unit_cohorts"] + found.n_units + incomplete == 40
    assert counts["weights_not_used"] == 1


def test_aggregates_agree_and_clusters_are_kept(staggered: Any) -> None:
    panel = staggered()
    assert efficient_staggered(panel).aggregate("event").value == efficient_staggered(panel, aggregate="event").value
    grouped = replace(panel, cluster=np.repeat(np.arange(20), 2))
    found = efficient_staggered(grouped)
    assert "adjusted" not in found.correction
    assert found.std_error == pytest.approx(
        cluster(efficient_staggered(panel, variance="neyman"), grouped.cluster, correction="CR0").std_error
    )
    with pytest.raises(EstimationError, match="Aggregate first"):
        cluster(efficient_staggered(panel), grouped.cluster).aggregate("event")
    assert found.refit(panel.with_outcome(2 * panel.Y)).value == pytest.approx(2 * efficient_staggered(panel).value)


def test_errors_say_what_to_do(staggered: Any) -> None:
    panel = staggered()
    with pytest.raises(DesignError, match="No treated cell has a control"):
        efficient_staggered(panel.untreated())
    with pytest.raises(DesignError, match="is not an option"):
        efficient_staggered(panel, beta="best")  # type: ignore[arg-type]


def test_a_variance_that_the_adjustment_takes_off_whole_is_told(staggered: Any) -> None:
    # Two units per cohort and a long past: past outcomes fit the effects perfectly.
    panel = staggered(0, n=8, length=8)
    found = efficient_staggered(panel, aggregate="event")
    zero = found.std_errors == 0
    assert zero.any()
    check = next(check for check in found.checks if check.name == "variance_adjusted_away")
    assert (check.passed, check.value) == (False, int(zero.sum()))
    plain = efficient_staggered(panel, aggregate="event", variance="neyman")
    assert (plain.std_errors > 0).all()
    assert all(check.name != "variance_adjusted_away" for check in plain.checks)
