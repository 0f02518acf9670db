"""Matrix completion: unit and period effects, and a low-rank part whose nuclear norm is penalised."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from crimepolicy.synth.two_way import TwoWayProjector

__all__ = ["Completion", "complete", "largest_penalty"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_ITERATIONS = 20_000


@dataclass(frozen=True, slots=True)
class Completion:
    """Counterfactual (N, T) in every cell, its low-rank part (N, T), coefficients (p,), singular values, and whether it settled."""

    fitted: Floats
    low_rank: Floats
    beta: Floats
    singular_values: Floats
    converged: bool


def complete(
    Z: Floats, W: Floats, X: Floats, tau: float, *, start: Floats | None = None, tolerance: float = 1e-10
) -> Completion:
    """Minimise ``sum W (Z - u - v - X beta - L)^2 / 2 + tau |L|_*`` by accelerated proximal gradient steps.

    Effects and coefficients are solved for exactly within each step, so that the steps concern L alone.

    Parameters
    ----------
    Z : float array (N, T)
        Outcome; any finite number where W is zero.
    W : float array (N, T)
        Weights, zero for treated and missing cells.
    X : float array (p, N, T)
        Covariates.
    tau : float
        Penalty on the sum of the singular values of L.
    start : float array (N, T), optional
        L to start from.
    tolerance : float
        Largest change of L relative to its size at which the steps end.
    """
    projector = TwoWayProjector(W, X)
    step = 1.0 / float(W.max())
    L = np.zeros_like(Z) if start is None else start
    ahead, momentum, values = L, 1.0, np.zeros(0)
    scale = float(np.sqrt((W * (Z - projector.fit(Z).fitted) ** 2).sum())) + float(np.finfo(float).tiny)
    converged = False
    for _ in range(_ITERATIONS):
        rest = Z - ahead
        new, values = _shrink(ahead + step * W * (rest - projector.fit(rest).fitted), step * tau)
        change = new - L
        if float(np.sqrt(((new - ahead) ** 2).sum())) <= tolerance * scale:
            L, converged = new, True
            break
        # Momentum that points uphill is dropped; without this the steps circle around the optimum.
        uphill = float(((ahead - new) * change).sum()) > 0
        following = 1.0 if uphill else 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        ahead = new if uphill else new + (momentum - 1.0) / following * change
        L, momentum = new, following
    fit = projector.fit(Z - L)
    return Completion(fit.fitted + L, L, fit.beta, values, converged)


def largest_penalty(Z: Floats, W: Floats, X: Floats) -> float:
    """Return the smallest penalty at which the low-rank part vanishes."""
    return float(np.linalg.norm(W * (Z - TwoWayProjector(W, X).fit(Z).fitted), 2))


def _shrink(M: Floats, tau: float) -> tuple[Floats, Floats]:
    """Return M with its singular values lowered by tau, and those that remain."""
    if M.shape[0] < M.shape[1]:
        shrunk, values = _shrink(M.T, tau)
        return shrunk.T, values
    # The eigenvectors of the smaller cross product are several times faster than a singular value decomposition.
    squares, V = np.linalg.eigh(M.T @ M)
    values = np.sqrt(np.maximum(squares, 0.0))
    kept = values > tau
    V, values = V[:, kept], values[kept]
    return np.asarray((M @ V) * ((values - tau) / values) @ V.T), (values - tau)[::-1]
