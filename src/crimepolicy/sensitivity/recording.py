"""Recording: what an estimate says when a place may have stopped counting."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from crimepolicy.errors import DesignError, of_kind
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.refits import Variants, panel_and_fit, refit_frame, span

__all__ = ["recording_bounds"]

Cells = np.ndarray[Any, np.dtype[np.bool_]]
_RECORDED, _MISSING = "as recorded", "missing"


def recording_bounds(
    estimate: Estimate,
    doubtful: Mapping[Any, tuple[object, object]],
    *,
    quantiles: tuple[float, float] = (0.1, 0.9),
    level: float = 0.95,
    n_jobs: int = 1,
) -> Variants:
    """Estimate again with doubtful records missing, or at a low and a high quantile of the same place's other rates.

    Parameters
    ----------
    estimate : Estimate
        With its panel and fit.
    doubtful : mapping of unit to (first period, last period)
        Where and when the record is not to be trusted, both ends included.
    quantiles : (float, float)
        Of the place's outcome (its rate, where there is a population) over its other cells.
    level : float
        Of the intervals.
    n_jobs : int

    Returns
    -------
    Variants
        Rows as recorded, missing, low, high. The last two bound the estimate if the truth lay between these quantiles.

    Raises
    ------
    DesignError
        Where no cell is doubtful, or all of a unit's are.
    EstimationError
        Where the estimate does not carry its panel and fit.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame(
    ...     {"city": list("aaabbb"), "year": [1, 2, 3] * 2, "deaths": [8, 6, 0, 5, 5, 5], "truce": [0, 0, 1, 0, 0, 0]}
    ... )
    >>> panel = Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> def change(p):
    ...     facts = {"estimand": "change", "method": "change", "citation": "", "std_error": 1.0}
    ...     return Estimate(value=p.Y[0, 2] - p.Y[0, 0], panel=p, fit=change, **facts)
    >>> recording_bounds(change(panel), {"a": (3, 3)}, quantiles=(0, 1)).frame["estimate"].tolist()
    [-8.0, nan, -2.0, 0.0]
    """
    of_kind("estimate", estimate, Estimate)
    panel, fit = panel_and_fit(estimate)
    cells = _cells(panel, doubtful)
    low, high = quantiles
    tasks: list[tuple[str, Any]] = [(_RECORDED, panel.Y), (_MISSING, np.where(cells, np.nan, panel.Y))]
    tasks += [(f"quantile {q:g}", _filled(panel, cells, q)) for q in (low, high)]
    frame = refit_frame(
        fit, panel, Panel.with_outcome, [({"record": name}, Y) for name, Y in tasks], level=level, n_jobs=n_jobs
    )
    text = f"With {int(cells.sum())} doubtful cells of {len(doubtful)} units as recorded, missing, or at the {low:.0%} and {high:.0%} quantiles of the same places, the estimate {span(frame)}."
    return Variants(frame, estimate, text)


def _cells(panel: Panel, doubtful: Mapping[Any, tuple[object, object]]) -> Cells:
    cells = np.zeros_like(panel.D)
    for unit, (first, last) in doubtful.items():
        panel.keep([unit])
        cells[int(panel.units.get_loc(unit)), panel.position(first) : panel.position(last) + 1] = True  # type: ignore[arg-type]
    if not cells.any() or cells.all(axis=1).any():
        raise DesignError(
            "Doubtful cells must be some, but not all, of each unit's. Drop a unit that was never recorded well."
        )
    return cells


def _filled(panel: Panel, cells: Cells, quantile: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    exposure = np.ones_like(panel.Y) if panel.population is None else panel.population
    rate = np.where(cells, np.nan, panel.Y / exposure)
    filled = np.nanquantile(rate, quantile, axis=1, keepdims=True) * exposure
    return np.where(cells, np.round(filled) if panel.population is not None else filled, panel.Y)
