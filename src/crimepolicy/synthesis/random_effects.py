"""The random-effects model ``y ~ N(X b, V + tau2 I)`` for correlated estimates: fits, spread and heterogeneity."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import optimize, stats

__all__ = [
    "Heterogeneity",
    "Model",
    "PooledFit",
    "Spread",
    "fit_at",
    "heterogeneity",
    "restricted_likelihood",
    "rotate",
    "spread",
]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Spread = Literal["reml", "pm", "dl", "fixed"]


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """The model in the axes of V, where it is diagonal for every tau2.

    Attributes
    ----------
    y, X : float arrays (k,), (k, p)
    variances : float array (k,)
        Eigenvalues of V.
    axes : float array (k, k)
        Eigenvectors of V.
    """

    y: Floats
    X: Floats
    variances: Floats
    axes: Floats

    @property
    def degrees(self) -> int:
        """Number of estimates less the number of coefficients."""
        return len(self.y) - int(self.X.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class PooledFit:
    """Generalised least squares at one tau2.

    Attributes
    ----------
    coefficients, covariance : float arrays (p,), (p, p)
    q : float
        Weighted sum of squared residuals.
    trace : float
        Trace of the weights after the coefficients are taken out: the slope of the expectation of q in tau2, at tau2 = 0.
    hat : float array (p, k)
        Weights of the estimates in the coefficients.
    """

    coefficients: Floats
    covariance: Floats
    q: float
    trace: float
    hat: Floats


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """How much the true effects differ.

    Attributes
    ----------
    q, p_value : float
        Cochran's Q and its chi-squared p-value.
    i2 : float
        Share of the variation that is between true effects.
    tau2_low, tau2_high : float
        Interval of tau2 by inverting Q.
    """

    q: float
    p_value: float
    i2: float
    tau2_low: float
    tau2_high: float


def rotate(y: Floats, V: Floats, X: Floats) -> Model:
    """Return the model of estimates y (k,) with covariance V (k, k) and coefficients' columns X (k, p)."""
    variances, axes = np.linalg.eigh(V)
    # Estimates that are copies of each other leave no variance in some direction; the floor keeps the weights finite.
    return Model(axes.T @ y, axes.T @ X, np.maximum(variances, 1e-12 * variances.max()), axes)


def fit_at(model: Model, tau2: float) -> PooledFit:
    """Return the generalised least-squares fit at one tau2."""
    weights = 1 / (model.variances + tau2)
    weighted = model.X * weights[:, None]
    information = model.X.T @ weighted
    covariance = np.linalg.inv(information)
    hat = covariance @ weighted.T
    coefficients = hat @ model.y
    residual = model.y - model.X @ coefficients
    q = float(weights @ residual**2)
    return PooledFit(
        coefficients=coefficients,
        covariance=covariance,
        q=q,
        trace=float(weights.sum() - np.trace(covariance @ (weighted.T @ weighted))),
        hat=hat @ model.axes.T,
    )


def spread(model: Model, method: Spread) -> float:
    """Return tau2 by restricted likelihood, Paule-Mandel or DerSimonian-Laird; zero for the fixed-effect model."""
    if method == "fixed":
        return 0.0
    if method == "dl":
        fixed = fit_at(model, 0.0)
        return max(0.0, (fixed.q - model.degrees) / fixed.trace)
    if method == "pm":
        return _where_q_is(model, float(model.degrees))
    return _restricted(model)


def restricted_likelihood(model: Model, tau2: Floats) -> Floats:
    """Return the restricted log likelihood (G,) at many tau2 (G,), up to a constant."""
    weights = 1 / (model.variances + tau2[:, None])
    information = np.einsum("gk,kp,kq->gpq", weights, model.X, model.X)
    score = (weights * model.y) @ model.X
    explained = np.einsum("gp,gp->g", score, np.linalg.solve(information, score[:, :, None])[:, :, 0])
    q = weights @ model.y**2 - explained
    return np.asarray(np.log(weights).sum(axis=1) - np.linalg.slogdet(information)[1] - q) / 2


def _restricted(model: Model) -> float:
    """Maximise the restricted likelihood over a grid first: with few estimates it can have more than one mode."""
    scale = float(np.var(model.axes @ model.y)) + float(model.variances.mean())
    grid = np.concatenate([[0.0], np.geomspace(1e-8, 1e2, 101) * scale])
    best = int(np.argmax(restricted_likelihood(model, grid)))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    # Between zero and the first step of the grid the likelihood is flat to rounding; its slope at zero decides.
    if best <= 1 and _score(model, 0.0) <= 0:
        return 0.0
    if best == 0 or _score(model, low) <= 0 or _score(model, high) >= 0:
        return float(grid[best])
    return float(optimize.brentq(lambda tau2: _score(model, tau2), low, high, xtol=1e-16, rtol=1e-14))


def _score(model: Model, tau2: float) -> float:
    """Return twice the derivative of the restricted log likelihood in tau2."""
    fit = fit_at(model, tau2)
    residual = (model.y - model.X @ fit.coefficients) / (model.variances + tau2)
    return float(residual @ residual) - fit.trace


def _where_q_is(model: Model, value: float) -> float:
    """Return the tau2 at which q falls to a value, zero where it starts below."""
    if fit_at(model, 0.0).q <= value:
        return 0.0
    high = float(model.variances.mean()) + float(np.var(model.y))
    while fit_at(model, high).q > value:
        high *= 4
    return float(optimize.brentq(lambda tau2: fit_at(model, tau2).q - value, 0.0, high, xtol=1e-16, rtol=1e-14))


def heterogeneity(model: Model, tau2: float, level: float) -> Heterogeneity:
    """Return Q, I2 and the interval of tau2.

    References
    ----------
    Higgins and Thompson (2002); Viechtbauer (2007) on the interval.
    """
    fixed = fit_at(model, 0.0)
    typical = model.degrees / fixed.trace
    reference = stats.chi2(model.degrees)
    return Heterogeneity(
        q=fixed.q,
        p_value=float(reference.sf(fixed.q)),
        i2=tau2 / (tau2 + typical),
        tau2_low=_where_q_is(model, float(reference.ppf((1 + level) / 2))),
        tau2_high=_where_q_is(model, float(reference.ppf((1 - level) / 2))),
    )
