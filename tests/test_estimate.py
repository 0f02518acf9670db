"""The estimate: every number of it follows from its influence functions, draws or placebos."""

import json
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

from crimepolicy.errors import DesignError, EstimationError, InferenceError
from crimepolicy.estimate import HEADLINE, Check, Estimate
from crimepolicy.panel import Panel

TERMS = [HEADLINE, "event_time[-1]", "event_time[0]", "event_time[1]"]


def panel(kind: str = "pandas", cluster: str | None = None) -> Panel:
    rows = pd.DataFrame({"unit": np.repeat(list("abcdefgh"), 4), "year": np.tile(range(4), 8)})
    rows["deaths"] = np.random.default_rng(1).poisson(5, 32)
    rows["truce"] = ((rows.unit < "d") & (rows.year > 1)).astype(int)
    rows["pair"] = rows.unit.map(dict(zip("abcdefgh", "ppqqrrss", strict=True)))
    frame: Any = rows if kind == "pandas" else pl.DataFrame({name: column.to_list() for name, column in rows.items()})
    return Panel.from_frame(
        frame, unit="unit", time="year", outcome="deaths", treated="truce", cluster=cluster, name="toy"
    )


def estimate(seed: int = 0, **changes: Any) -> Estimate:
    where = changes.pop("panel", None) or panel()
    psi = pd.DataFrame(np.random.default_rng(seed).normal(size=(8, 4)) / 20, index=where.units, columns=TERMS)
    path = pd.DataFrame({"estimate": [0.05, 0.2, 0.3]}, index=pd.Index([-1, 0, 1], name="event_time"))
    options: dict[str, Any] = {
        "value": 0.25,
        "scale": "log",
        "estimand": "effect of truce",
        "method": "Test",
        "citation": "Nobody 2001",
    }
    return Estimate.from_psi(psi=psi, panel=where, path=path, **(options | changes))


def test_standard_errors_are_sums_of_squared_influence() -> None:
    e = estimate(factor=1.5)
    assert e.psi is not None
    np.testing.assert_allclose(e.std_errors, np.sqrt(1.5 * (e.psi**2).sum()))
    np.testing.assert_allclose(e.covariance(), 1.5 * e.psi.T @ e.psi)


def test_clusters_are_summed_first() -> None:
    e = estimate(panel=panel(cluster="pair"))
    assert e.psi is not None
    sums = e.psi.groupby(np.array(list("ppqqrrss"))).sum()
    np.testing.assert_allclose(e.std_errors, np.sqrt((sums**2).sum()))


def test_one_cluster_is_refused() -> None:
    rows = panel().to_frame().assign(all="x")
    one = Panel.from_frame(rows, unit="unit", time="period", outcome="deaths", treated="treated", cluster="all")
    with pytest.raises(InferenceError, match=r"Only one cluster.*randomization_test"):
        estimate(panel=one)


@pytest.mark.parametrize("df", [None, 5.0])
def test_interval_and_p_value_agree(df: float | None) -> None:
    e = estimate(df=df)
    p = e.p_value()
    low, high = e.interval(1 - p)
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-12)
    reference = stats.norm if df is None else stats.t(df)
    assert p == pytest.approx(2 * reference.sf(abs(e.value / e.std_error)))


def test_a_band_is_wider_than_pointwise_and_narrower_than_bonferroni() -> None:
    e = estimate()
    critical = e.band().attrs["critical"]
    assert stats.norm.ppf(0.975) < critical < stats.norm.ppf(1 - 0.025 / 3) * 1.02
    assert e.band(seed=0).equals(e.band(seed=0))


def test_a_band_covers_all_entries_at_once() -> None:
    """With perfectly correlated entries the band is the pointwise interval."""
    e = estimate()
    assert e.psi is not None
    same = pd.DataFrame(dict.fromkeys(TERMS, e.psi[HEADLINE]))
    twin = Estimate.from_psi(value=0.25, psi=same, panel=panel(), path=e.path, estimand="", method="", citation="")
    # Monte Carlo error of a 95% quantile from 20,000 draws is about 0.02.
    assert twin.band().attrs["critical"] == pytest.approx(stats.norm.ppf(0.975), abs=0.04)


def test_ratios_keep_tests_and_map_intervals() -> None:
    log = estimate()
    ratio = log.as_ratio()
    assert ratio.value == pytest.approx(np.exp(log.value))
    np.testing.assert_allclose(ratio.interval(), np.exp(log.interval()))
    assert ratio.p_value() == pytest.approx(log.p_value())
    np.testing.assert_allclose(ratio.covariance().to_numpy().diagonal() ** 0.5, ratio.std_errors)
    np.testing.assert_allclose(ratio.band()["conf_low"], np.exp(log.band()["conf_low"]))
    assert ratio.detectable_effect() == pytest.approx(np.exp(log.detectable_effect()))
    with pytest.raises(EstimationError, match="only log effects"):
        estimate(scale="level").as_ratio()


