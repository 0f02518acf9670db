"""What carries over to the next removal: each removal against its own country, errors from where nothing happened."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def section():
    from analyses.settings import plan

    return plan().section("kingpins_pooled")


@pytest.fixture(scope="module")
def invented(section):
    from analyses.kingpins_pooled import countries

    return countries(section, smoke=True)


@pytest.fixture(scope="module")
def official(section):
    from analyses.kingpins_pooled import countries

    return countries(section)


def test_the_known_effect_is_found_and_half_of_it_over_time(invented, section):
    from analyses.kingpins_pooled import effects, pooled

    found, correlation = effects(invented, section, "m0_5")
    low, high = pooled(found, correlation, section, 0).interval()
    # The invented removals raise homicides by two fifths for a year.
    assert low < np.log(1.4) < high
    assert low > 0


def test_one_removal_is_the_imputation_of_its_place_against_the_sum_of_the_others(official, section):
    from analyses.kingpins_pooled import effects
    from crimepolicy.did.imputation import imputation
    from crimepolicy.panel import Panel

    country = next(entry for entry in official if entry.name == "Colombia")
    one = next(entry for entry in effects(official, section, "m0_5")[0] if entry.country == "Colombia")
    rows = [one.removal.rows, country.controls]
    Y, people = (np.stack([table[part].sum(axis=0) for part in rows]) for table in (country.deaths, country.people))
    D = np.zeros(Y.shape, dtype=bool)
    D[0, one.removal.start :] = True
    panel = Panel(Y=Y, D=D, units=pd.Index(["place", "others"]), periods=pd.RangeIndex(Y.shape[1]), population=people)
    # Months that only the others have say nothing of the place: the pooled rate of the base is one number per row.
    base = panel.window(end=one.removal.start + 5)
    fit = imputation(base, family="poisson", horizon=(0, 5), variance="none")
    assert one.log_ratio == pytest.approx(np.log((one.observed + 0.5) / (one.expected + 0.5)), rel=1e-12)
    # Residents of the two rows grow differently within the base, which moves the expected deaths in the third digit.
    assert np.log(one.observed / one.expected) == pytest.approx(fit.value, abs=0.02)


def test_errors_come_from_months_before_the_removals_only(invented, section):
    from analyses.kingpins_pooled import earlier_departures

    rules, span = section["treatment"], section["main"]["windows"]["m0_5"]
    flooded = []
    for country in invented:
        deaths = country.deaths.copy()
        for removal in country.removals:
            deaths[removal.rows, removal.start :] = 1e6
        flooded.append(replace(country, deaths=deaths))
    before, after = (earlier_departures(world, {}, span, rules, 6) for world in (invented, flooded))
    pd.testing.assert_frame_equal(before, after)


def test_influence_carries_the_correlation_of_the_errors(invented, section):
    from analyses.kingpins_pooled import as_estimates, effects

    found, correlation = effects(invented, section, "m6_35")
    psi = np.stack([estimate.psi["att"].to_numpy() for estimate in as_estimates(found, correlation).values()])
    errors = np.array([one.std_error for one in found])
    np.testing.assert_allclose(psi @ psi.T, correlation * np.outer(errors, errors), atol=1e-6)
    assert correlation[np.tril_indices(len(found), -1)].max() < 1


def test_colombian_comparison_places_had_no_removal_and_border_none(official):
    from crimepolicy.data import load_table

    country = next(entry for entry in official if entry.name == "Colombia")
    units = np.sort(load_table("colombia_municipality_month", columns=["unit"])["unit"].unique())
    compared = set(units[country.controls])
    events = load_table("kingpins_colombia")
    touched = set(events["unit"].dropna()) | set(events["home_municipality_code"].dropna())
    pairs = load_table("colombia_contiguity")
    near = set(pairs.loc[pairs["unit"].isin(touched), "neighbour"]) | set(pairs.loc[pairs["neighbour"].isin(touched), "unit"])  # fmt: skip
    assert not compared & (touched | near | {"23001", "20001", "47001", "08001"})
    assert len(compared) > 50
