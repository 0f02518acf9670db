"""Predictors of a synthetic control: means of covariates, or of the outcome, over windows before treatment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crimepolicy.errors import DesignError, offenders, suggest
from crimepolicy.panel import Panel
from crimepolicy.synth.cohorts import Comparison

__all__ = ["Predictor", "PredictorTable", "predictor_table"]

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Predictor:
    """The mean of one variable over a window of periods, both ends included.

    Attributes
    ----------
    name : str
        A covariate of the panel, or its outcome (by name, or as ``"outcome"``).
    start, end : period
        First and last period of the window; `end` may be left out for a single period.

    Examples
    --------
    >>> Predictor("beer", 1984, 1988), Predictor("outcome", 1975)
    (Predictor(name='beer', start=1984, end=1988), Predictor(name='outcome', start=1975, end=None))
    """

    name: str
    start: object
    end: object = None

    def __str__(self) -> str:
        return f"{self.name} {self.start}" + ("" if self.end is None else f"-{self.end}")


@dataclass(frozen=True, slots=True)
class PredictorTable:
    """Predictors of all units.

    Attributes
    ----------
    values : float array (k, N)
        Window means on the scale of the data; missing cells are left out of the mean.
    names : tuple of str (k,)
        Labels of the predictors.
    last : int
        Position of the last period of any window.
    """

    values: Floats
    names: tuple[str, ...]
    last: int

    def scaled(self, data: Comparison, rows: np.ndarray[Any, Any], unit_variance: bool) -> Floats:
        """Return donors less treated (k, J), each predictor in standard deviations over the treated and the donors."""
        difference = self.values[:, data.donors] - self.of(data, rows)[:, None]
        if not unit_variance:
            return difference
        spread = np.column_stack([self.of(data, rows), self.values[:, data.donors]]).std(axis=1, ddof=1)
        return np.asarray(difference / np.where(spread > 0, spread, 1.0)[:, None])

    def of(self, data: Comparison, rows: np.ndarray[Any, Any]) -> Floats:
        """Return the predictors (k,) of the average of some units."""
        weight = data.mass[rows].mean(axis=1)
        return np.asarray(self.values[:, rows] @ (weight / weight.sum()))


def predictor_table(panel: Panel, data: Comparison, predictors: Sequence[Predictor], shift: int = 0) -> PredictorTable:
    """Return the window means of all predictors.

    Parameters
    ----------
    panel, data
        The panel and its comparison, which gives the scale of the outcome.
    predictors : sequence of Predictor
        At least one.
    shift : int
        Periods by which every window is moved back, for cross-validation.

    Raises
    ------
    DesignError
        Where a variable is unknown, a window leaves the panel, or a unit has no value in a window.
    """
    rows = np.concatenate([data.donors, *(cohort.rows for cohort in data.cohorts)])
    values = np.full((len(predictors), panel.n_units), np.nan)
    last = 0
    for k, predictor in enumerate(predictors):
        window = _window(panel, predictor, shift)
        cells = _variable(panel, data, predictor.name, rows)[:, window]
        seen = ~np.isnan(cells)
        _require_values(panel, predictor, rows[~seen.any(axis=1)], shift)
        values[k, rows] = np.where(seen, cells, 0.0).sum(axis=1) / seen.sum(axis=1)
        last = max(last, window.stop - 1)
    return PredictorTable(values, tuple(str(predictor) for predictor in predictors), last)


def _window(panel: Panel, predictor: Predictor, shift: int) -> slice:
    first = panel.position(predictor.start) - shift
    last = first if predictor.end is None else panel.position(predictor.end) - shift
    if last < first:
        raise DesignError(f"The window of predictor {predictor} ends before it starts.")
    if first < 0:
        raise DesignError(
            f"Cross-validation moves the window of predictor {predictor} back by {shift} periods, before the panel starts "
            f"({panel.periods[0]}). Use a shorter validation, later windows, or v='nested'."
        )
    return slice(first, last + 1)


def _variable(panel: Panel, data: Comparison, name: str, rows: np.ndarray[Any, Any]) -> Floats:
    if name in panel.X:
        return np.asarray(panel.X[name][rows])
    if name in {panel.outcome, "outcome"}:
        return data.series(rows)
    known = [*panel.X, panel.outcome]
    raise DesignError(f"Predictor {name!r} is neither a covariate of the panel nor its outcome.{suggest(name, known)}")


def _require_values(panel: Panel, predictor: Predictor, empty: np.ndarray[Any, Any], shift: int) -> None:
    if empty.size:
        moved = f" moved back by {shift} periods" if shift else ""
        raise DesignError(
            f"Predictor {predictor}{moved} has no value for {offenders(panel.units[empty])}. Choose another window, or drop these units."
        )
