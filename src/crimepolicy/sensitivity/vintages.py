"""Vintages: the estimate on other editions of the same figures, or on other boundaries."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.errors import DesignError, of_kind, offenders
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel
from crimepolicy.sensitivity.refits import Variants, panel_and_fit, refit_frame, span

__all__ = ["vintage_bounds"]

Crosswalk = Mapping[Any, Any]
_STANDING = "as it stands"


def vintage_bounds(
    estimate: Estimate,
    vintages: Mapping[str, Panel],
    *,
    crosswalks: Mapping[str, Crosswalk] | None = None,
    level: float = 0.95,
    n_jobs: int = 1,
) -> Variants:
    """Estimate again on other vintages of the figures or other boundaries, with the same treatment.

    Each is compared with the estimate as it stands on the units and periods that both hold, so that what changes is the record
    and not the sample.

    Parameters
    ----------
    estimate : Estimate
        With its panel and fit.
    vintages : mapping of name to Panel
        Other panels of the outcome; their own treatment is not read. Units and periods that the panel of the estimate lacks are left
        out.
    crosswalks : mapping of name to mapping of unit to unit, optional
        Where boundaries changed: from units of the panel to those of the vintage, which may be fewer (places that merged) but not
        more. Units not named keep their label. A merged place is treated where any of its parts is.
    level : float
        Of the intervals.
    n_jobs : int

    Returns
    -------
    Variants
        A row as it stands, then for each vintage the estimate as it stands on the common cells (``record`` is "as it stands") and
        that on the vintage.

    Raises
    ------
    DesignError
        Where a vintage has no unit or period in common with the panel, or periods of another length.
    EstimationError
        Where the estimate does not carry its panel and fit.

    Examples
    --------
    >>> rows = pd.DataFrame({"city": list("aabb"), "year": [1, 2, 1, 2], "deaths": [8, 4, 5, 5], "truce": [0, 1, 0, 0]})
    >>> panel = Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> def change(p):
    ...     facts = {"estimand": "change", "method": "change", "citation": "", "std_error": 1.0}
    ...     return Estimate(value=p.Y[0, 1] - p.Y[0, 0], panel=p, fit=change, **facts)
    >>> revised = panel.with_outcome(panel.Y + [[0, 2], [0, 0]])
    >>> vintage_bounds(change(panel), {"revised": revised}).frame["estimate"].tolist()
    [-4.0, -4.0, -2.0]
    """
    of_kind("estimate", estimate, Estimate)
    if not vintages:
        raise DesignError("There is no other vintage to compare with. Give a mapping of name to panel.")
    panel, fit = panel_and_fit(estimate)
    tasks: list[tuple[dict[str, str], Panel]] = [({"vintage": _STANDING, "record": _STANDING}, panel)]
    for name, other in vintages.items():
        own, laid = _common(panel, other, name, (crosswalks or {}).get(name, {}))
        tasks += [({"vintage": name, "record": _STANDING}, own), ({"vintage": name, "record": name}, laid)]
    frame = refit_frame(fit, panel, _exchanged, tasks, level=level, n_jobs=n_jobs, label="vintages")
    return Variants(frame, estimate, _text(frame, estimate))


def _exchanged(_: Panel, other: Panel) -> Panel:
    return other


def _common(panel: Panel, other: Panel, name: str, crosswalk: Crosswalk) -> tuple[Panel, Panel]:
    """Return both panels on the cells that both hold, the other with the treatment of the first."""
    if getattr(panel.periods, "freqstr", None) != getattr(other.periods, "freqstr", None):
        raise DesignError(f"The periods of vintage {name!r} have another length. Use aggregate() on one of the panels.")
    labels = pd.Index([crosswalk.get(unit, unit) for unit in panel.units])
    known, periods = labels.isin(other.units), panel.periods.intersection(other.periods)
    if not known.any() or not len(periods):
        what = "period" if known.any() else "unit"
        raise DesignError(
            f"Vintage {name!r} has no {what} in common with the panel (its first: {offenders(other.units[:3])}). Give a crosswalk, or check the labels."
        )
    own = panel.keep(panel.units[known]).window(periods[0], periods[-1])
    laid = other.keep(labels[known].unique()).window(periods[0], periods[-1])
    D = np.zeros_like(laid.D)
    np.logical_or.at(D, laid.units.get_indexer(labels[known]), own.D)
    return own, laid.with_treatment(D)


def _text(frame: pd.DataFrame, estimate: Estimate) -> str:
    others = frame[frame["record"] != _STANDING]
    same = frame[(frame["record"] == _STANDING) & (frame["vintage"] != _STANDING)]
    moved = (others["estimate"].to_numpy() - same["estimate"].to_numpy()).tolist()
    known = [
        (abs(change), change, name) for change, name in zip(moved, others["vintage"], strict=True) if change == change
    ]
    head = f"On {len(others)} other vintages or boundaries of the figures, the estimate of {estimate.value:.4g} {span(others)}"
    if not known:
        return f"{head}."
    _, change, name = max(known)
    return f"{head}. On cells that both records hold, {name} moves it most, by {change:+.4g}."
