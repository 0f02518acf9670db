"""Ridge correction of donor weights for the imbalance that weights on the simplex leave."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from crimepolicy.synth.weights import simplex_weights

__all__ = ["PenaltyPath", "PenaltyRule", "Profiles", "Validation", "penalty_path", "ridge_corrected"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
PenaltyRule = Literal["one_standard_error", "minimum"]
Validation = Literal["published", "all"]

_GRID, _SMALLEST = 20, 1e-8


@dataclass(frozen=True, slots=True)
class Profiles:
    """What is balanced, less the donors' mean: `donors` (J, m), `treated` (m,); the first `periods` columns are outcomes."""

    donors: Floats
    treated: Floats
    periods: int

    def without(self, column: int) -> "Profiles":
        """Return the profiles without one period."""
        return Profiles(np.delete(self.donors, column, axis=1), np.delete(self.treated, column), self.periods - 1)

    def simplex(self) -> Floats:
        """Return the ordinary weights (J,)."""
        return simplex_weights(self.donors.T, self.treated).weights


@dataclass(frozen=True, slots=True)
class PenaltyPath:
    """Penalties (G,) from large to small, mean squared error in left-out periods (G,), its standard error (G,), and the choice."""

    penalties: Floats
    errors: Floats
    spread: Floats
    chosen: float


def ridge_corrected(profiles: Profiles, weights: Floats, penalty: float) -> Floats:
    """Return ``w + X0 (X0'X0 + penalty I)^-1 (x1 - X0'w)``, the weights (J,) of the ridge-augmented synthetic control."""
    X = profiles.donors
    imbalance = profiles.treated - weights @ X
    return np.asarray(weights + X @ _solve(X, penalty, imbalance))


def penalty_path(profiles: Profiles, rule: PenaltyRule, validation: Validation = "published") -> PenaltyPath:
    """Choose the penalty by leaving out one period at a time and predicting the treated series in it.

    Parameters
    ----------
    profiles : Profiles
        Outcomes before treatment and, where used, covariates.
    rule : {"one_standard_error", "minimum"}
        The largest penalty within one standard error of the smallest error, or the one with the smallest.
    validation : {"published", "all"}
        Periods that are left out in turn: the published software never leaves out the last one.
    """
    # Donors that are all alike leave nothing to correct with, at any penalty.
    largest = float(np.linalg.norm(profiles.donors, 2)) ** 2 or 1.0
    penalties = largest * _SMALLEST ** (np.arange(_GRID + 1) / _GRID)
    periods = profiles.periods - (validation == "published")
    errors = np.array([_held_out(profiles, period, penalties) for period in range(periods)]) ** 2
    mean, spread = errors.mean(axis=0), errors.std(axis=0, ddof=1) / np.sqrt(len(errors))
    best = int(np.argmin(mean))
    if rule == "one_standard_error":
        best = int(np.flatnonzero(mean <= mean[best] + spread[best])[0])
    return PenaltyPath(penalties, mean, spread, float(penalties[best]))


def _held_out(profiles: Profiles, period: int, penalties: Floats) -> Floats:
    """Return the error (G,) of predicting the treated unit in a period that the weights have not seen."""
    part = profiles.without(period)
    base = part.simplex()
    left, values, right = np.linalg.svd(part.donors, full_matrices=False)
    along = right @ (part.treated - base @ part.donors)
    shrunk = values[:, None] / (values[:, None] ** 2 + penalties)
    weights = base[:, None] + left @ (shrunk * along[:, None])
    return np.asarray(profiles.treated[period] - profiles.donors[:, period] @ weights)


def _solve(X: Floats, penalty: float, right: Floats) -> Floats:
    gram = X.T @ X
    gram.flat[:: len(gram) + 1] += penalty
    return np.asarray(np.linalg.lstsq(gram, right)[0])
