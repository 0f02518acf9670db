"""Other vintages and boundaries against fits worked by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crimepolicy.errors import DesignError
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.vintages import vintage_bounds
from tests.sensitivity.examples_panel import count_panel


def difference_in_means(panel: Panel) -> Estimate:
    """Mean of the treated cells less that of the others: what is added to treated cells moves it by as much."""
    gap = np.nanmean(panel.Y[panel.D]) - np.nanmean(panel.Y[~panel.D])
    facts = {"estimand": "gap", "method": "means", "citation": "", "std_error": 1.0, "n_units": panel.n_units}
    return Estimate(value=gap, panel=panel, fit=difference_in_means, **facts)


def test_other_vintages_are_compared_on_common_cells() -> None:
    panel = count_panel(1)
    effect = difference_in_means(panel)
    fewer = panel.drop(panel.units[-1:]).window(panel.periods[1])
    changed = fewer.untreated().with_outcome(fewer.Y + 3.0 * fewer.D)
    frame = vintage_bounds(effect, {"same": panel.untreated(), "new": changed}).frame
    assert frame["vintage"].tolist() == ["as it stands", "same", "same", "new", "new"]
    assert frame["estimate"][:3].to_numpy() == pytest.approx(effect.value)
    assert frame["estimate"][3] == pytest.approx(difference_in_means(fewer).value)
    # Only treated cells were revised, all by the same amount.
    assert frame["estimate"][4] - frame["estimate"][3] == pytest.approx(3.0)


def test_merged_places_are_treated_where_a_part_is() -> None:
    panel = count_panel(1)
    first, second = panel.units[:2]
    merged = panel.drop([second]).untreated()
    laid = vintage_bounds(difference_in_means(panel), {"merged": merged}, crosswalks={"merged": {second: first}}).frame
    by_hand = merged.with_treatment(np.vstack([panel.D[:1] | panel.D[1:2], panel.D[2:]]))
    assert laid["estimate"].iloc[-1] == pytest.approx(difference_in_means(by_hand).value)
    assert laid["n_units"].iloc[-1] == panel.n_units - 1


def test_vintages_without_common_cells_are_refused() -> None:
    panel = count_panel(1)
    other = replace(panel, units=pd.Index([f"x{unit}" for unit in panel.units]))
    with pytest.raises(DesignError, match="no other vintage"):
        vintage_bounds(difference_in_means(panel), {})
    with pytest.raises(DesignError, match="no unit in common"):
        vintage_bounds(difference_in_means(panel), {"new codes": other})
    with pytest.raises(DesignError, match="no period in common"):
        vintage_bounds(difference_in_means(panel), {"later": replace(panel, periods=panel.periods + 100)})
    months = pd.period_range("2001-01", periods=panel.n_periods, freq="M")
    with pytest.raises(DesignError, match="another length"):
        vintage_bounds(difference_in_means(panel), {"months": replace(panel, periods=months)})


def test_the_largest_revision_is_named() -> None:
    panel = count_panel(1)
    revisions = {name: panel.with_outcome(panel.Y + step * panel.D) for name, step in (("small", 0.5), ("large", -2.0))}
    text = str(vintage_bounds(difference_in_means(panel), revisions))
    assert "large moves it most, by -2" in text
