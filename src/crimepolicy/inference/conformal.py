"""Conformal inference: residuals under the null, permuted over time."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import InferenceError, choose, of_kind
from crimepolicy.estimate import HEADLINE, Check, Estimate, path_term
from crimepolicy.inference.impose import impose, imposed
from crimepolicy.inference.influence import panel_of
from crimepolicy.inference.light import light
from crimepolicy.inference.parallel import ordered_map
from crimepolicy.inference.take_periods import take_periods
from crimepolicy.inference.worded import WordedFrame
from crimepolicy.panel import Panel

__all__ = ["Permutations", "conformal_interval", "conformal_test", "one_date"]

Array = np.ndarray[Any, Any]
Permutations = Literal["block", "iid"]

_ROUNDING = 1e-12
"""A p-value of exactly 1 - level is a rejection, although 1 - 0.8 is a little less than 0.2."""

_TIE = 1e-9
"""Residual sums this close, relatively, are one sum in two orders."""

_REACH = 64
"""Standard deviations of residuals from the estimate within which each end is looked for."""

_GRID = 32
"""Points between the estimate and a rejected effect at which the outermost kept one is looked for."""

_PRECISION = 0.005
"""Ends are found to this share of the standard deviation of residuals."""


def conformal_test(
    estimate: Estimate, *, null: float = 0.0, permutations: Permutations = "block", draws: int = 9_999, seed: int = 0
) -> Estimate:
    """Test effects by permuting, over time, the residuals that hold under the null.

    The estimand does not change. The effect is taken out of the treated cells, the estimator is fitted to all periods as if
    none were treated, and the residuals after treatment are compared with those of permuted time.

    Parameters
    ----------
    estimate : Estimate
        Of any estimator whose path holds the gap of every period before treatment, and which treats those periods alike
        (synthetic control without predictors, factor models, difference in differences); one date of treatment.
    null : float
        Constant effect under the null, on the scale of the estimate (levels or logs).
    permutations : {"block", "iid"}
        All cyclic shifts, which allow serial dependence; or random permutations.
    draws : int
        Number of random permutations for ``"iid"``.
    seed : int

    Returns
    -------
    Estimate
        With `null_p` jointly for all periods after treatment (the headline) and for each of them.

    Raises
    ------
    InferenceError
        With several dates of treatment, predictors, or a path that lacks periods.

    Assumptions
    -----------
    Without the effect the residuals are stationary and weakly dependent (``"block"``) or exchangeable (``"iid"``).

    References
    ----------
    Chernozhukov, Wuthrich and Zhu (2021), JASA 116, 1849-1864.

    Examples
    --------
    >>> import crimepolicy as cp
    >>> from crimepolicy.synth.synthetic_control import synthetic_control
    >>> rows = pd.DataFrame({"city": np.repeat(list("abcdefgh"), 20), "year": list(range(20)) * 8})
    >>> rows["deaths"] = np.random.default_rng(1).normal(20, 1, 160)
    >>> rows["truce"] = ((rows.city == "a") & (rows.year > 18)).astype(int)
    >>> rows.loc[rows.truce == 1, "deaths"] -= 9
    >>> panel = cp.Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> round(conformal_test(synthetic_control(panel)).p_value(), 3)
    0.05
    """
    of_kind("estimate", estimate, Estimate)
    choose("permutations", permutations, Permutations)
    bare = light(estimate)
    start = _usable(bare)
    panel = panel_of(estimate)
    after = panel.n_periods - start
    joint = _p(bare, panel, start, null, permutations, draws, seed)
    p = {HEADLINE: joint}
    for k in range(after):
        p[path_term("event_time", k)] = _p(bare, _single(panel, start, k), start, null, permutations, draws, seed)
    smallest = 1 / panel.n_periods if permutations == "block" else 1 / (draws + 1)
    name = f"p-values by conformal inference ({permutations} permutations)"
    check = Check(
        "smallest_p",
        smallest <= 0.05,
        smallest,
        f"The smallest p-value that these permutations can give is {smallest:.4g}.",
    )
    return estimate.replace(
        null_p=p, correction="; ".join(filter(None, [estimate.correction, name])), checks=(*estimate.checks, check)
    )


def conformal_interval(
    estimate: Estimate,
    *,
    level: float = 0.9,
    permutations: Permutations = "block",
    draws: int = 999,
    seed: int = 0,
    n_jobs: int = 1,
) -> WordedFrame:
    """Return the effects that `conformal_test` does not reject, for every period after treatment and for a constant effect.

    Parameters
    ----------
    estimate, permutations, draws, seed
        As for `conformal_test`.
    level : float
        One minus the size of the tests.
    n_jobs : int
        Workers, through joblib.

    Returns
    -------
    WordedFrame
        Indexed by term (``att``: an effect that is constant after treatment); columns estimate, conf_low, conf_high. Ends
        are infinite where the smallest possible p-value exceeds 1 - level.

    Examples
    --------
    >>> import crimepolicy as cp
    >>> from crimepolicy.synth.synthetic_control import synthetic_control
    >>> rows = pd.DataFrame({"city": np.repeat(list("abcdefgh"), 20), "year": list(range(20)) * 8})
    >>> rows["deaths"] = np.random.default_rng(1).normal(20, 1, 160)
    >>> rows["truce"] = ((rows.city == "a") & (rows.year > 18)).astype(int)
    >>> panel = cp.Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> interval = conformal_interval(synthetic_control(panel))
    >>> bool(interval.conf_low["att"] < 0 < interval.conf_high["att"])
    True
    """
    of_kind("estimate", estimate, Estimate)
    choose("permutations", permutations, Permutations)
    if not 0 < level < 1:
        raise InferenceError(f"level={level!r} should lie between 0 and 1, such as 0.9.")
    bare = light(estimate)
    start = _usable(bare)
    panel = panel_of(estimate)
    periods: list[int | None] = [None, *range(panel.n_periods - start)]
    ends = ordered_map(
        partial(_ends, bare, start, 1 - level, permutations, draws, seed), periods, n_jobs=n_jobs, label="periods"
    )
    terms = [HEADLINE if k is None else path_term("event_time", k) for k in periods]
    frame = pd.DataFrame(ends, columns=["conf_low", "conf_high"], index=pd.Index(terms, name="term"))
    frame.insert(0, "estimate", estimate.estimates.reindex(terms).to_numpy())
    return WordedFrame(frame, text=_words(frame, level))


def _words(frame: pd.DataFrame, level: float) -> str:
    low, high = frame.loc[HEADLINE, ["conf_low", "conf_high"]]
    periods = frame.drop(index=HEADLINE)
    away = int(((periods["conf_low"] > 0) | (periods["conf_high"] < 0)).sum())
    return (
        f"A constant effect between {low:.4g} and {high:.4g} is compatible with the other periods at {level:.0%}; taken one at a time, no effect is "
        f"excluded in {away} of {len(periods)} periods."
    )


def one_date(estimate: Estimate) -> int:
    """Return the position of the one date of treatment.

    Raises
    ------
    InferenceError
        With several dates, treatment that ends, or fewer than two periods before it.
    """
    panel = panel_of(estimate)
    starts = np.unique(panel.G[np.isfinite(panel.G)])
    if len(starts) != 1 or starts[0] < 2:
        raise InferenceError(
            f"This needs one date of treatment with two periods before it; there are {len(starts)} dates. Use one cohort at a time, or randomization_test."
        )
    return int(starts[0])


def _usable(estimate: Estimate) -> int:
    if estimate.scale == "ratio":
        raise InferenceError(
            "Conformal inference permutes residuals on an additive scale. Use the estimate on the log scale, before as_ratio()."
        )
    if estimate.options.get("predictors") or estimate.options.get("base") == "varying":
        raise InferenceError(
            f"{estimate.method} with these options does not treat the periods before treatment alike (predictors or a varying base), so permuting them proves "
            "nothing. Match on outcomes alone, or use base='universal'."
        )
    start = one_date(estimate)
    imposed(estimate, estimate.value)
    return start


def _single(panel: Panel, start: int, k: int) -> Panel:
    return take_periods(panel, [*range(start), start + k], start)


def _ends(
    estimate: Estimate, start: int, size: float, permutations: Permutations, draws: int, seed: int, k: int | None
) -> tuple[float, float]:
    whole = panel_of(estimate)
    panel = whole if k is None else _single(whole, start, k)
    centre = estimate.value if k is None else float(estimate.estimates[path_term("event_time", k)])
    scale = float(np.std(_residuals(estimate, panel, centre)))

    def kept(effect: float) -> bool:
        return _p(estimate, panel, start, effect, permutations, draws, seed) > size + _ROUNDING

    return _end(kept, centre, -scale), _end(kept, centre, scale)


def _end(kept: Callable[[float], bool], centre: float, scale: float) -> float:
    """Return the outermost end of what is kept: the set need not be an interval, so the search comes from outside."""
    reach = 1.0
    while kept(centre + reach * scale):
        reach *= 2
        if reach > _REACH:
            return float(np.copysign(np.inf, scale))
    step = reach * scale / _GRID
    outside = centre + reach * scale
    while abs(outside - centre) > 0.5 * abs(step) and not kept(outside - step):
        outside -= step
    inside = outside - step
    while abs(outside - inside) > _PRECISION * abs(scale):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if kept(middle) else (inside, middle)
    return outside


def _p(
    estimate: Estimate, panel: Panel, start: int, effect: float, permutations: Permutations, draws: int, seed: int
) -> float:
    size = np.abs(_residuals(estimate, panel, effect))
    after = len(size) - start
    own = size[start:].sum()
    if permutations == "block":
        sums = np.array([np.roll(size, shift)[start:].sum() for shift in range(len(size))])
        return float((sums >= own * (1 - _TIE)).mean())
    rng = np.random.default_rng(seed)
    drawn = np.array([rng.choice(size, after, replace=False).sum() for _ in range(draws)])
    return float((1 + (drawn >= own * (1 - _TIE)).sum()) / (1 + draws))


def _residuals(estimate: Estimate, panel: Panel, effect: float) -> Array:
    """Return the gaps (T,) of all periods when the effect is taken out and none counts as treated.

    The estimator must have something to call treated: a copy of the last period is added for that, and its gap is not used.
    """
    imposed = impose(panel, effect, estimate)
    count = panel.n_periods
    fitted = estimate.refit(take_periods(imposed, [*range(count), count - 1], count))
    if fitted.path is None or fitted.path.index.name != "event_time":
        raise InferenceError(f"{estimate.method} gives no path by event time, so it has no residuals by period.")
    gaps = fitted.path["estimate"].reindex(np.arange(-count, 0))
    if np.isnan(gaps.to_numpy()[:-1]).any():
        raise InferenceError(
            f"The path of {estimate.method} lacks gaps of {int(gaps.isna().sum())} of {count} periods. Ask the estimator for all leads."
        )
    if np.isnan(gaps.iloc[-1]):
        # Relative to the last period: the constant is taken out, which no permutation notices.
        gaps = gaps.fillna(0.0) - gaps.fillna(0.0).mean()
    return gaps.to_numpy(dtype=float)
