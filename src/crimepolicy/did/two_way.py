"""Two-way fixed effects: one coefficient, or a path by event time, with unit and period effects."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.did.correction import Correction, small_sample_factor
from crimepolicy.did.demean import Projection, projection
from crimepolicy.did.poisson import fit_poisson
from crimepolicy.did.sample import Family, Sample, covariate_values, left_out, regression_sample
from crimepolicy.errors import DesignError, choose, of_kind, offenders
from crimepolicy.estimate import HEADLINE, Estimate, path_term
from crimepolicy.inference.cell_scores import CellScores, linear_scores
from crimepolicy.inference.companions import refit_companion
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = ["Effects", "Ends", "two_way_fixed_effects"]

Effects = Literal["unit+period", "unit+region:period"]
Ends = Literal["bin", "drop"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Ints = np.ndarray[Any, np.dtype[np.intp]]

_REFERENCE = -1
# A regressor that keeps less than this share of its variation once effects and the others are taken out is not identified.
_COLLINEAR = 1e-10
_CITATION = "Wooldridge (2010), Econometric Analysis of Cross Section and Panel Data; Correia, Guimaraes and Zylkin (2020), Stata Journal 20, for counts"


def two_way_fixed_effects(
    panel: Panel,
    *,
    family: Family = "gaussian",
    effects: Effects = "unit+period",
    covariates: Sequence[str] = (),
    event_study: tuple[int, int] | None = None,
    ends: Ends = "bin",
    correction: Correction = "CR1",
) -> Estimate:
    """Regress the outcome on treatment with unit and period effects.

    The estimand is the coefficient of the treatment (of the dose, where the panel has one): the average effect on the
    treated only where effects are the same for all units and dates. With `event_study` it is one coefficient per period
    since the start of treatment, and the headline their average from period 0 on.

    Parameters
    ----------
    panel : Panel
        Unbalanced panels and weights are allowed. For ``"poisson"`` its population is the exposure.
    family : {"gaussian", "poisson"}
        ``"poisson"`` gives effects on the log scale: `as_ratio` turns them into rate ratios, `excess` into events.
    effects : {"unit+period", "unit+region:period"}
        Period effects common to all, or free in each region of the panel.
    covariates : sequence of str
        Names of panel covariates; other treatments may be among them.
    event_study : (first, last), optional
        Window of event times; the reference is -1.
    ends : {"bin", "drop"}
        What happens to cells beyond the window: counted in its ends, or left out of the sample.
    correction : {"CR0", "CR1", "CR1N", "CR1S"}
        Small-sample factor, with G clusters, n cells and K parameters: none; G/(G-1); the same times (n-1)/(n-K), K without
        effects nested in clusters (default of fixest and reghdfe); the same with K all parameters.

    Returns
    -------
    Estimate
        `path` by event time or, with covariates, by covariate. `psi` has one row per unit in the sample.

    Raises
    ------
    DesignError
        Where nobody is treated, the treatment is absorbed by the effects, or a name is unknown.
    EstimationError
        Where the Poisson likelihood has no maximum.

    Assumptions
    -----------
    Parallel trends (of log means for ``"poisson"``) between all units and dates compared, no anticipation before the
    reference, and effects that do not differ across cohorts and periods. See the check ``negative_weights``.

    References
    ----------
    Wooldridge (2010); Correia, Guimaraes and Zylkin (2020), Stata Journal 20; de Chaisemartin and D'Haultfoeuille (2020),
    American Economic Review 110.

    Examples
    --------
    >>> import pandas as pd
    >>> from crimepolicy.panel import Panel
    >>> rows = pd.DataFrame(
    ...     {"city": list("aabbcc"), "year": [1, 2] * 3, "deaths": [3, 4, 5, 9, 7, 7], "truce": [0, 1, 0, 0, 0, 0]}
    ... )
    >>> effect = two_way_fixed_effects(
    ...     Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    ... )
    >>> round(effect.value, 2)
    -1.0
    """
    of_kind("panel", panel, Panel)
    choose("family", family, Family)
    choose("effects", effects, Effects)
    choose("ends", ends, Ends)
    choose("correction", correction, Correction)
    options = {
        "family": family,
        "effects": effects,
        "covariates": tuple(covariates),
        "event_study": event_study,
        "ends": ends,
        "correction": correction,
    }
    design, fit = _fitted(panel, options)
    factor, clusters = _factor(panel, design, fit, correction)
    return _packed(panel, design, fit, factor, clusters, options)


@dataclass(frozen=True, slots=True)
class _Design:
    """Regressors (k, N, T), their names, how many are effects, their event times, the sample and the strata (N,)."""

    regressors: Floats
    names: tuple[str, ...]
    n_effects: int
    event_times: tuple[int, ...]
    sample: Sample
    strata: Ints | None


@dataclass(frozen=True, slots=True)
class _Fit:
    """Coefficients (k,), bread (k, k), net regressors (k, N, T), residuals and weights (N, T), zero outside the sample."""

    coefficients: Floats
    bread: Floats
    net: Floats
    residual: Floats
    weights: Floats
    working: Projection
    checks: tuple[Check, ...]

    def influence(self) -> Floats:
        """Return the influence (N, k) of each unit."""
        return np.asarray(np.einsum("knt,nt->nk", self.net, self.weights * self.residual) @ self.bread)


def _fitted(panel: Panel, options: dict[str, Any]) -> tuple[_Design, _Fit]:
    design = _design(
        panel, options["effects"], options["covariates"], options["event_study"], options["ends"], options["family"]
    )
    return design, _poisson(panel, design) if options["family"] == "poisson" else _gaussian(panel, design)


# ---------------------------------------------------------------- design


def _design(
    panel: Panel,
    effects: Effects,
    covariates: tuple[str, ...],
    window: tuple[int, int] | None,
    ends: Ends,
    family: Family,
) -> _Design:
    if not panel.D.any() and panel.dose is None:
        raise DesignError(
            "Nobody is treated in this panel. Lay a treatment on it with panel.treat(units, at=...), or give treated= to Panel.from_frame."
        )
    strata = _strata(panel, effects)
    kept, times, dummies = (panel.observed, (), None) if window is None else _event_dummies(panel, window, ends)
    columns = [panel.D.astype(float) if panel.dose is None else panel.dose] if dummies is None else dummies
    names = (HEADLINE,) if window is None else tuple(path_term("event_time", e) for e in times)
    regressors = np.concatenate([np.stack(columns), covariate_values(panel, covariates)])
    sample = regression_sample(panel, kept, regressors, strata, family)
    names += tuple(path_term("covariate", name) for name in covariates)
    inside = sample.weights > 0
    regressors = regressors if inside.all() else np.where(inside, regressors, 0.0)
    return _Design(regressors, names, len(columns), times, sample, strata)


def _strata(panel: Panel, effects: Effects) -> Ints | None:
    if effects == "unit+period":
        return None
    if panel.region is None:
        raise DesignError("effects='unit+region:period' needs regions. Give region= to Panel.from_frame.")
    return pd.factorize(panel.region)[0]


def _event_dummies(panel: Panel, window: tuple[int, int], ends: Ends) -> tuple[Bools, tuple[int, ...], list[Floats]]:
    first, last = window
    if not first <= _REFERENCE <= last or first == last:
        raise DesignError(f"event_study={window!r} should be (first, last) around the reference -1, such as (-12, 24).")
    event = np.arange(panel.n_periods) - panel.G[:, None]
    treated = np.isfinite(panel.G)[:, None]
    kept = panel.observed & (~treated | ((event >= first) & (event <= last))) if ends == "drop" else panel.observed
    event = np.where(treated, np.clip(event, first, last), _REFERENCE)
    times = tuple(e for e in range(first, last + 1) if e != _REFERENCE and (kept & (event == e)).any())
    return kept, times, [(event == e).astype(float) for e in times]


# ---------------------------------------------------------------- fits


def _gaussian(panel: Panel, design: _Design) -> _Fit:
    working = projection(design.sample.weights, design.strata)
    stacked = working.residuals(np.concatenate([design.regressors, design.sample.outcome[None]]))
    net, outcome = stacked[:-1], stacked[-1]
    bread, cross = _normal(net, outcome, design.sample.weights, design)
    coefficients = bread @ cross
    residual = outcome - np.tensordot(coefficients, net, axes=1)
    checks = (
        (_negative_weights(panel, design, net[0] * design.sample.weights),)
        if design.n_effects == 1 and panel.dose is None
        else ()
    )
    return _Fit(coefficients, bread, net, residual, design.sample.weights, working, checks)


def _poisson(panel: Panel, design: _Design) -> _Fit:
    sample = design.sample
    found = fit_poisson(sample.outcome, sample.exposure, design.regressors, sample.weights, design.strata)
    weights = sample.weights * found.sample
    bread, _ = _normal(found.regressors, sample.outcome, weights * found.mean, design)
    residual = sample.outcome - found.mean
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
    return _Fit(found.coefficients, bread, found.regressors, residual, weights, found.working, checks)


def _normal(net: Floats, outcome: Floats, weights: Floats, design: _Design) -> tuple[Floats, Floats]:
    flat = net.reshape(len(net), -1)
    weighted = flat * weights.ravel()
    normal = weighted @ flat.T
    raw = np.einsum("knt,nt,knt->k", design.regressors, weights, design.regressors)
    scale = np.sqrt(np.diag(normal))
    absorbed = np.diag(normal) <= _COLLINEAR * np.maximum(raw, 1e-300)
    if absorbed.any():
        names = [name for name, gone in zip(design.names, absorbed, strict=True) if gone]
        raise DesignError(
            f"The unit and period effects leave no variation in {offenders(_readable(names))}. Treatment must start at different dates or "
            "miss some units, covariates must change over time (and for counts, some cells with an event must be treated)."
        )
    values, _ = np.linalg.eigh(normal / np.outer(scale, scale))
    if values[0] < _COLLINEAR:
        raise DesignError(
            f"These regressors are collinear given the unit and period effects: {offenders(_readable(design.names))}. In an event study without never-treated "
            "units leads and lags are not identified: narrow the window with ends='bin', or use imputation or group_time_effects."
        )
    return np.linalg.inv(normal), weighted @ outcome.ravel()


def _readable(names: Sequence[str]) -> list[str]:
    return ["the treatment" if name == HEADLINE else name for name in names]


def _negative_weights(panel: Panel, design: _Design, weighted: Floats) -> Check:
    """Count treated cells that enter the coefficient with a negative weight (de Chaisemartin and D'Haultfoeuille)."""
    on = weighted[panel.D & (design.sample.weights > 0)]
    negative = on[on < 0]
    share = float(-negative.sum() / on.sum())
    text = f"{negative.size:,} of {on.size:,} treated cells have a negative weight in the coefficient, {share:.1%} of the total"
    return Check(
        "negative_weights",
        True if not negative.size else None,
        share,
        f"{text}; where effects differ, they count with the wrong sign.",
    )


# ---------------------------------------------------------------- packing


def _factor(panel: Panel, design: _Design, fit: _Fit, correction: Correction) -> tuple[float, int]:
    sample = fit.weights > 0
    used = sample.any(axis=1)
    clusters = pd.factorize(panel.clusters[used])[0]
    count = int(clusters.max()) + 1
    strata = np.zeros(len(sample), dtype=int) if design.strata is None else design.strata
    periods = sum(int(sample[strata == code].any(axis=0).sum()) for code in np.unique(strata))
    # Clusters contain whole units, so unit effects always count as nested; region-by-period effects where a region is one cluster.
    regions = pd.Series(clusters).groupby(strata[used]).nunique()
    nested = len(design.names) + (1 if (regions == 1).all() else periods)
    full = len(design.names) + int(used.sum()) + periods - fit.working.n_sets
    return small_sample_factor(correction, count, int(sample.sum()), nested, full), count


def _packed(
    panel: Panel, design: _Design, fit: _Fit, factor: float, clusters: int, options: dict[str, Any]
) -> Estimate:
    used = (fit.weights > 0).any(axis=1)
    influence = pd.DataFrame(fit.influence()[used], index=panel.units[used], columns=list(design.names))
    after = np.flatnonzero(np.asarray(design.event_times) >= 0)
    if design.event_times:
        if not after.size:
            raise DesignError(
                f"event_study={options['event_study']!r} has no treated period. Let the window reach 0 or beyond."
            )
        influence.insert(0, HEADLINE, influence.iloc[:, after].mean(axis=1))
    family = options["family"]
    value = float(fit.coefficients[after].mean() if design.event_times else fit.coefficients[0])
    estimate = Estimate.from_psi(
        value=value,
        psi=influence,
        panel=panel,
        path=_path(design, fit.coefficients),
        factor=factor,
        correction=options["correction"],
        df=float(clusters - 1) if clusters > 1 else None,
        estimand=_estimand(panel, options),
        method=f"two-way fixed effects ({family})",
        citation=_CITATION,
        options=options,
        scale="log" if family == "poisson" else "level",
        n_units=int(used.sum()),
        checks=(*panel.checks, *design.sample.checks, *fit.checks),
        fit=partial(two_way_fixed_effects, **options),
        by_cell=partial(_by_cell, panel, options),
    )
    return (
        estimate.replace(companions={"excess": _excess(panel, design, fit, estimate, influence)})
        if family == "poisson"
        else estimate
    )


def _by_cell(panel: Panel, options: dict[str, Any]) -> CellScores:
    """Fit again and return the influence of each cell: it is wanted rarely, and large."""
    design, fit = _fitted(panel, options)
    unit, period = np.nonzero(fit.weights)
    weighted = (fit.weights * fit.residual)[unit, period]
    strata = np.zeros(panel.n_units, dtype=int) if design.strata is None else design.strata
    scores = CellScores(
        design.names,
        (fit.net[:, unit, period] * weighted).T @ fit.bread,
        unit,
        period,
        strata[unit],
        fit.bread,
        float((weighted * fit.residual[unit, period]).sum()) if options["family"] == "gaussian" else None,
        len(design.names),
        fit.working.n_sets,
    )
    if not design.event_times:
        return scores
    after = np.asarray(design.event_times) >= 0
    average = np.concatenate([after / after.sum(), np.zeros(len(design.names) - design.n_effects)])
    return linear_scores(scores, (HEADLINE, *design.names), np.column_stack([average, np.eye(len(design.names))]))


def _path(design: _Design, coefficients: Floats) -> pd.DataFrame | None:
    if design.event_times:
        values = pd.Series(coefficients[: design.n_effects], index=list(design.event_times))
        full = pd.concat([values, pd.Series({_REFERENCE: 0.0})]).sort_index()
        return pd.DataFrame({"estimate": full.to_numpy()}, index=pd.Index(full.index, name="event_time"))
    names = [name.removeprefix("covariate[").removesuffix("]") for name in design.names[1:]]
    return pd.DataFrame({"estimate": coefficients[1:]}, index=pd.Index(names, name="covariate")) if names else None


def _estimand(panel: Panel, options: dict[str, Any]) -> str:
    outcome = f"log mean of {panel.outcome}" if options["family"] == "poisson" else panel.outcome
    if options["event_study"] is not None:
        return f"average effect over the treated periods of the window on the {outcome}"
    if panel.dose is not None:
        return f"effect of one unit of dose on the {outcome}"
    return f"effect of treatment on the {outcome}, the same for all treated cells"


def _excess(panel: Panel, design: _Design, fit: _Fit, estimate: Estimate, psi: pd.DataFrame) -> Estimate:
    """Return events added in the treated cells: observed less observed divided by the rate ratio."""
    value, slope = _added(design, fit)
    names = list(design.names[: design.n_effects])
    influence = pd.DataFrame({HEADLINE: psi[names].to_numpy() @ slope}, index=psi.index)
    return Estimate.from_psi(
        value=value,
        psi=influence,
        panel=panel,
        factor=estimate.factor,
        correction=estimate.correction,
        df=estimate.df,
        estimand=f"{panel.outcome} added (averted, if negative) in all treated cells, given those observed",
        method=estimate.method,
        citation=estimate.citation,
        options=estimate.options,
        n_units=estimate.n_units,
        fit=refit_companion(partial(two_way_fixed_effects, **estimate.options), "excess"),
        by_cell=partial(_excess_by_cell, panel, dict(estimate.options)),
    )


def _added(design: _Design, fit: _Fit) -> tuple[float, Floats]:
    """Return events added in the treated cells, and their slope (e,) in the effects."""
    columns = design.regressors[: design.n_effects]
    after = np.asarray([e >= 0 for e in design.event_times] or [True])
    effect = np.tensordot(fit.coefficients[: design.n_effects] * after, columns, axes=1)
    observed = np.where(fit.weights > 0, design.sample.outcome, 0.0)
    without = observed * np.exp(-effect)
    return float((observed - without).sum()), (columns * without).sum(axis=(1, 2)) * after


def _excess_by_cell(panel: Panel, options: dict[str, Any]) -> CellScores:
    scores = _by_cell(panel, options)
    design, fit = _fitted(panel, options)
    slope = np.zeros((len(scores.terms), 1))
    first = int(bool(design.event_times))
    slope[first : first + design.n_effects, 0] = _added(design, fit)[1]
    return linear_scores(scores, (HEADLINE,), slope)
