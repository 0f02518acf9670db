"""Bayesian synthetic control: uncertain donor weights, a residual level that walks, and what would have been, as draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import optimize

from crimepolicy.bayes.data_tree import data_tree
from crimepolicy.bayes.donor_density import DonorDensity, donor_density
from crimepolicy.bayes.donor_model import DonorDraws, DonorModel, Link
from crimepolicy.bayes.donor_weights import Horseshoe, Simplex
from crimepolicy.bayes.prior_sensitivity import prior_sensitivity_check
from crimepolicy.bayes.sampling import Posterior, Sampler, sample
from crimepolicy.diagnostics.convergence import convergence_checks
from crimepolicy.errors import DesignError, choose, of_kind, offenders
from crimepolicy.estimate import HEADLINE, Check, Estimate, panel_facts, path_term
from crimepolicy.panel import Panel

__all__ = ["bayesian_synthetic_control"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Family = Literal["poisson", "gaussian"]
Weights = Literal["simplex", "horseshoe"]

_CITATION = (
    "Abadie, Diamond and Hainmueller (2010), JASA 105(490); Brodersen et al. (2015), Annals of Applied Statistics 9(1)"
)
_METHOD = "Bayesian synthetic control"
_FEWEST = 4
# A donor without any event in a period still has some rate; a tenth of an event keeps its log finite.
_TRACE = 0.1
_HALF = 0.5
_FEW_DONORS = 3.0
_PRIOR_DRAWS = 1000
_LEAST = 1e-3


def bayesian_synthetic_control(
    panel: Panel,
    *,
    family: Family | None = None,
    weights: Weights = "simplex",
    concentration: float | None = None,
    expected_donors: float | None = None,
    level_scale: float | None = None,
    step_scale: float | None = None,
    noise_scale: float | None = None,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 2,
    seed: int = 0,
    sampler: Sampler = "nutpie",
) -> Estimate:
    """Estimate what would have happened to one treated unit from a weighted average of the never treated.

    The estimand is the effect over the treated periods: for counts the log ratio of all events seen to all that would have been, else
    the mean difference. Intervals are predictive: they hold the noise of the untreated outcome too.

    Parameters
    ----------
    panel : Panel
        One treated unit whose treatment stays; every cell observed.
    family : {"poisson", "gaussian"}, optional
        Default: counts where the panel has a population.
    weights : {"simplex", "horseshoe"}
        Shares of a Dirichlet prior; or weights of any sign for the donors' movements around their own means before treatment (on the log
        scale for counts), shrunk by a regularised horseshoe. The second can reach a treated unit outside the range of its donors.
    concentration : float, optional
        Of the Dirichlet prior of the J weights. Default 1 / sqrt(J), which leans towards few donors as the classical weights do.
    expected_donors : float, optional
        Number of donors that the horseshoe expects to matter, below J. Default: a third of J, but three at most.
    level_scale, step_scale, noise_scale : float, optional
        Scales of the priors of the residual level (normal), its step per period and the noise (half-normal); on the log scale for counts.
        Defaults are taken from the data: the spread before treatment of the outcome around the donors' mean, and of its changes.
    draws, tune, chains : int
    seed : int
    sampler : {"nutpie", "pymc", "numpyro"}

    Returns
    -------
    Estimate
        With a path of gaps (before treatment: residuals), `weights` of the donors, and draws of all of them; `inference_data` holds the fit for ArviZ. Counts have
        the companion ``"excess"``.

    Raises
    ------
    DesignError
        Where not exactly one unit is treated, cells are missing, or fewer than four periods precede treatment.

    Assumptions
    -----------
    The weights that hold before treatment would have held after; the residual level goes on walking as it did.

    References
    ----------
    Abadie, Diamond and Hainmueller (2010), "Synthetic control methods for comparative case studies", JASA 105(490).
    Brodersen, Gallusser, Koehler, Remy and Scott (2015), "Inferring causal impact using Bayesian structural time-series models",
    Annals of Applied Statistics 9(1).
    Piironen and Vehtari (2017), "Sparsity information and regularization in the horseshoe", Electronic Journal of Statistics 11(2).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = pd.DataFrame(
    ...     [(u, t, int(u == 0 and t > 14)) for u in range(4) for t in range(20)], columns=["u", "t", "d"]
    ... )
    >>> rows["y"] = np.tile(np.linspace(5, 9, 20), 4) + rng.normal(0, 0.1, 80) + 3 * rows.d
    >>> panel = Panel.from_frame(rows, unit="u", time="t", outcome="y", treated="d")
    >>> estimate = bayesian_synthetic_control(panel, draws=200, tune=300)
    >>> bool(2.5 < estimate.value < 3.5)
    True
    """
    of_kind("panel", panel, Panel)
    options = {name: value for name, value in locals().items() if name != "panel"}
    options["family"] = family or ("gaussian" if panel.population is None else "poisson")
    _validate(panel, options)
    case = _case(panel, options["family"], weights)
    density = donor_density(_model(case, options))
    posterior = sample(
        density.target(),
        **{key: options[key] for key in ("draws", "tune", "chains", "seed", "sampler")},
    )
    estimate = _summary(panel, case, density, posterior, seed)
    return estimate.replace(options=options, fit=partial(bayesian_synthetic_control, **options))


@dataclass(frozen=True, slots=True)
class _Case:
    """One treated unit: outcome and exposure (T,), what stands for the donors (T, J), a base level, first treated position."""

    y: Floats
    exposure: Floats
    x: Floats
    link: Link
    base: float
    start: int
    donors: pd.Index
    family: Family


def _validate(panel: Panel, options: dict[str, Any]) -> None:
    choose("family", options["family"], Family)
    choose("weights", options["weights"], Weights)
    for name in ("concentration", "expected_donors", "level_scale", "step_scale", "noise_scale"):
        value = options[name]
        if value is not None and not (np.isfinite(value) and value > 0):
            raise DesignError(f"{name}={value!r} should be a positive number.")
    treated = panel.units[panel.D.any(axis=1)]
    if len(treated) != 1:
        raise DesignError(
            f"One unit should be treated, but {len(treated)} are: {offenders(treated)}. Drop the other treated units, estimate one by one "
            "and put the estimates together with synthesise."
        )
    start = float(panel.G[panel.D.any(axis=1)][0])
    if start < _FEWEST or panel.n_units < 2:
        raise DesignError(
            f"At least {_FEWEST} periods before treatment and one donor are needed; there are {start:.0f} and {panel.n_units - 1}."
        )
    if not panel.balanced:
        raise DesignError(
            "Some outcomes are missing. Give window() a period without gaps, or drop the units that have them."
        )
    if options["family"] == "poisson" and (panel.Y < 0).any():
        raise DesignError("family='poisson' needs counts, but some outcomes are negative. Use family='gaussian'.")


def _case(panel: Panel, family: Family, weights: Weights) -> _Case:
    row = int(np.flatnonzero(panel.D.any(axis=1))[0])
    others = np.delete(np.arange(panel.n_units), row)
    counts, start, y = family == "poisson", int(panel.D[row].argmax()), panel.Y[row]
    exposure = panel.population if counts and panel.population is not None else np.ones_like(panel.Y)
    x = (np.maximum(panel.Y, _TRACE) / exposure)[others].T if counts else panel.Y[others].T
    link: Link = "rate" if counts else "identity"
    base = 0.0
    if weights == "horseshoe":
        link = "log" if counts else "identity"
        x = np.log(x) if counts else x
        x = x - x[:start].mean(axis=0)
        base = float(np.log(max(y[:start].sum(), _HALF) / exposure[row, :start].sum()) if counts else y[:start].mean())
    return _Case(y, exposure[row], x, link, base, start, panel.units[others], family)


def _model(case: _Case, options: dict[str, Any]) -> DonorModel:
    y, x, exposure = case.y[: case.start], case.x[: case.start], case.exposure[: case.start]
    donors = x.mean(axis=1)
    if case.family == "poisson":
        seen = np.log(np.maximum(y, _HALF) / exposure)
        residual = seen - (np.log(donors) if case.link == "rate" else donors) - case.base
    else:
        residual = y - donors - case.base
    size = float(np.sqrt((residual**2).mean()))
    moves = max(float(np.diff(residual).std()), _LEAST * size)
    return DonorModel(
        y=y,
        exposure=exposure,
        x=x,
        link=case.link,
        prior=_prior(y / exposure, x, moves, options),
        base=case.base,
        level_scale=options["level_scale"] or size,
        step_scale=options["step_scale"] or moves,
        noise_scale=options["noise_scale"] or moves,
    )


def _prior(y: Floats, x: Floats, noise: float, options: dict[str, Any]) -> Simplex | Horseshoe:
    n = x.shape[1]
    if options["weights"] == "simplex":
        return Simplex(n, options["concentration"] or 1 / np.sqrt(n), _order(y, x))
    few = options["expected_donors"] or min(n / 3, _FEW_DONORS)
    if few >= n:
        raise DesignError(f"expected_donors={few!r} should be below the number of donors, {n}.")
    # Piironen and Vehtari's rule: the common scale at which that many weights stand out of the noise.
    spread = max(float(x.std()), np.finfo(float).tiny)
    return Horseshoe(n, float(few / (n - few) * noise / spread / np.sqrt(len(x))), 1.0)


def _order(y: Floats, x: Floats) -> tuple[int, ...]:
    """Return donors x (P, J) by their least-squares weights, no negative ones, for the movements of y (P,); only speed depends on it."""
    weights = optimize.nnls(x - x.mean(axis=0), y - y.mean())[0]
    return tuple(np.argsort(-weights, kind="stable").tolist())


@dataclass(frozen=True, slots=True)
class _Effects:
    """Draws (...) of the headline and of the total; of the gap and of the untreated outcome (..., T)."""

    headline: Floats
    total: Floats
    gap: Floats
    untreated: Floats


def _effects(case: _Case, model: DonorModel, found: DonorDraws, seed: int) -> _Effects:
    untreated = _untreated(case, model, found, seed)
    gap, after = _gap(case, case.y, untreated), slice(case.start, None)
    total = untreated[..., after].sum(axis=-1)
    headline = gap[..., after].mean(axis=-1)
    if case.family == "poisson":
        headline = _gap(case, case.y[after].sum(), total)
    return _Effects(headline, case.y[after].sum() - total, gap, untreated)


def _untreated(case: _Case, model: DonorModel, found: DonorDraws, seed: int) -> Floats:
    """Return draws (..., T) of the untreated outcome: expected before treatment, predicted with noise after."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    ahead = len(case.y) - case.start
    steps = found.step[..., None] * rng.standard_normal((*found.step.shape, ahead))
    level = np.concatenate([found.level, found.level[..., -1:] + np.cumsum(steps, axis=-1)], axis=-1)
    expected = model.expected(case.x, case.exposure, found.weights, level)
    before, after = expected[..., : case.start], expected[..., case.start :]
    return np.concatenate([before, model.outcomes(after, found.noise, rng)], axis=-1)


