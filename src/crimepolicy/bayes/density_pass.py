"""The whole density of the count model in one compiled call: from whitened coordinates to log density and gradient."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from crimepolicy.bayes.cell_pass import cell_pass
from crimepolicy.bayes.scale_map import scales_from_normal

__all__ = ["DensityArrays", "density_pass"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]

_LEAST_KAPPA = 1e-9


class DensityArrays(NamedTuple):
    """What the compiled density reads; names as in `Design`, `Scales`, `Center` and `CountLikelihood`.

    Attributes
    ----------
    ends : int array (7,)
        Ends of the coordinates of units, periods, seasons, levels, drift, own levels and own drifts.
    which : int array (N, T)
        Position among the event cells, -1 without an event.
    """

    theta: Floats
    h: Floats
    log_sd: Floats
    shift: Floats
    root: Floats
    data_share: Floats
    owner: Ints
    constant: Floats
    prior: Floats
    share: int
    spatial: Floats
    dispersion: int
    ends: Ints
    unit: Floats
    group: Ints
    n_groups: int
    walk: Floats
    season: Floats
    which: Ints
    after: Floats
    level: Floats
    drift: Floats
    own_level: bool
    own_drift: Floats
    offset: Floats
    counts: Floats
    used: Any
    above: Floats
    turned: Ints
    turn: Floats


@njit(cache=True, nogil=True, error_model="numpy")
def density_pass(x: Floats, a: DensityArrays) -> tuple[float, float, Floats]:
    """Return the log density at x (size + Q,), the log likelihood in it, and the gradient, all up to a constant."""
    size = len(a.theta)
    s = x[size:]
    h2, turn2 = scales_from_normal(np.ascontiguousarray(s).reshape(1, -1), a.prior, a.share)
    h, turn = h2[0], turn2[0]
    log_sd, bend_share = _log_sd(h, a)
    own = (1 - a.data_share) * np.exp(2 * (a.log_sd - log_sd))
    ratio = 1 / np.sqrt(a.data_share + own)
    free = own * ratio**2
    away = np.tanh(h - a.h)
    middle = a.theta * ratio
    v = (middle + np.dot(a.shift, away) + np.dot(a.root, np.ascontiguousarray(x[:size]))) * ratio
    theta = v.copy()
    theta[a.turned] = np.dot(a.turn, v[a.turned])
    pull = theta * np.exp(-2 * log_sd)
    squares = theta * pull
    fitted, slope, bend = _likelihood(theta, h, a)
    value = fitted - 0.5 * (np.dot(s, s) + squares.sum()) + (np.log(ratio) - log_sd).sum()
    gradient = slope - pull
    gradient[a.turned] = np.dot(gradient[a.turned], a.turn)
    by_log_sd = gradient * (v + middle * ratio) * free + squares + free - 1
    by_h = np.zeros(len(h))
    for i in range(size):
        if a.owner[i] >= 0:
            by_h[a.owner[i]] += by_log_sd[i]
    if a.share >= 0:
        by_h[a.share] += np.dot(by_log_sd, bend_share)
    if a.dispersion >= 0:
        by_h[a.dispersion] += bend
    by_v = gradient * ratio
    by_h += np.dot(by_v, a.shift) * (1 - away * away)
    return value, fitted, np.concatenate((np.dot(by_v, a.root), by_h * turn - s))


@njit(cache=True, nogil=True, error_model="numpy")
def _log_sd(h: Floats, a: DensityArrays) -> tuple[Floats, Floats]:
    """Return the log prior standard deviations (size,) and their derivative by the logit of the spatial share."""
    log_sd, bend = a.constant.copy(), np.zeros(len(a.constant))
    share = 1 / (1 + np.exp(-h[a.share])) if a.share >= 0 else 0.0
    for i in range(len(log_sd)):
        if a.owner[i] >= 0:
            log_sd[i] += h[a.owner[i]]
        if a.share >= 0 and not np.isnan(a.spatial[i]):
            mix = 1 - share + share * a.spatial[i]
            log_sd[i] += 0.5 * np.log(mix)
            bend[i] = 0.5 * (a.spatial[i] - 1) * share * (1 - share) / mix
    return log_sd, bend


@njit(cache=True, nogil=True, error_model="numpy")
def _likelihood(theta: Floats, h: Floats, a: DensityArrays) -> tuple[float, Floats, float]:
    """Return the log likelihood, its gradient (size,), and its derivative by the log dispersion."""
    kappa = 0.0 if a.dispersion < 0 else max(np.exp(2 * h[a.dispersion]), _LEAST_KAPPA)
    e, k, t = len(a.level), len(a.after), len(a.walk)
    u, p, s, b, c, o = a.ends[0], a.ends[1], a.ends[2], a.ends[3], a.ends[4], a.ends[5]
    paths = np.dot(theta[u:p].reshape(a.n_groups, t - 1), a.walk.T) + np.dot(a.season, theta[p:s])
    level = np.dot(a.level, theta[s:b])
    if a.own_level:
        level = level + theta[c:o]
    shared = np.dot(a.drift, theta[b:c])
    own = np.dot(theta[o:].reshape(e, a.own_drift.shape[1]), a.own_drift.T)
    effect = np.outer(level, a.after) + shared + own
    value, bend, by_unit, by_period, by_cell = cell_pass(
        np.dot(a.unit, theta[:u]), paths, effect.ravel(), a.group, a.which, a.offset, a.counts, a.used, kappa
    )
    by_effect = by_cell.reshape(e, k)
    by_level = np.dot(by_effect, a.after)
    slope = np.empty(len(theta))
    slope[:u] = np.dot(by_unit, a.unit)
    slope[u:p] = np.dot(by_period, a.walk).ravel()
    slope[p:s] = np.dot(by_period.sum(axis=0), a.season)
    slope[s:b] = np.dot(by_level, a.level)
    slope[b:c] = np.dot(by_effect.sum(axis=0), a.drift)
    if a.own_level:
        slope[c:o] = by_level
    slope[o:] = np.dot(by_effect, a.own_drift).ravel()
    if kappa > 0:
        for i in range(len(a.above)):
            value += a.above[i] * np.log1p(kappa * i)
            bend += a.above[i] * (kappa * i / (1 + kappa * i))
    return value, slope, 2 * bend
