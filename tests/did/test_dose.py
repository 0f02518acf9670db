"""The dose response: bins, slope, their covariance, and the stronger assumption."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crimepolicy.did.dose import dose_response
from crimepolicy.did.group_time import group_time_effects
from crimepolicy.errors import DesignError
from crimepolicy.panel import Panel


@pytest.fixture
def dosed(staggered: Any) -> Panel:
    panel = staggered(1, n=80)
    level = np.resize([0.2, 0.5, 0.9], 80)[:, None] * np.ones(8)
    return replace(panel, Y=panel.Y + 2 * level * panel.D, dose=level * panel.D)


def test_bins_are_group_time_effects_of_their_units(dosed: Panel) -> None:
    effect = dose_response(dosed)
    assert effect.path is not None
    assert effect.path["dose"].tolist() == pytest.approx([0.2, 0.5, 0.9])
    for label, level in zip(effect.path.index, [0.2, 0.5, 0.9], strict=True):
        inside = np.isinf(dosed.G) | (dosed.dose.max(axis=1) == level)  # type: ignore[union-attr]
        wanted = group_time_effects(dosed.keep(dosed.units[inside]))
        assert effect.path.loc[label, "estimate"] == pytest.approx(wanted.value)
        assert effect.path.loc[label, "std_error"] == pytest.approx(wanted.std_error)


def test_headline_and_slope_follow_from_the_path(dosed: Panel) -> None:
    effect = dose_response(dosed)
    assert effect.path is not None
    path = effect.path
    size, dose, value = (path[name].to_numpy() for name in ("n_treated", "dose", "estimate"))
    assert effect.value == pytest.approx(np.average(value, weights=size))
    slope = effect.companions["slope"]
    assert slope.value == pytest.approx(np.polyfit(dose, value, 1, w=np.sqrt(size))[0])
    covariance = effect.covariance([f"dose[{label}]" for label in path.index]).to_numpy()
    pull = size * (dose - np.average(dose, weights=size))
    pull = pull / (pull @ dose)
    assert slope.std_error == pytest.approx(np.sqrt(pull @ covariance @ pull))
    # Bins share their controls, so their effects are correlated.
    assert (covariance[~np.eye(3, dtype=bool)] > 0).all()
    assert effect.companions["per_unit"].value == pytest.approx(effect.value / np.average(dose, weights=size))


def test_slope_is_found(dosed: Panel) -> None:
    slope = dose_response(dosed).companions["slope"]
    assert abs(slope.value - 2) < 3 * slope.std_error
    assert slope.refit(dosed).value == slope.value


def test_edges_and_the_stronger_assumption(dosed: Panel) -> None:
    effect = dose_response(dosed, bins=(0.6,))
    assert effect.path is not None
    assert effect.path.index.tolist() == ["0.2 to 0.5", "0.9 to 0.9"]
    check = next(check for check in effect.checks if check.name == "strong_parallel_trends")
    assert check.passed is None
    moving = replace(dosed, dose=dosed.dose * np.arange(1, 9))  # type: ignore[operator]
    counted = next(check for check in dose_response(moving).checks if check.name == "dose_changes")
    assert counted.value == np.isfinite(dosed.G).sum()


def test_panels_without_doses_are_refused(staggered: Any) -> None:
    with pytest.raises(DesignError, match="has no doses"):
        dose_response(staggered(1))
