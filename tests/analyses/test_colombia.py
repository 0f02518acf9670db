"""Samples of Colombian cities, and their effects and ranks against the library's own estimator."""

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def plan():
    from analyses.settings import plan

    return plan()


@pytest.fixture(scope="module")
def medellin(plan):
    from analyses.colombia import city_sample

    return city_sample(plan.section("medellin_extradition"))


def test_the_ratio_is_that_of_poisson_imputation(medellin):
    from analyses.colombia import rank_test
    from crimepolicy.did.imputation import imputation

    found = rank_test(medellin.panel, {"m": (1, 24)}, draws=99, seed=0)
    twin = imputation(medellin.panel, family="poisson", windows={"m": (1, 24)}, variance="none").path.loc["m"]
    assert np.exp(found.log["m"]) == pytest.approx((twin["observed"] + 0.5) / (twin["expected"] + 0.5), rel=1e-6)


def test_the_interval_holds_the_effects_that_the_ranks_keep(medellin):
    from analyses.colombia import rank_test

    found = rank_test(medellin.panel, {"m": (1, 24)}, draws=99, seed=0)
    low, high = found.interval("m")
    assert found.p_value("m", low + 1e-6) > 0.05 >= found.p_value("m", low - 1e-6)
    assert found.p_value("m", high - 1e-6) > 0.05 >= found.p_value("m", high + 1e-6)


def test_comparison_cities_are_large_and_rows_of_the_flow_add_up(medellin, plan):
    from analyses.colombia import city_names

    section = plan.section("medellin_extradition")
    named = {unit for units in section["controls"]["left_out"].values() for unit in units}
    assert not named & set(medellin.panel.units)
    assert medellin.treated == ["05001"]
    kept = [row["kept"] for row in medellin.flow]
    assert kept[-1] == medellin.panel.n_units
    assert all(a - row["left_out"] == row["kept"] for a, row in zip(kept, medellin.flow[1:], strict=False))
    assert {"Cali", "Bogotá, D.C."} <= {city_names()[unit] for unit in medellin.panel.units}


def test_correction_for_recording_raises_the_rise(medellin):
    from analyses.colombia import with_capture

    corrected = with_capture(medellin.panel, "05001", {2009: 0.5})
    row = medellin.panel.units.get_loc("05001")
    months = medellin.panel.periods.year == 2009
    assert corrected.Y[row, months].sum() == 2 * medellin.panel.Y[row, months].sum()
    assert corrected.Y[row, ~months].sum() == medellin.panel.Y[row, ~months].sum()


def test_the_shares_recorded_are_those_of_the_table():
    from analyses.medellin_extradition import capture_shares

    shares = capture_shares("medellin_homicides_by_source")
    assert shares["2008"] == pytest.approx(855 / 1044)
    assert shares["2009"] == pytest.approx(1157 / 1717)
    assert shares["2010"] == pytest.approx(1378 / 2025)


def test_quadrants_leave_out_metropolitan_members_and_scale_the_breaks_away(plan):
    from analyses.quadrants import quadrant_sample
    from crimepolicy.data import load_table

    section = plan.section("quadrants")
    five = quadrant_sample(section)
    police = load_table("quadrants_colombia")
    assert not set(police["unit"]) & (set(five.panel.units) - set(five.treated))
    scaled = quadrant_sample(section, {"cities": "eight", "recording": "no_jump"}).panel
    at, here = scaled.position("2011Q1"), scaled.D.any(axis=1)
    jump = [rows[..., at : at + 2].sum() / rows[..., at - 2 : at].sum() for rows in (scaled.Y[~here], scaled.Y[scaled.units.get_loc("11001")])]  # fmt: skip
    assert jump[0] == pytest.approx(jump[1])


def test_the_registry_of_medellin_takes_the_place_of_police_counts(plan):
    from analyses.quadrants import quadrant_sample

    panel = quadrant_sample(plan.section("quadrants"), {"cities": "eight", "recording": "registry"}).panel
    row, year = panel.units.get_loc("05001"), pd.PeriodIndex(panel.periods).year
    assert panel.Y[row, year == 2010].sum() == 2025
    assert panel.Y[row, year == 2008].sum() == pytest.approx(1044)


