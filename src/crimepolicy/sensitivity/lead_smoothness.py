"""How much the slope changed before the event: what a bound M on smoothness can be held against."""

import numpy as np
from scipy import stats

from crimepolicy.errors import InferenceError, of_kind
from crimepolicy.estimate import Check, Estimate
from crimepolicy.sensitivity.conditional import Grid, Interval, Lines, confidence_set, grid_points
from crimepolicy.sensitivity.event_path import event_path
from crimepolicy.sensitivity.restrictions import smoothness

__all__ = ["lead_smoothness"]


def lead_smoothness(
    estimate: Estimate,
    *,
    level: float = 0.95,
    reference: int = -1,
    bins: int = 1,
    window: tuple[int, int] | None = None,
    grid: Grid = None,
) -> Check:
    """Bound the largest change of slope before the event from below and from above.

    The estimand is the largest absolute second difference of the violations up to the reference period. Each bound holds with the
    probability `level` by itself. An M of `smoothness` below the lower one contradicts the leads.

    Parameters
    ----------
    estimate : Estimate
        With a path over event time and its `psi` or `draws`.
    level : float
        Of each one-sided bound.
    reference, bins, window
        As in `honest_bounds`.
    grid : (float, float, int), optional
        First M, last M and number of these to test for the lower bound, which is then one of them, as HonestDiD reports it. By
        default it is found by bisection.

    Returns
    -------
    Check
        Its value is the lower bound.

    Raises
    ------
    EstimationError, DesignError, InferenceError
        As `honest_bounds`; with fewer than two event times before the reference there is no change of slope.

    Assumptions
    -----------
    The estimates before the event are jointly normal around the violations.

    References
    ----------
    Rambachan and Roth (2023), A more credible approach to parallel trends, Review of Economic Studies 90.

    Examples
    --------
    >>> import pandas as pd
    >>> path = pd.DataFrame({"estimate": [0.5, -0.5, 0.0, 1.0]}, index=pd.Index([-3, -2, -1, 0], name="event_time"))
    >>> draws = pd.DataFrame(np.random.default_rng(0).normal(0, 0.1, (500, 3)))
    >>> draws.columns = [f"event_time[{k}]" for k in (-3, -2, 0)]
    >>> facts = {"estimand": "effect", "method": "example", "citation": "", "path": path.assign(std_error=0.1)}
    >>> 1.0 < lead_smoothness(Estimate(value=1.0, std_error=0.1, draws=draws, **facts)).value < 1.5
    True
    """
    of_kind("estimate", estimate, Estimate)
    path = event_path(estimate, None, reference, bins, window)
    if path.n_pre < 2:
        raise InferenceError(
            f"A change of slope needs two event times before the reference, and this path has {path.n_pre}. Ask the estimator for more leads."
        )
    n = path.n_pre
    changes = smoothness(0.0).polyhedra(n, path.n_post)[0].A
    changes = changes[(changes[:, n:] == 0).all(axis=1), :n]
    covariance = changes @ path.covariance[:n, :n] @ changes.T
    spread = np.sqrt(np.diag(covariance))
    if not spread.all():
        raise InferenceError(
            "Some change of slope before the event carries no uncertainty. Estimate the leads with a variance."
        )
    values = changes @ path.values[:n]
    high = float((values + stats.norm.ppf(level) * spread).max())
    # A bound M is contradicted where some change, of either sign, is larger than M: one line in M each.
    lines = Lines(
        intercept=values / spread,
        slope=1 / spread,
        loading=changes / spread[:, None],
        covariance=covariance / np.outer(spread, spread),
        possible=True,
        moments=changes,
        vertices=np.diag(1 / spread),
    )
    low = min(confidence_set(lines, 1 - level, points=grid_points(grid), within=Interval(0.0, np.inf)).low, high)
    text = (
        f"Before the event the slope changed by at least {low:.4g} and at most {high:.4g} per period in its largest change (each bound at {level:.0%}): "
        f"a bound on smoothness below {low:.4g} contradicts the leads."
    )
    return Check("lead_smoothness", None, low, text if low > 0 else _TEXT.format(level, high))


_TEXT = "The estimates before the event are compatible with a straight line; the largest change of slope there is at most {1:.4g} per period (at {0:.0%})."
