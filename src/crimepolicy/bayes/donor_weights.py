"""Priors of donor weights: on a simplex, or free and shrunk to zero by a regularised horseshoe."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

__all__ = ["Horseshoe", "Simplex", "WeightPoint"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

# Four degrees of freedom: the slab is a Student distribution whose variance exists.
_SLAB_SHAPE = 2.0


@dataclass(frozen=True, slots=True)
class WeightPoint:
    """Weights (J,) at one point of their coordinates, with the log prior there and its gradient (size,)."""

    weights: Floats
    log_prior: float
    slope: Floats


@dataclass(frozen=True, slots=True)
class Simplex:
    """Weights that are shares: the softmax of n logits, with a symmetric Dirichlet prior (identified by a gamma variable each)."""

    n: int
    concentration: float

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.n

    def start(self) -> Floats:
        """Return the coordinates of equal weights."""
        return np.full(self.n, np.log(self.concentration))

    def scales(self) -> Bools:
        """Return which coordinates (size,) are logs of scales."""
        return np.zeros(self.n, dtype=np.bool_)

    def weights(self, q: Floats) -> Floats:
        """Return the weights (..., n) of coordinates q (..., size)."""
        return np.asarray(special.softmax(q, axis=-1))

    def evaluate(self, q: Floats) -> WeightPoint:
        """Return the weights at q (size,) with their prior."""
        grown = np.exp(q)
        log_prior = self.concentration * q.sum() - grown.sum()
        return WeightPoint(self.weights(q), float(log_prior), self.concentration - grown)

    def prior_draws(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw coordinates (n, size) from the prior."""
        # A gamma variable of small shape underflows; the power of a uniform adds its logarithm instead.
        grown = np.log(rng.gamma(self.concentration + 1, size=(n, self.n)))
        return np.asarray(grown + np.log(rng.uniform(size=(n, self.n))) / self.concentration)

    def log_prior(self, q: Floats) -> Floats:
        """Return the log prior density (...) of the weights themselves at q (..., size)."""
        return np.asarray((self.concentration - 1) * special.log_softmax(q, axis=-1).sum(axis=-1))

    def pull_back(self, q: Floats, by_weight: Floats) -> Floats:
        """Return the gradient (size,) by coordinates, given that by weights (n,)."""
        weights = self.weights(q)
        return np.asarray(weights * (by_weight - weights @ by_weight))

    def variables(self) -> Any:
        """Return the weights as a variable of the PyMC model in whose context this is called."""
        import pymc as pm

        gamma = pm.Gamma("gamma", self.concentration, 1, shape=self.n)
        return gamma / gamma.sum()


@dataclass(frozen=True, slots=True)
class Horseshoe:
    """Weights of any sign, normal given scales of their own (half-Cauchy), a common scale (half-Cauchy) and a slab that bounds both.

    Coordinates: n standard normals, n logs of own scales, log of the common scale, log of the squared slab.

    Attributes
    ----------
    n : int
    common : float
        Scale of the half-Cauchy prior of the common scale: small where few donors are expected to matter.
    slab : float
        Typical size of a weight that is not shrunk.
    """

    n: int
    common: float
    slab: float

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return 2 * self.n + 2

    def start(self) -> Floats:
        """Return coordinates of weights near zero."""
        point = np.zeros(self.size)
        point[-2], point[-1] = np.log(self.common), 2 * np.log(self.slab)
        return point

    def scales(self) -> Bools:
        """Return which coordinates (size,) are logs of scales."""
        return np.arange(self.size) >= self.n

    def weights(self, q: Floats) -> Floats:
        """Return the weights (..., n) of coordinates q (..., size)."""
        return np.asarray(q[..., : self.n] * np.exp(self._log_sd(q)))

    def evaluate(self, q: Floats) -> WeightPoint:
        """Return the weights at q (size,) with their prior."""
        z, own, common, slab = q[: self.n], q[self.n : -2], q[-2], q[-1]
        rate = _SLAB_SHAPE * self.slab**2
        relative = common - np.log(self.common)
        log_prior = -0.5 * z @ z + (own - np.logaddexp(0, 2 * own)).sum() + common - np.logaddexp(0, 2 * relative)
        log_prior += -_SLAB_SHAPE * slab - rate * np.exp(-slab)
        ends = [1 - 2 * special.expit(2 * relative), rate * np.exp(-slab) - _SLAB_SHAPE]
        return WeightPoint(
            self.weights(q), float(log_prior), np.concatenate([-z, 1 - 2 * special.expit(2 * own), ends])
        )

    def prior_draws(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw coordinates (n, size) from the prior."""
        z, own = rng.standard_normal((n, self.n)), np.log(np.abs(rng.standard_cauchy((n, self.n))))
        common = np.log(self.common * np.abs(rng.standard_cauchy((n, 1))))
        slab = np.log(_SLAB_SHAPE * self.slab**2 / rng.gamma(_SLAB_SHAPE, size=(n, 1)))
        return np.concatenate([z, own, common, slab], axis=1)

    def log_prior(self, q: Floats) -> Floats:
        """Return the log prior density (...) of the scales themselves at q (..., size)."""
        own, common, slab = q[..., self.n : -2], q[..., -2] - np.log(self.common), q[..., -1]
        halves = -np.logaddexp(0, 2 * own).sum(axis=-1) - np.logaddexp(0, 2 * common)
        return np.asarray(halves - (_SLAB_SHAPE + 1) * slab - _SLAB_SHAPE * self.slab**2 * np.exp(-slab))

    def pull_back(self, q: Floats, by_weight: Floats) -> Floats:
        """Return the gradient (size,) by coordinates, given that by weights (n,)."""
        by_log_sd = by_weight * self.weights(q)
        free = special.expit(q[-1] - 2 * (q[self.n : -2] + q[-2]))
        own = by_log_sd * free
        ends = [own.sum(), 0.5 * (by_log_sd - own).sum()]
        return np.concatenate([by_weight * np.exp(self._log_sd(q)), own, ends])

    def variables(self) -> Any:
        """Return the weights as a variable of the PyMC model in whose context this is called."""
        import pymc as pm

        z = pm.Normal("z", 0, 1, shape=self.n)
        own = pm.HalfCauchy("own", 1, shape=self.n)
        common = pm.HalfCauchy("common", self.common)
        slab = pm.InverseGamma("slab", _SLAB_SHAPE, _SLAB_SHAPE * self.slab**2)
        return z * common * own * pm.math.sqrt(slab / (slab + (common * own) ** 2))

    def _log_sd(self, q: Floats) -> Floats:
        """Return the log prior standard deviation (..., n) of the weights given all scales."""
        log = q[..., self.n : -2] + q[..., -2:-1]
        slab = q[..., -1:]
        return np.asarray(log + 0.5 * (slab - np.logaddexp(slab, 2 * log)))
