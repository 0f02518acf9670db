"""Interaction-weighted event study (Sun and Abraham), gaussian and poisson."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.did.aggregation import HEADLINES, CellAverages, average
from crimepolicy.did.correction import Correction, small_sample_factor
from crimepolicy.did.demean import Projection, projection
from crimepolicy.did.poisson import fit_poisson
from crimepolicy.did.sample import Family, Sample, covariate_values, left_out, regression_sample, single_units
from crimepolicy.errors import DesignError, choose, of_kind
from crimepolicy.estimate import HEADLINE, Estimate, path_term
from crimepolicy.inference.companions import refit_companion
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = ["Shares", "interaction_weighted"]

Shares = Literal["fixed", "estimated"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

_CITATION = "Sun and Abraham (2021), Journal of Econometrics 225(2)"


def interaction_weighted(
    panel: Panel,
    *,
    family: Family = "gaussian",
    covariates: Sequence[str] = (),
    shares: Shares = "fixed",
    correction: Correction = "CR1",
) -> Estimate:
    """Regress the outcome on cohort-by-period effects and average them by cohort share.

    The estimand at event time e is the average effect, e periods after treatment starts, over the cohorts observed then;
    the headline averages all treated cells. Each cohort is compared with never-treated units or, where there are none, with
    the cohort treated last, whose treated periods are left out.

    Parameters
    ----------
    panel : Panel
        Treatment must stay on. Unbalanced panels and weights are allowed; for ``"poisson"`` its population is the exposure.
    family : {"gaussian", "poisson"}
        ``"poisson"`` gives effects on the log scale.
    covariates : sequence of str
        Names of panel covariates that change over time; one slope each.
    shares : {"fixed", "estimated"}
        Whether the standard errors take the cohort shares as given or as estimates.
    correction : {"CR0", "CR1", "CR1N", "CR1S"}
        Small-sample factor, as in `two_way_fixed_effects`.

    Returns
    -------
    Estimate
        `path` by event time, relative to -1, and `cells` by cohort and period.

    Raises
    ------
    DesignError
        Where nobody is treated after a first period without treatment, or a name is unknown.
    EstimationError
        Where the Poisson likelihood has no maximum.

    Assumptions
    -----------
    Parallel trends (of log means for ``"poisson"``) between each cohort and the controls, and no anticipation.

    References
    ----------
    Sun and Abraham (2021), Journal of Econometrics 225(2).

    Examples
    --------
    >>> import pandas as pd
    >>> from crimepolicy.panel import Panel
    >>> rows = pd.DataFrame(
    ...     {"city": list("aabbcc"), "year": [1, 2] * 3, "deaths": [3, 4, 5, 9, 7, 7], "truce": [0, 1, 0, 0, 0, 0]}
    ... )
    >>> effect = interaction_weighted(
    ...     Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    ... )
    >>> round(effect.value, 2)
    -1.0
    """
    of_kind("panel", panel, Panel)
    choose("family", family, Family)
    choose("shares", shares, Shares)
    choose("correction", correction, Correction)
    options = {"family": family, "covariates": tuple(covariates), "shares": shares, "correction": correction}
    design = _design(panel, tuple(covariates), family)
    fit = _fit(design, family)
    cells, checks = _cells(design, fit)
    return _packed(panel, design, fit, cells, checks, options)


@dataclass(frozen=True, slots=True)
class _Design:
    """Regressors (k, N, T), sample, cohort (N,) with inf for controls, and stratum (N,): 0 for controls, then cohorts."""

    regressors: Floats
    sample: Sample
    cohort: Floats
    strata: Ints
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class _Fit:
    """Period effects (R, T) by stratum, their own influence (N, T), slopes of both on covariates, weights (N, T)."""

    effects: Floats
    influence: Floats
    slopes: Floats
    slope_influence: Floats
    weights: Floats
    n_sets: int
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class _Cells:
    """Cells: cohort and time (positions), effect, weight, observed outcome, all (c,), and influence (c, N)."""

    group: Ints
    time: Ints
    effect: Floats
    weight: Floats
    outcome: Floats
    influence: Floats


def _design(panel: Panel, covariates: tuple[str, ...], family: Family) -> _Design:
    cohort = panel.G.copy()
    always = cohort == 0
    treated = cohort[np.isfinite(cohort) & ~always]
    if not treated.size:
        raise DesignError(
            "Nobody is treated after a period without treatment, so there is no change to compare. Lay a treatment on the panel with panel.treat(units, at=...)."
        )
    kept = np.repeat(~always[:, None], panel.n_periods, axis=1)
    note = Check(
        "controls",
        True,
        int(np.isinf(cohort).sum()),
        f"{int(np.isinf(cohort).sum()):,} never-treated units are the controls.",
    )
    if not np.isinf(cohort).any():
        last = treated.max()
        kept[:, int(last) :] = False
        cohort[cohort == last] = np.inf
        note = Check(
            "controls",
            None,
            int(np.isinf(cohort).sum()),
            f"No unit is never treated: the {int(np.isinf(cohort).sum()):,} units treated last ({panel.periods[int(last)]}) are the controls, and the periods from then on are left out.",
        )
    if not np.isfinite(cohort[~always]).any():
        raise DesignError(
            "All treated units start in the same period and none is never treated, so no control is left."
        )
    strata = np.where(np.isinf(cohort), 0, 1 + pd.factorize(cohort, sort=True)[0])
    strata = pd.factorize(strata, sort=True)[0]
    regressors = covariate_values(panel, covariates)
    sample = regression_sample(panel, kept, regressors, strata, family, alone=True)
    checks = (
        left_out(
            "always_treated",
            int(always.sum()),
            "units are treated from the first period on and are left out",
            panel.units[always].tolist(),
        ),
        note,
    )
    return _Design(np.where(sample.weights > 0, regressors, 0.0), sample, cohort, strata, checks)


def _fit(design: _Design, family: Family) -> _Fit:
    sample, regressors = design.sample, design.regressors
    if family == "gaussian":
        working = projection(sample.weights, design.strata)
        return _linear(working, sample.weights, sample.weights, sample.outcome, regressors, ())
    found = fit_poisson(sample.outcome, sample.exposure, regressors, sample.weights, design.strata)
    weights = sample.weights * found.sample
    mean = np.where(found.sample, found.mean, 1.0)
    predictor = found.effects + np.tensordot(found.coefficients, regressors, axes=1)
    target = np.where(found.sample, predictor + (sample.outcome - mean) / mean, 0.0)
    checks = (
        left_out(
            "separated_cells",
            found.n_separated,
            "cells without events are fitted perfectly by an effect that runs to minus infinity, and are left out",
        ),
        Check(
            "convergence",
            True,
            found.last_step,
            f"Maximum found in {found.n_steps} steps; the last was {found.last_step:.1g} standard errors long.",
        ),
    )
    return _linear(found.working, weights * found.mean, weights, target, regressors, checks)


def _linear(
    working: Projection,
    working_weights: Floats,
    weights: Floats,
    target: Floats,
    regressors: Floats,
    checks: tuple[Check, ...],
) -> _Fit:
    """Solve the weighted least-squares problem that both families end in."""
    net = working.residuals(np.concatenate([regressors, target[None]]))
    flat = net[:-1].reshape(len(regressors), target.size)
    normal = (flat * working_weights.ravel()) @ flat.T
    if len(normal) and np.linalg.cond(normal) > 1e12:
        raise DesignError(
            "The covariates do not vary over time within unit and cohort, or are collinear, so cohort-by-period effects absorb them. Leave them out."
        )
    slopes = np.linalg.solve(normal, (flat * working_weights.ravel()) @ net[-1].ravel())
    scores = working_weights * (net[-1] - np.tensordot(slopes, net[:-1], axes=1))
    slope_influence = np.einsum("knt,nt->nk", net[:-1], scores) @ np.linalg.inv(normal)
    stacked = working.period_effects(np.concatenate([regressors, target[None]]))
    effects = np.concatenate([stacked[:-1], (stacked[-1] - np.tensordot(slopes, stacked[:-1], axes=1))[None]])
    return _Fit(effects, working.period_influence(scores), slopes, slope_influence, weights, working.n_sets, checks)


def _cells(design: _Design, fit: _Fit) -> tuple[_Cells, tuple[Check, ...]]:
    """Contrast each cohort's period effects with the controls', both relative to the cohort's last untreated period."""
    inside = fit.weights > 0
    seen = np.array([inside[design.strata == code].any(axis=0) for code in range(design.strata.max() + 1)])
    groups = np.unique(design.cohort[np.isfinite(design.cohort) & (design.cohort > 0)]).astype(int)
    kept, effects, weights, outcomes, parts = [], [], [], [], []
    for group in groups:
        rows = design.cohort == group
        code = design.strata[rows][0]
        base = group - 1
        valid = np.flatnonzero(seen[0] & seen[code] & seen[0, base] & seen[code, base])
        contrast = fit.effects[:, code] - fit.effects[:, 0]
        contrast = (contrast - contrast[:, [base]])[:, valid]
        side = np.where(rows, 1.0, np.where(design.strata == 0, -1.0, 0.0))
        own = side * (fit.influence[:, valid] - fit.influence[:, [base]]).T
        parts.append(own - contrast[:-1].T @ fit.slope_influence.T)
        effects.append(contrast[-1])
        kept.append(np.column_stack([np.full(len(valid), group), valid]))
        weights.append((fit.weights * rows[:, None])[:, valid].sum(axis=0))
        outcomes.append((fit.weights * design.sample.outcome * rows[:, None])[:, valid].sum(axis=0))
    labels = np.concatenate(kept)
    influence = np.concatenate(parts)
    influence[labels[:, 1] == labels[:, 0] - 1] = 0.0
    cells = _Cells(
        labels[:, 0],
        labels[:, 1],
        np.concatenate(effects),
        np.concatenate(weights),
        np.concatenate(outcomes),
        influence,
    )
    lost = len(groups) * int(seen.any(axis=0).sum()) - len(labels)
    return cells, (
        left_out(
            "cells_left_out",
            lost,
            "cohort-by-period cells have no observation (for counts, no event) on one side, there or before treatment, and are left out",
        ),
        single_units(design.cohort[inside.any(axis=1)]),
    )