def test_differences_use_shared_units() -> None:
    left, right = estimate(0), estimate(1, value=0.1)
    difference = left - right
    assert left.psi is not None
    assert right.psi is not None
    assert difference.value == pytest.approx(0.15)
    assert difference.std_error == pytest.approx(np.sqrt(((left.psi[HEADLINE] - right.psi[HEADLINE]) ** 2).sum()))
    assert (left - left).std_error == 0
    with pytest.raises(EstimationError, match="one additive scale"):
        _ = left - right.as_ratio()


def test_draws_give_quantiles() -> None:
    draws = pd.DataFrame({HEADLINE: np.linspace(-0.1, 0.9, 1001)})
    e = Estimate(estimand="x", value=0.4, std_error=0.3, method="Bayes", citation="", draws=draws)
    assert e.interval(0.9) == pytest.approx((-0.05, 0.85))
    assert e.p_value() == pytest.approx(2 * 0.0999, abs=2e-3)


@pytest.mark.parametrize("scale", ["level", "log"])
def test_placebos_give_exact_p_values(scale: Any) -> None:
    null = pd.DataFrame({HEADLINE: [0.1, -0.2, 0.3, -0.4]})
    e = Estimate(estimand="x", value=0.3, std_error=float("nan"), method="Placebo", citation="", null=null, scale=scale)
    assert e.p_value() == pytest.approx(3 / 5)
    assert e.interval(0.5)[0] < 0.3 < e.interval(0.5)[1]
    if scale == "log":
        ratio = e.as_ratio()
        assert ratio.p_value() == pytest.approx(3 / 5)
        np.testing.assert_allclose(ratio.interval(0.5), np.exp(e.interval(0.5)))


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_tidy_has_the_same_columns_for_everybody(kind: str) -> None:
    frame = estimate(panel=panel(kind)).tidy()
    assert type(frame) is (pd.DataFrame if kind == "pandas" else pl.DataFrame)
    expected = (
        "term event_time group estimate std_error statistic p_value conf_low conf_high method n_units n_treated panel"
    )
    assert list(frame.columns) == expected.split()
    assert list(frame["term"]) == TERMS
    assert list(frame["event_time"])[1:] == [-1, 0, 1]


def test_json_goes_round() -> None:
    companion = estimate(3, scale="level")
    e = estimate(
        companions={"excess": companion},
        checks=(Check("x", False, 3.0, "Three."),),
        options={"family": "poisson", "k": np.int64(3)},
    )
    again = Estimate.from_dict(json.loads(json.dumps(e.to_dict())))
    pd.testing.assert_frame_equal(again.tidy(), e.tidy())
    pd.testing.assert_frame_equal(again.band(), e.band())
    assert again.checks == e.checks
    assert again.excess().value == e.excess().value
    with pytest.raises(EstimationError, match="read from a file"):
        again.refit(panel())


def test_what_an_estimate_does_not_have_is_said() -> None:
    e = Estimate(estimand="x", value=1.0, std_error=1.0, method="Bare", citation="")
    for call, message in [(e.excess, "no count scale"), (e.band, "no path"), (e.covariance, "placebo effects only")]:
        with pytest.raises((EstimationError, InferenceError), match=message):
            call()
    with pytest.raises(EstimationError, match="no group-time cells"):
        e.aggregate("event")
    with pytest.raises(DesignError, match="Use one of: 'simple'"):
        e.aggregate("median")  # type: ignore[arg-type]
    with pytest.raises(InferenceError, match=r"between 0 and 1"):
        e.interval(95)


def test_refit_calls_the_function_that_made_it() -> None:
    made = partial(estimate, 0)
    e = estimate(fit=lambda p: made(panel=p))
    assert e.refit(panel()).value == e.value


def test_the_sentence_states_what_a_paper_needs() -> None:
    text = str(estimate(checks=(Check("pretrend", False, 0.01, "Leads differ from zero."),)))
    assert text.splitlines()[0] == "[FAILED] pretrend: Leads differ from zero."
    for part in ("Effect of truce: +28.4% (95% interval", "CR0", "p = ", "3 treated of 8 units", "Test"):
        assert part in text


def test_html_is_escaped() -> None:
    html = estimate(estimand="effect of <b>truce</b>")._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html


def test_an_average_refits_as_the_average_it_is() -> None:
    def halve(e: Estimate, kind: str, *, by: float) -> Estimate:
        return e.replace(value=e.value / by, aggregator=None)

    def fit(p: Panel) -> Estimate:
        return estimate(panel=p, fit=fit, aggregator=halve)

    half = fit(panel()).aggregate("event", by=2.0)
    assert half.value == 0.125
    assert half.refit(panel()).value == 0.125
