"""Reclassification, recording and event dates against refits worked by hand."""

import numpy as np
import pytest

from crimepolicy.errors import DesignError, EstimationError, PanelError
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.event_dates import dates_sensitivity
from crimepolicy.sensitivity.reclassification import reclassification_bounds
from crimepolicy.sensitivity.recording import recording_bounds
from tests.sensitivity.examples_panel import count_panel, log_change


def log_ratio(panel: Panel) -> Estimate:
    """Ratio of the treated units' mean counts after and before, on which reclassification acts exactly."""
    treated = panel.D.any(axis=1)
    value = np.log(np.nanmean(panel.Y[panel.D]) / np.nanmean(panel.Y[treated][~panel.D[treated]]))
    return Estimate(
        estimand="log ratio",
        value=value,
        std_error=0.1,
        method="ratio",
        citation="",
        scale="log",
        panel=panel,
        fit=log_ratio,
    )


def test_unrecorded_events_raise_the_log_effect_by_their_share() -> None:
    full = log_ratio(count_panel(1, effect=-0.15))
    found = reclassification_bounds(full, shares=(0.2, 0.0, 0.1))
    assert found.frame["share"].tolist() == [0.0, 0.1, 0.2]
    assert found.frame["estimate"].to_numpy() == pytest.approx(full.value - np.log1p([-0.0, -0.1, -0.2]))
    tip = 1 - np.exp(full.value)
    assert 0 < tip < 0.2
    assert f"at {tip:.1%} nothing is left of it" in str(found)
    assert "no share in this range undoes it" in str(reclassification_bounds(full, shares=(0.0, tip / 2)))


def test_another_series_is_added_everywhere() -> None:
    panel = count_panel(1)
    other = count_panel(2)
    found = reclassification_bounds(log_ratio(panel), shares=(0.0, 0.5, 1.0), other=other)
    again = log_ratio(panel.with_outcome(panel.Y + 0.5 * other.Y)).value
    assert found.frame["estimate"][1] == pytest.approx(again)
    assert "of deaths are added in all cells" in str(found)


def test_shares_and_panels_that_do_not_fit_are_refused() -> None:
    panel = count_panel(1)
    full = log_ratio(panel)
    with pytest.raises(DesignError, match=r"not 1.0 \(1\)"):
        reclassification_bounds(full, shares=(0.0, 1.0))
    with pytest.raises(DesignError, match="other units or periods"):
        reclassification_bounds(full, other=panel.drop(["place 00"]))
    with pytest.raises(EstimationError, match="does not carry"):
        reclassification_bounds(full.replace(panel=None))


def test_doubtful_records_are_refitted_missing_and_at_quantiles() -> None:
    panel = count_panel(3)
    found = recording_bounds(log_ratio(panel), {"place 01": (17, 19), "place 07": (2, 4)}).frame.set_index("record")
    Y = panel.Y.copy()
    Y[1, 17:20] = Y[7, 2:5] = np.nan
    assert found.loc["missing", "estimate"] == pytest.approx(log_ratio(panel.with_outcome(Y)).value)
    for q in (0.1, 0.9):
        filled = panel.Y.copy()
        filled[1, 17:20] = np.round(np.nanquantile(Y[1], q))
        filled[7, 2:5] = np.round(np.nanquantile(Y[7], q))
        assert found.loc[f"quantile {q}", "estimate"] == pytest.approx(log_ratio(panel.with_outcome(filled)).value)
    assert found.loc["as recorded", "estimate"] == log_ratio(panel).value


def test_doubtful_cells_must_exist_and_leave_some() -> None:
    full = log_ratio(count_panel(3))
    with pytest.raises(PanelError, match="No such unit"):
        recording_bounds(full, {"plaza": (1, 2)})
    with pytest.raises(DesignError, match="some, but not all"):
        recording_bounds(full, {"place 01": (0, 19)})
    with pytest.raises(DesignError, match="some, but not all"):
        recording_bounds(full, {})


def test_every_combination_of_dates_is_refitted() -> None:
    panel = count_panel(4)
    found = dates_sensitivity(log_change(panel), {"place 00": [13, 14], "place 02": [15, 16, 18]}).frame
    assert len(found) == 6
    D = panel.D.copy()
    D[0, 13], D[2, 16:18] = True, False
    moved = found[(found["place 00"] == "13") & (found["place 02"] == "18")]["estimate"].item()
    assert moved == log_change(panel.with_treatment(D)).value
    as_it_stands = found[(found["place 00"] == "14") & (found["place 02"] == "16")]["estimate"].item()
    assert as_it_stands == log_change(panel).value


def test_too_many_combinations_become_one_at_a_time() -> None:
    found = dates_sensitivity(log_change(count_panel(4)), {"place 00": [13, 14], "place 02": [15, 16, 18]}, most=5)
    assert len(found.frame) == 4
    assert "Over 4 defensible combinations of dates for 2 units" in str(found)


def test_a_moved_spell_ends_when_it_did() -> None:
    panel = count_panel(4).untreated().treat(["place 05"], at=8, until=12).treat(["place 05"], at=15)
    seen = []

    def fit(changed: Panel) -> Estimate:
        seen.append(changed.D[5])
        return log_change(changed)

    dates_sensitivity(log_change(panel).replace(fit=fit), {"place 05": [6, 10]})
    assert [np.flatnonzero(row).tolist() for row in seen] == [
        [*range(6, 12), *range(15, 20)],
        [*range(10, 12), *range(15, 20)],
    ]


def test_dates_that_do_not_fit_are_refused() -> None:
    panel = count_panel(4).untreated().treat(["place 05"], at=8, until=12)
    with pytest.raises(DesignError, match=r"place 01 \(1\) is treated"):
        dates_sensitivity(log_change(panel), {"place 01": [3]})
    with pytest.raises(DesignError, match=r"place 05 at 12 \(1\)"):
        dates_sensitivity(log_change(panel), {"place 05": [9, 12]})
