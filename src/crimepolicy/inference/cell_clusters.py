"""Variances of regressions whose clusters cut across time: cells, periods, units and periods, with or without lags."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import linalg

from crimepolicy.errors import InferenceError
from crimepolicy.estimate import Check, Estimate
from crimepolicy.inference.cell_scores import CellScores, cell_scores
from crimepolicy.inference.influence import Labels, labels_of, panel_of, with_errors

__all__ = ["CellCorrection", "cell_clustered", "from_covariance", "lagged_products"]

Array = np.ndarray[Any, Any]
CellCorrection = Literal["CR0", "CR1", "CR1N", "CR1S", "iid"]

# Negative eigenvalues up to this share of the trace are rounding.
_ROUNDING = 1e-10


@dataclass(frozen=True, slots=True)
class _Grouping:
    """Clusters of the cells: codes (m,), their number, and the label for sentences."""

    codes: Array
    count: int
    name: str


def cell_clustered(
    estimate: Estimate,
    by: Labels | None,
    second: Labels | None,
    correction: CellCorrection,
    smallest: bool = False,
    lags: int = 0,
) -> Estimate:
    """Return a regression's estimate with standard errors from its cells.

    Parameters
    ----------
    estimate : Estimate
        From a regression with unit and period effects.
    by, second : labels
        As in `cluster`, and ``"period"`` or ``"cell"``.
    correction : {"CR0", "CR1", "CR1N", "CR1S", "iid"}
    smallest : bool
        Use the smaller number of clusters in the factor of all three parts of two-way clusters.
    lags : int
        Periods over which clusters of periods, or cells of one unit, are dependent (Bartlett weights).

    Returns
    -------
    Estimate
        `psi` is a root of the covariance of the terms and serves for covariances only.
    """
    scores = cell_scores(estimate)
    if correction == "iid":
        return _iid(estimate, scores)
    if lags and (second is not None or by not in ("period", "cell")):
        raise InferenceError("lags go with by='period' or by='cell', and without a second grouping.")
    one = _grouping(estimate, by, scores)
    if lags:
        factor, count = _factor(scores, [one], correction, smallest), one.count
        series = scores.unit if by == "cell" else np.zeros_like(scores.unit)
        matrix = factor[0] * lagged_products(scores.values, series, scores.period, lags)
        return from_covariance(
            estimate,
            scores.terms,
            matrix,
            f"{correction} ({one.name}, {lags} lags)",
            None if correction == "CR0" else float(count - 1),
        )
    groupings = [one] if second is None else [one, _grouping(estimate, second, scores)]
    if second is not None:
        both = pd.factorize(groupings[0].codes * groupings[1].count + groupings[1].codes)[0]
        groupings.append(_Grouping(both, int(both.max()) + 1, "both"))
    factors = _factor(scores, groupings, correction, smallest)
    parts = [factor * _squares(scores.values, group) for factor, group in zip(factors, groupings, strict=True)]
    matrix = parts[0] if second is None else parts[0] + parts[1] - parts[2]
    counts = [group.count for group in groupings[:2]]
    df = float(min(counts) - 1) if by != "cell" else float(len(scores.unit) - _parameters(scores, []))
    return from_covariance(
        estimate,
        scores.terms,
        matrix,
        _sentence(correction, groupings[:2], smallest),
        None if correction == "CR0" else df,
    )


def lagged_products(values: Array, series: Array, period: Array, lags: int) -> Array:
    """Return the sum (k, k) over pairs of one series at most `lags` apart of Bartlett weights times products of values (m, k)."""
    sums = np.zeros((int(series.max()) + 1, int(period.max()) + 1, values.shape[1]))
    np.add.at(sums, (series, period), values)
    total = np.einsum("stk,stj->kj", sums, sums)
    for lag in range(1, min(lags, sums.shape[1] - 1) + 1):
        cross = np.einsum("stk,stj->kj", sums[:, lag:], sums[:, :-lag])
        total += (1 - lag / (lags + 1)) * (cross + cross.T)
    return np.asarray(total)


def _root(matrix: Array) -> tuple[Array, Check]:
    """Return a root (k, k) of a covariance without its negative part, and the check that says how much that was."""
    values, vectors = linalg.eigh((matrix + matrix.T) / 2)
    lost = -float(values[values < 0].sum()) / max(float(np.abs(values).sum()), np.finfo(float).tiny)
    fine = lost < _ROUNDING
    text = (
        "The covariance is positive semidefinite."
        if fine
        else f"The covariance is indefinite; its negative part ({lost:.2%}) was set to zero."
    )
    return np.sqrt(np.clip(values, 0, None))[:, None] * vectors.T, Check("kernel_definite", fine, lost, text)


def _iid(estimate: Estimate, scores: CellScores) -> Estimate:
    n, parameters = len(scores.unit), _parameters(scores, [])
    # The variance of a count is its mean: only the factor (n - 1) / (n - K) is left of that of the errors.
    variation = n - 1 if scores.residual_variation is None else scores.residual_variation
    matrix = scores.bread * variation / (n - parameters)
    return from_covariance(estimate, scores.terms, matrix, f"iid ({n:,} cells)", float(n - parameters))


def _grouping(estimate: Estimate, by: Labels | None, scores: CellScores) -> _Grouping:
    if isinstance(by, str) and by == "cell":
        return _Grouping(np.arange(len(scores.unit)), len(scores.unit), f"{len(scores.unit):,} cells")
    if isinstance(by, str) and by == "period":
        labels, word = scores.period, "periods"
    else:
        units = panel_of(estimate).units
        labels, word = labels_of(estimate, by, units)[scores.unit], "units" if by == "unit" else "clusters"
    codes, names = pd.factorize(labels)
    if len(names) < 2:
        raise InferenceError(f"Only one cluster ({names[0]!r}), so nothing to compare it with. Choose a finer cluster.")
    return _Grouping(codes, len(names), f"{len(names):,} {word}")


def _squares(values: Array, group: _Grouping) -> Array:
    sums = np.zeros((group.count, values.shape[1]))
    np.add.at(sums, group.codes, values)
    return sums.T @ sums


def _factor(scores: CellScores, groupings: list[_Grouping], correction: CellCorrection, smallest: bool) -> list[float]:
    if correction == "CR0":
        return [1.0] * len(groupings)
    least = min(group.count for group in groupings)
    counts = [least if smallest else group.count for group in groupings]
    n, scale = len(scores.unit), 1.0
    if correction in ("CR1N", "CR1S"):
        nested = [group.codes for group in groupings[:2]] if correction == "CR1N" else []
        scale = (n - 1) / (n - _parameters(scores, nested))
    return [scale * count / (count - 1) for count in counts]


def _parameters(scores: CellScores, clusters: list[Array]) -> int:
    """Count coefficients and effects, without the effects that are nested in one of the groupings."""
    times = scores.stratum * (int(scores.period.max()) + 1) + scores.period
    counts = [len(np.unique(effect)) for effect in (scores.unit, times)]
    free = [not any(_nested(effect, codes) for codes in clusters) for effect in (scores.unit, times)]
    if all(free):
        return scores.n_regressors + sum(counts) - scores.n_sets
    return scores.n_regressors + (sum(count for count, kept in zip(counts, free, strict=True) if kept) or 1)


def _nested(effect: Array, clusters: Array) -> bool:
    pairs = pd.DataFrame({"effect": effect, "cluster": clusters}).drop_duplicates()
    return len(pairs) == pairs["effect"].nunique()


def _sentence(correction: str, groupings: list[_Grouping], smallest: bool) -> str:
    names = " and ".join(group.name for group in groupings)
    if len(groupings) == 2:
        return f"{correction} two-way ({names}{', smaller count' if smallest and correction != 'CR0' else ''})"
    if names.endswith("cells"):
        known = {"CR0": "HC0", "CR1S": "HC1"}.get(correction)
        return f"{known} ({names})" if known else f"{correction} ({names})"
    return f"{correction} ({names})"


def from_covariance(
    estimate: Estimate, terms: tuple[str, ...], matrix: Array, correction: str, df: float | None
) -> Estimate:
    """Return the estimate with the covariance (k, k) of its terms, whose root becomes `psi`."""
    root, check = _root(matrix)
    psi = pd.DataFrame(root, columns=list(terms), index=[f"direction {i}" for i in range(len(root))])
    psi.attrs["combined"] = "terms"
    spread = pd.Series(np.sqrt((root**2).sum(axis=0)), index=psi.columns)
    return with_errors(
        estimate,
        spread,
        psi=psi,
        clusters=None,
        factor=1.0,
        correction=correction,
        df=df,
        draws=None,
        checks=(*(kept for kept in estimate.checks if kept.name != "kernel_definite"), check),
    )
