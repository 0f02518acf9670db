"""Claim P06: the battery of outcomes on the precincts of P01."""

import numpy as np
import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def section():
    from analyses.settings import plan

    return plan().section("upp_control")


def test_the_sample_is_that_of_the_deaths_but_ends_before_the_strike(section):
    from analyses.rio import precinct_sample
    from analyses.settings import plan

    ours, deaths = precinct_sample(section, "assaults"), precinct_sample(plan().section("upp"), "homicides")
    assert ours.panel.units.equals(deaths.panel.units)
    assert ours.blocks == deaths.blocks
    assert str(ours.panel.periods[-1]) == "2016Q4"


def test_the_row_is_observed_over_expected_and_the_widest_interval(section):
    from analyses.rio import precinct_sample
    from analyses.upp_control import _TERM, _dealt
    from crimepolicy.inference.cluster import cluster

    sample = precinct_sample(section, "threats")
    row, fit, drawn = _dealt("", sample, section["main"]["windows"], draws=9, seed=0)
    cells = fit.path.loc["y1_4"]
    assert row["value"] == pytest.approx(cells["observed"] / cells["expected"])
    low, high = np.exp(cluster(fit, "unit").interval(term=_TERM))
    assert row["low"] <= low < high <= row["high"]
    assert len(drawn) == 9


def test_a_share_of_all_records_is_one_for_all_records(section):
    from analyses.upp_control import _specification

    row = _specification(section, "records", {"exposure": "records"})
    # Cells of dormant precincts keep an exposure of one record.
    assert row["value"] == pytest.approx(1.0, abs=1e-4)
