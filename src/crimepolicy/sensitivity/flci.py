"""Fixed-length confidence intervals under smoothness: the affine estimator with the best trade of bias against variance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats
from scipy.special import ndtr

__all__ = ["FixedLength", "Frontier", "fixed_length", "folded_normal_quantile", "frontier"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

# Rank-deficient covariances (more event times than clusters) get a ridge that moves the standard error by parts in 1e-6.
_RIDGE = 1e-11


@dataclass(frozen=True, slots=True, eq=False)
class FixedLength:
    """A fixed-length interval.

    Attributes
    ----------
    centre, half_length : float
    weights : float array (n_pre + n_post,)
        Weights of the path estimates in the centre.
    bias, std_error : float
        Worst-case bias and standard error of the centre.
    """

    centre: float
    half_length: float
    weights: Floats
    bias: float
    std_error: float


@dataclass(frozen=True, slots=True, eq=False)
class Frontier:
    """Affine estimators that trade bias against variance: weights ``f = base + basis u``, bias ``M (|u|_1 + constant)``.

    Attributes
    ----------
    base, basis : float arrays (n,), (n, n_pre - 1)
    root : float array (n_pre - 1, n_pre - 1)
        Root of the variance in u.
    linear : float array (n_pre - 1,)
        Half the gradient of the variance where u is zero.
    covariance : float array (n, n)
    M, constant : float
    """

    base: Floats
    basis: Floats
    root: Floats
    linear: Floats
    covariance: Floats
    M: float
    constant: float

    def at(self, penalty: float) -> tuple[Floats, float, float]:
        """Return weights, bias and standard error that minimise ``variance / 2 + penalty |u|_1``."""
        f, size = self.base, 0.0
        if self.root.size:
            half = np.linalg.inv(self.root)
            z = np.zeros(len(half))
            if penalty > 0:
                # The dual is a least-squares problem with bounds.
                z = optimize.lsq_linear(
                    half, -half @ self.linear, (-penalty, penalty), method="bvls", tol=1e-15, max_iter=1000
                ).x
            u = -half.T @ (half @ (self.linear + z))
            f, size = self.base + self.basis @ u, float(np.abs(u).sum())
        return f, self.M * (size + self.constant), float(np.sqrt(f @ self.covariance @ f))

    @property
    def steepest(self) -> float:
        """Penalty from which u is zero."""
        return float(np.abs(self.linear).max(initial=0.0))


def fixed_length(path: Floats, covariance: Floats, weights: Floats, M: float, level: float) -> FixedLength:
    """Return the shortest fixed-length interval for the target when the slope changes by at most M per period.

    Parameters
    ----------
    path, covariance : float arrays (n,), (n, n)
        Event-study estimates without the reference, n = n_pre + n_post.
    weights : float array (n_post,)
        Target: weights on the event times after the reference.
    M : float
        Bound on second differences of the violation.
    level : float
        Coverage.

    References
    ----------
    Armstrong and Kolesar (2018); Rambachan and Roth (2023), section 4.1.
    """
    choices = frontier(covariance, weights, len(path) - len(weights), M)
    f, bias, error = choices.at(_best_penalty(choices, 1 - level))
    half = error * folded_normal_quantile(bias / error, 1 - level)
    return FixedLength(float(f @ path), float(half), f, float(bias), float(error))


def folded_normal_quantile(shift: float, alpha: float) -> float:
    """Return c with ``P(|N(shift, 1)| <= c) = 1 - alpha``.

    Examples
    --------
    >>> round(folded_normal_quantile(0.0, 0.05), 4)
    1.96
    """

    def excess(c: float) -> float:
        return float(ndtr(c - shift) - ndtr(-c - shift)) - (1 - alpha)

    # The quantile lies between the one-sided and the two-sided one, but for rounding.
    low, high = shift + stats.norm.ppf(1 - alpha), shift + stats.norm.ppf(1 - alpha / 2)
    return float(optimize.brentq(excess, max(low - 1e-6, 0.0), high + 1e-6, xtol=1e-14))


def frontier(covariance: Floats, weights: Floats, n_pre: int, M: float) -> Frontier:
    """Return the estimators of a target when the slope changes by at most M per period."""
    # The violation is a slope and second differences: the slope must cancel, the rest is bias.
    n_post = len(weights)
    # Columns: the slope before the reference, changes of slope within the periods before it, changes at and after it.
    before, after = np.arange(n_pre, 0, -1.0), np.arange(1.0, n_post + 1)
    early = np.maximum(before[:, None] - np.arange(1, n_pre), 0.0)
    late = np.maximum(after[:, None] - np.arange(n_post), 0.0)
    pre = np.column_stack([-before, early])
    target = np.concatenate([[-(weights @ after)], np.zeros(n_pre - 1)])
    solved = np.linalg.solve(pre.T, np.column_stack([target, np.eye(n_pre)[:, 1:]]))
    base = np.concatenate([solved[:, 0], weights])
    basis = np.vstack([solved[:, 1:], np.zeros((n_post, n_pre - 1))])
    ridged = covariance + _RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    root = np.linalg.cholesky(basis.T @ ridged @ basis) if n_pre > 1 else np.zeros((0, 0))
    return Frontier(base, basis, root, basis.T @ ridged @ base, covariance, M, float(np.abs(weights @ late).sum()))


def _best_penalty(choices: Frontier, alpha: float) -> float:
    """Return the penalty at which the frontier of bias and standard error touches the shortest interval."""
    if choices.M == 0 or not choices.root.size:
        return 0.0

    def slack(penalty: float) -> float:
        _, bias, error = choices.at(penalty)
        c = folded_normal_quantile(bias / error, alpha)
        low, high = stats.norm.pdf(c - bias / error), stats.norm.pdf(c + bias / error)
        slope = (low - high) / (low + high)
        return penalty - choices.M * error * slope / (c - slope * bias / error)

    # At this penalty u is zero, and the slack positive whatever the bias: c - slope * shift never falls below the one-sided quantile.
    spread = float(np.sqrt(choices.base @ choices.covariance @ choices.base))
    ceiling = choices.steepest + 2 * choices.M * spread / float(stats.norm.ppf(1 - alpha))
    return float(optimize.brentq(slack, 0.0, ceiling, xtol=1e-14, rtol=1e-12))
