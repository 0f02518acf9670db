"""Poisson regression with exposure and with unit and period (or stratum-by-period) effects."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crimepolicy.did.demean import Projection, projection
from crimepolicy.errors import EstimationError

__all__ = ["PoissonFit", "fit_poisson"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.intp]]

# A step shorter than this many standard errors is the last; the next would be shorter than its square.
_STEP = 1e-6
_MAX_STEPS = 100
# Fitted means below this in cells without events only shrink further: their effects run to minus infinity.
_VANISHED = 1e-9


@dataclass(frozen=True, slots=True)
class PoissonFit:
    """A fitted Poisson regression.

    Attributes
    ----------
    coefficients : float array (k,)
    mean : float array (N, T)
        Fitted means; zero outside the sample.
    working : Projection
        With the working weights of the optimum.
    regressors : float array (k, N, T)
        Net of the effects at the optimum.
    effects : float array (N, T)
        Log mean less log exposure and regressors: unit plus period effects.
    sample : bool array (N, T)
        Cells used; separated cells are not.
    n_separated : int
        Cells without events whose mean has no maximum above zero.
    n_steps : int
    last_step : float
        Length of the last Newton step in standard errors.
    """

    coefficients: Floats
    mean: Floats
    working: Projection
    regressors: Floats
    effects: Floats
    sample: Bools
    n_separated: int
    n_steps: int
    last_step: float


@dataclass(frozen=True, slots=True)
class _Optimum:
    coefficients: Floats
    predictor: Floats
    mean: Floats
    n_steps: int
    last_step: float


def fit_poisson(
    counts: Floats, exposure: Floats, regressors: Floats, weights: Floats, strata: Ints | None = None
) -> PoissonFit:
    """Maximise the weighted Poisson likelihood over coefficients and effects.

    Parameters
    ----------
    counts, exposure : float array (N, T)
        Finite everywhere, exposure positive; cells outside the sample are not looked at.
    regressors : float array (k, N, T)
        k may be zero.
    weights : float array (N, T)
        Zero outside the sample.
    strata : int array (N,), optional
        Stratum of each unit, for stratum-by-period effects.

    Returns
    -------
    PoissonFit

    Raises
    ------
    EstimationError
        Where the likelihood has no maximum, or the steps do not converge.
    """
    best = _maximise(counts, exposure, regressors, weights, strata)
    vanished = (weights > 0) & (counts == 0) & (best.mean < _VANISHED)
    if vanished.any():
        weights = np.where(vanished, 0.0, weights)
        best = _maximise(counts, exposure, regressors, weights, strata)
    sample = weights > 0
    mean = np.where(sample, best.mean, 0.0)
    working = projection(weights * mean, strata)
    effects = best.predictor - np.tensordot(best.coefficients, regressors, axes=1)
    net = working.residuals(regressors) * sample
    return PoissonFit(
        best.coefficients, mean, working, net, effects, sample, int(vanished.sum()), best.n_steps, best.last_step
    )


def _maximise(counts: Floats, exposure: Floats, regressors: Floats, weights: Floats, strata: Ints | None) -> _Optimum:
    sample = weights > 0
    predictor = _start(counts, exposure, weights)
    mean = exposure * np.exp(predictor)
    coefficients = np.zeros(len(regressors))
    for step in range(1, _MAX_STEPS + 1):
        working = weights * mean
        change = np.where(sample, (counts - mean) / np.where(sample, mean, 1.0), 0.0)
        net = projection(working, strata).residuals(np.concatenate([regressors, (predictor + change)[None]]))
        coefficients = _least_squares(net[:-1], net[-1], working)
        residual = net[-1] - np.tensordot(coefficients, net[:-1], axes=1)
        update = np.where(sample, change - residual, 0.0)
        length = float(np.sqrt((working * update**2).sum()))
        # Far from the optimum the quadratic model can overshoot; means then explode, so long moves are cut.
        scale = min(1.0, 5.0 / max(float(np.abs(update).max()), 1e-300))
        predictor = predictor + scale * update
        mean = exposure * np.exp(predictor)
        if length < _STEP:
            return _Optimum(coefficients, predictor, mean, step, length)
    raise EstimationError(
        f"The Poisson likelihood did not reach a maximum in {_MAX_STEPS} steps (last step {length:.2g} standard errors). A covariate on a very large scale, "
        "or a treatment with hardly any events, causes this: rescale the covariate or aggregate to longer periods."
    )


def _start(counts: Floats, exposure: Floats, weights: Floats) -> Floats:
    unit = (weights * counts).sum(axis=1) / np.maximum((weights * exposure).sum(axis=1), 1e-300)
    overall = (weights * counts).sum() / max(float((weights * exposure).sum()), 1e-300)
    rate = np.maximum(unit, 0.01 * overall)[:, None]
    period = (weights * counts).sum(axis=0) / np.maximum((weights * exposure * rate).sum(axis=0), 1e-300)
    start: Floats = np.log(rate * np.maximum(period, 0.01))
    return start


def _least_squares(net: Floats, target: Floats, weights: Floats) -> Floats:
    if not len(net):
        return np.zeros(0)
    flat = (net * weights).reshape(len(net), -1)
    solution: Floats = np.linalg.lstsq(flat @ net.reshape(len(net), -1).T, flat @ target.ravel(), rcond=None)[0]
    return solution
