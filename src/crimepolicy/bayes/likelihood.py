"""Poisson and negative binomial likelihoods that touch every cell with one exponential and, at most, one logarithm."""

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CountLikelihood", "count_likelihood"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_NEARLY_POISSON = 1e-9


@dataclass(frozen=True, slots=True)
class CountLikelihood:
    """Counts with what of them suffices.

    Attributes
    ----------
    counts : float array (N, T)
        Zero where not used.
    used : float array (N, T)
        One where used.
    above : float array (largest count,)
        Number of cells whose count exceeds 0, 1, 2, ...: all that the gamma functions of the counts amount to.
    """

    counts: Floats
    used: Floats
    above: Floats

    def poisson(self, eta: Floats) -> tuple[float, Floats]:
        """Return the log likelihood and its gradient (N, T) with respect to the log mean."""
        mean = np.exp(eta) * self.used
        return float(np.vdot(self.counts, eta) - mean.sum()), self.counts - mean

    def negative_binomial(self, eta: Floats, dispersion: float) -> tuple[float, Floats, float]:
        """Return the log likelihood, its gradient (N, T), and its derivative with respect to the log of `dispersion`.

        The variance is mean + (dispersion * mean)^2.
        """
        kappa = max(dispersion * dispersion, _NEARLY_POISSON)
        mean = np.exp(eta) * self.used
        grown = 1 + kappa * mean
        logs = np.log(grown)
        weight = self.counts + 1 / kappa
        steps = np.arange(len(self.above))
        value = np.vdot(self.counts, eta) - np.vdot(weight, logs) + self.above @ np.log1p(kappa * steps)
        slope = (self.counts - mean) / grown
        bend = (
            logs.sum() / kappa
            - np.vdot(weight, mean / grown) * kappa
            + self.above @ (kappa * steps / (1 + kappa * steps))
        )
        return float(value), slope, 2 * float(bend)


def count_likelihood(counts: Floats, used: np.ndarray[Any, np.dtype[np.bool_]]) -> CountLikelihood:
    """Return the likelihood of counts (N, T) in the cells `used` (N, T).

    Examples
    --------
    >>> count_likelihood(np.array([[0.0, 3.0]]), np.array([[True, True]])).above.tolist()
    [1.0, 1.0, 1.0]
    """
    whole = np.where(used, counts, 0.0)
    tally = np.bincount(whole.astype(np.int64).ravel())
    above = tally[::-1].cumsum()[::-1][1:].astype(np.float64)
    return CountLikelihood(whole, used.astype(np.float64), above)
