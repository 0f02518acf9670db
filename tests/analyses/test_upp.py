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


@pytest.fixture(scope="module")
def more():
    from analyses.settings import plan

    return plan().section("upp_more")


def test_what_was_planned_later_is_stamped_with_its_own_section(more):
    from analyses.upp_family import FAMILY

    assert FAMILY.section_of("closures") == "upp_more"
    assert FAMILY.section_of("main") == "upp"
    assert "upp_more_closures" in FAMILY.files


def test_nine_areas_close_in_2018_and_none_reopens(more):
    from analyses.upp_more import closure_sample

    panel = closure_sample(more, "homicides").panel
    assert panel.D.any(axis=1).sum() == 9
    assert {str(panel.periods[row.argmax()])[:4] for row in panel.D if row.any()} == {"2018"}
    assert panel.absorbing
    assert not np.isnan(panel.Y).any()


def test_the_main_combination_of_the_curve_is_the_main_estimate(section, more):
    from analyses.effects import fit_windows
    from analyses.rio import precinct_sample
    from analyses.upp_more import _combination

    main = fit_windows(precinct_sample(section, "homicides").panel, section["main"]["windows"], variance="none")
    one = _combination(more, "homicides", "dose5", "occupation", "main", "2017-12")
    assert one.value == pytest.approx(main.path.loc["y1_4", "estimate"], rel=1e-6)


def test_the_map_has_every_precinct_of_the_capital(more):
    from analyses.family import Run
    from analyses.upp_more import map_numbers

    found = map_numbers(Run(more, 0, 0))
    assert len(found["shares"]) == 38
    assert len(found["placebos"]["shapes"]) == len(found["placebos"]["levels"]) >= 38
    assert max(found["placebos"]["levels"]) <= 4
