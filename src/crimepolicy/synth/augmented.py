"""Augmented synthetic control: simplex weights, corrected by a ridge regression for what they leave unbalanced."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from crimepolicy.errors import DesignError, choose, of_kind, offenders, suggest
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check
from crimepolicy.synth.cohorts import Cohort, Comparison, DonorScale, comparison, require_donors
from crimepolicy.synth.donors import donor_checks
from crimepolicy.synth.packing import Labels, pack, weights_frame
from crimepolicy.synth.pooling import Pooled, pooled_weights
from crimepolicy.synth.ridge import PenaltyRule, Profiles, Validation, penalty_path, ridge_corrected

__all__ = ["augmented_synthetic_control"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Use = Literal["augmented", "residualised"]

_CITATION = "Ben-Michael, Feller and Rothstein (2021), Journal of the American Statistical Association 116(536)"
_STAGGERED = "Ben-Michael, Feller and Rothstein (2022), Journal of the Royal Statistical Society B 84(2)"


def augmented_synthetic_control(
    panel: Panel,
    *,
    penalty: float | None = None,
    rule: PenaltyRule = "one_standard_error",
    validation: Validation = "published",
    covariates: Sequence[str] = (),
    adjustment: Use = "augmented",
    intercept: bool = False,
    pooling: float | None = None,
    target: Literal["average", "each"] = "average",
    scale: DonorScale = "level",
    exclude: Sequence[object] = (),
) -> Estimate:
    """Estimate the effect on the treated by ridge-augmented synthetic control.

    The estimand is the average effect over the treated cells. Where no average of donors matches the treated unit before
    treatment, the imbalance that remains is extrapolated by a ridge regression on the donors; weights may then be negative.

    Parameters
    ----------
    panel : Panel
        N units by T periods; treatment stays once it begins. A count with a population becomes a rate per 100,000.
    penalty : float, optional
        Ridge penalty, in squared units of the outcome; infinity leaves the synthetic control as it is. Left out: chosen by
        leaving out one period before treatment at a time.
    rule : {"one_standard_error", "minimum"}
        The largest penalty within one standard error of the smallest error, or the one with the smallest.
    validation : {"published", "all"}
        Periods that are left out in turn: the published software never leaves out the last one before treatment.
    covariates : sequence of str
        Names in `panel.X`, averaged over the periods before treatment.
    adjustment : {"augmented", "residualised"}
        Balance covariates beside the outcomes, scaled to the outcomes' spread; or balance the residuals of the outcomes on
        them, and the covariates exactly.
    intercept : bool
        Compare every series with its own mean before treatment.
    pooling : float in [0, 1], optional
        With several cohorts: weight of the balance of their average against that of each. Left out: chosen from the
        separate fits.
    target : {"average", "each"}
        One synthetic control per adoption cohort, or one per treated unit.
    scale : {"level", "log"}
        Scale on which donors are averaged.
    exclude : sequence of unit labels
        Never treated units that must not be donors.

    Returns
    -------
    Estimate
        Without standard error: see `placebo_test` and `conformal_test`. `weights` has columns role, cohort, label, weight.

    Raises
    ------
    DesignError
        Where treatment ends (use `factor_model`), no donor is left, or a treated unit has missing cells.

    Assumptions
    -----------
    As for `synthetic_control`, or untreated outcomes are linear in those before treatment; donors are not affected by the
    treatment; no anticipation.

    References
    ----------
    Ben-Michael, Feller and Rothstein (2021); for several cohorts the same (2022).

    Examples
    --------
    >>> import pandas as pd
    >>> rows = [
    ...     (u, t, h * t - (3 if u == "d" and t >= 4 else 0)) for u, h in zip("abcd", (1, 2, 3, 4)) for t in range(6)
    ... ]
    >>> panel = Panel.from_frame(
    ...     pd.DataFrame(rows, columns=["unit", "time", "y"]), unit="unit", time="time", outcome="y"
    ... )
    >>> round(augmented_synthetic_control(panel.treat(["d"], at=4), penalty=1e-9).value, 6)
    -3.0
    """
    of_kind("panel", panel, Panel)
    choose("rule", rule, PenaltyRule)
    choose("validation", validation, Validation)
    choose("adjustment", adjustment, Use)
    choose("target", target, ("average", "each"))
    require_donors(panel, exclude)
    settings = _Settings(
        penalty, rule, validation, tuple(covariates), adjustment, intercept, pooling, target, scale, tuple(exclude)
    )
    _require_options(panel, settings)
    return _estimate(panel, settings=settings)


@dataclass(frozen=True, slots=True)
class _Settings:
    penalty: float | None
    rule: PenaltyRule
    validation: Validation
    covariates: tuple[str, ...]
    adjustment: Use
    intercept: bool
    pooling: float | None
    target: Literal["average", "each"]
    scale: DonorScale
    exclude: tuple[object, ...]

    def options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class _Covariates:
    """Means before treatment less the donors' mean: donors (J, p) and treated (p,)."""

    donors: Floats
    treated: Floats

    def exact(self) -> Floats:
        """Return ``Z0 (Z0'Z0)^-1`` (J, p), which turns an imbalance of covariates into weights."""
        return np.asarray(np.linalg.pinv(self.donors.T))


