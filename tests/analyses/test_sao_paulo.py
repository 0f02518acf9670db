"""Claim P07: the donors of São Paulo, and its gap computed from published weights."""

import numpy as np
import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def section():
    from analyses.settings import plan

    return plan().section("sao_paulo")


def test_no_doubtful_cell_and_no_left_out_state_is_in_the_sample(section):
    from analyses.sao_paulo import state_sample
    from crimepolicy.data import load_table

    panel, flow = state_sample(section)
    table = load_table("brazil_state_year")
    doubtful = table[table["doubtful_cause"] & table["year"].between(1990, 2009)]
    assert not set(doubtful["unit"]) & set(panel.units)
    assert panel.units[panel.D.any(axis=1)].tolist() == ["SP"]
    assert flow[-1]["kept"] == panel.n_units == 25


def test_the_gap_is_the_rate_less_the_weighted_donors(section):
    from analyses.sao_paulo import _row, state_sample

    row, estimate, _ = _row(section)
    panel, _ = state_sample(section)
    rate = 100_000 * panel.Y / panel.population
    donors = estimate.weights[estimate.weights["role"] == "donor"].set_index("label")["weight"]
    expected = donors.reindex(panel.units).fillna(0).to_numpy() @ rate
    gap = rate[panel.units.get_loc("SP")] - expected
    after = np.asarray(panel.periods) >= 1999
    assert row["value"] == pytest.approx(gap[after].mean(), rel=1e-6)
    assert row["pre_rmspe"] == pytest.approx(np.sqrt((gap[~after] ** 2).mean()), rel=1e-6)
    assert row["avoided"] == pytest.approx(-(gap * panel.population[panel.units.get_loc("SP")])[after].sum() / 1e5)


def test_nothing_in_the_plan_tells_the_two_stories_apart(section):
    from analyses.family import Run
    from analyses.sao_paulo import rival_numbers

    assert rival_numbers(Run(section, 0, 0))["places_with_one_alone"] == 0
