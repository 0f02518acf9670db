"""Clusters drawn again, or deleted in turn, and the factor model fitted to what is left."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import InferenceError
from crimepolicy.panel import Panel
from crimepolicy.synth.factor_fit import FactorFit, fit_factors
from crimepolicy.synth.factor_sample import FactorSample, FactorSettings
from crimepolicy.synth.factor_terms import FactorTerms

__all__ = ["FactorSpread", "FactorVariance", "replicate_factors"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
_PRECISION = 1e-7  # replicates need fewer digits than the estimate

FactorVariance = Literal["bootstrap", "jackknife", "none"]


@dataclass(frozen=True, slots=True)
class FactorSpread:
    """Standard errors (K,) of all terms and, by kind, influence functions with their clusters, factor and degrees of freedom, or draws."""

    errors: Floats
    psi: pd.DataFrame | None = None
    draws: pd.DataFrame | None = None
    clusters: Any = None
    factor: float = 1.0
    df: float | None = None


def replicate_factors(
    panel: Panel,
    sample: FactorSample,
    settings: FactorSettings,
    fit: FactorFit,
    terms: FactorTerms,
    variance: FactorVariance,
) -> FactorSpread:
    """Return the spread of every term over replicates of the sample.

    Parameters
    ----------
    panel, sample, settings, fit, terms
        What was fitted, and the numbers it reports.
    variance : {"bootstrap", "jackknife", "none"}
        Clusters drawn again, deleted in turn, or nothing.

    Raises
    ------
    InferenceError
        Where too few clusters are treated for either.
    """
    labels = terms.labels
    if variance == "none":
        return FactorSpread(np.full(len(labels), np.nan))
    codes, names = pd.factorize(panel.clusters[sample.rows])
    _require_clusters(sample, codes, len(names), variance)
    members = [np.flatnonzero(codes == code) for code in range(len(names))]
    again = partial(_values, sample, settings, fit, terms)
    if variance == "bootstrap":
        rows = _resampled(sample, members, settings)
        draws = pd.DataFrame([again(picked) for picked in rows], columns=labels)
        return FactorSpread(draws.std(ddof=1).to_numpy(), draws=draws)
    everyone = np.arange(len(codes))
    replicates = np.array([again(np.delete(everyone, rows)) for rows in members])
    n = len(members)
    with np.errstate(invalid="ignore"):
        psi = pd.DataFrame(
            (np.nanmean(replicates, axis=0) - replicates) * ((n - 1) / n), columns=labels, index=pd.Index(names)
        )
    # A unit whose deletion leaves a term without cells says nothing about that term.
    psi = psi.fillna(0.0)
    errors = np.sqrt(n / (n - 1) * (psi.to_numpy() ** 2).sum(axis=0))
    # Treated clusters are what the effect varies over; few of them make the normal quantile too small (decision 407).
    df = float(len(np.unique(codes[sample.treated.any(axis=1)])) - 1)
    return FactorSpread(errors, psi=psi, clusters=psi.index.to_numpy(), factor=n / (n - 1), df=df)


def _require_clusters(sample: FactorSample, codes: Ints, count: int, variance: str) -> None:
    with_treatment = len(np.unique(codes[sample.treated.any(axis=1)]))
    if count < 3 or with_treatment < 2:
        raise InferenceError(
            f"variance={variance!r} draws or deletes clusters, but {with_treatment} of {count} clusters are treated: without the treated one "
            "nothing is left. Use variance='none' followed by placebo_test or conformal_test."
        )


def _resampled(sample: FactorSample, members: list[Ints], settings: FactorSettings) -> list[Ints]:
    """Return draws of clusters with replacement in which every fitted period keeps an untreated cell."""
    rng = np.random.default_rng(settings.seed)
    fitted = (sample.data.W > 0).any(axis=0)
    rows: list[Ints] = []
    for _ in range(100 * settings.draws):
        picked = np.concatenate([members[code] for code in rng.integers(len(members), size=len(members))])
        enough = ((sample.data.W[picked] > 0).sum(axis=0) > (settings.rank or 0))[fitted].all()
        if enough and sample.treated[picked].any():
            rows.append(picked)
        if len(rows) == settings.draws:
            return rows
    raise InferenceError(
        "Too few resamples keep a treated unit and an untreated cell in every period. Use variance='jackknife'."
    )


def _values(sample: FactorSample, settings: FactorSettings, fit: FactorFit, terms: FactorTerms, picked: Ints) -> Floats:
    part = sample.take(picked)
    return terms.apply(
        part,
        fit_factors(
            part.data, settings.method, settings.rank, settings.penalty, start=fit, rows=picked, tolerance=_PRECISION
        ),
    )
