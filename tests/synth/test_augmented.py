"""Augmented synthetic control: published numbers, ridge algebra, covariates, partial pooling; donors left out."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import daqp
import numpy as np
import pandas as pd
import pytest

from crimepolicy.errors import DesignError, EstimationError, InferenceError
from crimepolicy.panel import Panel
from crimepolicy.synth.augmented import augmented_synthetic_control
from crimepolicy.synth.donor_sensitivity import leave_donors_out
from crimepolicy.synth.pooling import pooled_weights
from crimepolicy.synth.ridge import Profiles, penalty_path, ridge_corrected
from crimepolicy.synth.synthetic_control import synthetic_control

PUBLISHED = 1e-5  # augsynth's simplex weights come from an interior-point solver

Make = Callable[..., Panel]


def weights_of(estimate: Any) -> pd.Series:
    return estimate.weights.set_index("label")["weight"]


def test_published_numbers(prop99: Panel, reference: Callable[[str], Any]) -> None:
    for name, case in reference("augsynth")["cases"].items():
        penalty = np.inf if name == "scm" else None if name == "ridge_cv" else case["lambda"]
        estimate = augmented_synthetic_control(prop99, penalty=penalty)
        if case["estimate"] is not None:
            assert estimate.value == pytest.approx(case["estimate"], rel=PUBLISHED)
        assert estimate.path["estimate"].to_numpy() == pytest.approx(case["path"], abs=PUBLISHED * 25), name
        assert weights_of(estimate)[case["units"]].to_numpy() == pytest.approx(case["weights"], abs=PUBLISHED), name


def test_published_choice_of_the_penalty(prop99: Panel, reference: Callable[[str], Any]) -> None:
    case = reference("augsynth")["cases"]["ridge_cv"]
    treated = prop99.D.any(axis=1)
    donors, series = prop99.Y[~treated][:, :19], prop99.Y[treated][0, :19]
    centre = donors.mean(axis=0)
    path = penalty_path(Profiles(donors - centre, series - centre, 19), "one_standard_error")
    assert path.penalties == pytest.approx(case["lambdas"], rel=1e-10)
    assert path.errors == pytest.approx(case["errors"], rel=1e-4)
    assert path.spread == pytest.approx(case["errors_se"], rel=1e-4)
    assert path.chosen == pytest.approx(case["lambda"], rel=1e-10)
    every = penalty_path(Profiles(donors - centre, series - centre, 19), "one_standard_error", "all")
    assert np.abs(every.errors / path.errors - 1).max() > 0.01
    least = penalty_path(Profiles(donors - centre, series - centre, 19), "minimum")
    assert least.chosen == pytest.approx(path.penalties[np.argmin(path.errors)])


def test_correction_equals_a_regression_estimate() -> None:
    rng = np.random.default_rng(0)
    X, x, y = rng.normal(size=(12, 5)), rng.normal(size=5) + 1, rng.normal(size=12)
    w = np.full(12, 1 / 12)
    slopes = np.linalg.solve(X.T @ X + 2.0 * np.eye(5), X.T @ y)
    augmented = ridge_corrected(Profiles(X, x, 5), w, 2.0) @ y
    assert augmented == pytest.approx(w @ y + (x - w @ X) @ slopes)


def test_small_penalty_balances_and_a_large_one_changes_nothing(prop99: Panel) -> None:
    tight = augmented_synthetic_control(prop99, penalty=1e-6)
    assert tight.path["estimate"].loc[:-1].abs().max() < 1e-4
    assert weights_of(tight).sum() == pytest.approx(1)
    loose = augmented_synthetic_control(prop99, penalty=1e14)
    assert loose.value == pytest.approx(synthetic_control(prop99).value, rel=1e-7)


@pytest.mark.parametrize("adjustment", ["augmented", "residualised"])
def test_covariates(smoking: Panel, adjustment: Any) -> None:
    estimate = augmented_synthetic_control(
        smoking, covariates=["retprice", "age15to24"], adjustment=adjustment, penalty=50.0
    )
    w = weights_of(estimate)
    donors = smoking.units.get_indexer(w.index)
    Z = np.stack([np.nanmean(smoking.X[name][:, :19], axis=1) for name in ("retprice", "age15to24")])
    gap = Z[:, list(smoking.units).index("California")] - Z[:, donors] @ w.to_numpy()
    assert w.sum() == pytest.approx(1)
    if adjustment == "residualised":
        assert np.abs(gap).max() < 1e-9
    rescaled = Panel(
        Y=smoking.Y,
        D=smoking.D,
        units=smoking.units,
        periods=smoking.periods,
        X={k: 1e3 * v for k, v in smoking.X.items()},
    )
    again = augmented_synthetic_control(
        rescaled, covariates=["retprice", "age15to24"], adjustment=adjustment, penalty=50.0
    )
    assert again.value == pytest.approx(estimate.value, rel=1e-6)
    chosen = augmented_synthetic_control(smoking, covariates=["retprice"], adjustment=adjustment)
    assert any(check.name == "ridge_penalty" for check in chosen.checks)


def test_pooling_equals_the_joint_quadratic_programme() -> None:
    rng = np.random.default_rng(5)
    donors = [rng.normal(size=(6, 8)), rng.normal(size=(6, 5))]
    treated = [rng.normal(size=8) + 1, rng.normal(size=5) + 1]
    base = pooled_weights(treated, donors, 0.0)
    share = 0.7
    found = pooled_weights(treated, donors, share)
    assert found.converged
    # Rows: each series by itself, then the average aligned at the last period; shorter series count as zero before they begin.
    blocks, targets = [], []
    for c, (x, D) in enumerate(zip(treated, donors, strict=True)):
        scale = np.sqrt((1 - share) / (2 * len(x))) / base.separate
        block = np.zeros((len(x), 12))
        block[:, 6 * c : 6 * c + 6] = D.T
        blocks.append(scale * block)
        targets.append(scale * x)
    joint, target = np.zeros((8, 12)), treated[0].copy()
    joint[:, :6] = donors[0].T
    joint[3:, 6:] = donors[1].T
    target[3:] += treated[1]
    scale = np.sqrt(share / 8) / (2 * base.average)
    A, b = np.vstack([*blocks, scale * joint]), np.concatenate([*targets, scale * target])
    sums = np.kron(np.eye(2), np.ones(6))
    upper, lower = np.concatenate([np.full(12, 1e30), np.ones(2)]), np.concatenate([np.zeros(12), np.ones(2)])
    sense = np.array([0] * 12 + [5] * 2, dtype=np.int32)
    twin, _, status, _ = daqp.solve(
        A.T @ A + 1e-11 * np.eye(12), -A.T @ b, np.vstack([np.eye(12), sums]), upper, lower, sense
    )
    assert status == 1
    ours, other = (((A @ w - b) ** 2).sum() for w in (found.weights.ravel(), twin))
    assert ours <= other * (1 + 1e-6)
    assert found.average <= base.average
    assert found.separate >= base.separate


def test_pooling_trades_single_fits_for_the_average(simulated: Make) -> None:
    panel = simulated(starts=(8, 9, 11), n_units=16)
    results = [
        augmented_synthetic_control(panel, pooling=share, penalty=np.inf, intercept=True) for share in (0.0, 0.5, 0.9)
    ]
    before = [float((r.path["estimate"].loc[-8:-1] ** 2).mean()) for r in results]
    assert before[0] >= before[1] >= before[2]
    heuristic = augmented_synthetic_control(panel, penalty=np.inf)
    share = next(check for check in heuristic.checks if check.name == "pooling").value
    assert 0 < share < 1
    levels = np.random.default_rng(1).normal(size=(panel.n_units, 1)) * 50
    moved = augmented_synthetic_control(
        panel.with_outcome(panel.Y + levels), pooling=0.5, penalty=np.inf, intercept=True
    )
    assert moved.value == pytest.approx(results[1].value, abs=1e-5)


def test_effects_pass_through(simulated: Make) -> None:
    panel = simulated()
    base, more = (
        augmented_synthetic_control(p, penalty=3.0).value for p in (panel, panel.with_outcome(panel.Y + 2 * panel.D))
    )
    assert more == pytest.approx(base + 2, abs=1e-9)


def test_what_cannot_be_is_refused(simulated: Make) -> None:
    panel = simulated()
    for options, message in [
        ({"penalty": 0.0}, "positive"),
        ({"pooling": 1.5}, "between 0 and 1"),
        ({"covariates": ["x"]}, "No such covariate"),
        ({"rule": "best"}, "not an option"),
    ]:
        with pytest.raises(DesignError, match=message):
            augmented_synthetic_control(panel, **options)
    with pytest.raises(DesignError, match="three periods"):
        augmented_synthetic_control(panel.window(7))


def test_leaving_donors_out_equals_dropping_them(prop99: Panel) -> None:
    estimate = synthetic_control(prop99)
    frame = leave_donors_out(estimate)
    used = weights_of(estimate)
    assert {unit for (unit,) in frame["left_out"]} == set(used[used > 0].index)
    row = frame[[left == ("Utah",) for left in frame["left_out"]]].iloc[0]
    assert row["estimate"] == synthetic_control(prop99.drop(["Utah"])).value
    assert row["pre_rmspe"] > next(check.value for check in estimate.checks if check.name == "pre_rmspe")
    changes = (frame["estimate"] - estimate.value).abs().to_numpy()
    assert (np.diff(changes) <= 0).all()
    pairs = leave_donors_out(estimate, k=2)
    assert len(pairs) == len(list(combinations(range((used > 0).sum()), 2)))
    assert len(leave_donors_out(estimate, k=2, draws=4)) == 4
    with pytest.raises(InferenceError, match="cannot be left out"):
        leave_donors_out(estimate, k=int((used > 0).sum()))
    with pytest.raises(EstimationError, match="no donor weights"):
        leave_donors_out(estimate.replace(weights=None))
