"""Peak-matched placebos: they find the artefact of treating at peaks, and nothing where there is none."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config

from crimepolicy.errors import DesignError
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.peak_placebos import peak_matched_placebos, peaks


def after_less_before(panel: Panel) -> Estimate:
    """Mean change over the six periods from each onset, less that over the six before: an estimator that peaks fool."""
    changes = []
    for unit in np.flatnonzero(panel.D.any(axis=1)):
        t = int(panel.D[unit].argmax())
        changes.append(panel.Y[unit, t : t + 6].mean() - panel.Y[unit, t - 6 : t].mean())
    value = float(np.mean(changes))
    return Estimate(
        estimand="change", value=value, std_error=1.0, method="change", citation="", panel=panel, fit=after_less_before
    )


def stationary(seed: int, at_peaks: bool, effect: float = 0.0, n: int = 60, t: int = 60) -> Panel:
    """Independent AR(1) series without any trend, treated when they have risen or at random."""
    rng = np.random.default_rng(seed)
    Y = np.zeros((n, t))
    noise = rng.normal(0, 1, (n, t))
    for k in range(1, t):
        Y[:, k] = 0.7 * Y[:, k - 1] + noise[:, k]
    rows = pd.DataFrame({"place": np.repeat(np.arange(n), t), "month": np.tile(np.arange(t), n), "rate": Y.ravel()})
    panel = Panel.from_frame(rows, unit="place", time="month", outcome="rate")
    high = peaks(panel, 6)[:, 24:50] > 2
    # Nobody acts with hindsight: a place is treated when its rise first passes the threshold, not at its later maximum.
    for unit in np.flatnonzero(high.any(axis=1))[:5]:
        start = 24 + int(high[unit].argmax() if at_peaks else rng.integers(0, 26))
        panel = panel.treat([unit], at=start, until=start + 6)
    return panel.with_outcome(panel.Y + effect * panel.D)


def test_rise_is_recent_less_earlier_in_standard_deviations() -> None:
    panel = stationary(0, at_peaks=False)
    row = panel.Y[7]
    rise = peaks(panel, 6)
    expected = (row[30:36].mean() - row[:30].mean()) / row[:30].std(ddof=1)
    assert rise[7, 36] == pytest.approx(expected)
    assert np.isnan(rise[7, :18]).all()
    assert np.isfinite(rise[7, 18:]).all()


def test_treating_at_peaks_is_seen_as_an_artefact() -> None:
    found = peak_matched_placebos(after_less_before(stationary(1, at_peaks=True)), window=6, draws=100)
    random = peak_matched_placebos(after_less_before(stationary(1, at_peaks=False)), window=6, draws=100)
    assert found.full.value < -0.5
    assert found.artefact < -1
    assert abs(random.artefact) < 0.75
    assert (found.matches["mean_placebo_peak"] - found.matches["peak"]).abs().max() <= 0.5
    assert "remain beyond regression to the mean" in str(found)


def test_a_real_effect_remains() -> None:
    found = peak_matched_placebos(after_less_before(stationary(1, at_peaks=True, effect=-4.0)), window=6, draws=99)
    assert found.p_value == pytest.approx(0.01)
    assert found.full.value - found.artefact < -2.5


def test_same_seed_same_bits_whatever_the_workers() -> None:
    estimate = after_less_before(stationary(2, at_peaks=True))
    with parallel_config(backend="threading"):
        one, two = (peak_matched_placebos(estimate, window=6, draws=20, n_jobs=n).frame for n in (1, 2))
    assert one.equals(two)


def test_events_without_match_or_history_are_refused() -> None:
    panel = stationary(1, at_peaks=True)
    with pytest.raises(DesignError, match="looked as bad as"):
        peak_matched_placebos(after_less_before(panel), window=6, caliper=1e-9)
    early = panel.untreated().treat([0], at=10)
    with pytest.raises(DesignError, match=r"Too little history before 0, 10 \(1\)"):
        peak_matched_placebos(after_less_before(early), window=6)


@pytest.mark.slow
def test_size_when_only_regression_to_the_mean_is_at_work() -> None:
    samples, p = 150, []
    for seed in range(samples):
        estimate = after_less_before(stationary(seed, at_peaks=True, n=100))
        # Some events rise so far that no untreated place matches them, which is refused and leaves the sample out.
        with suppress(DesignError):
            p.append(peak_matched_placebos(estimate, window=6, draws=39, seed=seed).p_value)
    size = float(np.mean(np.array(p) <= 0.05))
    text = f"Share of p <= 0.05 with treatment at peaks and no effect, {len(p)} samples that had matches (one-sided; standard error 1.8 points): {size:.3f}\n"
    (Path(__file__).parents[1] / "coverage" / "peak_matched_placebos.txt").write_text(text, encoding="utf-8")
    assert len(p) > samples / 2
    assert size <= 0.05 + 3 * 0.018