def _packed(
    panel: Panel, design: _Design, fit: _Fit, cells: _Cells, checks: tuple[Check, ...], options: dict[str, Any]
) -> Estimate:
    used = (fit.weights > 0).any(axis=1)
    family = options["family"]
    outcome = f"log mean of {panel.outcome}" if family == "poisson" else panel.outcome
    sentence = (
        f"average effect on the treated on the {outcome}"
        if family == "poisson"
        else f"average effect on the treated on {outcome}"
    )
    given = cells.weight if options["shares"] == "fixed" else None
    share = fit.weights[used].sum(axis=1)
    aggregator = CellAverages(
        cells.group,
        cells.time,
        cells.effect,
        cells.influence[:, used],
        design.cohort[used],
        share,
        panel.periods,
        sentence,
        shares=given,
    )
    simple, event = average(aggregator, "simple"), average(aggregator, "event")
    text = panel.periods.astype(str).to_numpy()
    terms = [
        HEADLINE,
        *(path_term("event_time", e) for e in event.labels),
        *(path_term("cell", f"{text[g]}, {text[t]}") for g, t in zip(cells.group, cells.time, strict=True)),
    ]
    influence = np.column_stack([simple.influence, event.influence[:, 1:], cells.influence[:, used].T])
    # Reference points are zero by construction: no influence, hence no standard error.
    known = np.append(True, influence[:, 1:].any(axis=0))
    psi = pd.DataFrame(influence, index=panel.units[used], columns=terms).loc[:, known]
    factor, clusters = _factor(panel, fit, used, int(cells.influence.any(axis=1).sum()), options["correction"])
    shared: dict[str, Any] = {
        "panel": panel, "factor": factor, "correction": options["correction"], "df": float(clusters - 1) if clusters > 1 else None,
        "method": f"interaction-weighted regression ({family})", "citation": _CITATION, "options": options, "n_units": int(used.sum()),
        "n_treated": int(np.isfinite(design.cohort[used]).sum()),
    }  # fmt: skip
    return Estimate.from_psi(
        value=simple.value,
        psi=psi,
        path=pd.DataFrame(
            {"estimate": event.values, "n_cells": event.cells}, index=pd.Index(event.labels, name="event_time")
        ),
        cells=_frame(panel, cells),
        estimand=f"{sentence}, {HEADLINES['simple']}",
        scale="log" if family == "poisson" else "level",
        companions={"excess": _excess(panel, cells, psi.index, used, shared)} if family == "poisson" else {},
        checks=(*panel.checks, *design.checks, *design.sample.checks, *fit.checks, *checks),
        fit=partial(interaction_weighted, **options),
        aggregator=aggregator,
        **shared,
    )


