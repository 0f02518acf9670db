"""Poisson unit and period effects by iterative proportional fitting, exact to rounding."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from crimepolicy.errors import EstimationError

__all__ = ["Margins", "fit_margins"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_SWEEPS = 60
_NEWTON = 50
_TOLERANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Margins:
    """Multiplicative effects of a table of counts.

    Attributes
    ----------
    unit : float array (n,)
        Factor of each row; zero where the row has no count.
    period : float array (T,)
        Factor of each column; zero where the column has no count.
    """

    unit: Floats
    period: Floats


def fit_margins(counts: Floats, exposure: Floats, start: Floats | None = None) -> Margins:
    """Fit ``counts[i, t] ~ Poisson(exposure[i, t] * unit[i] * period[t])`` by maximum likelihood.

    Parameters
    ----------
    counts : float array (n, T)
        Zero in cells that are not fitted.
    exposure : float array (n, T)
        Zero in cells that are not fitted, else positive.
    start : float array (T,), optional
        First guess of the period factors.

    Returns
    -------
    Margins

    Raises
    ------
    EstimationError
        Where no maximum exists at finite effects (the cells with counts fall apart into separate blocks).

    Examples
    --------
    >>> found = fit_margins(np.array([[1.0, 2.0], [2.0, 4.0]]), np.ones((2, 2)))
    >>> (found.unit[:, None] * found.period).round(6).tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    some_rows, some_columns = rows > 0, columns > 0
    unit, period = np.zeros(len(rows)), np.zeros(len(columns))
    if some_rows.any():
        inner = exposure if some_rows.all() and some_columns.all() else exposure[np.ix_(some_rows, some_columns)]
        guess = None if start is None else start[some_columns]
        unit[some_rows], period[some_columns] = _balance(inner, rows[some_rows], columns[some_columns], guess)
    return Margins(unit=unit, period=period)


def _balance(exposure: Floats, rows: Floats, columns: Floats, start: Floats | None) -> tuple[Floats, Floats]:
    """Scale a positive table to the given margins."""
    across = np.ascontiguousarray(exposure.T)
    guess = columns / (across @ (rows / exposure.sum(axis=1))) if start is None else np.where(start > 0, start, 1.0)
    period = guess
    for _ in range(_SWEEPS):
        unit = rows / (exposure @ period)
        renewed = columns / (across @ unit)
        moved = np.abs(renewed / period - 1).max()
        period = renewed
        if moved < _TOLERANCE:
            return rows / (exposure @ period), period
    return _newton(exposure, rows, columns, period)


def _newton(exposure: Floats, rows: Floats, columns: Floats, period: Floats) -> tuple[Floats, Floats]:
    # Proportional fitting is linear and slow where few cells link early and late periods; Newton ends it.
    log_period = np.log(period)
    for _ in range(_NEWTON):
        mean = exposure * np.exp(log_period)
        mean *= (rows / mean.sum(axis=1))[:, None]
        score = columns - mean.sum(axis=0)
        if np.abs(score / columns).max() < 10 * _TOLERANCE:
            period = np.exp(log_period)
            return rows / (exposure @ period), period
        scaled = mean / np.sqrt(rows)[:, None]
        system = np.diag(mean.sum(axis=0)) - scaled.T @ scaled
        system += np.full_like(system, np.trace(system) / len(columns) ** 2)
        log_period = log_period + np.clip(_solve(system, score), -2.0, 2.0)
    raise EstimationError(_NO_MAXIMUM)


def _solve(system: Floats, score: Floats) -> Floats:
    try:
        return np.asarray(cho_solve(cho_factor(system), score))
    except np.linalg.LinAlgError as error:
        raise EstimationError(_NO_MAXIMUM) from error


_NO_MAXIMUM = (
    "The unit and period effects of the counts have no finite maximum: the untreated cells with counts fall apart into blocks that "
    "are not linked. Use effects='unit+period', longer periods (panel.aggregate) or larger units."
)
