"""Fit again, and return a companion of the estimate: the same effect on another scale."""

from collections.abc import Callable
from functools import partial

from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

__all__ = ["refit_companion"]


def refit_companion(fit: Callable[[Panel], Estimate], name: str) -> Callable[[Panel], Estimate]:
    """Return the function ``panel -> Estimate`` that makes the companion `name` of what `fit` makes."""
    return partial(_companion, fit=fit, name=name)


def _companion(panel: Panel, fit: Callable[[Panel], Estimate], name: str) -> Estimate:
    return fit(panel).companions[name]
