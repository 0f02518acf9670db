"""The cross-fitted t-test of the average effect on one treated unit."""

import numpy as np

from crimepolicy.errors import InferenceError, of_kind
from crimepolicy.estimate import Check, Estimate
from crimepolicy.inference.conformal import one_date
from crimepolicy.inference.influence import panel_of
from crimepolicy.inference.take_periods import take_periods

__all__ = ["cross_fit_t_test"]


def cross_fit_t_test(estimate: Estimate, *, folds: int = 3) -> Estimate:
    """Return the debiased average effect with a standard error from few blocks of time.

    The estimand is the average effect over the periods after treatment. Each fold leaves a block of periods before treatment
    out of the fit, and takes its mean gap off the mean gap after treatment, which removes the bias of the fit.

    Parameters
    ----------
    estimate : Estimate
        Of any estimator whose path holds gaps and which treats the periods before treatment alike; one date of treatment.
    folds : int
        Blocks K; the reference distribution is t with K - 1 degrees of freedom. The authors recommend 3.

    Returns
    -------
    Estimate
        With value, standard error and `df`; no path.

    Raises
    ------
    InferenceError
        With several dates, predictors, or fewer periods before treatment than folds.

    Assumptions
    -----------
    Gaps are stationary and weakly dependent; many periods before and after treatment.

    References
    ----------
    Chernozhukov, Wuthrich and Zhu (2025), "A t-test for synthetic controls", arXiv:1812.10820.

    Examples
    --------
    >>> import pandas as pd
    >>> import crimepolicy as cp
    >>> from crimepolicy.synth.synthetic_control import synthetic_control
    >>> rows = pd.DataFrame({"city": np.repeat(list("abcdefgh"), 30), "year": list(range(30)) * 8})
    >>> rows["deaths"] = np.random.default_rng(1).normal(20, 1, 240)
    >>> rows["truce"] = ((rows.city == "a") & (rows.year > 19)).astype(int)
    >>> panel = cp.Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> cross_fit_t_test(synthetic_control(panel)).df
    2.0
    """
    of_kind("estimate", estimate, Estimate)
    start = one_date(estimate)
    after = panel_of(estimate).n_periods - start
    block = min(start // folds, after) if folds > 1 else 0
    if not block:
        raise InferenceError(
            f"folds={folds!r} needs at least two folds and as many periods before treatment ({start})."
        )
    if estimate.options.get("predictors") or estimate.scale == "ratio":
        raise InferenceError(
            "This moves blocks of time, which predictors by date do not survive, and averages an additive scale. Match on outcomes alone, before as_ratio()."
        )
    effects = np.array([_fold(estimate, start, block, start - block * (folds - k)) for k in range(folds)])
    error = float(np.sqrt(1 + folds * block / after) * effects.std(ddof=1) / np.sqrt(folds))
    text = f"Effects by fold: {', '.join(f'{effect:.4g}' for effect in effects)}; the estimate without cross-fitting is {estimate.value:.4g}."
    return estimate.replace(
        value=float(effects.mean()),
        std_error=error,
        df=float(folds - 1),
        correction=f"cross-fitted t-test ({folds} folds of {block} periods)",
        path=None,
        cells=None,
        psi=None,
        draws=None,
        null=None,
        null_p=None,
        clusters=None,
        companions={},
        checks=(*estimate.checks, Check("cross_fit_folds", None, float(np.ptp(effects)), text)),
    )


def _fold(estimate: Estimate, start: int, block: int, first: int) -> float:
    """Return the mean gap after treatment less that of the block [first, first + block), which the fit does not see."""
    panel = panel_of(estimate)
    held = np.arange(first, first + block)
    order = np.r_[np.setdiff1d(np.arange(start), held), held, np.arange(start, panel.n_periods)]
    fitted = estimate.refit(take_periods(panel, order, start - block))
    if fitted.path is None or fitted.path.index.name != "event_time":
        raise InferenceError(f"{estimate.method} gives no path by event time, so it has no gaps by period.")
    gaps = fitted.path["estimate"]
    return float(gaps[gaps.index >= block].mean() - gaps[(gaps.index >= 0) & (gaps.index < block)].mean())
