"""Placebo interventions with the real adoption structure, laid on real untreated cells, with a known effect added."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from crimepolicy.errors import DesignError, InferenceError, choose, of_kind, offenders
from crimepolicy.panel import Panel

__all__ = ["Injection", "PlaceboDesign", "add_effect", "draw_placebo", "mask_treated", "require_masked"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Injection = Literal["auto", "thin", "scale"]

_TRIES = 200


@dataclass(frozen=True, slots=True)
class PlaceboDesign:
    """How placebo interventions are laid.

    Attributes
    ----------
    units : {"never", "any"}
        Who may receive a placebo: never-treated units only, the treated ones being left out of the panel altogether; or any
        unit whose own treated (masked) cells are clear of it, the panel being kept whole with its masked cells missing.
    n_treated : int or None
        Number of schedules laid each time, drawn from the real ones; all of them where None.
    strata : int
        Schedules move only between units of the same stratum of size (mean outcome over untreated cells), this many strata.
    """

    units: Literal["never", "any"] = "never"
    n_treated: int | None = None
    strata: int = 1

    def __post_init__(self) -> None:
        choose("units", self.units, ("never", "any"))


def mask_treated(panel: Panel) -> Panel:
    """Return the panel with the outcomes of its treated cells missing, as calibration requires."""
    of_kind("panel", panel, Panel)
    return panel.with_outcome(np.where(panel.D, np.nan, panel.Y))


def require_masked(panel: Panel) -> None:
    """Raise unless every treated cell's outcome is missing.

    Raises
    ------
    InferenceError
        With the units whose treated outcomes can be seen.
    DesignError
        Where no cell is treated, so that there is no adoption structure to copy.
    """
    seen = (panel.D & panel.observed).any(axis=1)
    if seen.any():
        raise InferenceError(
            f"The treated outcomes of {offenders(panel.units[seen])} can be seen. Calibration comes before the effect is looked at: pass "
            "mask_treated(panel), which keeps the dates and hides these outcomes."
        )
    if not panel.D.any():
        raise DesignError(
            "No cell is treated, so that there is no adoption structure to lay. Put the real events on the panel first."
        )


def draw_placebo(panel: Panel, design: PlaceboDesign, rng: np.random.Generator) -> Panel:
    """Return the panel with one set of placebo interventions, drawn with the real dates and durations.

    Raises
    ------
    DesignError
        Where too few units can receive them.
    """
    treated = np.flatnonzero(panel.D.any(axis=1))
    chosen = (
        treated if design.n_treated is None else rng.choice(treated, min(design.n_treated, len(treated)), replace=False)
    )
    hosts = _hosts(panel, design, chosen, rng)
    D = np.zeros_like(panel.D)
    D[hosts] = panel.D[chosen]
    placebo = panel.with_treatment(D)
    return placebo.drop(panel.units[treated]) if design.units == "never" else placebo


def _hosts(
    panel: Panel, design: PlaceboDesign, chosen: np.ndarray[Any, Any], rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    possible = _possible(panel, design, chosen)
    if not possible.any(axis=1).all():
        short = panel.units[chosen[~possible.any(axis=1)]]
        raise DesignError(f"No unit can receive the schedule of {offenders(short)}. {_advice(design)}")
    # Schedules that fit few units are placed first; a dead end starts again.
    order = np.argsort(possible.sum(axis=1), kind="stable")
    for _ in range(_TRIES):
        hosts = _attempt(possible, order, rng)
        if hosts is not None:
            return hosts
    raise DesignError(
        f"{len(chosen)} schedules do not fit on {int(possible.any(axis=0).sum())} units at once. {_advice(design)}"
    )


def _advice(design: PlaceboDesign) -> str:
    wider = "units='any', " if design.units == "never" else ""
    return f"Use {wider}fewer strata, or n_treated= to lay fewer schedules at a time."


def _attempt(possible: Bools, order: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any] | None:
    hosts = np.full(len(possible), -1)
    free = np.ones(possible.shape[1], dtype=bool)
    for row in order:
        candidates = np.flatnonzero(possible[row] & free)
        if not candidates.size:
            return None
        hosts[row] = rng.choice(candidates)
        free[hosts[row]] = False
    return hosts


def _possible(panel: Panel, design: PlaceboDesign, chosen: np.ndarray[Any, Any]) -> Bools:
    """Return which units (columns) can receive which schedules (rows)."""
    schedules, never = panel.D[chosen], ~panel.D.any(axis=1)
    if design.units == "never":
        clear = np.repeat(never[None, :], len(chosen), axis=0)
    else:
        # A placebo needs its own cells observed, and untreated periods before it to compare with.
        overlap = schedules.astype(float) @ panel.D.T.astype(float)
        first = schedules.argmax(axis=1)
        before = np.cumsum(panel.observed, axis=1)[:, np.maximum(first - 1, 0)].T
        clear = (overlap == 0) & (before >= np.maximum(first / 2, 1)[:, None])
    return clear & _same_stratum(panel, design, chosen)


def _same_stratum(panel: Panel, design: PlaceboDesign, chosen: np.ndarray[Any, Any]) -> Bools:
    size = np.nanmean(np.where(panel.D, np.nan, panel.Y), axis=1)
    ranks = np.argsort(np.argsort(size, kind="stable"), kind="stable")
    stratum = ranks * design.strata // panel.n_units
    return np.asarray(stratum[chosen][:, None] == stratum[None, :])


def add_effect(panel: Panel, effect: float, injection: Injection, rng: np.random.Generator) -> tuple[Panel, float]:
    """Return the panel with a relative effect in its treated cells, and the average effect in units of the outcome.

    Counts are thinned: each event is kept with probability ``1 + effect``, or, for positive effects, joined by another with
    probability ``effect`` (by a Poisson number of them beyond 1), so that the variance stays that of counts. Other outcomes
    are multiplied by ``1 + effect``.

    Raises
    ------
    DesignError
        Where an effect is below -1, or thinning is asked for and the outcome is not a count.
    """
    cells = panel.D & panel.observed
    before = panel.Y[cells]
    counted = bool((before == np.round(before)).all() and (before >= 0).all())
    if effect < -1 or (injection == "thin" and not counted):
        raise DesignError(
            f"effect={effect:g} cannot be laid on these outcomes: thinning needs counts, and no effect is below -1. Use injection='scale'."
        )
    thin = injection == "thin" or (injection == "auto" and counted and panel.population is not None)
    Y = panel.Y.copy()
    Y[cells] = _thinned(before, effect, rng) if thin else before * (1 + effect)
    return panel.with_outcome(Y), float(effect * before.mean())


def _thinned(counts: Floats, effect: float, rng: np.random.Generator) -> Floats:
    whole = counts.astype(np.int64)
    if effect <= 0:
        return rng.binomial(whole, 1 + effect).astype(float)
    added = rng.binomial(whole, effect) if effect <= 1 else rng.poisson(effect * counts)
    return counts + added
