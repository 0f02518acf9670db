"""What a sampled event study says: draws of every estimand, and the checks of the fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from crimepolicy.bayes.count_fit import CountFit
from crimepolicy.bayes.event_cells import EventCells
from crimepolicy.bayes.event_design import Pooling
from crimepolicy.bayes.layout import Design
from crimepolicy.bayes.predictive import predictive_checks
from crimepolicy.bayes.predictor import event_effects, untreated_at_events
from crimepolicy.diagnostics.convergence import convergence_checks
from crimepolicy.estimate import HEADLINE, Check, Estimate, panel_facts, path_term
from crimepolicy.panel import Panel

__all__ = ["EventDraws", "event_draws", "summarise_events"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_METHOD = "Bayesian event study"
_CITATION = "Gelman and Hill (2007), Data Analysis Using Regression and Multilevel/Hierarchical Models"
_FOR_PARETO = 400


@dataclass(frozen=True, slots=True)
class EventDraws:
    """Draws of the estimands; leading axes (...) as in the coordinates.

    Attributes
    ----------
    events : float array (..., E)
        Mean log effect over the treated cells of each event.
    path : float array (..., K)
        Common path; without pooling, the mean over the events that are there.
    new : float array (..., K) or None
        Path of an event not yet seen.
    expected : float array (..., E, K)
        Mean count without the event; zero where absent.
    effect : float array (..., E, K)
    """

    events: Floats
    path: Floats
    new: Floats | None
    expected: Floats
    effect: Floats


def event_draws(design: Design, events: EventCells, theta: Floats, log_sd: Floats, seed: int) -> EventDraws:
    """Return the draws of the estimands at coordinates (..., size), whose log prior scales are (..., size)."""
    effect = event_effects(design, theta)
    weight = events.counted / events.counted.sum(axis=1, keepdims=True)
    own = np.einsum("...ek,ek->...e", effect, weight)
    expected = np.exp(untreated_at_events(design, theta))
    if design.at["level"].start == design.at["level"].stop:
        share = events.present / np.maximum(events.present.sum(axis=0), 1)
        return EventDraws(own, np.einsum("...ek,ek->...k", effect, share), None, expected, effect)
    level = theta[..., design.at["level"]]
    path = level * design.after + theta[..., design.at["drift"]] @ design.drift.T
    return EventDraws(own, path, path + _deviation(design, log_sd, seed), expected, effect)


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


def summarise_events(
    panel: Panel,
    events: EventCells,
    design: Design,
    fit: CountFit,
    *,
    pooling: Pooling,
    moderators: Sequence[str],
    seed: int,
) -> Estimate:
    """Return the estimate of a sampled event study."""
    log_sd = np.apply_along_axis(fit.scales.log_sd, -1, fit.h)
    found = event_draws(design, events, fit.theta, log_sd, seed)
    terms = _terms(events, design, found, fit, moderators)
    checks = (*panel.checks, *events.checks, *_checks(events, design, found, fit, terms))
    totals = _totals(design, events, found)
    flat = {name: values.reshape(-1) for name, values in terms.items()}
    estimate = _packed("average effect of the events on the log rate of the treated", flat, panel, checks, "log")
    path = _path(flat, [path_term("event_time", k) for k in events.times], events.times.tolist(), "event_time")
    companions = _companions(events, flat, {name: v.reshape(-1) for name, v in totals.items()}, panel, checks)
    return estimate.replace(path=path.assign(n_events=events.present.sum(axis=0)), companions=companions)


def _terms(
    events: EventCells, design: Design, found: EventDraws, fit: CountFit, moderators: Sequence[str]
) -> dict[str, Floats]:
    terms = {HEADLINE: found.events.mean(axis=-1)}
    terms |= {path_term("event_time", k): found.path[..., i] for i, k in enumerate(events.times)}
    terms |= {path_term("event", name): found.events[..., i] for i, name in enumerate(events.ids)}
    if found.new is not None:
        terms["new_event"] = found.new[..., events.times >= 0].mean(axis=-1)
        terms |= {path_term("new_event", k): found.new[..., i] for i, k in enumerate(events.times)}
    position = design.at["moderators"].start
    terms |= {path_term("moderator", name): fit.theta[..., position + i] for i, name in enumerate(moderators)}
    return terms | {path_term("scale", name): values for name, values in fit.named_scales().items()}


def _totals(design: Design, events: EventCells, found: EventDraws) -> dict[str, Floats]:
    counts = np.append(design.counts, 0.0)[events.cell]
    expected = np.einsum("...ek,ek->...", found.expected, events.counted.astype(float))
    observed = float(counts[events.counted].sum())
    return {"excess": observed - expected, "pooled": np.log(max(observed, 0.5)) - np.log(expected)}


def _checks(
    events: EventCells, design: Design, found: EventDraws, fit: CountFit, terms: dict[str, Floats]
) -> tuple[Check, ...]:
    # Draws of a new event are independent noise around the path and would flatter the sampler.
    reported = {name: values for name, values in terms.items() if not name.startswith("new_event")}
    checks: tuple[Check, ...] = ()
    if fit.theta.shape[0] > 1:
        checks = convergence_checks(
            reported,
            nuisance={"coordinates": fit.theta},
            statistics=fit.posterior.statistics,
            log_likelihood=_pointwise(events, design, found, fit),
        )
    else:
        checks = (Check("rhat", False, None, "one chain cannot be compared with another; use chains=2 or more."),)
    return (*checks, *predictive_checks(design, fit.theta, fit.dispersion))


def _pointwise(events: EventCells, design: Design, found: EventDraws, fit: CountFit) -> Floats:
    """Return the log likelihood (n_chains, n_draws, M) of the treated cells, on a thinned sample."""
    step = max(1, found.events.shape[0] * found.events.shape[1] // _FOR_PARETO)
    cells = events.counted
    mean = (found.expected[:, ::step] * np.exp(found.effect[:, ::step]))[..., cells]
    counts = np.append(design.counts, 0.0)[events.cell][cells]
    if fit.dispersion is None:
        return np.asarray(counts * np.log(mean) - mean)
    shape = fit.dispersion[:, ::step, None] ** -2
    gammas = special.gammaln(counts + shape) - special.gammaln(shape)
    return np.asarray(gammas + counts * np.log(mean / shape) - (counts + shape) * np.log1p(mean / shape))


def _companions(
    events: EventCells, flat: dict[str, Floats], totals: dict[str, Floats], panel: Panel, checks: tuple[Check, ...]
) -> dict[str, Estimate]:
    words = {
        "excess": ("events added (positive) or averted over the treated cells in the window", "level"),
        "pooled": ("log ratio of all events observed to all expected in the treated cells in the window", "log"),
    }
    made = {
        name: _packed(words[name][0], {HEADLINE: values}, panel, checks, words[name][1])
        for name, values in totals.items()
    }
    each = [path_term("event", name) for name in events.ids]
    made["events"] = _packed(
        "average effect of the events on the log rate of the treated",
        {HEADLINE: flat[HEADLINE]} | {term: flat[term] for term in each},
        panel,
        checks,
        "log",
    ).replace(path=_path(flat, each, events.ids, "event"))
    if "new_event" in flat:
        over = [path_term("new_event", k) for k in events.times]
        renamed = {path_term("event_time", k): flat[term] for k, term in zip(events.times, over, strict=True)}
        made["new_event"] = _packed(
            "effect of an event not yet seen on the log rate of its unit",
            {HEADLINE: flat["new_event"]} | renamed,
            panel,
            checks,
            "log",
        ).replace(path=_path(flat, over, events.times.tolist(), "event_time"))
    return made


def _packed(words: str, draws: dict[str, Floats], panel: Panel, checks: tuple[Check, ...], scale: str) -> Estimate:
    frame = pd.DataFrame(draws)
    return Estimate(
        estimand=words,
        value=float(frame[HEADLINE].mean()),
        std_error=float(frame[HEADLINE].std()),
        method=_METHOD,
        citation=_CITATION,
        scale=scale,  # type: ignore[arg-type]
        correction="posterior",
        draws=frame,
        checks=checks,
        panel=panel,
        **panel_facts(panel),
    )


def _path(flat: dict[str, Floats], terms: Sequence[str], labels: Sequence[Any], kind: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"estimate": [flat[t].mean() for t in terms], "std_error": [flat[t].std(ddof=1) for t in terms]},
        index=pd.Index(list(labels), name=kind),
    )
