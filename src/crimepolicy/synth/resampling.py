"""Replicates of a contrast: treatment given to donors, units drawn again, units deleted."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import InferenceError
from crimepolicy.panel import Panel
from crimepolicy.synth.cohorts import Comparison
from crimepolicy.synth.contrast import Contrast, Problem
from crimepolicy.synth.packing import Replicates

__all__ = ["Variance", "replicate"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Variance = Literal["placebo", "jackknife", "bootstrap", "none"]


def replicate(
    panel: Panel,
    data: Comparison,
    problem: Problem,
    fitted: list[Contrast],
    *,
    variance: Variance,
    draws: int,
    seed: int,
) -> Replicates | None:
    """Return the replicates behind a variance, or None.

    Parameters
    ----------
    panel, data, problem, fitted
        The panel, its cohorts and donors, their series, and the contrasts fitted to them.
    variance, draws, seed
        As in `synthetic_did`.

    Raises
    ------
    InferenceError
        Where the variance is not defined for so few donors or treated units.
    """
    if variance == "none":
        return None
    if variance == "placebo":
        return Replicates("placebo", np.stack(list(_placebos(data, problem, draws, seed))))
    _require_several_treated(data, variance)
    if variance == "bootstrap":
        return Replicates("bootstrap", np.stack(list(_bootstraps(data, problem, draws, seed))))
    return _jackknife(panel, data, problem, fitted)


def _require_several_treated(data: Comparison, variance: str) -> None:
    lonely = [cohort.label for cohort in data.cohorts if len(cohort.rows) < 2]
    if lonely and len(data.cohorts) == 1:
        raise InferenceError(
            f"variance={variance!r} is not defined with one treated unit: leaving it out leaves no effect. Use variance='placebo', or "
            "variance='none' followed by placebo_test."
        )
    if lonely:
        raise InferenceError(
            f"variance={variance!r} is not defined where a cohort has one unit: {len(lonely)} of {len(data.cohorts)} cohorts (first: {lonely[0]}). "
            "Use variance='placebo'."
        )


def _placebos(data: Comparison, problem: Problem, draws: int, seed: int) -> Iterator[Floats]:
    sizes = [len(cohort.rows) for cohort in data.cohorts]
    n_donors, n_treated = len(data.donors), sum(sizes)
    if n_donors <= n_treated:
        other = "jackknife" if min(sizes) > 1 else "none"
        raise InferenceError(
            f"Placebo variance needs more donors than treated units; here {n_donors} donors and {n_treated} treated. Use variance={other!r}."
        )
    ends = np.cumsum(sizes)
    for order in _assignments(n_donors, n_treated, draws, seed):
        groups = np.split(data.donors[order[:n_treated]], ends[:-1])
        treated = np.stack([data.average(group) for group in groups])
        rest = problem.donors[order[n_treated:]]
        placebo = Problem(rest, treated, problem.starts, problem.ridges, problem.preset)
        yield np.stack([one.gaps for one in placebo.contrasts()])


def _assignments(n_donors: int, n_treated: int, draws: int, seed: int) -> Iterator[Ints]:
    """Yield orders of the donors whose first `n_treated` play the treated; each donor once where that is all there is."""
    rng = np.random.default_rng(seed)
    if n_treated > 1:
        yield from (rng.permutation(n_donors) for _ in range(draws))
        return
    chosen = np.arange(n_donors) if n_donors <= draws else np.sort(rng.choice(n_donors, draws, replace=False))
    everyone = np.arange(n_donors)
    yield from (np.concatenate([[one], np.delete(everyone, one)]) for one in chosen)


def _bootstraps(data: Comparison, problem: Problem, draws: int, seed: int) -> Iterator[Floats]:
    rng = np.random.default_rng(seed)
    units = np.concatenate([data.donors, *(cohort.rows for cohort in data.cohorts)])
    n_donors, made = len(data.donors), 0
    while made < draws:
        drawn = units[rng.integers(len(units), size=len(units))]
        groups = [drawn[np.isin(drawn, cohort.rows)] for cohort in data.cohorts]
        donors = drawn[np.isin(drawn, data.donors)]
        # A resample without donors, or without one of the cohorts, has no estimate; the published rule draws again.
        if donors.size == 0 or n_donors == 0 or any(group.size == 0 for group in groups):
            continue
        treated = np.stack([data.average(group) for group in groups])
        resample = Problem(data.series(donors), treated, problem.starts, problem.ridges, problem.preset)
        made += 1
        yield np.stack([one.gaps for one in resample.contrasts()])


def _jackknife(panel: Panel, data: Comparison, problem: Problem, fitted: list[Contrast]) -> Replicates:
    """Delete each unit in turn; weights stay, renormalised over the donors that remain."""
    donor_gaps = np.stack([_without_donors(problem, index, one) for index, one in enumerate(fitted)], axis=1)
    whole = np.stack([one.gaps for one in fitted])
    replicates, units = [donor_gaps], [data.donors]
    for index, cohort in enumerate(data.cohorts):
        for row in cohort.rows:
            changed = whole.copy()
            series = data.average(cohort.rows[cohort.rows != row])
            moved = series - problem.treated[index]
            changed[index] += moved - moved[: cohort.start] @ fitted[index].periods
            replicates.append(changed[None])
        units.append(cohort.rows)
    return Replicates("jackknife", np.concatenate(replicates), pd.Index(panel.units[np.concatenate(units)]))


def _without_donors(problem: Problem, index: int, one: Contrast) -> Floats:
    """Return the gaps (J, T) of one cohort with each donor deleted."""
    if (one.donors > 0).sum() < 2:
        raise InferenceError(
            "The jackknife is not defined where a single donor carries all weight. Use variance='placebo'."
        )
    synthetic = one.donors @ problem.donors
    others = (synthetic - one.donors[:, None] * problem.donors) / (1.0 - one.donors)[:, None]
    raw = problem.treated[index] - others
    return np.asarray(raw - (raw[:, : problem.starts[index]] @ one.periods)[:, None])
