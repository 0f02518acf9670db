"""Whether a sampler can be believed: R-hat, effective sample sizes, divergences, energy, tree depth, Pareto k."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from crimepolicy.errors import InferenceError
from crimepolicy.panel_checks import Check

__all__ = ["Convergence", "convergence_checks"]

Array = np.ndarray[Any, Any]

_SMOOTHING_LIMIT = 0.7
_MIN_DRAWS = 4


@dataclass(frozen=True, slots=True)
class Convergence:
    """Limits beyond which a fit has failed.

    Attributes
    ----------
    rhat : float
        Largest rank-normalised R-hat of what is reported.
    nuisance_rhat : float
        The same for the many nuisance parameters, where the largest of hundreds exceeds the other limit by chance alone.
    ess_per_chain : float
        Smallest bulk and tail effective sample size per chain.
    bfmi : float
        Smallest energy Bayesian fraction of missing information.
    """

    rhat: float = 1.01
    nuisance_rhat: float = 1.05
    ess_per_chain: float = 100.0
    bfmi: float = 0.3


def convergence_checks(
    terms: Mapping[str, Array],
    *,
    nuisance: Mapping[str, Array] | None = None,
    statistics: Mapping[str, Array] | None = None,
    log_likelihood: Array | None = None,
    limits: Convergence | None = None,
) -> tuple[Check, ...]:
    """Return the checks of a posterior sample.

    Parameters
    ----------
    terms : mapping of str to array (n_chains, n_draws, ...)
        What is reported: held to the strict limits.
    nuisance : mapping of str to array (n_chains, n_draws, ...), optional
        Everything else that was sampled.
    statistics : mapping of str to array (n_chains, n_draws), optional
        Of the sampler: ``diverging``, ``energy``, ``maxdepth_reached``.
    log_likelihood : array (n_chains, n_draws, n_cells), optional
        Pointwise, for the Pareto k of leave-one-out cross-validation.
    limits : Convergence, optional

    Returns
    -------
    tuple of Check
        Named rhat, ess_bulk, ess_tail and, where known, divergences, bfmi, tree_depth, pareto_k.

    Raises
    ------
    InferenceError
        Where there are fewer than two chains, or fewer than four draws in each.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), "Rank-normalization, folding, and localization", Bayesian Analysis 16(2).
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), "Pareto smoothed importance sampling", JMLR 25(72).

    Examples
    --------
    >>> draws = np.random.default_rng(0).standard_normal((2, 500))
    >>> [check.passed for check in convergence_checks({"att": draws})]
    [True, True, True]
    """
    limits = limits or Convergence()
    _require_chains(terms)
    found = [*_agreement(terms, nuisance or {}, limits), *_sizes(terms, limits)]
    found += _sampler(statistics or {}, limits)
    if log_likelihood is not None:
        found.append(_pareto(log_likelihood))
    return tuple(found)


def _require_chains(terms: Mapping[str, Array]) -> None:
    shapes = {name: values.shape[:2] for name, values in terms.items()}
    short = [f"{name} {shape}" for name, shape in shapes.items() if shape[0] < 2 or shape[1] < _MIN_DRAWS]
    if short or not shapes:
        raise InferenceError(
            f"Convergence needs at least two chains of {_MIN_DRAWS} draws, but found {short or 'no terms'}. Use chains=2 or more."
        )


def _array_statistics() -> Any:
    return import_module("arviz_stats.base").array_stats


def _columns(values: Array) -> Array:
    """Return (n_columns, n_chains, n_draws)."""
    return np.moveaxis(values.reshape(*values.shape[:2], -1), -1, 0)


def _statistic(name: str, terms: Mapping[str, Array], **options: Any) -> dict[str, float]:
    """Return the worst value per term; a constant (such as the reference of a path) has none."""
    array_stats = _array_statistics()
    worst = np.max if name == "rhat" else np.min
    result = {}
    for term, values in terms.items():
        columns = _columns(values)
        moving = columns[columns.std(axis=(1, 2)) > 0]
        if len(moving):
            found = np.asarray(getattr(array_stats, name)(moving, chain_axis=1, draw_axis=2, **options))
            result[term] = float(worst(np.where(np.isfinite(found), found, np.inf if name == "rhat" else 0.0)))
    return result


def _agreement(terms: Mapping[str, Array], nuisance: Mapping[str, Array], limits: Convergence) -> list[Check]:
    strict, loose = _statistic("rhat", terms), _statistic("rhat", nuisance)
    name, value = max(strict.items(), key=lambda item: item[1])
    other = max(loose.values(), default=1.0)
    passed = value <= limits.rhat and other <= limits.nuisance_rhat
    text = f"largest R-hat {value:.4f} ({name}; limit {limits.rhat}), {other:.4f} among nuisance parameters (limit {limits.nuisance_rhat})"
    advice = "." if passed else ": the chains disagree; raise tune and draws, or doubt the model."
    return [Check("rhat", passed, value, text + advice)]


def _sizes(terms: Mapping[str, Array], limits: Convergence) -> list[Check]:
    n_chains = next(iter(terms.values())).shape[0]
    needed = limits.ess_per_chain * n_chains
    checks = []
    for method, prob in (("bulk", None), ("tail", (0.05, 0.95))):
        name, value = min(_statistic("ess", terms, method=method, prob=prob).items(), key=lambda item: item[1])
        advice = "." if value >= needed else ": too few for an interval; raise draws."
        text = f"smallest {method} effective sample size {value:,.0f} ({name}; at least {needed:,.0f}){advice}"
        checks.append(Check(f"ess_{method}", value >= needed, value, text))
    return checks


def _sampler(statistics: Mapping[str, Array], limits: Convergence) -> list[Check]:
    checks = []
    if "diverging" in statistics:
        count = int(np.sum(statistics["diverging"]))
        text = f"{count} divergent transitions{'.' if not count else ': part of the posterior was not reached; tighten the priors or raise tune.'}"
        checks.append(Check("divergences", count == 0, count, text))
    if "energy" in statistics:
        energy = np.asarray(statistics["energy"], dtype=float)
        value = float((np.square(np.diff(energy, axis=1)).mean(axis=1) / energy.var(axis=1)).min())
        text = f"smallest energy fraction of missing information {value:.2f} (at least {limits.bfmi})."
        checks.append(Check("bfmi", value >= limits.bfmi, value, text))
    if "maxdepth_reached" in statistics:
        share = float(np.mean(statistics["maxdepth_reached"]))
        checks.append(Check("tree_depth", share == 0, share, f"{share:.1%} of draws stopped at the largest tree."))
    return checks


def _pareto(log_likelihood: Array) -> Check:
    flat = log_likelihood.reshape(-1, log_likelihood.shape[-1])
    k = np.asarray(_array_statistics().psislw(-flat, axis=0)[1])
    bad, worst = int((k > _SMOOTHING_LIMIT).sum()), float(k.max())
    text = f"{bad} of {len(k):,} cells have a Pareto k above {_SMOOTHING_LIMIT} (largest {worst:.2f}): each of them moves the posterior by itself."
    return Check("pareto_k", None if bad else True, worst, text)
