"""Confidence sets by inverting randomisation tests of constant effects."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from crimepolicy.errors import InferenceError, of_kind
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.inference.mechanisms import Mechanism
from crimepolicy.inference.placebo_fits import Statistic
from crimepolicy.inference.randomization import randomization_test
from crimepolicy.inference.worded import WordedFrame

__all__ = ["randomization_interval"]

_ROUNDING = 1e-12
"""A p-value of exactly 1 - level is a rejection, although 1 - 0.95 is not quite 0.05."""

_REACH = 16
"""Standard deviations from the estimate within which each end is looked for."""


def randomization_interval(
    estimate: Estimate,
    mechanism: Mechanism,
    *,
    level: float = 0.95,
    draws: int = 499,
    statistic: Statistic = "studentised",
    tolerance: float = 0.02,
    seed: int = 0,
    n_jobs: int = 1,
) -> WordedFrame:
    """Return the constant effects that a randomisation test does not reject.

    The effect is additive for estimates in levels and multiplicative for log and ratio estimates. All effects are tested
    with the same assignments, and each end is found by bisection.

    Parameters
    ----------
    estimate, mechanism, draws, statistic, seed, n_jobs
        As for `randomization_test`.
    level : float
        One minus the size of the tests.
    tolerance : float
        Width, in standard deviations of the estimate over assignments, to which each end is found; the outer side is given.

    Returns
    -------
    WordedFrame
        One row ``att``: estimate, conf_low, conf_high (on the scale of the estimate), level. An end is infinite (zero, for
        the lower end of a ratio) where nothing within 16 standard deviations is rejected, as when the smallest possible
        p-value exceeds 1 - level.

    Raises
    ------
    InferenceError
        As `randomization_test`.

    Assumptions
    -----------
    Those of `randomization_test`; the p-value falls on both sides of the estimate, as it does for monotone statistics.

    References
    ----------
    Imbens and Rubin (2015), section 5.7; Rosenbaum (2002), Observational Studies, section 2.6.

    Examples
    --------
    >>> from crimepolicy.inference.mechanisms import RedrawPlaces
    >>> from crimepolicy.panel import Panel
    >>> def effect_of(panel):
    ...     gap = panel.Y[panel.D].mean() - panel.Y[~panel.D].mean()
    ...     return Estimate(
    ...         estimand="gap",
    ...         value=gap,
    ...         std_error=float("nan"),
    ...         method="means",
    ...         citation="",
    ...         panel=panel,
    ...         fit=effect_of,
    ...     )
    >>> treated = np.arange(12)[:, None] < 6
    >>> panel = Panel(
    ...     Y=np.arange(12.0)[:, None] % 6 - 9 * treated, D=treated, units=pd.RangeIndex(12), periods=pd.RangeIndex(1)
    ... )
    >>> interval = randomization_interval(effect_of(panel), RedrawPlaces(), statistic="value", draws=99)
    >>> bool(interval.conf_low["att"] < -9 < interval.conf_high["att"] < 0)
    True
    """
    of_kind("estimate", estimate, Estimate)
    if not 0 < level < 1:
        raise InferenceError(f"level={level!r} should lie between 0 and 1, such as 0.95.")
    logged = estimate.scale == "ratio"

    def tested(effect: float) -> Estimate:
        null = float(np.exp(effect)) if logged else effect
        return randomization_test(
            estimate,
            mechanism,
            draws=draws,
            statistic=statistic,
            effect=null,
            terms=[HEADLINE],
            seed=seed,
            n_jobs=n_jobs,
        )

    def kept(effect: float) -> bool:
        return tested(effect).p_value() > 1 - level + _ROUNDING

    centre = float(np.log(estimate.value)) if logged else estimate.value
    placebos = tested(centre).null[HEADLINE]  # type: ignore[index]
    spread = float((np.log(placebos) if logged else placebos).std())
    low, high = (_end(kept, centre, direction * spread, tolerance * spread) for direction in (-1.0, 1.0))
    if logged:
        low, high = float(np.exp(low)), float(np.exp(high))
    row = {"estimate": estimate.value, "conf_low": low, "conf_high": high, "level": level}
    text = f"No constant effect between {low:.4g} and {high:.4g} is rejected by {type(mechanism).__name__} at {1 - level:.0%}."
    return WordedFrame([row], index=pd.Index([HEADLINE], name="term"), text=text)


def _end(kept: Callable[[float], bool], centre: float, step: float, tolerance: float) -> float:
    inside, reach = centre, 2.0
    while kept(centre + reach * step):
        inside, reach = centre + reach * step, 2 * reach
        if reach > _REACH:
            return float(np.sign(step) * np.inf)
    outside = centre + reach * step
    while abs(outside - inside) > tolerance:
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if kept(middle) else (inside, middle)
    return outside