def _frame(panel: Panel, cells: _Cells) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "group": panel.periods[cells.group],
            "time": panel.periods[cells.time],
            "event_time": cells.time - cells.group,
            "estimate": cells.effect,
            "weight": cells.weight,
        }
    )


def _factor(panel: Panel, fit: _Fit, used: Bools, n_effects: int, correction: Correction) -> tuple[float, int]:
    inside = fit.weights > 0
    periods, slopes = int(inside.any(axis=0).sum()), len(fit.slopes) + n_effects
    clusters = len(pd.unique(panel.clusters[used]))
    return small_sample_factor(
        correction, clusters, int(inside.sum()), slopes + periods, slopes + periods + int(used.sum()) - 1
    ), clusters


def _excess(panel: Panel, cells: _Cells, units: pd.Index, used: Bools, shared: dict[str, Any]) -> Estimate:
    """Return events added in the treated cells: observed less observed divided by the rate ratio."""
    after = cells.time >= cells.group
    without = cells.outcome[after] * np.exp(-cells.effect[after])
    return Estimate.from_psi(
        value=float((cells.outcome[after] - without).sum()),
        psi=pd.DataFrame({HEADLINE: without @ cells.influence[after][:, used]}, index=units),
        estimand=f"{panel.outcome} added (averted, if negative) in all treated cells, given those observed",
        fit=refit_companion(partial(interaction_weighted, **shared["options"]), "excess"),
        **shared,
    )
