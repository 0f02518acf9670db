"""Reclassification: deaths that become disappearances or police killings when a policy starts."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy import optimize

from crimepolicy.errors import CrimepolicyError, DesignError, of_kind, offenders
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.refits import Variants, panel_and_fit, refit_frame, span

__all__ = ["reclassification_bounds"]

Floats = np.ndarray[Any, np.dtype[np.float64]]


def reclassification_bounds(
    estimate: Estimate,
    *,
    shares: Sequence[float] = (0.0, 0.05, 0.1, 0.2),
    other: Panel | None = None,
    level: float = 0.95,
    n_jobs: int = 1,
) -> Variants:
    """Estimate again as if a share of the events had been recorded as something else.

    Without `other`, a share of the true events in treated cells is missing from the record: recorded counts there are divided by
    one minus the share. With `other`, that share of its outcome (disappearances, killings by police) is added in every cell,
    before and after, treated or not.

    Parameters
    ----------
    estimate : Estimate
        With its panel and fit.
    shares : sequence of float
        From 0, and below 1 without `other`; up to 1 with it.
    other : Panel, optional
        The same units and periods, with the outcome where the events may have gone.
    level : float
        Of the intervals.
    n_jobs : int

    Returns
    -------
    Variants
        One row per share; the bounds for a range of shares are the extremes over its rows, since the effect moves in one
        direction. The text names the share at which the estimate reaches no effect.

    Raises
    ------
    DesignError
        Where a share is out of range or `other` has other units or periods.
    EstimationError
        Where the estimate does not carry its panel and fit.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"city": list("aabb"), "year": [1, 2, 1, 2], "deaths": [8, 4, 5, 5], "truce": [0, 1, 0, 0]})
    >>> panel = Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> def change(p):
    ...     facts = {"estimand": "change", "method": "change", "citation": "", "std_error": 1.0}
    ...     return Estimate(value=p.Y[0, 1] - p.Y[0, 0], panel=p, fit=change, **facts)
    >>> found = reclassification_bounds(change(panel), shares=(0, 0.2))
    >>> found.frame["estimate"].tolist()
    [-4.0, -3.0]
    """
    of_kind("estimate", estimate, Estimate)
    panel, fit = panel_and_fit(estimate)
    values = sorted(map(float, shares))
    top = 1.0 if other is not None else np.nextafter(1.0, 0.0)
    outside = [share for share in values if not 0 <= share <= top]
    if outside or not values:
        raise DesignError(f"Shares of reclassified events lie from 0 to below 1, not {offenders(outside)}.")
    moved = None if other is None else _aligned(panel, other)
    change = partial(_moved, moved)
    frame = refit_frame(fit, panel, change, [({"share": s}, s) for s in values], level=level, n_jobs=n_jobs)
    where = "all cells" if other is not None else "treated cells"
    what = (
        f"of {other.outcome} are added in {where}" if other is not None else f"of the events in {where} went unrecorded"
    )
    tip = _tipping_share(estimate, lambda share: fit(change(panel, share)).value, values[-1])
    reached = "no share in this range undoes it" if tip is None else f"at {tip:.1%} nothing is left of it"
    text = f"If {values[0]:.0%} to {values[-1]:.0%} {what}, the estimate {span(frame)}; {reached}."
    return Variants(frame, estimate, text)


def _aligned(panel: Panel, other: Panel) -> Floats:
    if not (panel.units.equals(other.units) and panel.periods.equals(other.periods)):
        raise DesignError(
            "The panel of the other outcome has other units or periods. Use keep() and window() to align them."
        )
    return other.Y


def _moved(other: Floats | None, panel: Panel, share: float) -> Panel:
    if other is not None:
        return panel.with_outcome(panel.Y + share * other)
    return panel.with_outcome(np.where(panel.D, panel.Y / (1 - share), panel.Y))


def _tipping_share(estimate: Estimate, value: Any, most: float) -> float | None:
    """Return the share at which the estimate crosses no effect, if it does."""
    no_effect = 1.0 if estimate.scale == "ratio" else 0.0
    try:
        if np.sign(value(0.0) - no_effect) == np.sign(value(most) - no_effect):
            return None
        return float(optimize.brentq(lambda share: value(share) - no_effect, 0.0, most, xtol=1e-4))
    except CrimepolicyError:
        return None
