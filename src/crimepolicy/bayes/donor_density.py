"""The posterior density of a synthetic control: weighted donors, a residual level that walks, counts or normal outcomes."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from crimepolicy.bayes.donor_weights import Horseshoe, Simplex
from crimepolicy.bayes.sampling import Density
from crimepolicy.bayes.whitening import whiten

__all__ = ["DonorDensity", "DonorDraws", "Link"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Link = Literal["rate", "log", "identity"]

# Noise near zero narrows the walk; shorter steps follow it there.
_ACCEPTANCE = 0.98
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
class DonorDensity:
    """Outcome y (P,) of the treated unit before treatment given donors x (P, J).

    The mean is that of the donors, moved by a level that walks. Parameters: those of the weights, the first level, log step, log noise,
    and P - 1 standard normal steps.

    Attributes
    ----------
    y, exposure : float array (P,)
    x : float array (P, J)
    link : {"rate", "log", "identity"}
        Poisson with mean ``exposure * (x @ weights) * exp(level)``; Poisson with ``exposure * exp(x @ weights + level)``; normal with
        ``x @ weights + level``.
    prior : Simplex or Horseshoe
        Of the weights.
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

    @property
    def size(self) -> int:
        """Number of parameters."""
        return self.prior.size + 3 + len(self.y) - 1

    def start(self) -> Floats:
        """Return a point in the middle: equal weights, no walk to speak of."""
        scales = [0.0, np.log(self.step_scale / 2), np.log(self.noise_scale / 2)]
        return np.concatenate([self.prior.start(), scales, np.zeros(len(self.y) - 1)])

    def target(self) -> Density:
        """Return the density as the sampler takes it."""
        ends = [self.prior.scales(), np.array([False, True, True]), np.zeros(len(self.y) - 1, dtype=np.bool_)]
        middle, root = whiten(self.evaluate, self.start(), np.concatenate(ends))
        return Density(self.size, self.evaluate, middle, root, _ACCEPTANCE, self.model)

    def evaluate(self, p: Floats) -> tuple[float, Floats]:
        """Return the log density, up to a constant, and its gradient (size,)."""
        q, (first, log_step, log_noise), steps = np.split(p, [self.prior.size, self.prior.size + 3])
        point, step = self.prior.evaluate(q), np.exp(log_step)
        walk = np.concatenate([[0.0], np.cumsum(steps)])
        level = self.base + first * self.level_scale + step * walk
        value, by_donors, by_level, by_noise = self._outcome(self.x @ point.weights, level, np.exp(log_noise))
        step_size, noise_size = (step / self.step_scale) ** 2, np.exp(2 * log_noise) / self.noise_scale**2
        priors = -0.5 * float(first**2 + steps @ steps + step_size + noise_size) + log_step + log_noise
        gradient = [
            self.prior.pull_back(q, self.x.T @ by_donors) + point.slope,
            [self.level_scale * by_level.sum() - first],
            [step * float(by_level @ walk) + 1 - step_size],
            [by_noise + 1 - noise_size],
            step * np.cumsum(by_level[::-1])[::-1][1:] - steps,
        ]
        return float(value + point.log_prior + priors), np.concatenate(gradient)

    def draws(self, p: Floats) -> DonorDraws:
        """Return parameters p (..., size) on their own scale."""
        q, scales, steps = np.split(p, [self.prior.size, self.prior.size + 3], axis=-1)
        walk = np.concatenate([np.zeros((*p.shape[:-1], 1)), np.cumsum(steps, axis=-1)], axis=-1)
        step = np.exp(scales[..., 1])
        level = self.base + scales[..., :1] * self.level_scale + step[..., None] * walk
        return DonorDraws(self.prior.weights(q), level, step, np.exp(scales[..., 2]))

    def prior_draws(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw parameters (n, size) from the prior."""
        scales = np.log(np.abs(rng.standard_normal((n, 2))) * [self.step_scale, self.noise_scale])
        first, steps = rng.standard_normal((n, 1)), rng.standard_normal((n, len(self.y) - 1))
        return np.concatenate([self.prior.prior_draws(n, rng), first, scales, steps], axis=1)

    def outcomes(self, mean: Floats, noise: Floats, rng: np.random.Generator) -> Floats:
        """Draw outcomes (..., T) around their mean (..., T), with noise (...)."""
        if self.link == "identity":
            return np.asarray(mean + noise[..., None] * rng.standard_normal(mean.shape))
        return np.asarray(rng.poisson(np.minimum(mean, _LARGEST_MEAN)), dtype=np.float64)

    def expected(self, x: Floats, exposure: Floats, weights: Floats, level: Floats) -> Floats:
        """Return the mean outcome (..., T) at donors x (T, J), exposure (T,), weights (..., J) and level (..., T)."""
        donors = weights @ x.T
        if self.link == "identity":
            return np.asarray(donors + level)
        return np.asarray(exposure * (donors * np.exp(level) if self.link == "rate" else np.exp(donors + level)))

    def pointwise(self, found: DonorDraws) -> Floats:
        """Return the log likelihood (..., P) of every period, up to a constant."""
        mean = self.expected(self.x, self.exposure, found.weights, found.level)
        if self.link == "identity":
            noise = found.noise[..., None]
            return np.asarray(-0.5 * ((self.y - mean) / noise) ** 2 - np.log(noise))
        return np.asarray(self.y * np.log(mean) - mean)

    def log_prior(self, p: Floats) -> dict[str, Floats]:
        """Return the log prior densities (...) of weights and of scales on their own scale, at p (..., size)."""
        q, scales, _ = np.split(p, [self.prior.size, self.prior.size + 3], axis=-1)
        ratio = np.exp(scales[..., 1:]) / [self.step_scale, self.noise_scale]
        return {"weights": self.prior.log_prior(q), "scales": -0.5 * (scales[..., 0] ** 2 + (ratio**2).sum(axis=-1))}

    def model(self) -> Any:
        """Return the same density as a PyMC model."""
        import pymc as pm
        import pytensor.tensor as pt

        with pm.Model() as model:
            donors = pt.dot(self.x, self.prior.variables())
            first = pm.Normal("first", 0, 1)
            step = pm.HalfNormal("step", self.step_scale)
            noise = pm.HalfNormal("noise", self.noise_scale)
            steps = pm.Normal("steps", 0, 1, shape=len(self.y) - 1)
            walk = pt.concatenate([[0.0], pt.cumsum(steps)])
            level = self.base + first * self.level_scale + step * walk
            if self.link == "identity":
                pm.Normal("y", donors + level, noise, observed=self.y)
            else:
                rate = donors * pt.exp(level) if self.link == "rate" else pt.exp(donors + level)
                pm.Poisson("y", self.exposure * rate, observed=self.y)
        return model

    def _outcome(self, donors: Floats, level: Floats, noise: float) -> tuple[float, Floats, Floats, float]:
        """Return the log likelihood and its slopes by donors (P,), by level (P,) and by log noise."""
        if self.link == "identity":
            residual = (self.y - donors - level) / noise
            squares = float(residual @ residual)
            value = -0.5 * squares - len(self.y) * np.log(noise)
            return float(value), residual / noise, residual / noise, squares - len(self.y)
        with np.errstate(over="ignore", invalid="ignore"):
            log_mean = level + (np.log(donors) if self.link == "rate" else donors)
            residual = self.y - self.exposure * np.exp(log_mean)
            value = self.y @ log_mean + (residual - self.y).sum()
            return float(value), residual / donors if self.link == "rate" else residual, residual, 0.0
