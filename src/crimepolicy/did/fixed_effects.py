"""Unit and period effects on chosen cells, and how every number that uses them depends on each unit.

The unit effects (and unit trends) are eliminated analytically, so that only one system of the size of the periods is
solved per region. One linear map serves both families: with Poisson counts the working weights are the fitted counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.sparse.csgraph import connected_components

from crimepolicy.did.proportional_fitting import fit_margins
from crimepolicy.errors import EstimationError

__all__ = ["CellRegression", "Cells", "EffectsFit", "Family", "estimable", "fit_effects", "influence", "regress_cells"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Family = Literal["gaussian", "poisson"]
Rows = Ints | slice

_COLLINEAR = 1e-9
_WEAK = 1e-10
_STEPS = 60
_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True)
class Cells:
    """Weighted cells of a panel, gathered into terms: term k is the sum of weight over its cells.

    Attributes
    ----------
    unit, period, term : int array (m,)
        Positions; a cell may belong to several terms.
    weight : float array (m,)
    n_terms : int
    """

    unit: Ints
    period: Ints
    term: Ints
    weight: Floats
    n_terms: int


@dataclass(frozen=True, slots=True)
class Projector:
    """A weighted projection on unit and period effects (and covariates), factorised.

    Attributes
    ----------
    weights : float array (N, T)
        Zero outside the fitted cells.
    rows : tuple of R row selections
        The units of each region, which have their own period effects.
    basis : tuple of float arrays (N, 1) or (N, T)
        Unit functions (level, trend), orthonormal within unit under the weights; zero where they are not identified.
    factors : tuple of R Cholesky factors (T, T)
        Of the period systems that remain once the unit functions are eliminated.
    null : tuple of R float arrays (T, d)
        Directions of the period effects that the fitted cells do not determine.
    covariates : float array (k, N, T)
        Less their projection on the effects.
    information : float array (k, k)
        Cross products of the covariates under the weights.
    """

    weights: Floats
    rows: tuple[Rows, ...]
    basis: tuple[Floats, ...]
    factors: tuple[Any, ...]
    null: tuple[Floats, ...]
    covariates: Floats
    information: Floats


@dataclass(frozen=True, slots=True)
class EffectsFit:
    """Effects fitted on some cells and imputed in all.

    Attributes
    ----------
    fitted : float array (N, T)
        Expected untreated outcome; meaningful where `estimable`.
    scores : float array (N, T)
        Weighted residuals of the fitted cells, zero elsewhere.
    slope : float array (N, T) or None
        Derivative of `fitted` with respect to its linear predictor; None where it is one.
    coefficients : float array (k,)
        Of the covariates.
    zero_units, zero_periods : bool arrays (N,), (N, T)
        Poisson: fitted cells hold no count at all, so zero is imputed.
    projector : Projector or None
        None where no influence was asked for.
    """

    fitted: Floats
    scores: Floats
    slope: Floats | None
    coefficients: Floats
    zero_units: Bools
    zero_periods: Bools
    projector: Projector | None


@dataclass(frozen=True, slots=True)
class CellRegression:
    """Coefficients of sparse regressors beside the effects.

    Attributes
    ----------
    coefficients : float array (K,)
        NaN where not identified.
    influence : float array (N, K)
        Influence of each unit; coefficient - truth is about its sum.
    fit : EffectsFit
        With the regressors in the linear predictor of the fitted cells.
    """

    coefficients: Floats
    influence: Floats
    fit: EffectsFit


# -------------------------------------------------------------------- public functions of arrays


def fit_effects(
    Y: Floats,
    sample: Bools,
    *,
    family: Family = "gaussian",
    exposure: Floats | None = None,
    weights: Floats | None = None,
    region: Ints | None = None,
    covariates: Sequence[Floats] = (),
    unit_trends: bool = False,
    factorise: bool = True,
) -> EffectsFit:
    """Fit unit and period effects on the cells of `sample` and impute every cell.

    Parameters
    ----------
    Y : float array (N, T)
        Outcomes, or counts; not read outside `sample`.
    sample : bool array (N, T)
        Cells to fit on.
    family : {"gaussian", "poisson"}
        Least squares, or Poisson likelihood with log link.
    exposure : float array (N, T), optional
        Expected counts are proportional to it; positive.
    weights : float array (N, T), optional
        Analysis weights.
    region : int array (N,), optional
        Codes 0..R-1; each region has its own period effects.
    covariates : sequence of float arrays (N, T)
    unit_trends : bool
        Add a linear trend per unit (gaussian only).
    factorise : bool
        Keep what `influence` needs.

    Returns
    -------
    EffectsFit

    Examples
    --------
    >>> Y = np.array([[1.0, 2.0, 9.0], [2.0, 3.0, 4.0]])
    >>> fit_effects(Y, np.array([[True, True, False], [True, True, True]])).fitted.round(6).tolist()
    [[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]]
    """
    stacked = np.stack(covariates) if len(covariates) else np.empty((0, *Y.shape))
    used = np.where(sample, 1.0 if weights is None else weights, 0.0)
    rows = _region_rows(region, len(Y))
    if family == "gaussian":
        return _fit_gaussian(np.where(sample, Y, 0.0), used, rows, stacked, unit_trends)
    offset = np.ones_like(used) if exposure is None else exposure
    return _fit_poisson(np.where(sample, Y, 0.0), used, offset, rows, stacked, factorise)


def estimable(fit: EffectsFit, sample: Bools, unit: Ints, period: Ints) -> Bools:
    """Return for each cell (m,) outside the sample whether the fitted cells determine what is imputed there.

    A cell with a Poisson factor of zero is determined: it is expected to hold no count.
    """
    fitted_unit, fitted_period = sample.any(axis=1)[unit], np.zeros(len(unit), dtype=bool)
    projector = fit.projector
    if projector is None:
        raise EstimationError("This fit was made without factorise=True.")
    code = _codes(projector.rows, len(sample))
    linked = np.zeros(len(unit), dtype=bool)
    for r, rows in enumerate(projector.rows):
        here = code[unit] == r
        fitted_period[here] = sample[rows].any(axis=0)[period[here]]
        linked[here] = _linked(projector, r, unit[here], period[here])
    zero = fit.zero_units[unit] | fit.zero_periods[unit, period]
    return fitted_unit & fitted_period & (linked | zero)


def influence(fit: EffectsFit, cells: Cells) -> Floats:
    """Return the influence (N, K) of each unit on sums of imputed outcomes, one per term.

    Parameters
    ----------
    fit : EffectsFit
    cells : Cells
        Term k is the sum over its cells of weight times imputed outcome.
    """
    slope = cells.weight if fit.slope is None else cells.weight * fit.slope[cells.unit, cells.period]
    projector = _projector(fit)
    solution = _solve_cells(projector, Cells(cells.unit, cells.period, cells.term, slope, cells.n_terms))
    return _through(fit, solution)


def regress_cells(
    Y: Floats,
    sample: Bools,
    cells: Cells,
    *,
    family: Family = "gaussian",
    exposure: Floats | None = None,
    weights: Floats | None = None,
    region: Ints | None = None,
    covariates: Sequence[Floats] = (),
    unit_trends: bool = False,
    start: EffectsFit | None = None,
) -> CellRegression:
    """Regress outcomes on unit and period effects and on regressors that are zero in most cells.

    Parameters
    ----------
    Y, sample, family, exposure, weights, region, covariates, unit_trends
        As in `fit_effects`.
    cells : Cells
        Regressor k has the value weight in its cells. Cells outside `sample` are ignored.
    start : EffectsFit, optional
        What `fit_effects` returned for the same arguments, where it is at hand.

    Returns
    -------
    CellRegression

    Raises
    ------
    EstimationError
        Where the regressors are collinear, or Poisson has no finite maximum.
    """
    given = sample
    if family == "poisson":
        sample = _without_zero_terms(Y, sample, cells)
    design = _design(sample, cells)
    shared = {
        "family": family,
        "weights": weights,
        "region": region,
        "covariates": covariates,
        "unit_trends": unit_trends,
    }
    gamma = np.zeros(cells.n_terms)
    # Where cells of a regressor without counts were left out just now, the given fit is one of other cells.
    if start is None or start.projector is None or sample is not given:
        start = fit_effects(Y, sample, exposure=exposure, **shared)  # type: ignore[arg-type]
    fit = start
    base = np.ones_like(Y) if exposure is None else exposure
    for _ in range(_STEPS):
        step, usable, inverse, solution = _profile_step(fit, design)
        gamma = gamma + step
        if family == "poisson" and np.abs(step).max(initial=0.0) < _TOLERANCE:
            break
        shift = design.values @ gamma
        if family == "gaussian":
            moved = Y.copy()
            moved[design.unit, design.period] -= shift
            fit = fit_effects(moved, sample, **shared)  # type: ignore[arg-type]
            break
        scaled = base.copy()
        scaled[design.unit, design.period] *= np.exp(shift)
        fit = fit_effects(Y, sample, exposure=scaled, **shared)  # type: ignore[arg-type]
    else:
        raise EstimationError("The Poisson regression did not converge: some regressor predicts zero counts perfectly.")
    psi = _unit_sums(fit.scores, design.cells) - _through(fit, solution)
    return CellRegression(np.where(usable, gamma, np.nan), np.where(usable, psi @ inverse, np.nan), fit)


# -------------------------------------------------------------------- fitting


def _fit_gaussian(Y: Floats, used: Floats, rows: tuple[Rows, ...], X: Floats, unit_trends: bool) -> EffectsFit:
    projector = _with_covariates(_factorise(used, rows, unit_trends), X)
    fitted = _project(projector, used * Y)
    beta = np.zeros(len(X))
    if len(X):
        residual = used * (Y - fitted)
        beta = _solve_information(projector.information, np.tensordot(projector.covariates, residual, axes=2))
        fitted = fitted + np.tensordot(beta, projector.covariates, axes=1)
    nothing = np.zeros(Y.shape, dtype=bool)
    return EffectsFit(fitted, used * (Y - fitted), None, beta, nothing[:, 0], nothing, projector)


def _fit_poisson(
    Y: Floats, used: Floats, exposure: Floats, rows: tuple[Rows, ...], X: Floats, factorise: bool
) -> EffectsFit:
    counts = used * Y
    beta = np.zeros(len(X))
    for _ in range(_STEPS):
        scaled = exposure * np.exp(np.tensordot(beta, X, axes=1)) if len(X) else exposure
        fitted = _balance_regions(counts, used, scaled, rows)
        expected = used * fitted
        projector = _with_covariates(_factorise(expected, rows, False), X) if factorise or len(X) else None
        if projector is None or not len(X):
            break
        step = _solve_information(projector.information, np.tensordot(X, counts - expected, axes=2))
        if np.abs(step * X.std(axis=(1, 2))).max() < _TOLERANCE:
            break
        beta = beta + step
    else:
        raise EstimationError(
            "The Poisson fit did not converge: a covariate predicts zero counts perfectly, or is constant within units."
        )
    zero_units = counts.sum(axis=1) == 0
    zero_periods = np.zeros(Y.shape, dtype=bool)
    for r in rows:
        zero_periods[r] = counts[r].sum(axis=0) == 0
    return EffectsFit(fitted, counts - expected, fitted, beta, zero_units, zero_periods, projector)


def _balance_regions(counts: Floats, used: Floats, exposure: Floats, rows: tuple[Rows, ...]) -> Floats:
    fitted = np.empty_like(counts)
    for r in rows:
        margins = fit_margins(counts[r], (used * exposure)[r] if len(rows) == 1 else used[r] * exposure[r])
        fitted[r] = exposure[r] * margins.unit[:, None] * margins.period
    return fitted


# -------------------------------------------------------------------- projecting


def _region_rows(region: Ints | None, n: int) -> tuple[Rows, ...]:
    if region is None or not region.any():
        return (slice(0, n),)
    return tuple(np.flatnonzero(region == r) for r in range(int(region.max()) + 1))


def _codes(rows: tuple[Rows, ...], n: int) -> Ints:
    code = np.zeros(n, dtype=np.intp)
    for r, selected in enumerate(rows):
        code[selected] = r
    return code


def _factorise(weights: Floats, rows: tuple[Rows, ...], unit_trends: bool) -> Projector:
    basis = _unit_basis(weights, unit_trends)
    factors, null = [], []
    for r in rows:
        w = weights[r]
        system = np.diag(w.sum(axis=0))
        for q in basis:
            load = w * q[r]
            system -= load.T @ load
        directions = _undetermined(system, w, unit_trends)
        # What is left of the totals may be rounding error alone, so the totals themselves give the scale.
        scale = max(float(w.sum()) / len(system), np.finfo(float).tiny)
        factors.append(cho_factor(system + scale * directions @ directions.T, overwrite_a=True, check_finite=False))
        null.append(directions)
    return Projector(weights, rows, basis, tuple(factors), tuple(null), np.empty((0, *weights.shape)), np.empty((0, 0)))


def _unit_basis(weights: Floats, unit_trends: bool) -> tuple[Floats, ...]:
    total = weights.sum(axis=1, keepdims=True)
    seen = total > 0
    level = np.where(seen, 1 / np.sqrt(np.where(seen, total, 1.0)), 0.0)
    if not unit_trends:
        return (level,)
    time = np.arange(weights.shape[1], dtype=float)
    centred = time - np.where(seen, (weights @ time)[:, None] / np.where(seen, total, 1.0), 0.0)
    spread = (weights * centred**2).sum(axis=1, keepdims=True)
    moving = spread > _COLLINEAR * total
    return level, np.where(moving, centred / np.sqrt(np.where(moving, spread, 1.0)), 0.0)


def _undetermined(system: Floats, weights: Floats, unit_trends: bool) -> Floats:
    """Return an orthonormal basis (T, d) of the period directions that the cells do not determine."""
    size = len(system)
    if unit_trends:
        values, vectors = eigh(system)
        return np.asarray(vectors[:, values <= _COLLINEAR * float(weights.sum()) / size])
    if (weights.min(axis=1) > _WEAK * weights.sum(axis=1)).any():
        return np.full((size, 1), 1 / np.sqrt(size))
    # A link that the fit drove to zero (Poisson without a finite maximum) is no link.
    scale = np.sqrt(np.maximum(np.diag(system), 0))
    linked = np.abs(system) > _WEAK * np.outer(scale, scale)
    count, label = connected_components(sparse.csr_matrix(linked.astype(np.int8)), directed=False)
    parts = (label[:, None] == np.arange(count)).astype(float)
    return np.asarray(parts / np.sqrt(parts.sum(axis=0)))


def _linked(projector: Projector, r: int, unit: Ints, period: Ints) -> Bools:
    touched, place = np.unique(unit, return_inverse=True)
    gap = projector.null[r][period]
    for q in projector.basis:
        own = q[touched]
        value = q[unit, period if q.shape[1] > 1 else 0]
        gap = gap - value[:, None] * ((projector.weights[touched] * own) @ projector.null[r])[place]
        # A unit function without support in the fitted cells is not known at all.
        gap[~own.any(axis=1)[place]] = 1.0
    return np.asarray(np.abs(gap).max(axis=1, initial=0.0) < np.sqrt(_COLLINEAR))


def _project(projector: Projector, right: Floats) -> Floats:
    """Return the fitted effects (N, T) whose normal equations have the cell totals `right`."""
    fitted = np.empty_like(right)
    for rows, factor in zip(projector.rows, projector.factors, strict=True):
        w, cells = projector.weights[rows], right[rows]
        unit = [(q[rows], (cells * q[rows]).sum(axis=1)) for q in projector.basis]
        loads = [w * q for q, _ in unit]
        reduced = cells.sum(axis=0) - sum(load.T @ u for load, (_, u) in zip(loads, unit, strict=True))
        period = cho_solve(factor, reduced, check_finite=False)
        fitted[rows] = period + sum(q * (u - load @ period)[:, None] for load, (q, u) in zip(loads, unit, strict=True))
    return fitted


def _with_covariates(projector: Projector, X: Floats) -> Projector:
    if not len(X):
        return projector
    weighted = X * projector.weights
    residual = np.stack([x - _project(projector, w) for x, w in zip(X, weighted, strict=True)])
    information = np.tensordot(residual * projector.weights, residual, axes=([1, 2], [1, 2]))
    if (np.diag(information) <= _COLLINEAR * (weighted * X).sum(axis=(1, 2))).any():
        raise EstimationError(_COVARIATES)
    return Projector(
        projector.weights, projector.rows, projector.basis, projector.factors, projector.null, residual, information
    )


def _solve_information(information: Floats, right: Floats) -> Floats:
    scale = np.sqrt(np.diag(information))
    if np.linalg.cond(information / np.outer(scale, scale)) > 1 / _COLLINEAR:
        raise EstimationError(_COVARIATES)
    return np.asarray(np.linalg.solve(information, right))


# -------------------------------------------------------------------- the adjoint


@dataclass(frozen=True, slots=True)
class _Solution:
    """Effects that solve the normal equations for K right-hand sides: period (R, T, K), unit per basis (N, K), covariate (k, K)."""

    period: Floats
    unit: tuple[Floats, ...]
    covariate: Floats


def _solve_cells(projector: Projector, cells: Cells) -> _Solution:
    n, t = projector.weights.shape
    code = _codes(projector.rows, n)[cells.unit]
    right = _sums(code * t + cells.period, len(projector.rows) * t, cells).reshape(-1, t, cells.n_terms)
    unit = tuple(_unit_side(q, cells, n) for q in projector.basis)
    period = np.empty_like(right)
    for r, (rows, factor) in enumerate(zip(projector.rows, projector.factors, strict=True)):
        for q, u in zip(projector.basis, unit, strict=True):
            touched = np.flatnonzero(u[rows].any(axis=1))
            load = (projector.weights[rows] * q[rows])[touched]
            right[r] -= load.T @ u[rows][touched]
        period[r] = cho_solve(factor, right[r], check_finite=False)
    return _Solution(period, unit, _covariate_side(projector, cells))


def _unit_side(q: Floats, cells: Cells, n: int) -> Floats:
    value = q[cells.unit, cells.period if q.shape[1] > 1 else 0] * cells.weight
    return _sums(cells.unit, n, Cells(cells.unit, cells.period, cells.term, value, cells.n_terms))


def _covariate_side(projector: Projector, cells: Cells) -> Floats:
    if not len(projector.covariates):
        return np.empty((0, cells.n_terms))
    values = projector.covariates[:, cells.unit, cells.period] * cells.weight
    totals = np.stack([np.bincount(cells.term, v, minlength=cells.n_terms) for v in values])
    return _solve_information(projector.information, totals)


def _through(fit: EffectsFit, solution: _Solution) -> Floats:
    """Return the unit sums (N, K) of scores times the solved effects."""
    projector = _projector(fit)
    psi = np.empty((len(fit.scores), solution.period.shape[2]))
    for r, rows in enumerate(projector.rows):
        psi[rows] = fit.scores[rows] @ solution.period[r]
    # The unit effects drop out: the scores of a unit sum to zero against its own functions.
    if len(projector.covariates):
        psi += np.einsum("knt,nt->nk", projector.covariates, fit.scores) @ solution.covariate
    return psi


@dataclass(frozen=True, slots=True)
class _Design:
    """Sparse regressors: their cells, and the m cells where any is not zero as positions (m,) with values (m, K)."""

    cells: Cells
    unit: Ints
    period: Ints
    values: Any


def _design(sample: Bools, cells: Cells) -> _Design:
    inside = sample[cells.unit, cells.period] & (cells.weight != 0)
    kept = Cells(cells.unit[inside], cells.period[inside], cells.term[inside], cells.weight[inside], cells.n_terms)
    touched, place = np.unique(kept.unit * sample.shape[1] + kept.period, return_inverse=True)
    values = sparse.csr_matrix((kept.weight, (place, kept.term)), shape=(len(touched), cells.n_terms))
    return _Design(kept, touched // sample.shape[1], touched % sample.shape[1], values)


def _times(cells: Cells, values: Floats) -> Cells:
    """Return the cells with their weights times the values of a panel (N, T) there."""
    return Cells(cells.unit, cells.period, cells.term, cells.weight * values[cells.unit, cells.period], cells.n_terms)


def _profile_step(fit: EffectsFit, design: _Design) -> tuple[Floats, Bools, Floats, _Solution]:
    """Return the Newton step (K,), which terms are identified, the inverse information and the projected regressors."""
    projector = _projector(fit)
    weights = projector.weights[design.unit, design.period]
    solution = _solve_cells(projector, _times(design.cells, projector.weights))
    net = design.values.toarray() - _at(projector, solution, design.unit, design.period)
    information = design.values.T @ (weights[:, None] * net)
    information = (information + information.T) / 2
    raw = design.values.power(2).T @ weights
    usable = np.diag(information) > _COLLINEAR * np.maximum(raw, np.finfo(float).tiny)
    inverse = np.zeros_like(information)
    inverse[np.ix_(usable, usable)] = _inverse(information[np.ix_(usable, usable)])
    return inverse @ _unit_sums(fit.scores, design.cells).sum(axis=0), usable, inverse, solution


def _at(projector: Projector, solution: _Solution, unit: Ints, period: Ints) -> Floats:
    """Return the solved effects (m, K) at some cells."""
    code = _codes(projector.rows, len(projector.weights))
    value = solution.period[code[unit], period]
    touched, place = np.unique(unit, return_inverse=True)
    for q, u in zip(projector.basis, solution.unit, strict=True):
        load = projector.weights[touched] * q[touched]
        inner = np.empty((len(touched), value.shape[1]))
        for r in range(len(projector.rows)):
            here = code[touched] == r
            inner[here] = load[here] @ solution.period[r]
        own = q[unit, period if q.shape[1] > 1 else 0]
        value = value + own[:, None] * (u[touched] - inner)[place]
    if len(projector.covariates):
        value = value + projector.covariates[:, unit, period].T @ solution.covariate
    return value


def _inverse(information: Floats) -> Floats:
    scale = np.sqrt(np.diag(information))
    correlation = information / np.outer(scale, scale)
    if len(scale) and np.linalg.cond(correlation) > 1 / _COLLINEAR:
        raise EstimationError(
            "The regressors are collinear with each other or with the unit and period effects. Ask for fewer leads, so that "
            "earlier periods remain as the reference, or leave out overlapping exposures."
        )
    return np.asarray(np.linalg.inv(correlation) / np.outer(scale, scale)) if len(scale) else information


def _unit_sums(scores: Floats, cells: Cells) -> Floats:
    """Return the sums (N, K) of weight times score over the cells of each unit and term."""
    return _sums(cells.unit, len(scores), _times(cells, scores))


def _sums(place: Ints, size: int, cells: Cells) -> Floats:
    """Return the sums (size, K) of the weights of the cells at each place, by term."""
    k = cells.n_terms
    # Of no cells at all, bincount returns whole numbers.
    return np.bincount(place * k + cells.term, cells.weight, size * k).astype(float, copy=False).reshape(size, k)


def _without_zero_terms(Y: Floats, sample: Bools, cells: Cells) -> Bools:
    """Leave out the cells of regressors without any count, whose coefficient is minus infinity."""
    inside = sample[cells.unit, cells.period] & (cells.weight != 0)
    counts = np.abs(cells.weight[inside]) * Y[cells.unit[inside], cells.period[inside]]
    empty = np.bincount(cells.term[inside], counts, cells.n_terms) == 0
    lost = inside & empty[cells.term]
    if not lost.any():
        return sample
    kept = sample.copy()
    kept[cells.unit[lost], cells.period[lost]] = False
    return kept


def _projector(fit: EffectsFit) -> Projector:
    if fit.projector is None:
        raise EstimationError(
            "This fit was made without factorise=True, so that nothing is known of its influence functions."
        )
    return fit.projector


_COVARIATES = (
    "The covariates are collinear with each other or with the unit and period effects on the untreated cells. Leave out covariates that are "
    "constant within units or common to all units."
)
