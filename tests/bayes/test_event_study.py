"""The Bayesian event study: recovery, shrinkage, agreement with imputation, determinism, errors."""

import numpy as np
import pandas as pd
import pytest

from crimepolicy.bayes.event_cells import event_cells
from crimepolicy.bayes.event_study import bayesian_event_study
from crimepolicy.bayes.moderators import code_moderators
from crimepolicy.did.imputation import imputation
from crimepolicy.errors import DesignError
from crimepolicy.panel import Panel
from tests.bayes.worlds import world

pytestmark = pytest.mark.bayes

QUICK = {"window": (-3, 8), "draws": 200, "tune": 200}


def rows(D, Y=None):
    n, t = D.shape
    frame = pd.DataFrame({"u": np.repeat(np.arange(n), t), "t": np.tile(np.arange(t), n), "d": D.ravel().astype(int)})
    frame["y"] = 1.0 if Y is None else Y.ravel()
    return Panel.from_frame(frame, unit="u", time="t", outcome="y", treated="d", missing="keep")


def test_spells_windows_and_what_is_set_aside():
    D = np.zeros((3, 12), dtype=bool)
    D[0, 3:6] = D[0, 8:12] = D[1, :4] = True
    events = event_cells(rows(D), window=(-3, 2))
    assert events.ids == ("0@3", "0@8")
    absent = D.size
    # The second spell has two untreated months before it; its fourth treated month lies beyond the window.
    assert events.cell.tolist() == [[0, 1, 2, 3, 4, 5], [absent, 6, 7, 8, 9, 10]]
    assert not events.used[0, 11]
    assert not events.used[1, :4].any()
    assert events.used.sum() == D.size - 5
    found = {check.name: check.value for check in events.checks}
    assert found["treated_cells_set_aside"] == 5


def test_missing_cells_are_left_out_and_counted():
    D = np.zeros((2, 8), dtype=bool)
    D[0, 4:] = True
    Y = np.ones(D.shape)
    Y[0, 5] = Y[1, 1] = np.nan
    events = event_cells(rows(D, Y), window=(-2, 3))
    assert events.cell.tolist() == [[2, 3, 4, 16, 6, 7]]
    assert {c.name: c.value for c in events.checks}["missing_cells"] == 2


@pytest.fixture(scope="module")
def plentiful():
    return world(12, 36, n_treated=5, rate=300, effect=0.3, dispersion=0.02, seed=3)


def test_agrees_with_imputation_where_data_are_plentiful(plentiful):
    panel, _ = plentiful
    ours = bayesian_event_study(panel, family="poisson", pooling="none", **QUICK)
    theirs = imputation(panel, family="poisson", horizon=(0, 8))
    pooled = ours.companions["pooled"]
    # Hundreds of deaths a month: what is left is the smoothing of period effects, below one percent of the rate.
    assert pooled.value == pytest.approx(theirs.value, abs=0.01)
    assert ours.excess().value == pytest.approx(theirs.excess().value, rel=0.03)


def test_recovers_the_effects_of_events(plentiful):
    panel, truth = plentiful
    ours = bayesian_event_study(panel, **QUICK)
    assert ours.value == pytest.approx(truth.mean(), abs=3 * ours.std_error + 0.02)
    assert ours.scale == "log"
    low, high = ours.interval(term="att")
    assert low < ours.value < high
    assert ours.path.loc[-1, "estimate"] == 0
    assert set(ours.companions) == {"excess", "pooled", "events", "new_event"}
    # Somebody else's truce is less certain than the mean of those that were seen.
    assert ours.companions["new_event"].std_error > ours.std_error


def test_same_seed_same_bits():
    panel, _ = world(5, 16, n_treated=3, rate=5)
    first, again = (bayesian_event_study(panel, window=(-2, 4), draws=40, tune=40, seed=5) for _ in range(2))
    pd.testing.assert_frame_equal(first.draws, again.draws, check_exact=True)
    other = bayesian_event_study(panel, window=(-2, 4), draws=40, tune=40, seed=6)
    assert not np.array_equal(first.draws["att"], other.draws["att"])
    assert first.refit(panel).value == first.value


def test_shrinks_where_data_are_weak():
    panel, truth = world(12, 30, n_treated=6, rate=1.5, effect=0.3, spread=0.2, seed=1)
    partial = bayesian_event_study(panel, pooling="partial", **QUICK).companions["events"].path
    alone = bayesian_event_study(panel, pooling="none", **QUICK).companions["events"].path
    assert partial["estimate"].std() < 0.8 * alone["estimate"].std()
    error = [float(((p["estimate"] - truth[: len(p)]) ** 2).mean()) for p in (partial, alone)]
    assert error[0] < error[1]


