"""Tests of the effects before treatment, and what violation of parallel trends they would have missed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import linalg, optimize, stats

from crimepolicy.errors import InferenceError, choose, of_kind, offenders
from crimepolicy.estimate import Estimate, path_term
from crimepolicy.panel_checks import Check

__all__ = ["JointTest", "PretrendTest", "Rule", "joint_test", "pretrend_test"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Rule = Literal["joint", "any"]

_DRAWS = 20_000


@dataclass(frozen=True, slots=True)
class PretrendTest:
    """A test of the effects before treatment, and the linear violations of parallel trends that it would have missed.

    Attributes
    ----------
    statistic, p_value : float
        Joint Wald statistic and its p-value.
    df : int
        Number of leads tested.
    slopes : pandas.DataFrame
        Indexed by power. ``slope``: the linear difference in trends per period which the test finds with that power; ``bias``: what
        it would add to the average effect from event time 0 on; ``bias_share``: that as a share of the estimate.
    scale : str
        Scale of slope and bias.
    """

    statistic: float
    df: int
    p_value: float
    slopes: pd.DataFrame
    scale: str

    @property
    def check(self) -> Check:
        """The test as a check: passed where the leads are jointly not significant at 5%."""
        return Check("pretrend", self.p_value > 0.05, self.p_value, str(self))

    def __str__(self) -> str:
        found = ", ".join(
            f"{row.slope:.3g} per period (bias {row.bias:.3g}) with power {power:.0%}"
            for power, row in self.slopes.iterrows()
        )
        return f"Joint test that {self.df} leads are zero: chi2 = {self.statistic:.2f}, p = {self.p_value:.3f}. It finds a difference in trends of {found}, on the {self.scale} scale."


@dataclass(frozen=True, slots=True)
class JointTest:
    """A Wald test that several terms are zero: statistic, degrees of freedom, p-value (chi-squared)."""

    statistic: float
    df: int
    p_value: float


def joint_test(estimate: Estimate, terms: list[str]) -> JointTest:
    """Test that some terms of an estimate are all zero.

    Parameters
    ----------
    estimate : Estimate
        With `psi` or `draws`.
    terms : list of str
        Such as ``event_time[-2]`` or ``cell[2004, 2006]``.

    Returns
    -------
    JointTest

    Raises
    ------
    InferenceError
        Where there are no terms, or their covariance is singular.
    """
    if not terms:
        raise InferenceError("There are no terms to test.")
    values = estimate.estimates[terms].to_numpy()
    covariance = estimate.covariance(terms).to_numpy()
    scale = np.sqrt(np.diag(covariance))
    if not scale.all():
        still = [term for term, error in zip(terms, scale, strict=True) if not error]
        raise InferenceError(f"{offenders(still)} carry no uncertainty, so that nothing can be tested against it.")
    correlation = covariance / np.outer(scale, scale)
    if np.linalg.cond(correlation) > 1e12:
        raise InferenceError(
            f"The covariance of these {len(terms)} terms is singular (fewer independent clusters than terms?). Test fewer terms, for example with aggregate('event', window=(-12, None))."
        )
    statistic = float((values / scale) @ linalg.solve(correlation, values / scale, assume_a="pos"))
    return JointTest(statistic, len(terms), float(stats.chi2.sf(statistic, len(terms))))


def pretrend_test(
    estimate: Estimate, *, rule: Rule = "joint", power: Sequence[float] = (0.5, 0.8), level: float = 0.95, seed: int = 0
) -> PretrendTest:
    """Test that effects before treatment are zero, and say which linear trend the test would have missed.

    The estimand of `slopes` is the difference in linear trends between treated and controls which the test detects with a
    given power; a test that detects only large ones says little when it passes.

    Parameters
    ----------
    estimate : Estimate
        With a path by event time, or group-time cells to average into one.
    rule : {"joint", "any"}
        What counts as detecting: a significant joint test, or any lead significant by itself (as readers of plots do).
    power : sequence of float
        Probabilities of detection.
    level : float
        One less the size of the test.
    seed : int
        Of the Gaussian draws behind ``"any"``.

    Returns
    -------
    PretrendTest

    Raises
    ------
    InferenceError
        Where there is no lead, or no covariance.

    Assumptions
    -----------
    Leads are jointly normal with the covariance of the estimate. Trends differ linearly; leads of a varying base each show the
    slope once, leads relative to a reference period show it times the distance.

    References
    ----------
    Roth (2022), American Economic Review: Insights 4(3).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from crimepolicy.did.group_time import group_time_effects
    >>> from crimepolicy.panel import Panel
    >>> D = np.arange(5) >= np.repeat([[3], [9]], 10, axis=0)
    >>> Y = np.random.default_rng(1).normal(size=(20, 5))
    >>> panel = Panel(Y=Y, D=D, units=pd.Index(range(20)), periods=pd.Index(range(5)))
    >>> pretrend_test(group_time_effects(panel)).df
    2
    """
    of_kind("estimate", estimate, Estimate)
    choose("rule", rule, Rule)
    if estimate.path is None or estimate.path.index.name != "event_time":
        estimate = estimate.aggregate("event")
    path: pd.DataFrame = estimate.path  # type: ignore[assignment]
    times = path.index.to_numpy(dtype=int)
    reference = -1 - int(estimate.options.get("anticipation", 0))
    leads = times[(times <= reference) & path["std_error"].notna().to_numpy()]
    if not len(leads):
        raise InferenceError("The path has no effect before treatment to test. Widen its window.")
    terms = [path_term("event_time", e) for e in leads]
    found = joint_test(estimate, terms)
    shape = np.ones(len(leads)) if estimate.options.get("base") == "varying" else (leads - reference).astype(float)
    covariance = estimate.covariance(terms).to_numpy()
    slopes = [_slope(shape, covariance, rule, p, level, seed) for p in power]
    lag = float((times[times >= 0] - reference).mean())
    table = pd.DataFrame(
        {"slope": slopes, "bias": [slope * lag for slope in slopes]}, index=pd.Index(list(power), name="power")
    )
    after = float(path["estimate"].to_numpy()[times >= 0].mean())
    return PretrendTest(
        found.statistic, found.df, found.p_value, table.assign(bias_share=table["bias"] / abs(after)), estimate.scale
    )


def _slope(shape: Floats, covariance: Floats, rule: Rule, power: float, level: float, seed: int) -> float:
    """Return the slope that the test detects with the given power."""
    if not 1 - level < power < 1:
        raise InferenceError(f"power={power!r} should lie between the size of the test ({1 - level:.2g}) and 1.")
    unit = float(np.sqrt(shape @ linalg.solve(covariance, shape, assume_a="pos")))
    if rule == "joint":
        critical = stats.chi2.ppf(level, len(shape))
        distance = optimize.brentq(lambda d: stats.ncx2.sf(critical, len(shape), d**2) - power, 1e-6, 100.0)
        return float(distance / unit)
    spread = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(spread, spread))
    noise = (
        np.random.default_rng(seed).standard_normal((_DRAWS, len(shape)))
        @ (vectors * np.sqrt(np.clip(values, 0, None))).T
    )
    critical = stats.norm.ppf((1 + level) / 2)

    def excess(distance: float) -> float:
        return float((np.abs(noise + distance / unit * shape / spread) > critical).any(axis=1).mean()) - power

    return float(optimize.brentq(excess, 0.0, 100.0) / unit) if excess(0.0) < 0 else 0.0
