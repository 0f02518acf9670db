"""Conditional and hybrid tests of moment inequalities with linear nuisance parameters, and the sets that invert them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_ndtr

from crimepolicy.sensitivity.dual_rays import dual_rays
from crimepolicy.sensitivity.r_normals import r_normals
from crimepolicy.sensitivity.restrictions import Polyhedron

__all__ = [
    "EMPTY",
    "NO_FIRST_STAGE",
    "FirstStage",
    "Interval",
    "Lines",
    "accepts",
    "confidence_set",
    "dual_lines",
    "identified_set",
    "least_favourable",
    "least_favourable_as_in_r",
]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

_GRID = 1001
_BLOCK = 4_000_000
_BISECTIONS = 40
_REACH = 20.0
_SAME = 1e-9
_R_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval; ``low > high`` where it is empty, infinite where the data bound nothing."""

    low: float
    high: float

    @property
    def empty(self) -> bool:
        """True where no value belongs to the interval."""
        return self.low > self.high

    def hull(self, other: "Interval") -> "Interval":
        """Return the smallest interval that holds both."""
        return Interval(min(self.low, other.low), max(self.high, other.high))

    def overlap(self, other: "Interval") -> "Interval":
        """Return what both hold."""
        return Interval(max(self.low, other.low), min(self.high, other.high))


