"""Noise of a least-squares estimate with few treated places, read off the residuals of the others."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import InferenceError, at_least, offenders
from crimepolicy.estimate import HEADLINE, Estimate
from crimepolicy.inference.influence import panel_of
from crimepolicy.inference.regression import regression

__all__ = ["ControlNoise", "borrowed", "control_noise", "with_noise"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class ControlNoise:
    """What each treated place would add to the estimate, had it the residuals of an untreated one.

    Attributes
    ----------
    noise : array (n_controls, n_treated)
        Sum over time of the partialled treatment of place j times the residuals of place i, over the sum of squares.
    controls, treated : array
        Positions of the units.
    """

    noise: Array
    controls: Array
    treated: Array


def control_noise(estimate: Estimate) -> ControlNoise:
    """Return the noise table of a two-way regression on a balanced panel.

    Raises
    ------
    InferenceError
        Where the estimate is no such regression, cells are missing, or no unit is untreated.
    """
    panel = panel_of(estimate)
    if not panel.balanced:
        raise InferenceError(
            f"Cells are missing in {offenders(panel.units[~panel.observed.all(axis=1)])}, so residuals cannot be exchanged between places. Leave these units out."
        )
    problem = regression(estimate, by="unit")
    residual = (problem.outcome - problem.coefficient * problem.regressor).reshape(panel.Y.shape)
    weight = problem.regressor.reshape(panel.Y.shape) / problem.scale
    ever = panel.D.any(axis=1)
    if ever.all():
        raise InferenceError(
            "Every unit is treated at some time, so there are no residuals to borrow. Use randomization_test with PermuteSchedules."
        )
    return ControlNoise(residual[~ever] @ weight[ever].T, np.flatnonzero(~ever), np.flatnonzero(ever))


def with_noise(estimate: Estimate, noise: Array, name: str, draws: int, seed: int) -> Estimate:
    """Return the estimate with the distribution of the sum of one borrowed noise per treated place, all or drawn."""
    at_least("draws", draws, 1)
    n, m = noise.shape
    if n**m <= draws:
        picks = np.array(list(product(range(n), repeat=m)))
    else:
        picks = np.random.default_rng(seed).integers(n, size=(draws, m))
    total = noise[picks, np.arange(m)].sum(axis=1)
    how = f"{name} ({n:,} untreated and {m:,} treated units, {'all ' if n**m <= draws else ''}{len(total):,} combinations)"
    return borrowed(estimate, total, how)


def borrowed(estimate: Estimate, total: Array, how: str) -> Estimate:
    """Return the estimate with this noise (draws,) as its distribution under no effect."""
    p = (1 + int((np.abs(total) >= abs(estimate.value)).sum())) / (1 + len(total))
    return estimate.replace(
        std_error=float("nan"),
        path=None if estimate.path is None else estimate.path.assign(std_error=np.nan),
        psi=None,
        draws=None,
        clusters=None,
        df=None,
        null=pd.DataFrame({HEADLINE: total}),
        null_p={HEADLINE: p},
        correction=how,
    )
