"""Fit the count model: find the centre, sample around it, and return the coordinates on their own scale."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from crimepolicy.bayes.count_draws import CountDraws
from crimepolicy.bayes.count_model import count_model
from crimepolicy.bayes.laplace import find_center
from crimepolicy.bayes.layout import Design, scale_table
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
    draws : CountDraws (n_chains, n_draws)
    log_likelihood : float array (n_chains, n_draws)
        Of all cells, up to a constant.
    posterior : Posterior
        As sampled, in round coordinates.
    """

    draws: CountDraws
    log_likelihood: Floats
    posterior: Posterior


def count_fit(
    design: Design, *, draws: int = 1000, tune: int = 500, chains: int = 2, seed: int = 0, sampler: Sampler = "nutpie"
) -> CountFit:
    """Sample the posterior of a design."""
    scales = scale_table(design.blocks, design.dispersion_scale)
    likelihood = count_likelihood(design.counts, design.used)
    turned = round_density(design, scales, likelihood, find_center(design, scales, likelihood))
    size = design.size + len(scales.names)
    density = Density(size, turned.evaluate, turned.start(), model=partial(count_model, turned))
    posterior = sample(density, draws=draws, tune=tune, chains=chains, seed=seed, sampler=sampler)
    drawn = CountDraws(*turned.coordinates(posterior.draws), scales)
    return CountFit(drawn, np.apply_along_axis(turned.log_likelihood, -1, posterior.draws), posterior)
