"""The count model as a PyMC model: the density by hand once more, written by distributions, for any sampler that PyMC knows."""

from typing import Any

import numpy as np

from crimepolicy.bayes.layout import Design, Scales
from crimepolicy.bayes.posterior_density import RoundDensity

__all__ = ["count_model"]


def count_model(density: RoundDensity) -> Any:
    """Return the PyMC model of a density, over the same coordinates: ``z`` (whitened positions) and ``s`` (scales).

    Parameters
    ----------
    density : RoundDensity

    Returns
    -------
    pymc.Model
        With free variables ``z`` (size,) and ``s`` (Q,), and ``counts`` observed in the cells in use.
    """
    import pymc as pm
    import pytensor.tensor as pt

    design, scales, center = density.design, density.scales, density.center
    with pm.Model() as model:
        z = pm.Flat("z", shape=design.size)
        s = pm.Normal("s", 0, 1, shape=len(scales.names))
        h = _log_scales(scales, s)
        log_sd = _log_sd(scales, h)
        narrower = center.data_share + (1 - center.data_share) * pt.exp(2 * (center.log_sd - log_sd))
        ratio = narrower**-0.5
        v = (center.theta * ratio + pt.dot(center.shift, pt.tanh(h - center.h)) + pt.dot(center.root, z)) * ratio
        theta = pt.set_subtensor(v[center.turned], pt.dot(center.turn, v[center.turned])) if center.turned.size else v
        # Flat in z, so that the prior enters as a term: normal coordinates, and the stretch from z to them.
        pm.Potential("prior", pm.logp(pm.Normal.dist(0, pt.exp(log_sd)), theta).sum() + pt.log(ratio).sum())
        mean = pt.exp(_log_mean(design, theta))
        seen = design.counts[design.used].astype(np.int64)
        if scales.dispersion < 0:
            pm.Poisson("counts", mean, observed=seen)
        else:
            pm.NegativeBinomial("counts", mu=mean, alpha=pt.exp(-2 * h[scales.dispersion]), observed=seen)
    return model


def _log_scales(scales: Scales, s: Any) -> Any:
    """Return h (Q,): logs of half-normal quantiles at the normal probability of s; for the spatial share, its logit."""
    import pytensor.tensor as pt

    probability = 0.5 * pt.erfc(-s / np.sqrt(2))
    h = pt.log(np.nan_to_num(scales.prior, nan=1.0) * np.sqrt(2) * pt.erfinv(probability))
    if scales.share < 0:
        return h
    share = probability[scales.share]
    return pt.set_subtensor(h[scales.share], pt.log(share) - pt.log1p(-share))


def _log_sd(scales: Scales, h: Any) -> Any:
    import pytensor.tensor as pt

    # The last entry stands for fixed scales, whose owner is -1.
    log_sd = pt.concatenate([h, [0.0]])[scales.owner] + scales.constant
    if scales.share < 0:
        return log_sd
    share = pt.sigmoid(h[scales.share])
    spatial = np.nan_to_num(scales.spatial, nan=1.0)
    return log_sd + 0.5 * pt.log(1 - share + share * spatial)


def _log_mean(design: Design, theta: Any) -> Any:
    """Return the log mean of the cells in use."""
    import pytensor.tensor as pt

    e, j = len(design.cell), design.own_drift.shape[1]
    level = pt.dot(design.level, theta[design.at["levels"]])
    if design.own_level:
        level = level + theta[design.at["event_level"]]
    own = pt.dot(theta[design.at["event_drift"]].reshape((e, j)), design.own_drift.T)
    effect = level[:, None] * design.after + pt.dot(design.drift, theta[design.at["drift"]]) + own
    walk = pt.dot(theta[design.at["period"]].reshape((design.n_groups, -1)), design.walk.T)
    period = walk + pt.dot(design.season, theta[design.at["season"]])
    eta = design.offset + pt.dot(design.unit, theta[design.at["units"]])[:, None] + period[design.group]
    present = design.cell < design.counts.size
    flat = pt.inc_subtensor(eta.ravel()[design.cell[present]], effect[present.nonzero()])
    return flat[np.flatnonzero(design.used)]
