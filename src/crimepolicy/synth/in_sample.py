"""In-sample part of a prediction interval: how far the weights could have been from their population values."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crimepolicy.synth.constraints import BoundedFit, Constraint
from crimepolicy.synth.extremes import largest_in_ball, largest_on_simplex
from crimepolicy.synth.weights import simplex_weights

__all__ = ["InSample", "in_sample", "simulated_bounds"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

_WEIGHT = 1e-6
_SPARE = 10  # observations beyond the coefficients that a regression of residuals must have
_LARGEST = 0.2
_SMALL, _DOUBTFUL = 1e-3, 0.05
_FLAT = 1e-12


@dataclass(frozen=True, slots=True)
class InSample:
    """The problem that is simulated.

    Attributes
    ----------
    donors : float array (T, J)
        Series before treatment.
    fit : BoundedFit
        Estimated weights.
    constraint : str
        What they obey.
    intercept : bool
        Whether a constant is fitted.
    threshold : float
        Weights below it count as being at their bound.
    used : bool array (J,)
        Donors whose weights are above it.
    mean : float array (T,)
        Conditional mean of the residuals.
    noise : float array (T,)
        Standard deviations of the residuals around it, with the small-sample factor.
    degrees : float
        Degrees of freedom of the weights.
    """

    donors: Floats
    fit: BoundedFit
    constraint: Constraint
    intercept: bool
    threshold: float
    used: Bools
    mean: Floats
    noise: Floats
    degrees: float


def in_sample(donors: Floats, treated: Floats, fit: BoundedFit, constraint: Constraint, intercept: bool) -> InSample:
    """Return the threshold, the donors above it, and the moments of the residuals.

    Parameters
    ----------
    donors : float array (T, J)
        Series before treatment.
    treated : float array (T,)
        Series of the treated unit before treatment.
    fit : BoundedFit
        Weights that `bounded_weights` gave.
    constraint, intercept
        What they were asked to obey.
    """
    residual = treated - donors @ fit.weights - fit.intercept
    threshold = _threshold(donors, residual, fit.weights, int(intercept))
    if constraint in {"ridge", "ols"}:
        used = np.ones(len(fit.weights), dtype=bool)
    else:
        used = np.abs(fit.weights) > threshold
        used[np.argmax(np.abs(fit.weights))] = True
    mean = conditional_mean(donors[:, used], residual)
    degrees = _degrees(donors, fit, constraint) + int(intercept)
    T = len(residual)
    noise = np.abs(residual - mean) * np.sqrt(T / (T - min(degrees, T - 1)))
    return InSample(donors, fit, constraint, intercept, threshold, used, mean, noise, degrees)


def conditional_mean(columns: Floats, residual: Floats) -> Floats:
    """Return the regression (T,) of residuals on some donors, or their mean where there are too few periods."""
    design = np.column_stack([columns, np.ones(len(residual))])
    if len(residual) - _SPARE <= design.shape[1]:
        design = design[:, -1:]
    return np.asarray(design @ np.linalg.lstsq(design, residual)[0])


def _threshold(donors: Floats, residual: Floats, weights: Floats, constants: int) -> float:
    spread = donors.std(axis=0, ddof=1)
    noise = float(residual.std())
    count, T = donors.shape[1] + constants, len(residual)
    active = int((np.abs(weights) >= _WEIGHT).sum()) + constants
    rate = np.sqrt(np.log(count) * active * np.log(T)) / np.sqrt(T)
    with np.errstate(divide="ignore"):
        wide, narrow = noise * spread.max() / spread.min() ** 2, noise / spread.min()
    found = min(float(wide * rate), _LARGEST)
    if found < _SMALL:
        found = min(max(float(wide * rate), float(narrow * rate)), _LARGEST)
        found = _LARGEST if found < _DOUBTFUL else found
    return found


def _degrees(donors: Floats, fit: BoundedFit, constraint: Constraint) -> float:
    active = int((np.abs(fit.weights) >= _WEIGHT).sum())
    if constraint in {"simplex", "lasso"}:
        return float(active - (constraint == "simplex"))
    if constraint == "ols":
        return float(donors.shape[1])
    squares = np.linalg.svd(donors, compute_uv=False) ** 2
    return float((squares / (squares + fit.penalty)).sum())


def simulated_bounds(problem: InSample, after: Floats, draws: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return, by draw and row of `after`, the least and largest of truth less fit (draws, H) that the weights allow.

    Parameters
    ----------
    problem : InSample
        As `in_sample` gave it.
    after : float array (H, J)
        Donors where the counterfactual is wanted: periods after treatment, or averages of them.
    draws : int
        Simulated score vectors.
    rng : numpy.random.Generator
    """
    T = len(problem.donors)
    L = problem.donors / np.sqrt(T)
    scores = rng.standard_normal((draws, T)) * problem.noise / np.sqrt(T)
    level = np.full(T, 1 / np.sqrt(T))
    constants = np.zeros((draws, 1))
    C = after
    if problem.intercept:
        # A free constant moves only the mean of the fit: it becomes one more coordinate of the ball.
        constants = scores @ level[:, None]
        C = after - (level @ L)
        L, scores = L - np.outer(level, level @ L), scores - np.outer(constants, level)
    left, values, right = np.linalg.svd(L, full_matrices=False)
    kept = values > _FLAT * values[0]
    reduced, scores = values[kept, None] * right[kept], scores @ left[:, kept]
    solve = _in_ball if problem.constraint in {"ridge", "ols"} else _on_simplex
    up, down = solve(problem, C, _Ball(reduced, scores, constants[:, 0]))
    # In the simulation w is the truth and x an estimate: errors are truth less estimate.
    return -up, down


