"""One door to the two factor models, for least squares and for counts."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from crimepolicy.synth.completion import Completion, complete, largest_penalty
from crimepolicy.synth.interactive import Family, Interactive, fit_interactive

__all__ = ["FactorData", "FactorFit", "FactorMethod", "fit_factors"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
FactorMethod = Literal["interactive", "matrix_completion"]

_SCORING = 100
_SETTLED = 1e-9


@dataclass(frozen=True, slots=True)
class FactorData:
    """Outcome Z, weights W (zero where not fitted), covariates X (p, N, T), log exposure, all (N, T), and the family."""

    Z: Floats
    W: Floats
    X: Floats
    offset: Floats
    family: Family

    def take(self, rows: Ints) -> "FactorData":
        """Return some units, with repetition."""
        return replace(self, Z=self.Z[rows], W=self.W[rows], X=self.X[:, rows], offset=self.offset[rows])

    def deviance(self, mean: Floats, cells: Any) -> float:
        """Return the mean squared error, or the mean deviance of counts, over some cells."""
        y, mu = self.Z[cells], mean[cells]
        if self.family == "gaussian":
            return float(((y - mu) ** 2).mean())
        return float(2.0 * (np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0) / mu), 0.0) - y + mu).mean())


@dataclass(frozen=True, slots=True)
class FactorFit:
    """Expected untreated outcome (N, T) in every cell, coefficients (p,), whether the fit settled, and the fit behind it."""

    mean: Floats
    beta: Floats
    converged: bool
    source: Interactive | Completion


def fit_factors(
    data: FactorData,
    method: FactorMethod,
    rank: int | None,
    penalty: float | None,
    *,
    start: FactorFit | None = None,
    rows: Ints | None = None,
    tolerance: float | None = None,
) -> FactorFit:
    """Fit a factor model to the cells of positive weight.

    Parameters
    ----------
    data : FactorData
        Outcome, weights, covariates.
    method, rank, penalty
        As in `factor_model`.
    start : FactorFit, optional
        Fit of the whole sample, from which a replicate starts.
    rows : int array, optional
        Units of the whole sample that the replicate holds.
    tolerance : float, optional
        Precision, where fewer digits will do: in replicates and in cross-validation.
    """
    precision = {} if tolerance is None else {"tolerance": tolerance}
    if method == "interactive":
        source = start.source if start is not None and isinstance(start.source, Interactive) else None
        fit = fit_interactive(
            data.Z, data.W, data.X, rank or 0, family=data.family, offset=data.offset, start=source, **precision
        )
        return FactorFit(_mean(fit.eta, data.family), fit.beta, fit.converged, fit)
    L = None if start is None or not isinstance(start.source, Completion) else start.source.low_rank[rows]
    if data.family == "poisson":
        return _complete_counts(data, penalty or 1.0, L)
    tau = (penalty or 1.0) * largest_penalty(data.Z, data.W, data.X)
    found = complete(data.Z, data.W, data.X, tau, start=L, **precision)
    return FactorFit(found.fitted, found.beta, found.converged, found)


def _mean(eta: Floats, family: Family) -> Floats:
    return eta if family == "gaussian" else np.exp(np.minimum(eta, 700.0))


def _complete_counts(data: FactorData, penalty: float, L: Floats | None) -> FactorFit:
    """Fit the penalised Poisson model by Fisher scoring, each step a weighted completion."""
    base = fit_interactive(data.Z, data.W, data.X, 0, family="poisson", offset=data.offset)
    eta = base.eta
    mean = data.W * np.exp(np.minimum(eta, 700.0))
    # At the two-way fit the score is the residual, and the penalty that keeps L at zero its largest singular value.
    tau = penalty * float(np.linalg.norm(np.where(data.W > 0, data.W * data.Z - mean, 0.0), 2))
    found, objective = None, np.inf
    low_rank = np.zeros_like(eta) if L is None else L
    for _ in range(_SCORING):
        weight = np.where(data.W > 0, data.W * np.exp(np.clip(eta, -30.0, 700.0)), 0.0)
        working = np.where(
            weight > 0, eta - data.offset + (data.W * data.Z - weight) / np.where(weight > 0, weight, 1.0), 0.0
        )
        found = complete(working, weight, data.X, tau, start=low_rank, tolerance=1e-8)
        eta, new = _damped(data, eta, found, tau, objective)
        low_rank = found.low_rank
        if abs(objective - new) <= _SETTLED * abs(new):
            return FactorFit(np.exp(np.minimum(eta, 700.0)), found.beta, True, found)
        objective = new
    return FactorFit(np.exp(np.minimum(eta, 700.0)), base.beta if found is None else found.beta, False, found or base)


def _damped(data: FactorData, eta: Floats, found: Completion, tau: float, objective: float) -> tuple[Floats, float]:
    """Go towards the completed predictor, less far where the objective would rise."""
    seen = data.W > 0
    target = found.fitted + data.offset
    nuclear = tau * float(found.singular_values.sum())
    step, new = 1.0, np.inf
    for _ in range(20):
        trial = eta + step * (target - eta)
        y, linear = data.Z[seen], trial[seen]
        new = float((data.W[seen] * (np.exp(np.minimum(linear, 700.0)) - y * linear)).sum()) + nuclear
        if new <= objective + 1e-10 * abs(objective) or not np.isfinite(objective):
            return trial, new
        step /= 2.0
    return eta, objective