def test_the_longest_run_is_that_of_the_register(plan):
    from analyses.buenaventura import daily_counts, longest_run

    assert longest_run(np.array([0, 1, 0, 0, 0, 2, 0])) == 3
    section = plan.section("buenaventura")
    counts = daily_counts(section, "2022-08-30", "2022-10-17")
    assert counts.sum() == 1
    assert longest_run(counts.to_numpy()) == 37


def test_peers_at_a_peak_had_risen_more_than_the_rest_and_had_no_talks(plan):
    from analyses.buenaventura import sample

    section = plan.section("buenaventura")
    every, peak = sample(section).panel, sample(section, {"peak_share": 0.333}).panel
    first = int(every.first_treated.min())

    def rise(panel):
        others = ~panel.D.any(axis=1)
        return (panel.Y[others, first - 12 : first].mean(axis=1) + 0.1) / (panel.Y[others, : first - 12].mean(axis=1) + 0.1)  # fmt: skip

    assert np.sort(rise(every))[-(peak.n_units - 1) :] == pytest.approx(np.sort(rise(peak)))
    assert not {"27001", "05001", "76001"} & set(every.units)


def test_the_parts_of_medellins_fall_add_up(plan):
    from analyses.medellin_pact import fall_shares

    assert sum(fall_shares(plan.section("medellin_pact")).values()) == pytest.approx(1.0)


def test_the_turn_of_2014_is_a_difference_of_changes(plan):
    from analyses.coca_promise import areas, coca_sample, path_estimate

    section = plan.section("coca_promise")
    panel, _ = coca_sample(section)
    table, here = areas(section).loc[list(panel.units)], panel.D.any(axis=1)
    change = (table[2014] - table[2013]).to_numpy()
    twin = (change[here].mean() - change[~here].mean()) / table.loc[here, 2013].mean()
    path = path_estimate(panel, section).path
    assert path.loc[0, "estimate"] == pytest.approx(twin)
    assert (table.loc[~here, range(2002, 2014)] == 0).all(axis=None)


def test_coca_municipalities_are_treated_from_2015_and_the_comparison_has_and_borders_none(plan):
    from analyses.coca_promise import areas
    from analyses.colombia import bordering
    from analyses.farc_coca import farc_sample

    panel, flow = farc_sample(plan.section("farc_coca"))
    table, here = areas(plan.section("coca_promise")), panel.D.any(axis=1)
    exposed = list(panel.units[here])
    assert (table.loc[exposed, range(2010, 2014)].mean(axis=1) >= 10).all()
    assert not set(panel.units[~here]) & bordering(exposed)
    assert set(panel.first_treated[here]) == {panel.position("2015")}
    assert flow[-1]["kept"] == panel.n_units


def test_a_steep_fall_is_one_by_half_of_two_years_and_by_many_hectares():
    import pandas as pd

    from analyses.balloon import first_falls

    table = pd.DataFrame(
        [[1000, 1000, 499, 100], [1000, 1000, 600, 310], [300, 300, 140, 0], [0, 500, 500, 500]],
        index=list("abcd"),
        columns=range(2002, 2006),
    )
    assert first_falls(table, {"fall_share": 0.5, "fall_minimum_ha": 200}) == {"a": 2004, "b": 2005, "c": 2005}


def test_pairs_of_a_department_do_not_border(plan):
    from analyses.balloon import fall_sample, links

    pairs = links(fall_sample(plan.section("balloon")))
    border = set(zip(pairs["border"]["unit"], pairs["border"]["neighbour"], strict=True))
    others = list(zip(pairs["department"]["unit"], pairs["department"]["neighbour"], strict=True))
    assert not border & set(others)
    assert all(a[:2] == b[:2] and a != b for a, b in others)


def test_deaths_with_and_without_firearms_add_up(plan):
    from analyses.colombia import city_sample
    from analyses.gun_ban import sample

    section = plan.section("gun_ban")
    guns, rest = sample(section).panel, sample(section, {"outcome": "others"}).panel
    assert (guns.Y + rest.Y == city_sample(section, {"outcome": "homicides"}).panel.Y).all()
    assert (rest.Y >= 0).all()
    assert not {"05088", "25754"} & set(guns.units)
