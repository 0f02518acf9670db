"""Cluster-robust standard errors with the small-sample correction named."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from crimepolicy.errors import InferenceError, choose, of_kind, offenders
from crimepolicy.estimate import HEADLINE, Check, Estimate, cluster_sums
from crimepolicy.inference.bell_mccaffrey import bell_mccaffrey
from crimepolicy.inference.cell_clusters import CellCorrection, cell_clustered
from crimepolicy.inference.companions import LazyCompanions
from crimepolicy.inference.few_clusters import few_treated_clusters
from crimepolicy.inference.impose import refitted
from crimepolicy.inference.influence import Labels, influence, labels_of, panel_of, with_errors
from crimepolicy.inference.kernel import combine
from crimepolicy.inference.regression import regression
from crimepolicy.panel import Panel

__all__ = ["Correction", "cluster"]

Correction = Literal["CR0", "CR1", "CR1N", "CR1S", "CR2", "CR3", "iid"]


def cluster(
    estimate: Estimate,
    by: Labels | None = None,
    *,
    correction: Correction = "CR1",
    second: Labels | None = None,
    smallest: bool = False,
    lags: int = 0,
) -> Estimate:
    """Return the estimate with standard errors clustered at the level given.

    The estimand does not change; only its uncertainty does.

    Parameters
    ----------
    estimate : Estimate
        With influence functions by unit (CR0, CR1, CR1S), from a least-squares regression with effects (CR2), or from
        any estimator at all (CR3, which fits it again without each cluster).
    by : labels, optional
        ``"unit"``, ``"cluster"``, ``"region"``, one label per unit, or labels by unit. The estimate's own level by default. For
        `two_way_fixed_effects` also ``"period"`` and ``"cell"``.
    correction : {"CR0", "CR1", "CR1N", "CR1S", "CR2", "CR3", "iid"}
        ``"CR0"`` none; ``"CR1"`` G/(G-1); ``"CR1S"`` G/(G-1) times (N-1)/(N-K), for regressions; ``"CR1N"`` the same with K
        without effects nested in clusters; ``"CR2"`` bias-reduced with Bell-McCaffrey degrees of freedom, for regressions;
        ``"CR3"`` the delete-one-cluster jackknife; ``"iid"`` no clusters and one variance. ``by="cell"`` with CR0 is known as
        HC0, with CR1S as HC1.
    second : labels, optional
        Another grouping for two-way clusters, such as ``by="unit", second="period"`` (not for CR2, CR3 and iid).
    smallest : bool
        Two-way clusters with the factor of the smaller number of clusters in all parts, instead of each part's own.
    lags : int
        With ``by="period"``: periods up to this far apart are dependent too, with Bartlett weights (Driscoll and Kraay); with
        ``by="cell"``: cells of one unit up to this far apart (Newey and West).

    Returns
    -------
    Estimate
        `correction` names the correction, `df` holds the degrees of freedom (None: normal).

    Raises
    ------
    InferenceError
        With one cluster; where the correction or the level of clusters needs what the estimate is not.

    Assumptions
    -----------
    Clusters are independent of each other. Except for CR2 and CR3 their number is large, on the treated side too.

    References
    ----------
    Cameron, Gelbach and Miller (2011), JBES 29; Driscoll and Kraay (1998), REStat 80; Pustejovsky and Tipton (2018), JBES 36;
    MacKinnon, Nielsen and Webb (2023), Journal of Econometrics 232.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from crimepolicy.panel import Panel
    >>> rows = pd.DataFrame(
    ...     {
    ...         "city": list("aabbccdd"),
    ...         "year": [1, 2] * 4,
    ...         "deaths": [3, 4, 5, 9, 7, 7, 2, 8],
    ...         "truce": [0, 1, 0, 1, 0, 0, 0, 0],
    ...     }
    ... )
    >>> panel = Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> psi = pd.DataFrame({"att": [-0.75, 0.75, 1.5, -1.5]}, index=panel.units)
    >>> effect = Estimate.from_psi(
    ...     value=-0.5, psi=psi, panel=panel, estimand="effect", method="difference", citation=""
    ... )
    >>> round(cluster(effect, correction="CR1").std_error, 4)
    2.7386
    """
    of_kind("estimate", estimate, Estimate)
    choose("correction", correction, Correction)
    if _needs_cells(estimate, by, second, correction) or smallest or lags:
        return _by_cells(estimate, by, second, correction, smallest, lags)
    if second is not None:
        return _two_way(estimate, by, second, correction)
    if correction == "CR2":
        result = _bias_reduced(estimate, by)
    elif correction == "CR3":
        result = _jackknife(estimate, by)
    else:
        result = _sandwich(estimate, by, correction)
    # Made when asked for: thousands of refits never look at other scales.
    companions = LazyCompanions(
        {name: partial(_clustered_companion, estimate, name, by, correction) for name in estimate.companions}
    )
    again = None if estimate.fit is None else partial(_again, estimate.fit, _by_unit(estimate, by), correction)
    return result.replace(companions=companions, checks=_with_few(result, by), fit=again)


def _needs_cells(estimate: Estimate, by: Labels | None, second: Labels | None, correction: Correction) -> bool:
    across = any(isinstance(labels, str) and labels in ("period", "cell") for labels in (by, second))
    counted = correction == "CR1S" and (estimate.by_cell is not None or second is not None)
    return across or counted or correction in ("CR1N", "iid")


def _by_cells(
    estimate: Estimate, by: Labels | None, second: Labels | None, correction: Correction, smallest: bool, lags: int
) -> Estimate:
    choose("correction", correction, CellCorrection)
    options: dict[str, Any] = {"correction": correction, "second": second, "smallest": smallest, "lags": lags}
    companions = {
        name: cell_clustered(other, by, **options)
        for name, other in estimate.companions.items()
        if other.by_cell is not None
    }
    return cell_clustered(estimate, by, **options).replace(
        companions=companions, fit=None if estimate.fit is None else partial(_again_by_cells, estimate.fit, by, options)
    )


def _again_by_cells(
    fit: Callable[[Panel], Estimate], by: Labels | None, options: Mapping[str, Any], panel: Panel
) -> Estimate:
    return cluster(fit(panel), by, **options)


def _clustered_companion(estimate: Estimate, name: str, by: Labels | None, correction: Correction) -> Estimate:
    return cluster(_companion(estimate, name), by, correction=correction)


def _companion(estimate: Estimate, name: str) -> Estimate:
    other = estimate.companions[name]
    if other.fit is not None or estimate.fit is None:
        return other
    return other.replace(fit=partial(_fit_companion, estimate.fit, name))


def _fit_companion(fit: Callable[[Panel], Estimate], name: str, panel: Panel) -> Estimate:
    return fit(panel).companions[name]


def _again(fit: Callable[[Panel], Estimate], by: Labels | None, correction: Correction, panel: Panel) -> Estimate:
    return cluster(fit(panel), by, correction=correction)


def _by_unit(estimate: Estimate, by: Labels | None) -> Labels | None:
    """Labels by position mean nothing on another panel; labels by unit do."""
    if by is None or isinstance(by, (str, Mapping, pd.Series)):
        return by
    index = influence(estimate).index if estimate.panel is None else estimate.panel.units
    return pd.Series(labels_of(estimate, by, index), index=index)


def _sandwich(estimate: Estimate, by: Labels | None, correction: Correction) -> Estimate:
    psi, labels = influence(estimate), labels_of(estimate, by)
    sums = cluster_sums(psi.to_numpy(), labels)
    count = _counted(labels)
    factor = 1.0 if correction == "CR0" else count / (count - 1)
    if correction == "CR1S":
        problem = regression(estimate, by=by)
        factor *= (problem.n_rows - 1) / (problem.n_rows - problem.n_parameters)
    spread = pd.Series(np.sqrt(factor * (sums**2).sum(axis=0)), index=psi.columns)
    df = None if correction == "CR0" else float(count - 1)
    return with_errors(
        estimate, spread, clusters=labels, factor=factor, correction=_named(correction, count), df=df, draws=None
    )


def _bias_reduced(estimate: Estimate, by: Labels | None) -> Estimate:
    labels = labels_of(estimate, by)
    count = _counted(labels)
    problem = regression(estimate, by=by)
    result = bell_mccaffrey(problem)
    own = pd.Series(result.psi, index=problem.names).reindex(labels).to_numpy()
    sizes = pd.Series(labels).groupby(labels).transform("size").to_numpy()
    psi = pd.DataFrame({HEADLINE: own / sizes}, index=influence(estimate).index)
    spread = pd.Series({HEADLINE: result.std_error})
    return with_errors(
        estimate,
        spread,
        psi=psi,
        clusters=labels,
        factor=1.0,
        correction=_named("CR2", count),
        df=result.df,
        draws=None,
    )


def _jackknife(estimate: Estimate, by: Labels | None) -> Estimate:
    panel = panel_of(estimate)
    labels = labels_of(estimate, by, panel.units)
    count = _counted(labels)
    full = refitted(estimate).estimates
    left_out = pd.DataFrame({name: _without(estimate, labels, name) for name in pd.unique(labels)}).reindex(full.index)
    _headline_survives(left_out)
    known = left_out.notna().all(axis=1)
    change = (full[known].to_numpy()[:, None] - left_out[known].to_numpy()).T
    codes = pd.factorize(labels)[0]
    # The change belongs to a cluster; units share it evenly so that cluster sums give it back.
    psi = pd.DataFrame(change[codes] / np.bincount(codes)[codes][:, None], index=panel.units, columns=full.index[known])
    factor = (count - 1) / count
    spread = pd.Series(np.sqrt(factor * (change**2).sum(axis=0)), index=psi.columns)
    lost = Check(
        "jackknife_terms",
        None if not known.all() else True,
        int((~known).sum()),
        f"{int((~known).sum())} entries of the path are not identified without some cluster and have no CR3 standard error.",
    )
    changed = with_errors(
        estimate,
        spread,
        psi=psi,
        clusters=labels,
        factor=factor,
        correction=_named("CR3", count),
        df=float(count - 1),
        draws=None,
    )
    return changed.replace(checks=(*changed.checks, lost))


def _without(estimate: Estimate, labels: np.ndarray, name: object) -> pd.Series:
    panel = panel_of(estimate)
    try:
        return estimate.refit(panel.drop(panel.units[labels == name])).estimates
    except ValueError as problem:
        raise InferenceError(
            f"CR3 leaves out each cluster in turn, and without {name!r} the effect cannot be estimated: {problem}"
        ) from problem


def _headline_survives(left_out: pd.DataFrame) -> None:
    lost = left_out.columns[left_out.loc[HEADLINE].isna().to_numpy()]
    if len(lost):
        raise InferenceError(
            f"CR3 leaves out each cluster in turn, and without {offenders(lost)} the effect has no value."
        )


def _two_way(estimate: Estimate, by: Labels | None, second: Labels, correction: Correction) -> Estimate:
    choose("correction", correction, ("CR0", "CR1"))
    psi = influence(estimate)
    one, two = labels_of(estimate, by), labels_of(estimate, second)
    both = pd.factorize(pd.MultiIndex.from_arrays([pd.factorize(one)[0], pd.factorize(two)[0]]))[0]
    counts = [_counted(labels) for labels in (one, two, both)]
    factors = [1.0 if correction == "CR0" else count / (count - 1) for count in counts]
    kernel = factors[0] * _same(one) + factors[1] * _same(two) - factors[2] * _same(both)
    combined = combine(psi, kernel)
    spread = np.sqrt((combined.psi**2).sum())
    name = f"{correction} two-way ({counts[0]} and {counts[1]} clusters)"
    df = None if correction == "CR0" else float(min(counts[:2]) - 1)
    changed = with_errors(
        estimate, spread, psi=combined.psi, clusters=None, factor=1.0, correction=name, df=df, draws=None
    )
    return changed.replace(checks=(*estimate.checks, combined.check))


def _same(labels: np.ndarray) -> sparse.csr_matrix:
    codes, names = pd.factorize(labels)
    member = sparse.csr_matrix((np.ones(len(codes)), (np.arange(len(codes)), codes)), shape=(len(codes), len(names)))
    return sparse.csr_matrix(member @ member.T)


def _counted(labels: np.ndarray) -> int:
    count = len(pd.unique(labels))
    if count < 2:
        raise InferenceError(
            f"Only one cluster ({labels[0]!r}), so nothing to compare it with: no clustered standard error exists. Choose a "
            "finer cluster, or use randomization_test, which needs no clusters."
        )
    return count


def _named(correction: str, count: int) -> str:
    return f"{correction} ({count} clusters)"


def _with_few(estimate: Estimate, by: Labels | None) -> tuple[Check, ...]:
    kept = tuple(check for check in estimate.checks if check.name != "few_treated_clusters")
    if estimate.panel is None:
        return kept
    labels = labels_of(estimate.replace(psi=None, clusters=None) if by is None else estimate, by, estimate.panel.units)
    return (*kept, few_treated_clusters(estimate.panel, labels))
