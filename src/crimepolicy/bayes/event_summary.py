"""What a sampled event study says: draws of every estimand, and the checks of the fit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.bayes.count_draws import CountDraws
from crimepolicy.bayes.count_fit import CountFit
from crimepolicy.bayes.event_cells import EventCells
from crimepolicy.bayes.event_draws import EventDraws, event_draws, pointwise_likelihood
from crimepolicy.bayes.event_tree import event_tree
from crimepolicy.bayes.layout import Design
from crimepolicy.bayes.predictive import predictive_checks, replicates
from crimepolicy.bayes.prior_sensitivity import prior_sensitivity_check
from crimepolicy.diagnostics.convergence import convergence_checks
from crimepolicy.estimate import HEADLINE, Check, Estimate, panel_facts, path_term
from crimepolicy.panel import Panel

__all__ = ["summarise_events"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_METHOD = "Bayesian event study"
_CITATION = "Gelman and Hill (2007), Data Analysis Using Regression and Multilevel/Hierarchical Models"
_FOR_PARETO = 400
_REPLICATES = 100


def summarise_events(
    panel: Panel, events: EventCells, design: Design, fit: CountFit, *, moderators: Sequence[str], seed: int
) -> Estimate:
    """Return the estimate of a sampled event study."""
    found = event_draws(design, events, fit.draws, seed)
    terms = _terms(events, found, fit.draws, moderators)
    replicas = replicates(design, fit.draws, n=_REPLICATES, seed=seed)
    pointwise = pointwise_likelihood(design, events, found, fit.draws.dispersion)
    fitted = (*_convergence(found, fit, terms, pointwise), *predictive_checks(design, replicas))
    tree = event_tree(panel, events, design, fit, found, pointwise, replicas, moderators=moderators, seed=seed)
    checks = (*panel.checks, *events.checks, *fitted, prior_sensitivity_check(tree))
    totals = _totals(design, events, found)
    flat = {name: values.reshape(-1) for name, values in terms.items()}
    estimate = _packed("average effect of the events on the log rate of the treated", flat, panel, checks, "log")
    path = _path(flat, [path_term("event_time", k) for k in events.times], events.times.tolist(), "event_time")
    companions = _companions(events, flat, {name: v.reshape(-1) for name, v in totals.items()}, panel, checks)
    return estimate.replace(
        path=path.assign(n_events=events.present.sum(axis=0)), companions=companions, inference_data=tree
    )


def _terms(events: EventCells, found: EventDraws, draws: CountDraws, moderators: Sequence[str]) -> dict[str, Floats]:
    terms = {HEADLINE: found.average}
    terms |= {path_term("event_time", k): found.path[..., i] for i, k in enumerate(events.times)}
    terms |= {path_term("event", name): found.events[..., i] for i, name in enumerate(events.ids)}
    if found.new is not None:
        terms["new_event"] = found.new[..., events.times >= 0].mean(axis=-1)
        terms |= {path_term("new_event", k): found.new[..., i] for i, k in enumerate(events.times)}
    terms |= {path_term("moderator", name): found.coefficients[..., i] for i, name in enumerate(moderators)}
    return terms | {path_term("scale", name): values for name, values in draws.named_scales().items()}


def _totals(design: Design, events: EventCells, found: EventDraws) -> dict[str, Floats]:
    counts = np.append(design.counts, 0.0)[events.cell]
    expected = np.einsum("...ek,ek->...", found.expected, events.counted.astype(float))
    observed = float(counts[events.counted].sum())
    return {"excess": observed - expected, "pooled": np.log(max(observed, 0.5)) - np.log(expected)}


def _convergence(found: EventDraws, fit: CountFit, terms: dict[str, Floats], pointwise: Floats) -> tuple[Check, ...]:
    if fit.draws.theta.shape[0] < 2:
        return (Check("rhat", False, None, "one chain cannot be compared with another; use chains=2 or more."),)
    # Draws of a new event are independent noise around the path and would flatter the sampler.
    reported = {name: values for name, values in terms.items() if not name.startswith("new_event")}
    step = max(1, found.average.size // _FOR_PARETO)
    return convergence_checks(
        reported,
        nuisance={"coordinates": fit.draws.theta},
        statistics=fit.posterior.statistics,
        log_likelihood=pointwise[:, ::step],
    )


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
