"""The wild cluster bootstrap of a least-squares coefficient, with the null imposed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import linalg

from crimepolicy.errors import at_least, choose, of_kind
from crimepolicy.estimate import HEADLINE, Check, Estimate
from crimepolicy.inference.influence import Labels
from crimepolicy.inference.multiplier import multiplier_draws
from crimepolicy.inference.regression import Regression, regression

__all__ = ["Residuals", "Weights", "WildDraws", "wild_bootstrap", "wild_draws"]

Array = np.ndarray[Any, Any]
Weights = Literal["auto", "rademacher", "webb", "mammen"]
Residuals = Literal["classic", "jackknife"]

_FEW = 12
"""Below this many clusters two-point weights give too few distinct statistics (Webb 2023)."""

_ENUMERATED = 13
"""Up to this many clusters all sign vectors are listed under "rademacher" (8,192 of them)."""

_TIE = 1e-9
"""Statistics this close, relatively, are one statistic: the identity draw and its mirror tie with the sample."""


_ROUNDING = 1e-12
"""A p-value of exactly 1 - level is a rejection, although 1 - 0.95 is not quite 0.05."""

_DOUBLINGS = 6
"""Steps outwards, doubling, before an end of the interval is called infinite (about 100 standard errors)."""

_PRECISION = 1e-3
"""Ends of intervals are found to this share of a standard error; the Monte Carlo error is larger."""


@dataclass(frozen=True, slots=True)
class WildDraws:
    """Bootstrap distribution of one coefficient.

    Attributes
    ----------
    statistic : float
        Sample t statistic of the null, without small-sample factor (which would cancel).
    statistics : array (draws,)
        Bootstrap t statistics.
    coefficients : array (draws,)
        Bootstrap coefficients, less the coefficient of the data-generating process.
    p_value : float
        Share of |statistics| at or above |statistic|; ties count.
    listed : bool
        Whether every sign vector was used.
    """

    statistic: float
    statistics: Array
    coefficients: Array
    p_value: float
    listed: bool


def wild_bootstrap(
    estimate: Estimate,
    *,
    by: Labels | None = None,
    null: float = 0.0,
    impose: bool = True,
    weights: Weights = "auto",
    residuals: Residuals = "classic",
    draws: int = 9_999,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Return the estimate with the p-value and interval of the wild cluster bootstrap.

    The estimand is the coefficient of the treatment in a least-squares regression with unit and period effects.

    Parameters
    ----------
    estimate : Estimate
        Such a regression, as `two_way_fixed_effects` gives; see `regression`.
    by : labels, optional
        Level of inference; the estimate's own by default.
    null : float
        Coefficient under the null.
    impose : bool
        Impose the null on the bootstrap data (recommended).
    weights : {"auto", "rademacher", "webb", "mammen"}
        ``"auto"``: Webb's six points below 12 clusters, else Rademacher. Rademacher lists all sign vectors where there are
        no more than 13 clusters.
    residuals : {"classic", "jackknife"}
        Residuals of the fit, or of fits without the own cluster (WCR31 of MacKinnon, Nielsen and Webb).
    draws : int
        Number of draws where sign vectors are not listed.
    level : float
        Of the interval, found by inverting the test; in the check ``wild_interval``.
    seed : int

    Returns
    -------
    Estimate
        With `null` (bootstrap coefficients centred on no effect), `null_p`, and the interval as a check.

    Raises
    ------
    InferenceError
        Where the estimate is not such a regression.

    Assumptions
    -----------
    Independent clusters. It fails, in either direction, when very few clusters are treated: see the check
    ``few_treated_clusters``.

    References
    ----------
    Cameron, Gelbach and Miller (2008), Review of Economics and Statistics 90; Roodman, MacKinnon, Nielsen and Webb (2019),
    Stata Journal 19; MacKinnon, Nielsen and Webb (2023), Journal of Applied Econometrics 38; Webb (2023), Canadian Journal
    of Economics 56.

    Examples
    --------
    >>> import crimepolicy as cp
    >>> rows = pd.DataFrame({"city": np.repeat(range(10), 4), "year": list(range(4)) * 10})
    >>> rows["deaths"] = np.random.default_rng(1).poisson(9, 40)
    >>> rows["truce"] = ((rows.city < 5) & (rows.year > 1)).astype(int)
    >>> panel = cp.Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> result = wild_bootstrap(cp.two_way_fixed_effects(panel), weights="rademacher")
    >>> round(result.p_value(), 3) > 0.05
    True
    """
    of_kind("estimate", estimate, Estimate)
    choose("weights", weights, Weights)
    choose("residuals", residuals, Residuals)
    at_least("draws", draws, 1)
    problem = regression(estimate, by=by)
    kind = ("webb" if problem.n_clusters < _FEW else "rademacher") if weights == "auto" else weights

    def at(value: float) -> WildDraws:
        return wild_draws(problem, null=value, impose=impose, weights=kind, residuals=residuals, draws=draws, seed=seed)

    found = at(null)
    low, high = _interval(at, problem, level)
    name = f"wild cluster bootstrap ({'null imposed, ' if impose else ''}{kind}, {'all ' if found.listed else ''}{len(found.statistics):,} draws, {problem.n_clusters} clusters)"
    check = Check(
        "wild_interval",
        None,
        f"{low:.6g} to {high:.6g}",
        f"{level:.0%} interval of the wild cluster bootstrap: {low:.4g} to {high:.4g}.",
    )
    return estimate.replace(
        null=pd.DataFrame({HEADLINE: found.coefficients}),
        null_p={HEADLINE: found.p_value},
        correction="; ".join(filter(None, [estimate.correction, f"p-value by {name}"])),
        checks=(*estimate.checks, check),
    )


