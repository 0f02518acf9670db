"""The two-group contrast of outcome changes: regression, weighting or both, with influence functions."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

__all__ = ["Contrast", "Method", "contrast_changes", "logit", "solvable"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Method = Literal["reg", "ipw", "dr"]

# Where a control looks this much like a treated unit its weight would rest on it alone (values of the authors' software).
_TRIM = 0.995
_OVERLAP = 0.999
_STEPS = 50
_RCOND = 1e-15


@dataclass(frozen=True, slots=True)
class Contrast:
    """Effects of treatment on the treated for m outcomes observed on the same n units.

    Attributes
    ----------
    effect : float array (m,)
    influence : float array (n, m)
        Scaled so that effect less estimand is about the column sum.
    n_trimmed : int
        Controls left out because their propensity is too close to one.
    """

    effect: Floats
    influence: Floats
    n_trimmed: int = 0


def contrast_changes(
    changes: Floats, treated: Bools, covariates: Floats, weights: Floats, method: Method
) -> Contrast | None:
    """Return the effect on the treated from outcome changes (Sant'Anna and Zhao 2020, panel case).

    Parameters
    ----------
    changes : float array (n, m)
        Outcome at m later periods less the outcome at the base period.
    treated : bool array (n,)
    covariates : float array (n, k)
        With a constant among the columns.
    weights : float array (n,)
    method : {"reg", "ipw", "dr"}
        Regression of control changes, propensity weights, or both.

    Returns
    -------
    Contrast or None
        None where the controls cannot carry the regression, or overlap fails.
    """
    control = ~treated
    share = weights * treated / (weights * treated).sum()
    residual = changes
    odds, scores, trimmed = np.zeros(len(weights)), np.zeros_like(covariates), 0
    if method in ("dr", "reg"):
        normal = (covariates[control] * weights[control, None]).T @ covariates[control]
        if not solvable(normal):
            return None
        slopes = np.linalg.solve(normal, (covariates[control] * weights[control, None]).T @ changes[control])
        residual = changes - covariates @ slopes
    if method in ("dr", "ipw"):
        fitted = logit(covariates, treated, weights)
        if fitted is None:
            return None
        propensity, scores = fitted
        kept = control & (propensity < _TRIM)
        trimmed = int(control.sum() - kept.sum())
        odds = np.where(kept, weights * propensity / (1 - propensity), 0.0)
        odds = odds / odds.sum()
    above, below = share @ residual, odds @ residual
    deviation = residual - below
    influence = (
        share[:, None] * (residual - above)
        - odds[:, None] * deviation
        - scores @ ((covariates * odds[:, None]).T @ deviation)
    )
    if method in ("dr", "reg"):
        # The regression is used at the treated mean and, where weighted, unused again at the weighted control mean.
        at = np.linalg.solve(normal, covariates.T @ (share - odds))
        influence -= (weights * control * (covariates @ at))[:, None] * residual
    return Contrast(above - below, influence, trimmed)


def logit(covariates: Floats, treated: Bools, weights: Floats) -> tuple[Floats, Floats] | None:
    """Return propensities (n,) and the influence (n, k) on their coefficients, or None where overlap fails."""
    share = float(weights @ treated / weights.sum())
    slopes = np.linalg.lstsq(covariates, np.full(len(treated), np.log(share / (1 - share))), rcond=None)[0]
    for _ in range(_STEPS):
        propensity = 1 / (1 + np.exp(-np.clip(covariates @ slopes, -700, 700)))
        score = (weights * (treated - propensity))[:, None] * covariates
        information = (covariates * (weights * propensity * (1 - propensity))[:, None]).T @ covariates
        if not solvable(information):
            return None
        step = np.linalg.solve(information, score.sum(axis=0))
        slopes = slopes + step
        if float(step @ information @ step) < 1e-20 * weights.sum():
            return (propensity, score @ np.linalg.inv(information)) if propensity.max() < _OVERLAP else None
    return None


def solvable(normal: Floats) -> bool:
    """Whether a normal matrix (k, k) is far enough from singular."""
    scale = np.sqrt(np.diag(normal))
    if not (scale > 0).all():
        return False
    return bool(np.linalg.cond(normal / np.outer(scale, scale)) < 1 / _RCOND)
