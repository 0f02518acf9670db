"""The tools on the package's own estimators, against the packages that those methods come from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from crimepolicy.did.group_time import group_time_effects
from crimepolicy.did.imputation import imputation
from crimepolicy.did.two_way import two_way_fixed_effects
from crimepolicy.errors import InferenceError
from crimepolicy.inference.cluster import cluster
from crimepolicy.inference.mechanisms import RedrawPlaces
from crimepolicy.inference.multiplier import multiplier_bootstrap
from crimepolicy.inference.randomization import randomization_test
from crimepolicy.panel import Panel

Panels = dict[str, Callable[..., Panel]]

DRAWS = 50_000
# The interquartile range of B normal draws has relative standard deviation 1.573 / (1.349 sqrt(B)); both sides are random, and
# the largest of some forty comparisons is about three of them.
MONTE_CARLO = 4 * np.sqrt(2) * 1.573 / 1.349 / np.sqrt(DRAWS)
# The 95% quantile of the largest of twelve |t|: density about 0.15 there, so sqrt(.05 * .95 / B) / .15, twice random, four of them.
CRITICAL = 4 * np.sqrt(2) * np.sqrt(0.05 * 0.95 / DRAWS) / 0.15
# The same regression solved by projections and by a dense basis.
SOLVERS = 1e-9


@pytest.fixture(scope="session")
def counties(reference_data: Callable[[str], Path]) -> Panel:
    rows = pd.read_csv(reference_data("mpdta"))
    rows = rows.assign(first=rows["first.treat"].where(rows["first.treat"] > 0), block=rows.countyreal % 50)
    return Panel.from_frame(
        rows,
        unit="countyreal",
        time="year",
        outcome="lemp",
        first_treated="first",
        covariates=["lpop"],
        cluster="block",
    )


@pytest.mark.parametrize("covariates", [(), ("lpop",)])
@pytest.mark.parametrize("by", ["unit", "cluster"])
def test_bootstrap_of_did(
    covariates: tuple[str, ...],
    by: Literal["unit", "cluster"],
    counties: Panel,
    reference: Callable[[str], dict[str, Any]],
) -> None:
    name = f"never_dr_{'lpop' if covariates else 'none'}{'_clustered50' if by == 'cluster' else ''}"
    published = reference("did_bootstrap")[name]
    effects = group_time_effects(counties, control="never", method="dr", covariates=covariates)
    result = multiplier_bootstrap(effects, by=by, draws=DRAWS)
    assert result.cells["estimate"].to_numpy() == pytest.approx(published["att"], rel=1e-8)
    assert result.cells["std_error"].to_numpy() == pytest.approx(published["std_error"], rel=MONTE_CARLO)
    if by == "unit":
        event = multiplier_bootstrap(effects.aggregate("event"), by=by, draws=DRAWS)
        assert event.path["std_error"].to_numpy() == pytest.approx(published["event_std_error"], rel=MONTE_CARLO)
        assert event.band().attrs["critical"] == pytest.approx(published["event_critical"], abs=CRITICAL)
    simple = multiplier_bootstrap(effects.aggregate("simple"), by=by, draws=DRAWS)
    assert simple.std_error == pytest.approx(published["simple_std_error"], rel=MONTE_CARLO)


def holed(panels: Panels) -> Panel:
    rng = np.random.default_rng(3)
    region = np.repeat(list("xy"), 10)
    panel = panels["normal"](20, 8, treated=0, seed=1, region=region, X={"price": rng.normal(size=(20, 8))})
    Y = panel.Y.copy()
    Y[rng.random(Y.shape) < 0.15] = np.nan
    Y[0, 1:] = np.nan
    D = np.arange(8) >= np.where(np.arange(20) % 2, 4, 99)[:, None]
    return panel.with_outcome(Y).with_treatment(D)


@pytest.mark.parametrize("effects", ["unit+period", "unit+region:period"])
@pytest.mark.parametrize("covariates", [(), ("price",)])
def test_regression_counts_as_the_estimator_does(effects: Any, covariates: tuple[str, ...], panels: Panels) -> None:
    """Unbalanced, with a unit of one cell, covariates and regional periods: N, K and the influence must all agree."""
    panel = holed(panels)
    options: dict[str, Any] = {"effects": effects, "covariates": covariates}
    own = two_way_fixed_effects(panel, correction="CR1S", **options)
    ours = cluster(two_way_fixed_effects(panel, correction="CR0", **options), correction="CR1S")
    assert ours.std_error == pytest.approx(own.std_error, rel=SOLVERS)
    assert cluster(own, correction="CR2").std_error > cluster(own, correction="CR0").std_error


def test_corrections_refuse_poisson(panels: Panels) -> None:
    with pytest.raises(InferenceError, match="not a least-squares regression"):
        cluster(two_way_fixed_effects(panels["counts"](seed=1, mean=30.0), family="poisson"), correction="CR2")


def test_poisson_imputation_under_reassignment(panels: Panels) -> None:
    """Windows are path terms of their own; skipping the variance changes no estimate."""
    panel = panels["counts"](24, 20, treated=8, seed=2, mean=40.0)
    effect = imputation(panel, family="poisson", windows={"short": (0, 3), "long": (4, 9)})
    studentised = randomization_test(effect, RedrawPlaces(), draws=39)
    plain = randomization_test(effect, RedrawPlaces(), draws=39, statistic="value")
    assert list(plain.null.columns) == ["att", "window[short]", "window[long]"]
    pd.testing.assert_frame_equal(studentised.null, plain.null, rtol=1e-9)
    assert set(studentised.null_p) == set(plain.null_p)
    assert np.isfinite(studentised.p_value("window[long]"))


def test_events_averted_are_clustered_with_the_effect(panels: Panels) -> None:
    panel = panels["counts"](24, 20, treated=8, seed=2, mean=40.0)
    effect = imputation(panel, family="poisson")
    blocks = np.arange(24) // 3
    excess = cluster(effect, blocks).excess()
    assert excess.correction == "CR1 (8 clusters)"
    sums = np.array([effect.excess().psi["att"].to_numpy()[blocks == g].sum() for g in range(8)])
    assert excess.std_error == pytest.approx(np.sqrt(8 / 7 * (sums**2).sum()), rel=1e-12)


def test_jackknife_of_an_estimate_with_companions(panels: Panels) -> None:
    panel = panels["counts"](14, 12, treated=6, at=6, seed=2, mean=40.0)
    effect = imputation(panel, family="poisson")
    result = cluster(effect, correction="CR3")
    changes = [
        effect.excess().value - imputation(panel.drop([unit]), family="poisson").excess().value for unit in panel.units
    ]
    assert result.excess().std_error == pytest.approx(np.sqrt(13 / 14 * np.square(changes).sum()), rel=1e-6)


def test_what_does_not_fit_itself_again_is_refused(panels: Panels) -> None:
    panel = panels["counts"](14, 12, treated=6, at=6, seed=2, mean=40.0)
    effect = imputation(panel, family="poisson")
    other = effect.replace(value=effect.value + 0.1)
    with pytest.raises(InferenceError, match="Fitting imputation"):
        cluster(other, correction="CR3")
    with pytest.raises(InferenceError, match="Fitting imputation"):
        randomization_test(other, RedrawPlaces())