def _summary(panel: Panel, case: _Case, density: DonorDensity, posterior: Posterior, seed: int) -> Estimate:
    found = density.draws(posterior.draws)
    effects = _effects(case, density.model, found, seed)
    times = (np.arange(len(case.y)) - case.start).tolist()
    terms = {HEADLINE: effects.headline}
    terms |= {path_term("event_time", k): effects.gap[..., i] for i, k in enumerate(times)}
    tree = _tree(panel, case, density, posterior, effects, seed)
    fitted = _checks(case, density.model, found, effects.headline, posterior)
    checks = (*panel.checks, *fitted, prior_sensitivity_check(tree))
    main = _packed(panel, case, {name: v.reshape(-1) for name, v in terms.items()}, checks)
    path = pd.DataFrame(
        {"estimate": effects.gap.mean(axis=(0, 1)), "std_error": effects.gap.std(axis=(0, 1))},
        index=pd.Index(times, name="event_time"),
    )
    weight = found.weights.reshape(-1, len(case.donors))
    weights = pd.DataFrame({"weight": weight.mean(axis=0), "std_error": weight.std(axis=0)}, index=case.donors)
    main = main.replace(path=path, weights=weights.rename_axis("unit"), inference_data=tree)
    if case.family == "gaussian":
        return main
    excess = _packed(panel, case, {HEADLINE: effects.total.reshape(-1)}, checks)
    words = f"events added (positive) or averted: {panel.outcome}"
    return main.replace(companions={"excess": excess.replace(scale="level", estimand=words)})


