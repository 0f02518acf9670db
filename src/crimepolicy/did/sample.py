"""Which cells of a panel a regression with effects can use, and with what weight."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from crimepolicy.errors import DesignError, offenders, suggest
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = ["Family", "Sample", "analysis_weights", "covariate_values", "left_out", "regression_sample", "single_units"]

Family = Literal["gaussian", "poisson"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.intp]]


@dataclass(frozen=True, slots=True)
class Sample:
    """Weights (N, T) that are zero outside the sample, outcome and exposure (N, T) finite everywhere, and what was left out."""

    weights: Floats
    outcome: Floats
    exposure: Floats
    checks: tuple[Check, ...]


def regression_sample(
    panel: Panel, kept: Bools, regressors: Floats, strata: Ints | None, family: Family, alone: bool = False
) -> Sample:
    """Choose the cells that carry information once unit and stratum-by-period effects are free.

    Parameters
    ----------
    panel : Panel
    kept : bool array (N, T)
        Cells that the design wants.
    regressors : float array (k, N, T)
        Cells with a missing regressor are left out.
    strata : int array (N,), optional
        Stratum of each unit, for stratum-by-period effects.
    family : {"gaussian", "poisson"}
        For counts, units and periods without any event are left out too: their effect is minus infinity.
    alone : bool
        Keep a period in which a stratum has one cell only: its period effect is wanted for itself.

    Returns
    -------
    Sample

    Raises
    ------
    DesignError
        Where weights or counts are negative, or no cell is left.
    """
    weights = analysis_weights(panel)
    seen = kept & panel.observed
    usable = seen & ~np.isnan(regressors).any(axis=0) & (weights > 0)
    outcome = np.where(usable, panel.Y, 0.0)
    if family == "poisson" and (outcome < 0).any():
        raise DesignError(
            f"family='poisson' needs counts, but {panel.outcome!r} is negative in {int((outcome < 0).sum())} cells. Use family='gaussian'."
        )
    sample = _informative(usable, outcome if family == "poisson" else None, strata, 1 if alone else 2)
    if not sample.any():
        raise DesignError(
            "No cell is left to estimate from. Look at the checks of the panel, and for counts at units without any event."
        )
    exposure = np.ones_like(outcome) if panel.population is None else np.where(usable, panel.population, 1.0)
    checks = (
        left_out(
            "unobserved_cells",
            panel.Y.size - int(panel.observed.sum()),
            "cells have no observed outcome and are left out",
        ),
        left_out(
            "cells_left_out",
            int((panel.observed & ~usable).sum()),
            "observed cells lie outside the design or lack a covariate or weight, and are left out",
        ),
        left_out(
            "uninformative_cells",
            int((usable & ~sample).sum()),
            "cells are left out because their unit or period has one cell only or, for counts, no event at all",
        ),
    )
    return Sample(weights * sample, outcome, exposure, checks)


def analysis_weights(panel: Panel) -> Floats:
    """Return the weights (N, T) of the panel, ones where it has none and zero where they are missing."""
    if panel.weights is None:
        return np.ones(panel.Y.shape)
    weights: Floats = np.nan_to_num(panel.weights, nan=0.0)
    if (weights < 0).any():
        raise DesignError("Weights cannot be negative. Correct the column given as weights=.")
    return weights


def covariate_values(panel: Panel, names: Sequence[str]) -> Floats:
    """Return the named covariates (k, N, T) of the panel, or raise and suggest the nearest name."""
    unknown = [name for name in names if name not in panel.X]
    if unknown:
        raise DesignError(f"No such covariate: {offenders(unknown)}.{suggest(unknown[0], list(panel.X))}")
    return np.stack([panel.X[name] for name in names]) if names else np.zeros((0, *panel.Y.shape))


def left_out(name: str, count: int, text: str, who: Sequence[object] = ()) -> Check:
    """Return the check that counts what was left out, and names the first few."""
    named = f": {offenders(who)}" if len(who) else ""
    return Check(name, None if count else True, count, f"{count:,} {text}{named}.")


def single_units(cohort: Floats) -> Check:
    """Return the check that counts cohorts (positions of the first treated period, (n,)) of one unit only."""
    _, sizes = np.unique(cohort[np.isfinite(cohort)], return_counts=True)
    count = int((sizes == 1).sum())
    return Check(
        "single_unit_cohorts",
        None if count else True,
        count,
        f"{count:,} cohorts have one unit: the noise of that unit is not in the standard error of its own cells.",
    )


def _informative(usable: Bools, counts: Floats | None, strata: Ints | None, least: int) -> Bools:
    """Leave out units and periods (in a stratum) with one cell or no event, until none is left."""
    groups: list[Any] = (
        [slice(None)] if strata is None else [np.flatnonzero(strata == code) for code in range(strata.max() + 1)]
    )
    if counts is None and usable.all():
        return usable
    sample, before = usable.copy(), -1
    while sample.sum() != before:
        before = int(sample.sum())
        sample &= _enough(sample, counts, 1, 2)
        for rows in groups:
            part = sample[rows]
            sample[rows] = part & _enough(part, None if counts is None else counts[rows], 0, least)
    return sample


def _enough(sample: Bools, counts: Floats | None, axis: int, least: int) -> Bools:
    enough: Bools = sample.sum(axis=axis, keepdims=True) >= least
    return enough if counts is None else enough & ((sample * counts).sum(axis=axis, keepdims=True) > 0)
