"""The Goodman-Bacon decomposition: published components, and the identity."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crimepolicy.diagnostics.decomposition import bacon_decomposition
from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.errors import DesignError
from crimepolicy.panel import Panel

# Means on both sides; R reads log employment with 15 digits.
EXACT = 1e-10


def _random(seed: int) -> Panel:
    rng = np.random.default_rng(seed)
    first = rng.choice([0, 2, 3, 6, np.inf], size=25)
    first[:3] = [3, 6, np.inf]
    D = np.arange(7) >= first[:, None]
    return Panel(Y=rng.normal(size=(25, 7)).cumsum(axis=1), D=D, units=pd.Index(range(25)), periods=pd.Index(range(7)))


def test_bacondecomp(reference: Any, reference_data: Any) -> None:
    wanted = pd.DataFrame(reference("mpdta_bacondecomp")["components"])
    rows = pd.read_csv(reference_data("mpdta")).assign(first=lambda d: d["first.treat"].where(d["first.treat"] > 0))
    panel = Panel.from_frame(rows, unit="countyreal", time="year", outcome="lemp", first_treated="first")
    found = bacon_decomposition(panel).components
    keys = {
        (row.treated, 99999 if row.control is None or row.control != row.control else row.control): row
        for row in found.itertuples()
    }
    assert len(keys) == len(wanted)
    for row in wanted.itertuples():
        ours = keys[(row.treated, row.untreated)]
        np.testing.assert_allclose([ours.estimate, ours.weight], [row.estimate, row.weight], rtol=EXACT)


def test_bacondecomp_with_a_covariate(reference: Any, reference_data: Any) -> None:
    wanted = reference("mpdta_bacondecomp")["controlled"]
    rows = pd.read_csv(reference_data("mpdta")).assign(first=lambda d: d["first.treat"].where(d["first.treat"] > 0))
    rows["trend"] = rows["lpop"] * (rows["year"] - 2003)
    panel = Panel.from_frame(
        rows, unit="countyreal", time="year", outcome="lemp", first_treated="first", covariates=["trend"]
    )
    found = bacon_decomposition(panel, covariates=["trend"])
    assert found.within_weight == pytest.approx(wanted["within_weight"], rel=EXACT)
    assert found.within_estimate == pytest.approx(wanted["within_estimate"], rel=EXACT)
    ours = found.components.assign(control=found.components["control"].fillna(99999)).sort_values(
        ["treated", "control"]
    )
    theirs = pd.DataFrame(wanted["components"]).sort_values(["treated", "untreated"])
    np.testing.assert_allclose(ours[["treated", "control"]].astype(int), theirs[["treated", "untreated"]])
    np.testing.assert_allclose(ours[["estimate", "weight"]], theirs[["estimate", "weight"]], rtol=EXACT)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_with_covariates_it_adds_up_to_the_coefficient(seed: int) -> None:
    rng = np.random.default_rng(seed)
    panel = replace(_random(seed), X={name: rng.normal(size=(25, 7)) for name in ("income", "youth")})
    found = bacon_decomposition(panel, covariates=["income", "youth"])
    coefficient = two_way_fixed_effects(panel, covariates=["income", "youth"]).value
    between = (found.components["weight"] * found.components["estimate"]).sum()
    assert found.estimate == pytest.approx(coefficient, abs=1e-10)
    total = found.within_weight * found.within_estimate + (1 - found.within_weight) * between
    assert total == pytest.approx(coefficient, abs=1e-10)
    assert 0 < found.within_weight < 1
    assert "units of one group" in str(found)


def test_covariates_that_say_nothing_leave_the_plain_groups() -> None:
    panel = replace(_random(4), X={"size": np.repeat(np.arange(25.0)[:, None], 7, axis=1)})
    found = bacon_decomposition(panel, covariates=["size"])
    assert found.estimate == pytest.approx(bacon_decomposition(panel).estimate, abs=1e-10)
    assert found.within_weight == 0


def test_covariates_it_cannot_use() -> None:
    panel = replace(_random(5), X={"same": _random(5).D * 2.0, "gap": np.full((25, 7), np.nan)})
    for name, reason in (("same", "no variation"), ("gap", "complete covariates"), ("gaps", "Did you mean 'gap'")):
        with pytest.raises(DesignError, match=reason):
            bacon_decomposition(panel, covariates=[name])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_it_adds_up_to_the_coefficient(seed: int) -> None:
    panel = _random(seed)
    found = bacon_decomposition(panel)
    assert found.estimate == pytest.approx(two_way_fixed_effects(panel).value, abs=1e-10)
    assert found.components["weight"].sum() == pytest.approx(1)
    assert (found.components["weight"] >= 0).all()
    kinds = found.by_comparison()
    assert (kinds["estimate"] * kinds["weight"]).sum() == pytest.approx(found.estimate)


def test_weight_on_units_treated_already() -> None:
    found = bacon_decomposition(_random(1))
    bad = found.components["comparison"].isin(["later_earlier", "later_always"])
    assert found.checks[0].value == pytest.approx(found.components["weight"][bad].sum())
    assert found.checks[0].passed is None
    named = bacon_decomposition(replace(_random(1), X={"income": np.zeros((25, 7))}))
    assert "income" in named.checks[1].text
    assert "later against earlier" in str(found)


def test_panels_it_is_not_defined_for() -> None:
    panel = _random(2)
    Y = panel.Y.copy()
    Y[0, 0] = np.nan
    with pytest.raises(DesignError, match="balanced"):
        bacon_decomposition(panel.with_outcome(Y))
    with pytest.raises(DesignError, match="weighted"):
        bacon_decomposition(replace(panel, weights=np.random.default_rng(0).uniform(1, 2, size=(25, 7))))
    with pytest.raises(DesignError, match="same treatment history"):
        bacon_decomposition(panel.untreated())
