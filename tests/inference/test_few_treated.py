"""Few treated places: borrowed noise, changed signs, and the list of what is valid."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from crimepolicy.errors import InferenceError
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.inference.conley_taber import conley_taber
from crimepolicy.inference.control_noise import control_noise
from crimepolicy.inference.ferman_pinto import ferman_pinto
from crimepolicy.inference.few_treated import few_treated
from crimepolicy.inference.shared_noise import alvarez_ferman
from crimepolicy.inference.sign_change import sign_change_test
from crimepolicy.panel import Panel

Panels = dict[str, Callable[..., Panel]]
Estimators = dict[str, Callable[[Panel], Estimate]]

# The same sums in another order.
ROUNDING = 1e-9


def test_noise_by_hand_for_one_treated_unit(panels: Panels, estimators: Estimators) -> None:
    """One date, one unit: the noise of a control is its change after treatment, in deviation from all controls."""
    panel = panels["normal"](15, 8, treated=1, at=5, seed=1)
    noise = control_noise(estimators["two_way"](panel)).noise[:, 0]
    change = panel.Y[1:, 5:].mean(axis=1) - panel.Y[1:, :5].mean(axis=1)
    assert noise == pytest.approx(change - change.mean(), rel=ROUNDING, abs=1e-12)
    result = conley_taber(estimators["two_way"](panel))
    assert np.sort(result.null[HEADLINE]) == pytest.approx(np.sort(noise), rel=ROUNDING)
    assert result.p_value() == pytest.approx((1 + (np.abs(noise) >= abs(result.value)).sum()) / 15)
    low, high = result.interval(0.9)
    assert (low, high) == pytest.approx(
        (result.value - np.quantile(noise, 0.95), result.value - np.quantile(noise, 0.05))
    )


def test_combinations_are_listed_or_drawn(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["two_way"](panels["normal"](15, 8, treated=2, at=5, seed=1))
    assert len(conley_taber(effect).null) == 13**2
    drawn = [conley_taber(effect, draws=50, seed=3).null for _ in range(2)]
    assert len(drawn[0]) == 50
    pd.testing.assert_frame_equal(*drawn)


def test_equal_sizes_leave_the_noise_alone(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["two_way"](panels["normal"](25, 8, treated=2, at=5, seed=1))
    same = ferman_pinto(effect, population=dict.fromkeys(effect.panel.units, 1000.0))
    pd.testing.assert_frame_equal(same.null, conley_taber(effect).null)


def test_a_large_place_is_given_less_noise(panels: Panels, estimators: Estimators) -> None:
    rng = np.random.default_rng(2)
    panel = panels["normal"](60, 8, treated=1, at=4, seed=1)
    size = np.r_[1e6, np.geomspace(1e3, 1e6, 59)]
    rate = panel.with_outcome(rng.standard_normal((60, 8)) * 300 / np.sqrt(size)[:, None])
    effect = estimators["two_way"](rate)
    large = ferman_pinto(effect, population=dict(zip(panel.units, size, strict=True)))
    small = ferman_pinto(effect, population=dict(zip(panel.units, np.r_[1e3, size[1:]], strict=True)))
    truth = 300 / np.sqrt([1e6, 1e3]) * np.sqrt(1 / 4 + 1 / 4)
    # Residuals of large places also hold the noise of the average of all others, which is not small beside their own.
    assert large.null[HEADLINE].std() == pytest.approx(truth[0], rel=0.5)
    assert small.null[HEADLINE].std() == pytest.approx(truth[1], rel=0.3)
    assert next(c for c in large.checks if c.name == "variance_by_population").value > 0.9


def test_the_population_of_the_panel_is_its_mean_over_periods(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](40, 8, treated=1, at=4, seed=1)
    people = np.geomspace(1e3, 1e6, 40)[:, None] * np.linspace(0.8, 1.2, 8)
    own = ferman_pinto(estimators["two_way"](replace(panel, population=people)))
    given = ferman_pinto(
        estimators["two_way"](panel), population=dict(zip(panel.units, people.mean(axis=1), strict=True))
    )
    pd.testing.assert_frame_equal(own.null, given.null)


@pytest.mark.parametrize("unit", [1e-5, 1e5])
def test_units_of_measurement_scale_the_noise(unit: float, panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](30, 8, treated=1, at=4, seed=1)
    size = dict(zip(panel.units, np.geomspace(1e3, 1e6, 30), strict=True))
    one = ferman_pinto(estimators["two_way"](panel), population=size).null[HEADLINE]
    other = ferman_pinto(estimators["two_way"](panel.with_outcome(unit * panel.Y)), population=size).null[HEADLINE]
    assert other.to_numpy() == pytest.approx(unit * one.to_numpy(), rel=1e-6)


def test_one_control_lends_its_noise_to_all_treated_places(panels: Panels, estimators: Estimators) -> None:
    effect = estimators["two_way"](panels["normal"](15, 8, treated=2, at=5, seed=1))
    noise = control_noise(effect).noise
    shared = alvarez_ferman(effect)
    # Both treated places have one date, so that each control lends the same noise to each of them.
    assert np.sort(shared.null[HEADLINE]) == pytest.approx(np.sort(2 * noise[:, 0]), rel=ROUNDING)
    ratio = next(c for c in shared.checks if c.name == "shared_noise").value
    assert ratio == pytest.approx(np.sqrt(2))
    assert shared.p_value() >= conley_taber(effect).p_value()
    one = estimators["two_way"](panels["normal"](15, 8, treated=1, at=5, seed=1))
    assert alvarez_ferman(one).p_value() == conley_taber(one).p_value()


def test_groups_lie_as_the_treated_places_do(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](20, 8, treated=2, at=5, seed=1)
    # Places on the equator, one degree apart; the treated ones are first and second, so that groups are neighbours.
    line = replace(panel, coordinates=np.column_stack([np.arange(20.0), np.zeros(20)]))
    effect = estimators["two_way"](line)
    noise = control_noise(effect).noise[:, 0]
    near = alvarez_ferman(effect, sharing="distance").null[HEADLINE].to_numpy()
    assert len(near) == 36
    # Ties between the neighbours on both sides go to the first; the first control has one neighbour only.
    assert near[:18] == pytest.approx(noise + np.r_[noise[1], noise[:-1]], rel=ROUNDING)
    # As far along a meridian is as far.
    north = line.coordinates.copy()
    north[2:] = np.column_stack([np.full(18, 50.0), np.arange(18.0)])
    turned = alvarez_ferman(estimators["two_way"](replace(line, coordinates=north)), sharing="distance")
    assert turned.null[HEADLINE].to_numpy() == pytest.approx(near, rel=ROUNDING)
    with pytest.raises(InferenceError, match="needs coordinates"):
        alvarez_ferman(estimators["two_way"](panel), sharing="distance")
    hole = line.coordinates.copy()
    hole[4] = np.nan
    with pytest.raises(InferenceError, match="missing for u004"):
        alvarez_ferman(estimators["two_way"](replace(line, coordinates=hole)), sharing="distance")


def test_signs_by_hand(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](60, 8, treated=4, at=4, seed=3, effect=2.0)
    effect = estimators["event_difference"](panel)
    result = sign_change_test(effect)
    own = [
        estimators["event_difference"](panel.drop(panel.units[[j for j in range(4) if j != k]])).value for k in range(4)
    ]
    assert next(c for c in result.checks if c.name == "cluster_effects").value == pytest.approx(np.mean(own))
    observed = abs(stats.ttest_1samp(own, 0).statistic) - 1e-9
    flips = np.array(np.meshgrid(*[[1, -1]] * 4)).T.reshape(-1, 4)
    p = [abs(stats.ttest_1samp(signs * own, 0).statistic) >= observed for signs in flips]
    assert result.p_value() == pytest.approx(np.mean(p))
    assert result.p_value() == pytest.approx(1 / 8)
    means = sorted(float(np.mean(signs * own)) for signs in flips)
    assert sorted(result.null[HEADLINE]) == pytest.approx(means, rel=ROUNDING, abs=1e-12)
    assert sign_change_test(effect, null=float(np.mean(own))).p_value() == 1.0


def test_what_is_not_defined_says_so(panels: Panels, estimators: Estimators) -> None:
    one = estimators["event_difference"](panels["normal"](12, 8, treated=1, at=4))
    with pytest.raises(InferenceError, match="1 treated and 11 untreated"):
        sign_change_test(one)
    with pytest.raises(InferenceError, match="around zero"):
        sign_change_test(one.replace(scale="ratio"))
    with pytest.raises(InferenceError, match="not a least-squares regression"):
        conley_taber(estimators["log_ratio"](panels["counts"](seed=1, mean=50.0)))
    effect = estimators["two_way"](panels["normal"](12, 8, treated=2))
    with pytest.raises(InferenceError, match="no population"):
        ferman_pinto(effect)
    with pytest.raises(InferenceError, match="not positive for u001"):
        ferman_pinto(effect, population={**dict.fromkeys(effect.panel.units, 1.0), "u001": 0.0})
    hole = effect.panel.Y.copy()
    hole[3, 2] = np.nan
    with pytest.raises(InferenceError, match="missing in u003"):
        conley_taber(effect.replace(panel=effect.panel.with_outcome(hole)))


@pytest.mark.parametrize(
    ("n", "treated", "expected"),
    [
        (
            40,
            1,
            {
                "cluster": False,
                "wild_bootstrap": False,
                "placebo_test": None,
                "conley_taber": True,
                "sign_change_test": False,
            },
        ),
        (40, 5, {"cluster": False, "wild_bootstrap": False, "conley_taber": True, "sign_change_test": False}),
        (40, 7, {"cluster": True, "wild_bootstrap": True, "conley_taber": True, "sign_change_test": None}),
        (12, 1, {"cluster": False, "placebo_test": False, "conley_taber": False, "randomization_test": None}),
        # 56 sets of three among eight places, but three cannot stand in for four.
        (11, 3, {"cluster": False, "placebo_test": None}),
        (7, 4, {"cluster": False, "placebo_test": False}),
    ],
)
def test_list_of_valid_tools(
    n: int, treated: int, expected: dict[str, Any], panels: Panels, estimators: Estimators
) -> None:
    found = {
        check.name: check.passed
        for check in few_treated(estimators["two_way"](panels["normal"](n, 8, treated=treated)))
    }
    # Six treated clusters are the first for which 2 / 2**q is below 0.05.
    assert {name: found[name] for name in expected} == expected


def test_list_without_untreated_places(panels: Panels, estimators: Estimators) -> None:
    panel = panels["normal"](8, 12, treated=4, at=5)
    D = panel.D | (np.arange(12) >= 8)
    found = {check.name: check for check in few_treated(estimators["two_way"](panel.with_treatment(D)))}
    assert found["cluster"].passed
    assert "earlier dates with later ones" in found["cluster"].text
    assert found["placebo_test"].passed is found["sign_change_test"].passed is found["conley_taber"].passed is False


def test_list_for_another_estimator(panels: Panels, estimators: Estimators) -> None:
    long = estimators["event_difference"](panels["normal"](30, 30, treated=1, at=25))
    found = {check.name: check.passed for check in few_treated(long)}
    assert found["conformal_test"] is None
    lines = str(few_treated(long)).splitlines()
    assert lines == [str(check) for check in few_treated(long)]
    ratio = {
        check.name: check.passed for check in few_treated(estimators["log_ratio"](panels["counts"](seed=1, mean=50.0)))
    }
    assert ratio["conformal_test"] is ratio["wild_bootstrap"] is ratio["conley_taber"] is False


@pytest.mark.slow
def test_size_with_two_treated_places_of_unequal_variance(panels: Panels, estimators: Estimators) -> None:
    """Rates of places from a thousand to a million people; the two treated are small, or large."""
    draws = 300
    size = np.geomspace(1e3, 1e6, 60)
    rejected: dict[str, int] = {}
    for place, treated in {"small": [2, 5], "large": [54, 57]}.items():
        for seed in range(draws):
            rng = np.random.default_rng(seed)
            D = np.zeros((60, 8), dtype=bool)
            D[treated, 4:] = True
            Y = rng.standard_normal((60, 8)) * (0.2 + 100 / np.sqrt(size))[:, None]
            panel = Panel(Y=Y, D=D, units=pd.Index([f"u{i:02d}" for i in range(60)]), periods=pd.RangeIndex(8))
            effect = estimators["two_way"](panel)
            tests = {
                "CR0": effect,
                "conley_taber": conley_taber(effect, draws=999, seed=seed),
                "ferman_pinto": ferman_pinto(
                    effect, population=dict(zip(panel.units, size, strict=True)), draws=999, seed=seed
                ),
            }
            for name, result in tests.items():
                rejected[f"{name}, {place}"] = rejected.get(f"{name}, {place}", 0) + (result.p_value() <= 0.05)
    print({name: round(n / draws, 3) for name, n in rejected.items()})
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.05)
    assert rejected["conley_taber, small"] > high
    assert rejected["conley_taber, large"] < low + 2
    assert low <= rejected["ferman_pinto, small"] <= high
    assert rejected["ferman_pinto, large"] <= high


@pytest.mark.slow
def test_size_with_two_treated_neighbours(panels: Panels, estimators: Estimators) -> None:
    """Places on a line whose shocks fade over four places; the two treated ones are neighbours."""
    draws, rejected = 300, {"conley_taber": 0, "unknown": 0, "distance": 0}
    spots = np.arange(60.0)
    root = np.linalg.cholesky(np.exp(-np.abs(spots[:, None] - spots) / 4))
    D = np.zeros((60, 8), dtype=bool)
    D[[30, 31], 4:] = True
    units, periods = pd.Index([f"u{i:02d}" for i in range(60)]), pd.RangeIndex(8)
    place = np.column_stack([spots / 10, np.zeros(60)])
    for seed in range(draws):
        Y = root @ np.random.default_rng(seed).standard_normal((60, 8))
        effect = estimators["two_way"](Panel(Y=Y, D=D, units=units, periods=periods, coordinates=place))
        rejected["conley_taber"] += conley_taber(effect, draws=999, seed=seed).p_value() <= 0.05
        for sharing in ("unknown", "distance"):
            rejected[sharing] += alvarez_ferman(effect, sharing=sharing).p_value() <= 0.05
    rates = {name: round(n / draws, 3) for name, n in rejected.items()}
    lines = [
        "Two treated neighbours among 60 places, shocks fading over four places, 300 panels, nominal 0.05",
        str(rates),
    ]
    (Path(__file__).parents[1] / "coverage" / "few_treated_neighbours.txt").write_text("\n".join(lines) + "\n", "utf-8")
    low, high = stats.binom.ppf([0.0005, 0.9995], draws, 0.05)
    assert rejected["conley_taber"] > high
    assert rejected["unknown"] <= high
    assert low <= rejected["distance"] <= high
