"""The sign-change test for few treated clusters."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import InferenceError, at_least, of_kind
from crimepolicy.estimate import HEADLINE, Check, Estimate
from crimepolicy.inference.impose import refitted
from crimepolicy.inference.influence import Labels, labels_of, panel_of

__all__ = ["sign_change_test"]

Array = np.ndarray[Any, Any]

_LISTED = 13
"""Up to this many treated clusters all sign vectors are listed (8,192 of them)."""

_TIE = 1e-9
"""Statistics this close, relatively, are one statistic computed in two orders of summation."""


def sign_change_test(
    estimate: Estimate, *, by: Labels | None = None, null: float = 0.0, draws: int = 9_999, seed: int = 0
) -> Estimate:
    """Test the mean of effects estimated separately for each treated cluster by changing their signs.

    The estimand is the unweighted mean of the effects in the treated clusters, each estimated against all untreated ones.

    Parameters
    ----------
    estimate : Estimate
        Of any estimator that can be fitted with one treated cluster.
    by : labels, optional
        Level of inference; the estimate's own by default.
    null : float
        Mean effect under the null, on the scale of the estimate (logs for log effects).
    draws, seed : int
        Where there are more than 13 treated clusters.

    Returns
    -------
    Estimate
        With `null` (means under changed signs), `null_p`, and the separate effects as the check ``cluster_effects``.

    Raises
    ------
    InferenceError
        With fewer than two treated clusters or no untreated one, or on the ratio scale.

    Assumptions
    -----------
    Each estimate is symmetric around the null, and they are independent: untreated clusters are so many that their noise
    is negligible. Variances may differ between clusters. With q treated clusters no p-value is below ``2 / 2**q``.

    References
    ----------
    Canay, Romano and Shaikh (2017), Econometrica 85.

    Examples
    --------
    >>> import crimepolicy as cp
    >>> rows = pd.DataFrame({"city": np.repeat(range(40), 6), "year": list(range(6)) * 40})
    >>> rows["truce"] = ((rows.city < 6) & (rows.year > 2)).astype(int)
    >>> rows["deaths"] = np.random.default_rng(1).normal(20, 1, 240) - 4 * rows.truce
    >>> panel = cp.Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> sign_change_test(cp.two_way_fixed_effects(panel)).p_value()
    0.03125
    """
    of_kind("estimate", estimate, Estimate)
    if estimate.scale == "ratio":
        raise InferenceError("Signs change around zero. Use the estimate on the log scale, before as_ratio().")
    at_least("draws", draws, 1)
    refitted(estimate)
    effects = _separate(estimate, by)
    count = len(effects)
    if count <= _LISTED:
        signs = np.array(list(product([1.0, -1.0], repeat=count)))
    else:
        signs = np.vstack([np.ones(count), np.random.default_rng(seed).choice([-1.0, 1.0], (draws, count))])
    centred = effects.to_numpy() - null
    statistics = np.abs(_t(signs * centred))
    p = float((statistics >= statistics[0] * (1 - _TIE)).mean())
    smallest = 2.0 ** (1 - count)
    shown = ", ".join(f"{name}: {effect:.4g}" for name, effect in effects.head(13).items())
    return estimate.replace(
        null=pd.DataFrame({HEADLINE: (signs * centred).mean(axis=1)}),
        null_p={HEADLINE: p},
        correction="; ".join(
            filter(None, [estimate.correction, f"p-value by changes of sign ({count} treated clusters)"])
        ),
        checks=(
            *estimate.checks,
            Check(
                "cluster_effects",
                None,
                float(effects.mean()),
                f"Effects by treated cluster, mean {effects.mean():.4g}: {shown}.",
            ),
            Check(
                "smallest_p",
                smallest <= 0.05,
                smallest,
                f"The smallest p-value that {count} treated clusters can give is {smallest:.4g}.",
            ),
        ),
    )


def _separate(estimate: Estimate, by: Labels | None) -> pd.Series:
    panel = panel_of(estimate)
    labels = pd.Series(
        labels_of(estimate, by, panel.units) if estimate.psi is not None or by is not None else panel.clusters
    )
    ever = pd.Series(panel.D.any(axis=1)).groupby(labels).transform("any").to_numpy()
    treated = pd.unique(labels[ever])
    if len(treated) < 2 or ever.all():
        raise InferenceError(
            f"{len(treated)} treated and {labels[~ever].nunique()} untreated clusters: this needs two and one at least. Use placebo_test or randomization_test."
        )
    effects = {}
    for name in treated:
        others = ever & (labels != name).to_numpy()
        effects[str(name)] = estimate.refit(panel.drop(panel.units[others])).value
    return pd.Series(effects)


def _t(values: Array) -> Array:
    spread: Array = values.std(axis=1, ddof=1)
    return np.asarray(np.divide(values.mean(axis=1), spread, out=np.full(len(values), np.inf), where=spread > 0))
