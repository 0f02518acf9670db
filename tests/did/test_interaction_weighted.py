"""The interaction-weighted event study: published numbers, dense and closed-form twins, and what is left out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crimepolicy.did.group_time import group_time_effects
from crimepolicy.did.interaction_weighted import interaction_weighted
from crimepolicy.errors import DesignError
from crimepolicy.panel import Panel

# sunab on feols and fepois, as for two-way effects.
FEOLS = 1e-9
FEPOIS = 1e-8
EXACT = 1e-9


@pytest.mark.parametrize("name", ["mpdta_sunab", "mpdta_sunab_lpop", "mpdta_sunab_poisson", "timing_did_2000x20"])
def test_sunab(name: str, reference: Any, mpdta_panel: Any, reference_data: Any) -> None:
    spec = reference("fixest_sunab")["specs"][name]
    options: dict[str, Any] = {"correction": "CR1N"}
    if name == "timing_did_2000x20":
        rows = pd.read_csv(reference_data(name)).assign(first=lambda d: d["g"].where(d["g"] > 0))
        panel = Panel.from_frame(rows, unit="id", time="time", outcome="y", first_treated="first")
    else:
        panel = mpdta_panel(counts="poisson" in name)
        options |= {"covariates": [f"lpop{y}" for y in range(2004, 2008)]} if "lpop" in name else {}
        options |= {"family": "poisson"} if "poisson" in name else {}
    effect = interaction_weighted(panel, **options)
    tolerance = FEPOIS if "poisson" in name else FEOLS
    terms = [f"event_time[{e}]" for e in spec["event_time"]]
    np.testing.assert_allclose(effect.estimates[terms], spec["path_estimate"], rtol=tolerance)
    np.testing.assert_allclose(effect.std_errors[terms], spec["path_std_error"], rtol=tolerance)
    np.testing.assert_allclose([effect.value, effect.std_error], [spec["estimate"], spec["std_error"]], rtol=tolerance)


def test_balanced_without_covariates_is_group_time_with_a_universal_base(staggered: Any) -> None:
    panel = staggered(1)
    ours = interaction_weighted(panel, correction="CR0", shares="estimated")
    other = group_time_effects(panel, base="universal")
    assert ours.cells is not None
    assert other.cells is not None
    np.testing.assert_allclose(ours.cells["estimate"], other.cells["estimate"], atol=1e-12)
    np.testing.assert_allclose(ours.cells["std_error"], other.cells["std_error"], rtol=EXACT)
    event = other.aggregate("event").path
    np.testing.assert_allclose(
        ours.path[["estimate", "std_error"]], event[["estimate", "std_error"]], rtol=EXACT, atol=1e-12
    )  # type: ignore[index]
    assert (ours.value, ours.std_error) == (pytest.approx(other.value), pytest.approx(other.std_error))


def test_a_cohort_is_averaged_by_its_observed_weight(staggered: Any) -> None:
    effect = interaction_weighted(staggered(9, gaps=0.2, weighted=True))
    found = effect.aggregate("group")
    after = effect.cells.query("event_time >= 0")  # type: ignore[union-attr]
    wanted = after.groupby("group").apply(lambda d: np.average(d["estimate"], weights=d["weight"]))
    np.testing.assert_allclose(found.path["estimate"], wanted, rtol=EXACT)  # type: ignore[index]
    # All cohorts together are all treated cells, as in fixest's agg = "att".
    assert (found.value, found.std_error) == (pytest.approx(effect.value), pytest.approx(effect.std_error))


def test_dense_twin_with_gaps_and_a_covariate(staggered: Any) -> None:
    panel = staggered(2, gaps=0.15, weighted=True)
    effect = interaction_weighted(panel, covariates=("z",), correction="CR0")
    n, length = panel.Y.shape
    unit, period, seen = np.repeat(np.arange(n), length), np.tile(np.arange(length), n), panel.observed.ravel()
    pairs = [(g, t) for g in (2, 4, 6) for t in range(length) if t != g - 1]
    columns = [((panel.G[unit] == g) & (period == t)).astype(float) for g, t in pairs]
    X = np.column_stack(
        [*columns, panel.X["z"].ravel(), pd.get_dummies(unit), pd.get_dummies(period).iloc[:, 1:]]
    ).astype(float)[seen]
    weight, y = panel.weights.ravel()[seen], panel.Y.ravel()[seen]
    bread = np.linalg.inv((X * weight[:, None]).T @ X)
    slopes = bread @ (X.T @ (weight * y))
    sums = pd.DataFrame(X * (weight * (y - X @ slopes))[:, None]).groupby(unit[seen]).sum().to_numpy()
    variance = bread @ sums.T @ sums @ bread
    terms = [f"cell[{2000 + g}, {2000 + t}]" for g, t in pairs]
    np.testing.assert_allclose(effect.estimates[terms], slopes[: len(pairs)], rtol=EXACT)
    np.testing.assert_allclose(effect.covariance(terms), variance[: len(pairs), : len(pairs)], rtol=1e-7, atol=1e-12)


def test_poisson_cells_are_ratios_of_sums(staggered: Any) -> None:
    panel = replace(staggered(3, counts=True), population=None)
    cells = interaction_weighted(panel, family="poisson").cells
    assert cells is not None
    for row in cells.itertuples():
        g, t = row.group - 2000, row.time - 2000
        treated, control = panel.Y[g == panel.G].sum(axis=0), panel.Y[np.isinf(panel.G)].sum(axis=0)
        wanted = np.log(treated[t] / treated[g - 1] / (control[t] / control[g - 1]))
        assert row.estimate == pytest.approx(wanted, abs=1e-9)


def test_excess_adds_up_over_cells(staggered: Any) -> None:
    panel = staggered(4, counts=True)
    effect = interaction_weighted(panel, family="poisson")
    assert effect.cells is not None
    after = effect.cells[effect.cells["event_time"] >= 0]
    observed = np.array(
        [panel.Y[g - 2000 == panel.G, t - 2000].sum() for g, t in zip(after["group"], after["time"], strict=True)]
    )
    assert effect.excess().value == pytest.approx((observed * (1 - np.exp(-after["estimate"]))).sum())
    assert effect.excess().std_error > 0


def test_last_cohort_serves_where_none_is_never_treated(staggered: Any) -> None:
    panel = staggered(5, never=False)
    effect = interaction_weighted(panel)
    window = panel.window(end=2005)
    wanted = interaction_weighted(window)
    np.testing.assert_allclose(effect.cells["estimate"], wanted.cells["estimate"])  # type: ignore[index]
    check = next(check for check in effect.checks if check.name == "controls")
    assert check.passed is None
    assert "treated last (2006)" in check.text


def test_always_treated_units_change_nothing_else(staggered: Any) -> None:
    panel = replace(staggered(6), X={}, region=None)
    more = replace(
        panel,
        Y=np.vstack([panel.Y, panel.Y[:2] + 50]),
        D=np.vstack([panel.D, np.ones((2, 8), dtype=bool)]),
        units=panel.units.append(pd.Index(["a", "b"])),
    )
    before, after = interaction_weighted(panel), interaction_weighted(more)
    np.testing.assert_allclose(after.path, before.path, rtol=1e-12)  # type: ignore[arg-type]
    assert next(check for check in after.checks if check.name == "always_treated").value == 2


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda p: p.untreated(), {}, "Nobody is treated after"),
        (lambda p: p.with_treatment(np.arange(8) >= np.full((40, 1), 4)), {}, "no control is left"),
        (lambda p: p, {"covariates": ("x",)}, "do not vary over time"),
        (lambda p: p, {"shares": "free"}, "'fixed', 'estimated'"),
    ],
)
def test_designs_that_are_refused(staggered: Any, change: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DesignError, match=message):
        interaction_weighted(change(staggered(0)), **options)
