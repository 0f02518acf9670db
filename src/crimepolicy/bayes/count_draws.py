"""Draws of the parameters of the count model, from its posterior or its prior."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from crimepolicy.bayes.layout import Design, Scales, scale_table

__all__ = ["CountDraws", "prior_draws"]

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class CountDraws:
    """Draws of the parameters; leading axes (...) are chains and draws.

    Attributes
    ----------
    theta : float array (..., size)
        Gaussian coordinates.
    h : float array (..., Q)
        Logs of the scales; logit of a spatial share.
    scales : Scales
    """

    theta: Floats
    h: Floats
    scales: Scales

    @property
    def dispersion(self) -> Floats | None:
        """Float array (...), or None for Poisson."""
        return None if self.scales.dispersion < 0 else np.asarray(np.exp(self.h[..., self.scales.dispersion]))

    @property
    def log_sd(self) -> Floats:
        """Log prior standard deviations (..., size) of the coordinates."""
        return np.apply_along_axis(self.scales.log_sd, -1, self.h)

    def named_scales(self) -> Mapping[str, Floats]:
        """Return every scale (...) as a standard deviation, share or dispersion."""
        named = {name: np.exp(self.h[..., i]) for i, name in enumerate(self.scales.names)}
        if self.scales.share >= 0:
            odds = named["spatial_share"]
            named["spatial_share"] = odds / (1 + odds)
        return named

    def log_prior(self) -> Mapping[str, Floats]:
        """Return the log prior densities (...) that a reader can change: of the scales, and of coefficients with a fixed scale.

        What is normal given a scale belongs to the model, not to the prior, when a prior is weakened or strengthened.
        """
        ratio = np.exp(self.h) / np.nan_to_num(self.scales.prior, nan=np.inf)
        fixed = self.scales.owner < 0
        coefficients = self.theta[..., fixed] * np.exp(-self.scales.constant[fixed])
        return {"scales": -0.5 * (ratio**2).sum(axis=-1), "coefficients": -0.5 * (coefficients**2).sum(axis=-1)}


def prior_draws(design: Design, n: int, rng: np.random.Generator) -> CountDraws:
    """Draw parameters (n, ...) from the prior."""
    scales = scale_table(design.blocks, design.dispersion_scale)
    h = np.log(np.abs(rng.standard_normal((n, len(scales.names)))) * np.nan_to_num(scales.prior, nan=1.0))
    if scales.share >= 0:
        share = rng.uniform(size=n)
        h[:, scales.share] = np.log(share) - np.log1p(-share)
    log_sd = np.array([scales.log_sd(row) for row in h])
    return CountDraws(rng.standard_normal((n, design.size)) * np.exp(log_sd), h, scales)