EMPTY = Interval(np.inf, -np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """The least violation of the moments as a maximum of lines in the target theta, one per dual vertex.

    Attributes
    ----------
    intercept, slope : float arrays (K,)
        Line k is ``intercept - slope * theta``.
    loading : float array (K, n_pre + n_post)
        Weight of each path estimate in the intercepts.
    covariance : float array (K, K)
        Covariance of the intercepts.
    possible : bool
        False where the estimates before the reference contradict the restriction outright.
    moments, vertices : float arrays (m, n_pre + n_post), (K, m)
        The loading is ``vertices @ moments``.
    """

    intercept: Floats
    slope: Floats
    loading: Floats
    covariance: Floats
    possible: bool
    moments: Floats
    vertices: Floats


@dataclass(frozen=True, slots=True, eq=False)
class FirstStage:
    """What a first test leaves standing: moments of at most `cap`, and targets within `half` of `centre`.

    Attributes
    ----------
    cap, centre, half : float
    response : float array (K,)
        Expected change of the centre when the intercept of line k changes by one.
    """

    cap: float = np.inf
    centre: float = 0.0
    half: float = np.inf
    response: Floats | None = None

    def bounds(self, theta: Floats, best: np.ndarray[Any, Any], top: Floats) -> tuple[Floats, Floats]:
        """Return the values of line `best` (G,), now at `top`, between which the first test keeps theta (G,)."""
        if self.response is None:
            return np.full(len(top), -np.inf), np.full(len(top), self.cap)
        response, gap = self.response[best], self.centre - theta
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.sort([top + (side * self.half - gap) / response for side in (-1, 1)], axis=0)
        free = response == 0
        return np.where(free, -np.inf, ends[0]), np.minimum(np.where(free, np.inf, ends[1]), self.cap)


NO_FIRST_STAGE = FirstStage()


def dual_lines(
    polyhedron: Polyhedron, path: Floats, covariance: Floats, weights: Floats, rays: dict[bytes, Floats]
) -> Lines:
    """Return the dual lines of the test that the target is theta while the violations lie in the polyhedron.

    Parameters
    ----------
    polyhedron : Polyhedron
    path, covariance : float arrays (n,), (n, n)
        Event-study estimates without the reference.
    weights : float array (n_post,)
        Target: weights on the event times after the reference.
    rays : dict
        Store of dual rays, which polyhedra of a union share.
    """
    A, d, n_post = polyhedron.A, polyhedron.d, len(weights)
    post = (A[:, -n_post:] != 0).any(axis=1)
    # Rows without a treated period do not bear on the target; with a single treated period the published test keeps them.
    used = post if n_post > 1 else np.ones(len(A), dtype=bool)
    moments, effects = A[used], A[used, -n_post:]
    scale = np.sqrt(np.einsum("ij,jk,ik->i", moments, covariance, moments))
    vertices = _vertices(effects, weights, rays)
    vertices = vertices / (vertices @ np.maximum(scale, 1e-12 * scale.max()))[:, None]
    loading = vertices @ moments
    return Lines(
        intercept=loading @ path - vertices @ d[used],
        slope=vertices @ effects @ weights / (weights @ weights),
        loading=loading,
        covariance=loading @ covariance @ loading.T,
        possible=bool((A[~post] @ path <= d[~post] + 1e-12).all()),
        moments=moments,
        vertices=vertices,
    )


def _vertices(effects: Floats, weights: Floats, rays: dict[bytes, Floats]) -> Floats:
    key = effects.tobytes() + weights.tobytes()
    if key not in rays:
        # Columns 1: of the orthogonal factor span the directions of the effects that leave the target unchanged.
        orthogonal = np.linalg.qr(np.column_stack([weights, np.eye(len(weights))]))[0]
        rays[key] = dual_rays(effects @ orthogonal[:, 1:])
    return rays[key]


def identified_set(lines: Lines) -> Interval:
    """Return the targets that the point estimates allow under the restriction."""
    return _below(lines, 0.0) if lines.possible else EMPTY


def least_favourable(lines: Lines, noise: Floats, size: float) -> float:
    """Return the critical value of the least-favourable test from noise (n_draws, n) of the path estimates."""
    blocks = np.array_split(noise, -(-len(noise) * len(lines.slope) // _BLOCK))
    largest = np.concatenate([(block @ lines.loading.T).max(axis=1) for block in blocks])
    return float(np.quantile(largest, 1 - size))


def least_favourable_as_in_r(lines: Lines, covariance: Floats, size: float) -> float:
    """Return the critical value that HonestDiD simulates from its own 1,000 draws of the moments."""
    values, vectors = np.linalg.eigh(lines.moments @ covariance @ lines.moments.T)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    noise = r_normals(_R_DRAWS * len(root)).reshape(_R_DRAWS, len(root)) @ root
    return float(np.quantile((noise @ lines.vertices.T).max(axis=1), 1 - size))


def accepts(theta: Floats, lines: Lines, size: float, first: FirstStage = NO_FIRST_STAGE) -> Bools:
    """Return which targets (G,) the conditional test of this size does not reject.

    Parameters
    ----------
    theta : float array (G,)
    lines : Lines
    size : float
        Size of the conditional test.
    first : FirstStage
        Of the hybrid tests; none for the conditional test alone.
    """
    eta = lines.intercept - np.outer(theta, lines.slope)
    best = eta.argmax(axis=1)
    top = eta[np.arange(len(theta)), best]
    variance = np.diag(lines.covariance)[best]
    least, most = first.bounds(theta, best, top)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = lines.covariance[best] / variance[:, None]
        bound = (eta - ratio * top[:, None]) / (1 - ratio)
        lower = np.maximum(np.where(ratio < 1 - _SAME, bound, -np.inf).max(axis=1), least)
        upper = np.minimum(np.where(ratio > 1 + _SAME, bound, np.inf).min(axis=1), most)
        spread = np.sqrt(variance)
        tail = _tail(top / spread, np.minimum(lower, top) / spread, upper / spread)
    kept = (top <= first.cap) & (np.abs(theta - first.centre) <= first.half)
    return kept & np.where(top <= 0, True, (variance > 0) & (tail >= size))


def _tail(z: Floats, low: Floats, high: Floats) -> Floats:
    """Return P(Z > z | low <= Z <= high) of a standard normal, accurate far in the tail."""
    return np.exp(_log_mass(z, high) - _log_mass(low, high))


def _log_mass(low: Floats, high: Floats) -> Floats:
    flip = low + high < 0
    a, b = np.where(flip, -high, low), np.where(flip, -low, high)
    return log_ndtr(-a) + np.log1p(-np.exp(log_ndtr(-b) - log_ndtr(-a)))


def confidence_set(
    lines: Lines, size: float, first: FirstStage = NO_FIRST_STAGE, points: Floats | None = None
) -> Interval:
    """Return the smallest interval that holds every target the test does not reject.

    Where `points` (G,) are given, only these are looked at and the ends are among them; else the ends are found by bisection.
    """
    if points is not None:
        kept = points[accepts(points, lines, size, first)]
        return Interval(float(kept.min()), float(kept.max())) if kept.size else EMPTY
    reach = first.cap if np.isfinite(first.cap) else _REACH * float(np.sqrt(np.diag(lines.covariance).max()))
    bounds = _below(lines, reach).overlap(Interval(first.centre - first.half, first.centre + first.half))
    if bounds.empty:
        return EMPTY
    grid = _grid(lines, bounds)
    accepted = np.flatnonzero(accepts(grid, lines, size, first))
    if not accepted.size:
        return EMPTY
    low, high = int(accepted[0]), int(accepted[-1])
    return Interval(
        bounds.low if low == 0 else _edge(grid[low], grid[low - 1], lines, size, first),
        bounds.high if high == len(grid) - 1 else _edge(grid[high], grid[high + 1], lines, size, first),
    )


def _below(lines: Lines, level: float) -> Interval:
    """Return where the maximum of the lines is at most `level`."""
    flat = np.abs(lines.slope) <= _SAME * np.abs(lines.slope).max()
    if (lines.intercept[flat] > level + 1e-12).any():
        return EMPTY
    crossing = np.divide(lines.intercept - level, lines.slope, out=np.zeros_like(lines.slope), where=~flat)
    falls, rises = ~flat & (lines.slope > 0), ~flat & (lines.slope < 0)
    return Interval(float(np.max(crossing[falls], initial=-np.inf)), float(np.min(crossing[rises], initial=np.inf)))


def _grid(lines: Lines, bounds: Interval) -> Floats:
    """Return a grid over the bounds together with the kinks, around which the conditional test may accept in isolation."""
    anchor = next((v for v in (bounds.low, bounds.high) if np.isfinite(v)), 0.0)
    width = _REACH * float(np.sqrt(np.diag(lines.covariance).max())) / max(float(np.abs(lines.slope).max()), 1e-300)
    low = bounds.low if np.isfinite(bounds.low) else anchor - width
    high = bounds.high if np.isfinite(bounds.high) else anchor + width
    grid = np.linspace(low, high, _GRID)
    best = (lines.intercept - np.outer(grid, lines.slope)).argmax(axis=1)
    left, right = best[:-1][best[:-1] != best[1:]], best[1:][best[:-1] != best[1:]]
    kinks = (lines.intercept[left] - lines.intercept[right]) / (lines.slope[left] - lines.slope[right])
    return np.unique(np.concatenate([grid, kinks[(kinks > low) & (kinks < high)]]))


def _edge(inside: float, outside: float, lines: Lines, size: float, first: FirstStage) -> float:
    for _ in range(_BISECTIONS):
        middle = (inside + outside) / 2
        if accepts(np.array([middle]), lines, size, first)[0]:
            inside = middle
        else:
            outside = middle
    return float(inside)
