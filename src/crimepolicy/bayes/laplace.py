"""Where the posterior is and how it is turned: the coordinates in which NUTS sees an almost round density."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg, optimize, sparse

from crimepolicy.bayes.layout import Design, Scales
from crimepolicy.bayes.likelihood import CountLikelihood
from crimepolicy.bayes.predictor import linear_predictor, pull_back

__all__ = ["Center", "find_center"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_ROUNDS = 12
_STEPS = 4
_HALVINGS = 12
_LONGEST = 5.0
_ENOUGH = 1e-3
# Scales are searched between these multiples of their prior scales; beyond, the prior has nothing left to say.
_NARROW, _WIDE = 0.05, 3.0
_START = 0.5
_ALONG_AXES = ("drift", "event_drift")
_LOG_DISPERSION = (-4.0, 1.5)


@dataclass(frozen=True, slots=True)
class Center:
    """An empirical-Bayes point and the shape of the posterior there.

    Attributes
    ----------
    theta : float array (size,)
        Posterior mode of the coordinates, given the scales; like `root`, `shift` and `data_share` before `turn`.
    h : float array (Q,)
        The scales.
    log_sd : float array (size,)
        Log prior standard deviations at h.
    root : float array (size, size)
        ``root @ root.T`` is the inverse of the Fisher information plus the prior precision.
    shift : float array (size, Q)
        How the mode moves with each scale, in the coordinates of `RoundDensity`.
    data_share : float array (size,)
        From 0, where the posterior is the prior, to 1, where the data decide alone.
    turned : int array (R,)
        Positions of the levels (`Design.turned`) and of the drifts.
    turn : float array (R, R)
        From what the sampler sees there to the coordinates; its determinant is one in size.
    """

    theta: Floats
    h: Floats
    log_sd: Floats
    root: Floats
    shift: Floats
    data_share: Floats
    turned: np.ndarray[Any, np.dtype[np.intp]]
    turn: Floats


def find_center(design: Design, scales: Scales, likelihood: CountLikelihood) -> Center:
    """Return the mode of the coordinates and the scales that fit it, by alternation.

    Given the scales, the coordinates are found by Fisher scoring; given the coordinates and their uncertainty, each scale follows
    from the sum of squares that the data determine (MacKay's rule). Only speed depends on the result.
    """
    pieces = _pieces(design)
    theta = np.zeros(design.size)
    h = np.log(_START * np.nan_to_num(scales.prior, nan=1 / _START))
    for _ in range(_ROUNDS):
        theta, information = _mode(design, scales, likelihood, pieces, theta, h)
        factor, variance = _invert(information)
        updated = _update(design, scales, likelihood, theta, h, variance)
        change, h = float(np.abs(updated - h).max(initial=0)), updated
        if change < _ENOUGH:
            break
    theta, information = _mode(design, scales, likelihood, pieces, theta, h)
    factor = _invert(information)[0]
    log_sd = scales.log_sd(h)
    turned, turn = _turn(design, factor)
    movement = _movement(scales, theta, log_sd, factor)
    moves, theta, root = (_turned_back(turned, turn, values) for values in (movement, theta, factor.T))
    share = np.clip(1 - (root**2).sum(axis=1) * np.exp(-2 * log_sd), 0, 1)
    shift = moves - 2 * (1 - share)[:, None] * _owned(scales, theta)
    return Center(theta, h, log_sd, root, shift, share, turned, turn)


def _turn(design: Design, factor: Floats) -> tuple[np.ndarray[Any, np.dtype[np.intp]], Floats]:
    """Return positions and matrix of all that is turned.

    A block whose prior is round may be turned at will: along the axes of its posterior, each direction has a share of its own,
    from those that the data see well to those that they do not see at all.
    """
    blocks = [block.name for block in design.blocks if block.name in _ALONG_AXES and block.size and not block.fixed]
    axes = [np.linalg.eigh(factor[:, design.at[name]].T @ factor[:, design.at[name]])[1] for name in blocks]
    turned = np.concatenate([design.turned, *(np.r_[design.at[name]] for name in blocks)]).astype(np.intp)
    return turned, np.asarray(linalg.block_diag(design.turn, *axes))


def _turned_back(turned: np.ndarray[Any, np.dtype[np.intp]], turn: Floats, values: Floats) -> Floats:
    """Return values (size, ...) of the coordinates as the sampler sees them."""
    result = values.copy()
    result[turned] = np.linalg.solve(turn, values[turned])
    return result


def _owned(scales: Scales, theta: Floats) -> Floats:
    return np.asarray((scales.owner[:, None] == np.arange(len(scales.names))) * theta[:, None])


def _movement(scales: Scales, theta: Floats, log_sd: Floats, factor: Floats) -> Floats:
    """Return the derivative (size, Q) of the mode: by the implicit function theorem, since the gradient stays zero."""
    return np.asarray(2 * factor.T @ (factor @ (np.exp(-2 * log_sd)[:, None] * _owned(scales, theta))))


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Blocks of the design matrix: unit (N, A), period (G * T, P), cells (E * K, C), and where their rows meet."""

    unit: Floats
    period: Floats
    cells: Floats
    row: np.ndarray[Any, Any]
    column: np.ndarray[Any, Any]
    cell_unit: np.ndarray[Any, Any]
    cell_period: np.ndarray[Any, Any]


def _pieces(design: Design) -> _Pieces:
    n, t = design.counts.shape
    e = len(design.cell)
    period = np.hstack([np.kron(np.eye(design.n_groups), design.walk), np.tile(design.season, (design.n_groups, 1))])
    own = [np.kron(np.eye(e), design.after[:, None])] if design.own_level else []
    shared = [np.kron(design.level, design.after[:, None]), np.tile(design.drift, (e, 1))]
    cells = np.hstack([*shared, *own, np.kron(np.eye(e), design.own_drift)])
    column = (design.group[:, None] * t + np.arange(t)).ravel()
    # An absent cell has weight zero, so that any position will do for it.
    flat = np.minimum(design.cell.ravel(), n * t - 1)
    return _Pieces(design.unit, period, cells, np.repeat(np.arange(n), t), column, flat // t, column[flat])


def _information(design: Design, pieces: _Pieces, weight: Floats) -> Floats:
    """Return the Fisher information (size, size) of the data, from the weight (N, T) of every cell."""
    n = len(weight)
    rows = pieces.period.shape[0]
    cell = np.append(weight, 0.0)[design.cell].ravel()
    index = np.arange(len(cell))
    crossed = sparse.csr_array((weight.ravel(), (pieces.row, pieces.column)), shape=(n, rows))
    in_unit = sparse.csr_array((cell, (pieces.cell_unit, index)), shape=(n, len(cell)))
    in_period = sparse.csr_array((cell, (pieces.cell_period, index)), shape=(rows, len(cell)))
    uu = pieces.unit.T @ (weight.sum(axis=1)[:, None] * pieces.unit)
    pp = pieces.period.T @ (np.asarray(crossed.sum(axis=0)).ravel()[:, None] * pieces.period)
    cc = pieces.cells.T @ (cell[:, None] * pieces.cells)
    up = pieces.unit.T @ (crossed @ pieces.period)
    uc = pieces.unit.T @ (in_unit @ pieces.cells)
    pc = pieces.period.T @ (in_period @ pieces.cells)
    return np.block([[uu, up, uc], [up.T, pp, pc], [uc.T, pc.T, cc]])


def _evaluate(
    design: Design, scales: Scales, likelihood: CountLikelihood, theta: Floats, h: Floats
) -> tuple[float, Floats, Floats]:
    """Return the log likelihood, its gradient (N, T), and the Fisher weight (N, T) of every cell."""
    eta = linear_predictor(design, theta)
    mean = np.exp(eta) * likelihood.used
    if scales.dispersion < 0:
        return *likelihood.poisson(eta), mean
    dispersion = float(np.exp(h[scales.dispersion]))
    value, slope, _ = likelihood.negative_binomial(eta, dispersion)
    return value, slope, mean / (1 + dispersion**2 * mean)


def _mode(
    design: Design, scales: Scales, likelihood: CountLikelihood, pieces: _Pieces, theta: Floats, h: Floats
) -> tuple[Floats, Floats]:
    precision = np.exp(-2 * scales.log_sd(h))
    information = np.zeros((0, 0))
    for _ in range(_STEPS):
        value, slope, weight = _evaluate(design, scales, likelihood, theta, h)
        information = _information(design, pieces, weight)
        information[np.diag_indices(design.size)] += precision
        gradient = pull_back(design, slope) - precision * theta
        step = linalg.solve(information, gradient, assume_a="pos")
        height = value - 0.5 * float(precision @ theta**2)
        theta = _climb(design, scales, likelihood, theta, h, step, height)
        if float(gradient @ step) < _ENOUGH:
            break
    return theta, information


def _climb(
    design: Design, scales: Scales, likelihood: CountLikelihood, theta: Floats, h: Floats, step: Floats, height: float
) -> Floats:
    precision = np.exp(-2 * scales.log_sd(h))
    # A mean that overflows says nothing of how much too far a step went.
    change = float(np.abs(linear_predictor(design, theta + step) - linear_predictor(design, theta)).max())
    length = min(1.0, _LONGEST / max(change, _LONGEST))
    for _ in range(_HALVINGS):
        proposal = theta + length * step
        with np.errstate(over="ignore", invalid="ignore"):
            value = _evaluate(design, scales, likelihood, proposal, h)[0] - 0.5 * float(precision @ proposal**2)
        if value >= height:
            return np.asarray(proposal)
        length /= 2
    return theta


def _invert(information: Floats) -> tuple[Floats, Floats]:
    """Return the inverse of the lower Cholesky factor, and the diagonal of the inverse of the information."""
    lower = linalg.cholesky(information, lower=True)
    inverse = linalg.solve_triangular(lower, np.eye(len(lower)), lower=True)
    return inverse, np.einsum("ij,ij->j", inverse, inverse)


def _update(
    design: Design, scales: Scales, likelihood: CountLikelihood, theta: Floats, h: Floats, variance: Floats
) -> Floats:
    relative = np.exp(-2 * scales.log_sd(h))
    squares = np.bincount(scales.owner + 1, theta**2 * relative, minlength=len(h) + 1)[1:]
    known = np.bincount(scales.owner + 1, np.clip(1 - variance * relative, 0, 1), minlength=len(h) + 1)[1:]
    # Half a count on both sides keeps a scale that the data do not speak of where it was.
    moved = h + 0.5 * np.log((squares + 0.5) / (known + 0.5))
    low, high = np.log(_NARROW * scales.prior), np.log(_WIDE * scales.prior)
    result = np.where(np.isnan(scales.prior), h, np.clip(moved, low, high))
    if scales.dispersion >= 0:
        # Fixed blocks count in full; the others as far as the data determine them.
        spent = float(known.sum() + (scales.owner < 0).sum())
        result[scales.dispersion] = _dispersion(np.exp(linear_predictor(design, theta)), likelihood, spent)
    return np.asarray(result)


def _dispersion(mean: Floats, likelihood: CountLikelihood, spent: float) -> float:
    """Return the log dispersion at which Pearson's statistic equals its degrees of freedom."""
    squares = likelihood.used * (likelihood.counts - mean) ** 2
    freedom = max(1.0, float(likelihood.used.sum()) - spent)

    def excess(log: float) -> float:
        return float((squares / (mean + np.exp(2 * log) * mean**2)).sum()) - freedom

    low, high = _LOG_DISPERSION
    if excess(low) <= 0:
        return low
    return high if excess(high) >= 0 else float(optimize.brentq(excess, low, high, xtol=0.01))
