"""Fit the count model: find the centre, sample around it, and return the coordinates on their own scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from crimepolicy.bayes.count_model import count_model
from crimepolicy.bayes.laplace import find_center
from crimepolicy.bayes.layout import Design, Scales, scale_table
from crimepolicy.bayes.likelihood import count_likelihood
from crimepolicy.bayes.posterior_density import round_density
from crimepolicy.bayes.sampling import Density, Posterior, Sampler, sample

__all__ = ["CountFit", "count_fit"]

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class CountFit:
    """A sampled count model.

    Attributes
    ----------
    theta : float array (n_chains, n_draws, size)
    h : float array (n_chains, n_draws, Q)
    scales : Scales
    posterior : Posterior
        As sampled, in round coordinates.
    """

    theta: Floats
    h: Floats
    scales: Scales
    posterior: Posterior

    @property
    def dispersion(self) -> Floats | None:
        """Float array (n_chains, n_draws), or None for Poisson."""
        return None if self.scales.dispersion < 0 else np.asarray(np.exp(self.h[..., self.scales.dispersion]))

    def named_scales(self) -> Mapping[str, Floats]:
        """Return every scale (n_chains, n_draws) as a standard deviation, share or dispersion."""
        named = {name: np.exp(self.h[..., i]) for i, name in enumerate(self.scales.names)}
        if self.scales.share >= 0:
            odds = named["spatial_share"]
            named["spatial_share"] = odds / (1 + odds)
        return named


def count_fit(
    design: Design, *, draws: int = 1000, tune: int = 500, chains: int = 2, seed: int = 0, sampler: Sampler = "nutpie"
) -> CountFit:
    """Sample the posterior of a design."""
    scales = scale_table(design.blocks, design.dispersion_scale)
    likelihood = count_likelihood(design.counts, design.used)
    turned = round_density(design, scales, likelihood, find_center(design, scales, likelihood))
    size = design.size + len(scales.names)
    density = Density(size, turned.evaluate, turned.start(), partial(count_model, turned))
    posterior = sample(density, draws=draws, tune=tune, chains=chains, seed=seed, sampler=sampler)
    theta, h = turned.coordinates(posterior.draws)
    return CountFit(theta, h, scales, posterior)
