"""The effect of a new event when the spread of true effects is itself hardly known."""

from typing import Any

import numpy as np
from scipy import special, stats
from scipy.stats import qmc

from crimepolicy.synthesis.random_effects import Model, fit_at

__all__ = ["predicted_effects"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_POINTS = 13
_GRID = 160
_REACH = 400.0


def predicted_effects(model: Model, *, hartung_knapp: bool = True) -> Floats:
    """Return draws (8192,) of the effect of a new event, over the confidence distribution of tau2.

    Each draw takes tau2 where Q falls to a chi-squared number (zero where it starts below), the mean at that tau2 with its
    Hartung-Knapp error, and a true effect around it. The points are those of a Sobol sequence: no seed enters.

    References
    ----------
    Nagashima, Noma and Furukawa (2019), Prediction intervals for random-effects meta-analysis, Statistical Methods in Medical
    Research 28.

    Examples
    --------
    >>> from crimepolicy.synthesis.random_effects import rotate
    >>> model = rotate(np.array([-0.3, -0.1, -0.2]), 0.01 * np.eye(3), np.ones((3, 1)))
    >>> draws = predicted_effects(model)
    >>> bool(abs(np.median(draws) + 0.2) < 0.01)
    True
    """
    points = (qmc.Sobol(3, scramble=False).random_base2(_POINTS) + 0.5 / 2**_POINTS).T
    scale = float(model.variances.mean()) + float(np.var(model.y))
    grid = np.concatenate([[0.0], np.geomspace(1e-6, _REACH, _GRID) * scale])
    fits = [fit_at(model, tau2) for tau2 in grid]
    q = np.array([fit.q for fit in fits])
    mean = np.array([fit.coefficients[0] for fit in fits])
    error = np.sqrt(
        [fit.covariance[0, 0] * (max(fit.q / model.degrees, 1.0) if hartung_knapp else 1.0) for fit in fits]
    )
    # Q falls in tau2, and np.interp wants it rising; beyond the grid the largest tau2 stands.
    tau2 = np.interp(stats.chi2.ppf(points[0], model.degrees), q[::-1], grid[::-1])
    noise = special.stdtrit(model.degrees, points[1]) if hartung_knapp else special.ndtri(points[1])
    centre, spread = np.interp(tau2, grid, mean), np.interp(tau2, grid, error)
    return np.asarray(centre + spread * noise + np.sqrt(tau2) * special.ndtri(points[2]))