def _require_options(panel: Panel, settings: _Settings) -> None:
    if settings.penalty is not None and not settings.penalty > 0:
        raise DesignError(f"penalty={settings.penalty!r} should be positive.")
    if settings.pooling is not None and not 0 <= settings.pooling <= 1:
        raise DesignError(f"pooling={settings.pooling!r} should lie between 0 and 1.")
    unknown = [name for name in settings.covariates if name not in panel.X]
    if unknown:
        raise DesignError(f"No such covariate in the panel: {offenders(unknown)}.{suggest(unknown[0], list(panel.X))}")


def _estimate(panel: Panel, *, settings: _Settings) -> Estimate:
    data = comparison(panel, scale=settings.scale, exclude=settings.exclude, each=settings.target == "each")
    pool = data.series(data.donors)
    profiles = [_profiles(panel, data, pool, cohort, settings) for cohort in data.cohorts]
    pooled = _base_weights(profiles, settings)
    fitted = [
        _correct(panel, data, one, w, cohort, settings)
        for one, w, cohort in zip(profiles, pooled.weights, data.cohorts, strict=True)
    ]
    donors = [w for w, _ in fitted]
    gaps = np.stack(
        [_gaps(data, pool, cohort, w, settings.intercept) for cohort, w in zip(data.cohorts, donors, strict=True)]
    )
    name = "augmented synthetic control" + ("" if len(donors) == 1 else ", partially pooled")
    return pack(
        panel,
        data,
        gaps,
        labels=Labels(name, _CITATION if len(donors) == 1 else _STAGGERED, settings.options()),
        fit=partial(_estimate, settings=settings),
        weights=weights_frame(data, panel, donors),
        checks=(
            *donor_checks(data, gaps, donors, list(pooled.unique)),
            _extrapolation(donors),
            *(check for _, check in fitted),
            *(() if len(donors) == 1 else (_pooling_check(pooled),)),
        ),
    )


def _profiles(panel: Panel, data: Comparison, pool: Floats, cohort: Cohort, settings: _Settings) -> Profiles:
    before = slice(None, cohort.start)
    donors, treated = pool[:, before], data.average(cohort.rows)[before]
    if settings.intercept:
        donors, treated = donors - donors.mean(axis=1, keepdims=True), treated - treated.mean()
    centre = donors.mean(axis=0)
    donors, treated = donors - centre, treated - centre
    if not settings.covariates:
        return Profiles(donors, treated, cohort.start)
    Z = _covariates(panel, data, cohort, settings)
    if settings.adjustment == "residualised":
        slopes = Z.exact().T @ donors
        return Profiles(donors - Z.donors @ slopes, treated - Z.treated @ slopes, cohort.start)
    size = donors.std(ddof=1) / Z.donors.std(axis=0, ddof=1)
    return Profiles(np.hstack([donors, Z.donors * size]), np.concatenate([treated, Z.treated * size]), cohort.start)


