"""Honest bounds: what an event study says when trends were parallel only up to a restriction."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from crimepolicy.errors import DesignError, InferenceError, choose, of_kind
from crimepolicy.estimate import Check, Estimate
from crimepolicy.sensitivity.conditional import (
    EMPTY,
    NO_FIRST_STAGE,
    FirstStage,
    Grid,
    Interval,
    Lines,
    Rays,
    accepts,
    confidence_set,
    dual_lines,
    grid_points,
    identified_set,
    least_favourable,
    least_favourable_as_in_r,
    moment_programme,
    noise_as_in_r,
    search_bounds,
    target_grid,
)
from crimepolicy.sensitivity.event_path import EventPath, Target, event_path
from crimepolicy.sensitivity.flci import FixedLength, fixed_length
from crimepolicy.sensitivity.r_flci import fixed_length_as_in_r
from crimepolicy.sensitivity.restrictions import Polyhedron, Restriction, relative_magnitudes
from crimepolicy.sensitivity.vertex_search import searched_lines

__all__ = ["Draws", "Grid", "HonestBounds", "Method", "Session", "honest_bounds"]

Method = Literal["auto", "flci", "conditional", "hybrid", "hybrid_flci"]
Draws = int | Literal["R"]
Floats = np.ndarray[Any, np.dtype[np.float64]]

_FIRST_STAGE = 0.1
_SEARCHED_DRAWS = 2_000
_SEARCHED_TARGETS = 25
_AS_LARGE_AS_BEFORE = relative_magnitudes(1)


@dataclass(frozen=True, slots=True, eq=False)
class HonestBounds:
    """Confidence intervals for one target, a row per restriction.

    Attributes
    ----------
    frame : pandas.DataFrame
        Columns restriction, method, conf_low, conf_high, identified_low, identified_high, excludes_zero.
    target : str
        The target in words.
    estimate, std_error : float
        The target if trends were parallel.
    original : tuple of float
        Its interval if trends were parallel.
    level : float
    checks : tuple of Check
    """

    frame: pd.DataFrame
    target: str
    estimate: float
    std_error: float
    original: tuple[float, float]
    level: float
    checks: tuple[Check, ...] = ()

    def sentence(self) -> str:
        """Return the bounds in plain language."""
        low, high = self.original
        head = f"{self.target[:1].upper()}{self.target[1:]}: {self.estimate:.4g} ({self.level:.0%} interval {low:.4g} to {high:.4g} if trends were parallel)."
        return " ".join([head, *(_row_sentence(row) for row in self.frame.to_dict("records"))])

    def plot(self) -> Any:
        """Draw the result with matplotlib and return the figure; see `crimepolicy.report.doubt_plots`."""
        return import_module("crimepolicy.report.doubt_plots").plot_result(self)

    def __str__(self) -> str:
        failed = [str(check) for check in self.checks if check.passed is False]
        return "\n".join([*failed, self.sentence()])

    __repr__ = __str__


def honest_bounds(
    estimate: Estimate,
    *,
    restriction: Restriction | Sequence[Restriction] = _AS_LARGE_AS_BEFORE,
    target: Target = None,
    level: float = 0.95,
    method: Method = "auto",
    reference: int = -1,
    bins: int = 1,
    window: tuple[int, int] | None = None,
    grid: Grid = None,
    draws: Draws = 20_000,
    seed: int = 0,
) -> HonestBounds:
    """Bound an effect when parallel trends may fail by as much as a restriction allows.

    The estimand is a weighted sum of the effects by event time. The interval covers it with the given probability for every
    violation of parallel trends within the restriction.

    Parameters
    ----------
    estimate : Estimate
        With a path over event time and its `psi` or `draws`.
    restriction : Restriction or sequence of Restriction
        Such as ``smoothness(0.01) & sign("positive")``. Default: ``relative_magnitudes(1)``, violations as large as the largest
        seen before treatment.
    target : int or mapping of event time to weight, optional
        The average over all event times after the reference where not given. In bins, an event time stands for its bin.
    level : float
        Coverage, above one half.
    method : {"auto", "flci", "conditional", "hybrid", "hybrid_flci"}
        Fixed length (smoothness only); conditional; conditional after a first stage that spends a tenth of the size, which is
        least favourable (``"hybrid"``, C-LF in HonestDiD) or of fixed length (``"hybrid_flci"``, C-F, where smoothness is among
        the restrictions). ``"auto"`` is the first for smoothness and ``"hybrid"`` for everything else.
    reference : int
        Event time at which the violation is zero by convention; the path is re-expressed as a difference from it.
    bins : int
        Width of the bins of event time that are averaged first.
    window : (int, int), optional
        First and last event time to use.
    grid : (float, float, int), optional
        First target, last target and number of targets to test: the ends are then the outermost of these that are kept, as
        HonestDiD reports them. By default the ends are found by bisection.
    draws : int or "R"
        Draws behind the least-favourable critical value; ``"R"`` repeats the simulations of HonestDiD 0.2.6 whatever the seed: its
        1,000 draws, and its search for the fixed length (seconds for each M).
    seed : int

    Returns
    -------
    HonestBounds
        With the identified set at the point estimates, which is empty (NaN) where these contradict the restriction.

    Raises
    ------
    EstimationError, DesignError, InferenceError
        Where there is no additive path over event time with uncertainty, or the method does not fit the restriction.

    Assumptions
    -----------
    The path is jointly normal around effect plus violation; all entries compare with the same reference period. Estimators
    whose leads and lags have different bases (``base="varying"``) do not satisfy this.

    References
    ----------
    Rambachan and Roth (2023), A more credible approach to parallel trends, Review of Economic Studies 90.
    Andrews, Roth and Pakes (2023), Inference for linear conditional moment inequalities, Review of Economic Studies 90.

    Examples
    --------
    >>> from crimepolicy.sensitivity.restrictions import relative_magnitudes
    >>> path = pd.DataFrame({"estimate": [0.1, 0.0, -1.0]}, index=pd.Index([-2, -1, 0], name="event_time"))
    >>> draws = pd.DataFrame(
    ...     np.random.default_rng(0).normal(0, 0.1, (500, 2)), columns=["event_time[-2]", "event_time[0]"]
    ... )
    >>> facts = {"estimand": "effect", "method": "example", "citation": "", "path": path.assign(std_error=0.1)}
    >>> found = honest_bounds(
    ...     Estimate(value=-1.0, std_error=0.1, draws=draws, **facts), restriction=relative_magnitudes(1)
    ... )
    >>> bool(found.frame["excludes_zero"][0])
    True
    """
    of_kind("estimate", estimate, Estimate)
    restrictions = [restriction] if isinstance(restriction, Restriction) else list(restriction)
    if not restrictions:
        raise DesignError("No restriction is given. Use one, such as relative_magnitudes(1), or a list of them.")
    path = event_path(estimate, target, reference, bins, window)
    session = Session.start(path, level, method, seed, draws=draws, grid=grid)
    value, error = session.path.estimate
    reach = float(stats.norm.ppf((1 + level) / 2)) * error
    return HonestBounds(
        frame=pd.DataFrame([session.row(r) for r in restrictions]),
        target=session.path.target,
        estimate=value,
        std_error=error,
        original=(value - reach, value + reach),
        level=level,
        checks=session.path.checks,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """A path with what all restrictions on it share: the draws of its noise and the dual rays.

    Attributes
    ----------
    path : EventPath
    level : float
    method : str
    noise : float array (n_draws, n) or None
        None for the draws of R, which are of moments.
    points : float array (G,) or None
        Targets to look at.
    rays : dict
    """

    path: EventPath
    level: float
    method: Method
    noise: Floats | None
    points: Floats | None
    rays: Rays

    @classmethod
    def start(
        cls, path: EventPath, level: float, method: Method, seed: int, *, draws: Draws = 20_000, grid: Grid = None
    ) -> "Session":
        """Return a session after its options are checked."""
        choose("method", method, Method)
        if not 0.5 < level < 1:
            raise InferenceError(f"level={level!r} should lie between 0.5 and 1, such as 0.95.")
        if draws != "R" and draws < 1:
            raise InferenceError(f"draws={draws!r} should be a positive number of draws, or 'R'.")
        noise = None if draws == "R" else _noise(path.covariance, draws, seed)
        return cls(path, level, method, noise, grid_points(grid), {})

    def row(self, restriction: Restriction) -> dict[str, Any]:
        """Return the row of the result for one restriction."""
        lines = [self._lines(polyhedron, restriction) for polyhedron in self._polyhedra(restriction)]
        identified = reduce(Interval.hull, map(identified_set, lines), EMPTY)
        found = (
            self._fixed(restriction)
            if self.chosen(restriction) == "flci"
            else reduce(Interval.hull, (self._inverted(part, restriction) for part in lines), EMPTY)
        )
        return {
            "restriction": str(restriction),
            "method": self.chosen(restriction),
            "conf_low": np.nan if found.empty else found.low,
            "conf_high": np.nan if found.empty else found.high,
            "identified_low": np.nan if identified.empty else identified.low,
            "identified_high": np.nan if identified.empty else identified.high,
            "excludes_zero": found.empty or not found.low <= 0 <= found.high,
        }

    def chosen(self, restriction: Restriction) -> str:
        """Return the method that is used for a restriction."""
        smooth = restriction.kind == "smoothness"
        if self.method == "flci" and not smooth:
            raise DesignError(
                f"Fixed-length intervals are for smoothness alone, not where {restriction}. Use method='hybrid'."
            )
        if self.method == "hybrid_flci" and restriction.smoothness is None:
            raise DesignError(
                f"A first stage of fixed length needs a bound on smoothness, which is not there if {restriction}. Use method='hybrid'."
            )
        return ("flci" if smooth else "hybrid") if self.method == "auto" else self.method

    def _polyhedra(self, restriction: Restriction) -> tuple[Polyhedron, ...]:
        return restriction.polyhedra(self.path.n_pre, self.path.n_post)

    def _lines(
        self, polyhedron: Polyhedron, restriction: Restriction, at: float | None = None, *, staged: bool = True
    ) -> Lines:
        """Return the dual lines; where they are too many to list, those that decide (`at` one target, if given)."""
        # With a single treated period the published test keeps the rows of the leads, except for relative magnitudes.
        keep = self.path.n_post == 1 and not restriction.compares_changes
        path = self.path
        programme = moment_programme(polyhedron, path.values, path.covariance, path.weights, all_rows=keep)
        listed = dual_lines(programme, self.rays)
        if listed is not None:
            return listed

        def targets(lines: Lines) -> Floats:
            return self._decisive(lines, restriction) if at is None else np.array([at])

        if not staged or self.method in ("conditional", "hybrid_flci"):
            return searched_lines(programme, targets)
        noise = (
            noise_as_in_r(programme.moments, self.path.covariance)
            if self.noise is None
            else self.noise[:_SEARCHED_DRAWS] @ programme.moments.T
        )
        return searched_lines(programme, targets, noise, _FIRST_STAGE * (1 - self.level))

    def _decisive(self, lines: Lines, restriction: Restriction) -> Floats:
        first = self._first_stage(lines, restriction)
        bounds = search_bounds(lines, first)
        found = confidence_set(lines, self._size, first, self.points)
        around = np.empty(0) if bounds.empty else target_grid(lines, bounds, _SEARCHED_TARGETS)
        ends = [found.low, found.high, bounds.low, bounds.high]
        known = identified_set(lines)
        looked_at = np.unique(np.concatenate([around, ends, [known.low, known.high]]))
        return looked_at[np.isfinite(looked_at)]

    def holds(self, value: float, restriction: Restriction) -> bool:
        """Return whether the confidence set under a restriction holds a value."""
        if self.chosen(restriction) == "flci":
            found = self._fixed(restriction)
            return found.low <= value <= found.high
        return any(self._accepted(value, polyhedron, restriction) for polyhedron in self._polyhedra(restriction))

    def _fixed(self, restriction: Restriction) -> Interval:
        found = self._fixed_length(restriction.bound, self.level)
        return Interval(found.centre - found.half_length, found.centre + found.half_length)

    def _fixed_length(self, M: float, level: float) -> FixedLength:
        search = fixed_length_as_in_r if self.noise is None else fixed_length
        return search(self.path.values, self.path.covariance, self.path.weights, M, level)

    def _inverted(self, lines: Lines, restriction: Restriction) -> Interval:
        return confidence_set(lines, self._size, self._first_stage(lines, restriction), self.points)

    def _accepted(self, value: float, polyhedron: Polyhedron, restriction: Restriction) -> bool:
        at = np.array([value])
        # A least-favourable first stage only ever rejects more, and its critical value is the costly part.
        if self.method != "hybrid_flci":
            unstaged = self._lines(polyhedron, restriction, value, staged=False)
            if not accepts(at, unstaged, self._size)[0]:
                return False
        lines = self._lines(polyhedron, restriction, value)
        return bool(accepts(at, lines, self._size, self._first_stage(lines, restriction))[0])

    @property
    def _size(self) -> float:
        alpha = 1 - self.level
        first = 0.0 if self.method == "conditional" else _FIRST_STAGE * alpha
        return (alpha - first) / (1 - first)

    def _first_stage(self, lines: Lines, restriction: Restriction) -> FirstStage:
        if self.method == "conditional":
            return NO_FIRST_STAGE
        size = _FIRST_STAGE * (1 - self.level)
        if self.method == "hybrid_flci" and restriction.smoothness is not None:
            found = self._fixed_length(restriction.smoothness, 1 - size)
            variance = np.maximum(np.diag(lines.covariance), np.finfo(float).tiny)
            response = lines.loading @ self.path.covariance @ found.weights / variance
            return FirstStage(centre=found.centre, half=found.half_length, response=response)
        if lines.cap is not None:
            return FirstStage(cap=lines.cap)
        if self.noise is None:
            cap = least_favourable_as_in_r(lines, self.path.covariance, size)
            return FirstStage(cap=cap, capped=self.path.n_post > 1)
        return FirstStage(cap=least_favourable(lines, self.noise, size))


def _noise(covariance: Floats, draws: int, seed: int) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    return np.asarray(np.random.default_rng(seed).standard_normal((draws, len(root))) @ root.T)


def _row_sentence(row: dict[Any, Any]) -> str:
    if np.isnan(row["conf_low"]):
        return f"If {row['restriction']}: no effect is compatible with the estimates before the event."
    verdict = "which excludes zero" if row["excludes_zero"] else "which holds zero"
    return f"If {row['restriction']}: {row['conf_low']:.4g} to {row['conf_high']:.4g}, {verdict} ({row['method']})."
