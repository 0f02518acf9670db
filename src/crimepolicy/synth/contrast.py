"""The one contrast behind difference in differences, synthetic control and synthetic difference in differences."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from crimepolicy.synth.weights import simplex_weights

__all__ = ["Contrast", "Preset", "Problem", "contrast"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Preset = Literal["did", "sc", "demeaned_sc", "sdid"]

_RULES: dict[Preset, tuple[str, str]] = {
    "did": ("uniform", "uniform"),
    "sc": ("simplex", "zero"),
    "demeaned_sc": ("simplex+constant", "uniform"),
    "sdid": ("simplex+constant", "simplex+constant"),
}


@dataclass(frozen=True, slots=True)
class Contrast:
    """The effect ``(-w, 1)' Y (-l, 1/T1)`` of one treated series beside J donors.

    Attributes
    ----------
    donors : float array (J,)
        Weights w.
    periods : float array (T0,)
        Weights l of the periods before treatment; all zero for synthetic control.
    gaps : float array (T,)
        Treated less its comparison in every period, each less the l-weighted gap before treatment.
    value : float
        Mean of the gaps from the start of treatment.
    unique : bool
        True where no other weights are as good; see `SimplexFit`.
    """

    donors: Floats
    periods: Floats
    gaps: Floats
    value: float
    unique: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """Several cohorts beside the same donors.

    Attributes
    ----------
    donors : float array (J, T)
        Series of the donors.
    treated : float array (C, T)
        Average series of each cohort.
    starts : tuple of int (C,)
        Position of the first treated period of each cohort.
    ridges : tuple of (float, float)
        Penalties of each cohort, as in `contrast`.
    preset : str
        Choice of weights.
    """

    donors: Floats
    treated: Floats
    starts: tuple[int, ...]
    ridges: tuple[tuple[float, float], ...]
    preset: Preset

    def contrasts(self) -> list[Contrast]:
        """Return one contrast per cohort."""
        rows = zip(self.treated, self.starts, self.ridges, strict=True)
        return [contrast(series, self.donors, start, preset=self.preset, ridge=ridge) for series, start, ridge in rows]


def contrast(
    treated: Floats, donors: Floats, start: int, *, preset: Preset, ridge: tuple[float, float] = (0.0, 0.0)
) -> Contrast:
    """Weigh donors and periods by a preset and return the contrast.

    Parameters
    ----------
    treated : float array (T,)
        Series of the treated unit, or the average of the treated units.
    donors : float array (J, T)
        Series of the donors.
    start : int
        Position of the first treated period, so that T0 = start.
    preset : {"did", "sc", "demeaned_sc", "sdid"}
        Uniform weights; simplex donors and no periods; simplex donors with a constant; simplex donors and periods.
    ridge : (float, float)
        Penalty on the squared length of donor and of period weights, on the scale of the sums of squares.

    Returns
    -------
    Contrast
    """
    donor_rule, period_rule = _RULES[preset]
    w, unique = _weights(donor_rule, donors[:, :start].T, treated[:start], ridge[0])
    after = donors[:, start:].mean(axis=1)
    periods, unique_periods = _weights(period_rule, donors[:, :start], after, ridge[1])
    raw = treated - w @ donors
    gaps = raw - raw[:start] @ periods
    return Contrast(w, periods, gaps, float(gaps[start:].mean()), unique and unique_periods)


def _weights(rule: str, A: Floats, b: Floats, ridge: float) -> tuple[Floats, bool]:
    n = A.shape[1]
    if rule in {"uniform", "zero"}:
        return np.full(n, 1.0 / n if rule == "uniform" else 0.0), True
    fit = simplex_weights(A, b, ridge=ridge, intercept=rule == "simplex+constant")
    return fit.weights, fit.unique