def _tree(panel: Panel, case: _Case, density: DonorDensity, posterior: Posterior, effects: _Effects, seed: int) -> Any:
    rng = np.random.default_rng(np.random.SeedSequence([seed, 3]))
    model, found = density.model, density.draws(posterior.draws)
    prior = model.prior_draws(_PRIOR_DRAWS, rng)
    groups = {
        "posterior": _variables(case, found, effects),
        "prior": {
            name: draws[None] for name, draws in _variables(case, prior, _effects(case, model, prior, seed)).items()
        },
        "log_likelihood": {"all_cells": model.pointwise(found)},
        "log_prior": density.log_prior(posterior.draws),
        "posterior_predictive": {"outcome": model.replicates(found, rng)},
        "prior_predictive": {"outcome": model.replicates(prior, rng)[None]},
        "observed_data": {"outcome": model.y},
    }
    periods = [str(period) for period in panel.periods]
    coords = {"period": periods, "before": periods[: case.start], "donor": [str(unit) for unit in case.donors]}
    dims = {
        "gap": ["period"],
        "untreated": ["period"],
        "weight": ["donor"],
        "outcome": ["before"],
        "all_cells": ["before"],
    }
    return data_tree(groups, dims=dims, coords=coords, sample_stats=posterior.sample_stats)


