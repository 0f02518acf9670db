"""Calibration: blind, seed-stable, and right about estimators whose behaviour is known."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from scipy import stats

from crimepolicy.errors import DesignError, InferenceError
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.calibration import calibrate
from crimepolicy.sensitivity.placebo_design import PlaceboDesign, add_effect, draw_placebo, mask_treated
from tests.sensitivity.examples_panel import count_panel, log_change

RNG = np.random.default_rng


def noise(panel: Panel, spread: float, error: float) -> Estimate:
    """An estimator with known behaviour: the true log effect plus normal noise, with a given standard error."""
    treated = panel.Y[panel.D]
    seed = crc32(panel.D.tobytes() + treated.tobytes())
    effect = np.log(treated.mean() / KNOWN)
    value = effect + RNG(seed).normal(0, spread)
    return Estimate(estimand="log effect", value=value, std_error=error, method="noise", citation="", scale="log")


KNOWN = 50.0


def test_treated_outcomes_that_can_be_seen_are_refused() -> None:
    panel = count_panel(0)
    with pytest.raises(InferenceError, match=r"place 00, place 01, place 02 \(3\) can be seen"):
        calibrate({"log change": log_change}, panel, placebos=2)
    with pytest.raises(DesignError, match="no adoption structure"):
        calibrate({"log change": log_change}, panel.untreated(), placebos=2)
    assert np.isnan(mask_treated(panel).Y[panel.D]).all()


def test_placebos_copy_dates_and_durations_onto_untreated_units() -> None:
    panel = mask_treated(count_panel(0).treat(["place 03"], at=4, until=7))
    hosts = set()
    for seed in range(20):
        placebo = draw_placebo(panel, PlaceboDesign(), RNG(seed))
        assert placebo.n_units == 8
        assert placebo.observed.all()
        rows = placebo.D[placebo.D.any(axis=1)]
        assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, panel.D[:4].tolist()))
        hosts |= set(placebo.units[placebo.D.any(axis=1)])
    assert len(hosts) == 8


def test_any_unit_may_receive_a_placebo_clear_of_its_own_treatment() -> None:
    D = np.zeros((6, 30), dtype=bool)
    for unit, start in enumerate([10, 12, 14, 16, 18, 20]):
        D[unit, start : start + 2] = True
    panel = mask_treated(count_panel(0, n=6, t=30).with_treatment(D))
    with pytest.raises(DesignError, match="Use units='any'"):
        draw_placebo(panel, PlaceboDesign(), RNG(0))
    for seed in range(20):
        placebo = draw_placebo(panel, PlaceboDesign(units="any"), RNG(seed))
        assert placebo.D.sum() == 12
        assert not (placebo.D & D).any()
        assert not np.isnan(placebo.Y[placebo.D]).any()


def test_strata_keep_schedules_among_units_of_similar_size() -> None:
    panel = mask_treated(count_panel(0))
    size = np.nanmean(panel.Y, axis=1)
    large = np.argsort(np.argsort(size)) >= 6
    design = PlaceboDesign(strata=2)
    for seed in range(10):
        placebo = draw_placebo(panel, design, RNG(seed))
        hosts = placebo.units[placebo.D.any(axis=1)]
        assert large[panel.units.get_indexer(hosts)].sum() == large[:3].sum()
    with pytest.raises(DesignError, match="fewer strata"):
        draw_placebo(panel, PlaceboDesign(strata=12), RNG(0))


@pytest.mark.parametrize("effect", [-1.0, -0.25, 0.0, 0.4, 2.0])
def test_thinned_counts_keep_the_mean_and_the_variance_of_counts(effect: float) -> None:
    Y = RNG(1).poisson(40, (50, 400)).astype(float)
    panel = count_panel(0, n=50, t=400).with_outcome(Y).with_treatment(np.ones_like(Y, dtype=bool))
    laid, difference = add_effect(panel, effect, "thin", RNG(2))
    assert (np.round(laid.Y) == laid.Y).all()
    assert difference == pytest.approx(effect * Y.mean())
    # 20,000 cells of mean 40: standard errors 0.11% of the mean and 1% of the variance.
    assert laid.Y.mean() == pytest.approx(Y.mean() * (1 + effect), rel=0.005)
    if effect < 0:
        assert laid.Y.var() == pytest.approx(laid.Y.mean(), rel=0.05)
    scaled, _ = add_effect(panel, effect, "scale", RNG(2))
    assert pytest.approx(Y * (1 + effect)) == scaled.Y


def test_effects_that_cannot_be_laid_are_refused() -> None:
    panel = count_panel(0)
    with pytest.raises(DesignError, match="no effect is below -1"):
        add_effect(panel, -1.5, "auto", RNG(0))
    with pytest.raises(DesignError, match="thinning needs counts"):
        add_effect(panel.with_outcome(panel.Y + 0.5), -0.1, "thin", RNG(0))


def test_nothing_to_calibrate_is_refused() -> None:
    with pytest.raises(DesignError, match="placebos=0 should be 1 or more"):
        calibrate({"noise": partial(noise, spread=0.1, error=0.1)}, known_panel(), placebos=0)
    with pytest.raises(DesignError, match="no estimator to calibrate"):
        calibrate({}, known_panel())


def known_panel() -> Panel:
    panel = count_panel(0, n=40, t=20)
    return mask_treated(panel.with_outcome(np.full_like(panel.Y, KNOWN)))


def test_known_behaviour_is_reported() -> None:
    estimators = {"right": partial(noise, spread=0.1, error=0.1), "too sure": partial(noise, spread=0.1, error=0.05)}
    found = calibrate(estimators, known_panel(), placebos=400, injection="scale", effects=(0, -0.25))
    frame = found.frame.set_index(["estimator", "effect"])
    wrong = 2 * stats.norm.sf(1.96 / 2)
    for effect in (0.0, -0.25):
        # 400 placebos: standard errors 1.1 and 2.3 points, of the spread 3.5%.
        assert frame.loc[("right", effect), "coverage"] == pytest.approx(0.95, abs=0.035)
        assert frame.loc[("too sure", effect), "coverage"] == pytest.approx(1 - wrong, abs=0.07)
        assert frame.loc[("right", effect), "bias"] == pytest.approx(0.0, abs=0.015)
        assert frame.loc[("right", effect), "rmse"] == pytest.approx(0.1, rel=0.11)
    assert frame.loc[("right", -0.25), "truth"] == pytest.approx(np.log(0.75))
    assert frame.loc[("too sure", 0.0), "rejections"] == pytest.approx(wrong, abs=0.07)
    # (1.96 + 0.84) standard deviations, whatever the standard error claims.
    for name in estimators:
        assert found.detectable(name) == pytest.approx(0.28, rel=0.12)
    assert frame.loc[("right", -0.25), "rejections"] == pytest.approx(stats.norm.sf(1.96 - 0.2877 / 0.1), abs=0.07)


def test_each_kind_of_standard_error_has_its_row() -> None:
    kinds = {"own": lambda e: e, "doubled": lambda e: e.replace(std_error=2 * e.std_error)}
    found = calibrate({"log change": log_change}, mask_treated(count_panel(3)), placebos=60, inference=kinds)
    frame = found.frame.set_index(["inference", "effect"])
    assert frame.loc[("doubled", 0.0), "coverage"] >= frame.loc[("own", 0.0), "coverage"]
    assert frame.loc[("doubled", -0.1), "mean_std_error"] == pytest.approx(
        2 * frame.loc[("own", -0.1), "mean_std_error"]
    )
    assert "log change (own) rejects a true null" in str(found)
    with pytest.raises(DesignError, match="Nothing was calibrated"):
        found.detectable("other")


def test_levels_have_the_truth_of_their_cells() -> None:
    def level(panel: Panel) -> Estimate:
        treated = panel.D.any(axis=1)
        gap = panel.Y[panel.D].mean() - panel.Y[treated][~panel.D[treated]].mean()
        return Estimate(estimand="gap", value=gap, std_error=1.0, method="gap", citation="", scale="level")

    found = calibrate({"gap": level}, known_panel(), placebos=5, effects=(-0.2,), injection="scale")
    assert found.frame.set_index("effect").loc[-0.2, "truth"] == pytest.approx(-10.0)
    assert found.frame["bias"].abs().max() == pytest.approx(0.0, abs=1e-12)


def test_same_seed_same_bits_whatever_the_workers() -> None:
    panel = mask_treated(count_panel(3))
    with parallel_config(backend="threading"):
        one, two = (calibrate({"log change": log_change}, panel, placebos=10, n_jobs=n).draws for n in (1, 2))
    assert one.equals(two)
    other = calibrate({"log change": log_change}, panel, placebos=10, seed=1).draws
    assert not one.equals(other)


def test_failures_are_counted_with_their_text() -> None:
    found = calibrate({"fragile": partial(log_change, refuse="place 00")}, mask_treated(count_panel(3)), placebos=4)
    assert found.frame["failed"].tolist() == [4, 4, 4]
    assert found.frame["first_error"].unique().tolist() == ["place 00 is needed."]


@pytest.mark.slow
def test_few_adopters_are_exposed_and_the_detectable_effect_is_found_with_the_power_it_promises() -> None:
    panel = count_panel(7, n=40, t=40).untreated().treat(["place 00", "place 01", "place 02"], at=34)
    first = calibrate({"log change": log_change}, mask_treated(panel), placebos=500)
    effect = float(np.expm1(-first.detectable("log change")))
    second = calibrate({"log change": log_change}, mask_treated(panel), placebos=500, effects=(effect,), seed=1)
    columns = ["estimator", "effect", "n", "bias", "sd", "mean_std_error", "rejections", "coverage", "detectable"]
    frame = pd.concat([first.frame, second.frame[second.frame["effect"] == effect]])[columns]
    (Path(__file__).parents[1] / "coverage" / "calibration.txt").write_text(
        frame.to_string(index=False) + "\n", encoding="utf-8"
    )
    null = first.draws[first.draws["effect"] == 0]
    critical = (null["estimate"] / null["std_error"]).abs().quantile(0.95)
    found = second.draws[second.draws["effect"] == effect]
    power = (found["estimate"] / found["std_error"] < -critical).mean()
    # Two sets of 500 placebos: three standard errors of their difference are 7 points.
    assert power == pytest.approx(0.8, abs=0.07)
    # Placebos reuse 37 units; three of them at a time leave the average a tenth of the spread of one estimate.
    assert frame["bias"].abs().max() < 0.3 * frame["sd"].max()
    # Standard errors from three treated clusters are too small, which is what the table is for.
    assert frame.loc[frame["effect"] == 0, "rejections"].item() > 0.1


def rate_difference(panel: Panel) -> Estimate:
    """Difference in events per 1,000 persons: of an effect on counts it shows the share that falls on rates."""
    rate = 1000 * panel.Y / panel.population
    gap = np.nanmean(rate[panel.D]) - np.nanmean(rate[~panel.D])
    return Estimate(estimand="gap", value=gap, std_error=1.0, method="rates", citation="")


def test_the_truth_of_a_rate_is_a_rate() -> None:
    panel = mask_treated(count_panel(1))
    draws = calibrate({"rate": rate_difference}, panel, effects=(-0.5,), placebos=5, rates={"rate": 1000}).draws
    laid = draws[draws["effect"] == -0.5].reset_index(drop=True)
    assert (laid["truth"] < 0).all()
    # The exposure is one million everywhere, so that counts fall by a thousand times as much.
    counts = calibrate({"rate": rate_difference}, panel, effects=(-0.5,), placebos=5).draws
    assert counts[counts["effect"] == -0.5]["truth"].to_numpy() == pytest.approx(1000 * laid["truth"])
    with pytest.raises(DesignError, match="'ratio', which is not calibrated"):
        calibrate({"rate": rate_difference}, panel, placebos=1, rates={"ratio": 1.0})
    with pytest.raises(DesignError, match="needs a panel with a population"):
        calibrate({"rate": rate_difference}, replace(panel, population=None), placebos=1, rates={"rate": 1.0})
