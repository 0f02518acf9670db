"""Imputed cells: treated cells beside what was expected there, their own noise, and their sums."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from crimepolicy.did.fixed_effects import Cells, EffectsFit, Family, estimable, influence
from crimepolicy.did.sample import analysis_weights
from crimepolicy.did.spells import Spells
from crimepolicy.errors import DesignError, offenders, suggest
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = [
    "Average",
    "Centre",
    "Effects",
    "Sums",
    "Targets",
    "Weighting",
    "effect_groups",
    "missing_cells",
    "model_inputs",
    "sum_cells",
    "target_cells",
    "usable_cells",
    "with_noise",
]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Effects = Literal["unit+period", "unit+region:period"]
Average = Literal["cohort", "event_time", "all"]
Centre = Literal["cluster", "cell", "plain"]
Weighting = Literal["panel", "equal"]

_COARSER: dict[str, tuple[Average, ...]] = {
    "cohort": ("cohort", "event_time", "all"),
    "event_time": ("event_time", "all"),
    "all": ("all",),
}
# A table of labels may be this many times as long as there are cells.
_SPARSE = 16


@dataclass(frozen=True, slots=True)
class Targets:
    """The m treated cells with an imputed outcome.

    Attributes
    ----------
    unit, period, cohort : int arrays (m,)
        Positions of the cell and of the onset (-1 where unknown).
    event_time : float array (m,)
        Periods since the onset, NaN where unknown.
    observed, imputed, weight, exposure : float arrays (m,)
        Outcome, expected outcome and population, each times the analysis weight; the weight.
    noise : float array (m,)
        Weighted deviation of the cell from the mean effect of its group.
    """

    unit: Ints
    period: Ints
    event_time: Floats
    cohort: Ints
    observed: Floats
    imputed: Floats
    weight: Floats
    exposure: Floats
    noise: Floats


@dataclass(frozen=True, slots=True)
class Sums:
    """Totals (K,) over the cells of K terms, and the influence (N, K) of each unit on the observed and the imputed total."""

    observed: Floats
    imputed: Floats
    weight: Floats
    exposure: Floats
    n_cells: Ints
    noise: Floats
    drift: Floats

    def contrast(self, family: Family) -> tuple[Floats, Floats]:
        """Return the mean difference (gaussian) or the log ratio (poisson) of each term, and its influence."""
        if family == "gaussian":
            return (self.observed - self.imputed) / self.weight, (self.noise - self.drift) / self.weight
        with np.errstate(divide="ignore", invalid="ignore"):
            log = np.log(self.observed / self.imputed)
            psi = self.noise / self.observed - self.drift / self.imputed
        return np.where(np.isfinite(log), log, np.nan), psi


def model_inputs(
    panel: Panel, family: Family, effects: Effects, covariates: Sequence[str], unit_trends: bool, weights: Weighting
) -> dict[str, Any]:
    """Return what `fit_effects` needs besides outcomes and cells.

    Raises
    ------
    DesignError
        Where the panel lacks what the options ask for, or counts are negative.
    """
    unknown = [name for name in covariates if name not in panel.X]
    if unknown:
        raise DesignError(f"Covariate {unknown[0]!r} is not in the panel.{suggest(unknown[0], list(panel.X))}")
    if effects == "unit+region:period" and panel.region is None:
        raise DesignError("effects='unit+region:period' needs regions. Give region= to Panel.from_frame.")
    if family == "poisson" and unit_trends:
        raise DesignError(
            "unit_trends=True is for family='gaussian': with counts that are mostly zero, a trend per unit has no finite maximum in "
            "many units. Use effects='unit+region:period', or a rate with family='gaussian'."
        )
    if family == "poisson" and (panel.Y < 0).any():
        raise DesignError("family='poisson' needs counts, but some outcomes are negative. Use family='gaussian'.")
    by_region = effects == "unit+region:period"
    return {
        "family": family,
        # Absent rows have no population either, and what is not fitted must not spread as NaN.
        "exposure": None
        if family == "gaussian" or panel.population is None
        else np.nan_to_num(panel.population, nan=1.0),
        "weights": None if panel.weights is None or weights == "equal" else analysis_weights(panel),
        "region": pd.factorize(pd.Series(panel.region), sort=True)[0] if by_region else None,
        "covariates": [np.nan_to_num(panel.X[name]) for name in covariates],
        "unit_trends": unit_trends,
    }


def usable_cells(panel: Panel, family: Family, covariates: Sequence[str], weights: Weighting) -> Bools:
    """Return the cells (N, T) with an outcome, covariates and, where they are used, a population and a weight above zero."""
    usable = panel.observed.copy()
    for name in covariates:
        usable &= ~np.isnan(panel.X[name])
    if family == "poisson" and panel.population is not None:
        usable &= panel.population > 0
    return usable if weights == "equal" else usable & (analysis_weights(panel) > 0)


def missing_cells(usable: Bools) -> Check | None:
    """Return the check that counts the cells (N, T) that are not used, None where there are none."""
    absent = int((~usable).sum())
    text = f"{absent} cells without outcome, covariate, population or weight are not used."
    return Check("missing_cells", None, absent, text) if absent else None


def target_cells(
    panel: Panel, fit: EffectsFit, sample: Bools, target: Bools, spells: Spells, weights: Weighting
) -> tuple[Targets, Ints]:
    """Return the cells of `target` (N, T) whose untreated outcome the fit determines, and positions (k, 2) of the others.

    Raises
    ------
    DesignError
        Where no cell is left.
    """
    unit, period = np.nonzero(target)
    # Without a factorised fit the caller knows that all periods are linked.
    known = sample.any(axis=1)[unit] if fit.projector is None else estimable(fit, sample, unit, period)
    if not known.any():
        raise DesignError(_NO_TARGET.format(offenders(panel.units[np.unique(unit)])) if len(unit) else _NO_CELL)
    lost = np.stack([unit[~known], period[~known]], axis=1)
    unit, period = unit[known], period[known]
    plain = panel.weights is None or weights == "equal"
    weight = np.ones(len(unit)) if plain else panel.weights[unit, period]  # type: ignore[index]
    exposure = weight if panel.population is None else weight * panel.population[unit, period]
    targets = Targets(
        unit=unit,
        period=period,
        event_time=spells.event_time[unit, period],
        cohort=spells.onset[unit, period],
        observed=weight * panel.Y[unit, period],
        imputed=weight * fit.fitted[unit, period],
        weight=weight,
        exposure=exposure,
        noise=np.zeros(len(unit)),
    )
    return targets, lost


def with_noise(
    targets: Targets,
    clusters: np.ndarray[Any, Any],
    family: Family,
    average: Average,
    leave_out: bool,
    kind: Ints | None = None,
    centre: Centre | None = None,
) -> Targets:
    """Return the targets with the deviation of each cell from the mean effect of its group.

    Parameters
    ----------
    targets : Targets
    clusters : array (N,)
        Labels of the level of inference.
    family : {"gaussian", "poisson"}
    average : {"cohort", "event_time", "all"}
        Groups of cells with a common mean effect.
    leave_out : bool
        Take the mean without the own cluster; a cluster alone in its group is compared with the next coarser group.
    kind : int array (m,), optional
        Cells of different kinds are never in one group.
    centre : {"cluster", "cell", "plain"}, optional
        Whether clusters or cells count by the square of their weight in that mean, or cells by their weight. Default: ``"cluster"``
        for gaussian, ``"plain"`` for poisson.
    """
    centre = centre or ("cluster" if family == "gaussian" else "plain")
    chain = _COARSER[average]
    cluster = pd.factorize(clusters)[0][targets.unit]
    residual = np.full(len(targets.unit), np.nan)
    for level in chain if leave_out else chain[:1]:
        group = effect_groups(targets, level)
        group = group if kind is None else _codes(group, kind)
        centred = _centred(targets, group, cluster, family, leave_out, centre)
        residual = np.where(np.isnan(residual), centred, residual)
    # With one treated cluster in all, nothing is left to compare it with; a check says so.
    return replace(targets, noise=np.nan_to_num(residual))


def effect_groups(targets: Targets, level: Average) -> Ints:
    """Return the code (m,) of the group of cells with which each cell shares a mean effect."""
    if level == "all":
        return (targets.event_time >= 0).astype(np.intp)
    clock = np.nan_to_num(
        targets.event_time, nan=targets.event_time.max(initial=0.0, where=targets.event_time >= 0) + 1
    )
    return _codes(clock.astype(np.intp), targets.cohort if level == "cohort" else None)


def _codes(first: Ints, second: Ints | None = None) -> Ints:
    """Return codes 0, 1, ... of the values of one or two integer labels (m,) of small range."""
    key = first - first.min(initial=0)
    if second is not None:
        low, high = second.min(initial=0), second.max(initial=0)
        key = key * (high - low + 1) + second - low
    if key.max(initial=0) > _SPARSE * len(key):
        return pd.factorize(key)[0]
    # A table of all values beats hashing: times and cohorts are few.
    present = np.zeros(int(key.max(initial=0)) + 1, dtype=np.intp)
    present[key] = 1
    return np.asarray((np.cumsum(present) - 1)[key])


def sum_cells(fit: EffectsFit, targets: Targets, terms: Sequence[Ints], *, variance: bool = True) -> Sums:
    """Return the sums over the cells of each of K terms, given as positions among the targets."""
    count = np.array([len(cells) for cells in terms])
    size, cell, term = (
        len(terms),
        np.concatenate([np.empty(0, dtype=np.intp), *terms]),
        np.repeat(np.arange(len(terms)), count),
    )
    columns = (targets.observed, targets.imputed, targets.weight, targets.exposure)
    observed, imputed, weight, exposure = (np.bincount(term, column[cell], size) for column in columns)
    if not variance:
        empty = np.empty((0, size))
        return Sums(observed, imputed, weight, exposure, count, empty, empty)
    shape = (len(fit.scores), size)
    noise = sparse.coo_matrix((targets.noise[cell], (targets.unit[cell], term)), shape=shape).toarray()
    cells = Cells(targets.unit[cell], targets.period[cell], term, targets.weight[cell], size)
    return Sums(observed, imputed, weight, exposure, count, noise, influence(fit, cells))


def _centred(targets: Targets, group: Ints, cluster: Ints, family: Family, leave_out: bool, centre: Centre) -> Floats:
    pair = _codes(group, cluster)
    size = int(pair.max()) + 1
    group_of = np.zeros(size, dtype=np.intp)
    group_of[pair] = group
    poisson = family == "poisson"
    effect = targets.observed if poisson else targets.observed - targets.imputed
    base = targets.imputed if poisson else targets.weight
    times = base if centre == "cell" else np.ones_like(base)
    top, bottom = np.bincount(pair, effect * times, size), np.bincount(pair, base * times, size)
    if centre == "cluster":
        # The mean that makes the sum of squares smallest weights a cluster by the square of its weight.
        top, bottom = top * bottom, bottom * bottom
    above, below = np.bincount(group_of, top)[group_of], np.bincount(group_of, bottom)[group_of]
    if leave_out:
        above, below = above - top, below - bottom
    known = below > _ALONE * (below + bottom)
    mean = np.where(known, above / np.where(known, below, 1.0), np.nan if leave_out else 0.0)
    return np.asarray(effect - mean[pair] * base)


# Share of a group outside the own cluster below which it is rounding error.
_ALONE = 1e-12

_NO_TARGET = (
    "No treated cell is identified: each has no untreated cell of its unit, or no untreated unit in its period (of its region). Treated "
    "units: {}. Give a longer panel, units that are never treated, or effects='unit+period'."
)
_NO_CELL = "No treated cell with an observed outcome lies in the horizon asked for. Widen horizon=, or check the missing outcomes."
