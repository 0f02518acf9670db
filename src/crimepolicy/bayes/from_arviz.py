"""An estimate from a posterior that somebody else sampled, in ArviZ's form."""

from typing import Any

import numpy as np
import pandas as pd

from crimepolicy.diagnostics.convergence import convergence_checks
from crimepolicy.errors import DesignError
from crimepolicy.estimate import HEADLINE, Estimate, Scale, path_term

__all__ = ["from_arviz"]

_STATISTICS = {"diverging": "diverging", "energy": "energy", "reached_max_treedepth": "maxdepth_reached"}


def from_arviz(
    inference_data: Any,
    variable: str,
    *,
    estimand: str,
    path: str | None = None,
    scale: Scale = "level",
    method: str = "Bayesian model",
    citation: str = "",
) -> Estimate:
    """Return the estimate that a posterior sampled elsewhere amounts to, with its checks.

    The estimand is what `variable` stands for in the model that was sampled.

    Parameters
    ----------
    inference_data : DataTree
        With a group ``posterior`` of chains and draws, and ``sample_stats`` if there are any, as PyMC, nutpie and ArviZ give them.
    variable : str
        A scalar of the posterior: the headline.
    estimand : str
        In words.
    path : str, optional
        A variable with one further axis, such as an effect by event time; its name becomes that of the index.
    scale : {"level", "log"}
    method, citation : str

    Returns
    -------
    Estimate
        With `draws`, and the checks of convergence.

    Raises
    ------
    DesignError
        Where the tree has no such variable, or it has the wrong shape.
    InferenceError
        Where there are fewer than two chains.

    Examples
    --------
    >>> from crimepolicy.bayes.data_tree import data_tree
    >>> draws = np.random.default_rng(0).normal(-0.3, 0.1, (2, 500))
    >>> tree = data_tree({"posterior": {"effect": draws}}, dims={}, coords={}, sample_stats=None)
    >>> round(from_arviz(tree, "effect", estimand="effect of the truce", scale="log").value, 1)
    -0.3
    """
    terms = {HEADLINE: _variable(inference_data, variable, 0)}
    frame = None
    if path is not None:
        found = _variable(inference_data, path, 1)
        kind, labels = str(found.dims[-1]), found[found.dims[-1]].values.tolist()
        columns = {path_term(kind, label): found[..., i] for i, label in enumerate(labels)}
        terms |= columns
        moments = {
            "estimate": [float(c.mean()) for c in columns.values()],
            "std_error": [float(c.std()) for c in columns.values()],
        }
        frame = pd.DataFrame(moments, index=pd.Index(labels, name=kind))
    arrays = {name: np.asarray(values.values, dtype=np.float64) for name, values in terms.items()}
    draws = pd.DataFrame({name: values.reshape(-1) for name, values in arrays.items()})
    return Estimate(
        estimand=estimand,
        value=float(draws[HEADLINE].mean()),
        std_error=float(draws[HEADLINE].std()),
        method=method,
        citation=citation,
        scale=scale,
        correction="posterior",
        path=frame,
        draws=draws,
        checks=convergence_checks(arrays, statistics=_statistics(inference_data)),
        inference_data=inference_data,
    )


def _variable(tree: Any, name: str, axes: int) -> Any:
    known = list(tree["posterior"].data_vars) if "posterior" in tree.children else []
    if name not in known:
        raise DesignError(f"The posterior has no variable {name!r}. It has: {', '.join(map(str, known)) or 'nothing'}.")
    found = tree["posterior"][name]
    if found.ndim != 2 + axes:
        raise DesignError(
            f"{name!r} has the axes {', '.join(map(str, found.dims))}, but chains, draws and {axes or 'nothing'} more are needed. Select one "
            "element, or sum over the rest."
        )
    return found.transpose("chain", "draw", ...)


def _statistics(tree: Any) -> dict[str, Any]:
    if "sample_stats" not in tree.children:
        return {}
    found = tree["sample_stats"]
    names = {name: name for name in _STATISTICS.values()} | _STATISTICS
    return {ours: found[theirs].values for theirs, ours in names.items() if theirs in found}
