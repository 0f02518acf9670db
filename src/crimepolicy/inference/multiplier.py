"""The multiplier bootstrap: influence functions times random weights, by cluster."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from crimepolicy.errors import InferenceError, choose, of_kind
from crimepolicy.estimate import Estimate, cluster_sums
from crimepolicy.inference.influence import Labels, influence, labels_of, with_errors

__all__ = ["Multiplier", "multiplier_bootstrap", "multiplier_draws"]

Array = np.ndarray[Any, Any]
Multiplier = Literal["mammen", "rademacher", "webb"]

_CHUNK = 4_000_000
"""Random numbers held at once (32 MB)."""

_ROOT5 = np.sqrt(5.0)
_POINTS = {
    "mammen": (
        np.array([(1 - _ROOT5) / 2, (1 + _ROOT5) / 2]),
        np.array([(_ROOT5 + 1) / (2 * _ROOT5), (_ROOT5 - 1) / (2 * _ROOT5)]),
    ),
    "rademacher": (np.array([-1.0, 1.0]), np.full(2, 1 / 2)),
    "webb": (np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)]), np.full(6, 1 / 6)),
}


def multiplier_bootstrap(
    estimate: Estimate, *, by: Labels | None = None, draws: int = 999, weights: Multiplier = "rademacher", seed: int = 0
) -> Estimate:
    """Return the estimate with bootstrap draws, robust standard errors and simultaneous bands from its influence functions.

    The estimand does not change. Nothing is fitted again: a draw is the estimate plus the cluster sums of influence
    times independent random weights of mean zero and variance one.

    Parameters
    ----------
    estimate : Estimate
        With influence functions by unit.
    by : labels, optional
        Level of inference; the estimate's own by default.
    draws : int
        Number of draws.
    weights : {"rademacher", "mammen", "webb"}
        Distribution of the weights (plus or minus one; two points of skewness one; six points).
    seed : int

    Returns
    -------
    Estimate
        With `draws` (draws, terms). Standard errors are interquartile ranges over those of the standard normal, and
        `band` takes its critical value from the draws.

    Raises
    ------
    InferenceError
        Where there are no influence functions, one cluster, or fewer than 20 draws.

    Assumptions
    -----------
    Many independent clusters; the estimator is asymptotically linear.

    References
    ----------
    Callaway and Sant'Anna (2021), Journal of Econometrics 225, algorithm 1.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from crimepolicy.panel import Panel
    >>> panel = Panel(Y=np.zeros((50, 2)), D=np.eye(50, 2) > 0, units=pd.RangeIndex(50), periods=pd.RangeIndex(2))
    >>> psi = pd.DataFrame({"att": np.tile([0.1, -0.1], 25)}, index=panel.units)
    >>> effect = Estimate.from_psi(value=1.0, psi=psi, panel=panel, estimand="effect", method="test", citation="")
    >>> abs(multiplier_bootstrap(effect).std_error - effect.std_error) < 0.1
    True
    """
    of_kind("estimate", estimate, Estimate)
    choose("weights", weights, Multiplier)
    if draws < 20:
        raise InferenceError(f"draws={draws} is too few for a quantile. Use 999 or more.")
    psi, labels = influence(estimate), labels_of(estimate, by)
    sums = cluster_sums(psi.to_numpy(), labels)
    if len(sums) < 2:
        raise InferenceError(
            f"Only one cluster ({labels[0]!r}), so there is nothing to draw. Choose a finer cluster, or use randomization_test."
        )
    factor = estimate.factor if by is None else 1.0
    noise = np.sqrt(factor) * multiplier_draws(sums, draws, weights, np.random.default_rng(seed))
    spread = np.diff(np.quantile(noise, [0.25, 0.75], axis=0), axis=0)[0] / (2 * stats.norm.ppf(0.75))
    centre = estimate.estimates.reindex(psi.columns).to_numpy()
    name = f"multiplier bootstrap ({weights}, {draws} draws, {len(sums)} clusters)"
    return with_errors(
        estimate,
        pd.Series(spread, index=psi.columns),
        draws=pd.DataFrame(centre + noise, columns=psi.columns),
        clusters=labels,
        factor=factor,
        correction=name,
        df=None,
        companions={
            key: multiplier_bootstrap(e, by=by, draws=draws, weights=weights, seed=seed)
            for key, e in estimate.companions.items()
        },
    )


def multiplier_draws(sums: Array, draws: int, weights: Multiplier, rng: np.random.Generator) -> Array:
    """Return draws (draws, k) of the weighted sums of `sums` (n_clusters, k)."""
    points, chances = _POINTS[weights]
    upper = np.cumsum(chances)[:-1]
    rows = max(1, _CHUNK // len(sums))
    parts = []
    for start in range(0, draws, rows):
        uniform = rng.random((min(rows, draws - start), len(sums)))
        parts.append(points[np.searchsorted(upper, uniform, side="right")] @ sums)
    return np.concatenate(parts)
