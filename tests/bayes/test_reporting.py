"""Under-reporting: an effect that is only a better count disappears, uncertainty of capture is added, errors are named."""

from functools import partial

import numpy as np
import pytest

from crimepolicy.bayes.reporting import Capture, with_capture
from crimepolicy.did.imputation import imputation
from crimepolicy.errors import DesignError
from tests.bayes.worlds import world

FIT = partial(imputation, family="poisson")


def counted(before=0.5, after=0.9):
    """The treated unit's deaths are thinned: half are counted before its treatment, nine tenths from then on."""
    panel, _ = world(8, 30, n_treated=1, rate=400, effect=0.0, dispersion=0.01, seed=5)
    onset = int(panel.D[0].argmax())
    share = np.where(np.arange(30) < onset, before, after)
    Y = panel.Y.copy()
    Y[0] = np.random.default_rng(0).binomial(Y[0].astype(int), share)
    return panel.with_outcome(Y), panel.periods[onset]


def test_better_counting_is_not_more_crime():
    panel, at = counted()
    capture = Capture(before=(0.5, 0.02), after=(0.9, 0.02), at=at, units=("u000",))
    found = with_capture(panel, FIT, capture)
    assert found["as_counted"].value == pytest.approx(np.log(0.9 / 0.5), abs=0.05)
    assert found["with_capture"].value == pytest.approx(0.0, abs=0.07)
    # Two shares with relative deviations of 4% and 2.2%.
    between = next(c.value for c in found["with_capture"].checks if c.name == "capture")
    assert between == pytest.approx(np.hypot(0.04, 0.022), rel=0.5)


def test_reclassification_widens_and_lifts():
    panel, at = counted()
    known = {"before": (0.5, 0.001), "after": (0.9, 0.001), "at": at, "units": ("u000",)}
    without = with_capture(panel, FIT, Capture(**known), n_draws=10)["with_capture"]
    bounds = with_capture(panel, FIT, Capture(**known, reclassified=(0.2, 0.2)), n_draws=10)["with_capture"]
    assert bounds.value - without.value == pytest.approx(-np.log(0.8), abs=0.05)


def test_a_change_everywhere_changes_nothing():
    panel, at = counted(0.7, 0.7)
    found = with_capture(panel, FIT, Capture((0.5, 0.05), (0.9, 0.02), at), n_draws=3)
    between = next(c.value for c in found["with_capture"].checks if c.name == "capture")
    assert between == pytest.approx(0, abs=1e-8)


def early_break(jump=0.9 / 0.5):
    """Counting improves in the unit whose treatment, of no effect, begins eight months later."""
    panel, _ = world(8, 40, n_treated=1, rate=400, effect=0.0, dispersion=0.01, seed=5)
    at = int(panel.D[0].argmax()) - 8
    Y = panel.Y.copy()
    Y[0, at:] = np.round(Y[0, at:] * jump)
    return panel.with_outcome(Y), panel.periods[at]


def test_counts_say_what_was_captured_where_they_can():
    panel, at = early_break()
    vague = Capture(before=(0.6, 0.15), after=(0.8, 0.1), at=at, units=("u000",))
    drawn = with_capture(panel, FIT, vague)["with_capture"]
    learned = with_capture(panel, FIT, vague, learn=True)["with_capture"]
    ratio = np.log(learned.draws["capture[after]"] / learned.draws["capture[before]"])
    assert ratio.mean() == pytest.approx(np.log(0.9 / 0.5), abs=0.05)
    # A jump measured within a few percent leaves a tenth of what the vague priors leave open.
    assert learned.std_error < 0.3 * drawn.std_error
    assert learned.value == pytest.approx(0.0, abs=0.08)
    assert next(c for c in learned.checks if c.name == "capture_learned").passed


def test_learning_is_refused_where_the_counts_cannot_tell():
    panel, onset = counted()
    known = {"before": (0.5, 0.1), "after": (0.9, 0.05)}
    with pytest.raises(DesignError, match="no untreated cell after the break"):
        with_capture(panel, FIT, Capture(**known, at=onset, units=("u000",)), learn=True)
    with pytest.raises(DesignError, match="in units whose source does not change"):
        with_capture(panel, FIT, Capture(**known, at=onset), learn=True)


def test_priors_that_the_counts_contradict_are_refused():
    panel, at = early_break(jump=1.8)
    capture = Capture(before=(0.9, 0.01), after=(0.9, 0.01), at=at, units=("u000",))
    with pytest.raises(DesignError, match=r"log ratio of 0\.\d+ .* which the two hardly allow together"):
        with_capture(panel, FIT, capture, learn=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"before": (1.2, 0.1)}, "not the mean and standard deviation of a share"),
        ({"after": (0.5, 0.6)}, "not the mean and standard deviation of a share"),
        ({"reclassified": (0.3, 0.1)}, "the smaller first"),
        ({"units": ("u00",)}, "names u00.*not in the panel"),
    ],
)
def test_impossible_shares_are_refused(options, message):
    panel, at = counted()
    with pytest.raises(DesignError, match=message):
        with_capture(panel, FIT, Capture(**({"before": (0.5, 0.1), "after": (0.9, 0.02), "at": at} | options)))


def test_other_scales_and_rates_are_refused():
    panel, at = counted()
    capture = Capture((0.5, 0.1), (0.9, 0.02), at)
    with pytest.raises(DesignError, match="log scale"):
        with_capture(panel, imputation, capture)
    with pytest.raises(DesignError, match="population"):
        with_capture(panel.rate(), FIT, capture)
