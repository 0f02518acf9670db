"""Slopes of outcome changes on covariate changes, among units whose treatment has not changed yet."""

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ChangeSlopes", "change_slopes"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class ChangeSlopes:
    """Slopes by first treatment.

    Attributes
    ----------
    covariates : float array (k, N, T)
    slopes : float array (2, k)
        Of units untreated, and of units treated, in the first period.
    influence : float array (2, N, k)
        Of each unit on them.
    """

    covariates: Floats
    slopes: Floats
    influence: Floats

    def fitted(self, old: bool, start: int, end: int) -> Floats:
        """Return the change (N,) between two periods that the covariates predict."""
        return np.asarray(self.slopes[int(old)] @ self.moves(start, end))

    def moves(self, start: int, end: int) -> Floats:
        """Return the changes (k, N) of the covariates between two periods."""
        return np.asarray(self.covariates[:, :, end] - self.covariates[:, :, start])


def change_slopes(outcome: Floats, covariates: Floats, D: Bools, weights: Floats) -> ChangeSlopes:
    """Regress first differences of the outcome on those of the covariates, with period effects.

    Parameters
    ----------
    outcome : float array (N, T)
        NaN where not observed, or where a covariate is not.
    covariates : float array (k, N, T)
    D : bool array (N, T)
        Cells count up to the last period before a unit's first change of treatment.
    weights : float array (N, T)
        A difference has the weight of its later cell.

    Returns
    -------
    ChangeSlopes
    """
    change, moves = np.diff(outcome, axis=1), np.diff(covariates, axis=2)
    still = (D[:, :1] == D).cumprod(axis=1)[:, 1:].astype(bool) & ~np.isnan(change) & (weights[:, 1:] > 0)
    fits = [_slopes(change, moves, still & (D[:, :1] == old), weights[:, 1:]) for old in (False, True)]
    return ChangeSlopes(covariates, np.stack([slope for slope, _ in fits]), np.stack([pull for _, pull in fits]))


def _slopes(change: Floats, moves: Floats, used: Bools, weights: Floats) -> tuple[Floats, Floats]:
    """Return slopes (k,) and their influence (N, k)."""
    weight = np.where(used, weights, 0.0)
    net = np.stack([_centred(column, weight) for column in moves])
    inverse = np.linalg.pinv(np.einsum("nt,knt,jnt->kj", weight, net, net), hermitian=True)
    slopes = inverse @ np.einsum("knt,nt->k", net, weight * np.where(used, change, 0.0))
    residual = weight * (_centred(np.where(used, change, 0.0), weight) - np.tensordot(slopes, net, axes=1))
    # The mean of a period is estimated too, as in the variances of the comparisons.
    count = used.sum(axis=0)
    residual *= np.sqrt(count / np.maximum(count - 1, 1))
    return slopes, np.einsum("knt,nt->nk", net, residual) @ inverse


def _centred(values: Floats, weight: Floats) -> Floats:
    total = weight.sum(axis=0)
    mean = (weight * values).sum(axis=0) / np.where(total > 0, total, 1.0)
    return np.where(weight > 0, values - mean, 0.0)
