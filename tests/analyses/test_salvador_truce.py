"""Claim T09: the sample is the one of the plan, and the forecast is what a plain regression gives."""

import numpy as np
import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def section():
    from analyses.settings import plan

    return plan().section("salvador_truce")


@pytest.fixture(scope="module")
def series(section):
    from analyses.latin_america import country_series

    return country_series(section)


def test_donors_had_no_event_and_no_flag(section, series):
    from analyses.salvador_truce import donor_names

    names = donor_names(section)
    assert names == ["ARG", "BRA", "COL", "CRI", "CUB", "GUY", "NIC", "PRI", "PRY", "URY"]
    assert not series.touched.loc[names, range(2007, 2017)].to_numpy().any()


def test_flagged_counts_are_missing_and_the_treated_country_keeps_its_revision(series):
    assert np.isnan(series.counts.loc["GTM", 2013])
    assert np.isnan(series.counts.loc["PAN", 2008])
    assert series.counts.loc["SLV", 2005] == 3882


def test_forecast_is_least_squares_on_the_other_untouched_countries(section, series):
    from analyses.salvador_truce import own_forecast

    rate = np.log((series.counts + 0.5) / series.population)
    rows = []
    for base in range(1994, 2017):
        span = list(range(base - 4, base + 3))
        good = series.counts[span].notna().all(axis=1)
        clean = good & ~series.touched[span].any(axis=1) & (series.counts[base] >= 100)
        deaths, people = (
            series.counts[[base + 1, base + 2]].sum(axis=1),
            series.population[[base + 1, base + 2]].sum(axis=1),
        )
        height = rate[base] - rate[span[:4]].mean(axis=1)
        three = np.column_stack([np.log((deaths + 1) / people) - rate[base], rate[base] - rate[base - 1], height])
        for k in np.flatnonzero(good):
            others = clean.to_numpy().copy()
            others[k] = False
            if others.sum() >= 5:
                rows.append(
                    (series.counts.index[k], base, bool(clean.iloc[k]), *(three[k] - three[others].mean(axis=0)))
                )
    treated = next(row for row in rows if row[:2] == ("SLV", 2011))
    pool = np.array([row[3:] for row in rows if row[2] and row[0] != "SLV"])
    slope = np.linalg.lstsq(pool[:, 1:], pool[:, 0], rcond=None)[0]
    assert own_forecast(section, (1, 2), series=series).gap == pytest.approx(treated[3] - np.array(treated[4:]) @ slope)


def test_months_add_up_to_official_years(section):
    from analyses.salvador_truce import monthly

    months = monthly(section)
    assert months.groupby(months.index.str[:4]).sum().tolist() == pytest.approx([2594, 2513, 3921, 6656, 5276])
