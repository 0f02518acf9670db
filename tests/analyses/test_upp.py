"""Claim P01: the samples of Rio de Janeiro, and how a diluted effect is scaled."""

import numpy as np
import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def section():
    from analyses.settings import plan

    return plan().section("upp")


def test_blocks_share_one_schedule_and_controls_hold_no_residents(section):
    from analyses.rio import precinct_sample, traits

    sample, fixed = precinct_sample(section, "homicides"), traits(section)
    assert (fixed.loc[sample.controls, "upp_share_final"] == 0).all()
    assert fixed.loc[sample.panel.units, "capital"].all()
    for block in set(sample.blocks.values()):
        rows = [k for k, unit in enumerate(sample.panel.units) if sample.blocks[unit] == block]
        assert (sample.panel.D[rows] == sample.panel.D[rows[0]]).all()


def test_no_precinct_is_treated_more_than_a_half_year_before_its_occupation(section):
    from analyses.rio import precinct_sample, traits

    sample = precinct_sample(section, "homicides")
    onset = sample.panel.D.argmax(axis=1)
    occupied = traits(section)["occupation_dose5"].dt.to_period("Q")
    for unit in sample.treated:
        late = (occupied[unit] - sample.panel.periods[onset[sample.panel.units.get_loc(unit)]]).n
        assert 0 <= late <= 1


def test_some_area_is_not_yet_occupied_in_every_quarter(section):
    from analyses.rio import area_sample

    assert not area_sample(section, "homicides").panel.D.all(axis=0).any()


def test_inside_and_outside_sum_to_the_precincts(section):
    from analyses.rio import split_panel
    from crimepolicy.data import load_table

    panel = split_panel(section, "records")
    assert panel.Y.sum() == pytest.approx(load_table("rio_inside_outside_month")["records"].sum())
    assert not panel.D[1::2].any()


def test_the_decision_is_the_widest_and_the_inside_is_scaled(section):
    from analyses.upp import main_numbers

    one = {**section, "outcomes": {"homicides": section["outcomes"]["homicides"]}}
    found = main_numbers(one, draws=9, seed=0)["outcomes"]["homicides"]
    window = found["windows"]["y1_4"]
    assert window["decision"]["value"] == pytest.approx(window["observed"] / window["expected"])
    assert window["decision"]["low"] <= np.exp(window["log"] - 1.95 * window["sd_blocks"])
    fall = 1 - window["decision"]["value"]
    assert window["inside"]["value"] == pytest.approx(max(0.0, 1 - fall / found["inside_share"]))
    assert found["p_holm"] == window["p_blocks"]
