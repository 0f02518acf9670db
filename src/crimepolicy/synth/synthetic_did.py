"""Synthetic difference in differences: weighted donors and weighted periods before treatment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from crimepolicy.errors import choose, of_kind
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.synth.cohorts import Comparison, DonorScale, comparison, require_donors
from crimepolicy.synth.contrast import Preset, Problem
from crimepolicy.synth.covariates import Adjustment, adjust
from crimepolicy.synth.donors import donor_checks
from crimepolicy.synth.packing import Labels, pack, weights_frame
from crimepolicy.synth.resampling import Variance, replicate

__all__ = ["Regularisation", "synthetic_did"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Regularisation = Literal["published", "invariant"]

_CITATION = "Arkhangelsky, Athey, Hirshberg, Imbens and Wager (2021), American Economic Review 111(12)"
_TINY = 1e-6  # the published ridge on period weights, in units of the noise: it only picks one of several optima


def synthetic_did(
    panel: Panel,
    *,
    regularisation: Regularisation = "published",
    weights: Preset = "sdid",
    covariates: Sequence[str] = (),
    adjustment: Adjustment = "joint",
    variance: Variance = "placebo",
    draws: int = 200,
    seed: int = 0,
    scale: DonorScale = "level",
    exclude: Sequence[object] = (),
) -> Estimate:
    """Estimate the effect on the treated by synthetic difference in differences.

    The estimand is the average effect over the treated cells. Each adoption cohort is compared with never treated donors
    by the contrast ``(-w, 1/N1)' Y (-l, 1/T1)``; cohorts count by their treated cells.

    Parameters
    ----------
    panel : Panel
        N units by T periods; treatment stays once it begins. A count with a population becomes a rate per 100,000.
    regularisation : {"published", "invariant"}
        Noise level behind the ridge on donor weights: the standard deviation of the donors' first differences, or of the
        same net of what they share in each period. Only the second leaves the estimate unchanged when a shock common to
        all units is added, which matters for seasonal series.
    weights : {"sdid", "demeaned_sc", "sc", "did"}
        Preset of the contrast.
    covariates : sequence of str
        Names in `panel.X` of covariates that vary over time, complete for donors and treated units.
    adjustment : {"joint", "projected"}
        Choose their coefficients together with the weights, as in the original paper, or take out beforehand a regression
        of the donors' outcomes on them with unit and period effects.
    variance : {"placebo", "jackknife", "bootstrap", "none"}
        Placebo assigns the treatment to donors (all of them in turn where one unit is treated and `draws` allows);
        jackknife deletes units with weights held fixed; bootstrap draws units.
    draws : int
        Replicates of placebo and bootstrap.
    seed : int
        Of these replicates.
    scale : {"level", "log"}
        Scale on which donors are averaged.
    exclude : sequence of unit labels
        Never treated units that must not be donors.

    Returns
    -------
    Estimate
        With `weights` (columns role, cohort, label, weight), the path by event time including the periods before
        treatment, and `companions` ``excess`` and ``ratio`` where the panel has a population. `refit` repeats the point
        estimate, and the jackknife, but not replicates that need drawing.

    Raises
    ------
    DesignError
        Where treatment ends (use `factor_model`), no donor is left, or a treated unit has missing cells.
    InferenceError
        Where the variance asked for is not defined: placebo with no more donors than treated units, jackknife or
        bootstrap with a single treated unit.

    Assumptions
    -----------
    Untreated outcomes follow unit effects, period effects and a low-rank part that the weights balance; no anticipation;
    donors are not affected by the treatment. Placebo standard errors also assume that noise is alike across units.

    References
    ----------
    Arkhangelsky et al. (2021), American Economic Review 111(12); Clarke, Pailanir, Athey and Imbens (2023) for staggered
    adoption.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame([(u, t, t + (2 * t if u == "a" and t > 3 else 0)) for u in "abcd" for t in range(6)])
    >>> frame = rows.set_axis(["unit", "time", "y"], axis=1)
    >>> panel = Panel.from_frame(frame, unit="unit", time="time", outcome="y").treat(["a"], at=4)
    >>> round(synthetic_did(panel, variance="none").value, 6)
    9.0
    """
    of_kind("panel", panel, Panel)
    choose("regularisation", regularisation, Regularisation)
    choose("weights", weights, Preset)
    choose("adjustment", adjustment, Adjustment)
    choose("variance", variance, Variance)
    require_donors(panel, exclude)
    settings = _Settings(
        regularisation, weights, tuple(covariates), adjustment, variance, draws, seed, scale, tuple(exclude)
    )
    return _estimate(panel, settings=settings, variance=variance)


@dataclass(frozen=True, slots=True)
class _Settings:
    regularisation: Regularisation
    weights: Preset
    covariates: tuple[str, ...]
    adjustment: Adjustment
    variance: Variance
    draws: int
    seed: int
    scale: DonorScale
    exclude: tuple[object, ...]

    def options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


def _estimate(panel: Panel, *, settings: _Settings, variance: Variance) -> Estimate:
    plain = comparison(panel, scale=settings.scale, exclude=settings.exclude)
    data, found = adjust(plain, panel, settings.covariates, settings.adjustment, partial(_problem, settings=settings))
    problem = _problem(data, settings)
    if settings.covariates and settings.adjustment == "joint":
        # The published ridge looks at the outcome as it is, so that one objective has coefficients and weights.
        problem = replace(problem, ridges=_problem(plain, settings).ridges)
    fitted = problem.contrasts()
    gaps = np.stack([one.gaps for one in fitted])
    donors, periods = [one.donors for one in fitted], [one.periods for one in fitted]
    return pack(
        panel,
        plain,
        gaps,
        labels=Labels(_name(settings), _CITATION, settings.options(), "" if variance == "none" else variance),
        # Replicates that need drawing would be drawn again at every refit.
        fit=partial(_estimate, settings=settings, variance="jackknife" if variance == "jackknife" else "none"),
        weights=weights_frame(data, panel, donors, periods),
        checks=(*donor_checks(plain, gaps, donors, [one.unique for one in fitted]), *found),
        replicates=replicate(panel, data, problem, fitted, variance=variance, draws=settings.draws, seed=settings.seed),
    )


def _name(settings: _Settings) -> str:
    names = {
        "sdid": "synthetic difference in differences",
        "did": "difference in differences",
        "sc": "synthetic control",
        "demeaned_sc": "demeaned synthetic control",
    }
    return names[settings.weights]


def _problem(data: Comparison, settings: _Settings) -> Problem:
    treated = np.stack([data.average(cohort.rows) for cohort in data.cohorts])
    donors = data.series(data.donors)
    ridges = tuple(_ridges(donors, cohort.start, len(cohort.rows), settings) for cohort in data.cohorts)
    return Problem(donors, treated, tuple(cohort.start for cohort in data.cohorts), ridges, settings.weights)


def _ridges(donors: Floats, start: int, n_treated: int, settings: _Settings) -> tuple[float, float]:
    noise = _noise(donors[:, :start], settings.regularisation)
    n_donors, n_periods = donors.shape
    eta = (n_treated * (n_periods - start)) ** 0.25 if settings.weights == "sdid" else _TINY
    return (eta * noise) ** 2 * start, (_TINY * noise) ** 2 * n_donors


def _noise(before: Floats, regularisation: Regularisation) -> float:
    steps = np.diff(before, axis=1)
    if steps.size < 2:
        return 0.0
    if regularisation == "published" or len(steps) == 1:
        return float(steps.std(ddof=1))
    own = steps - steps.mean(axis=0)
    return float(np.sqrt((own**2).sum() / ((steps.shape[0] - 1) * steps.shape[1])))
