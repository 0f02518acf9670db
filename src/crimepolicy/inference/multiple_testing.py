"""P-values that stay honest when many claims, outcomes or horizons are tested."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from crimepolicy.errors import InferenceError, at_least, choose, of_kind
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.inference.influence import influence, labels_of
from crimepolicy.inference.multiplier import multiplier_draws
from crimepolicy.inference.worded import WordedFrame

__all__ = ["Method", "multiple_testing"]

Array = np.ndarray[Any, Any]
Method = Literal["romano_wolf", "holm", "bh"]

_SMALL = 0.05


def multiple_testing(
    tests: Mapping[str, Estimate] | Mapping[str, float] | pd.Series,
    method: Method = "romano_wolf",
    *,
    terms: Sequence[str] = (HEADLINE,),
    draws: int = 9_999,
    seed: int = 0,
) -> WordedFrame:
    """Adjust the p-values of several tests.

    Parameters
    ----------
    tests : mapping of name to Estimate, or of name to p-value
        Romano-Wolf needs estimates with influence functions; clusters of the same label move together, whichever estimate
        they are in, so the dependence between tests is used.
    method : {"romano_wolf", "holm", "bh"}
        The first two bound the chance of any false rejection, the last the expected share of false rejections.
    terms : sequence of str
        Terms of every estimate to test.
    draws, seed : int
        Of the Romano-Wolf draws.

    Returns
    -------
    WordedFrame
        Indexed by test and term; columns p_value (as the estimate gives it, or for Romano-Wolf from the draws) and
        p_adjusted.

    Raises
    ------
    InferenceError
        Where an estimate has no influence functions (Romano-Wolf) or a p-value is missing.

    Assumptions
    -----------
    Romano-Wolf: many independent clusters. Benjamini-Hochberg: independent or positively dependent tests. Holm: none.

    References
    ----------
    Romano and Wolf (2005), Econometrica 73; Holm (1979); Benjamini and Hochberg (1995), JRSS B 57.

    Examples
    --------
    >>> multiple_testing({"a": 0.01, "b": 0.04, "c": 0.03}, "holm").p_adjusted.round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    of_kind("tests", tests, Mapping, pd.Series)
    choose("method", method, Method)
    at_least("draws", draws, 1)
    named = dict(tests.items())
    if not named:
        raise InferenceError("There are no tests to adjust.")
    if method == "romano_wolf":
        return _worded(_romano_wolf(named, list(terms), draws, seed), method)
    p = pd.Series(
        {
            (name, term): _p_value(test, term)
            for name, test in named.items()
            for term in (terms if isinstance(test, Estimate) else ("p",))
        }
    )
    if p.isna().any():
        raise InferenceError(f"No p-value for {list(p.index[p.isna()])}.")
    adjusted = _holm(p.to_numpy()) if method == "holm" else stats.false_discovery_control(p.to_numpy())
    return _worded(pd.DataFrame({"p_value": p, "p_adjusted": adjusted}).rename_axis(["test", "term"]), method)


_NAMES: dict[Method, str] = {"romano_wolf": "Romano-Wolf", "holm": "Holm", "bh": "Benjamini-Hochberg"}


def _worded(frame: pd.DataFrame, method: Method) -> WordedFrame:
    alone, together = (int((frame[column] <= _SMALL).sum()) for column in ("p_value", "p_adjusted"))
    text = f"Of {len(frame)} tests {alone} are significant at {_SMALL:.0%} by themselves and {together} after adjustment ({_NAMES[method]})."
    return WordedFrame(frame, text=text)


def _holm(p: Array) -> Array:
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def _p_value(test: Estimate | float, term: str) -> float:
    return test.p_value(term) if isinstance(test, Estimate) else float(test)


def _romano_wolf(named: Mapping[Any, Any], terms: list[str], draws: int, seed: int) -> pd.DataFrame:
    wrong = [name for name, test in named.items() if not isinstance(test, Estimate) or test.scale == "ratio"]
    if wrong:
        raise InferenceError(
            f"Romano-Wolf needs estimates on an additive scale, not {wrong}. Use method='holm' for p-values, and ratios before as_ratio()."
        )
    index = pd.MultiIndex.from_product([list(named), terms], names=["test", "term"])
    sums = pd.concat([_cluster_sums(test, terms) for test in named.values()], axis=1).fillna(0.0).to_numpy()
    statistics = np.abs([named[name].estimates[term] for name, term in index]) / np.sqrt((sums**2).sum(axis=0))
    drawn = np.abs(
        multiplier_draws(sums / np.sqrt((sums**2).sum(axis=0)), draws, "rademacher", np.random.default_rng(seed))
    )
    single = (1 + (drawn >= statistics).sum(axis=0)) / (1 + draws)
    return pd.DataFrame({"p_value": single, "p_adjusted": _step_down(statistics, drawn)}, index=index)


def _cluster_sums(test: Estimate, terms: list[str]) -> pd.DataFrame:
    psi = influence(test)[terms] * np.sqrt(test.factor)
    sums: pd.DataFrame = psi.groupby(np.asarray(labels_of(test, None), dtype=str)).sum()
    return sums


def _step_down(statistics: Array, drawn: Array) -> Array:
    """Return adjusted p-values: each from the largest draw among the hypotheses not yet stepped over, made monotone."""
    order = np.argsort(-statistics, kind="stable")
    adjusted = np.empty(len(statistics))
    largest = 0.0
    for position, k in enumerate(order):
        rivals = drawn[:, order[position:]].max(axis=1)
        largest = max(largest, (1 + int((rivals >= statistics[k]).sum())) / (1 + len(drawn)))
        adjusted[k] = largest
    return adjusted
