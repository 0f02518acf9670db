"""The posterior density of a synthetic control: donors on a simplex, a residual level that walks, counts or normal outcomes."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import special

__all__ = ["DonorDensity", "DonorDraws"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Outcome = Literal["poisson", "gaussian"]


@dataclass(frozen=True, slots=True)
class DonorDraws:
    """Draws (...) of a synthetic control.

    Attributes
    ----------
    weights : float array (..., J)
    level : float array (..., P)
        Residual level in the periods before treatment, its walk included.
    step, noise : float array (...)
        Standard deviations of the walk's steps and (gaussian) of the outcome.
    """

    weights: Floats
    level: Floats
    step: Floats
    noise: Floats


@dataclass(frozen=True, slots=True)
class DonorDensity:
    """Outcome y (P,) of the treated unit before treatment given donors x (P, J).

    The mean is the weighted donor mean, moved by a level that walks: multiplied by its exponential for counts (times `exposure`), added
    to for normal outcomes. Parameters: J logits whose softmax has a symmetric Dirichlet prior (identified by a gamma variable each),
    the first level, log step, log noise, and P - 1 standard normal steps.

    Attributes
    ----------
    y, exposure : float array (P,)
    x : float array (P, J)
    outcome : {"poisson", "gaussian"}
    concentration : float
        Of the Dirichlet prior; 1 is uniform on the simplex.
    level_scale, step_scale, noise_scale : float
        Scales of the normal prior of the first level and of the half-normal priors of step and noise, in the units of the level.
    """

    y: Floats
    exposure: Floats
    x: Floats
    outcome: Outcome
    concentration: float
    level_scale: float
    step_scale: float
    noise_scale: float

    @property
    def size(self) -> int:
        """Number of parameters."""
        return int(self.x.shape[1]) + 3 + len(self.y) - 1

    def start(self) -> Floats:
        """Return a point in the middle: equal weights, no walk to speak of."""
        point = np.zeros(self.size)
        j = self.x.shape[1]
        point[:j] = np.log(self.concentration)
        point[j + 1], point[j + 2] = np.log(self.step_scale / 2), np.log(self.noise_scale / 2)
        return point

    def evaluate(self, p: Floats) -> tuple[float, Floats]:
        """Return the log density, up to a constant, and its gradient (size,)."""
        j = self.x.shape[1]
        weights = special.softmax(p[:j])
        first, log_step, log_noise = p[j : j + 3]
        steps, step = p[j + 3 :], np.exp(log_step)
        walk = np.concatenate([[0.0], np.cumsum(steps)])
        mean = self.x @ weights
        value, by_mean, by_level, by_noise = self._outcome(
            mean, first * self.level_scale + step * walk, np.exp(log_noise)
        )
        by_weight = self.x.T @ by_mean
        backwards = np.cumsum(by_level[::-1])[::-1]
        priors = self._priors(p[:j], np.array([first]), steps, log_step, log_noise)
        gradient = np.concatenate(
            [
                weights * (by_weight - weights @ by_weight) + self.concentration - np.exp(p[:j]),
                [self.level_scale * by_level.sum() - first],
                [step * float(by_level @ walk) + 1 - (step / self.step_scale) ** 2],
                [by_noise + 1 - np.exp(2 * log_noise) / self.noise_scale**2],
                step * backwards[1:] - steps,
            ]
        )
        return value + priors, gradient

    def draws(self, p: Floats) -> DonorDraws:
        """Return parameters p (..., size) on their own scale."""
        j = self.x.shape[1]
        step = np.exp(p[..., j + 1])
        walk = np.cumsum(p[..., j + 3 :], axis=-1)
        walk = np.concatenate([np.zeros((*p.shape[:-1], 1)), walk], axis=-1)
        level = p[..., j, None] * self.level_scale + step[..., None] * walk
        return DonorDraws(special.softmax(p[..., :j], axis=-1), level, step, np.exp(p[..., j + 2]))

    def _priors(self, logits: Floats, first: Floats, steps: Floats, log_step: float, log_noise: float) -> float:
        gammas = self.concentration * logits.sum() - np.exp(logits).sum()
        normals = -0.5 * float(first @ first + steps @ steps)
        scales = -0.5 * (np.exp(2 * log_step) / self.step_scale**2 + np.exp(2 * log_noise) / self.noise_scale**2)
        return float(gammas + normals + scales + log_step + log_noise)

    def _outcome(self, mean: Floats, level: Floats, noise: float) -> tuple[float, Floats, Floats, float]:
        """Return the log likelihood and its slopes by donor mean (P,), by level (P,) and by log noise."""
        if self.outcome == "gaussian":
            residual = (self.y - mean - level) / noise
            slope = residual / noise
            value = -0.5 * float(residual @ residual) - len(self.y) * np.log(noise)
            return float(value), slope, slope, float(residual @ residual) - len(self.y)
        with np.errstate(over="ignore", invalid="ignore"):
            expected = self.exposure * mean * np.exp(level)
            value = self.y @ (np.log(mean) + level) - expected.sum()
            return float(value), self.y / mean - expected / mean, self.y - expected, 0.0
