"""The comparison that a panel offers: adoption cohorts beside never treated donors, on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from crimepolicy.errors import DesignError, choose, offenders, suggest
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = ["PER", "Cohort", "Comparison", "DonorScale", "comparison", "require_donors"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
DonorScale = Literal["level", "log"]

PER = 100_000.0
"""Counts are compared as rates per this many of the population."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """Units first treated in one period (or one of them).

    Attributes
    ----------
    label : object
        First treated period, or the unit where every treated unit stands alone.
    start : int
        Position of the first treated period.
    rows : int array (n,)
        Positions of the treated units in the panel.
    """

    label: object
    start: int
    rows: Ints


@dataclass(frozen=True, slots=True)
class Comparison:
    """Outcomes on the scale on which donors are averaged.

    Attributes
    ----------
    Y : float array (N, T)
        Outcome, or rate per `PER` where the panel has a population. Never logged; see `series`.
    mass : float array (N, T)
        Weight of a treated cell in the average: the population, the panel's weights, or one.
    population : float array (N, T) or None
        Exposure behind the rates.
    donors : int array (J,)
        Positions of the donors in the panel.
    cohorts : tuple of Cohort
        In order of adoption.
    scale : {"level", "log"}
        Scale on which donors are averaged and gaps are measured.
    checks : tuple of Check
        Units that were left out, and the scale in words.
    offset : float array (N, T) or None
        Part that covariates explain, subtracted from every series.
    """

    Y: Floats
    mass: Floats
    population: Floats | None
    donors: Ints
    cohorts: tuple[Cohort, ...]
    scale: DonorScale
    checks: tuple[Check, ...]
    offset: Floats | None = None

    def series(self, rows: Ints) -> Floats:
        """Return the series (n, T) of single units on the comparison's scale."""
        values = np.log(self.Y[rows]) if self.scale == "log" else self.Y[rows]
        return values if self.offset is None else values - self.offset[rows]

    def average(self, rows: Ints) -> Floats:
        """Return the series (T,) of the average of some units: the rate of them all, then its log."""
        mean = self.mean_of(self.Y, rows)
        values = np.log(mean) if self.scale == "log" else mean
        return values if self.offset is None else values - self.mean_of(self.offset, rows)

    def mean_of(self, values: Floats, rows: Ints) -> Floats:
        """Return the weighted mean (T,) over some units of an array (N, T)."""
        if len(rows) == 1:
            return np.asarray(values[rows[0]])
        return np.asarray((values[rows] * self.mass[rows]).sum(axis=0) / self.mass[rows].sum(axis=0))


def comparison(
    panel: Panel, *, scale: DonorScale = "level", exclude: Sequence[object] = (), each: bool = False
) -> Comparison:
    """Split a panel into adoption cohorts and donors that are never treated.

    Parameters
    ----------
    panel : Panel
        Treatment must stay once it begins. A count with a population becomes a rate.
    scale : {"level", "log"}
        Scale on which donors are averaged.
    exclude : sequence of unit labels
        Units that are never treated but must not serve as donors (contaminated, defective). Unknown labels are ignored
        here, so that a panel without them can be refitted; see `require_donors`.
    each : bool
        One cohort per treated unit instead of one per date.

    Returns
    -------
    Comparison

    Raises
    ------
    DesignError
        Where treatment ends, nobody is treated, no donor is left, a treated unit has missing cells or a log of zero.
    """
    choose("scale", scale, DonorScale)
    first = panel.G
    always, treated = np.flatnonzero(first == 0), np.flatnonzero((first > 0) & np.isfinite(first))
    if treated.size == 0:
        raise DesignError(
            "No unit has both untreated and treated periods, so there is nothing to compare. Use panel.treat(units, at=...)."
        )
    usable = panel.observed.all(axis=1) & ((panel.Y > 0).all(axis=1) if scale == "log" else True)
    _require_usable(panel, treated[~usable[treated]], scale)
    never = np.flatnonzero(np.isinf(first))
    barred = panel.units[never].isin(list(exclude)) if exclude else np.zeros(len(never), dtype=bool)
    excluded, pool = never[barred], never[~barred]
    donors = pool[usable[pool]]
    if donors.size == 0:
        raise DesignError(
            f"No donor is left: of {len(never)} never treated units {len(excluded)} are excluded and {len(pool)} are incomplete. "
            f"{_remedy(len(never), len(pool))}"
        )
    return Comparison(
        Y=panel.Y if panel.population is None else panel.Y / panel.population * PER,
        mass=_mass(panel),
        population=panel.population,
        donors=donors,
        cohorts=_cohorts(panel, first, treated, each),
        scale=scale,
        checks=_left_out(panel, scale, always, excluded, pool[~usable[pool]]),
    )


def _remedy(never: int, incomplete: int) -> str:
    if never == 0:
        return "Where treatment comes at different dates, group_time_effects compares with those not yet treated; otherwise add untreated units."
    if incomplete == 0:
        return "Shorten exclude."
    return "Shorten the panel with window(), fill the cells, or use factor_model, which needs no complete panel."


def require_donors(panel: Panel, exclude: Sequence[object]) -> None:
    """Raise where an excluded donor is not a unit of the panel."""
    unknown = [unit for unit in exclude if unit not in panel.units]
    if unknown:
        raise DesignError(
            f"exclude names units that are not in the panel: {offenders(unknown)}.{suggest(unknown[0], list(panel.units))}"
        )


def _require_usable(panel: Panel, rows: Ints, scale: DonorScale) -> None:
    if rows.size:
        what = "missing cells" if scale == "level" else "missing cells or zeros, which have no logarithm"
        raise DesignError(
            f"Treated units have {what}: {offenders(panel.units[rows])}. Shorten the panel with window(), aggregate to a coarser "
            "period, use scale='level', or use factor_model, which needs no complete panel."
        )


def _mass(panel: Panel) -> Floats:
    if panel.population is not None:
        return panel.population
    return panel.weights if panel.weights is not None else np.ones_like(panel.Y)


def _cohorts(panel: Panel, first: Floats, treated: Ints, each: bool) -> tuple[Cohort, ...]:
    if each:
        order = treated[np.argsort(first[treated], kind="stable")]
        return tuple(Cohort(panel.units[row], int(first[row]), np.array([row])) for row in order)
    starts = np.unique(first[treated]).astype(int)
    return tuple(Cohort(panel.periods[start], int(start), treated[first[treated] == start]) for start in starts)


def _left_out(panel: Panel, scale: DonorScale, always: Ints, excluded: Ints, incomplete: Ints) -> tuple[Check, ...]:
    found = [
        Check(
            "donor_scale",
            None,
            scale,
            f"donors are averaged in {'logs' if scale == 'log' else 'levels'} of {_unit(panel)}.",
        )
    ]
    for name, rows, what in (
        ("always_treated", always, "treated from the first period and left out"),
        ("donors_excluded", excluded, "excluded as donors on request"),
        (
            "donors_incomplete",
            incomplete,
            "left out as donors for missing cells" + (" or zeros" if scale == "log" else ""),
        ),
    ):
        if rows.size:
            found.append(Check(name, None, int(rows.size), f"{what}: {offenders(panel.units[rows])}."))
    return tuple(found)


def _unit(panel: Panel) -> str:
    return panel.outcome if panel.population is None else f"{panel.outcome} per {PER:,.0f} of the population"
