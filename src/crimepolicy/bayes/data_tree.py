"""Arrays of a fit as a DataTree, the form in which ArviZ takes a posterior."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["data_tree"]


def data_tree(
    groups: Mapping[str, Mapping[str, np.ndarray[Any, Any]]],
    *,
    dims: Mapping[str, Sequence[str]],
    coords: Mapping[str, Any],
    sample_stats: Any,
) -> Any:
    """Return a DataTree.

    Parameters
    ----------
    groups : mapping of group to mapping of variable to array
        Arrays (n_chains, n_draws, ...), but ``observed_data`` and ``constant_data`` without chains and draws.
    dims : mapping of variable to names of its further axes
    coords : mapping of axis to labels
    sample_stats : xarray.Dataset or None
        From the sampler.
    """
    from arviz_base import from_dict

    filled = {group: {k: np.asarray(v) for k, v in variables.items() if v.size} for group, variables in groups.items()}
    tree = from_dict(filled, dims=dict(dims), coords=dict(coords))
    if sample_stats is not None:
        tree["sample_stats"] = sample_stats
    return tree
