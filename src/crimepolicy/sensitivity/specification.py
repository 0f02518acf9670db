"""Specification curves: the estimate under every defensible combination of choices."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import combinations, product
from math import factorial
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import CrimepolicyError, DesignError, of_kind
from crimepolicy.estimate import Estimate
from crimepolicy.inference.parallel import ordered_map
from crimepolicy.sensitivity.refits import estimate_row, failed_row

__all__ = ["SpecificationCurve", "specification_curve"]

EstimateFn = Callable[..., Estimate]
Choices = Mapping[str, Sequence[Any] | Mapping[str, Any]]
Constraint = Callable[[Mapping[str, str]], bool]
Permute = Callable[[np.random.Generator], EstimateFn]

_MOST_CHOICES = 10


@dataclass(frozen=True, slots=True, eq=False)
class SpecificationCurve:
    """Estimates under all allowed combinations of choices.

    Attributes
    ----------
    frame : pandas.DataFrame
        A column per choice (labels), estimate, std_error, conf_low, conf_high, p_value, n_units, n_treated, error; in order of
        the estimate, failures last.
    shares : pandas.Series
        Share of the variance of the estimates that each choice explains, largest first, and ``interactions`` for the rest.
    inference : pandas.DataFrame or None
        Rows median, share_of_sign, share_significant, mean_z: observed, null_median, p_value.
    n_combinations : int
        Combinations before the constraints.
    """

    frame: pd.DataFrame
    shares: pd.Series
    inference: pd.DataFrame | None
    n_combinations: int

    def sentence(self) -> str:
        """Return the finding in plain language."""
        done = self.frame[self.frame["error"] == ""]
        head = f"{len(self.frame)} of {self.n_combinations} combinations of choices are defensible"
        if done.empty:
            return f"{head}; none could be estimated."
        failed = f", {len(self.frame) - len(done)} could not be estimated" if len(done) < len(self.frame) else ""
        middle, sign = done["estimate"].median(), np.sign(done["estimate"].median())
        same = (np.sign(done["estimate"]) == sign).mean()
        clear = ((np.sign(done["estimate"]) == sign) & (done["p_value"] < 0.05)).mean()
        text = (
            f"{head}{failed}. The median estimate is {middle:.4g} (from {done['estimate'].min():.4g} to {done['estimate'].max():.4g}); "
            f"{same:.0%} share its sign and {clear:.0%} are significant at 5% as well."
        )
        if len(self.shares) > 1:
            text += (
                f" The choice of {self.shares.index[0]} explains most of their variance ({self.shares.iloc[0]:.0%})."
            )
        if self.inference is not None:
            share = self.inference["p_value"].to_dict()["median"]
            text += f" A median as far from zero arises in {share:.1%} of permutations."
        return text

    def plot(self) -> Any:
        """Draw the result with matplotlib and return the figure; see `crimepolicy.report.doubt_plots`."""
        return import_module("crimepolicy.report.doubt_plots").plot_result(self)

    def __str__(self) -> str:
        return self.sentence()

    __repr__ = __str__


def specification_curve(
    estimate_fn: EstimateFn,
    choices: Choices,
    *,
    constraints: Sequence[Constraint] = (),
    permute: Permute | None = None,
    draws: int = 199,
    level: float = 0.95,
    seed: int = 0,
    n_jobs: int = 1,
) -> SpecificationCurve:
    """Estimate under every combination of choices that the constraints allow.

    Parameters
    ----------
    estimate_fn : callable
        Called with one keyword per choice; returns an `Estimate`. Combinations that it refuses become rows with the error text.
    choices : mapping of name to alternatives
        A sequence, whose items are shown as text, or a mapping of label to value.
    constraints : sequence of callables
        Each takes the labels by choice and returns whether the combination is defensible.
    permute : callable, optional
        From a random generator to an estimate function under a reassignment of treatment that the design could have
        produced; gives inference on the whole curve.
    draws : int
        Number of permutations.
    level : float
        Of the intervals.
    seed : int
    n_jobs : int
        Workers, through joblib. The result does not depend on it.

    Returns
    -------
    SpecificationCurve

    Raises
    ------
    DesignError
        Where no combination is allowed, or a choice has no alternatives.

    References
    ----------
    Simonsohn, Simmons and Nelson (2020), Specification curve analysis, Nature Human Behaviour 4.
    Lindeman, Merenda and Gold (1980), on sharing out explained variance.

    Examples
    --------
    >>> def fit(slope, power):
    ...     facts = {"estimand": "y", "method": "toy", "citation": "", "std_error": 1.0}
    ...     return Estimate(value=slope * 2.0**power, **facts)
    >>> specification_curve(fit, {"slope": [1, -1], "power": {"one": 1, "two": 2}}).frame["estimate"].tolist()
    [-4.0, -2.0, 2.0, 4.0]
    """
    of_kind("choices", choices, Mapping)
    alternatives = {name: _labelled(name, options) for name, options in choices.items()}
    allowed, total = _combinations(alternatives, constraints)
    values = [{name: alternatives[name][label] for name, label in labels.items()} for labels in allowed]
    rows = ordered_map(partial(_estimated, estimate_fn, level), values, n_jobs=n_jobs, label="specifications")
    frame = pd.DataFrame([labels | row for labels, row in zip(allowed, rows, strict=True)])
    inference = None if permute is None else _inference(frame, permute, values, level, draws, seed, n_jobs)
    ordered = frame.sort_values("estimate", kind="stable", na_position="last").reset_index(drop=True)
    return SpecificationCurve(ordered, _shares(ordered, list(choices)), inference, total)


def _labelled(name: str, options: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
    labelled = dict(options) if isinstance(options, Mapping) else {_label(value): value for value in options}
    if not labelled or len(labelled) < len(options):
        raise DesignError(
            f"The choice {name!r} needs at least one alternative, and a label for each. Give a mapping of label to value."
        )
    return {str(label): value for label, value in labelled.items()}


def _label(value: Any) -> str:
    return str(getattr(value, "__name__", value))


def _combinations(
    alternatives: Mapping[str, Mapping[str, Any]], constraints: Sequence[Constraint]
) -> tuple[list[dict[str, str]], int]:
    every = [dict(zip(alternatives, labels, strict=True)) for labels in product(*alternatives.values())]
    allowed = [labels for labels in every if all(constraint(labels) for constraint in constraints)]
    if not allowed:
        raise DesignError(f"None of the {len(every)} combinations satisfies the constraints. Relax one of them.")
    return allowed, len(every)


def _estimated(estimate_fn: EstimateFn, level: float, values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return estimate_row(estimate_fn(**values), level)
    except CrimepolicyError as problem:
        return failed_row(problem)


def _shares(frame: pd.DataFrame, names: list[str]) -> pd.Series:
    """Share out the variance explained by main effects: each choice's gain in R2, averaged over all orders of entry."""
    done = frame[frame["error"] == ""]
    free = [name for name in names if done[name].nunique() > 1]
    if len(free) > _MOST_CHOICES:
        raise DesignError(
            f"{len(free)} choices vary; sharing out their variance is limited to {_MOST_CHOICES}. Split the curve."
        )
    if not free or done["estimate"].var() == 0:
        return pd.Series(dtype=float)
    dummies = {name: pd.get_dummies(done[name], drop_first=True).to_numpy(dtype=float) for name in free}
    known = {
        subset: _explained(done["estimate"].to_numpy(), [dummies[n] for n in subset])
        for k in range(len(free) + 1)
        for subset in combinations(free, k)
    }
    shares = pd.Series({name: _average_gain(name, free, known) for name in free}).sort_values(
        ascending=False, kind="stable"
    )
    return pd.concat([shares, pd.Series({"interactions": 1 - shares.sum()})])


