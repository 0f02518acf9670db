"""Factor models: impute the untreated outcome of treated cells from factors, or a low-rank matrix, of the untreated ones."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import DesignError, choose, of_kind, offenders, suggest
from crimepolicy.estimate import HEADLINE, Estimate, panel_facts, path_term
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check
from crimepolicy.synth.factor_choice import choose_penalty, choose_rank
from crimepolicy.synth.factor_fit import FactorFit, FactorMethod, fit_factors
from crimepolicy.synth.factor_replicates import FactorSpread, FactorVariance, replicate_factors
from crimepolicy.synth.factor_sample import FactorSample, FactorSettings, factor_sample
from crimepolicy.synth.factor_terms import FactorTerms
from crimepolicy.synth.interactive import Family
from crimepolicy.synth.spell_time import UNKNOWN

__all__ = ["factor_model"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

# Events expected in a cell, below which the estimate has left the data.
_NOTHING = 1e-4

_CITATION = {
    "interactive": "Xu (2017), Political Analysis 25(1); Liu, Wang and Xu (2024), American Journal of Political Science 68(1)",
    "matrix_completion": "Athey, Bayati, Doudchenko, Imbens and Khosravi (2021), Journal of the American Statistical Association 116(536)",
}


def factor_model(
    panel: Panel,
    *,
    method: FactorMethod = "interactive",
    rank: int | None = None,
    penalty: float | None = None,
    family: Family = "gaussian",
    covariates: Sequence[str] = (),
    weights: Literal["panel", "equal"] = "panel",
    carryover: int = 0,
    min_untreated: int | None = None,
    variance: FactorVariance = "jackknife",
    draws: int = 200,
    max_rank: int = 5,
    folds: int = 5,
    seed: int = 0,
) -> Estimate:
    """Estimate the average effect on treated cells by a factor model of the untreated ones.

    The estimand is the mean over treated cells of observed less untreated outcome; for counts, the log of the ratio of the
    events observed in treated cells to those expected there. Treatment may switch on and off, and cells may be missing.

    Parameters
    ----------
    panel : Panel
        N units by T periods. For ``family="poisson"`` the outcome is a count and `panel.population` its exposure.
    method : {"interactive", "matrix_completion"}
        Unit and period effects plus `rank` factors, or plus a low-rank matrix whose nuclear norm is penalised.
    rank : int, optional
        Number of factors; 0 is imputation with unit and period effects. Chosen by cross-validation where left out.
    penalty : float in (0, 1], optional
        Penalty as a share of the smallest one at which the low-rank part vanishes. Chosen by cross-validation where left out.
    family : {"gaussian", "poisson"}
        Additive by least squares, or multiplicative by Poisson likelihood with exposure.
    covariates : sequence of str
        Names in `panel.X`, complete where the outcome is observed.
    weights : {"panel", "equal"}
        Use `panel.weights` (where given) in fit and averages, or not.
    carryover : int
        Periods after the end of a spell that are set aside, and whose mean effect becomes the companion ``"carryover"``: its
        p-value tests that nothing of the treatment remains.
    min_untreated : int, optional
        Untreated observed cells a unit needs to stay; one more than the number of factors where left out.
    variance : {"jackknife", "bootstrap", "none"}
        Clusters deleted in turn, with t intervals of treated clusters less one degrees of freedom; or drawn again, with
        percentile intervals. The rank or penalty stays as chosen.
    draws : int
        Replicates of the bootstrap.
    max_rank, folds : int
        Of the cross-validation, which hides runs of three untreated cells at a time.
    seed : int
        Of cross-validation and bootstrap.

    Returns
    -------
    Estimate
        With a path by event time; entries before 0 are residuals of untreated cells. Companions: ``"exit"`` (path by time
        since the end of treatment, where it ends), ``"carryover"``, and for counts ``"excess"``. The jackknife carries
        `psi`, the bootstrap `draws`. `refit` keeps the rank or penalty chosen and computes no bootstrap.

    Raises
    ------
    DesignError
        Where nobody is treated, no treated cell can be imputed, or an option is unknown.
    InferenceError
        Where fewer than three clusters, or a single treated one, leave no jackknife or bootstrap.

    Assumptions
    -----------
    Untreated outcomes (poisson: their log means) are unit effects, period effects and a low-rank part; cells are treated or
    missing independently of the noise; no anticipation; nothing remains once treatment ended, beyond `carryover`.

    References
    ----------
    Xu (2017); Athey et al. (2021); Liu, Wang and Xu (2024).

    Examples
    --------
    >>> t = np.arange(8.0)
    >>> Y = np.outer(np.arange(1.0, 7.0), np.sin(t)) + t
    >>> D = np.zeros((6, 8), dtype=bool)
    >>> D[0, 3:5] = True
    >>> panel = Panel(Y=Y + 2 * D, D=D, units=pd.Index(list("abcdef")), periods=pd.Index(range(8)))
    >>> round(factor_model(panel, rank=1, variance="none").value, 4)
    2.0
    """
    of_kind("panel", panel, Panel)
    choose("method", method, FactorMethod)
    choose("family", family, Family)
    choose("weights", weights, ("panel", "equal"))
    choose("variance", variance, FactorVariance)
    _require_options(panel, rank, penalty, family, covariates)
    settings = FactorSettings(
        method,
        rank,
        penalty,
        family,
        tuple(covariates),
        weights,
        carryover,
        min_untreated,
        draws,
        max_rank,
        folds,
        seed,
    )
    return _estimate(panel, settings=settings, variance=variance)


def _require_options(
    panel: Panel, rank: int | None, penalty: float | None, family: Family, covariates: Sequence[str]
) -> None:
    if rank is not None and rank < 0:
        raise DesignError(f"rank={rank} should be zero or more.")
    if penalty is not None and not 0 < penalty <= 1:
        raise DesignError(f"penalty={penalty!r} should lie in (0, 1]: a share of the penalty at which nothing is left.")
    unknown = [name for name in covariates if name not in panel.X]
    if unknown:
        raise DesignError(f"No such covariate in the panel: {offenders(unknown)}.{suggest(unknown[0], list(panel.X))}")
    if family == "poisson" and bool((panel.Y < 0).any()):
        raise DesignError("family='poisson' needs counts, but the outcome is negative in some cells.")


def _estimate(panel: Panel, *, settings: FactorSettings, variance: FactorVariance) -> Estimate:
    sample = factor_sample(panel, settings)
    settings, choice = _chosen(sample, settings)
    fit = fit_factors(sample.data, settings.method, settings.rank, settings.penalty)
    terms = FactorTerms.of(sample, settings.family)
    values = terms.apply(sample, fit)
    spread = replicate_factors(panel, sample, settings, fit, terms, variance)
    labels = terms.labels
    keep = [i for i, name in enumerate(labels) if name == HEADLINE or name.startswith("event_time")]
    errors = pd.Series(spread.errors, index=labels)
    effect = Estimate(
        estimand=_estimand(panel, settings.family),
        value=float(values[0]),
        std_error=float(errors.iloc[0]),
        method=f"{'interactive fixed effects' if settings.method == 'interactive' else 'matrix completion'}{', Poisson' if settings.family == 'poisson' else ''}",
        citation=_CITATION[settings.method],
        options=settings.options() | {"variance": variance},
        scale="log" if settings.family == "poisson" else "level",
        correction="" if variance == "none" else f"{variance} by {'unit' if panel.cluster is None else 'cluster'}",
        path=terms.frame(values, spread.errors, "start"),
        psi=None if spread.psi is None else spread.psi.iloc[:, keep],
        draws=None if spread.draws is None else spread.draws.iloc[:, keep],
        clusters=spread.clusters,
        factor=spread.factor,
        df=spread.df,
        checks=(
            *panel.checks,
            *sample.checks,
            *choice,
            *_fit_checks(sample, fit),
            *_carryover_check(values, spread, terms),
        ),
        panel=panel,
        # The rank or penalty stays, so that placebos and deletions answer about one model.
        fit=partial(_estimate, settings=settings, variance="jackknife" if variance == "jackknife" else "none"),
        **panel_facts(panel),
    )
    return effect.replace(companions=_companions(effect, terms, values, spread))


def _estimand(panel: Panel, family: Family) -> str:
    if family == "poisson":
        return f"log ratio of {panel.outcome} observed in treated cells to {panel.outcome} expected there"
    return f"average effect on {panel.outcome} over treated cells"


def _chosen(sample: FactorSample, settings: FactorSettings) -> tuple[FactorSettings, tuple[Check, ...]]:
    if settings.method == "interactive" and settings.rank is None:
        rank, check = choose_rank(sample.data, settings.max_rank, settings.folds, settings.seed)
        return replace(settings, rank=rank), (check,)
    if settings.method == "matrix_completion" and settings.penalty is None:
        penalty, check = choose_penalty(sample.data, settings.folds, settings.seed)
        return replace(settings, penalty=penalty), (check,)
    return settings, ()


def _fit_checks(sample: FactorSample, fit: FactorFit) -> tuple[Check, ...]:
    settled = Check(
        "converged",
        fit.converged,
        None,
        "the fit settled." if fit.converged else "the fit did not settle; its numbers are approximate.",
    )
    before = (sample.start < 0) & (sample.start > UNKNOWN) & (sample.data.W > 0) & sample.treated.any(axis=1)[:, None]
    reach = (_reach_check(sample, fit), *_separation_check(sample, fit))
    if not before.any():
        return settled, *reach
    error = float(np.sqrt(((sample.data.Z - fit.mean)[before] ** 2).mean()))
    return (
        settled,
        *reach,
        Check("pre_rmspe", None, error, f"root mean squared residual of treated units before treatment {error:.4g}."),
    )


def _reach_check(sample: FactorSample, fit: FactorFit) -> Check:
    """Say how many imputed outcomes lie outside what was ever observed without treatment (rates, for counts)."""
    exposure = np.exp(sample.data.offset)
    seen = (sample.data.Z / exposure)[sample.data.W > 0]
    imputed = (fit.mean / exposure)[sample.treated]
    spread = float(seen.max() - seen.min())
    outside = int(((imputed < seen.min() - spread) | (imputed > seen.max() + spread)).sum())
    text = f"{outside} of {len(imputed)} imputed outcomes lie more than the whole observed range beyond it"
    return Check(
        "imputed_range",
        outside == 0,
        outside,
        text
        + (
            "."
            if not outside
            else ": a factor rests on too few untreated units; lower the rank, or use matrix_completion."
        ),
    )


def _separation_check(sample: FactorSample, fit: FactorFit) -> tuple[Check, ...]:
    """Say where factors explain single zeros of a count perfectly: the likelihood then grows without end."""
    if sample.data.family != "poisson":
        return ()
    empty = int(((sample.data.Z == 0) & (sample.data.W > 0) & (fit.mean < _NOTHING)).sum())
    text = f"{empty} untreated cells without events are expected to have none, so that the likelihood has no finite maximum"
    return (Check("finite_maximum", False, empty, text + "; lower the rank."),) if empty else ()


def _carryover_check(values: Floats, spread: FactorSpread, terms: FactorTerms) -> tuple[Check, ...]:
    if not terms.carryover:
        return ()
    estimate, error = float(values[-1]), float(spread.errors[-1])
    if not error > 0:
        return (Check("carryover", None, estimate, f"mean effect after the end of treatment {estimate:.4g}."),)
    clear = abs(estimate) < 1.96 * error
    text = f"mean effect after the end of treatment {estimate:.4g}, standard error {error:.3g}"
    return (
        Check(
            "carryover", clear, estimate, text + (": none is seen." if clear else ": some remains; raise carryover=.")
        ),
    )


def _companions(effect: Estimate, terms: FactorTerms, values: Floats, spread: FactorSpread) -> dict[str, Estimate]:
    labels = terms.labels
    found: dict[str, Estimate] = {}
    bare = effect.replace(path=None, companions={})

    def one(name: str, column: str, estimand: str, scale: Any, path: pd.DataFrame | None = None) -> None:
        place = labels.index(column)
        renamed = {column: HEADLINE} | {
            path_term("exit", e): path_term("event_time", e) for e in terms.ends if path is not None
        }
        columns = [label for label in labels if label in renamed]
        psi, draws = (
            None if part is None else part[columns].rename(columns=renamed) for part in (spread.psi, spread.draws)
        )
        found[name] = bare.replace(
            value=float(values[place]),
            std_error=float(spread.errors[place]),
            psi=psi,
            draws=draws,
            estimand=estimand,
            scale=scale,
            path=path,
            fit=partial(_companion, effect.fit, name),
        )

    outcome = effect.panel.outcome if effect.panel is not None else ""
    if terms.family == "poisson":
        one("excess", "excess", f"{outcome} added (positive) or averted (negative) over all treated cells", "level")
    if terms.carryover:
        one("carryover", "carryover", f"{effect.estimand}, in the first periods after its end", effect.scale)
    if len(terms.ends):
        first = path_term("exit", int(terms.ends[terms.ends >= 0][0]))
        one(
            "exit",
            first,
            f"{effect.estimand}, by time since its end",
            effect.scale,
            terms.frame(values, spread.errors, "end"),
        )
    return found


def _companion(fit: Any, name: str, panel: Panel) -> Estimate:
    found: Estimate = fit(panel).companions[name]
    return found
