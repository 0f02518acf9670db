"""Claim M01: who is treated when, which countries are admitted, and the pooled mean by hand."""

import numpy as np
import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def section():
    from analyses.settings import plan

    return plan().section("crackdowns")


def test_ten_states_are_treated_from_their_first_listed_operation(section):
    from analyses.crackdowns import state_panel

    panel = state_panel(section)
    start = {
        unit: str(panel.periods[row.argmax()]) for unit, row in zip(panel.units, panel.D, strict=True) if row.any()
    }
    assert start["16"] == "2006-12"
    assert start["25"] == "2007-01"
    assert start["26"] == "2008-03"
    assert len(start) == 10
    assert "05" not in panel.units
    assert not panel.D[panel.units.get_loc("14")].any()


def test_countries_admitted_have_no_earlier_crackdown_and_no_truce_at_their_start(section):
    from analyses.crackdowns import episodes

    cases = episodes(section)
    taken = set(cases.loc[~cases["running"] & ~cases["near"], "event"])
    assert taken == {"GTM-2003", "SLV-MD2003", "TTO-2011", "HND-2011", "ECU-2021", "HND-SOE2022", "TTO-2024"}


def test_months_after_a_leader_are_left_out_of_treated_states_only(section):
    from analyses.crackdowns import state_panel

    whole, cut = state_panel(section), state_panel(section, {"censor": True})
    missing = np.isnan(cut.Y)
    assert missing.any()
    assert not missing[~cut.D.any(axis=1)].any()
    assert (cut.Y[~missing] == whole.Y[~missing]).all()


def test_a_study_has_half_its_interval_as_error():
    from analyses.crackdowns import as_study

    study = as_study({"value": 1.5, "low": 1.0, "high": 2.25})
    assert study.value == pytest.approx(np.log(1.5))
    assert study.std_error == pytest.approx(np.log(1.5) / 1.959964, rel=1e-5)