def test_mostly_zeros():
    panel, _ = world(20, 40, n_treated=8, rate=0.2, effect=0.8, dispersion=0.3, seed=2)
    assert (panel.Y == 0).mean() > 0.75
    ours = bayesian_event_study(panel, **QUICK)
    assert abs(ours.value - 0.8) < 3 * ours.std_error
    zeros = next(check for check in ours.checks if check.name == "predictive_zeros")
    assert zeros.passed


@pytest.mark.slow
def test_moderators_explain_differences():
    panel, truth = world(14, 36, n_treated=8, rate=200, effect=0.2, spread=0.4, dispersion=0.03, seed=4)
    events = event_cells(panel, window=(-3, 8))
    table = pd.DataFrame({"rank": truth}, index=list(events.ids))
    ours = bayesian_event_study(panel, moderators=table, **QUICK)
    assert ours.draws["moderator[rank]"].mean() == pytest.approx(truth.std(), abs=0.1)


def test_text_becomes_indicators_that_keep_their_unit():
    ids = ["a@1", "b@1", "c@1", "d@1"]
    table = pd.DataFrame({"rank": ["leader", "deputy", "leader", "deputy"], "groups": [1, 2, 3, 4]}, index=ids[::-1])
    coded = code_moderators(ids, table)
    assert coded.columns.tolist() == ["groups", "rank_leader"]
    assert coded.index.tolist() == ids
    np.testing.assert_allclose(coded.mean(), 0, atol=1e-15)
    assert coded["groups"].std(ddof=0) == pytest.approx(1)
    assert coded["rank_leader"].tolist() == [-0.5, 0.5, -0.5, 0.5]
    assert code_moderators(ids, table[["groups"]]).columns.tolist() == ["groups"]
    assert code_moderators(ids, table[["rank"]]).columns.tolist() == ["rank_leader"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.to_dict(), "one row per event, not a dict"),
        (lambda t: t.iloc[1:], "no row for a@1 .*Index it by event"),
        (lambda t: pd.concat([t, t]), "several rows for a@1, b@1"),
        (lambda t: t.assign(groups=[1.0, np.nan]), "missing in b@1, groups"),
        (lambda t: t.assign(rank="leader"), "the same for every event explain nothing: rank"),
    ],
)
def test_moderators_that_do_not_fit_are_named(change, message):
    table = pd.DataFrame({"rank": ["leader", "deputy"], "groups": [1.0, 2.0]}, index=["a@1", "b@1"])
    with pytest.raises(DesignError, match=message):
        code_moderators(["a@1", "b@1"], change(table))


@pytest.mark.slow
def test_spatial_effects_and_regions_run():
    n = 9
    pairs = [(f"u{i:03d}", f"u{i + 1:03d}") for i in range(n - 1)]
    neighbours = pd.DataFrame(pairs + [(b, a) for a, b in pairs], columns=["unit", "neighbour"])
    panel, truth = world(n, 30, n_treated=4, rate=80, effect=0.3, dispersion=0.05, neighbours=neighbours)
    ours = bayesian_event_study(
        panel, unit_effects="spatial", effects="unit+region:period", path="gaussian_process", **QUICK
    )
    assert ours.draws["scale[spatial_share]"].between(0, 1).all()
    assert ours.value == pytest.approx(truth.mean(), abs=4 * ours.std_error + 0.02)


def test_one_chain_is_a_failed_check():
    panel, _ = world(6, 24, n_treated=3, rate=5)
    ours = bayesian_event_study(panel, window=(-2, 4), draws=40, tune=40, chains=1)
    assert str(ours).startswith("[FAILED] rhat")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"family": "gaussian"}, "family='gaussian' is not an option"),
        ({"sampler": "gibbs"}, "sampler='gibbs' is not an option"),
        ({"window": (1, 5)}, "should begin at"),
        ({"window": 6}, "should be two numbers of periods"),
        ({"event_scale": -1}, "event_scale=-1 should be a positive number"),
        ({"draws": 0}, "draws=0 should be a whole number"),
        ({"unit_effects": "spatial"}, "no neighbours"),
        ({"moderators": pd.DataFrame({"x": [1.0]}, index=["nowhere"])}, "no row for"),
        ({"anticipation": 9}, "window"),
    ],
)
def test_bad_input_is_named(options, message):
    panel, _ = world(6, 24, n_treated=3)
    with pytest.raises(DesignError, match=message):
        bayesian_event_study(panel, **({"window": (-2, 4)} | options))


def test_outcomes_that_are_not_counts_are_refused():
    panel, _ = world(6, 24, n_treated=3)
    with pytest.raises(DesignError, match="should be a count"):
        bayesian_event_study(panel.rate(), window=(-2, 4))
    with pytest.raises(DesignError, match="Nobody is treated"):
        bayesian_event_study(panel.untreated(), window=(-2, 4))
