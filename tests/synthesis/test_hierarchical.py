"""The hierarchical synthesis against integration over mean and spread by brute force, its limits, and its calibration."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from crimepolicy.errors import DesignError
from crimepolicy.synthesis.hierarchical import hierarchical_synthesis
from crimepolicy.synthesis.meta import synthesise
from tests.synthesis.bcg import study, trials

Y, S = np.array([-0.6, -0.1, 0.1, -0.3, 0.4]), np.array([0.2, 0.1, 0.3, 0.25, 0.4])


def brute_force(y: np.ndarray, s: np.ndarray, scale: float) -> dict[str, float]:
    mu, tau = np.meshgrid(np.linspace(-3, 3, 1501), np.linspace(0, 5 * scale, 1500), indexing="ij")
    log = -(tau**2) / (2 * scale**2)
    for value, error in zip(y, s, strict=True):
        log = log + stats.norm.logpdf(value, mu, np.sqrt(error**2 + tau**2))
    mass = np.exp(log - log.max())
    mass[:, 0] /= 2
    mass /= mass.sum()
    mean = float((mass * mu).sum())
    cumulative = np.cumsum(mass.sum(axis=1))
    return {
        "mean": mean,
        "sd": float(np.sqrt((mass * (mu - mean) ** 2).sum())),
        "tau": float((mass * tau).sum()),
        "low": float(np.interp(0.025, cumulative, mu[:, 0])),
        "high": float(np.interp(0.975, cumulative, mu[:, 0])),
        "shrunken": float((mass * (mu + tau**2 / (tau**2 + s[0] ** 2) * (y[0] - mu))).sum()),
    }


def test_moments_and_quantiles_are_those_of_brute_force() -> None:
    found = hierarchical_synthesis([study(y, s) for y, s in zip(Y, S, strict=True)], tau_scale=0.3)
    known = brute_force(Y, S, 0.3)
    assert found.value == pytest.approx(known["mean"], abs=1e-5)
    assert found.std_error == pytest.approx(known["sd"], rel=1e-4)
    assert found.companions["tau"].value == pytest.approx(known["tau"], rel=2e-3)
    # 16,384 scrambled low-discrepancy points.
    assert found.interval() == pytest.approx((known["low"], known["high"]), abs=0.004)
    assert found.weights["shrunken"][0] == pytest.approx(known["shrunken"], abs=1e-5)


def test_draws_agree_with_the_exact_moments() -> None:
    found = hierarchical_synthesis([study(y, s) for y, s in zip(Y, S, strict=True)])
    assert found.draws["att"].mean() == pytest.approx(found.value, abs=1e-3)
    assert found.draws["att"].std() == pytest.approx(found.std_error, rel=5e-3)
    expected = np.sqrt(found.std_error**2 + (found.draws["tau"] ** 2).mean())
    assert found.companions["prediction"].std_error == pytest.approx(expected, rel=0.01)


def test_a_tight_prior_is_the_fixed_effect_model() -> None:
    estimates = [study(y, s) for y, s in zip(Y, S, strict=True)]
    tight, fixed = (
        hierarchical_synthesis(estimates, tau_scale=1e-6),
        synthesise(estimates, method="fixed", hartung_knapp=False),
    )
    assert (tight.value, tight.std_error) == pytest.approx((fixed.value, fixed.std_error), rel=1e-6)


def test_many_informative_estimates_leave_the_prior_behind(reference) -> None:
    estimates = trials(reference("bcg"))
    wide, restricted = hierarchical_synthesis(estimates, tau_scale=5.0), synthesise(estimates, hartung_knapp=False)
    assert wide.value == pytest.approx(restricted.value, abs=0.01)
    assert wide.std_error > restricted.std_error
    assert "half-normal with scale 5; of the mean: flat" in next(c.text for c in wide.checks if c.name == "prior")


def test_two_estimates_leave_the_spread_to_the_prior() -> None:
    found = hierarchical_synthesis([study(-0.1, 0.3), study(0.1, 0.3)])
    check = next(c for c in found.checks if c.name == "prior_weight")
    assert check.passed is False
    assert "The prior decides" in check.text


def test_same_seed_same_bits() -> None:
    estimates = [study(y, s) for y, s in zip(Y, S, strict=True)]
    assert hierarchical_synthesis(estimates).draws.equals(hierarchical_synthesis(estimates).draws)


def test_level_effects_need_a_prior_scale() -> None:
    pair = [study(1.0, 0.3, scale="level"), study(2.0, 0.3, scale="level")]
    with pytest.raises(DesignError, match="tau_scale=, in the units of the effect"):
        hierarchical_synthesis(pair)
    with pytest.raises(DesignError, match="above zero"):
        hierarchical_synthesis(pair, tau_scale=0.0)


@pytest.mark.slow
def test_ranks_are_uniform_when_the_prior_is_true() -> None:
    """Simulation-based calibration: tau from its prior, the mean at zero (its prior is flat, so that any value will do)."""
    repetitions, k, scale = 300, 6, 0.4
    rng = np.random.default_rng(2)
    ranks = np.zeros((repetitions, 3))
    for r in range(repetitions):
        tau = abs(rng.normal(0, scale))
        errors = rng.uniform(0.1, 0.5, k)
        effects = rng.normal(0, tau, k)
        found = hierarchical_synthesis(
            [study(rng.normal(t, e), e) for t, e in zip(effects, errors, strict=True)], tau_scale=scale, seed=r
        )
        truth = {"att": 0.0, "prediction": rng.normal(0, tau), "tau": tau}
        ranks[r] = [(found.draws[name] < value).mean() for name, value in truth.items()]
    lines = [
        f"Simulation-based calibration of hierarchical_synthesis, {repetitions} samples of {k} estimates: Kolmogorov-Smirnov p of uniform ranks"
    ]
    for name, column in zip(("mean", "prediction", "tau"), ranks.T, strict=True):
        p = stats.kstest(column, "uniform").pvalue
        lines.append(f"{name:11s} {p:.3f}   90% intervals cover {np.mean((column > 0.05) & (column < 0.95)):.3f}")
        assert p > 0.001
    (Path(__file__).parents[1] / "coverage" / "hierarchical_synthesis.txt").write_text(
        "\n".join(lines) + "\n", encoding="utf-8"
    )
