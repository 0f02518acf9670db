"""Averages of cells: shares by hand, estimated shares by derivative, windows, sums and fitting again."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crimepolicy.did.group_time import group_time_effects
from crimepolicy.errors import CrimepolicyError, EstimationError

# Central differences in a weight.
NUMERIC = 1e-6


def test_averages_by_hand(staggered: Any) -> None:
    panel = staggered(1, n=41, weighted=True)
    effect = group_time_effects(panel)
    cells = effect.cells
    assert cells is not None
    size = {g: panel.weights[g - 2000 == panel.G, 0].sum() for g in set(cells["group"])}
    cells = cells.assign(share=cells["group"].map(size))
    after = cells[cells["event_time"] >= 0]
    assert effect.value == pytest.approx(np.average(after["estimate"], weights=after["share"]))
    for kind, column in (("event", "event_time"), ("calendar", "time"), ("group", "group")):
        found = effect.aggregate(kind)  # type: ignore[arg-type]
        used = cells if kind == "event" else after
        wanted = used.groupby(column).apply(lambda d: np.average(d["estimate"], weights=d["share"]))
        assert found.path is not None
        np.testing.assert_allclose(found.path["estimate"], wanted.loc[found.path.index])
        np.testing.assert_array_equal(found.path["n_cells"], used.groupby(column).size().loc[found.path.index])
        headline = (
            wanted[wanted.index >= 0].mean()
            if kind != "group"
            else np.average(wanted, weights=[size[g] for g in wanted.index])
        )
        assert found.value == pytest.approx(headline)


@pytest.mark.parametrize("kind", ["simple", "event", "group", "calendar"])
def test_influence_includes_the_estimated_shares(staggered: Any, kind: Any) -> None:
    panel = staggered(2, n=20, weighted=True)
    found = group_time_effects(panel).aggregate(kind)
    assert found.psi is not None
    for i in range(0, 20, 3):
        values = []
        for step in (1e-4, -1e-4):
            weights = panel.weights.copy()
            weights[i] *= 1 + step
            values.append(group_time_effects(replace(panel, weights=weights)).aggregate(kind).estimates)
        derivative = (values[0] - values[1]) / 2e-4
        np.testing.assert_allclose(found.psi.iloc[i], derivative[found.psi.columns], rtol=NUMERIC, atol=NUMERIC / 100)


def test_window_and_balance(staggered: Any) -> None:
    effect = group_time_effects(staggered(3))
    full, window, balanced = (
        effect.aggregate("event"),
        effect.aggregate("event", window=(-1, 2)),
        effect.aggregate("event", balance=3),
    )
    assert full.path is not None
    assert window.path is not None
    assert balanced.path is not None
    assert window.path.index.tolist() == [-1, 0, 1, 2]
    assert window.value == pytest.approx(full.path.loc[0:2, "estimate"].mean())
    assert balanced.path.index.max() == 3
    assert set(balanced.path.loc[0:, "n_cells"]) == {2}
    assert effect.aggregate("simple", window=(None, 0)).value == pytest.approx(full.path.loc[0, "estimate"])


def test_cumulative_sums(staggered: Any) -> None:
    effect = group_time_effects(staggered(4))
    path, sums = effect.aggregate("event").path, effect.aggregate("event", cumulative=True)
    assert path is not None
    assert sums.path is not None
    np.testing.assert_allclose(sums.path["estimate"], path.loc[0:, "estimate"].cumsum())
    assert sums.value == pytest.approx(path.loc[0:, "estimate"].sum())
    contrast = np.ones(len(sums.path))
    terms = [f"event_time[{e}]" for e in sums.path.index]
    covariance = effect.aggregate("event").covariance(terms).to_numpy()
    assert sums.std_error == pytest.approx(np.sqrt(contrast @ covariance @ contrast))


def test_reference_points_have_no_standard_error(staggered: Any) -> None:
    path = group_time_effects(staggered(5), base="universal").aggregate("event").path
    assert path is not None
    assert path.loc[-1, "estimate"] == 0
    assert path["std_error"].isna().sum() == 1


def test_fitting_again_averages_again(staggered: Any) -> None:
    found = group_time_effects(staggered(6), control="not_yet").aggregate("event", window=(-2, 3))
    again = found.refit(staggered(7))
    wanted = group_time_effects(staggered(7), control="not_yet").aggregate("event", window=(-2, 3))
    np.testing.assert_array_equal(again.path, wanted.path)  # type: ignore[arg-type]
    assert found.aggregate("simple").value == pytest.approx(group_time_effects(staggered(6), control="not_yet").value)
    assert "event times from 0 on" in found.estimand


def test_averages_that_make_no_sense(staggered: Any) -> None:
    effect = group_time_effects(staggered(8))
    with pytest.raises(EstimationError, match="concern aggregate"):
        effect.aggregate("group", balance=2)
    with pytest.raises(EstimationError, match="Widen the window"):
        effect.aggregate("event", window=(-3, -1))
    with pytest.raises(CrimepolicyError, match="'calendar'"):
        effect.aggregate("dynamic")  # type: ignore[arg-type]
