"""Conditional and hybrid tests of moment inequalities with linear nuisance parameters, and the sets that invert them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_ndtr

from crimepolicy.errors import DesignError
from crimepolicy.sensitivity.dual_rays import dual_rays
from crimepolicy.sensitivity.r_normals import r_normals
from crimepolicy.sensitivity.restrictions import Polyhedron

__all__ = [
    "EMPTY",
    "EVERYWHERE",
    "NO_FIRST_STAGE",
    "FirstStage",
    "Grid",
    "Interval",
    "Lines",
    "Programme",
    "Rays",
    "Truncation",
    "accepts",
    "confidence_set",
    "dual_lines",
    "grid_points",
    "identified_set",
    "least_favourable",
    "least_favourable_as_in_r",
    "moment_programme",
    "noise_as_in_r",
    "search_bounds",
    "target_grid",
    "truncation",
]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Grid = tuple[float, float, int] | None
Rays = dict[tuple[int, bytes], Floats | None]

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
EVERYWHERE = Interval(-np.inf, np.inf)


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
    cap : float or None
        Least-favourable critical value, where it was found together with the lines.
    """

    intercept: Floats
    slope: Floats
    loading: Floats
    covariance: Floats
    possible: bool
    moments: Floats
    vertices: Floats
    cap: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FirstStage:
    """What a first test leaves standing: moments of at most `cap`, and targets within `half` of `centre`.

    Attributes
    ----------
    cap, centre, half : float
    capped : bool
        Whether the second test knows that the moments are at most `cap`.
    response : float array (K,)
        Expected change of the centre when the intercept of line k changes by one.
    """

    cap: float = np.inf
    centre: float = 0.0
    half: float = np.inf
    response: Floats | None = None
    capped: bool = True

    def bounds(self, theta: Floats, best: np.ndarray[Any, Any], top: Floats) -> tuple[Floats, Floats]:
        """Return the values of line `best` (G,), now at `top`, between which the first test keeps theta (G,)."""
        if self.response is None:
            return np.full(len(top), -np.inf), np.full(len(top), self.cap if self.capped else np.inf)
        response, gap = self.response[best], self.centre - theta
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.sort([top + (side * self.half - gap) / response for side in (-1, 1)], axis=0)
        free = response == 0
        return np.where(free, -np.inf, ends[0]), np.minimum(np.where(free, np.inf, ends[1]), self.cap)


NO_FIRST_STAGE = FirstStage()


@dataclass(frozen=True, slots=True, eq=False)
class Programme:
    """The least violation of the moments as a linear programme in the effects that leave the target unchanged.

    Attributes
    ----------
    moments : float array (m, n_pre + n_post)
        Moments are these combinations of the path, less `bound` and the target times `toward`.
    bound, toward : float arrays (m,)
    nuisance : float array (m, n_post - 1)
        Moments per unit of each direction of the effects that leaves the target unchanged.
    scale : float array (m,)
        Standard errors of the moments.
    path, covariance : float arrays (n,), (n, n)
    possible : bool
        As in `Lines`.
    """

    moments: Floats
    bound: Floats
    toward: Floats
    nuisance: Floats
    scale: Floats
    path: Floats
    covariance: Floats
    possible: bool

    def lines(self, vertices: Floats, cap: float | None = None) -> Lines:
        """Return the lines of dual vertices (K, m)."""
        loading = vertices @ self.moments
        return Lines(
            intercept=loading @ self.path - vertices @ self.bound,
            slope=vertices @ self.toward,
            loading=loading,
            covariance=loading @ self.covariance @ loading.T,
            possible=self.possible,
            moments=self.moments,
            vertices=vertices,
            cap=cap,
        )


