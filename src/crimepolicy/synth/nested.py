"""The search for predictor weights V whose synthetic control fits the outcome best before treatment."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg.lapack import dposv, dpotrs
from scipy.optimize import linprog, nnls
from scipy.stats import norm, qmc

from crimepolicy.synth.cells import cell_weights
from crimepolicy.synth.weights import simplex_weights

__all__ = ["VSearch", "nested_v"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_SPREAD = 3.0  # standard deviation of the logarithms of the weights that are tried
_FLOOR = 1e-6
_STEPS = (6, 60)  # quasi-Newton steps from every start, then from the best
_JUMPS, _REACH = (0.3, 1.0, 2.0), 12.0
_TINY = 1e-12
# Bisections and relative gain that end a search: one stuck at a kink is left soon, the best of all is looked at closely.
_COARSE, _FINE = (6, 1e-6), (20, 1e-9)
_DECREASE, _CURVATURE = 1e-4, 0.9
_AGREE = 1e-3
_SLACK = 1e-8


@dataclass(frozen=True, slots=True)
class VSearch:
    """What the search over predictor weights found.

    Attributes
    ----------
    v : float array (k,)
        Best predictor weights, sum one.
    weights : float array (J,)
        Donor weights that they give.
    loss : float
        Mean squared gap before treatment at the best weights.
    losses : float array (S,)
        The same where each local search ended, best first.
    bound : float
        The smallest loss that any donor weights give; no predictor weights can do better.
    """

    v: Floats
    weights: Floats
    loss: float
    losses: Floats
    bound: float

    @property
    def agreeing(self) -> int:
        """Number of searches that ended within 0.1% of the best."""
        return int((self.losses <= self.loss * (1 + _AGREE) + np.finfo(float).tiny).sum())

    @property
    def at_bound(self) -> bool:
        """Whether the best is a global optimum because it reaches the bound."""
        return self.loss <= self.bound * (1 + _AGREE)


def nested_v(predictors: Floats, outcomes: Floats, *, guesses: tuple[Floats, ...] = (), starts: int = 8) -> VSearch:
    """Minimise the pre-treatment loss over predictor weights, by several local searches.

    The loss is smooth while the same donors carry weight, and has kinks and many local minima where they change. Points
    of a low-discrepancy sequence are screened, the best are improved by quasi-Newton steps with the exact gradient, and
    from two of their ends the search jumps to the exact optima of other cells (see `cell_weights`). One start comes from a
    linear programme: the weights under which the best outcome fit is nearest to optimal.

    Parameters
    ----------
    predictors : float array (k, J)
        Donors less treated, scaled.
    outcomes : float array (T, J)
        Donors less treated, over the periods whose fit counts.
    guesses : tuple of float array (k,)
        Further starts.
    starts : int
        Local searches from the best of about 32 times as many screened points, and an eighth of the jumps away from two of them.

    Returns
    -------
    VSearch
    """
    problem = _Nested(predictors, outcomes)
    best_fit = simplex_weights(outcomes, np.zeros(len(outcomes))).weights
    bound = float(((outcomes @ best_fit) ** 2).mean())
    given = [np.log(np.maximum(v / v.sum(), _FLOOR)) for v in (*guesses, problem.rationalising(best_fit))]
    ends = sorted((problem.descend(theta, _STEPS[0]) for theta in (*given, *problem.screen(starts))), key=_loss)
    ends[0] = problem.descend(ends[0][1], _STEPS[1])
    # From two ends that differ, so that agreement says something.
    other = next((i for i, end in enumerate(ends) if end[0] > ends[0][0] * (1 + _AGREE)), 0)
    for i in dict.fromkeys((0, other)):
        far = problem.descend(problem.hop(ends[i], 8 * starts)[1], _STEPS[1], _FINE)
        # The best of a cell may need weights without limit, which none attain.
        ends[i] = min(far, ends[i], key=_loss)
    ends.sort(key=_loss)
    v = _normalised(ends[0][1])
    weights = problem.donors(v)
    return VSearch(v, weights, float(((outcomes @ weights) ** 2).mean()), np.array([loss for loss, _ in ends]), bound)


class _Nested:
    """The inner problem, with its arrays laid out once: it is solved hundreds of times."""

    def __init__(self, predictors: Floats, outcomes: Floats) -> None:
        self.predictors, self.outcomes = predictors, outcomes
        self.stacked = np.ones((len(predictors) + 1, predictors.shape[1]))
        self.target = np.zeros(len(predictors) + 1)
        self.target[-1] = 1.0
        self.support: _Support | None = None

    def donors(self, v: Floats) -> Floats:
        np.multiply(np.sqrt(v * len(v))[:, None], self.predictors, out=self.stacked[:-1])
        solution = nnls(self.stacked, self.target)[0]
        return np.asarray(solution / solution.sum())

    def loss(self, v: Floats) -> float:
        gaps = self.outcomes @ self.donors(v)
        return float(gaps @ gaps) / len(gaps)

    def loss_and_gradient(self, theta: Floats) -> tuple[float, Floats]:
        """Return the loss and its gradient in the logarithms of the weights, by the adjoint of the inner optimum."""
        v = _normalised(theta)
        support, shares, factor, apart = self._optimum(v)
        gaps = support.outcomes @ shares
        adjoint = dpotrs(factor, gaps @ support.outcomes)[0]
        adjoint -= shares * adjoint.sum()
        slope = (support.columns @ adjoint) * apart * v * (-2.0 * len(v) / len(gaps))
        return float(gaps @ gaps) / len(gaps), slope - v * slope.sum()

    def _optimum(self, v: Floats) -> tuple["_Support", Floats, Floats, Floats]:
        """Return the support, its weights, the factor of its optimality system, and synthetic less treated predictors."""
        # Along a descent the support seldom changes, and checking it costs less than finding it.
        if self.support is not None:
            shares, factor, apart = self.support.solve(v)
            if shares.min() > 0 and self._allows(v * apart, apart):
                return self.support, shares, factor, apart
        used = np.flatnonzero(self.donors(v))
        self.support = _Support(self.predictors.take(used, axis=1), self.outcomes.take(used, axis=1))
        return self.support, *self.support.solve(v)

    def _allows(self, weighted: Floats, apart: Floats) -> bool:
        level = float(weighted @ apart)
        return bool((weighted @ self.predictors).min() >= level - _SLACK * (level + _FLOOR))

    def descend(self, theta: Floats, iterations: int, patience: tuple[int, float] = _COARSE) -> tuple[float, Floats]:
        """Improve by quasi-Newton steps whose line search, bisection for the weak Wolfe conditions, copes with kinks."""
        loss, gradient = self.loss_and_gradient(theta)
        inverse = np.eye(len(theta)) / max(float(np.sqrt(gradient @ gradient)), np.finfo(float).tiny)
        for _ in range(iterations):
            direction = -inverse @ gradient
            before = loss
            step, loss, new = self._line_search(theta, direction, loss, gradient, patience[0])
            theta = theta + step * direction
            if before - loss <= patience[1] * before:
                break
            inverse = _updated(inverse, step * direction, new - gradient)
            gradient = new
        return loss, theta

    def _line_search(
        self, theta: Floats, direction: Floats, loss: float, gradient: Floats, bisections: int
    ) -> tuple[float, float, Floats]:
        slope = float(gradient @ direction)
        low, high, step = 0.0, np.inf, 1.0
        best = (0.0, loss, gradient)
        for _ in range(bisections):
            trial, new = self.loss_and_gradient(theta + step * direction)
            if trial < best[1]:
                best = (step, trial, new)
            if trial > loss + _DECREASE * step * slope:
                high = step
            elif new @ direction < _CURVATURE * slope:
                low = step
            else:
                break
            step = 2 * low if np.isinf(high) else 0.5 * (low + high)
        return best

    def hop(self, best: tuple[float, Floats], hops: int) -> tuple[float, Floats]:
        """Jump away from the best weights to the best of another cell, moving on from wherever it is better."""
        rng = np.random.default_rng(0)
        for spread in rng.choice(_JUMPS, hops):
            best = min(best, self._in_cell(best[1] + spread * rng.normal(size=len(best[1]))), key=_loss)
        return best

    def _in_cell(self, theta: Floats) -> tuple[float, Floats]:
        """Return the smallest loss in the cell that V leads to, and a V that attains it."""
        v = _normalised(theta)
        weights = self.donors(v)
        used = np.flatnonzero(weights)
        columns, outcomes = self.predictors.take(used, axis=1), self.outcomes.take(used, axis=1)
        normal = v * (columns @ weights[used])
        shares = cell_weights(columns, outcomes, np.sign(normal))
        if shares is None:
            return np.inf, theta
        gaps, apart = outcomes @ shares, np.abs(columns @ shares)
        # A predictor that is matched exactly has a weight without limit.
        new = np.log(np.maximum(np.abs(normal), _TINY)) - np.log(np.maximum(apart, _TINY))
        return float(gaps @ gaps) / len(gaps), np.clip(new - np.median(new), -_REACH, _REACH)

    def screen(self, starts: int) -> list[Floats]:
        """Return the best of a fixed set of points, as logarithms of weights."""
        powers = int(np.ceil(np.log2(32 * starts)))
        points = qmc.Sobol(len(self.predictors), scramble=False).random_base2(powers)[1:]
        thetas = _SPREAD * norm.ppf(points)
        losses = np.array([self.loss(_normalised(theta)) for theta in thetas])
        return list(thetas[np.argsort(losses, kind="stable")[:starts]])

    def rationalising(self, weights: Floats) -> Floats:
        """Return the predictor weights under which given donor weights violate optimality least (a linear programme)."""
        k = len(self.predictors)
        marginal = (self.predictors * (self.predictors @ weights)[:, None]).T
        used = weights > 0
        rows = np.vstack([marginal[used], -marginal[used], -marginal[~used]])
        level = np.concatenate([-np.ones(used.sum()), np.ones(len(weights))])
        slack = -np.ones(len(rows))
        cost = np.append(np.zeros(k + 1), 1.0)
        found = linprog(
            cost,
            A_ub=np.column_stack([rows, level, slack]),
            b_ub=np.zeros(len(rows)),
            A_eq=np.append(np.ones(k), [0.0, 0.0])[None],
            b_eq=[1.0],
            bounds=[(0, None)] * k + [(None, None), (0, None)],
        )
        return np.asarray(found.x[:k]) if found.x is not None else np.full(k, 1.0 / k)


def _loss(end: tuple[float, Floats]) -> float:
    return end[0]


def _normalised(theta: Floats) -> Floats:
    v = np.exp(theta - theta.max())
    return np.asarray(v / v.sum())


def _updated(inverse: Floats, step: Floats, change: Floats) -> Floats:
    """Return the quasi-Newton (BFGS) update of the inverse Hessian."""
    curvature = float(step @ change)
    if curvature <= 0:
        return inverse
    moved = inverse @ change
    weight = (1.0 + float(change @ moved) / curvature) / curvature
    return inverse + weight * np.outer(step, step) - (np.outer(moved, step) + np.outer(step, moved)) / curvature


class _Support:
    """Donors that carry weight: their predictors (k, n) and outcomes (T, n)."""

    def __init__(self, columns: Floats, outcomes: Floats) -> None:
        self.columns, self.outcomes = columns, outcomes
        self.ones = np.ones(columns.shape[1])

    def solve(self, v: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the weights (n,) with sum one, the factor of ``kX'VX + 11'``, and the predictors (k,) of the weights."""
        # The ones change nothing where the sum of the weights is given, and make the system definite.
        system = self.columns.T @ ((v * len(v))[:, None] * self.columns) + 1.0
        factor, shares, failed = dposv(system, self.ones)
        if failed:
            system.flat[:: len(system) + 1] += _SLACK * len(system)
            factor, shares, failed = dposv(system, self.ones)
        shares = shares / shares.sum()
        return shares, factor, self.columns @ shares
