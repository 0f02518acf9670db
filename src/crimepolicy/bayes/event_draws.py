"""Draws of what an event study is about, from draws of the parameters of its model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from crimepolicy.bayes.count_draws import CountDraws
from crimepolicy.bayes.event_cells import EventCells
from crimepolicy.bayes.layout import Design
from crimepolicy.bayes.predictor import event_effects, untreated_at_events

__all__ = ["EventDraws", "event_draws", "pointwise_likelihood"]

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class EventDraws:
    """Draws of the estimands; leading axes (...) as in the parameters.

    Attributes
    ----------
    events : float array (..., E)
        Mean log effect over the treated cells of each event.
    path : float array (..., K)
        Common path; without pooling, the mean over the events that are there.
    new : float array (..., K) or None
        Path of an event not yet seen.
    coefficients : float array (..., M)
        Of the moderators.
    expected : float array (..., E, K)
        Mean count without the event; zero where absent.
    effect : float array (..., E, K)
    """

    events: Floats
    path: Floats
    new: Floats | None
    coefficients: Floats
    expected: Floats
    effect: Floats

    @property
    def average(self) -> Floats:
        """Mean (...) over the events."""
        return np.asarray(self.events.mean(axis=-1))


def event_draws(design: Design, events: EventCells, draws: CountDraws, seed: int) -> EventDraws:
    """Return the draws of the estimands."""
    theta = draws.theta
    effect = event_effects(design, theta)
    weight = events.counted / events.counted.sum(axis=1, keepdims=True)
    own = np.einsum("...ek,ek->...e", effect, weight)
    expected = np.exp(untreated_at_events(design, theta))
    coefficients = theta[..., design.at["moderators"]]
    if design.at["level"].start == design.at["level"].stop:
        share = events.present / np.maximum(events.present.sum(axis=0), 1)
        return EventDraws(own, np.einsum("...ek,ek->...k", effect, share), None, coefficients, expected, effect)
    level = theta[..., design.at["level"]]
    path = level * design.after + theta[..., design.at["drift"]] @ design.drift.T
    return EventDraws(own, path, path + _deviation(design, draws.log_sd, seed), coefficients, expected, effect)


def pointwise_likelihood(design: Design, events: EventCells, found: EventDraws, dispersion: Floats | None) -> Floats:
    """Return the log likelihood (..., M) of the treated cells."""
    cells = events.counted
    mean = (found.expected * np.exp(found.effect))[..., cells]
    counts = np.append(design.counts, 0.0)[events.cell][cells]
    orders = special.gammaln(counts + 1)
    if dispersion is None:
        return np.asarray(counts * np.log(mean) - mean - orders)
    shape = dispersion[..., None] ** -2
    gammas = special.gammaln(counts + shape) - special.gammaln(shape) - orders
    return np.asarray(gammas + counts * np.log(mean / shape) - (counts + shape) * np.log1p(mean / shape))


def _deviation(design: Design, log_sd: Floats, seed: int) -> Floats:
    """Return how a new event would deviate from the common path (..., K), drawn from the population of events."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    total = np.zeros((*log_sd.shape[:-1], len(design.after)))
    if design.own_level:
        sd = np.exp(log_sd[..., design.at["event_level"].start])
        total += (sd * rng.standard_normal(sd.shape))[..., None] * design.after
    if design.own_drift.shape[1]:
        sd = np.exp(log_sd[..., design.at["event_drift"].start])
        shapes = rng.standard_normal((*sd.shape, design.own_drift.shape[1]))
        total += sd[..., None] * (shapes @ design.own_drift.T)
    return total
