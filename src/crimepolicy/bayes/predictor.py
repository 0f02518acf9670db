"""The linear predictor of a design, forwards and backwards."""

from typing import Any

import numpy as np

from crimepolicy.bayes.layout import Design

__all__ = ["event_effects", "linear_predictor", "parts", "pull_back", "pull_back_parts", "untreated_at_events"]

Floats = np.ndarray[Any, np.dtype[np.float64]]


def linear_predictor(design: Design, theta: Floats) -> Floats:
    """Return the log mean (N, T) at coordinates theta (size,); `pull_back` is its transpose."""
    unit, period, effect = parts(design, theta)
    eta = design.offset + unit[:, None] + period[design.group]
    present = design.cell < eta.size
    eta.ravel()[design.cell[present]] += effect[present]
    return np.asarray(eta)


def parts(design: Design, theta: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the effects of units (N,), of periods (G, T) and of events (E, K)."""
    period = theta[design.at["period"]].reshape(design.n_groups, -1) @ design.walk.T
    season = design.season @ theta[design.at["season"]]
    return design.unit @ theta[design.at["units"]], period + season, event_effects(design, theta)


def event_effects(design: Design, theta: Floats) -> Floats:
    """Return the effect (..., E, K) of every event at every event time, for theta (..., size)."""
    lead = theta.shape[:-1]
    level = theta[..., design.at["levels"]] @ design.level.T
    if design.own_level:
        level = level + theta[..., design.at["event_level"]]
    own = theta[..., design.at["event_drift"]].reshape(*lead, len(design.cell), -1)
    shared = theta[..., design.at["drift"]] @ design.drift.T
    return np.asarray(level[..., None] * design.after + shared[..., None, :] + own @ design.own_drift.T)


def pull_back(design: Design, slope: Floats) -> Floats:
    """Return the gradient (size,) with respect to theta, given that (N, T) with respect to the log mean."""
    by_period = np.zeros((design.n_groups, slope.shape[1]))
    np.add.at(by_period, design.group, slope)
    return pull_back_parts(design, slope.sum(axis=1), by_period, np.append(slope, 0.0)[design.cell])


def pull_back_parts(design: Design, by_unit: Floats, by_period: Floats, by_effect: Floats) -> Floats:
    """Return the gradient (size,), given those with respect to `parts`."""
    level = by_effect @ design.after
    return np.concatenate(
        [
            by_unit @ design.unit,
            (by_period @ design.walk).ravel(),
            by_period.sum(axis=0) @ design.season,
            level @ design.level,
            by_effect.sum(axis=0) @ design.drift,
            level if design.own_level else np.zeros(0),
            (by_effect @ design.own_drift).ravel(),
        ]
    )


def untreated_at_events(design: Design, theta: Floats) -> Floats:
    """Return the log mean without any event (..., E, K) in the cells of the events, for theta (..., size); -inf where absent."""
    t = design.counts.shape[1]
    present = design.cell < design.counts.size
    flat = np.where(present, design.cell, 0)
    row, column = flat.max(axis=1) // t, flat % t
    unit = theta[..., design.at["units"]] @ design.unit[row].T
    walk = theta[..., design.at["period"]].reshape(*theta.shape[:-1], design.n_groups, -1) @ design.walk.T
    season = theta[..., design.at["season"]] @ design.season.T
    period = walk[..., design.group[row][:, None], column] + season[..., column]
    eta = design.offset.ravel()[flat] + unit[..., None] + period
    return np.asarray(np.where(present, eta, -np.inf))
