"""The model of a synthetic control: weighted donors, a residual level that walks, counts or normal outcomes."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from crimepolicy.bayes.donor_weights import Horseshoe, Simplex

__all__ = ["DonorDraws", "DonorModel", "Link"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Link = Literal["rate", "log", "identity"]

# A walk far ahead can leave the range of a random number generator; the exact number no longer matters there.
_LARGEST_MEAN = 1e12


@dataclass(frozen=True, slots=True)
class DonorDraws:
    """Draws (...) of a synthetic control.

    Attributes
    ----------
    weights : float array (..., J)
    level : float array (..., P)
        Residual level in the periods before treatment, its walk included.
    step, noise : float array (...)
        Standard deviations of the walk's steps and (identity) of the outcome.
    """

    weights: Floats
    level: Floats
    step: Floats
    noise: Floats


@dataclass(frozen=True, slots=True)
class DonorModel:
    """Outcome y (P,) of the treated unit before treatment given donors x (P, J); the mean is that of the donors, moved by a level that walks.

    Attributes
    ----------
    y, exposure : float array (P,)
    x : float array (P, J)
    link : {"rate", "log", "identity"}
        Poisson with mean ``exposure * (x @ weights) * exp(level)``; Poisson with ``exposure * exp(x @ weights + level)``; normal with
        ``x @ weights + level``.
    prior : Simplex or Horseshoe
        Of the weights; free weights go with the last two links.
    base : float
        Around which the first level is normal.
    level_scale, step_scale, noise_scale : float
        Scales of the normal prior of the first level and of the half-normal priors of step and noise, in the units of the level.
    """

    y: Floats
    exposure: Floats
    x: Floats
    link: Link
    prior: Simplex | Horseshoe
    base: float
    level_scale: float
    step_scale: float
    noise_scale: float

    def level(self, normals: Floats, step: Floats) -> Floats:
        """Return the level (..., P) of standard normals (..., P), the first for where it starts, and steps (...)."""
        walk = np.concatenate([np.zeros((*step.shape, 1)), np.cumsum(normals[..., 1:], axis=-1)], axis=-1)
        return np.asarray(self.base + self.level_scale * normals[..., :1] + step[..., None] * walk)

    def prior_draws(self, n: int, rng: np.random.Generator) -> DonorDraws:
        """Draw n times from the prior."""
        step, noise = np.abs(rng.standard_normal((2, n))) * np.array([[self.step_scale], [self.noise_scale]])
        level = self.level(rng.standard_normal((n, len(self.y))), step)
        return DonorDraws(self.prior.prior_draws(n, rng), level, step, noise)

    def expected(self, x: Floats, exposure: Floats, weights: Floats, level: Floats) -> Floats:
        """Return the mean outcome (..., T) at donors x (T, J), exposure (T,), weights (..., J) and level (..., T)."""
        donors = weights @ x.T
        if self.link == "identity":
            return np.asarray(donors + level)
        return np.asarray(exposure * (donors * np.exp(level) if self.link == "rate" else np.exp(donors + level)))

    def outcomes(self, mean: Floats, noise: Floats, rng: np.random.Generator) -> Floats:
        """Draw outcomes (..., T) around their mean (..., T), with noise (...)."""
        if self.link == "identity":
            return np.asarray(mean + noise[..., None] * rng.standard_normal(mean.shape))
        return np.asarray(rng.poisson(np.minimum(mean, _LARGEST_MEAN)), dtype=np.float64)

    def replicates(self, found: DonorDraws, rng: np.random.Generator) -> Floats:
        """Draw outcomes (..., P) before treatment at draws (...)."""
        return self.outcomes(self.expected(self.x, self.exposure, found.weights, found.level), found.noise, rng)

    def pointwise(self, found: DonorDraws) -> Floats:
        """Return the log likelihood (..., P) of every period, up to a constant."""
        mean = self.expected(self.x, self.exposure, found.weights, found.level)
        if self.link == "identity":
            noise = found.noise[..., None]
            return np.asarray(-0.5 * ((self.y - mean) / noise) ** 2 - np.log(noise))
        return np.asarray(self.y * np.log(mean) - mean)
