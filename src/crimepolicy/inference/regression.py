"""The least-squares problem behind an estimate, for the tools that need residuals and leverage."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import linalg

from crimepolicy.errors import InferenceError
from crimepolicy.estimate import Estimate
from crimepolicy.inference.influence import Labels, labels_of, panel_of
from crimepolicy.panel import Panel

__all__ = ["Regression", "least_squares", "regression"]

Array = np.ndarray[Any, Any]

_SAME = 1e-8
"""Relative distance at which two solvers of one least-squares problem agree; other estimators are far beyond it."""

_RANK = 1e-10
"""Columns whose part outside the others is below this share of the largest are collinear."""


@dataclass(frozen=True, slots=True)
class Regression:
    """One coefficient of a least-squares regression, with everything else partialled out.

    Attributes
    ----------
    outcome, regressor : array (n,)
        Outcome and regressor of interest, after absorbed effects and `nuisance` are projected out.
    nuisance : array (n, k)
        Orthonormal basis of the other regressors, after absorbed effects.
    codes : array (n,)
        Cluster of each row, 0 to n_clusters - 1. Absorbed effects are nested in clusters.
    names : array (n_clusters,)
        Labels of the clusters.
    n_clusters, n_rows, n_parameters : int
        Counts; absorbed effects are counted among the parameters.
    """

    outcome: Array
    regressor: Array
    nuisance: Array
    codes: Array
    names: Array
    n_clusters: int
    n_rows: int
    n_parameters: int

    @property
    def coefficient(self) -> float:
        """The coefficient."""
        return float(self.regressor @ self.outcome / self.scale)

    @property
    def scale(self) -> float:
        """Sum of squares of the partialled regressor."""
        return float(self.regressor @ self.regressor)


def least_squares(
    outcome: Array, regressor: Array, nuisance: Array, clusters: Array, absorbed: Array | None = None
) -> Regression:
    """Return the regression of `outcome` (n,) on `regressor` (n,) and `nuisance` (n, k), within `absorbed` groups (n,).

    Parameters
    ----------
    outcome, regressor : array (n,)
    nuisance : array (n, k)
        Other columns; include a constant unless groups are absorbed. Collinear columns are dropped.
    clusters : array (n,)
        Labels of clusters.
    absorbed : array (n,), optional
        Groups, nested in clusters, whose means are taken out.

    Raises
    ------
    InferenceError
        Where the regressor is collinear with the rest, or an absorbed group spans clusters.
    """
    codes, names = pd.factorize(clusters)
    columns = np.column_stack([outcome, regressor, nuisance]).astype(float)
    n_absorbed = 0
    if absorbed is not None:
        groups, labels = pd.factorize(absorbed)
        _nested(groups, codes)
        n_absorbed = len(labels)
        columns = columns - pd.DataFrame(columns).groupby(groups).transform("mean").to_numpy()
    basis = _basis(columns[:, 2:])
    inside = columns[:, :2] - basis @ (basis.T @ columns[:, :2])
    if np.abs(inside[:, 1]).max() <= _RANK * max(1.0, np.abs(regressor).max()):
        raise InferenceError(
            "The treatment is collinear with the effects and covariates, so its coefficient is not identified."
        )
    count = n_absorbed + basis.shape[1] + 1
    return Regression(inside[:, 0], inside[:, 1], basis, codes, np.asarray(names), len(names), len(codes), count)


def regression(estimate: Estimate, by: Labels | None = None) -> Regression:
    """Return the two-way regression whose coefficient is this estimate.

    The regression is rebuilt from the panel (its dose, where it has one) and the options `covariates` and `effects` of the
    estimate, and it is returned only if it gives the same number: that equality is the proof that the estimate is this
    regression.

    Raises
    ------
    InferenceError
        Where the estimate is no such regression.
    """
    panel = panel_of(estimate)
    if panel.weights is not None:
        raise InferenceError(
            "The estimate is weighted; leverage corrections and the wild bootstrap are defined here for unweighted regressions. Use CR1 or CR3."
        )
    covariates: Sequence[str] = tuple(estimate.options.get("covariates") or ())
    regressors = [panel.D.astype(float) if panel.dose is None else panel.dose, *(panel.X[name] for name in covariates)]
    strata = panel.region if estimate.options.get("effects") == "unit+region:period" else None
    seen = _informative(panel.observed & ~np.isnan(regressors).any(axis=0), strata)
    unit, period = np.nonzero(seen)
    dummies = _period_dummies(period, unit, strata)
    nuisance = np.column_stack([dummies, *(column[seen] for column in regressors[1:])])
    clusters = labels_of(estimate, by, panel.units)[unit]
    problem = least_squares(panel.Y[seen], regressors[0][seen], nuisance, clusters, absorbed=unit)
    if abs(problem.coefficient - estimate.value) > _SAME * max(abs(estimate.value), _typical(panel)):
        raise InferenceError(
            f"{estimate.method} with these options is not a least-squares regression with unit and period effects (that gives "
            f"{problem.coefficient:.6g}, the estimate is {estimate.value:.6g}), so it has no leverages. Use correction='CR3', "
            "multiplier_bootstrap or randomization_test, which take any estimator."
        )
    return problem


def _period_dummies(period: Array, unit: Array, region: Array | None) -> Array:
    labels = period if region is None else pd.MultiIndex.from_arrays([pd.factorize(region)[0][unit], period])
    codes = pd.factorize(labels)[0]
    return np.asarray(codes[:, None] == np.arange(codes.max() + 1), dtype=float)


def _informative(seen: Array, strata: Array | None) -> Array:
    """Leave out units and periods of one cell, which the effects fit exactly and which would only add to N and K."""
    codes = np.zeros(len(seen), dtype=int) if strata is None else pd.factorize(strata)[0]
    before = -1
    while seen.sum() != before:
        before = int(seen.sum())
        seen = seen & (seen.sum(axis=1, keepdims=True) > 1)
        cells = np.array([seen[codes == code].sum(axis=0) for code in range(codes.max() + 1)])
        seen = seen & (cells[codes] > 1)
    return seen


def _basis(columns: Array) -> Array:
    if not columns.shape[1]:
        return columns
    q, r, _ = linalg.qr(columns, mode="economic", pivoting=True)
    size = np.abs(np.diag(r))
    return np.asarray(q[:, : int((size > _RANK * max(size[0], 1e-300)).sum())])


def _nested(groups: Array, codes: Array) -> None:
    if pd.Series(codes).groupby(groups).nunique().max() > 1:
        raise InferenceError(
            "An absorbed effect spans several clusters. Cluster at the level of the effect or above it."
        )


def _typical(panel: Panel) -> float:
    return float(np.nanstd(panel.Y))
