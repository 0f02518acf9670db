"""Estimates to be put together, as vectors: values, their joint covariance and moderators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from crimepolicy.errors import DesignError, InferenceError, of_kind, offenders
from crimepolicy.estimate import HEADLINE, Check, Estimate, Scale, cluster_sums

__all__ = ["Studies", "read_studies"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Moderators = Mapping[str, Sequence[Any]] | pd.DataFrame | None


@dataclass(frozen=True, slots=True, eq=False)
class Studies:
    """Estimates of k events or studies.

    Attributes
    ----------
    labels : list of str
    y : float array (k,)
    V : float array (k, k)
        Their covariance given the true effects.
    X : float array (k, p)
        A constant, and moderators as deviations from their means.
    moderators : list of str
        Names of the columns of X after the first.
    scale : str
    estimand : str
    checks : tuple of Check
    """

    labels: list[str]
    y: Floats
    V: Floats
    X: Floats
    moderators: list[str]
    scale: Scale
    estimand: str
    checks: tuple[Check, ...]

    @property
    def degrees(self) -> int:
        """Number of estimates less the number of coefficients."""
        return len(self.y) - int(self.X.shape[1])

    def without(self, i: int) -> "Studies":
        """Return the studies without the i-th."""
        keep = np.arange(len(self.y)) != i
        labels = [label for label, kept in zip(self.labels, keep, strict=True) if kept]
        return Studies(
            labels,
            self.y[keep],
            self.V[np.ix_(keep, keep)],
            self.X[keep],
            self.moderators,
            self.scale,
            self.estimand,
            self.checks,
        )


def read_studies(
    estimates: Mapping[str, Estimate] | Sequence[Estimate], moderators: Moderators, correlated: bool
) -> Studies:
    """Return estimates as vectors.

    Raises
    ------
    DesignError
        Where there are too few of them, their scales differ, or moderators do not fit or are collinear.
    InferenceError
        Where an estimate has no standard error.
    """
    of_kind("estimates", estimates, Mapping, Sequence)
    items = estimates.items() if isinstance(estimates, Mapping) else enumerate(estimates)
    for key, given in items:
        of_kind(f"estimates[{key!r}]", given, Estimate)
    named = (
        dict(estimates)
        if isinstance(estimates, Mapping)
        else {f"{i + 1}: {e.panel_name or e.method}": e for i, e in enumerate(estimates)}
    )
    _check_estimates(named)
    listed = list(named.values())
    V, checks = _covariance(named, correlated)
    X, names = _design(moderators, len(listed))
    if len(listed) <= X.shape[1]:
        raise DesignError(
            f"{len(listed)} estimates cannot carry {X.shape[1]} coefficients and their spread. Use fewer moderators or more estimates."
        )
    if np.linalg.matrix_rank(X) < X.shape[1]:
        raise DesignError(
            f"The moderators {offenders(names)} are collinear or constant over these estimates. Leave one out."
        )
    y = np.array([e.value for e in listed])
    return Studies(list(named), y, V, X, names, listed[0].scale, _estimand(listed), checks)


def _check_estimates(named: Mapping[str, Estimate]) -> None:
    if len(named) < 2:
        raise DesignError(f"A synthesis needs at least two estimates, not {len(named)}.")
    scales = sorted({e.scale for e in named.values()})
    if len(scales) > 1 or scales == ["ratio"]:
        raise DesignError(
            f"Estimates on the scale {' and '.join(scales)} do not average: use one additive scale (for ratios, the log effect)."
        )
    without = [
        label
        for label, e in named.items()
        if not (np.isfinite(e.value) and np.isfinite(e.std_error) and e.std_error > 0)
    ]
    if without:
        raise InferenceError(
            f"No standard error for {offenders(without)}. Leave them out, or use an estimator with influence functions or draws."
        )


def _estimand(listed: list[Estimate]) -> str:
    words = list(dict.fromkeys(e.estimand for e in listed))
    return words[0] if len(words) == 1 else f"{words[0]} (and {len(words) - 1} other wordings)"


def _covariance(named: Mapping[str, Estimate], correlated: bool) -> tuple[Floats, tuple[Check, ...]]:
    """Estimates that share clusters share noise: their correlation is that of their influence summed within clusters."""
    errors = np.array([e.std_error for e in named.values()])
    influence = [_by_cluster(e) if correlated else None for e in named.values()]
    correlation = _correlation([psi for psi in influence if psi is not None])
    known = np.array([psi is not None for psi in influence])
    whole = np.eye(len(errors))
    whole[np.ix_(known, known)] = correlation
    off = whole[np.tril_indices(len(errors), -1)]
    missing = [label for label, psi in zip(named, influence, strict=True) if psi is None]
    text = f"Correlations between estimates that share units run from {off.min():.2f} to {off.max():.2f}."
    if missing:
        text += f" Taken as independent for want of influence functions: {offenders(missing)}."
    return whole * np.outer(errors, errors), (Check("shared_units", None, float(np.abs(off).max()), text),)


def _correlation(influence: Sequence[pd.Series]) -> Floats:
    """Return the cosines (k, k) of influence functions by cluster, zero where two share no cluster."""
    if not influence:
        return np.empty((0, 0))
    study = np.repeat(np.arange(len(influence)), [len(psi) for psi in influence])
    cluster = pd.factorize(np.concatenate([psi.index.to_numpy() for psi in influence]))[0]
    values = np.concatenate([psi.to_numpy() / np.linalg.norm(psi.to_numpy()) for psi in influence])
    directions = sparse.csr_array((values, (study, cluster)))
    cosines: Floats = (directions @ directions.T).toarray()
    np.fill_diagonal(cosines, 1.0)
    return cosines


def _by_cluster(estimate: Estimate) -> pd.Series | None:
    if estimate.psi is None:
        return None
    labels = estimate.psi.index.to_numpy() if estimate.clusters is None else estimate.clusters
    sums = cluster_sums(estimate.psi[[HEADLINE]].to_numpy(), labels)
    return pd.Series(sums[:, 0], index=pd.Index(pd.unique(labels), dtype=object))


def _design(moderators: Moderators, k: int) -> tuple[Floats, list[str]]:
    if moderators is None:
        return np.ones((k, 1)), []
    frame = pd.DataFrame(moderators).reset_index(drop=True)
    if len(frame) != k or frame.isna().to_numpy().any():
        raise DesignError(
            f"Moderators need one value for each of the {k} estimates, but there are {len(frame)} rows with {int(frame.isna().sum().sum())} missing."
        )
    coded = pd.get_dummies(frame, drop_first=True, dtype=float)
    deviations = coded - coded.mean()
    return np.column_stack([np.ones(k), deviations.to_numpy(dtype=float)]), [str(name) for name in coded.columns]