def _covariates(panel: Panel, data: Comparison, cohort: Cohort, settings: _Settings) -> _Covariates:
    columns = []
    rows = np.concatenate([data.donors, cohort.rows])
    for name in settings.covariates:
        cells = panel.X[name][:, : cohort.start]
        seen = ~np.isnan(cells)
        empty = rows[~seen[rows].any(axis=1)]
        if empty.size:
            raise DesignError(f"Covariate {name!r} has no value before treatment for {offenders(panel.units[empty])}.")
        columns.append(np.where(seen, cells, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1))
    values = np.stack(columns, axis=1)
    mass = data.mass[cohort.rows].mean(axis=1)
    centre = values[data.donors].mean(axis=0)
    return _Covariates(values[data.donors] - centre, mass @ values[cohort.rows] / mass.sum() - centre)


def _base_weights(profiles: list[Profiles], settings: _Settings) -> Pooled:
    return pooled_weights([one.treated for one in profiles], [one.donors for one in profiles], settings.pooling)


def _correct(
    panel: Panel, data: Comparison, profiles: Profiles, weights: Floats, cohort: Cohort, settings: _Settings
) -> tuple[Floats, Check]:
    penalty, check = _penalty(profiles, cohort, settings)
    corrected = weights if np.isinf(penalty) else ridge_corrected(profiles, weights, penalty)
    if settings.covariates and settings.adjustment == "residualised":
        Z = _covariates(panel, data, cohort, settings)
        corrected = corrected + Z.exact() @ (Z.treated - corrected @ Z.donors)
    return corrected, check


def _penalty(profiles: Profiles, cohort: Cohort, settings: _Settings) -> tuple[float, Check]:
    if settings.penalty is not None:
        return settings.penalty, Check(
            "ridge_penalty", None, settings.penalty, f"ridge penalty {settings.penalty:.4g}, as given."
        )
    if profiles.periods < 3:
        raise DesignError(
            f"Choosing the penalty needs three periods before treatment; {cohort.label} has {profiles.periods}. Give penalty=."
        )
    path = penalty_path(profiles, settings.rule, settings.validation)
    error = float(np.sqrt(path.errors[path.penalties == path.chosen][0]))
    text = (
        f"ridge penalty {path.chosen:.4g} for {cohort.label}; root mean squared error {error:.4g} in left-out periods."
    )
    return path.chosen, Check("ridge_penalty", None, path.chosen, text)


def _gaps(data: Comparison, pool: Floats, cohort: Cohort, donors: Floats, intercept: bool) -> Floats:
    gaps = data.average(cohort.rows) - donors @ pool
    return gaps - gaps[: cohort.start].mean() if intercept else gaps


def _extrapolation(donors: list[Floats]) -> Check:
    share = max(float(-w[w < 0].sum()) for w in donors)
    text = (
        f"negative weights sum to {share:.3f}: so much of the comparison is extrapolated."
        if share > 0
        else "no weight is negative."
    )
    # Beyond 1 more is taken away from donors than an average has to give, and the answer is the correction alone.
    return Check("extrapolation", False if share > 1 else None, share, text)


def _pooling_check(pooled: Pooled) -> Check:
    text = (
        f"pooling {pooled.pooling:.2f}: root mean squared imbalance {pooled.separate:.4g} of each cohort, {pooled.average:.4g} of their average"
        f"{'' if pooled.converged else ' (sweeps did not settle)'}."
    )
    return Check("pooling", None if pooled.converged else False, pooled.pooling, text)
