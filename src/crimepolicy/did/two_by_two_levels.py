"""The two-group contrast of outcome levels in two periods, for units that are not observed in both."""

from typing import Any

import numpy as np

from crimepolicy.did.two_by_two import Contrast, Method, logit, solvable

__all__ = ["contrast_levels"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

_TRIM = 0.995


def contrast_levels(
    outcome: Floats, later: Bools, treated: Bools, covariates: Floats, weights: Floats, method: Method
) -> Contrast | None:
    """Return the effect on the treated from two cross sections (Sant'Anna and Zhao 2020, repeated cross sections).

    Parameters
    ----------
    outcome : float array (n,)
    later : bool array (n,)
        Whether a row belongs to the later period rather than to the base period.
    treated : bool array (n,)
        Whether a row belongs to the group that is treated in the later period.
    covariates : float array (n, k)
        With a constant among the columns.
    weights : float array (n,)
    method : {"reg", "ipw", "dr"}

    Returns
    -------
    Contrast or None
        With one effect; None where a group is empty, a regression is not identified, or overlap fails.
    """
    parts = [later & treated, later & ~treated, ~later & treated, ~later & ~treated]
    if not all((weights[part] > 0).any() for part in parts):
        return None
    odds, scores, trimmed = weights * ~treated, np.zeros_like(covariates), 0
    if method in ("ipw", "dr"):
        fitted = logit(covariates, treated, weights)
        if fitted is None:
            return None
        propensity, scores = fitted
        kept = ~treated & (propensity < _TRIM)
        trimmed = int((~treated).sum() - kept.sum())
        odds = np.where(kept, weights * propensity / (1 - propensity), 0.0)
    effect, influence = 0.0, np.zeros(len(outcome))
    for sign, rows in ((1.0, later), (-1.0, ~later)):
        part = _one_period(outcome, rows, treated, covariates, weights, odds, scores, method)
        if part is None:
            return None
        effect, influence = effect + sign * part[0], influence + sign * part[1]
    return Contrast(np.array([effect]), influence[:, None], trimmed)


def _one_period(
    outcome: Floats,
    rows: Bools,
    treated: Bools,
    covariates: Floats,
    weights: Floats,
    odds: Floats,
    scores: Floats,
    method: Method,
) -> tuple[float, Floats] | None:
    """Return treated less control level in one period, and its influence (n,)."""
    everyone = _normalised(weights * treated)
    present, control = _normalised(weights * (treated & rows)), _normalised(odds * rows)
    if method == "ipw":
        above, below = float(present @ outcome), float(control @ outcome)
        return above - below, present * (outcome - above) - _reweighted(control, outcome - below, covariates, scores)
    fitted = _regression(outcome, rows & ~treated, covariates, weights)
    if fitted is None:
        return None
    line, scores_line = fitted
    if method == "reg":
        above, below = float(present @ outcome), float(everyone @ line)
        return above - below, present * (outcome - above) - everyone * (line - below) - scores_line @ (
            everyone @ covariates
        )
    upper = _regression(outcome, rows & treated, covariates, weights)
    if upper is None:
        return None
    gap = upper[0] - line
    above, below = float(everyone @ gap), float(control @ (outcome - line))
    influence = (
        everyone * (gap - above)
        + upper[1] @ (everyone @ covariates)
        + scores_line @ ((control - everyone) @ covariates)
    )
    return above - below, influence - _reweighted(control, outcome - line - below, covariates, scores)


def _normalised(weights: Floats) -> Floats:
    return weights / weights.sum()


def _reweighted(control: Floats, deviation: Floats, covariates: Floats, scores: Floats) -> Floats:
    influence: Floats = control * deviation + scores @ ((control * deviation) @ covariates)
    return influence


def _regression(outcome: Floats, rows: Bools, covariates: Floats, weights: Floats) -> tuple[Floats, Floats] | None:
    """Return fitted values (n,) and the influence (n, k) on the slopes of a regression in some rows."""
    weighted = covariates * (weights * rows)[:, None]
    normal = weighted.T @ covariates
    if not solvable(normal):
        return None
    line = covariates @ np.linalg.solve(normal, weighted.T @ outcome)
    return line, (weighted * (outcome - line)[:, None]) @ np.linalg.inv(normal)
