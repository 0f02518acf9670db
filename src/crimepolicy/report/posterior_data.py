"""The numbers behind the plots of a Bayesian fit and of a synthesis: event paths, priors, predicted counts, a forest."""

from typing import Any

import numpy as np
from scipy import stats

from crimepolicy.errors import EstimationError
from crimepolicy.estimate import HEADLINE, Estimate

__all__ = ["event_paths", "forest", "posterior_predictive", "prior_against_posterior", "prior_predictive"]

Data = dict[str, Any]

_HEADLINES = (HEADLINE, "new_event", "coefficient", "scale", "step", "noise")


def event_paths(estimate: Estimate, term: str, level: float) -> Data:
    """Return the mean path of every event, the common path with its interval, and the band of the next event."""
    paths, posterior = _group(estimate, "event_paths", "events"), _group(estimate, "posterior", "events")
    if "new_path" not in posterior:
        raise EstimationError(
            f"{estimate.method} was fitted with pooling='none', so its events have nothing in common that the next one would share."
        )
    common, following = _draws(posterior["path"]), _draws(posterior["new_path"])
    ends = _ends(level)
    low, high = np.quantile(common, ends, axis=0).tolist()
    next_low, next_high = np.quantile(following, ends, axis=0).tolist()
    # An event without a cell at some time has no draw there.
    mean = np.asarray(paths["effect"].mean(dim=("chain", "draw"), skipna=False))
    return {
        "event_time": posterior["event_time"].values.tolist(),
        "events": paths["event"].values.tolist(),
        "paths": [[None if np.isnan(v) else float(v) for v in row] for row in mean],
        "estimate": common.mean(axis=0).tolist(),
        "low": low,
        "high": high,
        "next_low": next_low,
        "next_high": next_high,
    }


def prior_against_posterior(estimate: Estimate, term: str, level: float) -> Data:
    """Return intervals of every headline parameter before and after the data."""
    rows: list[tuple[str, Any, Any]] = []
    prior, posterior = (_group(estimate, group, "prior") for group in ("prior", "posterior"))
    for name in (name for name in _HEADLINES if name in posterior):
        before, after = _draws(prior[name]), _draws(posterior[name])
        if before.ndim == 1:
            rows.append((name, before, after))
        else:
            labels = posterior[posterior[name].dims[-1]].values.tolist()
            rows += [(f"{name}[{label}]", before[:, i], after[:, i]) for i, label in enumerate(labels)]
    ends = [(np.quantile(before, _ends(level)), np.quantile(after, _ends(level))) for _, before, after in rows]
    return {
        "label": [label for label, _, _ in rows],
        "estimate": [float(after.mean()) for _, _, after in rows],
        "prior_low": [float(before[0]) for before, _ in ends],
        "prior_high": [float(before[1]) for before, _ in ends],
        "low": [float(after[0]) for _, after in ends],
        "high": [float(after[1]) for _, after in ends],
    }


def prior_predictive(estimate: Estimate, term: str, level: float) -> Data:
    """Return what the prior alone would let one see in every period, and what was seen."""
    return _predictive(estimate, "prior_predictive", level)


def posterior_predictive(estimate: Estimate, term: str, level: float) -> Data:
    """Return what the fitted model would let one see in every period, and what was seen."""
    return _predictive(estimate, "posterior_predictive", level)


def forest(estimate: Estimate, term: str, level: float) -> Data:
    """Return the estimates of a synthesis, each as it was and as it is shrunk, with their mean and the effect of a new event."""
    table = estimate.weights
    if table is None or not {"label", "estimate", "std_error", "shrunken"} <= set(table):
        raise EstimationError(
            f"{estimate.method} puts no estimates together, so there is no forest to draw. Use synthesise."
        )
    reach = float(stats.norm.ppf((1 + level) / 2))
    low, high = estimate.interval(level)
    next_low, next_high = estimate.companions["prediction"].interval(level)
    return {
        "label": [str(label) for label in table["label"]],
        "estimate": table["estimate"].tolist(),
        "low": (table["estimate"] - reach * table["std_error"]).tolist(),
        "high": (table["estimate"] + reach * table["std_error"]).tolist(),
        "shrunken": table["shrunken"].tolist(),
        "mean": [estimate.value, low, high],
        "next": [next_low, next_high],
    }


def _predictive(estimate: Estimate, group: str, level: float) -> Data:
    drawn, seen = _group(estimate, group, group), _group(estimate, "observed_data", group)
    name = next(iter(seen.data_vars))
    replicas, observed = drawn[name], seen[name]
    if "unit" in observed.dims:
        # A cell that was not used is missing in what was seen and zero in what was drawn.
        replicas, observed = replicas.where(observed.notnull()).sum("unit"), observed.sum("unit")
    low, high = np.quantile(_draws(replicas), _ends(level), axis=0)
    return {
        "period": [str(label) for label in observed[observed.dims[0]].values],
        "observed": observed.values.astype(float).tolist(),
        "low": low.tolist(),
        "high": high.tolist(),
    }


def _group(estimate: Estimate, group: str, kind: str) -> Any:
    tree = estimate.inference_data
    if tree is None or group not in tree.children:
        raise EstimationError(
            f"{estimate.method} carries no {group.replace('_', ' ')}, which kind={kind!r} draws. Fit it with a Bayesian estimator."
        )
    return tree[group].to_dataset()


def _draws(variable: Any) -> np.ndarray[Any, Any]:
    values = np.asarray(variable.values, dtype=np.float64)
    return values.reshape(-1, *values.shape[2:])


def _ends(level: float) -> list[float]:
    return [(1 - level) / 2, (1 + level) / 2]
