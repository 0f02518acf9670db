"""Exposures: which untreated cells lie near, or are linked to, a treated unit."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from crimepolicy.errors import DesignError, offenders
from crimepolicy.panel import Panel

__all__ = ["exposed_cells"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

_EARTH_KM = 6371.0088
_BLOCK = 256


def exposed_cells(panel: Panel, exposure: Any, rings: Sequence[float]) -> dict[str, Bools]:
    """Return for each kind of exposure the untreated cells (N, T) that have it.

    Parameters
    ----------
    panel : Panel
    exposure : "neighbours", "rings", table of pairs, matrix (N, N), or a mapping of names to tables or matrices
        A cell is exposed when a unit linked to it is treated in the same period. A table has columns unit, neighbour and, optionally,
        weight; a matrix has the exposed unit in rows.
    rings : sequence of float
        Upper bounds of the distance bands, in kilometres; a cell belongs to the band of its nearest treated unit.
    """
    if isinstance(exposure, str) and exposure == "rings":
        return _rings(panel, rings)
    if isinstance(exposure, str) and exposure == "neighbours":
        named: Mapping[str, Any] = {"neighbours": panel.neighbour_matrix()}
    else:
        named = exposure if isinstance(exposure, Mapping) else {"exposed": exposure}
    return {name: _linked(panel, name, links) for name, links in named.items()}


def _linked(panel: Panel, name: str, links: Any) -> Bools:
    matrix = _matrix(panel, name, links)
    return np.asarray((abs(matrix) @ panel.D.astype(float)) > 0) & ~panel.D


def _matrix(panel: Panel, name: str, links: Any) -> Any:
    if isinstance(links, pd.DataFrame) and {"unit", "neighbour"} <= set(links.columns):
        rows, columns = (
            panel.units.get_indexer(pd.Index(links["unit"])),
            panel.units.get_indexer(pd.Index(links["neighbour"])),
        )
        known = (rows >= 0) & (columns >= 0)
        weight = links["weight"].to_numpy(dtype=float)[known] if "weight" in links else np.ones(int(known.sum()))
        return sparse.csr_matrix((weight, (rows[known], columns[known])), shape=(panel.n_units, panel.n_units))
    if not isinstance(links, (np.ndarray, sparse.sparray, sparse.spmatrix)):
        raise DesignError(
            f"Exposure {name!r} should be a table with columns unit and neighbour, or a matrix of units by units."
        )
    matrix: sparse.csr_matrix = sparse.csr_matrix(links)  # type: ignore[arg-type]
    if matrix.shape != (panel.n_units, panel.n_units):
        raise DesignError(
            f"The matrix of exposure {name!r} has shape {matrix.shape}, but the panel has {panel.n_units} units. Give a table of pairs (unit, "
            "neighbour), which fits any subset of units."
        )
    return matrix


def _rings(panel: Panel, rings: Sequence[float]) -> dict[str, Bools]:
    if panel.coordinates is None:
        raise DesignError("Rings need coordinates. Give coordinates=(longitude, latitude) to Panel.from_frame.")
    if not len(rings) or list(rings) != sorted(set(rings)) or rings[0] <= 0:
        raise DesignError(f"rings={tuple(rings)} should be increasing distances in kilometres, such as (25, 50, 100).")
    lost = panel.units[np.isnan(panel.coordinates).any(axis=1)]
    if len(lost):
        raise DesignError(
            f"No coordinates for {offenders(lost)}. Fill them in or leave these units out with panel.drop(...)."
        )
    nearest = _nearest_treated(panel.coordinates, panel.D)
    bounds = [0.0, *rings]
    inside = {
        f"{low:g}-{high:g} km": (nearest > low) & (nearest <= high) & ~panel.D
        for low, high in zip(bounds, rings, strict=False)
    }
    # A second unit at the very place of a treated one is exposed as much as can be.
    first = next(iter(inside))
    inside[first] |= (nearest == 0) & ~panel.D
    return inside


def _nearest_treated(coordinates: Floats, D: Bools) -> Floats:
    """Return the distance (N, T) in kilometres from each unit to the nearest treated unit, infinite where nobody is treated."""
    ever = np.flatnonzero(D.any(axis=1))
    nearest = np.full(D.shape, np.inf)
    position = np.radians(coordinates)
    for start in range(0, len(position), _BLOCK):
        block = slice(start, start + _BLOCK)
        distance = _great_circle(position[block], position[ever])
        for column, unit in enumerate(ever):
            nearest[block, D[unit]] = np.minimum(nearest[block, D[unit]], distance[:, column][:, None])
    return nearest


def _great_circle(left: Floats, right: Floats) -> Floats:
    longitude, latitude = left[:, None, 0] - right[None, :, 0], left[:, None, 1] - right[None, :, 1]
    half = np.sin(latitude / 2) ** 2 + np.cos(left[:, None, 1]) * np.cos(right[None, :, 1]) * np.sin(longitude / 2) ** 2
    return np.asarray(2 * _EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1))))
