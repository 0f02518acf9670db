"""Fitting again: as it was, or with a constant effect taken out of the treated cells."""

import numpy as np

from crimepolicy.errors import InferenceError
from crimepolicy.estimate import Estimate
from crimepolicy.inference.influence import panel_of
from crimepolicy.panel import Panel

__all__ = ["impose", "imposed", "refitted"]

_SAME = 1e-5
"""Relative distance at which two fits agree, up to the convergence of iterative estimators."""


def impose(panel: Panel, effect: float, estimate: Estimate) -> Panel:
    """Return the panel with a constant effect taken out of the treated cells."""
    if estimate.scale == "level":
        return panel.with_outcome(panel.Y - effect * panel.D)
    ratio = effect if estimate.scale == "ratio" else np.exp(effect)
    return panel.with_outcome(np.where(panel.D, panel.Y / ratio, panel.Y))


def imposed(estimate: Estimate, effect: float) -> Estimate:
    """Return the estimator fitted where a constant effect is taken out, which must lower its estimate by just that.

    Raises
    ------
    InferenceError
        Where it does not, because the estimate is in other units than the outcome of the panel (a rate from counts), or its
        average is not one of effects on treated cells.
    """
    panel = panel_of(estimate)
    fitted = estimate.refit(impose(panel, effect, estimate))
    expected = estimate.value / effect if estimate.scale == "ratio" else estimate.value - effect
    if np.isclose(fitted.value, expected, rtol=_SAME, atol=_SAME * (abs(estimate.value) + abs(effect))):
        return fitted
    raise InferenceError(
        f"Taking an effect of {effect:g} out of the treated cells moves the estimate from {estimate.value:.6g} to {fitted.value:.6g}, not to {expected:.6g}. "
        "If it is in other units than the panel's outcome, convert the outcome first, for example with panel.rate()."
    )


def refitted(estimate: Estimate) -> Estimate:
    """Return the estimator fitted again to its own panel.

    Raises
    ------
    InferenceError
        Where that gives another number, so that fits to other panels would not be comparable with the estimate.
    """
    panel = panel_of(estimate)
    again = estimate.refit(panel)
    if np.isclose(again.value, estimate.value, rtol=_SAME, atol=_SAME * float(np.nanstd(panel.Y))):
        return again
    raise InferenceError(
        f"Fitting {estimate.method} again gives {again.value:.6g}, not {estimate.value:.6g}, so fits to other panels would not be comparable. Use an estimate "
        "as its estimator returned it."
    )
