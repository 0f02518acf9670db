"""Claim T04: Monterrey is the sum of its municipalities, and cases are counted as the plan says."""

import pandas as pd
import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def section():
    from analyses.settings import plan

    return plan().section("dialogue")


def test_the_metropolitan_area_is_the_sum_of_its_municipalities(section):
    from analyses.dialogue import METRO, metro_series
    from crimepolicy.data import load_table

    table = load_table("mexico_municipality_month", columns=["unit", "month", "homicides"])
    year = table["unit"].isin(section["treatment"]["metro"]) & (pd.to_datetime(table["month"]).dt.year == 2011)
    series = metro_series(section, "2012-01")
    assert series.counts.loc[METRO, 0] == table.loc[year, "homicides"].sum()
    assert not set(section["treatment"]["metro"]) & set(series.counts.index)


def test_a_case_without_counts_is_unknown_and_not_a_fall(section):
    from analyses.dialogue import check_numbers
    from analyses.family import Run

    found = check_numbers(Run(section, 0, 0))
    assert found["cases"] == 4
    assert found["fell_or_unknown"] == found["fell"] + 1