def _variables(case: _Case, found: DonorDraws, effects: _Effects) -> dict[str, Floats]:
    variables = {HEADLINE: effects.headline, "gap": effects.gap, "untreated": effects.untreated}
    variables |= {"weight": found.weights, "step": found.step}
    return variables | ({"noise": found.noise} if case.family == "gaussian" else {})


def _gap(case: _Case, seen: Any, untreated: Floats) -> Floats:
    if case.family == "gaussian":
        return np.asarray(seen - untreated)
    return np.asarray(np.log(np.maximum(seen, _HALF)) - np.log(np.maximum(untreated, _HALF)))


def _checks(
    case: _Case, model: DonorModel, found: DonorDraws, headline: Floats, posterior: Posterior
) -> tuple[Check, ...]:
    before = slice(None, case.start)
    y = case.y[before]
    fitted = model.expected(case.x[before], case.exposure[before], found.weights, found.level).mean(axis=(0, 1))
    share = 1 - float(((y - fitted) ** 2).sum() / max(float(((y - y.mean()) ** 2).sum()), np.finfo(float).tiny))
    fit = Check(
        "pretreatment_fit",
        None,
        share,
        f"donors and residual level explain {share:.0%} of the variation before treatment.",
    )
    if posterior.draws.shape[0] < 2:
        return Check("rhat", False, None, "one chain cannot be compared with another; use chains=2 or more."), fit
    reported = {HEADLINE: headline, "weights": found.weights, "level": found.level[..., -1], "step": found.step}
    convergence = convergence_checks(
        reported,
        nuisance={"parameters": posterior.draws},
        statistics=posterior.statistics,
        log_likelihood=model.pointwise(found),
    )
    return *convergence, fit


def _packed(panel: Panel, case: _Case, draws: dict[str, Floats], checks: Sequence[Check]) -> Estimate:
    frame = pd.DataFrame(draws)
    counts = case.family == "poisson"
    return Estimate(
        estimand=f"effect on the {'log rate' if counts else 'level'} of {panel.outcome} in {panel.units[panel.D.any(axis=1)][0]}",
        value=float(frame[HEADLINE].mean()),
        std_error=float(frame[HEADLINE].std()),
        method=_METHOD,
        citation=_CITATION,
        scale="log" if counts else "level",
        correction="posterior",
        draws=frame,
        checks=tuple(checks),
        panel=panel,
        **panel_facts(panel),
    )
