"""The posterior density of the count model in round coordinates, with its gradient by hand."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crimepolicy.bayes.cell_pass import cell_pass
from crimepolicy.bayes.laplace import Center
from crimepolicy.bayes.layout import Design, Scales
from crimepolicy.bayes.likelihood import CountLikelihood
from crimepolicy.bayes.predictor import parts, pull_back_parts

__all__ = ["RoundDensity", "round_density"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_LEAST_KAPPA = 1e-9


@dataclass(frozen=True, slots=True)
class RoundDensity:
    """The posterior over x = (z, s): z is the whitened position of the coordinates, s (standard normal a priori) gives the scales.

    A coordinate is ``theta = v * (sd(h) / sd(center)) ** (1 - data_share)`` with ``v = theta_center + shift @ tanh(h - h_center) + root @ z``: centred where the
    data decide, non-centred where the prior does, and in between where both speak.
    """

    design: Design
    scales: Scales
    likelihood: CountLikelihood
    center: Center
    which: np.ndarray[Any, np.dtype[np.intp]]
    steps: Floats

    def evaluate(self, x: Floats) -> tuple[float, Floats]:
        """Return the log density, up to a constant, and its gradient."""
        center, size = self.center, self.design.size
        s = x[size:]
        h, turn = self.scales.from_normal(s)
        log_sd = self.scales.log_sd(h)
        free = 1 - center.data_share
        ratio = np.exp(free * (log_sd - center.log_sd))
        away = np.tanh(h - center.h)
        theta = (center.theta + center.shift @ away + center.root @ x[:size]) * ratio
        precision = np.exp(-2 * log_sd)
        squares = theta**2 * precision
        fitted, slope, bend = self._likelihood(theta, h)
        prior = -0.5 * (s @ s + squares.sum()) - center.data_share @ log_sd
        gradient = slope - theta * precision
        slope_h = self.scales.gather(h, gradient * theta * free + squares - center.data_share)
        if self.scales.dispersion >= 0:
            slope_h[self.scales.dispersion] += bend
        slope_v = gradient * ratio
        slope_h += (slope_v @ center.shift) * (1 - away * away)
        return float(fitted + prior), np.concatenate([slope_v @ center.root, slope_h * turn - s])

    def start(self) -> Floats:
        """Return the position of the centre."""
        return np.concatenate([np.zeros(self.design.size), self.scales.to_normal(self.center.h)])

    def coordinates(self, x: Floats) -> tuple[Floats, Floats]:
        """Return theta (..., size) and h (..., Q) of draws x (..., size + Q)."""
        center, size = self.center, self.design.size
        h = self.scales.from_normal(x[..., size:])[0]
        log_sd = np.apply_along_axis(self.scales.log_sd, -1, h)
        ratio = np.exp((1 - center.data_share) * (log_sd - center.log_sd))
        return (center.theta + np.tanh(h - center.h) @ center.shift.T + x[..., :size] @ center.root.T) * ratio, h

    def _likelihood(self, theta: Floats, h: Floats) -> tuple[float, Floats, float]:
        """Return the log likelihood, its gradient (size,), and its derivative by the log dispersion."""
        design, above = self.design, self.likelihood.above
        kappa = 0.0 if self.scales.dispersion < 0 else max(float(np.exp(2 * h[self.scales.dispersion])), _LEAST_KAPPA)
        unit, period, effect = parts(design, theta)
        value, bend, *slopes = cell_pass(
            unit, period, effect.ravel(), design.group, self.which, design.offset, design.counts, design.used, kappa
        )
        slope = pull_back_parts(design, slopes[0], slopes[1], slopes[2].reshape(effect.shape))
        if not kappa:
            return value, slope, 0.0
        grown = kappa * self.steps
        value += float(above @ np.log1p(grown))
        return value, slope, 2 * (bend + float(above @ (grown / (1 + grown))))


def round_density(design: Design, scales: Scales, likelihood: CountLikelihood, center: Center) -> RoundDensity:
    """Return the density with what it looks up in every evaluation."""
    which = np.full(design.counts.size + 1, -1, dtype=np.intp)
    which[design.cell.ravel()] = np.arange(design.cell.size)
    steps = np.arange(len(likelihood.above), dtype=np.float64)
    return RoundDensity(design, scales, likelihood, center, which[:-1].reshape(design.counts.shape), steps)
