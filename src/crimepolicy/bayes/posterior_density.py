"""The posterior density of the count model in round coordinates, with its gradient by hand."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crimepolicy.bayes.density_pass import DensityArrays, density_pass
from crimepolicy.bayes.laplace import Center
from crimepolicy.bayes.layout import Design, Scales
from crimepolicy.bayes.likelihood import CountLikelihood

__all__ = ["RoundDensity", "round_density"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_ORDER = ("units", "period", "season", "levels", "drift", "event_level", "event_drift")


@dataclass(frozen=True, slots=True)
class RoundDensity:
    """The posterior over x = (z, s): z is the whitened position of the coordinates, s (standard normal a priori) gives the scales.

    A coordinate is ``v = (theta_center * r + shift @ tanh(h - h_center) + root @ z) * r``, where r (h) is the ratio of its posterior standard
    deviation at h to that at the centre, if it had a normal likelihood of its own. Then z does not depend on h: the coordinate is centred
    where the data decide, non-centred where the prior does, and the more so the smaller the scale. Levels and drifts are turned (`Center.turn`).
    """

    design: Design
    scales: Scales
    center: Center
    arrays: DensityArrays

    def evaluate(self, x: Floats) -> tuple[float, Floats]:
        """Return the log density, up to a constant, and its gradient."""
        value, _, gradient = density_pass(x, self.arrays)
        return value, gradient

    def log_likelihood(self, x: Floats) -> float:
        """Return the log likelihood at x (size + Q,), up to a constant."""
        return density_pass(x, self.arrays)[1]

    def start(self) -> Floats:
        """Return the position of the centre."""
        return np.concatenate([np.zeros(self.design.size), self.scales.to_normal(self.center.h)])

    def coordinates(self, x: Floats) -> tuple[Floats, Floats]:
        """Return theta (..., size) and h (..., Q) of draws x (..., size + Q)."""
        center, size = self.center, self.design.size
        h = self.scales.from_normal(x[..., size:])[0]
        log_sd = np.apply_along_axis(self.scales.log_sd, -1, h)
        ratio = (center.data_share + (1 - center.data_share) * np.exp(2 * (center.log_sd - log_sd))) ** -0.5
        theta = (center.theta * ratio + np.tanh(h - center.h) @ center.shift.T + x[..., :size] @ center.root.T) * ratio
        theta[..., center.turned] = theta[..., center.turned] @ center.turn.T
        return theta, h


def round_density(design: Design, scales: Scales, likelihood: CountLikelihood, center: Center) -> RoundDensity:
    """Return the density with what it looks up in every evaluation."""
    which = np.full(design.counts.size + 1, -1, dtype=np.intp)
    which[design.cell.ravel()] = np.arange(design.cell.size)
    arrays = DensityArrays(
        theta=center.theta,
        h=center.h,
        log_sd=center.log_sd,
        shift=np.ascontiguousarray(center.shift),
        root=np.ascontiguousarray(center.root),
        data_share=center.data_share,
        owner=scales.owner,
        constant=scales.constant,
        prior=scales.prior,
        share=scales.share,
        spatial=scales.spatial,
        dispersion=scales.dispersion,
        ends=np.array([design.at[name].stop for name in _ORDER], dtype=np.intp),
        unit=np.ascontiguousarray(design.unit),
        group=design.group,
        n_groups=design.n_groups,
        walk=np.ascontiguousarray(design.walk),
        season=np.ascontiguousarray(design.season),
        which=which[:-1].reshape(design.counts.shape),
        after=design.after,
        level=np.ascontiguousarray(design.level),
        drift=np.ascontiguousarray(design.drift),
        own_level=design.own_level,
        own_drift=np.ascontiguousarray(design.own_drift),
        offset=design.offset,
        counts=design.counts,
        used=design.used,
        above=likelihood.above,
        turned=center.turned,
        turn=np.ascontiguousarray(center.turn),
    )
    return RoundDensity(design, scales, center, arrays)
