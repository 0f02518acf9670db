"""Leave-one-out against refits by hand."""

import numpy as np
import pytest
from joblib import parallel_config

from crimepolicy.errors import DesignError, EstimationError
from crimepolicy.sensitivity.leave_one_out import leave_one_out
from tests.sensitivity.examples_panel import count_panel, log_change


def test_units_are_those_of_refits_by_hand() -> None:
    panel = count_panel(1)
    full = log_change(panel)
    found = leave_one_out(full).frame.set_index("left_out")
    assert sorted(found.index) == ["place 00", "place 01", "place 02"]
    for unit in found.index:
        again = log_change(panel.drop([unit]))
        assert found.loc[unit, "estimate"] == again.value
        assert found.loc[unit, "p_value"] == again.p_value()
        assert found.loc[unit, "influence"] == pytest.approx((again.value - full.value) / full.std_error)
    assert found["change"].abs().is_monotonic_decreasing


def test_all_units_and_the_order_do_not_depend_on_workers() -> None:
    full = log_change(count_panel(1))
    with parallel_config(backend="threading"):
        one, two = (leave_one_out(full, only="all", n_jobs=n).frame for n in (1, 2))
    assert len(one) == 12
    assert one.equals(two)


def test_groups_are_left_out_whole() -> None:
    panel = count_panel(1, cluster="region")
    full = log_change(panel)
    clusters = leave_one_out(full, by="cluster").frame.set_index("left_out")
    assert clusters["n_units"].to_dict() == {"north": 9, "south": 9, "east": 9}
    cohorts = leave_one_out(full, by="cohort").frame.set_index("left_out")
    assert cohorts["n_treated"].to_dict() == {"14": 1, "16": 2}
    periods = leave_one_out(full, by="period", only="all").frame.set_index("left_out")
    Y = panel.Y.copy()
    Y[:, 3] = np.nan
    assert periods.loc["3", "estimate"] == log_change(panel.with_outcome(Y)).value


def test_an_event_is_one_spell_of_one_unit() -> None:
    panel = count_panel(1).treat(["place 00"], at=3, until=5)
    seen = []

    def fit(changed):
        seen.append(changed)
        return log_change(changed)

    found = leave_one_out(log_change(panel).replace(fit=fit), by="event").frame
    assert sorted(found["left_out"]) == ["place 00, 14", "place 00, 3", "place 01, 14", "place 02, 16"]
    early = next(p for p in seen if np.isnan(p.Y[0, 3]))
    assert np.flatnonzero(np.isnan(early.Y[0])).tolist() == [3, 4]
    assert not early.D[0, 3:5].any()
    assert early.D[0, 14:].all()
    assert np.isnan(early.Y[1:]).sum() == 0


def test_failures_are_rows_and_the_sentence_says_so() -> None:
    full = log_change(count_panel(1), refuse="place 01")
    found = leave_one_out(full)
    assert found.frame["error"].tolist()[-1] == "place 01 is needed."
    assert found.frame["left_out"].tolist()[-1] == "place 01"
    assert "1 could not be left out" in found.sentence()
    assert f"most influential is {found.frame['left_out'][0]}" in str(found)


def test_a_single_decisive_unit_is_named() -> None:
    panel = count_panel(1)
    Y = panel.Y.copy()
    Y[0, 14:] *= 20
    found = leave_one_out(log_change(panel.with_outcome(Y)))
    assert found.frame["left_out"][0] == "place 00"


def test_refusals() -> None:
    full = log_change(count_panel(1))
    with pytest.raises(DesignError, match="no clusters to leave out"):
        leave_one_out(full, by="cluster")
    with pytest.raises(DesignError, match="is not an option"):
        leave_one_out(full, by="region")
    with pytest.raises(EstimationError, match="does not carry its panel"):
        leave_one_out(full.replace(fit=None))
