"""The search for predictor weights V whose synthetic control fits the outcome best before treatment."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog, nnls
from scipy.stats import norm, qmc

from crimepolicy.synth.weights import simplex_weights

__all__ = ["VSearch", "nested_v"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_SPREAD = 3.0  # standard deviation of the logarithms of the weights that are tried
_FLOOR = 1e-6
_STEPS = (8, 60)  # quasi-Newton steps from every start, then from the best few
_KEPT = 3
_JUMP = 2.0
_PROMISING = 1.3
_STOP = 1e-7
_BISECTIONS = 12
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
    one start comes from a linear programme: the weights under which the best outcome fit is nearest to optimal.

    Parameters
    ----------
    predictors : float array (k, J)
        Donors less treated, scaled.
    outcomes : float array (T, J)
        Donors less treated, over the periods whose fit counts.
    guesses : tuple of float array (k,)
        Further starts.
    starts : int
        Local searches from the best of about 64 times as many screened points, and half the jumps away from the best.

    Returns
    -------
    VSearch
    """
    problem = _Nested(predictors, outcomes)
    best_fit = simplex_weights(outcomes, np.zeros(len(outcomes))).weights
    bound = float(((outcomes @ best_fit) ** 2).mean())
    given = [np.log(np.maximum(v / v.sum(), _FLOOR)) for v in (*guesses, problem.rationalising(best_fit))]
    ends = [problem.descend(theta, _STEPS[0]) for theta in (*given, *problem.screen(starts))]
    ends = sorted(ends, key=lambda end: end[0])
    ends = [*(problem.descend(theta, _STEPS[1]) for _, theta in ends[:_KEPT]), *ends[_KEPT:]]
    ends += problem.hop(min(ends, key=lambda end: end[0]), 2 * starts)
    losses, thetas = np.array([loss for loss, _ in ends]), [theta for _, theta in ends]
    order = np.argsort(losses, kind="stable")
    v = _normalised(thetas[order[0]])
    weights = problem.donors(v)
    return VSearch(v, weights, float(((outcomes @ weights) ** 2).mean()), losses[order], bound)


class _Nested:
    """The inner problem, with its arrays laid out once: it is solved hundreds of times."""

    def __init__(self, predictors: Floats, outcomes: Floats) -> None:
        self.predictors, self.outcomes = predictors, outcomes
        self.stacked = np.ones((len(predictors) + 1, predictors.shape[1]))
        self.target = np.zeros(len(predictors) + 1)
        self.target[-1] = 1.0
        self.support: np.ndarray[Any, np.dtype[np.intp]] | None = None

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
        support, columns, shares, inverse = self._optimum(v)
        outcomes = self.outcomes[:, support]
        gaps = outcomes @ shares
        adjoint = inverse[:-1, :-1] @ (outcomes.T @ gaps) * (2.0 / len(gaps))
        slope = -v * (columns @ adjoint) * (columns @ shares)
        return float(gaps @ gaps) / len(gaps), slope - v * slope.sum()

    def _optimum(self, v: Floats) -> tuple[Any, Floats, Floats, Floats]:
        """Return support, its columns, its weights and the inverse of its optimality system."""
        # Along a descent the support seldom changes, and checking it costs less than finding it.
        if self.support is not None:
            found = self._on(self.support, v)
            if found is not None:
                return found
        weights = self.donors(v)
        self.support = np.flatnonzero(weights)
        columns = self.predictors[:, self.support]
        return self.support, columns, weights[self.support], _inverse(columns, v)

    def _on(self, support: Any, v: Floats) -> tuple[Any, Floats, Floats, Floats] | None:
        columns = self.predictors[:, support]
        inverse = _inverse(columns, v)
        shares = inverse[:-1, -1]
        # A nearly singular system gives shares that are no weights at all.
        if shares.min() <= 0 or abs(float(shares.sum()) - 1.0) > _SLACK:
            return None
        weighted = v * (columns @ shares)
        level = float(weighted @ (columns @ shares))
        if (weighted @ self.predictors).min() < level - _SLACK * (level + _FLOOR):
            return None
        return support, columns, shares, inverse

    def descend(self, theta: Floats, iterations: int) -> tuple[float, Floats]:
        """Improve by quasi-Newton steps whose line search, bisection for the weak Wolfe conditions, copes with kinks."""
        loss, gradient = self.loss_and_gradient(theta)
        inverse = np.eye(len(theta)) / max(float(np.sqrt(gradient @ gradient)), np.finfo(float).tiny)
        for _ in range(iterations):
            direction = -inverse @ gradient
            before = loss
            step, loss, new = self._line_search(theta, direction, loss, gradient)
            theta = theta + step * direction
            if before - loss <= _STOP * before:
                break
            inverse = _updated(inverse, step * direction, new - gradient)
            gradient = new
        return loss, theta

    def _line_search(
        self, theta: Floats, direction: Floats, loss: float, gradient: Floats
    ) -> tuple[float, float, Floats]:
        slope = float(gradient @ direction)
        low, high, step = 0.0, np.inf, 1.0
        best = (0.0, loss, gradient)
        for _ in range(_BISECTIONS):
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

    def hop(self, best: tuple[float, Floats], hops: int) -> list[tuple[float, Floats]]:
        """Jump away from the best weights and descend, moving on from wherever it is better."""
        rng, ends = np.random.default_rng(0), []
        for _ in range(hops):
            end = self.descend(best[1] + _JUMP * rng.normal(size=len(best[1])), _STEPS[0])
            if end[0] < _PROMISING * best[0]:
                end = self.descend(end[1], _STEPS[1])
                ends.append(end)
            best = min(best, end, key=lambda one: one[0])
        return ends

    def screen(self, starts: int) -> list[Floats]:
        """Return the best of a fixed set of points, as logarithms of weights."""
        powers = int(np.ceil(np.log2(64 * starts)))
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


def _inverse(columns: Floats, v: Floats) -> Floats:
    """Return the inverse of the optimality system ``[X'VX, 1; 1', 0]`` of weights that sum to one."""
    n = columns.shape[1]
    system = np.ones((n + 1, n + 1))
    system[:n, :n] = columns.T @ (v[:, None] * columns)
    system[n, n] = 0.0
    try:
        return np.linalg.inv(system)
    except np.linalg.LinAlgError:
        return np.linalg.pinv(system)