def moment_programme(
    polyhedron: Polyhedron, path: Floats, covariance: Floats, weights: Floats, *, all_rows: bool = False
) -> Programme:
    """Return the programme of the test that the target is theta while the violations lie in the polyhedron.

    Parameters
    ----------
    polyhedron : Polyhedron
    path, covariance : float arrays (n,), (n, n)
        Event-study estimates without the reference.
    weights : float array (n_post,)
        Target: weights on the event times after the reference.
    all_rows : bool
        Keep the rows without a period after the reference, which do not bear on the target.
    """
    A, d, n_post = polyhedron.A, polyhedron.d, len(weights)
    post = (A[:, -n_post:] != 0).any(axis=1)
    used = post | all_rows
    moments, effects = A[used], A[used, -n_post:]
    scale = np.sqrt(np.einsum("ij,jk,ik->i", moments, covariance, moments))
    # Columns 1: of the orthogonal factor span the directions of the effects that leave the target unchanged.
    orthogonal = np.linalg.qr(np.column_stack([weights, np.eye(n_post)]))[0]
    return Programme(
        moments=moments,
        bound=d[used],
        toward=effects @ weights / (weights @ weights),
        nuisance=effects @ orthogonal[:, 1:],
        scale=np.maximum(scale, 1e-12 * scale.max()),
        path=path,
        covariance=covariance,
        possible=bool((A[~post] @ path <= d[~post] + 1e-12).all()),
    )


def dual_lines(programme: Programme, rays: Rays) -> Lines | None:
    """Return the lines of all dual vertices, or None where these are too many to list.

    Parameters
    ----------
    programme : Programme
    rays : dict
        Store of dual rays, which polyhedra of a union share.
    """
    # With one treated period there is no nuisance, and only the number of moments tells two restrictions apart.
    key = len(programme.nuisance), programme.nuisance.tobytes()
    if key not in rays:
        rays[key] = dual_rays(programme.nuisance)
    vertices = rays[key]
    return None if vertices is None else programme.lines(vertices / (vertices @ programme.scale)[:, None])


def identified_set(lines: Lines) -> Interval:
    """Return the targets that the point estimates allow under the restriction."""
    return _below(lines, 0.0) if lines.possible else EMPTY


def least_favourable(lines: Lines, noise: Floats, size: float) -> float:
    """Return the critical value of the least-favourable test from noise (n_draws, n) of the path estimates."""
    return _quantile_of_largest(noise, lines.loading, size)


def least_favourable_as_in_r(lines: Lines, covariance: Floats, size: float) -> float:
    """Return the critical value that HonestDiD simulates from its own draws of the moments."""
    return _quantile_of_largest(noise_as_in_r(lines.moments, covariance), lines.vertices, size)


