"""Standard errors that allow dependence between places, fading with distance."""

from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.spatial import cKDTree

from crimepolicy.errors import InferenceError, choose, of_kind, offenders
from crimepolicy.estimate import Estimate
from crimepolicy.inference.cell_clusters import from_covariance, lagged_products
from crimepolicy.inference.cell_scores import cell_scores
from crimepolicy.inference.influence import influence, panel_of, with_errors
from crimepolicy.inference.kernel import combine
from crimepolicy.panel import Panel

__all__ = ["Kernel", "conley"]

Array = np.ndarray[Any, Any]
Kernel = Literal["bartlett", "uniform"]

_EARTH_KM = 6371.0088
"""Mean radius of the Earth (IUGG)."""


def conley(estimate: Estimate, *, km: float, kernel: Kernel = "bartlett", lags: int | None = None) -> Estimate:
    """Return the estimate with standard errors that let places within a distance be dependent.

    The estimand does not change. Without `lags`, influence is summed over time, so every lag between two places counts, and
    every lag within a place: dependence over time needs no bandwidth of its own. With `lags`, places are dependent within a
    period, and a place with itself over that many periods (Bartlett weights).

    Parameters
    ----------
    estimate : Estimate
        With influence functions by unit, from a panel with coordinates.
    km : float
        Great-circle distance from which places are independent.
    kernel : {"bartlett", "uniform"}
        Weight ``1 - distance / km``, or one, within that distance.
    lags : int, optional
        Periods over which a place depends on its own past; for `two_way_fixed_effects`, which knows its influence by cell.

    Returns
    -------
    Estimate
        Its influence functions are combined across places and serve for covariances only. Where the kernel has negative
        eigenvalues their part is set to zero, and the check ``kernel_definite`` says how much that was.

    Raises
    ------
    InferenceError
        Where coordinates are missing.

    Assumptions
    -----------
    Dependence vanishes with distance, and the area is many times wider than `km`. With few treated places use
    `randomization_test`, with `MoveClusters` for neighbours.

    References
    ----------
    Conley (1999), Journal of Econometrics 92; Hsiang (2010), PNAS 107, for lags.

    Examples
    --------
    >>> import pandas as pd
    >>> from crimepolicy.panel import Panel
    >>> points = np.array([[0.0, 0.0], [0.0, 0.1], [0.0, 50.0], [0.0, 60.0]])
    >>> panel = Panel(
    ...     Y=np.zeros((4, 2)), D=np.eye(4, 2) > 0, units=pd.RangeIndex(4), periods=pd.RangeIndex(2), coordinates=points
    ... )
    >>> psi = pd.DataFrame({"att": [1.0, 1.0, 1.0, 1.0]}, index=panel.units)
    >>> effect = Estimate.from_psi(value=1.0, psi=psi, panel=panel, estimand="effect", method="test", citation="")
    >>> round(conley(effect, km=100, kernel="uniform").std_error ** 2, 6)
    6.0
    """
    of_kind("estimate", estimate, Estimate)
    choose("kernel", kernel, Kernel)
    if not km > 0:
        raise InferenceError(f"km={km!r} should be a positive distance in kilometres.")
    psi, panel = influence(estimate), panel_of(estimate)
    points = _points(panel, psi.index)
    if lags is not None:
        return _with_lags(estimate, _weights(points, km, kernel), panel.units.get_indexer(psi.index), km, kernel, lags)
    combined = combine(psi, _weights(points, km, kernel))
    return with_errors(
        estimate,
        np.sqrt((combined.psi**2).sum()),
        psi=combined.psi,
        clusters=None,
        factor=1.0,
        df=None,
        draws=None,
        correction=f"Conley ({kernel}, {km:g} km)",
        checks=(*estimate.checks, combined.check),
        companions={name: conley(other, km=km, kernel=kernel) for name, other in estimate.companions.items()},
    )


def _points(panel: Panel, units: pd.Index) -> Array:
    if panel.coordinates is None:
        raise InferenceError(
            "The panel has no coordinates. Give coordinates=(longitude, latitude) to Panel.from_frame."
        )
    points = panel.coordinates[panel.units.get_indexer(units)]
    unknown = np.isnan(points).any(axis=1)
    if unknown.any():
        raise InferenceError(
            f"Coordinates are missing for {offenders(units[unknown])}. Fill them in, or leave these units out."
        )
    return points


def _with_lags(
    estimate: Estimate, weights: sparse.csr_matrix, units: Array, km: float, kernel: Kernel, lags: int
) -> Estimate:
    """Add dependence between places within a period and dependence of a place on its past."""
    scores = cell_scores(estimate)
    row = np.zeros(int(max(units.max(), scores.unit.max())) + 1, dtype=np.intp)
    row[units] = np.arange(len(units))
    matrix = lagged_products(scores.values, scores.unit, scores.period, lags)
    for period in np.unique(scores.period):
        here = scores.period == period
        near = weights[row[scores.unit[here]]][:, row[scores.unit[here]]]
        # The products of a cell with itself are in the lagged products already.
        matrix += scores.values[here].T @ ((near - sparse.identity(int(here.sum()))) @ scores.values[here])
    name = f"Conley ({kernel}, {km:g} km, {lags} lags)"
    changed = from_covariance(estimate, scores.terms, matrix, name, None)
    companions = {
        key: _with_lags(other, weights, units, km, kernel, lags)
        for key, other in estimate.companions.items()
        if other.by_cell is not None
    }
    return changed.replace(companions=companions)


def _weights(points: Array, km: float, kernel: Kernel) -> sparse.csr_matrix:
    longitude, latitude = np.radians(points).T
    sphere = np.column_stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )
    chord = 2 * np.sin(min(km / _EARTH_KM, np.pi) / 2)
    pairs = cKDTree(sphere).query_pairs(chord, output_type="ndarray")
    straight = np.linalg.norm(sphere[pairs[:, 0]] - sphere[pairs[:, 1]], axis=1)
    distance = 2 * _EARTH_KM * np.arcsin(np.minimum(straight / 2, 1.0))
    weight = np.ones(len(pairs)) if kernel == "uniform" else 1 - distance / km
    above = sparse.csr_matrix((weight, (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    return sparse.csr_matrix(above + above.T + sparse.identity(len(points)))
