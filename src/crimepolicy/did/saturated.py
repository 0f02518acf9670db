"""Regression on a sparse design, with or without unit effects, and the influence of units on functions of it."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse

from crimepolicy.errors import EstimationError

__all__ = ["Rows", "SaturatedFit", "fit_saturated"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.intp]]

# Directions whose scaled information is below this are not identified.
_RANK = 1e-11
_STEP = 1e-6
_MAX_STEPS = 100


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a regression.

    Attributes
    ----------
    design : sparse array (m, p)
    outcome, exposure, weight : float array (m,)
    unit : int array (m,)
        Position of each row's unit, 0 .. n-1.
    n_units : int
    absorbed : bool
        Whether each unit has an effect of its own, outside the design.
    """

    design: sparse.csr_array
    outcome: Floats
    exposure: Floats
    weight: Floats
    unit: Ints
    n_units: int
    absorbed: bool

    def by_unit(self, values: Floats) -> sparse.csr_array:
        """Return the sparse (n, m) matrix that sums values (m,) times rows within units."""
        m = len(self.unit)
        return sparse.csr_array((values, (self.unit, np.arange(m))), shape=(self.n_units, m))


@dataclass(frozen=True, slots=True)
class SaturatedFit:
    """A fitted regression.

    Attributes
    ----------
    coefficients : float array (p,)
    unit_effects : float array (n,)
        Zero where units are not absorbed.
    mean : float array (m,)
    scores : sparse array (n, p)
        Sum over a unit's rows of weight times residual times regressors.
    inverse : float array (p, p)
        Generalised inverse of the information once unit effects are eliminated.
    null : float array (p, d)
        Directions that the rows do not determine.
    shares : sparse array (n, p)
        Weighted mean of the regressors by unit; empty where units are not absorbed.
    n_steps : int
    """

    coefficients: Floats
    unit_effects: Floats
    mean: Floats
    scores: sparse.csr_array
    inverse: Floats
    null: Floats
    shares: sparse.csr_array
    n_steps: int

    def influence(self, gradient: Floats, unit_gradient: sparse.csr_array) -> tuple[Floats, Bools]:
        """Return the influence (q, n) of units on q functions, and whether each is identified (q,).

        Parameters
        ----------
        gradient : float array (q, p)
            Derivatives with respect to the coefficients.
        unit_gradient : sparse array (q, n)
            Derivatives with respect to the unit effects; not looked at where these are not absorbed.
        """
        net = gradient - unit_gradient @ self.shares if self.shares.nnz else gradient
        scale = np.maximum(np.abs(net).max(axis=1), 1e-300)
        identified = (np.abs(net @ self.null).max(axis=1, initial=0.0) / scale) < 1e-6
        return (self.scores @ (self.inverse @ net.T)).T, identified


def fit_saturated(rows: Rows, family: Literal["gaussian", "poisson"]) -> SaturatedFit:
    """Fit by weighted least squares or by Poisson maximum likelihood.

    Parameters
    ----------
    rows : Rows
    family : {"gaussian", "poisson"}

    Returns
    -------
    SaturatedFit

    Raises
    ------
    EstimationError
        Where the Poisson likelihood has no maximum.
    """
    if family == "gaussian":
        system = _system(rows, rows.weight)
        coefficients, units = _solve(rows, system, rows.weight, rows.outcome)
        return _fitted(rows, system, coefficients, units, rows.design @ coefficients + units[rows.unit], 1)
    mean = _start(rows)
    for step in range(1, _MAX_STEPS + 1):
        predictor = np.log(mean / rows.exposure)
        working = rows.weight * mean
        coefficients, units = _solve(rows, _system(rows, working), working, predictor + rows.outcome / mean - 1)
        change = rows.design @ coefficients + units[rows.unit] - predictor
        length = float(np.sqrt((working * change**2).sum()))
        # Far from the maximum a full step overshoots and the means explode.
        mean = rows.exposure * np.exp(predictor + change * min(1.0, 5.0 / max(float(np.abs(change).max()), 1e-300)))
        if length < _STEP:
            return _fitted(rows, _system(rows, rows.weight * mean), coefficients, units, mean, step)
    raise EstimationError(
        f"The Poisson likelihood did not reach a maximum in {_MAX_STEPS} steps (last step {length:.2g} standard errors). Rescale the covariates, leave some out, or aggregate to longer periods."
    )


@dataclass(frozen=True, slots=True)
class _System:
    """Generalised inverse (p, p), null directions (p, d), unit totals (n,) and unit means of the regressors (n, p)."""

    inverse: Floats
    null: Floats
    totals: Floats
    shares: sparse.csr_array


def _system(rows: Rows, working: Floats) -> _System:
    weighted = rows.design.multiply(working[:, None]).tocsr()
    information = (rows.design.T @ weighted).toarray()
    raw = information.diagonal().copy()
    totals, shares = np.ones(rows.n_units), sparse.csr_array((rows.n_units, information.shape[0]))
    if rows.absorbed:
        totals = np.bincount(rows.unit, working, rows.n_units)
        sums = rows.by_unit(working) @ rows.design
        shares = sums.multiply(1 / np.where(totals > 0, totals, 1.0)[:, None]).tocsr()
        information -= (shares.T @ sums).toarray()
    inverse, null = _generalised_inverse(information, raw)
    return _System(inverse, null, totals, shares)


def _generalised_inverse(information: Floats, raw: Floats) -> tuple[Floats, Floats]:
    # What the unit effects leave of a regressor that they absorb is rounding, of either sign and no direction.
    left = np.diag(information) > _RANK * raw
    scale = np.sqrt(np.where(left, np.diag(information), 1.0))
    values, vectors = np.linalg.eigh(np.where(np.outer(left, left), information, 0.0) / np.outer(scale, scale))
    kept = values > _RANK * max(float(values[-1]), 1e-300)
    root = vectors[:, kept] / np.sqrt(values[kept])
    return (root @ root.T) / np.outer(scale, scale), vectors[:, ~kept] / scale[:, None]


def _solve(rows: Rows, system: _System, working: Floats, target: Floats) -> tuple[Floats, Floats]:
    cross = rows.design.T @ (working * target)
    if not rows.absorbed:
        return system.inverse @ cross, np.zeros(rows.n_units)
    means = np.bincount(rows.unit, working * target, rows.n_units) / np.where(system.totals > 0, system.totals, 1.0)
    coefficients = system.inverse @ (cross - system.shares.T @ (means * system.totals))
    return coefficients, means - system.shares @ coefficients


def _start(rows: Rows) -> Floats:
    """Return starting means: half the outcome, half the overall rate."""
    rate = (rows.weight @ rows.outcome) / (rows.weight @ rows.exposure)
    start: Floats = 0.5 * rows.outcome + 0.5 * rate * rows.exposure
    return start


def _fitted(
    rows: Rows, system: _System, coefficients: Floats, units: Floats, mean: Floats, n_steps: int
) -> SaturatedFit:
    scores = (rows.by_unit(rows.weight * (rows.outcome - mean)) @ rows.design).tocsr()
    return SaturatedFit(coefficients, units, mean, scores, system.inverse, system.null, system.shares, n_steps)
