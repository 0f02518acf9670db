"""Pack gaps, weights and replicates into an `Estimate`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.estimate import Estimate, panel_facts
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check
from crimepolicy.synth.cohorts import PER, Comparison
from crimepolicy.synth.summary import Terms, events_changed, ratio_of_totals, terms_of

__all__ = ["Labels", "Replicates", "pack", "weights_frame"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Fit = Callable[[Panel], Estimate]


@dataclass(frozen=True, slots=True)
class Replicates:
    """Gaps under other assignments, resamples or deletions.

    Attributes
    ----------
    kind : {"placebo", "bootstrap", "jackknife"}
        Where the replicates come from, and so how they become uncertainty.
    gaps : float array (R, C, T)
        Gaps per replicate, cohort and period.
    units : pandas.Index (R,) or None
        Deleted unit of each replicate of a jackknife.
    """

    kind: Literal["placebo", "bootstrap", "jackknife"]
    gaps: Floats
    units: pd.Index | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """What an estimate is called: method, citation, options, and how each part of its uncertainty is named."""

    method: str
    citation: str
    options: Mapping[str, Any]
    correction: str = ""


def pack(
    panel: Panel,
    data: Comparison,
    gaps: Floats,
    *,
    labels: Labels,
    fit: Fit,
    weights: pd.DataFrame,
    checks: tuple[Check, ...],
    replicates: Replicates | None = None,
) -> Estimate:
    """Return the estimate of gaps (C, T) with its path, weights, uncertainty and companions.

    Parameters
    ----------
    panel : Panel
        What was estimated on.
    data : Comparison
        Its cohorts and donors.
    gaps : float array (C, T)
        Treated less comparison by cohort and period.
    labels, fit, weights, checks
        As the estimate carries them.
    replicates : Replicates, optional
        Source of the uncertainty.
    """
    terms = terms_of(data)
    values = terms.apply(gaps)
    spread = _spread(terms, replicates, values)
    effect = Estimate(
        estimand=f"average effect on {'the log of ' if data.scale == 'log' else ''}{_outcome(panel)} of the treated",
        value=float(values[0]),
        std_error=float("nan") if spread.errors is None else float(spread.errors[0]),
        path=terms.path(values, spread.errors),
        weights=weights,
        scale=data.scale,
        method=labels.method,
        citation=labels.citation,
        options=labels.options,
        correction=labels.correction,
        psi=spread.psi,
        draws=spread.draws,
        null=spread.null,
        clusters=spread.clusters(panel),
        factor=spread.factor,
        checks=(*panel.checks, *data.checks, *checks),
        panel=panel,
        fit=fit,
        **panel_facts(panel),
    )
    return effect.replace(companions=_companions(effect, data, gaps, replicates, fit))


def weights_frame(
    data: Comparison, panel: Panel, donors: list[Floats], periods: list[Floats] | None = None
) -> pd.DataFrame:
    """Return the weights with columns role (donor or period), cohort, label, weight; one row per cohort and donor or period."""
    names = panel.units[data.donors]
    parts = []
    for index, cohort in enumerate(data.cohorts):
        parts.append(("donor", cohort.label, names, donors[index]))
        if periods is not None:
            parts.append(("period", cohort.label, panel.periods[: cohort.start], periods[index]))
    sizes = [len(part[3]) for part in parts]
    return pd.DataFrame(
        {
            "role": np.repeat(np.array([part[0] for part in parts], dtype=object), sizes),
            "cohort": np.repeat(pd.Index([part[1] for part in parts]).to_numpy(dtype=object), sizes),
            "label": np.concatenate([part[2].to_numpy(dtype=object) for part in parts]),
            "weight": np.concatenate([part[3] for part in parts]),
        }
    )


@dataclass(frozen=True, slots=True)
class _Spread:
    errors: Floats | None = None
    psi: pd.DataFrame | None = None
    draws: pd.DataFrame | None = None
    null: pd.DataFrame | None = None
    factor: float = 1.0

    def clusters(self, panel: Panel) -> Any:
        return None if self.psi is None else panel.clusters[panel.units.get_indexer(self.psi.index)]


def _spread(terms: Terms, replicates: Replicates | None, values: Floats) -> _Spread:
    if replicates is None:
        return _Spread()
    replicated = terms.apply(replicates.gaps)
    frame = pd.DataFrame(replicated, columns=terms.labels, index=replicates.units)
    # The published placebo and bootstrap standard errors divide by the number of replicates.
    errors = replicated.std(axis=0)
    if replicates.kind == "placebo":
        return _Spread(errors, null=frame)
    if replicates.kind == "bootstrap":
        return _Spread(errors, draws=frame)
    n = len(frame)
    psi = (frame.mean(axis=0) - frame) * ((n - 1) / n)
    return _Spread(np.sqrt((n - 1) / n) * np.sqrt(n) * errors, psi=psi, factor=n / (n - 1))


def _companions(
    effect: Estimate, data: Comparison, gaps: Floats, replicates: Replicates | None, fit: Fit
) -> dict[str, Estimate]:
    """Return the same effect as events and as a ratio, where the panel has a population."""
    if data.population is None:
        return {}
    others = None if replicates is None else replicates.gaps
    bare = effect.replace(path=None, psi=None, draws=None, null=None, companions={}, clusters=None, factor=1.0)
    excess, ratio = float(events_changed(data, gaps)), float(ratio_of_totals(data, gaps))
    outcome = effect.panel.outcome if effect.panel is not None else ""
    return {
        "excess": bare.replace(
            value=excess,
            std_error=_error(replicates, None if others is None else events_changed(data, others)),
            estimand=f"{outcome} added (positive) or averted (negative) over all treated cells",
            scale="level",
            fit=partial(_companion, fit, "excess"),
        ),
        "ratio": bare.replace(
            value=ratio,
            std_error=ratio * _error(replicates, None if others is None else np.log(ratio_of_totals(data, others))),
            estimand=f"{outcome} over what it would have been, all treated cells together",
            scale="ratio",
            fit=partial(_companion, fit, "ratio"),
        ),
    }


def _companion(fit: Fit, name: str, panel: Panel) -> Estimate:
    return fit(panel).companions[name]


def _error(replicates: Replicates | None, values: Floats | None) -> float:
    if replicates is None or values is None:
        return float("nan")
    return float(values.std() * (np.sqrt(len(values) - 1) if replicates.kind == "jackknife" else 1.0))


def _outcome(panel: Panel) -> str:
    return panel.outcome if panel.population is None else f"{panel.outcome} per {PER:,.0f}"