def _explained(y: np.ndarray[Any, Any], blocks: list[np.ndarray[Any, Any]]) -> float:
    X = np.column_stack([np.ones(len(y)), *blocks])
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    return 1 - float(residual @ residual) / float(((y - y.mean()) ** 2).sum())


def _average_gain(name: str, free: list[str], known: Mapping[tuple[str, ...], float]) -> float:
    others = [other for other in free if other != name]
    gain = 0.0
    for k in range(len(free)):
        weight = factorial(k) * factorial(len(free) - k - 1) / factorial(len(free))
        for subset in combinations(others, k):
            joined = tuple(n for n in free if n in subset or n == name)
            gain += weight * (known[joined] - known[subset])
    return gain


def _inference(
    frame: pd.DataFrame,
    permute: Permute,
    values: list[dict[str, Any]],
    level: float,
    draws: int,
    seed: int,
    n_jobs: int,
) -> pd.DataFrame:
    observed = _statistics(frame, float(np.sign(frame["estimate"].median())))
    seeds = np.random.SeedSequence(seed).spawn(draws)
    null = pd.DataFrame(
        ordered_map(partial(_permuted, permute, values, level), seeds, n_jobs=n_jobs, label="permutations")
    )
    return pd.DataFrame(
        {
            "observed": observed,
            "null_median": null.median(),
            "p_value": (1 + (null >= observed - 1e-12).sum()) / (1 + draws),
        }
    )


def _permuted(permute: Permute, values: list[dict[str, Any]], level: float, seed: np.random.SeedSequence) -> pd.Series:
    estimate_fn = permute(np.random.default_rng(seed))
    frame = pd.DataFrame([_estimated(estimate_fn, level, v) for v in values])
    # Each permuted curve is read in its own direction, which makes the test two-sided.
    return _statistics(frame, float(np.sign(frame["estimate"].median())))


def _statistics(frame: pd.DataFrame, sign: float) -> pd.Series:
    towards = np.sign(frame["estimate"]) == sign
    return pd.Series(
        {
            "median": abs(frame["estimate"].median()),
            "share_of_sign": towards.mean(),
            "share_significant": (towards & (frame["p_value"] < 0.05)).mean(),
            "mean_z": abs((frame["estimate"] / frame["std_error"]).mean()),
        }
    )
