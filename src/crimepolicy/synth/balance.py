"""How like the treated unit its synthetic control is, predictor by predictor."""

import pandas as pd

from crimepolicy.errors import EstimationError, of_kind
from crimepolicy.estimate import Estimate

__all__ = ["predictor_balance"]


def predictor_balance(estimate: Estimate) -> pd.DataFrame:
    """Return every predictor for the treated unit, its synthetic control, and the average donor.

    Parameters
    ----------
    estimate : Estimate
        Of `synthetic_control` with predictors.

    Returns
    -------
    pandas.DataFrame
        One row per cohort and predictor: columns cohort, predictor, weight (its share in V), treated, synthetic, donor_mean.

    Raises
    ------
    EstimationError
        Where the estimate has no predictors.

    Examples
    --------
    >>> from crimepolicy.panel import Panel
    >>> from crimepolicy.synth.predictors import Predictor
    >>> from crimepolicy.synth.synthetic_control import synthetic_control
    >>> rows = [(u, t, h * t) for u, h in zip("abcd", (1, 2, 3, 4)) for t in range(6)]
    >>> panel = Panel.from_frame(
    ...     pd.DataFrame(rows, columns=["unit", "time", "y"]), unit="unit", time="time", outcome="y"
    ... )
    >>> effect = synthetic_control(panel.treat(["b"], at=4), predictors=[Predictor("y", 2, 3)], v="equal")
    >>> predictor_balance(effect)[["treated", "synthetic", "donor_mean"]].round(2).values.tolist()
    [[5.0, 5.0, 6.67]]
    """
    of_kind("estimate", estimate, Estimate)
    if estimate.weights is None or "synthetic" not in estimate.weights:
        raise EstimationError(f"{estimate.method} has no predictors. Give predictors= to synthetic_control.")
    rows = estimate.weights[estimate.weights["role"] == "predictor"]
    return rows.drop(columns="role").rename(columns={"label": "predictor"}).reset_index(drop=True)
