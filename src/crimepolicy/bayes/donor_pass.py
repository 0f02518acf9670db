"""The whole density of a synthetic control in one compiled call: from round coordinates to log density and gradient."""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from crimepolicy.bayes.donor_weights import SLAB_SHAPE

__all__ = ["DonorArrays", "donor_normals", "donor_pass"]

Floats = np.ndarray[Any, np.dtype[np.float64]]


class DonorArrays(NamedTuple):
    """What the compiled density reads.

    Attributes
    ----------
    y, exposure : float array (P,)
    x : float array (P, J)
        Donors, in the order of the sticks.
    design : float array (P, n)
        From the standard normals (n,), each times its standard deviation, to the log mean (counts) or mean: donors where weights are
        free, first level, steps.
    response, precision : float array (P,)
        A normal stand-in for the likelihood: working response of the log mean and its precision; of normal outcomes the outcomes, and ones.
    product : float array (n, n)
        ``design.T @ diag(precision) @ design``.
    sticks : float array (2, J - 1)
        Parameters of the beta prior of each stick; no columns with free weights.
    common, slab : float
        Of the horseshoe; slab is zero with weights on the simplex.
    """

    y: Floats
    exposure: Floats
    x: Floats
    design: Floats
    response: Floats
    precision: Floats
    product: Floats
    sticks: Floats
    common: float
    slab: float
    base: float
    step_scale: float
    noise_scale: float
    rate: bool
    identity: bool


class _Point(NamedTuple):
    """Center (P,) of the response, standard deviations (n,), prior, and the normals e (n,) with what leads to them."""

    shares: Floats
    donors: Floats
    center: Floats
    sd: Floats
    tau: float
    prior: float
    slope: Floats
    scaled: Floats
    inverse: Floats
    log_determinant: float
    v: Floats
    u: Floats
    e: Floats


@njit(cache=True, nogil=True, error_model="numpy")
def donor_pass(p: Floats, a: DonorArrays) -> tuple[float, Floats]:
    """Return the log density at p, up to a constant, and its gradient.

    Given weights on the simplex and all scales, everything else is normal a priori: n standard normals e. With a normal likelihood they
    would be normal a posteriori too, with precision ``H = 1 + sd sd' * product``. The coordinates are ``z = L'(e - mode)``, where
    ``L L' = H``: independent standard normals as far as the stand-in holds, whatever the scales, so that no funnel is left.
    """
    at = _point(p, a)
    k, log_step, log_noise = len(at.slope), p[len(at.slope)], p[len(at.slope) + 1]
    value, by_mean, by_noise = _likelihood(at.center + a.design @ (at.sd * at.e), log_noise, a)
    steps, noises = math.exp(2 * log_step) / a.step_scale**2, math.exp(2 * log_noise) / a.noise_scale**2
    value += at.prior - at.log_determinant - 0.5 * (at.e @ at.e + steps + noises) + log_step + log_noise
    by_normal = a.design.T @ by_mean
    by_z = at.inverse @ (at.sd * by_normal - at.e)
    by_product = at.sd * (at.inverse.T @ by_z)
    by_root = _by_root(at, by_z)
    by_log_sd = 2 * by_root + at.sd * at.e * by_normal
    by_log_sd += at.tau * by_product * (a.design.T @ (a.precision * (a.response - at.center)))
    gradient = np.empty(len(p))
    gradient[:k] = at.slope
    if a.slab > 0:
        gradient[:k] += _pull_scales(p[:k], by_log_sd, a)
    else:
        by_center = by_mean - at.tau * a.precision * (a.design @ by_product)
        gradient[:k] += _pull_shares(p[:k], at.shares, (by_center / at.donors if a.rate else by_center) @ a.x)
    gradient[k] = by_log_sd[len(at.sd) - len(a.y) + 1 :].sum() + 1 - steps
    gradient[k + 1] = 1 - noises
    if a.identity:
        pulled = by_product @ (a.design.T @ (a.precision * (a.response - at.center)))
        gradient[k + 1] += by_noise - 2 * (by_root.sum() + at.tau * pulled)
    gradient[k + 2 :] = by_z
    return value, gradient


@njit(cache=True, nogil=True, error_model="numpy")
def donor_normals(draws: Floats, a: DonorArrays) -> Floats:
    """Return the standard normals (m, n) at every draw (m, size)."""
    found = np.empty((len(draws), a.design.shape[1]))
    for i in range(len(draws)):
        found[i] = _point(draws[i], a).e
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _point(p: Floats, a: DonorArrays) -> _Point:
    n, (periods, j) = a.design.shape[1], a.x.shape
    k = j + 2 if a.slab > 0 else j - 1
    sd, shares, donors, center = np.ones(n), np.zeros(j), np.zeros(periods), np.full(periods, a.base)
    sd[n - periods + 1 :] = math.exp(p[k])
    if a.slab > 0:
        sd[:j], prior, slope = _horseshoe(p[:k], a)
    else:
        shares, prior, slope = _sticks(p[:k], a)
        donors = a.x @ shares
        center += np.log(donors) if a.rate else donors
    tau = math.exp(-2 * p[k + 1]) if a.identity else 1.0
    scaled = tau * a.product * sd * sd.reshape(-1, 1)
    inverse, log_determinant = _inverse_root(scaled + np.eye(n))
    v = inverse @ (tau * sd * (a.design.T @ (a.precision * (a.response - center))))
    u = v + p[k + 2 :]
    return _Point(shares, donors, center, sd, tau, prior, slope, scaled, inverse, log_determinant, v, u, inverse.T @ u)


