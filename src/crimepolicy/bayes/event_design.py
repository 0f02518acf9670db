"""From a panel and its events to the design of the count model, with priors scaled to the data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.bayes import bases
from crimepolicy.bayes.event_cells import EventCells
from crimepolicy.bayes.layout import Block, Design, positions
from crimepolicy.errors import DesignError
from crimepolicy.panel import Panel

__all__ = ["EventModel", "Family", "Path", "PeriodEffects", "Pooling", "UnitEffects", "event_design"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Family = Literal["negative_binomial", "poisson"]
Path = Literal["random_walk", "gaussian_process"]
Pooling = Literal["partial", "none", "complete"]
PeriodEffects = Literal["unit+period", "unit+region:period"]
UnitEffects = Literal["independent", "spatial"]

_SEASONS = {"M": 12, "Q": 4}
# An event's own path is a few smooth shapes; what the smallest would add is scaled into the rest.
_KEPT = 0.95
_INTERCEPT_SD = 2.5
_ROOM = 2.0
_LEAST_SCALE = 0.1


@dataclass(frozen=True, slots=True)
class EventModel:
    """The options of the model; scales are standard deviations on the log scale; moderators are coded (`code_moderators`)."""

    family: Family
    effects: PeriodEffects
    path: Path
    pooling: Pooling
    unit_effects: UnitEffects
    moderators: pd.DataFrame | None
    length: float
    effect_scale: float
    drift_scale: float
    event_scale: float
    event_drift_scale: float
    moderator_scale: float
    unit_scale: float | None
    period_scale: float | None
    season_scale: float
    dispersion_scale: float


def event_design(panel: Panel, events: EventCells, model: EventModel) -> Design:
    """Return the design of the event study of a panel.

    Raises
    ------
    DesignError
        Where the outcome is not a count, regions or neighbours are missing, or there are moderators without pooling.
    """
    _validate_counts(panel, events)
    counts = np.where(events.used, panel.Y, 0.0)
    exposure = np.ones_like(counts) if panel.population is None else panel.population
    exposure = np.where(events.used, exposure, 1.0)
    rate = counts.sum() / exposure[events.used].sum()
    group, n_groups = _groups(panel, model.effects)
    month, n_seasons = _calendar(panel)
    unit, spatial = _unit_basis(panel, model.unit_effects)
    season = bases.seasons(month, n_seasons) if n_seasons else np.zeros((panel.n_periods, 0))
    shared, own = _paths(events, model)
    level = _levels(events, model)
    expected = np.where(events.used, rate * exposure, 0.0)
    e = len(events.ids)
    own_level = model.pooling != "complete"
    fixed = model.pooling == "none"
    blocks = (
        Block("intercept", 1, _INTERCEPT_SD, fixed=True),
        Block("unit", unit.shape[1] - 1, model.unit_scale or _spread(counts, expected, 1), spatial=spatial),
        Block("period", n_groups * (panel.n_periods - 1), model.period_scale or _spread(counts, expected, 0)),
        Block("season", season.shape[1], model.season_scale),
        Block("level", min(1, level.shape[1]), model.effect_scale, fixed=True),
        Block("moderators", max(0, level.shape[1] - 1), model.moderator_scale, fixed=True),
        Block("drift", shared.shape[1], model.drift_scale),
        Block("event_level", e * own_level, model.effect_scale if fixed else model.event_scale, fixed=fixed),
        Block("event_drift", e * own.shape[1], model.drift_scale if fixed else model.event_drift_scale, fixed=fixed),
    )
    at = positions(blocks)
    turned, turn = _turn(level, at) if own_level and not fixed else (np.zeros(0, dtype=np.intp), np.zeros((0, 0)))
    return Design(
        counts=counts,
        offset=np.where(events.used, np.log(rate * exposure), 0.0),
        used=events.used,
        unit=unit,
        group=group,
        n_groups=n_groups,
        walk=bases.random_walk(panel.n_periods),
        season=season,
        cell=events.cell,
        after=events.after.astype(np.float64),
        level=level,
        drift=shared,
        own_level=own_level,
        own_drift=own,
        blocks=blocks,
        dispersion_scale=model.dispersion_scale if model.family == "negative_binomial" else None,
        turned=turned,
        turn=turn,
        at=at,
    )


def _turn(level: Floats, at: Mapping[str, slice]) -> tuple[np.ndarray[Any, np.dtype[np.intp]], Floats]:
    """Return positions and matrix that give the levels from what the data see of them.

    Counts see the common level only with what the events' own levels have in common with it. The sampler moves in that sum, which
    hardly depends on how much events differ, and in the own levels turned so that their other directions are apart.
    """
    e, b = level.shape
    axes = np.linalg.qr(level, mode="complete")[0]
    turn = np.block([[np.eye(b), -np.linalg.pinv(level) @ axes], [np.zeros((e, b)), axes]])
    return np.concatenate([np.r_[at["levels"]], np.r_[at["event_level"]]]), turn


def _validate_counts(panel: Panel, events: EventCells) -> None:
    seen = panel.Y[events.used]
    bad = int(((seen < 0) | (seen != np.round(seen))).sum())
    if bad:
        raise DesignError(
            f"The outcome {panel.outcome!r} should be a count, but {bad:,} cells are negative or not whole. Give counts with population=."
        )
    if not seen.sum():
        raise DesignError(f"The outcome {panel.outcome!r} is zero in every cell in use; there is nothing to estimate.")


def _spread(counts: Floats, expected: Floats, axis: int) -> float:
    """Return a generous scale for effects along the other axis: twice the spread of their log rates."""
    total, exposure = counts.sum(axis=axis), expected.sum(axis=axis)
    seen = exposure > 0
    logs = np.log((total[seen] + 0.5) / (exposure[seen] + 0.5))
    return max(_LEAST_SCALE, _ROOM * float(logs.std()))


def _groups(panel: Panel, effects: PeriodEffects) -> tuple[np.ndarray[Any, np.dtype[np.intp]], int]:
    if effects == "unit+period":
        return np.zeros(panel.n_units, dtype=np.intp), 1
    if panel.region is None:
        raise DesignError("effects='unit+region:period' needs regions. Give region= to Panel.from_frame.")
    codes, labels = pd.factorize(pd.Series(panel.region), sort=True)
    return codes.astype(np.intp), len(labels)


def _calendar(panel: Panel) -> tuple[np.ndarray[Any, Any], int]:
    """Return the season of every period, and the number of seasons: none where the panel shows no season twice."""
    if not isinstance(panel.periods, pd.PeriodIndex):
        return np.zeros(panel.n_periods, dtype=np.intp), 0
    count = _SEASONS.get(panel.periods.freqstr[0], 0)
    if panel.n_periods < 2 * count or not count:
        return np.zeros(panel.n_periods, dtype=np.intp), 0
    return ((panel.periods.month - 1) * count // 12).to_numpy(), count


def _unit_basis(panel: Panel, kind: UnitEffects) -> tuple[Floats, Floats | None]:
    intercept = np.ones((panel.n_units, 1))
    if kind == "independent":
        return np.hstack([intercept, bases.sum_to_zero(panel.n_units)]), None
    weights = panel.neighbour_matrix().toarray()
    basis, spatial = bases.spatial_variance(np.maximum(weights, weights.T))
    return np.hstack([intercept, basis]), spatial


def _paths(events: EventCells, model: EventModel) -> tuple[Floats, Floats]:
    anchor = -1 - events.anticipation
    empty = np.zeros((len(events.times), 0))

    def path(keep: float) -> Floats:
        return bases.anchored_path(events.times, anchor, kind=model.path, length=model.length, keep=keep)

    shared = empty if model.pooling == "none" else path(1.0)
    return shared, empty if model.pooling == "complete" else path(_KEPT)


def _levels(events: EventCells, model: EventModel) -> Floats:
    e = len(events.ids)
    if model.pooling == "none":
        if model.moderators is not None:
            raise DesignError(
                "pooling='none' has nothing in common that moderators could explain. Use pooling='partial'."
            )
        return np.zeros((e, 0))
    if model.moderators is None:
        return np.ones((e, 1))
    return np.hstack([np.ones((e, 1)), model.moderators.to_numpy()])
