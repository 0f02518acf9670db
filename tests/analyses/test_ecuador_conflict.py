"""Claim M02: the periods are the quoted ones, and ratios are ratios of daily counts."""

import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def section():
    from analyses.settings import plan

    return plan().section("ecuador_conflict")


def test_periods_are_those_the_plan_means(section):
    from analyses.ecuador_conflict import period

    windows = section["windows"]
    assert period(section, windows["half_2023"]) == (3599, 181)
    assert period(section, windows["half_2024"]) == (2978, 182)
    assert period(section, windows["first_week_2024"]) == (203, 7)


def test_the_return_is_a_ratio_of_daily_counts(section):
    from analyses.ecuador_conflict import effect_numbers
    from analyses.family import Run

    rows = effect_numbers(Run(section, 0, 0))["rows"]
    assert rows["return"]["value"] == pytest.approx((8393 / 334) / (2978 / 182))
    assert rows["first_half"]["value"] == pytest.approx(2978 / rows["first_half"]["expected"])


def test_ecuador_is_touched_and_no_reference(section):
    from analyses.ecuador_conflict import ecuador_series

    series = ecuador_series(section)
    assert series.touched.loc["ECU", 2007:2017].all()
    assert series.counts.loc["ECU", 2023] == 8248
