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


def change_slopes(outcome: Floats, covariates: Floats, D: Bools) -> ChangeSlopes:
    """Regress first differences of the outcome on those of the covariates, with period effects.

    Parameters
    ----------
    outcome : float array (N, T)
        NaN where not observed, or where a covariate is not.
    covariates : float array (k, N, T)
    D : bool array (N, T)
        Cells count up to the last period before a unit's first change of treatment.

    Returns
    -------
    ChangeSlopes
    """
    change, moves = np.diff(outcome, axis=1), np.diff(covariates, axis=2)
    still = (D[:, :1] == D).cumprod(axis=1)[:, 1:].astype(bool) & ~np.isnan(change)
    fits = [_slopes(change, moves, still & (D[:, :1] == old)) for old in (False, True)]
    return ChangeSlopes(covariates, np.stack([slope for slope, _ in fits]), np.stack([pull for _, pull in fits]))


def _slopes(change: Floats, moves: Floats, used: Bools) -> tuple[Floats, Floats]:
    """Return slopes (k,) and their influence (N, k)."""
    count = used.sum(axis=0)
    net = np.stack([_centred(column, used, count) for column in moves])
    inverse = np.linalg.pinv(np.einsum("knt,jnt->kj", net, net), hermitian=True)
    slopes = inverse @ np.einsum("knt,nt->k", net, np.where(used, change, 0.0))
    residual = _centred(change, used, count) - np.tensordot(slopes, net, axes=1)
    # The mean of a period is estimated too, as in the variances of the comparisons.
    residual *= np.sqrt(count / np.maximum(count - 1, 1))
    return slopes, np.einsum("knt,nt->nk", net, residual) @ inverse


def _centred(values: Floats, used: Bools, count: Any) -> Floats:
    inside = np.where(used, values, 0.0)
    return np.where(used, inside - inside.sum(axis=0) / np.maximum(count, 1), 0.0)
