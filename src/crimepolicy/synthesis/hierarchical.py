"""Bayesian hierarchical synthesis: a flat prior on the mean, a half-normal prior on the spread, integrated exactly."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special
from scipy.stats import qmc

from crimepolicy.errors import DesignError
from crimepolicy.estimate import HEADLINE, Check, Estimate
from crimepolicy.synthesis.random_effects import Model, restricted_likelihood, rotate
from crimepolicy.synthesis.studies import Studies, read_studies

__all__ = ["hierarchical_synthesis"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_GRID = 2001
_LOG2_DRAWS = 14
_WIDEST = 8.0
_LOG_SCALE = 0.5


def hierarchical_synthesis(
    estimates: Mapping[str, Estimate] | Sequence[Estimate],
    *,
    tau_scale: float | None = None,
    correlated: bool = True,
    seed: int = 0,
) -> Estimate:
    """Put estimates together in a Bayesian hierarchical model without sampling.

    The estimand is the mean of the normal distribution from which the true effects come. Given its standard deviation tau
    everything is normal; tau itself is integrated over a grid.

    Parameters
    ----------
    estimates : mapping of label to Estimate, or sequence
        On one additive scale, each with a standard error.
    tau_scale : float, optional
        Scale of the half-normal prior of tau: 0.5 for log effects (a standard deviation of 0.5 means that effects commonly
        differ by a factor of 1.6); it must be given for others.
    correlated : bool
        As in `synthesise`.
    seed : int
        Of the scrambled low-discrepancy points that stand for draws.

    Returns
    -------
    Estimate
        Value and standard error are the exact posterior mean and standard deviation. `draws` (16,384) has the columns att,
        prediction (the effect of a new event) and tau. ``companions["prediction"]`` and ``companions["tau"]`` carry theirs.
        `weights` has the posterior mean of each true effect as ``shrunken``.

    Raises
    ------
    DesignError
        Where there are too few estimates, their scales differ, or no prior scale is given for level effects.
    InferenceError
        Where an estimate has no standard error.

    Assumptions
    -----------
    As `synthesise`, with a flat prior on the mean.

    References
    ----------
    Gelman et al. (2013), Bayesian Data Analysis, section 5.4; Röver (2020), Journal of Statistical Software 93(6), on priors.

    Examples
    --------
    >>> facts = {"estimand": "effect", "method": "example", "citation": "", "scale": "log"}
    >>> trio = [Estimate(value=v, std_error=0.1, **facts) for v in (-0.3, -0.1, -0.2)]
    >>> round(hierarchical_synthesis(trio).value, 6)
    -0.2
    """
    studies = read_studies(estimates, None, correlated)
    scale = _prior_scale(studies, tau_scale)
    model = rotate(studies.y, studies.V, studies.X)
    tau = _grid(model, scale)
    mass = _posterior(model, tau, scale)
    centre, variance = _given_tau(model, tau)
    value = float(mass @ centre)
    draws = _draws(tau, mass, centre, variance, seed)
    prior = f"Prior of tau: half-normal with scale {scale:g}; of the mean: flat. Posterior median of tau {draws['tau'].median():.3g}."
    head = Estimate(
        estimand=f"mean over {len(studies.y)} estimates of the {studies.estimand}",
        value=value,
        std_error=float(np.sqrt(mass @ (variance + (centre - value) ** 2))),
        method="Bayesian hierarchical synthesis",
        citation="Gelman et al. (2013), section 5.4",
        options={"tau_scale": scale, "correlated": correlated, "seed": seed},
        scale=studies.scale,
        correction="posterior",
        weights=_weights(studies, model, tau, mass, centre),
        draws=draws,
        checks=(*studies.checks, Check("prior", None, scale, prior), _prior_check(draws["tau"], scale)),
        n_units=len(studies.y),
        n_treated=len(studies.y),
    )
    return head.replace(companions={name: _companion(head, draws[name]) for name in ("prediction", "tau")})


def _prior_scale(studies: Studies, tau_scale: float | None) -> float:
    if tau_scale is None and studies.scale != "log":
        raise DesignError(
            "Say how far true effects may differ: tau_scale=, in the units of the effect. A default exists for log effects only."
        )
    scale = _LOG_SCALE if tau_scale is None else float(tau_scale)
    if not scale > 0:
        raise DesignError(f"tau_scale={tau_scale!r} should be above zero.")
    return scale


def _grid(model: Model, scale: float) -> Floats:
    """Return midpoints of tau from zero to where the half-normal prior has no mass left, dense near zero."""
    edges = np.linspace(0, 1, _GRID + 1) ** 2 * _WIDEST * scale
    return np.asarray((edges[1:] + edges[:-1]) / 2)


def _posterior(model: Model, tau: Floats, scale: float) -> Floats:
    width = np.gradient(tau)
    # With a flat prior on the mean its marginal likelihood in tau is the restricted likelihood.
    log = restricted_likelihood(model, tau**2) - tau**2 / (2 * scale**2)
    mass = width * np.exp(log - log.max())
    return np.asarray(mass / mass.sum())


def _given_tau(model: Model, tau: Floats) -> tuple[Floats, Floats]:
    """Return mean and variance of the mean effect given each tau."""
    weights, ones = 1 / (model.variances + tau[:, None] ** 2), model.X[:, 0]
    variance = 1 / (weights @ ones**2)
    return variance * (weights @ (ones * model.y)), variance


def _draws(tau: Floats, mass: Floats, centre: Floats, variance: Floats, seed: int) -> pd.DataFrame:
    points = qmc.Sobol(3, seed=seed).random_base2(_LOG2_DRAWS)
    at = np.interp(points[:, 0], np.cumsum(mass) - mass / 2, tau)
    mean = np.interp(at, tau, centre) + np.sqrt(np.interp(at, tau, variance)) * special.ndtri(points[:, 1])
    return pd.DataFrame({HEADLINE: mean, "prediction": mean + at * special.ndtri(points[:, 2]), "tau": at})


def _weights(studies: Studies, model: Model, tau: Floats, mass: Floats, centre: Floats) -> pd.DataFrame:
    pull = tau[:, None] ** 2 / (model.variances + tau[:, None] ** 2)
    # The true effects given tau, averaged over tau; in the axes of V each moves on its own.
    shrunken = mass @ (centre[:, None] * model.X[:, 0] * (1 - pull) + pull * model.y)
    return pd.DataFrame(
        {
            "label": studies.labels,
            "estimate": studies.y,
            "std_error": np.sqrt(np.diag(studies.V)),
            "shrunken": model.axes @ shrunken,
        }
    )


def _prior_check(tau: pd.Series, scale: float) -> Check:
    """Compare the widths of posterior and prior: where they are alike, the prior decides."""
    ratio = float(tau.std() / (scale * np.sqrt(1 - 2 / np.pi)))
    text = f"The posterior of tau is {ratio:.0%} as wide as its prior." + (
        " The prior decides: show other scales beside it." if ratio > 0.8 else ""
    )
    return Check("prior_weight", ratio <= 0.8, ratio, text)


def _companion(head: Estimate, draws: pd.Series) -> Estimate:
    words = {"prediction": "effect of a new event, from the", "tau": "standard deviation of true effects:"}
    return head.replace(
        estimand=f"{words[str(draws.name)]} {head.estimand}",
        value=float(draws.mean()),
        std_error=float(draws.std()),
        # A spread of log effects is not itself a log effect.
        scale="level" if draws.name == "tau" else head.scale,
        weights=None,
        draws=draws.to_frame(HEADLINE),
    )
