"""Claim T01: which truces are computed, in which blocks, and the sceptic's mean by hand."""

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def section():
    from analyses.settings import plan

    return plan().section("truces")


def test_every_dated_truce_is_computed_or_left_out_with_a_reason(section):
    from crimepolicy.data import load_table

    computed = {*section["treatment"]["countries"], *section["treatment"]["cities"]}
    left = set(section["treatment"]["left_out"])
    assert not computed & left
    assert set(load_table("truces")["event"]) | {"COL-MDE-2023"} == computed | left


def test_blocks_begin_with_the_truce_and_medellin_is_its_registry(section):
    from analyses.truces import city_series
    from crimepolicy.data import load_table

    registry = load_table("medellin_comuna_month")
    months = pd.to_datetime(registry["month"])
    year = registry[(months >= "2013-07") & (months <= "2014-06")]["homicides"].sum()
    series = city_series(section, "2013-07")
    assert series.counts.loc["05001", 1] == year
    assert np.isnan(series.counts.loc["05001", -4])
    assert series.touched.loc["05001"].all()


def test_an_incomplete_block_is_missing(section):
    from analyses.truces import city_series

    assert np.isnan(city_series(section, "2023-06").counts.loc["05001", 2])


def test_the_prior_pulls_the_mean(section):
    from scipy import stats

    from analyses.truces import _weighted

    draws = np.random.default_rng(0).normal(-0.4, 0.2, 200_000)
    found = _weighted("", draws, stats.norm.pdf(draws, 0, 0.3))
    assert np.log(found["value"]) == pytest.approx(-0.4 * 0.3**2 / (0.3**2 + 0.2**2), abs=0.005)
