"""Inference with a few treated places that lie near each other, so that their noise does not average out."""

from typing import Any, Literal

import numpy as np

from crimepolicy.errors import InferenceError, choose, of_kind, offenders
from crimepolicy.estimate import Check, Estimate
from crimepolicy.inference.control_noise import ControlNoise, borrowed, control_noise
from crimepolicy.inference.influence import panel_of
from crimepolicy.panel import Panel

__all__ = ["Sharing", "alvarez_ferman"]

Array = np.ndarray[Any, Any]
Sharing = Literal["unknown", "distance"]

_EARTH = 6371.0
"""Radius in kilometres."""


def alvarez_ferman(estimate: Estimate, *, sharing: Sharing = "unknown") -> Estimate:
    """Return the estimate with noise borrowed from untreated places, which treated places may share.

    The estimand is the coefficient of the treatment in a two-way regression. `conley_taber` draws the noise of each treated
    place by itself, which is too small where treated places are neighbours that share shocks.

    Parameters
    ----------
    estimate : Estimate
        From a least-squares regression with unit and period effects on a balanced panel; see `regression`.
    sharing : {"unknown", "distance"}
        ``"unknown"``: nothing is known of who shares shocks, and one untreated place lends its residuals to all treated ones:
        the largest variance that any correlation can give. ``"distance"``: each treated place is put on each untreated
        one in turn, and the others on the untreated places at the most similar distances from it, so that the residuals of a group
        have the correlation that distance gives; needs coordinates.

    Returns
    -------
    Estimate
        With `null` and `null_p`; `interval` comes from its quantiles, and there is no standard error. The check ``shared_noise``
        sets the standard deviation beside that of independent noise.

    Raises
    ------
    InferenceError
        Where the estimate is no such regression, or coordinates are missing.

    Assumptions
    -----------
    Many untreated places, weakly dependent; errors of all places have one distribution. ``"unknown"``: their sum is spread most
    where they are equal, as with normal errors. ``"distance"``: correlation depends on distance alone.

    References
    ----------
    Alvarez and Ferman (2023), Inference in difference-in-differences with few treated units and spatial correlation,
    arXiv:2006.16997.

    Examples
    --------
    >>> import pandas as pd
    >>> import crimepolicy as cp
    >>> rows = pd.DataFrame({"city": np.repeat(range(30), 6), "year": list(range(6)) * 30})
    >>> rows["deaths"] = np.random.default_rng(1).normal(20, 1, 180)
    >>> rows["truce"] = ((rows.city < 2) & (rows.year > 2)).astype(int)
    >>> panel = cp.Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
    >>> alvarez_ferman(cp.two_way_fixed_effects(panel)).correction
    'Alvarez-Ferman, sharing unknown (28 untreated and 2 treated units, 28 groups)'
    """
    of_kind("estimate", estimate, Estimate)
    choose("sharing", sharing, Sharing)
    table = control_noise(estimate)
    members = (
        np.repeat(np.arange(len(table.noise))[:, None], table.noise.shape[1], axis=1)
        if sharing == "unknown"
        else _like_groups(panel_of(estimate), table)
    )
    total = table.noise[members, np.arange(table.noise.shape[1])].sum(axis=1)
    n, m = table.noise.shape
    how = f"Alvarez-Ferman, sharing {sharing} ({n:,} untreated and {m:,} treated unit{'s' * (m > 1)}, {len(total):,} groups)"
    alone = float(np.sqrt((table.noise**2).mean(axis=0).sum()))
    shared = float(np.sqrt((total**2).mean()))
    text = f"The noise of the estimate has a standard deviation of {shared:.4g} with shared shocks, beside {alone:.4g} if treated places were independent."
    changed = borrowed(estimate, total, how)
    return changed.replace(checks=(*changed.checks, Check("shared_noise", None, shared / alone, text)))


def _like_groups(panel: Panel, table: ControlNoise) -> Array:
    """Return groups (n_controls * n_treated, n_treated) of untreated places that lie to each other as the treated ones do."""
    place = _coordinates(panel)
    among = _kilometres(place[table.treated], place[table.treated])
    apart = _kilometres(place[table.controls], place[table.controls])
    return np.array([_group(among[j], row, i, j) for j in range(len(among)) for i, row in enumerate(apart)])


def _group(wanted: Array, distance: Array, anchor: int, role: int) -> Array:
    """Put treated place `role` on the anchor, and the others, the nearest first, on free places at like distances."""
    group = np.full(len(wanted), anchor)
    free = np.ones(len(distance), dtype=bool)
    free[anchor] = False
    for other in np.argsort(wanted, kind="stable"):
        if other != role:
            # Rounded to metres, so that ties fall the same way everywhere.
            miss = np.round(np.abs(distance - wanted[other]), 3)
            group[other] = np.argmin(np.where(free, miss, np.inf))
            free[group[other]] = False
    return group


def _coordinates(panel: Panel) -> Array:
    if panel.coordinates is None:
        raise InferenceError(
            "sharing='distance' needs coordinates. Give coordinates= to Panel.from_frame, or use sharing='unknown'."
        )
    missing = np.isnan(panel.coordinates).any(axis=1)
    if missing.any():
        raise InferenceError(f"Coordinates are missing for {offenders(panel.units[missing])}. Use sharing='unknown'.")
    return panel.coordinates


def _kilometres(a: Array, b: Array) -> Array:
    longitude, latitude = np.radians(a.T)[:, :, None] - np.radians(b.T)[:, None, :]
    product = np.outer(np.cos(np.radians(a[:, 1])), np.cos(np.radians(b[:, 1])))
    half = np.sin(latitude / 2) ** 2 + product * np.sin(longitude / 2) ** 2
    return np.asarray(2 * _EARTH * np.arcsin(np.sqrt(np.clip(half, 0, 1))))
