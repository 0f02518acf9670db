"""Claim P03: places where police came to stay, each against the comparison places of its own country."""

import numpy as np
import pytest

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="module")
def section():
    from analyses.settings import plan

    return plan().section("policing_meta")


def test_one_block_is_the_imputation_of_that_block_alone(section):
    from analyses.policing_meta import places
    from analyses.rio import precinct_sample
    from analyses.settings import plan
    from crimepolicy.did.imputation import imputation

    place = next(entry for entry in places(section, {"programmes": ["upp"]}) if "022" in entry.label)
    panel = precinct_sample(plan().section("upp"), "homicides").panel
    alone = panel.keep([*panel.units[~panel.D.any(axis=1)], "022"])
    same = np.ones(alone.Y.shape)
    from dataclasses import replace

    fit = imputation(replace(alone, population=same), family="poisson", horizon=(0, 15), variance="none")
    assert place.log_ratio == pytest.approx(fit.value, rel=1e-6)


def test_the_error_is_no_smaller_than_that_of_the_counts(section):
    from analyses.policing_meta import places

    for place in places(section):
        assert place.std_error >= np.sqrt(1 / place.deaths)


def test_earlier_windows_hold_no_treated_period(section):
    import pandas as pd

    from analyses.policing_meta import place_effects
    from crimepolicy.panel import Panel

    Y = np.full((6, 8), 10.0)
    Y[0, 5:] = 1_000.0
    D = np.zeros(Y.shape, dtype=bool)
    D[0, 5:] = True
    panel = Panel(Y=Y, D=D, units=pd.Index(list("abcdef")), periods=pd.RangeIndex(8))
    (place,) = place_effects(panel, {"a": "a"}, (-2, -1), "x")
    assert place.log_ratio == pytest.approx(0.0)
    (place,) = place_effects(panel, {"a": "a"}, (0, 2), "x")
    assert place.log_ratio == pytest.approx(np.log(100.0))
