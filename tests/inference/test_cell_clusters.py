"""Standard errors from cells: statsmodels, sums written out, and what they refuse."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.errors import DesignError, EstimationError, InferenceError
from crimepolicy.inference.cell_scores import cell_scores
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.conley import conley
from crimepolicy.panel import Panel

# Dummies there, projections here.
SOLVERS = 1e-8


def drawn(seed: int = 0, n: int = 14, length: int = 9, gaps: float = 0.0, **options: Any) -> Panel:
    rng = np.random.default_rng(seed)
    first = np.resize([3.0, 6.0, np.inf], n)
    D = np.arange(length) >= first[:, None]
    Y = rng.normal(size=(n, 1)) + rng.normal(size=length) + D + rng.normal(size=(n, length)).cumsum(axis=1) / 2
    Y = np.where(rng.random(Y.shape) < gaps, np.nan, Y)
    return Panel(
        Y=Y,
        D=D,
        units=pd.Index([f"u{i:02d}" for i in range(n)]),
        periods=pd.RangeIndex(length),
        X={"x": rng.normal(size=Y.shape)},
        **options,
    )


def dummies(panel: Panel) -> tuple[Any, np.ndarray, np.ndarray]:
    """Return the regression with dummies of statsmodels, and the unit and period of its rows."""
    unit, period = np.nonzero(panel.observed)
    names = np.column_stack([pd.get_dummies(unit).to_numpy(float), pd.get_dummies(period).to_numpy(float)[:, 1:]])
    regressors = [panel.D[unit, period].astype(float), panel.X["x"][unit, period]]
    return sm.OLS(panel.Y[unit, period], np.column_stack([*regressors, names])), unit, period


TERMS = ["att", "covariate[x]"]


@pytest.mark.parametrize("gaps", [0.0, 0.1])
def test_statsmodels(gaps: float) -> None:
    panel = drawn(gaps=gaps)
    effect = two_way_fixed_effects(panel, covariates=["x"])
    model, unit, period = dummies(panel)
    twins = {
        "nonrobust": cluster(effect, correction="iid"),
        "HC0": cluster(effect, "cell", correction="CR0"),
        "HC1": cluster(effect, "cell", correction="CR1S"),
    }
    fits = {name: (found, model.fit(cov_type=name)) for name, found in twins.items()}
    by_period = {"groups": period, "use_correction": False}
    fits["period"] = (cluster(effect, "period", correction="CR0"), model.fit(cov_type="cluster", cov_kwds=by_period))
    both = {"groups": np.column_stack([unit, period]), "use_correction": True}
    fits["both"] = (
        cluster(effect, "unit", second="period", correction="CR1S"),
        model.fit(cov_type="cluster", cov_kwds=both),
    )
    for found, dense in fits.values():
        # The other diagonal elements, of dummies, may be negative there.
        dense_errors = np.sqrt(np.diag(dense.cov_params())[:2])
        np.testing.assert_allclose(found.std_errors[TERMS], dense_errors, rtol=SOLVERS)


@pytest.mark.parametrize("lags", [0, 1, 3])
def test_lags_of_statsmodels(lags: int) -> None:
    panel = drawn(1)
    effect = two_way_fixed_effects(panel, covariates=["x"])
    model, unit, period = dummies(panel)
    kraay = model.fit(cov_type="hac-groupsum", cov_kwds={"time": period, "maxlags": lags, "use_correction": False})
    west = model.fit(cov_type="hac-panel", cov_kwds={"groups": unit, "maxlags": lags, "use_correction": False})
    for by, dense in (("period", kraay), ("cell", west)):
        found = cluster(effect, by, correction="CR0", lags=lags)
        np.testing.assert_allclose(found.std_errors[TERMS], dense.bse[:2], rtol=SOLVERS)


@pytest.mark.parametrize("lags", [0, 2])
def test_conley_with_lags_is_the_double_sum(lags: int) -> None:
    line = np.column_stack([np.arange(14) * 0.4, np.zeros(14)])
    effect = two_way_fixed_effects(drawn(2, gaps=0.1, coordinates=line))
    scores = cell_scores(effect)
    step = 6371.0088 * np.radians(0.4)
    total = 0.0
    for a, b in product(range(len(scores.unit)), repeat=2):
        apart, later = abs(scores.unit[a] - scores.unit[b]) * step, abs(scores.period[a] - scores.period[b])
        near = max(1 - apart / 150, 0) * (later == 0) if apart else max(1 - later / (lags + 1), 0)
        total += near * scores.values[a, 0] * scores.values[b, 0]
    found = conley(effect, km=150, lags=lags)
    assert found.std_error == pytest.approx(np.sqrt(total), rel=SOLVERS)
    assert found.correction == f"Conley (bartlett, 150 km, {lags} lags)"


def test_cells_sum_to_units() -> None:
    panel = drawn(3, gaps=0.1)
    effect = two_way_fixed_effects(panel, event_study=(-2, 3))
    scores = cell_scores(effect)
    sums = pd.DataFrame(scores.values, columns=list(scores.terms)).groupby(scores.unit).sum()
    np.testing.assert_allclose(sums, effect.psi, atol=1e-12)
    plain, cells = cluster(effect, correction="CR1"), cluster(effect, "unit", correction="CR1N")
    ratio = cells.std_errors.dropna() / plain.std_errors.dropna()
    np.testing.assert_allclose(ratio, ratio.iloc[0], rtol=1e-10)
    assert ratio.iloc[0] > 1


def test_counts_and_their_excess() -> None:
    panel = drawn(4)
    counts = replace(panel, Y=np.random.default_rng(5).poisson(20 * np.exp(panel.Y / 4)).astype(float))
    effect = two_way_fixed_effects(counts, family="poisson", event_study=(-2, 3))
    periods = cluster(effect, "period", correction="CR0")
    assert periods.excess().correction == "CR0 (9 periods)"
    summed = pd.DataFrame(cell_scores(effect.excess()).values).groupby(cell_scores(effect).unit).sum()
    np.testing.assert_allclose(summed, effect.excess().psi, rtol=1e-8, atol=1e-10)
    again = periods.refit(counts)
    assert again.std_error == periods.std_error
    with pytest.raises(InferenceError, match="no influence by cell"):
        cluster(effect.as_ratio(), "period")


def test_an_indefinite_covariance_is_reported() -> None:
    effect = two_way_fixed_effects(drawn(6, n=6, length=8), event_study=(-2, 4))
    found = cluster(effect, "unit", second="period", correction="CR0")
    check = next(check for check in found.checks if check.name == "kernel_definite")
    matrix = found.covariance().to_numpy()
    assert check.passed is False
    assert np.linalg.eigvalsh(matrix).min() > -1e-12


def test_what_is_not_defined_says_so() -> None:
    effect = two_way_fixed_effects(drawn())
    with pytest.raises(InferenceError, match="lags go with"):
        cluster(effect, "unit", lags=2)
    with pytest.raises(DesignError, match="'CR1N'"):
        cluster(effect, "period", correction="CR2")
    periods = cluster(effect, "period")
    with pytest.raises(InferenceError, match="already combined"):
        cluster(periods)
    with pytest.raises(EstimationError, match="Subtract first"):
        _ = periods - effect
