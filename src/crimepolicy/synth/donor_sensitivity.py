"""What becomes of an estimate when donors are taken away."""

from collections.abc import Iterator
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import CrimepolicyError, EstimationError, InferenceError, of_kind
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

__all__ = ["leave_donors_out"]


def leave_donors_out(estimate: Estimate, *, k: int = 1, draws: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Estimate again without one donor, or without each set of k donors.

    Only donors with weight are taken away: without another one the fit stays as it is.

    Parameters
    ----------
    estimate : Estimate
        Of this family, with donor weights, its panel and its function.
    k : int
        Donors taken away at a time.
    draws : int, optional
        Sets drawn at random; every set where left out.
    seed : int
        Of the draws.

    Returns
    -------
    pandas.DataFrame
        One row per set: columns left_out (tuple of units), weight (their sum in the estimate), estimate, std_error,
        pre_rmspe, and problem (why it could not be estimated, or empty), largest change first.

    Raises
    ------
    EstimationError
        Where the estimate has no donor weights or no panel.
    InferenceError
        Where fewer than k + 1 donors have weight, or there are more than 100,000 sets and no `draws`.

    Examples
    --------
    >>> from crimepolicy.synth.synthetic_control import synthetic_control
    >>> rows = [(u, t, h * t) for u, h in zip("abcde", (1, 2, 3, 1.5, 2.5)) for t in range(6)]
    >>> panel = Panel.from_frame(
    ...     pd.DataFrame(rows, columns=["unit", "time", "y"]), unit="unit", time="time", outcome="y"
    ... )
    >>> table = leave_donors_out(synthetic_control(panel.treat(["b"], at=4)))
    >>> bool(table["estimate"].abs().max() < 1e-6)
    True
    """
    of_kind("estimate", estimate, Estimate)
    if estimate.panel is None or estimate.weights is None or "role" not in estimate.weights:
        raise EstimationError(
            f"{estimate.method} has no donor weights with its panel: estimate with synthetic_control or a relative."
        )
    donors = estimate.weights[estimate.weights["role"] == "donor"]
    # One unit may serve several cohorts; its mean weight says how much it matters.
    shares = donors.groupby("label", sort=False)["weight"].mean()
    used = shares[shares != 0]
    if len(used) <= k:
        raise InferenceError(f"{len(used)} donors have weight, so {k} cannot be left out.")
    rows = [_one(estimate, estimate.panel, used, chosen) for chosen in _sets(len(used), k, draws, seed)]
    frame = pd.DataFrame(rows)
    order = (
        (frame["estimate"] - estimate.value)
        .abs()
        .sort_values(ascending=False, kind="stable", na_position="first")
        .index
    )
    return frame.loc[order].reset_index(drop=True)


def _sets(n: int, k: int, draws: int | None, seed: int) -> Iterator[tuple[int, ...]]:
    if draws is not None and draws < comb(n, k):
        rng = np.random.default_rng(seed)
        yield from (tuple(np.sort(rng.choice(n, k, replace=False)).tolist()) for _ in range(draws))
        return
    if comb(n, k) > 100_000:
        raise InferenceError(f"There are {comb(n, k):,} sets of {k} out of {n} donors. Give draws=.")
    yield from combinations(range(n), k)


def _one(estimate: Estimate, panel: Panel, used: pd.Series, chosen: tuple[int, ...]) -> dict[str, Any]:
    units = tuple(used.index[list(chosen)])
    row: dict[str, Any] = {"left_out": units, "weight": float(used.iloc[list(chosen)].sum())}
    try:
        again = estimate.refit(panel.drop(units))
    except CrimepolicyError as problem:
        return row | {"estimate": np.nan, "std_error": np.nan, "pre_rmspe": np.nan, "problem": str(problem)}
    fit = next((check.value for check in again.checks if check.name == "pre_rmspe"), np.nan)
    return row | {"estimate": again.value, "std_error": again.std_error, "pre_rmspe": fit, "problem": ""}
