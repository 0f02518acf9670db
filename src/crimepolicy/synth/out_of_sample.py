"""Out-of-sample part of a prediction interval: what the period itself adds, by three models of the residuals."""

from typing import Any, Literal

import numpy as np
from scipy.optimize import linprog

__all__ = ["NoiseModel", "noise_bounds"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
NoiseModel = Literal["subgaussian", "location_scale", "quantile"]

_SPARE = 10  # observations beyond the coefficients that a regression of residuals must have
_NORMAL = 1.34  # interquartile range of a standard normal variable


def noise_bounds(
    before: Floats, residual: Floats, after: Floats, model: NoiseModel, alpha: float
) -> tuple[Floats, Floats]:
    """Return lower and upper bounds (H,) of the noise after treatment, each exceeded with probability `alpha`.

    Parameters
    ----------
    before : float array (T, m)
        Donors in use, before treatment.
    residual : float array (T,)
        Residuals of the fit.
    after : float array (H, m)
        The same donors where bounds are wanted.
    model : {"subgaussian", "location_scale", "quantile"}
        Concentration around the conditional mean; conditional mean and scale times quantiles of what is left; conditional
        quantiles. Mean, log variance and quantiles are linear in the donors, or constant where there are too few periods.
    alpha : float
        Probability beyond each bound.
    """
    design, wanted = np.column_stack([before, np.ones(len(before))]), np.column_stack([after, np.ones(len(after))])
    if len(residual) - _SPARE <= design.shape[1]:
        design, wanted = design[:, -1:], wanted[:, -1:]
    if model == "quantile":
        low, high = (_quantile_at(design, residual, wanted, share) for share in (alpha, 1.0 - alpha))
        return np.minimum(low, high), np.maximum(low, high)
    mean, scale, standardised = _moments(design, residual, wanted)
    if model == "subgaussian":
        reach = np.sqrt(-2.0 * np.log(alpha)) * scale
        return mean - reach, mean + reach
    return mean + scale * np.quantile(standardised, alpha), mean + scale * np.quantile(standardised, 1.0 - alpha)


def _moments(design: Floats, residual: Floats, wanted: Floats) -> tuple[Floats, Floats, Floats]:
    """Return conditional mean and scale where wanted, and the standardised residuals."""
    slopes = np.linalg.lstsq(design, residual)[0]
    left = residual - design @ slopes
    # A residual of exactly zero has no logarithm.
    logs = np.log(np.maximum(left**2, np.finfo(float).tiny))
    spread = np.linalg.lstsq(design, logs)[0]
    low, high = (_quantile_at(design, left, wanted, share) for share in (0.25, 0.75))
    # The smaller of two estimates of the scale: squares are at the mercy of single residuals.
    scale = np.minimum(np.sqrt(np.exp(wanted @ spread)), np.abs(high - low) / _NORMAL)
    return wanted @ slopes, scale, left / np.sqrt(np.exp(design @ spread))


def _quantile_at(design: Floats, values: Floats, wanted: Floats, share: float) -> Floats:
    """Return the conditional quantile where wanted, by the linear programme of quantile regression."""
    T, k = design.shape
    if k == 1:
        return np.full(len(wanted), np.quantile(values, share))
    found = linprog(
        np.concatenate([np.zeros(k), np.full(T, share), np.full(T, 1.0 - share)]),
        A_eq=np.hstack([design, np.eye(T), -np.eye(T)]),
        b_eq=values,
        bounds=[(None, None)] * k + [(0, None)] * (2 * T),
    )
    return np.asarray(wanted @ np.asarray(found.x)[:k])