def wild_draws(
    problem: Regression,
    *,
    null: float = 0.0,
    impose: bool = True,
    weights: Literal["rademacher", "webb", "mammen"] = "rademacher",
    residuals: Residuals = "classic",
    draws: int = 9_999,
    seed: int = 0,
) -> WildDraws:
    """Return the wild cluster bootstrap of one coefficient.

    A bootstrap sample multiplies the residuals of cluster g by w_g, and both its coefficient and its cluster scores are
    linear in w: everything follows from one vector s (G,) and one matrix A (G, G), ``t = s'w / |A w|``.
    """
    centre = null if impose else problem.coefficient
    errors = problem.outcome - centre * problem.regressor
    if residuals == "jackknife":
        errors = _jackknifed(problem, errors, impose)
    scores, response = _linear(problem, errors)
    listed = weights == "rademacher" and problem.n_clusters <= _ENUMERATED
    both = np.column_stack([scores, response.T])
    drawn = (
        _signs(problem.n_clusters) @ both
        if listed
        else multiplier_draws(both, draws, weights, np.random.default_rng(seed))
    )
    norms = np.sqrt((drawn[:, 1:] ** 2).sum(axis=1))
    # A sample without residual variation has no t statistic; it counts as extreme, which can only raise the p-value.
    statistics = np.divide(drawn[:, 0], norms, out=np.full(len(norms), np.inf), where=norms > 0)
    sample = _t_statistic(problem, null)
    extreme = int((np.abs(statistics) >= abs(sample) * (1 - _TIE)).sum())
    p = extreme / len(statistics) if listed else (1 + extreme) / (1 + len(statistics))
    return WildDraws(sample, statistics, drawn[:, 0] / problem.scale, p, listed)


def _t_statistic(problem: Regression, null: float) -> float:
    residual = problem.outcome - problem.coefficient * problem.regressor
    scores = np.bincount(problem.codes, weights=problem.regressor * residual)
    return float((problem.coefficient - null) * problem.scale / np.sqrt((scores**2).sum()))


def _linear(problem: Regression, errors: Array) -> tuple[Array, Array]:
    count, d = problem.n_clusters, problem.regressor
    scores = np.bincount(problem.codes, weights=d * errors, minlength=count)
    size = np.bincount(problem.codes, weights=d**2, minlength=count)
    own, other = np.zeros((2, count, problem.nuisance.shape[1]))
    np.add.at(own, problem.codes, problem.nuisance * d[:, None])
    np.add.at(other, problem.codes, problem.nuisance * errors[:, None])
    return scores, np.diag(scores) - own @ other.T - np.outer(size, scores) / problem.scale


def _jackknifed(problem: Regression, errors: Array, impose: bool) -> Array:
    design = problem.nuisance
    if not impose:
        design = np.column_stack([design, problem.regressor / np.sqrt(problem.scale)])
    out = np.empty_like(errors)
    for g in range(problem.n_clusters):
        rows = problem.codes == g
        left, size, _ = linalg.svd(design[rows], full_matrices=False)
        remainder = 1 - size**2
        # Directions that this cluster alone identifies have no residual to rescale.
        gain = np.where(remainder > _TIE, 1 / np.maximum(remainder, _TIE), 1.0) - 1
        out[rows] = errors[rows] + left @ (gain * (left.T @ errors[rows]))
    return out


def _signs(count: int) -> Array:
    bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    return 1.0 - 2.0 * bits


def _interval(at: Callable[[float], WildDraws], problem: Regression, level: float) -> tuple[float, float]:
    centre = problem.coefficient
    step = abs(centre / at(0.0).statistic) if centre else float(np.sqrt(1 / problem.scale))
    low, high = (
        _end(lambda value: at(value).p_value > 1 - level + _ROUNDING, centre, sign * step) for sign in (-1.0, 1.0)
    )
    return low, high


def _end(kept: Callable[[float], bool], inside: float, step: float) -> float:
    outside = inside + 2 * step
    for _ in range(_DOUBLINGS):
        if not kept(outside):
            break
        inside, outside, step = outside, outside + 2 * step, 2 * step
    else:
        return float(np.copysign(np.inf, step))
    while abs(outside - inside) > _PRECISION * abs(step):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if kept(middle) else (inside, middle)
    return outside