@njit(cache=True, nogil=True, error_model="numpy")
def _likelihood(mean: Floats, log_noise: float, a: DonorArrays) -> tuple[float, Floats, float]:
    """Return the log likelihood and its derivatives by the (log) mean (P,) and by log noise."""
    if a.identity:
        residual = (a.y - mean) * math.exp(-log_noise)
        squares = (residual * residual).sum()
        return -0.5 * squares - len(mean) * log_noise, residual * math.exp(-log_noise), squares - len(mean)
    expected = a.exposure * np.exp(mean)
    return (a.y * mean - expected).sum(), a.y - expected, 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _inverse_root(h: Floats) -> tuple[Floats, float]:
    """Return the inverse of the lower Cholesky factor of h (n, n), and the log of its diagonal summed."""
    n, total = len(h), 0.0
    upper, inverse = h.copy(), np.zeros((n, n))
    # Rows only, since these lie together in memory.
    for i in range(n):
        for k in range(i):
            for j in range(i, n):
                upper[i, j] -= upper[k, i] * upper[k, j]
        upper[i, i:] /= math.sqrt(upper[i, i])
        total += math.log(upper[i, i])
        for k in range(i):
            for j in range(k + 1):
                inverse[i, j] -= upper[k, i] * inverse[k, j]
        inverse[i, i] = 1
        inverse[i, : i + 1] /= upper[i, i]
    return inverse, total


@njit(cache=True, nogil=True, error_model="numpy")
def _by_root(at: _Point, by_z: Floats) -> Floats:
    """Return half the derivative (n,) by the logs of the standard deviations, through the root of the precision alone."""
    n = len(by_z)
    # The adjoint of a Cholesky factor; what enters it has rank two, and the identity comes from the determinant.
    middle = -np.outer(at.u, by_z) - np.outer(by_z, at.v)
    for i in range(n):
        middle[i, i + 1 :] = 0
        middle[i, i] = 0.5 * (middle[i, i] - 1)
    adjoint = at.inverse.T @ middle @ at.inverse
    return 0.5 * ((adjoint + adjoint.T) * at.scaled).sum(axis=1)


@njit(cache=True, nogil=True, error_model="numpy")
def _sticks(q: Floats, a: DonorArrays) -> tuple[Floats, float, Floats]:
    """Return shares (J,), each a part of what the ones before left, the log prior of q (J - 1,) and its gradient."""
    shares, slope = np.empty(len(q) + 1), np.empty(len(q))
    left = prior = 0.0
    for i in range(len(q)):
        log_part, log_rest = -np.logaddexp(0.0, -q[i]), -np.logaddexp(0.0, q[i])
        shares[i] = math.exp(left + log_part)
        left += log_rest
        prior += a.sticks[0, i] * log_part + a.sticks[1, i] * log_rest
        slope[i] = a.sticks[0, i] * math.exp(log_rest) - a.sticks[1, i] * math.exp(log_part)
    shares[-1] = math.exp(left)
    return shares, prior, slope


@njit(cache=True, nogil=True, error_model="numpy")
def _pull_shares(q: Floats, shares: Floats, by_share: Floats) -> Floats:
    found, after = np.empty(len(q)), shares[-1] * by_share[-1]
    for i in range(len(q) - 1, -1, -1):
        own = shares[i] * by_share[i]
        found[i] = own / (1 + math.exp(q[i])) - after / (1 + math.exp(-q[i]))
        after += own
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _horseshoe(q: Floats, a: DonorArrays) -> tuple[Floats, float, Floats]:
    """Return standard deviations (J,) of free weights, the log prior of q (J + 2,) and its gradient."""
    j = len(q) - 2
    sd, slope, relative, rate = np.empty(j), np.empty(j + 2), q[j] - math.log(a.common), SLAB_SHAPE * a.slab**2
    prior = relative - np.logaddexp(0.0, 2 * relative) - SLAB_SHAPE * q[j + 1] - rate * math.exp(-q[j + 1])
    for i in range(j):
        prior += q[i] - np.logaddexp(0.0, 2 * q[i])
        slope[i] = -math.tanh(q[i])
        log = q[i] + q[j]
        sd[i] = math.exp(log + 0.5 * (q[j + 1] - np.logaddexp(q[j + 1], 2 * log)))
    slope[j] = -math.tanh(relative)
    slope[j + 1] = rate * math.exp(-q[j + 1]) - SLAB_SHAPE
    return sd, prior, slope


@njit(cache=True, nogil=True, error_model="numpy")
def _pull_scales(q: Floats, by_log_sd: Floats, a: DonorArrays) -> Floats:
    j = len(q) - 2
    found = np.zeros(j + 2)
    for i in range(j):
        free = 1 / (1 + math.exp(2 * (q[i] + q[j]) - q[j + 1]))
        found[i] = free * by_log_sd[i]
        found[j] += found[i]
        found[j + 1] += 0.5 * (by_log_sd[i] - found[i])
    return found
