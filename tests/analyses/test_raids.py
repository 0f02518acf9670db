"""Claim M07: the weeks around the restriction of raids, and the closed form behind dealt labels."""

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def section():
    from analyses.settings import plan

    return plan().section("raids")


def test_weeks_are_whole_and_begin_at_the_injunction(section):
    from analyses.rio_raids import daily, raid_sample

    sample = raid_sample(section, "homicides")
    week = daily(section, "homicides").loc["2020-06-05":"2020-06-11"].sum()
    at = list(sample.panel.periods).index(0)
    assert sample.panel.Y[:, at].tolist() == week[sample.panel.units].tolist()
    assert sample.panel.periods[0] == -22
    assert sample.panel.periods[-1] == 15


def test_the_treated_third_had_the_most_raids(section):
    from analyses.rio_raids import raid_sample

    sample = raid_sample(section, "homicides")
    raids = sample.raids.reindex(sample.panel.units).to_numpy()
    many = sample.panel.D.any(axis=1)
    assert many.sum() == 24
    assert raids[many].min() >= raids[~many].max()


@pytest.mark.parametrize("level", [False, True])
def test_two_periods_say_what_the_weeks_say_and_the_closed_form_agrees(section, level):
    from analyses.raids import _halves, _main_fit, two_period_contrasts
    from analyses.rio_raids import raid_sample

    panel = raid_sample(section, "homicides").panel
    halves = _halves(panel, section, level=level)
    value, error = two_period_contrasts(halves.panel.Y, panel.D.any(axis=1)[None], log=not level)
    assert value[0] == pytest.approx(halves.value)
    assert error[0] == pytest.approx(halves.std_error, rel=1e-6)
    if not level:
        fit = _main_fit(section, "homicides")
        assert halves.value == pytest.approx(fit.path.loc["w0_15", "estimate"], rel=1e-6)


def test_the_break_of_a_straight_line_with_a_step_is_the_step():
    from analyses.raids import breaks

    dates = pd.date_range("2020-01-01", periods=100)
    days = 0.3 * np.arange(100.0) + 2 * (np.arange(100.0) >= 50) + 5 * (dates.day_of_week == 5)
    for gap in (0, 8):
        found = breaks(pd.DataFrame({"a": days}, index=dates), 20, gap, 1, days_of_week=True)
        assert found[50 - (20 + gap + 1), 0] == pytest.approx(2.0)


def test_the_published_breaks_are_met_to_the_last_digit_printed(section):
    from analyses.raids import breaks
    from analyses.rio_raids import daily

    for outcome, values in section["break"]["published"].items():
        table = daily(section, outcome)
        at = table.index.get_loc(pd.Timestamp("2020-05-20")) - 31
        for order, value in enumerate(values, start=1):
            assert round(float(breaks(table, 30, 0, order, days_of_week=True)[at].mean()), 3) == value


def test_a_year_is_compared_with_the_spread_of_others(section):
    from analyses.raids import _year_row

    row = _year_row(section, "police_killings", "")
    years = np.log([row["years"][str(year)] for year in section["years"]["compared"]])
    assert np.log(row["value"]) == pytest.approx(np.log(row["years"]["2020"]) - years.mean())
    assert row["low"] < row["value"] < row["high"]
