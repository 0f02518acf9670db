"""Extended two-way fixed effects: published numbers, dense and numerical twins, exposure, and cells without events."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from crimepolicy.did.extended_twfe import extended_twfe
from crimepolicy.errors import CrimepolicyError
from crimepolicy.panel import Panel

# etwfe's point estimates; its standard errors rest on a numeric Jacobian with about six digits.
POINT = 2e-9
JACOBIAN = 1e-5
FEOLS = 1e-9
EXACT = 1e-9

CASES = [
    f"{family}_{control}_{x}"
    for family in ("gaussian", "poisson")
    for control in ("notyet", "never")
    for x in ("nox", "lpop")
]


def _fitted(name: str, mpdta_panel: Any) -> Any:
    options: dict[str, Any] = {
        "family": "poisson" if name.startswith("poisson") else "gaussian",
        "control": "not_yet" if "notyet" in name else "never",
        "effects": "unit" if name.endswith("ivar") else "cohort",
        "covariates": ("lpop",) if name.endswith("lpop") else (),
        "correction": "CR1N",
    }
    return extended_twfe(mpdta_panel(counts=options["family"] == "poisson"), **options)


@pytest.mark.parametrize("name", [*CASES, "gaussian_notyet_ivar"])
def test_etwfe(name: str, reference: Any, mpdta_panel: Any) -> None:
    spec = reference("mpdta_etwfe")["specs"][name]
    effect = _fitted(name, mpdta_panel)
    # emfx reports differences on the scale of the outcome, which for counts is a companion.
    level = effect.companions.get("difference", effect)
    for kind in ("simple", "group", "calendar", "event"):
        if kind not in spec:
            continue
        found, wanted = level.aggregate(kind), spec[kind]
        if kind == "simple":
            np.testing.assert_allclose(found.value, wanted["estimate"], rtol=POINT)
            np.testing.assert_allclose(found.std_error, wanted["std_error"], rtol=JACOBIAN)
        else:
            assert found.path.index.tolist() == wanted["path"]
            np.testing.assert_allclose(
                found.path["estimate"], np.array(wanted["estimate"], dtype=float), rtol=POINT, atol=1e-12
            )
            np.testing.assert_allclose(
                found.path["std_error"], np.array(wanted["std_error"], dtype=float), rtol=JACOBIAN
            )
    if "simple_link" in spec:
        link = effect.companions["log_mean"]
        np.testing.assert_allclose(
            [link.value, link.std_error],
            [spec["simple_link"]["estimate"], spec["simple_link"]["std_error"]],
            rtol=JACOBIAN,
        )


@pytest.mark.parametrize("name", ["gaussian_notyet_nox", "gaussian_never_nox"])
def test_etwfe_coefficients(name: str, reference: Any, mpdta_panel: Any) -> None:
    wanted = reference("mpdta_etwfe")["specs"][name]["cells"]
    cells = _fitted(name, mpdta_panel).cells
    labels = [f".Dtreat:g::{g}:year::{t}" for g, t in zip(cells["group"], cells["time"], strict=True)]
    assert labels == wanted["term"]
    np.testing.assert_allclose(cells["estimate"], wanted["estimate"], rtol=FEOLS)
    np.testing.assert_allclose(cells["std_error"], wanted["std_error"], rtol=FEOLS)


def _fit_untreated(panel: Panel) -> np.ndarray:
    """Impute by unit and period effects from untreated cells, densely."""
    n, length = panel.Y.shape
    X = np.column_stack(
        [pd.get_dummies(np.repeat(np.arange(n), length)), pd.get_dummies(np.tile(np.arange(length), n))]
    ).astype(float)
    kept = (panel.observed & ~panel.D).ravel()
    slopes = np.linalg.lstsq(X[kept], panel.Y.ravel()[kept], rcond=None)[0]
    return (X @ slopes).reshape(n, length)


@pytest.mark.parametrize("effects", ["cohort", "unit"])
def test_balanced_gaussian_is_imputation(staggered: Any, effects: Any) -> None:
    panel = staggered(1)
    effect = extended_twfe(panel, effects=effects)
    gap = panel.Y - _fit_untreated(panel)
    assert effect.value == pytest.approx(gap[panel.D].mean(), rel=EXACT)


def _dense(panel: Panel, weights: np.ndarray) -> tuple[float, float]:
    """Return the average treated cell effect of the regression with unit effects, and its CR0 standard error."""
    n, length = panel.Y.shape
    unit, period, seen = np.repeat(np.arange(n), length), np.tile(np.arange(length), n), panel.observed.ravel()
    pairs = [(g, t) for g in (2, 4, 6) for t in range(g, length)]
    members = [((panel.G[unit] == g) & (period == t)).astype(float) for g, t in pairs]
    X = np.column_stack([*members, pd.get_dummies(unit), pd.get_dummies(period).iloc[:, 1:]]).astype(float)[seen]
    w, y = weights.ravel()[seen], panel.Y.ravel()[seen]
    bread = np.linalg.inv((X * w[:, None]).T @ X)
    slopes = bread @ (X.T @ (w * y))
    sums = pd.DataFrame(X * (w * (y - X @ slopes))[:, None]).groupby(unit[seen]).sum().to_numpy()
    size = np.array([w @ member[seen] for member in members])
    pull = bread[:, : len(pairs)] @ (size / size.sum())
    return float(size @ slopes[: len(pairs)] / size.sum()), float(np.sqrt(((sums @ pull) ** 2).sum()))


def test_dense_twin_with_gaps_and_weights(staggered: Any) -> None:
    panel = staggered(2, gaps=0.15, weighted=True)
    effect = extended_twfe(panel, effects="unit", correction="CR0")
    np.testing.assert_allclose([effect.value, effect.std_error], _dense(panel, panel.weights), rtol=1e-8)


@pytest.mark.parametrize("effects", ["cohort", "unit"])
@pytest.mark.parametrize("measure", ["log_ratio", "excess", "difference", "log_mean"])
def test_poisson_influence_is_the_derivative_in_the_weight(staggered: Any, effects: Any, measure: str) -> None:
    panel = staggered(3, n=16, counts=True, weighted=True)

    def fitted(weights: np.ndarray) -> Any:
        effect = extended_twfe(replace(panel, weights=weights), family="poisson", effects=effects)
        return effect if measure == "log_ratio" else effect.companions[measure]

    found = fitted(panel.weights)
    for i in np.flatnonzero(np.isinf(panel.G))[:3]:
        # Only never-treated units: the weight of a treated unit also moves the sample that is averaged over, which is taken as given.
        up, down = panel.weights.copy(), panel.weights.copy()
        up[i] *= 1 + 1e-4
        down[i] *= 1 - 1e-4
        assert found.psi["att"].iloc[i] == pytest.approx(
            (fitted(up).value - fitted(down).value) / 2e-4, rel=1e-5, abs=1e-9
        )


def test_poisson_without_covariates_is_ratios_of_sums(staggered: Any) -> None:
    panel = staggered(4, counts=True)
    effect = extended_twfe(panel, family="poisson", control="never", effects="cohort")
    assert effect.cells is not None
    rate = {
        g: panel.Y[g == panel.G].sum(axis=0) / panel.population[g == panel.G].sum(axis=0) for g in (2, 4, 6, np.inf)
    }
    for row in effect.cells.itertuples():
        g, t = row.group - 2000, row.time - 2000
        wanted = np.log(rate[g][t] / rate[g][g - 1] / (rate[np.inf][t] / rate[np.inf][g - 1]))
        assert row.estimate == pytest.approx(wanted, abs=1e-8)


def test_excess_is_observed_less_expected(staggered: Any) -> None:
    panel = staggered(5, counts=True)
    effect = extended_twfe(panel, family="poisson")
    observed = panel.Y[panel.D].sum()
    assert effect.excess().value == pytest.approx(observed * (1 - np.exp(-effect.value)), rel=1e-8)
    assert effect.companions["difference"].value == pytest.approx(effect.excess().value / panel.D.sum(), rel=1e-8)
    assert effect.excess().refit(panel).value == pytest.approx(effect.excess().value)


@pytest.mark.parametrize("effects", ["cohort", "unit"])
def test_cells_without_events_count_as_averted(staggered: Any, effects: Any) -> None:
    panel = staggered(6, counts=True)
    Y = panel.Y.copy()
    Y[panel.G == 4, 5] = 0
    effect = extended_twfe(panel.with_outcome(Y), family="poisson", effects=effects)
    assert effect.cells is not None
    cell = effect.cells[(effect.cells["group"] == 2004) & (effect.cells["time"] == 2005)]
    assert np.isneginf(cell["estimate"].item())
    excess = effect.excess().cells
    assert excess is not None
    assert excess.loc[cell.index, "estimate"].item() < 0
    # The rest is as if the cell had not been observed.
    Y[panel.G == 4, 5] = np.nan
    without = extended_twfe(panel.with_outcome(Y), family="poisson", effects=effects)
    assert without.cells is not None
    kept = effect.cells.drop(cell.index).reset_index(drop=True)
    np.testing.assert_allclose(kept["estimate"], without.cells["estimate"], atol=1e-8)


def test_no_never_treated_unit(staggered: Any) -> None:
    panel = staggered(7, never=False)
    effect = extended_twfe(panel)
    assert effect.cells is not None
    assert set(effect.cells["group"]) == {2002, 2004}
    assert effect.cells["time"].max() == 2005
    counts = {check.name: check.value for check in effect.checks}
    assert counts["unsupported_cells"] == 2 * panel.n_units


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_invariance_to_period_shocks(staggered: Any, family: Any) -> None:
    panel = staggered(8, counts=family == "poisson")
    shocks = np.random.default_rng(0).uniform(0.5, 2, size=8)
    moved = (
        replace(panel, population=panel.population * shocks)
        if family == "poisson"
        else panel.with_outcome(panel.Y + 5 * shocks)
    )
    before, after = extended_twfe(panel, family=family), extended_twfe(moved, family=family)
    np.testing.assert_allclose([after.value, after.std_error], [before.value, before.std_error], rtol=1e-7)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda p: p.untreated(), {}, "Nobody is treated after"),
        (lambda p: p.with_treatment(np.arange(8) >= np.full((40, 1), 4)), {}, "No treated cell can be compared"),
        (lambda p: p, {"covariates": ("w",)}, "No such covariate"),
        (lambda p: p.with_outcome(np.where(p.D, 0, np.abs(p.Y))), {"family": "poisson"}, "minus infinity"),
    ],
)
def test_designs_that_are_refused(staggered: Any, change: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CrimepolicyError, match=message):
        extended_twfe(change(staggered(0)), **options)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_a_unit_without_a_reference_cell_stays_where_its_cohort_has_one(family: Any, staggered: Any) -> None:
    panel = staggered(4, counts=family == "poisson", gaps=0.15)
    effect = extended_twfe(panel, family=family, effects="unit", control="never")
    treated = np.flatnonzero(np.isfinite(panel.G))
    assert not panel.observed[treated, panel.G[treated].astype(int) - 1].all()
    assert next(check.value for check in effect.checks if check.name == "unsupported_cells") == 0
    # The dense regression: units, periods and one effect per treated cohort and period but the last one before treatment.
    unit, period = np.nonzero(panel.observed)
    first = panel.G[unit]
    pairs = [(g, t) for g in (2, 4, 6) for t in range(panel.n_periods) if t != g - 1]
    columns = [(first == g) & (period == t) for g, t in pairs]
    design = np.column_stack([np.eye(panel.n_units)[unit], np.eye(panel.n_periods)[period][:, 1:], *columns])
    y, offset = panel.Y[unit, period], 0.0
    if family == "gaussian":
        fitted = np.linalg.lstsq(design, y, rcond=None)[0][-len(pairs) :]
    else:
        offset = np.log(panel.population[unit, period])  # type: ignore[index]
        model = sm.GLM(y, design.astype(float), family=sm.families.Poisson(), offset=offset)
        fitted = model.fit(tol=1e-13, maxiter=200).params[-len(pairs) :]
        effect = effect.companions["log_mean"]
    assert effect.cells is not None
    found = effect.cells.set_index(["group", "time"])["estimate"]
    np.testing.assert_allclose([found[2000 + g, 2000 + t] for g, t in pairs], fitted, rtol=1e-6, atol=1e-8)


def test_what_unit_effects_absorb_does_not_count_as_a_parameter(staggered: Any) -> None:
    panel = staggered(3)
    effect = extended_twfe(panel, effects="unit", covariates=("x",), correction="CR1N")
    plain = extended_twfe(panel, effects="unit", covariates=("x",), correction="CR1")
    # A slope of the covariate by period and by treated cell; those by cohort are constant within units.
    cells = len(effect.cells)  # type: ignore[arg-type]
    parameters = 1 + 2 * (panel.n_periods - 1) + 2 * cells
    factor = (panel.Y.size - 1) / (panel.Y.size - parameters)
    assert (effect.std_error / plain.std_error) ** 2 == pytest.approx(factor, rel=1e-12)
