"""Stacked event study: dense weighted regressions on the stacked table, invariances, the ledger of events."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from crimepolicy.did.stacked import stacked_event_study
from crimepolicy.errors import DesignError, EstimationError
from crimepolicy.panel import Panel

ROUNDING = 1e-9
# Newton stops at steps of 1e-10; the dense twin by statsmodels stops on the deviance.
LIKELIHOOD = 1e-6
WINDOW = (-3, 2)


def events(seed: int = 3, n: int = 24, t: int = 20) -> Panel:
    """Six units with one-period treatments, one of them with two, one too near the end, one too near another."""
    rng = np.random.default_rng(seed)
    D = np.zeros((n, t), dtype=bool)
    for unit, onset in [(0, 5), (1, 5), (2, 9), (3, 12), (0, 13), (4, 19), (5, 6), (5, 8)]:
        D[unit, onset] = True
    population = np.exp(rng.normal(0, 0.4, (n, 1))) * np.linspace(1, 1.3, t)
    Y = rng.poisson(4 * population * np.exp(rng.normal(0, 0.2, t) + 0.4 * D)).astype(float)
    return Panel(
        Y=Y, D=D, units=pd.Index([f"u{i:02d}" for i in range(n)]), periods=pd.RangeIndex(t), population=population
    )


def table(panel: Panel) -> pd.DataFrame:
    """The stacked table, made by loops: stack, unit, event time, treated, y, weight."""
    stacks = {5: [0, 1], 9: [2], 12: [3], 13: [0]}
    rows = []
    for onset, treated in stacks.items():
        span = range(onset + WINDOW[0], onset + WINDOW[1] + 1)
        controls = [i for i in range(panel.n_units) if not panel.D[i].any()]
        for i in treated + controls:
            rows += [(onset, i, t - onset, i in treated, panel.Y[i, t], panel.population[i, t]) for t in span]
    frame = pd.DataFrame(rows, columns=["stack", "unit", "e", "treated", "y", "population"])
    units = frame.drop_duplicates(["stack", "unit"])
    share = units.groupby("stack")["treated"].sum() / units["treated"].sum()
    pool = (~units["treated"]).groupby(units["stack"]).sum() / (~units["treated"]).sum()
    frame["weight"] = np.where(frame["treated"], 1.0, frame["stack"].map(share / pool))
    return frame


def design(frame: pd.DataFrame) -> np.ndarray:
    dummies = [pd.get_dummies(frame["stack"].astype(str) + "-" + frame["unit"].astype(str))]
    dummies.append(pd.get_dummies(frame["stack"].astype(str) + "-" + frame["e"].astype(str)))
    effects = [(frame["treated"] & (frame["e"] == k)) for k in range(WINDOW[0], WINDOW[1] + 1) if k != -1]
    return np.hstack([np.column_stack(effects), *(d.to_numpy() for d in dummies)]).astype(float)


@pytest.fixture(scope="module")
def panel() -> Panel:
    return events()


def test_gaussian_path_equals_the_weighted_stacked_regression(panel: Panel) -> None:
    frame = table(panel)
    A, root = design(frame), np.sqrt(frame["weight"].to_numpy())
    dense = np.linalg.lstsq(A * root[:, None], frame["y"].to_numpy() * root, rcond=None)[0][:5]
    found = stacked_event_study(panel, window=WINDOW, control="never")
    np.testing.assert_allclose(found.path["estimate"], dense, rtol=ROUNDING)
    assert found.value == pytest.approx(dense[2:].mean(), rel=ROUNDING)


def test_poisson_path_equals_the_weighted_stacked_likelihood_and_its_sandwich(panel: Panel) -> None:
    frame = table(panel)
    A, y, w = design(frame), frame["y"].to_numpy(), frame["weight"].to_numpy()
    # One period dummy per stack is redundant beside the dummies of its units.
    first = 5 + len(frame.drop_duplicates(["stack", "unit"]))
    A = np.delete(A, first + 6 * np.arange(4), axis=1)
    model = sm.GLM(y, A, family=sm.families.Poisson(), exposure=frame["population"].to_numpy(), var_weights=w)
    fit = model.fit(tol=1e-13, maxiter=100)
    found = stacked_event_study(panel, window=WINDOW, control="never", family="poisson")
    np.testing.assert_allclose(found.path["estimate"], fit.params[:5], rtol=LIKELIHOOD)
    mean = fit.mu
    scores = A * (w * (y - mean))[:, None]
    by_unit = np.zeros((panel.n_units, A.shape[1]))
    np.add.at(by_unit, frame["unit"].to_numpy(), scores)
    psi = by_unit @ np.linalg.inv(A.T @ (A * (w * mean)[:, None]))
    np.testing.assert_allclose(found.path["std_error"], np.sqrt((psi**2).sum(axis=0))[:5], rtol=LIKELIHOOD)


def test_a_window_is_one_dummy(panel: Panel) -> None:
    found = stacked_event_study(
        panel, window=WINDOW, control="never", family="poisson", windows={"late": (1, 2), "all": (0, 2)}
    )
    assert found.path.loc["all", "estimate"] == pytest.approx(found.value, rel=LIKELIHOOD)
    assert found.aggregate("event", window=(1, 2)).value == pytest.approx(
        found.path.loc["late", "estimate"], rel=LIKELIHOOD
    )
    gaussian = stacked_event_study(panel, window=WINDOW, control="never", windows={"late": (1, 2)})
    path = stacked_event_study(panel, window=WINDOW, control="never").path
    assert gaussian.path.loc["late", "estimate"] == pytest.approx(path.loc[1:2, "estimate"].mean(), rel=ROUNDING)


def test_events_are_accounted_for(panel: Panel) -> None:
    found = stacked_event_study(panel, window=WINDOW, control="never")
    ledger = {check.name: check.value for check in found.checks}
    assert ledger == {"events_used": 5, "events_outside": 1, "events_contaminated": 2}
    assert set(found.path["n_events"]) == {5}


@pytest.mark.parametrize("control", ["never", "not_yet", "clean"])
def test_excluded_units_do_not_matter(panel: Panel, control: Any) -> None:
    Y = panel.Y.copy()
    Y[10:14] += 100 * np.random.default_rng(0).random((4, panel.n_periods))
    exclude = list(panel.units[10:14])
    options = {"window": WINDOW, "control": control, "exclude": exclude}
    assert stacked_event_study(panel, **options).value == stacked_event_study(panel.with_outcome(Y), **options).value


@pytest.mark.parametrize("control", ["never", "not_yet", "clean"])
def test_controls_are_those_that_a_loop_finds(panel: Panel, control: Any) -> None:
    counts = []
    for onset in (5, 9, 12, 13):
        since = {"never": (0, 20), "not_yet": (0, onset + 3), "clean": (onset - 3, onset + 3)}[control]
        counts.append(sum(not panel.D[i, slice(*since)].any() for i in range(panel.n_units)))
    found = stacked_event_study(panel, window=WINDOW, control=control)
    assert found.checks[0].text == f"5 events at 4 dates, with {min(counts)} to {max(counts)} controls each."


def test_period_shocks_and_unit_shifts_do_not_matter(panel: Panel) -> None:
    rng = np.random.default_rng(1)
    shocked = panel.with_outcome(panel.Y + rng.normal(size=(panel.n_units, 1)) + rng.normal(size=panel.n_periods))
    left, right = (stacked_event_study(p, window=WINDOW) for p in (panel, shocked))
    np.testing.assert_allclose(
        left.path[["estimate", "std_error"]], right.path[["estimate", "std_error"]], rtol=1e-8, atol=1e-12
    )
    scaled = replace(panel, population=panel.population * np.exp(rng.normal(size=panel.n_periods)))
    left, right = (stacked_event_study(p, window=WINDOW, family="poisson") for p in (panel, scaled))
    np.testing.assert_allclose(
        left.path[["estimate", "std_error"]], right.path[["estimate", "std_error"]], rtol=1e-7, atol=1e-9
    )


def test_a_window_that_fits_no_event_says_so(panel: Panel) -> None:
    with pytest.raises(DesignError, match="No event has a clean window"):
        stacked_event_study(panel, window=(-12, 12))
    with pytest.raises(DesignError, match="do not fit"):
        stacked_event_study(panel, window=(-3, 2), reference=0)
    with pytest.raises(DesignError, match="apart from the reference"):
        stacked_event_study(panel, window=WINDOW, windows={"all": (-2, 2)})


def test_refit_repeats_the_estimate(panel: Panel) -> None:
    found = stacked_event_study(panel, window=WINDOW, reference=(-3, -2))
    assert found.refit(panel).value == found.value
    assert stacked_event_study(panel, window=WINDOW, reference=(-3, -2), variance="none").value == found.value


@pytest.mark.parametrize("span", [(0, 2), (1, 2)])
def test_excess_counts_what_the_rate_ratio_adds_to_the_events(panel: Panel, span: Any) -> None:
    found = stacked_event_study(panel, window=WINDOW, control="never", family="poisson")
    found = found if span == (0, 2) else found.aggregate("simple", window=span)
    events = [(0, 5), (1, 5), (2, 9), (3, 12), (0, 13)]
    observed = sum(panel.Y[unit, onset + span[0] : onset + span[1] + 1].sum() for unit, onset in events)
    excess = found.excess()
    assert excess.value == pytest.approx(observed * (1 - np.exp(-found.value)), rel=ROUNDING)
    assert excess.std_error == pytest.approx(observed * np.exp(-found.value) * found.std_error, rel=ROUNDING)
    assert excess.refit(panel).value == excess.value
    with pytest.raises(EstimationError, match="no count scale"):
        stacked_event_study(panel, window=WINDOW).excess()


def test_an_event_without_weight_is_left_out_and_counted(panel: Panel) -> None:
    weights = np.ones(panel.Y.shape)
    weights[2] = np.nan
    found = stacked_event_study(replace(panel, weights=weights), window=WINDOW)
    wanted = stacked_event_study(panel.drop(["u02"]), window=WINDOW)
    assert (found.value, found.std_error) == (pytest.approx(wanted.value), pytest.approx(wanted.std_error))
    assert next(check.value for check in found.checks if check.name == "events_missing") == 1


def test_events_without_any_count_after_them_have_no_ratio(panel: Panel) -> None:
    outcome = panel.Y.copy()
    outcome[panel.D.any(axis=1)] = 0.0
    found = stacked_event_study(panel.with_outcome(outcome), window=WINDOW, family="poisson")
    assert np.isnan(found.value)
    assert [check.name for check in found.checks if check.passed is False] == ["no_ratio"]
