"""The cells that a factor model is fitted to, those it imputes, and those it cannot."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from crimepolicy.errors import DesignError, offenders
from crimepolicy.panel import Panel
from crimepolicy.panel_checks import Check
from crimepolicy.synth.factor_fit import FactorData, FactorMethod
from crimepolicy.synth.interactive import Family
from crimepolicy.synth.spell_time import since_end, since_start

__all__ = ["FactorSample", "FactorSettings", "factor_sample"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.intp]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class FactorSettings:
    """The options of `factor_model`, but for its variance."""

    method: FactorMethod
    rank: int | None
    penalty: float | None
    family: Family
    covariates: tuple[str, ...]
    weights: Literal["panel", "equal"]
    carryover: int
    min_untreated: int | None
    draws: int
    max_rank: int
    folds: int
    seed: int

    def options(self) -> dict[str, Any]:
        """Return the options by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class FactorSample:
    """What is fitted: the data, masks (N, T) of treated and carry-over cells to impute, event times, panel rows, and checks."""

    data: FactorData
    treated: Bools
    carried: Bools
    start: Ints
    end: Ints
    rows: Ints
    mass: Floats
    checks: tuple[Check, ...]

    def take(self, picked: Ints) -> "FactorSample":
        """Return the sample of some units, with repetition."""
        arrays = {name: getattr(self, name)[picked] for name in ("treated", "carried", "start", "end", "rows", "mass")}
        return replace(self, data=self.data.take(picked), **arrays)


def factor_sample(panel: Panel, settings: FactorSettings) -> FactorSample:
    """Sort the cells of a panel into fitted, imputed, set aside and left out.

    Raises
    ------
    DesignError
        Where no treated cell can be imputed, or covariates are missing.
    """
    seen = panel.observed
    end = since_end(panel.D)
    carried = seen & ~panel.D & (end >= 0) & (end < settings.carryover)
    fitted = seen & ~panel.D & ~carried
    factors = (settings.rank if settings.rank is not None else 1) if settings.method == "interactive" else 0
    need = settings.min_untreated if settings.min_untreated is not None else factors + 1
    rows, periods = _identified(panel, fitted, max(need, 1), settings.family)
    usable = np.isin(np.arange(panel.n_units), rows)[:, None] & periods
    treated = seen & panel.D & usable
    if not treated.any():
        raise DesignError(
            "No treated cell can be imputed: its unit or its period has too few untreated observed cells."
        )
    mass = panel.weights if panel.weights is not None and settings.weights == "panel" else np.ones_like(panel.Y)
    W = np.where(fitted & usable, mass, 0.0)
    data = FactorData(
        Z=np.where(seen, panel.Y, 0.0)[rows],
        W=W[rows],
        X=_covariates(panel, settings, seen, rows),
        offset=np.zeros_like(panel.Y[rows])
        if panel.population is None or settings.family == "gaussian"
        else _log(panel)[rows],
        family=settings.family,
    )
    checks = _left_out(panel, seen & panel.D, treated, rows)
    return FactorSample(
        data, treated[rows], (carried & usable)[rows], since_start(panel.D)[rows], end[rows], rows, mass[rows], checks
    )


def _log(panel: Panel) -> Floats:
    # Exposure may be missing where the outcome is; those cells carry no weight.
    return np.log(np.where(panel.observed, panel.population, 1.0))  # type: ignore[arg-type]


def _identified(panel: Panel, fitted: Bools, need: int, family: Family) -> tuple[Ints, Bools]:
    """Return the units and periods whose untreated cells suffice; losing one may cost another, so this repeats."""
    units, periods = np.ones(panel.n_units, dtype=bool), np.ones(panel.n_periods, dtype=bool)
    counts = np.where(fitted, panel.Y, 0.0)
    while True:
        cells = fitted & units[:, None] & periods
        good = cells.sum(axis=1) >= need
        enough = cells.sum(axis=0) >= 1
        if family == "poisson":
            # A unit or period without a single event has an effect of minus infinity.
            good &= (counts * cells).sum(axis=1) > 0
            enough &= (counts * cells).sum(axis=0) > 0
        if (good >= units).all() and (enough >= periods).all():
            return np.flatnonzero(units), periods
        units, periods = units & good, periods & enough
        if not units.any() or not periods.any():
            raise DesignError("No unit has enough untreated observed cells to fit the model. Use a lower rank.")


def _covariates(panel: Panel, settings: FactorSettings, seen: Bools, rows: Ints) -> Floats:
    if not settings.covariates:
        return np.zeros((0, len(rows), panel.n_periods))
    X = np.stack([panel.X[name] for name in settings.covariates])
    holes = np.isnan(X) & seen
    if holes.any():
        names = [name for name, hole in zip(settings.covariates, holes.any(axis=(1, 2)), strict=True) if hole]
        raise DesignError(
            f"Covariates are missing in {int(holes.any(axis=0).sum())} observed cells: {offenders(names)}. Fill them, or leave them out."
        )
    return np.where(np.isnan(X), 0.0, X)[:, rows]


def _left_out(panel: Panel, wanted: Bools, treated: Bools, rows: Ints) -> tuple[Check, ...]:
    found = []
    missing = int((~panel.observed).sum())
    if missing:
        found.append(Check("cells_missing", None, missing, f"{missing} cells are not observed and not used."))
    dropped = panel.units[np.setdiff1d(np.arange(panel.n_units), rows)]
    if len(dropped):
        found.append(
            Check(
                "units_dropped",
                None,
                len(dropped),
                f"units with too few untreated observed cells (or no event in them): {offenders(dropped)}.",
            )
        )
    lost = int(wanted.sum() - treated.sum())
    if lost:
        found.append(
            Check(
                "treated_cells_dropped",
                None,
                lost,
                f"{lost} of {int(wanted.sum())} treated cells cannot be imputed and are left out.",
            )
        )
    return tuple(found)
