"""Group-time effects by dose, and the response to dose."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.did.group_time import Base, Control, group_time_effects
from crimepolicy.did.two_by_two import Method
from crimepolicy.errors import DesignError, of_kind
from crimepolicy.estimate import HEADLINE, Estimate, path_term
from crimepolicy.inference.companions import refit_companion
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check

__all__ = ["dose_response"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

_CITATION = "Callaway, Goodman-Bacon and Sant'Anna (2024), NBER 32117"


def dose_response(
    panel: Panel,
    *,
    bins: int | Sequence[float] = 3,
    control: Control = "never",
    method: Method = "reg",
    base: Base = "varying",
    anticipation: int = 0,
    covariates: Sequence[str] = (),
) -> Estimate:
    """Estimate the average effect on the treated of each dose, from group-time effects by dose bin.

    The estimand of a bin is the average effect, on the units that received such doses, of the dose that they received; the
    headline averages the bins by treated units. Companions: ``"slope"``, the least-squares slope of the bins' effects on their
    mean doses, and ``"per_unit"``, the headline divided by the mean dose.

    Parameters
    ----------
    panel : Panel
        With doses. A unit's dose is its mean over treated cells.
    bins : int or sequence of float
        Number of bins of equal size (fewer where doses coincide), or the inner edges.
    control, method, base, anticipation, covariates
        As in `group_time_effects`. Not-yet-treated controls are those of the same bin.

    Returns
    -------
    Estimate
        `path` by dose bin.

    Raises
    ------
    DesignError
        Where the panel has no dose, or no bin can be compared.

    Assumptions
    -----------
    Parallel trends with the controls for each bin. The slope needs more: units with different doses would have reacted alike to
    the same dose (strong parallel trends). The check ``strong_parallel_trends`` says so.

    References
    ----------
    Callaway, Goodman-Bacon and Sant'Anna (2024), NBER working paper 32117.

    Examples
    --------
    >>> import pandas as pd
    >>> from crimepolicy.panel import Panel
    >>> rows = pd.DataFrame(
    ...     {
    ...         "beat": list("aabbccdd"),
    ...         "year": [1, 2] * 4,
    ...         "deaths": [3, 4, 5, 9, 7, 7, 8, 8],
    ...         "covered": [0, 0.2, 0, 0.6] + [0] * 4,
    ...     }
    ... )
    >>> effect = dose_response(
    ...     Panel.from_frame(rows, unit="beat", time="year", outcome="deaths", dose="covered"), bins=2
    ... )
    >>> effect.path["estimate"].round(2).tolist(), round(effect.companions["slope"].value, 2)
    ([1.0, 4.0], 7.5)
    """
    of_kind("panel", panel, Panel)
    options: dict[str, Any] = {
        "control": control, "method": method, "base": base, "anticipation": anticipation, "covariates": tuple(covariates)
    }  # fmt: skip
    doses, varying = _doses(panel)
    parts = [_part(panel, doses, inside, label, options) for label, inside in _bins(doses, bins)]
    again = partial(dose_response, bins=bins, **options)
    return _packed(panel, parts, varying, {**options, "bins": bins}, again)


@dataclass(frozen=True, slots=True)
class _Part:
    """One bin: label, mean dose and number of its treated units, and their average effect."""

    label: str
    dose: float
    size: int
    estimate: Estimate


def _doses(panel: Panel) -> tuple[Floats, int]:
    """Return each unit's mean dose over treated cells (N,), NaN for never, and how many units' dose changes."""
    if panel.dose is None:
        raise DesignError("This panel has no doses. Give dose= to Panel.from_frame, or use group_time_effects.")
    dose = np.where(panel.D, panel.dose, np.nan)
    ever = panel.D.any(axis=1)
    if not ever.any():
        raise DesignError("No unit has a positive dose, so nobody is treated.")
    mean = np.full(panel.n_units, np.nan)
    mean[ever] = np.nanmean(dose[ever], axis=1)
    varying = int((np.nanmax(dose[ever], axis=1) - np.nanmin(dose[ever], axis=1) > 0).sum())
    return mean, varying


def _bins(doses: Floats, bins: int | Sequence[float]) -> list[tuple[str, Bools]]:
    """Return label and members (N,) of each bin that has members."""
    known = doses[np.isfinite(doses)]
    if isinstance(bins, int):
        values = np.unique(known)
        inner = (
            (values[1:] + values[:-1]) / 2
            if len(values) <= bins
            else np.unique(np.quantile(known, np.arange(1, bins) / bins))
        )
    else:
        inner = np.asarray(sorted(bins), dtype=float)
    code = np.where(np.isfinite(doses), np.searchsorted(inner, doses), -1)
    members = [code == b for b in range(len(inner) + 1) if (code == b).any()]
    return [(f"{doses[inside].min():.3g} to {doses[inside].max():.3g}", inside) for inside in members]


def _part(panel: Panel, doses: Floats, inside: Bools, label: str, options: dict[str, Any]) -> _Part:
    units = panel.units[inside | ~np.isfinite(doses)]
    try:
        estimate = group_time_effects(panel.keep(units), **options)
    except DesignError as problem:
        raise DesignError(
            f"Doses of {label} cannot be compared: {problem} Use fewer bins, or leave these units out."
        ) from problem
    return _Part(label, float(doses[inside].mean()), int(inside.sum()), estimate)


def _packed(panel: Panel, parts: list[_Part], varying: int, options: dict[str, Any], again: Any) -> Estimate:
    effects = np.array([part.estimate.value for part in parts])
    size, dose = (np.array([getattr(part, name) for part in parts], dtype=float) for name in ("size", "dose"))
    columns = [part.estimate.psi[HEADLINE].reindex(panel.units).fillna(0.0) for part in parts]  # type: ignore[index]
    influence = np.column_stack(columns)
    share = size / size.sum()
    terms = [path_term("dose", part.label) for part in parts]
    psi = pd.DataFrame(np.column_stack([influence @ share, influence]), index=panel.units, columns=[HEADLINE, *terms])
    path = pd.DataFrame(
        {"estimate": effects, "dose": dose, "n_treated": size.astype(int)},
        index=pd.Index([part.label for part in parts], name="dose"),
    )
    shared: dict[str, Any] = {
        "panel": panel,
        "method": "group-time effects by dose",
        "citation": _CITATION,
        "options": options,
    }
    main = Estimate.from_psi(
        value=float(share @ effects),
        psi=psi,
        path=path,
        estimand=f"average effect of the doses received on {panel.outcome}",
        checks=(*panel.checks, *_checks(parts, varying)),
        fit=again,
        **shared,
    )
    companions = {}
    for name, weight, words in _responses(share, dose):
        companions[name] = Estimate.from_psi(
            value=float(weight @ effects),
            psi=pd.DataFrame({HEADLINE: influence @ weight}, index=panel.units),
            estimand=f"{words} on {panel.outcome}",
            checks=main.checks,
            fit=refit_companion(again, name),
            **shared,
        )
    return main.replace(companions=companions)


def _responses(share: Floats, dose: Floats) -> list[tuple[str, Floats, str]]:
    """Return name, weights on the bins' effects (b,) and words of each summary of the response."""
    mean = float(share @ dose)
    found = [("per_unit", share / mean, "average effect per unit of dose received")]
    spread = float(share @ (dose - mean) ** 2)
    return (
        [
            *found,
            (
                "slope",
                share * (dose - mean) / spread,
                "effect of one more unit of dose, between units of different dose,",
            ),
        ]
        if spread > 0
        else found
    )


def _checks(parts: list[_Part], varying: int) -> tuple[Check, ...]:
    thin = sum(part.size < 5 for part in parts)
    return (
        Check(
            "strong_parallel_trends",
            None,
            len(parts),
            "Effects of each dose need parallel trends with the controls only. Their comparison across doses (slope) is causal only if units of different dose would have reacted alike to the same dose.",
        ),
        Check(
            "dose_changes",
            None if varying else True,
            varying,
            f"{varying:,} units have a dose that changes while they are treated; their mean is used.",
        ),
        Check(
            "thin_bins",
            None if thin else True,
            thin,
            f"{thin:,} bins have fewer than five treated units: their standard errors are too small.",
        ),
        *(check for part in parts for check in part.estimate.checks if check.passed is False),
    )
