"""What each cell of a panel adds to the coefficients of a regression: influence before it is summed over time."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crimepolicy.errors import InferenceError
from crimepolicy.estimate import Estimate

__all__ = ["CellScores", "cell_scores", "linear_scores"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class CellScores:
    """Influence of m cells on k terms.

    Attributes
    ----------
    terms : tuple of str (k,)
        Labels as in `psi`.
    values : array (m, k)
        Sums over the cells of a unit are the unit's influence.
    unit, period : int array (m,)
        Positions in the panel.
    stratum : int array (m,)
        Code of the stratum whose period effect the cell has.
    bread : array (k, k)
        Covariance of the terms where errors are independent with variance one.
    residual_variation : float or None
        Weighted sum of squared residuals; None for counts, whose variance is known.
    n_regressors, n_sets : int
        Coefficients, and connected sets of units and periods.
    """

    terms: tuple[str, ...]
    values: Array
    unit: Array
    period: Array
    stratum: Array
    bread: Array
    residual_variation: float | None
    n_regressors: int
    n_sets: int


def cell_scores(estimate: Estimate) -> CellScores:
    """Return the cell scores of an estimate.

    Raises
    ------
    InferenceError
        Where the estimator has no cell scores, or the estimate lost them.
    """
    if estimate.by_cell is None:
        raise InferenceError(
            f"{estimate.method} has no influence by cell on this scale: its influence is one number per unit, a sum over time. Use labels of "
            "units, conley(estimate, km=...) for dependence between places, or two_way_fixed_effects."
        )
    scores: CellScores = estimate.by_cell()
    return scores


def linear_scores(scores: CellScores, terms: tuple[str, ...], matrix: Array) -> CellScores:
    """Return the scores of linear combinations ``matrix`` (k, j) of the terms, under new labels (j,)."""
    return CellScores(
        terms,
        scores.values @ matrix,
        scores.unit,
        scores.period,
        scores.stratum,
        matrix.T @ scores.bread @ matrix,
        scores.residual_variation,
        scores.n_regressors,
        scores.n_sets,
    )
