"""Claim M03: what is added back, and the random walk, computed by hand."""

import numpy as np
import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def section():
    from analyses.settings import plan

    return plan().section("salvador_exception")


def test_additions_are_those_of_the_list(section):
    from analyses.salvador_exception import counts

    found = counts(section)
    assert [found[f"{name}_2022"] for name in ("official", "gang_members", "graves", "custody")] == [495, 578, 608, 659]
    assert found["official_2023"] == pytest.approx(137 / 242 * 365)


def test_the_walk_goes_on_with_the_mean_step(section):
    from analyses.salvador_exception import walk

    deaths = np.array([6656, 5276, 3962, 3346, 2398, 1341, 1085]) / np.array(
        [6183676, 6200800, 6213533, 6219807, 6222318, 6234673, 6255782]
    )
    drift = (np.log(deaths[-1]) - np.log(deaths[0])) / 6
    expected, _, df = walk(section, 2)
    assert expected == pytest.approx(np.exp(np.log(deaths[-1]) + 2 * drift) * 6309624)
    assert df == 5


def test_the_decision_is_the_widest(section):
    from analyses.family import Run
    from analyses.salvador_exception import effect_numbers

    rows = effect_numbers(Run(section, 0, 0))["rows"]
    decided, other = rows["year_2023"], rows["countries_2023"]
    assert np.log(decided["high"] / decided["low"]) >= np.log(other["high"] / other["low"]) - 1e-9
    assert rows["sdid_0"]["value"] < rows["sdid_4"]["value"]
