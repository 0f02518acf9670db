"""Extended two-way fixed effects (Wooldridge), gaussian and poisson."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from crimepolicy.did.correction import Correction, small_sample_factor
from crimepolicy.did.marginal_effects import MarginalEffects, Measure
from crimepolicy.did.sample import Family, analysis_weights, covariate_values, left_out, single_units
from crimepolicy.did.saturated import Rows, SaturatedFit, fit_saturated
from crimepolicy.errors import DesignError, EstimationError, choose, of_kind
from crimepolicy.estimate import HEADLINE, Estimate, path_term
from crimepolicy.inference.companions import refit_companion
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = ["Control", "Effects", "extended_twfe"]

Control = Literal["not_yet", "never"]
Effects = Literal["cohort", "unit"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

_COMPANIONS: dict[str, Measure] = {"excess": "total", "difference": "difference", "log_mean": "log_mean"}
_CITATION = "Wooldridge (2021), SSRN 3906345; Wooldridge (2023), Econometrics Journal 26(3)"


def extended_twfe(
    panel: Panel,
    *,
    family: Family = "gaussian",
    control: Control = "not_yet",
    effects: Effects = "cohort",
    covariates: Sequence[str] = (),
    correction: Correction = "CR1",
) -> Estimate:
    """Regress the outcome on cohort-by-period treatment effects and average fitted outcomes with and without treatment.

    The estimand is the average effect on the treated over all treated cells: a difference of means for ``"gaussian"``; for
    ``"poisson"`` the log of the ratio of expected counts with treatment to expected counts without.

    Parameters
    ----------
    panel : Panel
        Treatment must stay on. For ``"poisson"`` its population is the exposure.
    family : {"gaussian", "poisson"}
        ``"poisson"`` has the companions ``"excess"`` (all events added), ``"difference"`` (events added per treated cell) and
        ``"log_mean"`` (average of the log effects of the cells).
    control : {"not_yet", "never"}
        Untreated cells of all units, or only those of never-treated units and the last period before treatment.
    effects : {"cohort", "unit"}
        Effects of cohorts, or of units (needed where who is observed changes over time).
    covariates : sequence of str
        Names of panel covariates, best constant over time; their slopes differ by cohort, period and treated cell.
    correction : {"CR0", "CR1", "CR1N", "CR1S"}
        Small-sample factor, as in `two_way_fixed_effects`.

    Returns
    -------
    Estimate
        `cells` by cohort and period; `aggregate` pools fitted outcomes before it compares them.

    Raises
    ------
    DesignError
        Where nobody is treated, no untreated cell is left, or a name is unknown.
    EstimationError
        Where the Poisson likelihood has no maximum or the treated cells have no event.

    Assumptions
    -----------
    Parallel trends (of log means for ``"poisson"``) given covariates, no anticipation. The sample's covariates are taken as given.

    References
    ----------
    Wooldridge (2021), SSRN 3906345; Wooldridge (2023), Econometrics Journal 26(3).

    Examples
    --------
    >>> import pandas as pd
    >>> from crimepolicy.panel import Panel
    >>> rows = pd.DataFrame(
    ...     {"city": list("aabbcc"), "year": [1, 2] * 3, "deaths": [3, 4, 5, 9, 7, 7], "truce": [0, 1, 0, 0, 0, 0]}
    ... )
    >>> effect = extended_twfe(Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce"))
    >>> round(effect.value, 2)
    -1.0
    """
    of_kind("panel", panel, Panel)
    choose("family", family, Family)
    choose("control", control, Control)
    choose("effects", effects, Effects)
    choose("correction", correction, Correction)
    options: dict[str, Any] = {
        "family": family, "control": control, "effects": effects, "covariates": tuple(covariates), "correction": correction
    }  # fmt: skip
    cells = _sample(panel, family, control, effects, covariate_values(panel, covariates))
    design, bare = _design(cells, effects)
    fit = fit_saturated(cells.rows(design, effects), family)
    outcomes = _outcomes(cells, design, bare, fit, family, panel.periods)
    return _packed(panel, cells, fit, outcomes, options)


@dataclass(frozen=True, slots=True)
class _Cells:
    """The sample, one row per unit and period.

    unit, time, cohort, effect : int arrays (m,)
        Positions; the cohort's code (0 for controls); the code of the treatment effect, -1 where there is none.
    outcome, exposure, weight : float arrays (m,); covariates (m, k), centred (m, k) at the cohort's mean.
    fitted : bool array (m,)
        Rows of the regression: not the cells without events that have an effect of their own.
    group, when : int arrays (c,)
        First treated period and period of each effect.
    """

    unit: Ints
    time: Ints
    cohort: Ints
    effect: Ints
    outcome: Floats
    exposure: Floats
    weight: Floats
    covariates: Floats
    centred: Floats
    fitted: Bools
    group: Ints
    when: Ints
    units: Ints
    n_periods: int
    checks: tuple[Check, ...]

    def rows(self, design: sparse.csr_array, effects: Effects) -> Rows:
        """Return the rows of the regression."""
        kept = self.fitted
        return Rows(
            design[kept],
            self.outcome[kept],
            self.exposure[kept],
            self.weight[kept],
            self.unit[kept],
            len(self.units),
            effects == "unit",
        )


# ---------------------------------------------------------------- sample


def _sample(panel: Panel, family: Family, control: Control, effects: Effects, covariates: Floats) -> _Cells:
    first = panel.G
    always = first == 0
    if not np.isfinite(first[~always]).any():
        raise DesignError(
            "Nobody is treated after a period without treatment, so there is no change to compare. Lay a treatment on the panel with panel.treat(units, at=...)."
        )
    if control == "never" and not np.isinf(first).any():
        raise DesignError(
            "No unit is never treated, so control='never' has nothing to compare with. Use control='not_yet'."
        )
    weights = analysis_weights(panel)
    usable = panel.observed & (weights > 0) & ~np.isnan(covariates).any(axis=0)
    event = np.arange(panel.n_periods) - first[:, None]
    own = event >= 0 if control == "not_yet" else np.isfinite(event) & (event != -1)
    counts = np.where(usable, panel.Y, 0.0)
    if family == "poisson" and (counts < 0).any():
        raise DesignError(
            f"family='poisson' needs counts, but {panel.outcome!r} is negative in {int((counts < 0).sum())} cells. Use family='gaussian'."
        )
    inside = usable & ~always[:, None]
    kept = _supported(inside, own, first, counts if family == "poisson" else None, effects)
    if not (kept & (event >= 0)).any():
        raise DesignError(
            "No treated cell can be compared: no untreated cell (for counts, with events) is left for its period and its cohort."
        )
    checks = (
        left_out(
            "always_treated",
            int(always.sum()),
            "units are treated from the first period on and are left out",
            panel.units[always].tolist(),
        ),
        left_out(
            "unobserved_cells", int((~usable).sum()), "cells have no outcome, covariate or weight and are left out"
        ),
        left_out(
            "unsupported_cells",
            int((inside & ~kept).sum()),
            "cells are left out because their period or their cohort has no untreated cell (for counts, with an event), or their unit has no event",
        ),
    )
    return _gathered(panel, kept, own, first, weights, covariates, family, checks)


def _supported(inside: Bools, own: Bools, first: Floats, counts: Floats | None, effects: Effects) -> Bools:
    """Return the cells (N, T) whose period and cohort have untreated cells, for counts with events, until nothing changes."""
    code = pd.factorize(first, sort=True)[0]
    kept, before = inside, -1
    while kept.sum() != before:
        before = int(kept.sum())
        if counts is not None and effects == "unit":
            kept = kept & ((kept * counts).sum(axis=1, keepdims=True) > 0)
        size = np.zeros((code.max() + 1, kept.shape[1]))
        np.add.at(size, code, (kept & ~own) * (1.0 if counts is None else counts))
        kept = kept & ((size.sum(axis=1) > 0)[code, None] & (size.sum(axis=0) > 0))
    return kept


def _gathered(
    panel: Panel,
    kept: Bools,
    own: Bools,
    first: Floats,
    weights: Floats,
    covariates: Floats,
    family: Family,
    checks: tuple[Check, ...],
) -> _Cells:
    row, time = np.nonzero(kept)
    units, unit = np.unique(row, return_inverse=True)
    cohort = np.where(np.isinf(first[row]), 0, 1 + pd.factorize(first[row], sort=True)[0])
    cohort = pd.factorize(cohort, sort=True)[0]
    values = covariates[:, row, time].T
    centred = values - _means(values, cohort)[cohort]
    pairs = np.where(own[row, time], first[row] * panel.n_periods + time, -1.0)
    labels, code = np.unique(pairs, return_inverse=True)
    effect = code - int(labels[0] < 0)
    labels = labels[labels >= 0].astype(int)
    outcome = panel.Y[row, time]
    exposure = np.ones(len(row)) if family == "gaussian" or panel.population is None else panel.population[row, time]
    events = np.bincount(code, outcome, len(np.unique(pairs)))
    # A cell with an effect of its own and no event says that the effect is minus infinity and nothing about the rest.
    silent = (effect >= 0) & (events[code] == 0) if family == "poisson" else np.zeros(len(row), dtype=bool)
    return _Cells(
        unit, time, cohort, effect, outcome, exposure, weights[row, time], values, centred, ~silent,
        labels // panel.n_periods, labels % panel.n_periods, units, panel.n_periods, (*checks, single_units(first[units])),
    )  # fmt: skip


def _means(values: Floats, code: Ints) -> Floats:
    sums = np.zeros((code.max() + 1, values.shape[1]))
    np.add.at(sums, code, values)
    means: Floats = sums / np.bincount(code)[:, None]
    return means


# ---------------------------------------------------------------- design


def _design(cells: _Cells, effects: Effects) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return the design (m, p) and the same with the treatment effects taken out."""
    one = np.ones(len(cells.time))
    blocks = [_dummies(cells.time - 1, one)]
    if effects == "cohort":
        blocks.append(_dummies(cells.cohort, one))
    for value in cells.covariates.T:
        blocks += [
            _dummies(np.zeros(len(one), dtype=int), value),
            _dummies(cells.cohort - 1, value),
            _dummies(cells.time - 1, value),
        ]
    spoken = np.where(cells.fitted, cells.effect, -1)
    treatment = [
        _dummies(spoken, one, len(cells.group)),
        *(_dummies(spoken, value, len(cells.group)) for value in cells.centred.T),
    ]
    bare = sparse.hstack(blocks, format="csr")
    width = sum(block.shape[1] for block in treatment)
    nothing = sparse.csr_array((len(one), width))
    return sparse.hstack([bare, *treatment], format="csr"), sparse.hstack([bare, nothing], format="csr")


def _dummies(code: Ints, value: Floats, width: int | None = None) -> sparse.csr_array:
    """Return value (m,) in the column given by its code, nothing where the code is negative."""
    kept = np.flatnonzero(code >= 0)
    columns = int(code.max(initial=-1)) + 1 if width is None else width
    return sparse.csr_array((value[kept], (kept, code[kept])), shape=(len(code), columns))


# ---------------------------------------------------------------- fitted outcomes


def _outcomes(
    cells: _Cells,
    design: sparse.csr_array,
    bare: sparse.csr_array,
    fit: SaturatedFit,
    family: Family,
    periods: pd.Index,
) -> dict[Measure, MarginalEffects]:
    """Sum fitted outcomes by effect, with and without treatment, on each scale."""
    base = fit.unit_effects[cells.unit]
    upper, lower = design @ fit.coefficients + base, bare @ fit.coefficients + base
    linear = _summed(cells, fit, ((design, upper, None), (bare, lower, None)))
    if family == "gaussian":
        return {"difference": _marginal("difference", cells, linear, periods)}
    means = tuple(
        np.where(known, cells.exposure * np.exp(eta), 0.0)
        for known, eta in ((cells.fitted, upper), (np.ones_like(cells.fitted), lower))
    )
    counts = _summed(cells, fit, ((design, means[0], means[0]), (bare, means[1], means[1])))
    spoken = np.bincount(cells.effect[cells.fitted & (cells.effect >= 0)], minlength=len(cells.group)) > 0
    measures: tuple[Measure, ...] = ("log_ratio", "total", "difference")
    return {name: _marginal(name, cells, counts, periods) for name in measures} | {
        "log_mean": _marginal("log_mean", cells, linear, periods, spoken)
    }


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums (2, c) of fitted outcomes with and without treatment, their influence (2, c, n), and which are identified (c,)."""

    value: Floats
    influence: Floats
    identified: Bools


def _summed(
    cells: _Cells, fit: SaturatedFit, sides: tuple[tuple[sparse.csr_array, Floats, Floats | None], ...]
) -> _Sums:
    treated = np.flatnonzero(cells.effect >= 0)
    code, weight = cells.effect[treated], cells.weight[treated]
    shape = (len(cells.group), len(treated))
    values, parts = [], []
    identified = np.ones(len(cells.group), dtype=bool)
    for design, outcome, slope in sides:
        values.append(np.bincount(code, weight * outcome[treated], len(cells.group)))
        pull = weight if slope is None else weight * slope[treated]
        gather = sparse.csr_array((pull, (code, np.arange(len(treated)))), shape=shape)
        by_unit = sparse.csr_array((pull, (code, cells.unit[treated])), shape=(len(cells.group), len(cells.units)))
        part, known = fit.influence((gather @ design[treated]).toarray(), by_unit)
        parts.append(part)
        identified &= known
    return _Sums(np.stack(values), np.stack(parts), identified)


def _marginal(
    measure: Measure, cells: _Cells, sums: _Sums, periods: pd.Index, kept: Bools | None = None
) -> MarginalEffects:
    kept = sums.identified if kept is None else kept & sums.identified
    size = np.bincount(cells.effect[cells.effect >= 0], cells.weight[cells.effect >= 0], len(cells.group))
    return MarginalEffects(
        measure, cells.group[kept], cells.when[kept], sums.value[0, kept], sums.value[1, kept], size[kept],
        sums.influence[0, kept], sums.influence[1, kept], periods,
    )  # fmt: skip


# ---------------------------------------------------------------- packing


def _packed(
    panel: Panel, cells: _Cells, fit: SaturatedFit, outcomes: dict[Measure, MarginalEffects], options: dict[str, Any]
) -> Estimate:
    poisson = options["family"] == "poisson"
    main = outcomes["log_ratio" if poisson else "difference"]
    if not np.isfinite(main.over(main.time >= main.group)[0]):
        raise EstimationError(
            f"The treated cells have no event of {panel.outcome!r}, so the log effect is minus infinity. Use imputation(family='poisson').excess(), or a longer period."
        )
    factor, clusters = _factor(panel, cells, fit, options)
    lost = len(cells.group) - len(main.group)
    shared: dict[str, Any] = {
        "panel": panel, "factor": factor, "correction": options["correction"], "df": float(clusters - 1) if clusters > 1 else None,
        "method": f"extended two-way fixed effects ({options['family']})", "citation": _CITATION, "options": options,
        "n_units": len(cells.units), "n_treated": int(np.isfinite(panel.G[cells.units]).sum()),
        "checks": (*panel.checks, *cells.checks, left_out("cells_left_out", lost, "cohort-by-period effects are not identified and are left out"), _steps(fit, poisson)),
    }  # fmt: skip
    again = partial(extended_twfe, **options)
    estimate = _estimate(panel, cells, main, {**shared, "fit": again}, "log" if poisson else "level")
    if not poisson:
        return estimate
    companions = {
        name: _estimate(
            panel,
            cells,
            outcomes[measure],
            {**shared, "fit": refit_companion(again, name)},
            "log" if measure == "log_mean" else "level",
        )
        for name, measure in _COMPANIONS.items()
    }
    return estimate.replace(companions=companions)


def _estimate(panel: Panel, cells: _Cells, effects: MarginalEffects, shared: dict[str, Any], scale: str) -> Estimate:
    after = effects.time >= effects.group
    value, influence = effects.over(after)
    each = [effects.over(np.arange(len(after)) == c) for c in range(len(after))]
    text = panel.periods.astype(str).to_numpy()
    names = [path_term("cell", f"{text[g]}, {text[t]}") for g, t in zip(effects.group, effects.time, strict=True)]
    psi = pd.DataFrame(
        np.column_stack([influence, *(part for _, part in each)]),
        index=panel.units[cells.units],
        columns=[HEADLINE, *names],
    )
    frame = pd.DataFrame(
        {
            "group": panel.periods[effects.group],
            "time": panel.periods[effects.time],
            "event_time": effects.time - effects.group,
            "estimate": [number for number, _ in each],
            "weight": effects.size,
        }
    )
    known = np.isfinite([value, *frame["estimate"]])
    return Estimate.from_psi(
        value=value,
        psi=psi.loc[:, known],
        cells=frame,
        estimand=_sentence(panel, effects.measure),
        scale=scale,
        aggregator=effects,
        **shared,
    )


def _sentence(panel: Panel, measure: Measure) -> str:
    return {
        "difference": f"average effect on the treated on {panel.outcome} per treated cell",
        "log_ratio": f"log ratio of expected {panel.outcome} with treatment to without, in all treated cells",
        "log_mean": f"average over treated cells of the effect on the log mean of {panel.outcome}",
        "total": f"{panel.outcome} added (averted, if negative) in all treated cells",
    }[measure]


def _factor(panel: Panel, cells: _Cells, fit: SaturatedFit, options: dict[str, Any]) -> tuple[float, int]:
    rank = len(fit.coefficients) - fit.null.shape[1]
    clusters = len(pd.unique(panel.clusters[cells.units]))
    units = options["effects"] == "unit"
    return small_sample_factor(
        options["correction"], clusters, int(cells.fitted.sum()), rank + units, rank + units * len(cells.units)
    ), clusters


def _steps(fit: SaturatedFit, poisson: bool) -> Check:
    return Check(
        "convergence",
        True,
        fit.n_steps,
        f"{'Maximum found' if poisson else 'Solved'} in {fit.n_steps} step{'s' if fit.n_steps > 1 else ''}.",
    )
