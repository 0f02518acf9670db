"""Everything of a fitted event study as ArviZ takes it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crimepolicy.bayes.count_draws import CountDraws, prior_draws
from crimepolicy.bayes.count_fit import CountFit
from crimepolicy.bayes.data_tree import data_tree
from crimepolicy.bayes.event_cells import EventCells
from crimepolicy.bayes.event_draws import EventDraws, event_draws
from crimepolicy.bayes.layout import Design
from crimepolicy.bayes.predictive import replicates
from crimepolicy.estimate import HEADLINE
from crimepolicy.panel import Panel

__all__ = ["event_tree"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_PRIOR_DRAWS = 1000
_PATH_DRAWS = 200
_DIMS = {
    "path": ["event_time"],
    "new_path": ["event_time"],
    "event_effect": ["event"],
    "coefficient": ["moderator"],
    "scale": ["scale_name"],
    "counts": ["unit", "period"],
    "treated_cells": ["cell"],
    "effect": ["event", "event_time"],
}


def event_tree(
    panel: Panel,
    events: EventCells,
    design: Design,
    fit: CountFit,
    found: EventDraws,
    pointwise: Floats,
    replicas: Floats,
    *,
    moderators: Sequence[str],
    seed: int,
) -> Any:
    """Return a DataTree with posterior, prior, their counts, the counts seen, log likelihood and log prior.

    The group ``event_paths`` has a few hundred draws of every event's own path, NaN where its cell is not in use.

    Parameters
    ----------
    found : EventDraws
        Of the fit.
    pointwise : float array (n_chains, n_draws, M)
        Log likelihood of the treated cells.
    replicas : float array (n, N, T)
        Counts from the posterior.
    """
    prior = prior_draws(design, _PRIOR_DRAWS, np.random.default_rng(np.random.SeedSequence([seed, 3])))
    prior_counts = replicates(design, prior, n=len(replicas), seed=seed + 1)
    beforehand = _variables(events, event_draws(design, events, prior, seed), prior, moderators)
    groups: dict[str, Mapping[str, Floats]] = {
        "posterior": _variables(events, found, fit.draws, moderators),
        "log_likelihood": {"all_cells": fit.log_likelihood, "treated_cells": pointwise.astype(np.float32)},
        "log_prior": fit.draws.log_prior(),
        "posterior_predictive": {"counts": replicas[None].astype(np.float32)},
        "prior": {name: values[None] for name, values in beforehand.items()},
        "prior_predictive": {"counts": prior_counts[None].astype(np.float32)},
        "event_paths": {"effect": _thinned_paths(events, found)},
        "observed_data": {"counts": np.where(design.used, design.counts, np.nan)},
    }
    coords = {
        "event_time": events.times,
        "event": list(events.ids),
        "moderator": list(moderators),
        "scale_name": list(fit.draws.scales.names),
        "unit": [str(unit) for unit in panel.units],
        "period": [str(period) for period in panel.periods],
    }
    return data_tree(groups, dims=_DIMS, coords=coords, sample_stats=fit.posterior.sample_stats)


def _thinned_paths(events: EventCells, found: EventDraws) -> Floats:
    flat = found.effect.reshape(-1, *found.effect.shape[-2:])
    picked = flat[:: max(1, len(flat) // _PATH_DRAWS)]
    return np.where(events.present, picked, np.nan)[None].astype(np.float32)


def _variables(
    events: EventCells, found: EventDraws, draws: CountDraws, moderators: Sequence[str]
) -> dict[str, Floats]:
    variables = {HEADLINE: found.average, "path": found.path, "event_effect": found.events}
    if found.new is not None:
        variables |= {"new_event": found.new[..., events.times >= 0].mean(axis=-1), "new_path": found.new}
    if moderators:
        variables["coefficient"] = found.coefficients
    return variables | {"scale": np.stack(list(draws.named_scales().values()), axis=-1)}
