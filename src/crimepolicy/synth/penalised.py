"""Synthetic control with a penalty on donors that are far from the treated unit one by one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

from crimepolicy.synth.weights import simplex_weights

__all__ = ["PenaltyChoice", "choose_distance_penalty", "penalised_weights"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_PRECISION = 1e-12
_GRID = np.geomspace(1e-4, 10.0, 16)


def penalised_weights(differences: Floats, penalty: float) -> Floats:
    """Minimise ``|B w|^2 + penalty * sum_j w_j |B_j|^2`` over weights w >= 0 with sum one.

    A linear term has no least-squares form, but a row that asks ``sum_j w_j |B_j|^2`` to be z has one, and acts like a linear
    term whose size falls as z rises: the z at which it is the penalty is found by a root search on a piecewise linear
    function.

    Parameters
    ----------
    differences : float array (k, J)
        B, donors less treated.
    penalty : float
        Positive; towards 0 the ordinary synthetic control, a large value the nearest donor.

    Returns
    -------
    float array (J,)
    """
    # Scaled to mean square one, so that one precision serves all data.
    scale = float((differences**2).sum(axis=0).mean()) or 1.0
    columns = differences / np.sqrt(scale)
    distance = (columns**2).sum(axis=0)
    rows, target = np.vstack([columns, distance]), np.zeros(len(columns) + 1)

    def weights(z: float) -> Floats:
        target[-1] = z
        return simplex_weights(rows, target).weights

    def excess(z: float) -> float:
        return 2.0 * (float(distance @ weights(z)) - z) - penalty

    return weights(
        brentq(excess, float(distance.min()) - penalty, float(distance.max()), xtol=_PRECISION, rtol=_PRECISION)
    )


@dataclass(frozen=True, slots=True)
class PenaltyChoice:
    """Penalties (G,), root mean squared errors of the donors' own synthetic controls (G,), and the best penalty."""

    penalties: Floats
    errors: Floats
    chosen: float


def choose_distance_penalty(differences: Floats, outcomes: Floats) -> PenaltyChoice:
    """Choose the penalty that predicts donors after treatment best, each in turn playing the treated unit.

    Parameters
    ----------
    differences : float array (k, J)
        Donors less treated, before treatment.
    outcomes : float array (T1, J)
        Donors after treatment began, when none of them is treated.
    """
    errors = np.zeros((len(_GRID), differences.shape[1]))
    for j in range(differences.shape[1]):
        others = np.delete(differences, j, axis=1) - differences[:, [j]]
        rest = np.delete(outcomes, j, axis=1)
        for row, penalty in zip(errors, _GRID, strict=True):
            gaps = outcomes[:, j] - rest @ penalised_weights(others, float(penalty))
            row[j] = float((gaps**2).mean())
    scores = np.sqrt(errors.mean(axis=1))
    return PenaltyChoice(_GRID, scores, float(_GRID[int(np.argmin(scores))]))
