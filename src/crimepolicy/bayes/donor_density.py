"""The posterior density of a synthetic control in round coordinates: what is normal given the scales is turned and scaled with them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crimepolicy.bayes.donor_model import DonorDraws, DonorModel
from crimepolicy.bayes.donor_pass import DonorArrays, donor_normals, donor_pass
from crimepolicy.bayes.donor_weights import Horseshoe, Simplex
from crimepolicy.bayes.sampling import Density

__all__ = ["DonorDensity", "donor_density"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

# With little noise the log of its scale has a sharp bend; shorter steps follow it.
_ACCEPTANCE = 0.95
_HALF = 0.5
_SCORING = 20


@dataclass(frozen=True, slots=True)
class DonorDensity:
    """The posterior over p: coordinates of the weights' prior, log step, log noise, and round coordinates of the standard normals.

    The normals are the first level and the steps, after those of the weights where weights are free.
    """

    model: DonorModel
    arrays: DonorArrays

    def start(self) -> Floats:
        """Return a point in the middle: equal or no weights, shorter steps and less noise than expected."""
        scales = [np.log(self.model.step_scale / 2), np.log(self.model.noise_scale / 2)]
        return np.concatenate([self.model.prior.start(), scales, np.zeros(self.arrays.design.shape[1])])

    def target(self) -> Density:
        """Return the density as the sampler takes it."""
        start = self.start()
        return Density(len(start), self.evaluate, start, acceptance=_ACCEPTANCE, model=self.pymc_model)

    def evaluate(self, p: Floats) -> tuple[float, Floats]:
        """Return the log density, up to a constant, and its gradient (size,)."""
        return donor_pass(p, self.arrays)

    def draws(self, p: Floats) -> DonorDraws:
        """Return coordinates p (..., size) on their own scale."""
        prior, k, periods = self.model.prior, self.model.prior.size, len(self.model.y)
        normals = donor_normals(p.reshape(-1, p.shape[-1]), self.arrays).reshape(*p.shape[:-1], -1)
        step, noise = np.exp(p[..., k]), np.exp(p[..., k + 1])
        if isinstance(prior, Simplex):
            weights = prior.weights(p[..., :k])
        else:
            weights = prior.scales(p[..., :k]) * normals[..., : prior.n]
        return DonorDraws(weights, self.model.level(normals[..., -periods:], step), step, noise)

    def log_prior(self, p: Floats) -> dict[str, Floats]:
        """Return the log prior densities (...) of weights and of scales on their own scale, at p (..., size)."""
        found, model = self.draws(p), self.model
        first = (found.level[..., 0] - model.base) / model.level_scale
        squares = first**2 + (found.step / model.step_scale) ** 2 + (found.noise / model.noise_scale) ** 2
        return {"weights": model.prior.log_prior(p[..., : model.prior.size]), "scales": -_HALF * squares}

    def pymc_model(self) -> Any:
        """Return the same density as a PyMC model."""
        import pymc as pm
        import pytensor.tensor as pt

        model, a = self.model, self.arrays
        n = a.design.shape[1]
        with pm.Model() as found:
            weights = model.prior.variables()
            step = pm.HalfNormal("step", model.step_scale)
            noise = pm.HalfNormal("noise", model.noise_scale)
            z = pm.Flat("z", shape=n)
            free = isinstance(model.prior, Horseshoe)
            donors = 0.0 if free else pt.dot(model.x, weights)
            center = model.base + (pt.log(donors) if a.rate else donors) + pt.zeros(len(model.y))
            sd = pt.concatenate([*([weights] if free else []), [1.0], step * np.ones(len(model.y) - 1)])
            tau = noise**-2 if a.identity else pt.constant(1.0)
            lower = pt.linalg.cholesky(pt.eye(n) + tau * a.product * sd[:, None] * sd)
            pulled = tau * sd * pt.dot(a.design.T * a.precision, a.response - center)
            half = pt.linalg.solve_triangular(lower, pulled, lower=True) + z
            normals = pt.linalg.solve_triangular(lower.T, half, lower=False)
            pm.Potential("normals", -_HALF * pt.sum(normals**2) - pt.sum(pt.log(pt.diag(lower))))
            mean = center + pt.dot(a.design, sd * normals)
            if a.identity:
                pm.Normal("y", mean, noise, observed=model.y)
            else:
                pm.Poisson("y", model.exposure * pt.exp(mean), observed=model.y)
        return found


def donor_density(model: DonorModel) -> DonorDensity:
    """Return the density with what it looks up in every evaluation."""
    prior, periods = model.prior, len(model.y)
    walk = np.tril(np.ones((periods, periods)))[:, 1:]
    design = np.hstack([np.full((periods, 1), model.level_scale), walk])
    order: Any = slice(None)
    sticks, common, slab = np.zeros((2, 0)), 0.0, 0.0
    if isinstance(prior, Simplex):
        order, sticks = list(prior.order), prior.sticks()
    else:
        design, common, slab = np.hstack([model.x, design]), prior.common, prior.slab
    response, precision = _stand_in(model, design)
    # Fresh arrays, since the density is compiled anew for arrays that may not be written to or lie otherwise in memory.
    arrays = DonorArrays(
        y=_fresh(model.y),
        exposure=_fresh(model.exposure),
        x=_fresh(model.x[:, order]),
        design=_fresh(design),
        response=_fresh(response),
        precision=_fresh(precision),
        product=_fresh(design.T @ (precision[:, None] * design)),
        sticks=_fresh(sticks),
        common=float(common),
        slab=float(slab),
        base=float(model.base),
        step_scale=float(model.step_scale),
        noise_scale=float(model.noise_scale),
        rate=model.link == "rate",
        identity=model.link == "identity",
    )
    return DonorDensity(model, arrays)


def _fresh(values: Any) -> Floats:
    return np.array(values, dtype=np.float64, order="C")


def _stand_in(model: DonorModel, design: Floats) -> tuple[Floats, Floats]:
    """Return the working response (P,) of the log mean and its precision (P,), by Fisher scoring in the middle of the prior.

    Only speed depends on them.
    """
    y, prior = np.asarray(model.y, dtype=np.float64), model.prior
    if model.link == "identity":
        return y, np.ones(len(y))
    center, sd = np.full(len(y), model.base), np.ones(design.shape[1])
    sd[design.shape[1] - len(y) + 1 :] = model.step_scale / 2
    if isinstance(prior, Simplex):
        donors = model.x.mean(axis=1)
        center = center + (np.log(donors) if model.link == "rate" else donors)
    else:
        sd[: prior.n] = prior.scales(prior.start())
    root, precision = design * sd, np.maximum(y, _HALF)
    response = np.log(precision / model.exposure)
    for _ in range(_SCORING):
        information = np.eye(len(sd)) + root.T @ (precision[:, None] * root)
        log_mean = center + root @ np.linalg.solve(information, root.T @ (precision * (response - center)))
        precision = model.exposure * np.exp(log_mean)
        response = log_mean + (y - precision) / precision
    return response, precision
