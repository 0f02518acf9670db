"""Folding, filling and interpolating against arithmetic done by hand."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crimepolicy.data.harmonise import dense_months, fold_units, join_codes, monthly_population, undirected_pairs
from crimepolicy.errors import DataError

CODES = pl.LazyFrame({"unit": ["a", "b", "c"], "stable": ["a", "a", "c"]})
ROUNDING = 0.5  # populations are whole persons


def test_fold_keeps_every_count() -> None:
    counts = pl.LazyFrame({"unit": ["a", "b", "c"], "year": [1, 1, 1], "deaths": [2, 3, 4]})
    folded = fold_units(counts, CODES, by=["year"], sums=["deaths"]).sort("unit").collect()
    assert folded.to_dict(as_series=False) == {"unit": ["a", "c"], "year": [1, 1], "deaths": [5, 4]}


def test_fold_refuses_a_unit_without_stable_code() -> None:
    counts = pl.LazyFrame({"unit": ["a", "z"], "year": [1, 1], "deaths": [2, 3]})
    with pytest.raises(DataError, match=r"without a stable code: z \(1\)"):
        fold_units(counts, CODES, by=["year"], sums=["deaths"])


def test_dense_fills_only_counts() -> None:
    counts = pl.LazyFrame({"unit": ["a"], "month": [date(2000, 2, 1)], "deaths": [7], "rate": [1.5]})
    dense = dense_months(
        counts, pl.LazyFrame({"unit": ["a"]}), date(2000, 1, 1), date(2000, 3, 1), zeros=["deaths"]
    ).collect()
    assert dense["deaths"].to_list() == [0, 7, 0]
    assert dense["rate"].to_list() == [None, 1.5, None]


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1000, 10**6), min_size=4, max_size=4))
def test_population_is_linear_between_mid_years(levels: list[int]) -> None:
    annual = pl.LazyFrame({"unit": ["a"] * 4, "year": [2000, 2001, 2002, 2003], "population": levels})
    months = monthly_population(annual, date(2001, 1, 1), date(2002, 12, 1)).sort("month").collect()
    assert months.height == 24
    for month, found in months.select("month", "population").iter_rows():
        at = month.year + (month.month - 0.5) / 12 - 0.5
        year = int(at)
        expected = levels[year - 2000] + (at - year) * (levels[year - 1999] - levels[year - 2000])
        assert abs(found - expected) <= ROUNDING + 1e-6


def test_pairs_are_listed_once_and_sums_are_of_one_direction() -> None:
    both = pl.LazyFrame(
        {
            "unit": ["a", "b", "b", "c", "a", "c"],
            "neighbour": ["b", "a", "c", "b", "c", "a"],
            "border_km": [9.0, 9.0, 2.0, 2.0, 1.0, 1.0],
        }
    )
    pairs = undirected_pairs(both, CODES).collect()
    assert pairs.to_dict(as_series=False) == {"unit": ["a"], "neighbour": ["c"], "border_km": [3.0]}


def test_code_without_entry_is_named() -> None:
    with pytest.raises(DataError, match=r"Codes in 'unit' without an entry: q \(1\)"):
        join_codes(pl.LazyFrame({"unit": ["a", "q", None]}), CODES, on="unit")
