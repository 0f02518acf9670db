"""Priors of donor weights: on a simplex, or free and shrunk to zero by a regularised horseshoe."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from scipy import special

__all__ = ["SLAB_SHAPE", "Horseshoe", "Simplex"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

# Four degrees of freedom: the slab is a Student distribution whose variance exists.
SLAB_SHAPE = 2.0


@dataclass(frozen=True, slots=True)
class Simplex:
    """Weights that are shares with a symmetric Dirichlet prior, by breaking a stick: each takes a part of what the ones before left.

    Coordinates: n - 1 log odds of the parts.

    Attributes
    ----------
    n : int
    concentration : float
    order : tuple of int
        Donors in the order in which they break the stick; of no matter to the prior. The largest first, a tiny weight hangs on few others.
    """

    n: int
    concentration: float
    order: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.n - 1

    def sticks(self) -> Floats:
        """Return the parameters (2, size) of the beta prior of every part."""
        rest = np.arange(self.n - 1, 0, -1.0)
        return self.concentration * np.array([np.ones(self.size), rest])

    def start(self) -> Floats:
        """Return the coordinates of equal weights."""
        return np.asarray(-np.log(np.arange(self.n - 1, 0, -1.0)))

    def weights(self, q: Floats) -> Floats:
        """Return the weights (..., n) of coordinates q (..., size)."""
        found = np.empty((*q.shape[:-1], self.n))
        found[..., self.order] = np.exp(self._logs(q))
        return found

    def prior_draws(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw weights (n, self.n) from the prior."""
        return rng.dirichlet(np.full(self.n, self.concentration), n)

    def log_prior(self, q: Floats) -> Floats:
        """Return the log prior density (...) of the weights themselves at q (..., size)."""
        return np.asarray((self.concentration - 1) * self._logs(q).sum(axis=-1))

    def variables(self) -> Any:
        """Return the weights as a variable of the PyMC model in whose context this is called."""
        import pymc as pm

        # Typed in part only.
        pt: Any = import_module("pytensor.tensor")
        own, rest = self.sticks()
        part = pm.Beta("part", own, rest, shape=self.size)
        left = pt.concatenate([[1.0], pt.cumprod(1 - part)])
        return (pt.concatenate([part, [1.0]]) * left)[np.argsort(self.order)]

    def _logs(self, q: Floats) -> Floats:
        """Return log weights (..., n), in the order of the sticks."""
        one = np.zeros((*q.shape[:-1], 1))
        left = np.concatenate([one, np.cumsum(special.log_expit(-q), axis=-1)], axis=-1)
        return np.asarray(np.concatenate([special.log_expit(q), one], axis=-1) + left)


@dataclass(frozen=True, slots=True)
class Horseshoe:
    """Weights of any sign, normal given scales of their own (half-Cauchy), a common scale (half-Cauchy) and a slab that bounds both.

    Coordinates: n logs of own scales, log of the common scale, log of the squared slab.

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
        return self.n + 2

    def start(self) -> Floats:
        """Return coordinates in the middle of the prior."""
        return np.concatenate([np.zeros(self.n), [np.log(self.common), 2 * np.log(self.slab)]])

    def scales(self, q: Floats) -> Floats:
        """Return the prior standard deviations (..., n) of the weights at q (..., size)."""
        log, slab = q[..., : self.n] + q[..., -2:-1], q[..., -1:]
        return np.asarray(np.exp(log + 0.5 * (slab - np.logaddexp(slab, 2 * log))))

    def prior_draws(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw weights (n, self.n) from the prior."""
        own = np.log(np.abs(rng.standard_cauchy((n, self.n))))
        common = np.log(self.common * np.abs(rng.standard_cauchy((n, 1))))
        slab = np.log(SLAB_SHAPE * self.slab**2 / rng.gamma(SLAB_SHAPE, size=(n, 1)))
        return self.scales(np.concatenate([own, common, slab], axis=1)) * rng.standard_normal((n, self.n))

    def log_prior(self, q: Floats) -> Floats:
        """Return the log prior density (...) of the scales themselves at q (..., size)."""
        own, common, slab = q[..., : self.n], q[..., -2] - np.log(self.common), q[..., -1]
        halves = -np.logaddexp(0, 2 * own).sum(axis=-1) - np.logaddexp(0, 2 * common)
        return np.asarray(halves - (SLAB_SHAPE + 1) * slab - SLAB_SHAPE * self.slab**2 * np.exp(-slab))

    def variables(self) -> Any:
        """Return the standard deviations as a variable of the PyMC model in whose context this is called."""
        import pymc as pm

        own = pm.HalfCauchy("own", 1, shape=self.n)
        common = pm.HalfCauchy("common", self.common)
        slab = pm.InverseGamma("slab", SLAB_SHAPE, SLAB_SHAPE * self.slab**2)
        return common * own * pm.math.sqrt(slab / (slab + (common * own) ** 2))