def _quantile_of_largest(noise: Floats, loading: Floats, size: float) -> float:
    blocks = np.array_split(noise, -(-len(noise) * len(loading) // _BLOCK))
    largest = np.concatenate([(block @ loading.T).max(axis=1) for block in blocks])
    return float(np.quantile(largest, 1 - size))


def noise_as_in_r(moments: Floats, covariance: Floats) -> Floats:
    """Return the 1,000 draws (1000, m) of the moments from which HonestDiD simulates its critical value."""
    values, vectors = np.linalg.eigh(moments @ covariance @ moments.T)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return np.asarray(r_normals(_R_DRAWS * len(root)).reshape(_R_DRAWS, len(root)) @ root)


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
    cut = truncation(theta, lines, first)
    variance = np.diag(lines.covariance)[cut.best]
    spread = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = _tail(cut.top / spread, np.minimum(cut.lower, cut.top) / spread, cut.upper / spread)
    kept = (cut.top <= first.cap) & (np.abs(theta - first.centre) <= first.half)
    return kept & np.where(cut.top <= 0, True, (variance > 0) & (tail >= size))


@dataclass(frozen=True, slots=True, eq=False)
class Truncation:
    """The highest line at each target (G,), its value, and the values between which it would be the highest."""

    best: np.ndarray[Any, np.dtype[np.intp]]
    top: Floats
    lower: Floats
    upper: Floats


def truncation(theta: Floats, lines: Lines, first: FirstStage = NO_FIRST_STAGE) -> Truncation:
    """Return what the conditional test conditions on at each target (G,)."""
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
    return Truncation(best, top, lower, upper)


def _tail(z: Floats, low: Floats, high: Floats) -> Floats:
    """Return P(Z > z | low <= Z <= high) of a standard normal, accurate far in the tail."""
    return np.exp(_log_mass(z, high) - _log_mass(low, high))


def _log_mass(low: Floats, high: Floats) -> Floats:
    flip = low + high < 0
    a, b = np.where(flip, -high, low), np.where(flip, -low, high)
    return log_ndtr(-a) + np.log1p(-np.exp(log_ndtr(-b) - log_ndtr(-a)))


def confidence_set(
    lines: Lines,
    size: float,
    first: FirstStage = NO_FIRST_STAGE,
    points: Floats | None = None,
    within: Interval = EVERYWHERE,
) -> Interval:
    """Return the smallest interval that holds every target the test does not reject.

    Where `points` (G,) are given, only these are looked at and the ends are among them; else the ends are found by bisection, `within`
    an interval.
    """
    if points is not None:
        kept = points[accepts(points, lines, size, first)]
        return Interval(float(kept.min()), float(kept.max())) if kept.size else EMPTY
    bounds = search_bounds(lines, first).overlap(within)
    if bounds.empty:
        return EMPTY
    grid = target_grid(lines, bounds)
    accepted = np.flatnonzero(accepts(grid, lines, size, first))
    if not accepted.size:
        return EMPTY
    low, high = int(accepted[0]), int(accepted[-1])
    return Interval(
        bounds.low if low == 0 else _edge(grid[low], grid[low - 1], lines, size, first),
        bounds.high if high == len(grid) - 1 else _edge(grid[high], grid[high + 1], lines, size, first),
    )


def search_bounds(lines: Lines, first: FirstStage) -> Interval:
    """Return an interval outside of which no target is kept."""
    reach = first.cap if np.isfinite(first.cap) else _REACH * float(np.sqrt(np.diag(lines.covariance).max()))
    return _below(lines, reach).overlap(Interval(first.centre - first.half, first.centre + first.half))


def _below(lines: Lines, level: float) -> Interval:
    """Return where the maximum of the lines is at most `level`."""
    flat = np.abs(lines.slope) <= _SAME * np.abs(lines.slope).max()
    if (lines.intercept[flat] > level + 1e-12).any():
        return EMPTY
    crossing = np.divide(lines.intercept - level, lines.slope, out=np.zeros_like(lines.slope), where=~flat)
    falls, rises = ~flat & (lines.slope > 0), ~flat & (lines.slope < 0)
    return Interval(float(np.max(crossing[falls], initial=-np.inf)), float(np.min(crossing[rises], initial=np.inf)))


def grid_points(grid: Grid) -> Floats | None:
    """Return the values from the first to the last of a grid that the caller chose, None where there is none."""
    if grid is None:
        return None
    if not (grid[0] < grid[1] and grid[2] >= 2):
        raise DesignError(f"grid={grid!r} should be a first value, a larger last one and how many, two at least.")
    return np.linspace(*grid)


def target_grid(lines: Lines, bounds: Interval, count: int = _GRID) -> Floats:
    """Return a grid over the bounds together with the kinks, around which the conditional test may accept in isolation."""
    anchor = next((v for v in (bounds.low, bounds.high) if np.isfinite(v)), 0.0)
    width = _REACH * float(np.sqrt(np.diag(lines.covariance).max())) / max(float(np.abs(lines.slope).max()), 1e-300)
    low = bounds.low if np.isfinite(bounds.low) else anchor - width
    high = bounds.high if np.isfinite(bounds.high) else anchor + width
    grid = np.linspace(low, high, count)
    best = (lines.intercept - np.outer(grid, lines.slope)).argmax(axis=1)
    left, right = best[:-1][best[:-1] != best[1:]], best[1:][best[:-1] != best[1:]]
    rise, run = lines.intercept[left] - lines.intercept[right], lines.slope[left] - lines.slope[right]
    kinks = np.divide(rise, run, out=np.full(len(run), np.nan), where=run != 0)
    return np.unique(np.concatenate([grid, kinks[(kinks > low) & (kinks < high)]]))


def _edge(inside: float, outside: float, lines: Lines, size: float, first: FirstStage) -> float:
    for _ in range(_BISECTIONS):
        middle = (inside + outside) / 2
        if accepts(np.array([middle]), lines, size, first)[0]:
            inside = middle
        else:
            outside = middle
    return float(inside)
