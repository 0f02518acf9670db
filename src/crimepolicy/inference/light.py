"""Refits that need numbers only: the same estimator without its standard errors."""

from functools import partial

from crimepolicy.estimate import Estimate

__all__ = ["light"]


def light(estimate: Estimate) -> Estimate:
    """Return the estimate with a function that skips the standard errors, where its estimator offers to.

    A placebo or a permutation looks at effects and gaps; computing a jackknife for each of them would multiply its cost by
    the number of units.
    """
    fit = estimate.fit
    if isinstance(fit, partial) and "variance" in fit.keywords:
        return estimate.replace(fit=partial(fit, variance="none"))
    return estimate
