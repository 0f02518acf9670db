"""Interactive fixed effects: unit and period effects plus factors that act on each unit by its own loading."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from crimepolicy.synth.two_way import TwoWayProjector

__all__ = ["Family", "Interactive", "fit_interactive"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Family = Literal["gaussian", "poisson"]

_WARM = 25  # fill-in steps that lead to the basin of the published algorithm
_ITERATIONS = 400
_CHUNK = 4_000_000  # numbers held at once while the normal equations are built
_NEWTON = 3
_LARGEST = 30.0  # beyond this the exponential of a step says nothing


@dataclass(frozen=True, slots=True)
class Interactive:
    """A fitted interactive model ``eta = u_i + v_t + lambda_i'f_t + x'beta``.

    Attributes
    ----------
    eta : float array (N, T)
        Linear predictor in every cell, with the exposure's logarithm for counts.
    units : float array (N, 1 + r)
        Unit effect and loadings.
    periods : float array (T, 1 + r)
        Period effect and factors.
    beta : float array (p,)
        Coefficients of the covariates.
    loss : float
        Weighted sum of squares, or deviance, over the cells of positive weight.
    converged : bool
        Whether the loss settled.
    """

    eta: Floats
    units: Floats
    periods: Floats
    beta: Floats
    loss: float
    converged: bool


@dataclass(frozen=True, slots=True)
class _Data:
    Z: Floats
    W: Floats
    X: Floats
    offset: Floats
    family: Family

    def eta(self, units: Floats, periods: Floats, beta: Floats) -> Floats:
        common = np.tensordot(beta, self.X, axes=1) if len(beta) else 0.0
        return np.asarray(self.offset + common + units[:, :1] + periods[:, 0] + units[:, 1:] @ periods[:, 1:].T)

    def loss(self, eta: Floats) -> float:
        if self.family == "gaussian":
            return float((self.W * (self.Z - eta) ** 2).sum())
        seen = self.W > 0
        y, linear, w = self.Z[seen], eta[seen], self.W[seen]
        logs = np.log(np.where(y > 0, y, 1.0))
        return 2.0 * float((w * (y * (logs - linear) - y + np.exp(np.minimum(linear, 700.0)))).sum())

    def working(self, eta: Floats) -> tuple[Floats, Floats]:
        """Return the working weights (N, T) and the weighted working residuals (N, T)."""
        if self.family == "gaussian":
            return self.W, self.W * (self.Z - eta)
        mean = self.W * np.exp(np.minimum(eta, 700.0))
        return mean, np.where(self.W > 0, self.W * self.Z, 0.0) - mean


# A trial step may overflow where counts do not bound the factors; its loss is then not finite or not lower, and it is refused.
@np.errstate(over="ignore", invalid="ignore")
def fit_interactive(
    Z: Floats,
    W: Floats,
    X: Floats,
    rank: int,
    *,
    family: Family = "gaussian",
    offset: Floats | None = None,
    start: Interactive | None = None,
    tolerance: float = 1e-12,
) -> Interactive:
    """Fit unit effects, period effects and `rank` factors to the cells of positive weight.

    Unit parameters are eliminated (variable projection), and damped Gauss-Newton steps taken in the period parameters and
    coefficients: tens of steps where filling in and decomposing takes thousands. The problem is not convex; the start is
    the two-way fit improved by a few of those fill-in steps.

    Parameters
    ----------
    Z : float array (N, T)
        Outcome or count; any finite number where W is zero.
    W : float array (N, T)
        Weights, zero for treated and missing cells.
    X : float array (p, N, T)
        Covariates.
    rank : int
        Number of factors r.
    family : {"gaussian", "poisson"}
        Least squares, or Poisson likelihood with a log link.
    offset : float array (N, T), optional
        Logarithm of the exposure.
    start : Interactive, optional
        Fit of the same shape in T and r to start from.
    tolerance : float
        Relative decrease of the loss at which the steps end.
    """
    data = _Data(Z, W, X, np.zeros_like(Z) if offset is None else offset, family)
    units, periods, beta = _first(data, rank) if start is None else (None, start.periods, start.beta)
    if units is None:
        units = _units(data, _start_units(data, periods, rank), periods, beta, 10)
    loss, damping, converged = data.loss(data.eta(units, periods, beta)), 1e-3, False
    for _ in range(_ITERATIONS):
        H, g = _normal_equations(data, units, periods, beta)
        improved = False
        while not improved and damping < 1e12:
            trial = _stepped(H, g, damping, periods, beta)
            trial_units = _units(data, units, *trial, _NEWTON)
            new = data.loss(data.eta(trial_units, *trial))
            improved = bool(np.isfinite(new)) and new <= loss
            damping = max(damping / 10.0, 1e-12) if improved else damping * 10.0
        if not improved:
            converged = True
            break
        decrease = loss - new
        units, periods, beta, loss = trial_units, *trial, new
        if decrease <= tolerance * (loss + np.finfo(float).tiny):
            converged = True
            break
    return Interactive(data.eta(units, periods, beta), units, periods, beta, loss, converged)


def _first(data: _Data, rank: int) -> tuple[Floats, Floats, Floats]:
    """Return the two-way fit and the leading factors of its residuals, improved by fill-in steps."""
    seen = data.W > 0
    Z, W = data.Z - data.offset, data.W
    if data.family == "poisson":
        Z = np.log(np.where(seen, data.Z, 0.0) + 0.5) - data.offset
        W = np.where(seen, data.W * (data.Z + 0.5), 0.0)
    Z = np.where(seen, Z, 0.0)
    projector = TwoWayProjector(W, data.X)
    low_rank = np.zeros_like(Z)
    fit = projector.fit(Z)
    left, right = np.zeros((Z.shape[0], rank)), np.zeros((Z.shape[1], rank))
    for _ in range(_WARM if rank else 0):
        rest = np.where(seen, Z - fit.fitted, low_rank)
        U, s, Vt = np.linalg.svd(rest, full_matrices=False)
        root = np.sqrt(s[:rank])
        left, right = U[:, :rank] * root, Vt[:rank].T * root
        low_rank = left @ right.T
        fit = projector.fit(np.where(seen, Z - low_rank, 0.0))
    units, periods = np.column_stack([fit.units, left]), np.column_stack([fit.periods, right])
    if data.family == "poisson":
        units = _units(data, units, periods, fit.beta, 20)
    return units, periods, fit.beta


def _start_units(data: _Data, periods: Floats, rank: int) -> Floats:
    units = np.zeros((len(data.Z), rank + 1))
    if data.family == "poisson":
        seen = data.W > 0
        expected = np.where(seen, np.exp(np.minimum(data.offset + periods[:, 0], _LARGEST)), 0.0).sum(axis=1)
        units[:, 0] = np.log((np.where(seen, data.Z, 0.0).sum(axis=1) + 0.5) / expected)
    return units


def _units(data: _Data, units: Floats, periods: Floats, beta: Floats, steps: int) -> Floats:
    """Return the unit parameters (N, 1 + r) given the rest: exact for least squares, Newton steps for counts."""
    design = np.column_stack([np.ones(len(periods)), periods[:, 1:]])
    for _ in range(1 if data.family == "gaussian" else steps):
        weight, residual = data.working(data.eta(units, periods, beta))
        gram = np.einsum("it,ta,tb->iab", weight, design, design, optimize=True)
        step = _solve_each(gram, residual @ design)
        largest = np.abs(step @ design.T).max(axis=1, keepdims=True)
        units = units + step * np.minimum(1.0, 2.0 / np.maximum(largest, 1e-300) if data.family == "poisson" else 1.0)
    return units


def _solve_each(gram: Floats, right: Floats) -> Floats:
    # A whisper of ridge, relative to each system, serves units whose cells do not tell the factors apart.
    trace = np.einsum("iaa->i", gram) / gram.shape[1]
    ridged = gram + (1e-13 * trace + 1e-300)[:, None, None] * np.eye(gram.shape[1])
    return np.asarray(np.linalg.solve(ridged, right[:, :, None])[:, :, 0])


def _normal_equations(data: _Data, units: Floats, periods: Floats, beta: Floats) -> tuple[Floats, Floats]:
    """Return Hessian approximation and gradient in (period parameters, coefficients), unit parameters projected out."""
    n_periods, k = periods.shape
    design = np.column_stack([np.ones(n_periods), periods[:, 1:]])
    loads = np.column_stack([np.ones(len(units)), units[:, 1:]])
    weight, residual = data.working(data.eta(units, periods, beta))
    p, size = len(beta), n_periods * k
    blocks = np.zeros((k * k, n_periods * n_periods))
    cross, square = np.zeros((p, n_periods, k)), np.zeros((p, p))
    rows = max(1, _CHUNK // n_periods**2)
    for first in range(0, len(units), rows):
        part = slice(first, first + rows)
        kernel = _kernels(weight[part], design)
        pairs = (loads[part, :, None] * loads[part, None, :]).reshape(-1, k * k)
        blocks += pairs.T @ kernel.reshape(len(kernel), -1)
        if p:
            projected = np.einsum("its,pis->pit", kernel, data.X[:, part], optimize=True)
            cross += np.einsum("pit,ia->pta", projected, loads[part], optimize=True)
            square += np.einsum("pit,qit->pq", projected, data.X[:, part], optimize=True)
    H = np.zeros((size + p, size + p))
    H[:size, :size] = blocks.reshape(k, k, n_periods, n_periods).transpose(2, 0, 3, 1).reshape(size, size)
    H[size:, :size] = cross.reshape(p, size)
    H[:size, size:] = H[size:, :size].T
    H[size:, size:] = square
    by_covariate = np.einsum("pit,it->p", data.X, residual) if p else np.zeros(0)
    return H, np.concatenate([(residual.T @ loads).ravel(), by_covariate])


def _kernels(weight: Floats, design: Floats) -> Floats:
    """Return ``W - W F (F'WF)^-1 F'W`` (n, T, T) of each unit."""
    columns = weight[:, :, None] * design
    gram = np.einsum("ita,tb->iab", columns, design, optimize=True)
    solved = np.linalg.solve(
        gram + 1e-13 * np.einsum("iaa->i", gram)[:, None, None] * np.eye(design.shape[1]), columns.transpose(0, 2, 1)
    )
    kernel = -columns @ solved
    n = np.arange(design.shape[0])
    kernel[:, n, n] += weight
    return np.asarray(kernel)


def _stepped(H: Floats, g: Floats, damping: float, periods: Floats, beta: Floats) -> tuple[Floats, Floats]:
    damped = H.copy()
    diagonal = np.einsum("ii->i", damped)
    # Factors can be rotated without changing the fit; the damping also picks one step among equal ones.
    diagonal += damping * (diagonal + 1e-6 * diagonal.max())
    step = np.linalg.solve(damped, g)
    size = periods.size
    return periods + step[:size].reshape(periods.shape), beta + step[size:]
