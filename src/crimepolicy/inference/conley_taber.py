"""Inference with few treated and many untreated places, of equal variance."""

from crimepolicy.errors import of_kind
from crimepolicy.estimate import Estimate
from crimepolicy.inference.control_noise import control_noise, with_noise

__all__ = ["conley_taber"]


def conley_taber(estimate: Estimate, *, draws: int = 9_999, seed: int = 0) -> Estimate:
    """Return the estimate with the distribution of its noise taken from the residuals of untreated places.

    The estimand is the coefficient of the treatment in a two-way regression. With few treated places its noise does not
    average out, but untreated places show its distribution.

    Parameters
    ----------
    estimate : Estimate
        From a least-squares regression with unit and period effects on a balanced panel; see `regression`.
    draws : int
        Combinations drawn where they are too many to list.
    seed : int

    Returns
    -------
    Estimate
        With `null` and `null_p`; `interval` comes from its quantiles, and there is no standard error.

    Raises
    ------
    InferenceError
        Where the estimate is no such regression.

    Assumptions
    -----------
    Many untreated places, independent of each other; errors of treated and untreated places have one distribution. Crime
    rates of small places vary more: use `ferman_pinto`.

    References
    ----------
    Conley and Taber (2011), Review of Economics and Statistics 93.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> import crimepolicy as cp
    >>> rows = pd.DataFrame({"city": np.repeat(range(30), 6), "year": list(range(6)) * 30})
    >>> rows["deaths"] = np.random.default_rng(1).normal(20, 1, 180)
    >>> rows["truce"] = ((rows.city == 0) & (rows.year > 2)).astype(int)
    >>> panel = cp.Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> conley_taber(cp.two_way_fixed_effects(panel)).correction
    'Conley-Taber (29 untreated and 1 treated units, all 29 combinations)'
    """
    of_kind("estimate", estimate, Estimate)
    return with_noise(estimate, control_noise(estimate).noise, "Conley-Taber", draws, seed)