@dataclass(frozen=True, slots=True)
class _Ball:
    """Where the truth x may lie: ``|L (x - w) - scores|^2 + (d - constants)^2 <= |scores|^2 + constants^2``, d free."""

    L: Floats
    scores: Floats
    constants: Floats

    @property
    def radii(self) -> Floats:
        return np.asarray(np.sqrt((self.scores**2).sum(axis=1) + self.constants**2))


def _on_simplex(problem: InSample, C: Floats, ball: _Ball) -> tuple[Floats, Floats]:
    """Return the largest values of ``c'(x - w)`` and of ``c'(w - x)``, by draw and row."""
    C, L, free = _free_part(problem, C, ball.L)
    mass, radii = float(free.sum()), ball.radii
    found = np.zeros((2, len(radii), len(C)))
    for draw, target in enumerate(ball.scores + L @ free):
        if mass <= 0:
            break
        best = mass * simplex_weights(mass * L, target).weights
        if ((L @ best - target) ** 2).sum() >= (1.0 - _FLAT) * radii[draw] ** 2:
            continue
        for sign, part in zip((1.0, -1.0), found, strict=True):
            for row, c in enumerate(sign * C):
                value = largest_on_simplex(c, L, target, radii[draw], best, problem.intercept)
                part[draw, row] = max(value - float(c @ free) + problem.intercept * sign * ball.constants[draw], 0.0)
    return found[0], found[1]


def _free_part(problem: InSample, C: Floats, L: Floats) -> tuple[Floats, Floats, Floats]:
    """Return functions, ball and weights in terms of what is non-negative: weights above their bounds, or signed parts."""
    w = problem.fit.weights
    if problem.constraint == "simplex":
        return C, L, np.where(w < problem.threshold, 0.0, w)
    total = float(np.abs(w).sum())
    near = total >= problem.fit.size - problem.threshold * np.sqrt(len(w))
    spare = 0.0 if near else problem.fit.size - total
    parts = np.concatenate([np.maximum(w, 0.0), np.maximum(-w, 0.0), [spare]])
    return np.hstack([C, -C, np.zeros((len(C), 1))]), np.hstack([L, -L, np.zeros((len(L), 1))]), parts


def _in_ball(problem: InSample, C: Floats, ball: _Ball) -> tuple[Floats, Floats]:
    """Return the same where only the length of the weights is bounded, or nothing."""
    w, L, targets, size = problem.fit.weights, ball.L, ball.scores + ball.L @ problem.fit.weights, np.inf
    if problem.constraint == "ridge":
        size = float(np.linalg.norm(w))
        near = size**2 >= problem.fit.size**2 - min(2.0 * size * problem.threshold, _LARGEST)
        size = size if near else problem.fit.size
    elif problem.intercept:
        C, w = np.column_stack([C, np.ones(len(C))]), np.append(w, 0.0)
        L = np.block([[L, np.zeros((len(L), 1))], [np.zeros((1, L.shape[1])), np.ones((1, 1))]])
        targets = np.column_stack([targets, ball.constants])
    up, down = (largest_in_ball(sign * C, L, targets, ball.radii, size) - sign * (C @ w) for sign in (1.0, -1.0))
    return np.maximum(up, 0.0), np.maximum(down, 0.0)
