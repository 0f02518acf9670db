"""Spillover effects: the effect on the treated and on those near or linked to them, with controls that are neither."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.did.exposures import exposed_cells
from crimepolicy.did.fixed_effects import Cells, Family, fit_effects, regress_cells
from crimepolicy.did.imputed import (
    Effects,
    Targets,
    Weighting,
    missing_cells,
    model_inputs,
    sum_cells,
    target_cells,
    usable_cells,
    with_noise,
)
from crimepolicy.did.spells import Spells, find_spells
from crimepolicy.errors import DesignError, choose, of_kind, offenders
from crimepolicy.estimate import HEADLINE, Check, Estimate, path_term
from crimepolicy.panel import Panel

__all__ = ["spillover_effects"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Estimator = Literal["imputation", "two_way"]
Window = tuple[int, int]

_CITATION = "Butts (2023), Difference-in-differences with spatial spillovers"


def spillover_effects(
    panel: Panel,
    *,
    exposure: Any = "neighbours",
    rings: Sequence[float] = (25, 50, 100),
    estimator: Estimator = "imputation",
    family: Family = "gaussian",
    effects: Effects = "unit+period",
    covariates: Sequence[str] = (),
    horizon: Window | None = None,
    weights: Weighting = "panel",
) -> Estimate:
    """Estimate the effect of treatment on the treated and its spillover on units near or linked to them.

    The estimands are mean effects (poisson: log ratios of events to expected events) over the treated cells, and over the untreated
    cells of each exposure.

    Parameters
    ----------
    panel : Panel
        Treatment may switch off; exposure then ends with it.
    exposure : "neighbours", "rings", table of pairs, matrix (N, N), or a mapping of names to tables or matrices
        A cell is exposed when a unit linked to it is treated. ``"neighbours"`` uses `panel.neighbours`, ``"rings"`` the distance to the
        nearest treated unit; tables have columns unit (the exposed), neighbour and, optionally, weight.
    rings : sequence of float
        Outer bounds in kilometres of the distance bands of ``exposure="rings"``; controls lie beyond the last.
    estimator : {"imputation", "two_way"}
        Fit unit and period effects on cells that are neither treated nor exposed, or regress on treatment and exposures.
    family : {"gaussian", "poisson"}
        Poisson uses `panel.population` as exposure of the counts.
    effects : {"unit+period", "unit+region:period"}
        Effects of the untreated outcome.
    covariates : sequence of str
        Names in `panel.X`.
    horizon : (int, int), optional
        First and last period since the onset (of treatment, or of exposure) that count (imputation only).
    weights : {"panel", "equal"}
        Use `panel.weights` or not.

    Returns
    -------
    Estimate
        The headline is the effect on the treated; the path, by exposure, begins with it (``"direct"``).

    Raises
    ------
    DesignError
        Where the panel lacks neighbours or coordinates, or no cell is neither treated nor exposed.

    Assumptions
    -----------
    Cells that are neither treated nor exposed are not affected, and would have moved in parallel with the others. ``"two_way"`` also
    needs effects that are the same for all units and over time.

    References
    ----------
    Butts (2023), "Difference-in-differences with spatial spillovers", arXiv 2105.03737.

    Examples
    --------
    >>> Y = np.array([[1.0, 5.0], [1.0, 3.0], [2.0, 3.0], [0.0, 1.0]])
    >>> D = np.array([[0, 1], [0, 0], [0, 0], [0, 0]], dtype=bool)
    >>> panel = Panel(Y=Y, D=D, units=pd.Index(list("abcd")), periods=pd.RangeIndex(2))
    >>> pairs = pd.DataFrame({"unit": ["b"], "neighbour": ["a"]})
    >>> spillover_effects(panel, exposure={"border": pairs}).path["estimate"].round(6).tolist()
    [3.0, 1.0]
    """
    of_kind("panel", panel, Panel)
    options = {name: value for name, value in locals().items() if name != "panel"}
    for name, allowed in (("estimator", Estimator), ("family", Family), ("effects", Effects), ("weights", Weighting)):
        choose(name, options[name], allowed)
    if not panel.D.any():
        raise DesignError(
            "Nobody is treated in this panel. Lay a treatment on it with treated=, first_treated= or panel.treat(...)."
        )
    kinds = {"direct": panel.D.copy(), **exposed_cells(panel, exposure, rings)}
    model = model_inputs(panel, family, effects, covariates, False, weights)
    usable = usable_cells(panel, family, covariates, weights)
    found = (_impute if estimator == "imputation" else _regress)(panel, kinds, usable, model, options)
    return found.replace(fit=partial(spillover_effects, **options))


# -------------------------------------------------------------------- imputation


def _impute(
    panel: Panel, kinds: Mapping[str, Bools], usable: Bools, model: Mapping[str, Any], options: Mapping[str, Any]
) -> Estimate:
    touched = np.any(list(kinds.values()), axis=0)
    sample = usable & ~touched
    if not sample.any():
        raise DesignError(
            "Every cell is treated or exposed, so that no control is left. Use narrower rings= or fewer links."
        )
    fit = fit_effects(panel.Y, sample, **model)
    # Each exposure runs on a clock of its own, from the first period in which it holds.
    clock = _merged({name: find_spells(cells) for name, cells in kinds.items()}, kinds)
    targets, lost = target_cells(
        panel, fit, sample, usable & _within(touched, clock, options["horizon"]), clock, options["weights"]
    )
    kind = sum(cells[targets.unit, targets.period] * 2**k for k, cells in enumerate(kinds.values()))
    targets = with_noise(
        targets, panel.clusters, options["family"], "event_time", leave_out=True, kind=np.asarray(kind, dtype=np.intp)
    )
    member = {name: cells[targets.unit, targets.period] for name, cells in kinds.items()}
    present = [name for name, cells in member.items() if cells.any()]
    if "direct" not in present:
        raise DesignError(
            "No treated cell is identified, though exposed ones are. Give a longer panel, or check the horizon."
        )
    sums = sum_cells(fit, targets, [np.flatnonzero(member[name]) for name in present])
    value, psi = sums.contrast(options["family"])
    checks = [*_cell_checks(kinds, usable, member), *_lost(panel, lost)]
    return _pack(panel, present, value, psi, sums.n_cells, _treated_units(targets, member, present), checks, options)


def _merged(spells: Mapping[str, Spells], kinds: Mapping[str, Bools]) -> Spells:
    names = list(kinds)
    event_time, onset = spells[names[-1]].event_time.copy(), spells[names[-1]].onset.copy()
    for name in names[::-1]:
        here = kinds[name]
        event_time[here], onset[here] = spells[name].event_time[here], spells[name].onset[here]
    return Spells(event_time, onset, np.full(event_time.shape, np.nan))


def _within(touched: Bools, clock: Spells, horizon: Window | None) -> Bools:
    if horizon is None:
        return touched
    return touched & (clock.event_time >= horizon[0]) & (clock.event_time <= horizon[1])


def _treated_units(targets: Targets, member: Mapping[str, Bools], present: list[str]) -> list[int]:
    return [len(np.unique(targets.unit[member[name]])) for name in present]


# -------------------------------------------------------------------- two-way regression


def _regress(
    panel: Panel, kinds: Mapping[str, Bools], usable: Bools, model: Mapping[str, Any], options: Mapping[str, Any]
) -> Estimate:
    if options["horizon"] is not None:
        raise DesignError(
            "horizon= goes with estimator='imputation'; a two-way regression has one effect for all event times."
        )
    present = [name for name, cells in kinds.items() if (cells & usable).any()]
    held = [np.nonzero(kinds[name] & usable) for name in present]
    n_cells = np.array([len(rows) for rows, _ in held])
    unit, period = (np.concatenate(positions) for positions in zip(*held, strict=True))
    cells = Cells(unit, period, np.repeat(np.arange(len(present)), n_cells), np.ones(len(unit)), len(present))
    found = regress_cells(panel.Y, usable, cells, **model)
    member = {name: exposed[usable] for name, exposed in kinds.items()}
    units = [len(np.unique(rows)) for rows, _ in held]
    return _pack(
        panel,
        present,
        found.coefficients,
        found.influence,
        n_cells,
        units,
        _cell_checks(kinds, usable, member),
        options,
    )


# -------------------------------------------------------------------- packing


def _pack(
    panel: Panel,
    present: list[str],
    value: Floats,
    psi: Floats,
    n_cells: Ints,
    n_units: list[int],
    checks: Sequence[Check],
    options: Mapping[str, Any],
) -> Estimate:
    path = pd.DataFrame(
        {"estimate": value, "std_error": np.nan, "n_cells": n_cells, "n_units": n_units},
        index=pd.Index(present, name="exposure"),
    )
    poisson = options["family"] == "poisson"
    columns = [HEADLINE, *(path_term("exposure", name) for name in present)]
    frame = pd.DataFrame(np.hstack([psi[:, :1], psi]), index=panel.units, columns=columns)
    residuals = "CR0" if options["estimator"] == "two_way" else "CR0, residuals around event_time means, leave-one-out"
    return Estimate.from_psi(
        value=value[0],
        psi=frame,
        panel=panel,
        path=path,
        correction=residuals,
        estimand=f"effect of treatment on {panel.outcome} of the treated, net of spillovers"
        + (", observed to expected" if poisson else ""),
        method=f"spillover effects ({options['estimator']}, {options['family']})",
        citation=_CITATION,
        options=dict(options),
        scale="log" if poisson else "level",
        checks=tuple(checks),
    )


def _cell_checks(kinds: Mapping[str, Bools], usable: Bools, member: Mapping[str, Bools]) -> list[Check]:
    touched = np.any(list(kinds.values()), axis=0)
    clean = int((usable & ~touched).any(axis=1).sum())
    never = int((~touched.any(axis=1)).sum())
    found = [
        Check(
            "controls",
            None,
            never,
            f"{never} units are never treated or exposed; {clean} units have cells that are neither.",
        )
    ]
    several = int((np.sum(list(member.values()), axis=0) > 1).sum())
    if several:
        found.append(
            Check("several_exposures", None, several, f"{several} cells have more than one exposure and count in each.")
        )
    empty = [name for name, cells in member.items() if not cells.any()]
    if empty:
        found.append(Check("empty_exposures", None, len(empty), f"No cell has the exposure {offenders(empty)}."))
    absent = missing_cells(usable)
    return found if absent is None else [*found, absent]


def _lost(panel: Panel, lost: Ints) -> list[Check]:
    if not len(lost):
        return []
    units = panel.units[np.unique(lost[:, 0])]
    text = f"{len(lost)} treated or exposed cells are left out, because nothing untouched of their unit or period exists to learn from; units {offenders(units)}."
    return [Check("unidentified_cells", None, len(lost), text)]
