"""Event dates: the estimate under every defensible date of every event."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from crimepolicy.errors import DesignError, of_kind, offenders
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.refits import Variants, panel_and_fit, refit_frame, span

__all__ = ["dates_sensitivity"]

_Shift = dict[Any, int]


def dates_sensitivity(
    estimate: Estimate,
    dates: Mapping[Any, Sequence[object]],
    *,
    most: int = 500,
    level: float = 0.95,
    n_jobs: int = 1,
) -> Variants:
    """Estimate again with the treatment of each unit starting at each of its defensible dates.

    Parameters
    ----------
    estimate : Estimate
        With its panel and fit.
    dates : mapping of unit to periods
        Defensible first treated periods. The first spell of the unit is moved to start there and ends when it did.
    most : int
        All combinations are tried where there are no more than this; otherwise each date alone, the others as they stand.
    level : float
        Of the intervals.
    n_jobs : int

    Returns
    -------
    Variants
        One row per combination, with a column per unit.

    Raises
    ------
    DesignError
        Where a unit is never treated, or a date lies after the end of its spell.
    EstimationError
        Where the estimate does not carry its panel and fit.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame(
    ...     {"city": list("aaabbb"), "year": [1, 2, 3] * 2, "deaths": [8, 6, 1, 5, 5, 5], "truce": [0, 0, 1, 0, 0, 0]}
    ... )
    >>> panel = Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> def mean(p):
    ...     facts = {"estimand": "mean", "method": "mean", "citation": "", "std_error": 1.0}
    ...     return Estimate(value=p.Y[p.D].mean(), panel=p, fit=mean, **facts)
    >>> dates_sensitivity(mean(panel), {"a": [2, 3]}).frame["estimate"].tolist()
    [3.5, 1.0]
    """
    of_kind("estimate", estimate, Estimate)
    panel, fit = panel_and_fit(estimate)
    positions = {unit: [panel.position(date) for date in options] for unit, options in dates.items()}
    _check(panel, positions)
    shifts = _shifts(panel, positions, most)
    tasks = [({str(unit): str(panel.periods[start]) for unit, start in shift.items()}, shift) for shift in shifts]
    frame = refit_frame(fit, panel, _moved, tasks, level=level, n_jobs=n_jobs, label="event dates")
    text = f"Over {len(shifts)} defensible combinations of dates for {len(dates)} units, the estimate of {estimate.value:.4g} {span(frame)}."
    return Variants(frame, estimate, text)


def _check(panel: Panel, positions: Mapping[Any, Sequence[int]]) -> None:
    rows = {unit: panel.D[panel.units == unit].any() for unit in positions}
    never = [unit for unit, treated in rows.items() if not treated]
    if never or not positions:
        raise DesignError(
            f"Dates move treatment that is there, but {offenders(never) if never else 'no unit'} is treated. Lay the events first."
        )
    late = [
        f"{unit} at {panel.periods[start]}"
        for unit, starts in positions.items()
        for start in starts
        if start >= _end(panel, unit)
    ]
    if late:
        raise DesignError(f"A date lies after the end of its spell: {offenders(late)}.")


def _shifts(panel: Panel, positions: Mapping[Any, Sequence[int]], most: int) -> list[_Shift]:
    count = int(np.prod([float(len(options)) for options in positions.values()]))
    if count <= most:
        return [dict(zip(positions, combination, strict=True)) for combination in product(*positions.values())]
    standing = {unit: _start(panel, unit) for unit in positions}
    return [
        standing,
        *(
            standing | {unit: start}
            for unit, options in positions.items()
            for start in options
            if start != standing[unit]
        ),
    ]


def _row(panel: Panel, unit: Any) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(panel.D[int(panel.units.get_loc(unit))])  # type: ignore[arg-type]


def _start(panel: Panel, unit: Any) -> int:
    return int(_row(panel, unit).argmax())


def _end(panel: Panel, unit: Any) -> int:
    """Return the position after the unit's first spell."""
    row, start = _row(panel, unit), _start(panel, unit)
    off = np.flatnonzero(~row[start:])
    return start + int(off[0]) if off.size else len(row)


def _moved(panel: Panel, shift: _Shift) -> Panel:
    D = panel.D.copy()
    for unit, start in shift.items():
        position, end = int(panel.units.get_loc(unit)), _end(panel, unit)  # type: ignore[arg-type]
        D[position, :end] = False
        D[position, start:end] = True
    return panel.with_treatment(D)
