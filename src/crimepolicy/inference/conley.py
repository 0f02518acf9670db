"""Standard errors that allow dependence between places, fading with distance."""

from typing import Any, Literal

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from crimepolicy.errors import InferenceError, choose, offenders
from crimepolicy.estimate import Estimate
from crimepolicy.inference.influence import influence, panel_of, with_errors
from crimepolicy.inference.kernel import combine

__all__ = ["Kernel", "conley"]

Array = np.ndarray[Any, Any]
Kernel = Literal["bartlett", "uniform"]

_EARTH_KM = 6371.0088
"""Mean radius of the Earth (IUGG)."""


def conley(estimate: Estimate, *, km: float, kernel: Kernel = "bartlett") -> Estimate:
    """Return the estimate with standard errors that let places within a distance be dependent.

    The estimand does not change. Influence functions are sums over time, so every lag between two places counts, and every
    lag within a place: dependence over time needs no bandwidth of its own.

    Parameters
    ----------
    estimate : Estimate
        With influence functions by unit, from a panel with coordinates.
    km : float
        Great-circle distance from which places are independent.
    kernel : {"bartlett", "uniform"}
        Weight ``1 - distance / km``, or one, within that distance.

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
    Conley (1999), Journal of Econometrics 92.

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
    choose("kernel", kernel, Kernel)
    if not km > 0:
        raise InferenceError(f"km={km!r} should be a positive distance in kilometres.")
    psi, panel = influence(estimate), panel_of(estimate)
    if panel.coordinates is None:
        raise InferenceError(
            "The panel has no coordinates. Give coordinates=(longitude, latitude) to Panel.from_frame."
        )
    points = panel.coordinates[panel.units.get_indexer(psi.index)]
    unknown = np.isnan(points).any(axis=1)
    if unknown.any():
        raise InferenceError(
            f"Coordinates are missing for {offenders(psi.index[unknown])}. Fill them in, or leave these units out."
        )
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
