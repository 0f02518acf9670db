"""Randomisation inference: the estimate among those of all the places and dates that could have been treated."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from crimepolicy.errors import InferenceError, at_least, choose, of_kind
from crimepolicy.estimate import HEADLINE, Check, Estimate
from crimepolicy.inference.impose import imposed, refitted
from crimepolicy.inference.influence import panel_of
from crimepolicy.inference.mechanisms import Mechanism
from crimepolicy.inference.placebo_fits import PlaceboFits, Statistic, placebo_fits
from crimepolicy.panel import Panel

__all__ = ["Sides", "randomization_p", "randomization_test"]

Sides = Literal["two", "greater", "less"]

_TIE = 1e-9
"""Statistics this close, relatively, are one statistic computed in two orders of summation."""


def randomization_test(
    estimate: Estimate,
    mechanism: Mechanism,
    *,
    draws: int = 999,
    statistic: Statistic = "studentised",
    sides: Sides = "two",
    effect: float = 0.0,
    windows: Mapping[str, tuple[int, int]] | None = None,
    terms: Sequence[str] | None = None,
    exact: Literal["auto"] | bool = "auto",
    seed: int = 0,
    n_jobs: int = 1,
) -> Estimate:
    """Test the sharp null of one constant effect by reassigning treatment and fitting again.

    The estimand does not change. The p-value is the share of assignments whose statistic is at least as large as the
    observed one, the observed assignment counted.

    Parameters
    ----------
    estimate : Estimate
        Of any estimator; it must carry its panel and fit.
    mechanism : RedrawPlaces, RedrawDates, PermuteSchedules, MoveClusters, or any object with their methods
        How treatment could have fallen otherwise.
    draws : int
        Number of random assignments, unless all are listed.
    statistic : {"studentised", "value"}
        Estimate over its standard error, which also tests a zero average effect in large samples, or the estimate itself.
    sides : {"two", "greater", "less"}
    effect : float
        The effect under the null: a difference, for log effects a difference of logs, for ratios a ratio. With ratios use 1.
    windows : mapping of name to (first, last), optional
        Averages of path entries over event times, both ends included, tested beside the headline and the path.
    terms : sequence of str, optional
        Terms to keep; headline, windows and path by default.
    exact : {"auto", True, False}
        List every assignment; ``"auto"`` where there are no more than `draws`.
    seed : int
    n_jobs : int
        Workers, through joblib. The result does not depend on it.

    Returns
    -------
    Estimate
        With `null` (assignments, terms), `null_p` by term, and checks: the standard deviation over assignments beside the
        standard error, the smallest p-value possible, and fits that failed.

    Raises
    ------
    InferenceError
        Where the estimate cannot be fitted again, has no standard error to studentise with, or the mechanism cannot have
        produced the observed assignment.

    Assumptions
    -----------
    Treatment was assigned as the mechanism says; the effect under the null is the same in every treated cell.

    References
    ----------
    Imbens and Rubin (2015), chapter 5; Wu and Ding (2021), JASA 116, for studentised statistics; Phipson and Smyth (2010).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from crimepolicy.inference.mechanisms import RedrawPlaces
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
    >>> panel = Panel(
    ...     Y=np.arange(12.0).reshape(6, 2),
    ...     D=np.arange(6)[:, None] * [0, 1] == 5,
    ...     units=pd.RangeIndex(6),
    ...     periods=pd.RangeIndex(2),
    ... )
    >>> round(randomization_test(effect_of(panel), RedrawPlaces(), statistic="value").p_value(), 4)
    0.1667
    """
    of_kind("estimate", estimate, Estimate)
    choose("sides", sides, Sides)
    choose("statistic", statistic, Statistic)
    at_least("draws", draws, 1)
    panel = panel_of(estimate)
    if panel.dose is not None:
        raise InferenceError(
            "Reassigning a dose is not defined here: mechanisms move 0/1 treatment. Use a panel with treated= only."
        )
    # Fitted again even under no effect, so that both sides of the comparison carry one kind of standard error.
    shifted = refitted(estimate) if effect == _no_effect(estimate) else imposed(estimate, effect)
    listed = _listed(mechanism, panel, draws, exact)
    fits = placebo_fits(
        shifted,
        mechanism,
        draws=None if listed else draws,
        statistic=statistic,
        windows=windows or {},
        terms=terms,
        seed=seed,
        n_jobs=n_jobs,
    )
    p = randomization_p(fits, sides, listed=listed)
    kind = f"{'all' if listed else 'random'} {len(fits.values):,} assignments, {statistic} statistic, {type(mechanism).__name__}"
    return estimate.replace(
        null=fits.values,
        null_p=p,
        correction="; ".join(filter(None, [estimate.correction, f"p-values by randomisation ({kind})"])),
        checks=(*estimate.checks, *_checks(fits, estimate, listed)),
    )


def randomization_p(fits: PlaceboFits, sides: Sides, *, listed: bool) -> dict[str, float]:
    """Return the p-value of each term: the share of assignments, the observed one counted, at least as extreme."""
    terms = [str(term) for term in fits.statistics.columns]
    return {term: _p(fits.statistics[term].to_numpy(), float(fits.observed[term]), sides, listed) for term in terms}


def _no_effect(estimate: Estimate) -> float:
    return 1.0 if estimate.scale == "ratio" else 0.0


def _listed(mechanism: Mechanism, panel: Panel, draws: int, exact: Literal["auto"] | bool) -> bool:
    if exact is False:
        return False
    count = mechanism.count(panel)
    if exact is True and count is None:
        raise InferenceError(f"{type(mechanism).__name__} cannot list its assignments. Use exact=False.")
    return count is not None and (exact is True or count <= draws)


def _p(statistics: np.ndarray, observed: float, sides: Sides, listed: bool) -> float:
    sign = -1.0 if sides == "less" else 1.0
    values, size = (np.abs(statistics), abs(observed)) if sides == "two" else (sign * statistics, sign * observed)
    known = values[~np.isnan(values)]
    if np.isnan(size) or not len(known):
        return float("nan")
    extreme = int((known >= size - _TIE * abs(size)).sum())
    return extreme / len(known) if listed else (1 + extreme) / (1 + len(known))


def _checks(fits: PlaceboFits, estimate: Estimate, listed: bool) -> list[Check]:
    spread = float(fits.values[HEADLINE].std()) if HEADLINE in fits.values else float("nan")
    beside = (
        f"standard error {estimate.std_error:.4g} ({estimate.correction or 'as estimated'})"
        if np.isfinite(estimate.std_error)
        else "no standard error"
    )
    used = len(fits.values) - fits.failed
    smallest = 1 / used if listed else 1 / (1 + used)
    return [
        Check(
            "randomisation_sd",
            None,
            spread,
            f"Standard deviation of the estimate over {used:,} assignments: {spread:.4g}, beside {beside}.",
        ),
        Check(
            "smallest_p",
            smallest <= 0.05,
            smallest,
            f"The smallest p-value that these {used:,} assignments can give is {smallest:.4g}.",
        ),
        Check(
            "failed_assignments",
            fits.failed == 0,
            fits.failed,
            f"{fits.failed:,} assignments could not be estimated and are left out{fits.reason}.",
        ),
    ]
