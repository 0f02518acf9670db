"""Outlines from GeoJSON, thinned for drawing."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

__all__ = ["tidy_codes", "tidy_outlines"]

Points = np.ndarray[Any, np.dtype[np.float64]]


def tidy_outlines(path: Path, code: str, tolerance: float) -> pl.LazyFrame:
    """Return unit, part, order, lon, lat: exterior rings, thinned by the rule of Douglas and Peucker.

    Parameters
    ----------
    path : Path
        Gzipped GeoJSON in degrees.
    code : str
        Property that holds the number of the unit.
    tolerance : float
        Largest distance in degrees between a ring and its thinned copy.
    """
    features = _features(path)
    rings = [
        (str(feature["properties"][code]), part, ring)
        for feature in features
        for part, ring in enumerate(_rings(feature["geometry"], tolerance))
    ]
    frame = pl.DataFrame(
        {
            "unit": [unit for unit, _, _ in rings],
            "part": [part for _, part, _ in rings],
            "lon": [ring[:, 0].tolist() for _, _, ring in rings],
            "lat": [ring[:, 1].tolist() for _, _, ring in rings],
        }
    )
    points = frame.with_columns(order=pl.int_ranges(pl.col("lon").list.len())).explode(["lon", "lat", "order"])
    return points.lazy()


def tidy_codes(path: Path, precinct: str, unit: str) -> pl.LazyFrame:
    """Return precinct and unit: the two code properties of every feature, as text."""
    pairs = [(str(f["properties"][precinct]), str(f["properties"][unit])) for f in _features(path)]
    return pl.LazyFrame(pairs, schema={"precinct": pl.String, "unit": pl.String}, orient="row")


def _features(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))["features"]
    return found


def _rings(geometry: dict[str, Any], tolerance: float) -> list[Points]:
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    thinned = [_thin(np.asarray(polygon[0], dtype=float), tolerance) for polygon in polygons]
    # An island smaller than the tolerance shrinks to a line and is not drawn.
    return [ring.round(4) for ring in thinned if len(ring) > 3]


def _thin(ring: Points, tolerance: float) -> Points:
    keep = np.zeros(len(ring), dtype=bool)
    keep[[0, len(ring) // 2, -1]] = True
    pending = [(0, len(ring) // 2), (len(ring) // 2, len(ring) - 1)]
    while pending:
        first, last = pending.pop()
        distance = _distances(ring[first : last + 1])
        if distance.size and distance.max() > tolerance:
            middle = first + 1 + int(distance.argmax())
            keep[middle] = True
            pending += [(first, middle), (middle, last)]
    return ring[keep]


def _distances(points: Points) -> Points:
    """Return the distance of the inner points (n - 2,) from the segment between the first and the last."""
    chord = points[-1] - points[0]
    inner = points[1:-1] - points[0]
    length = float(chord @ chord)
    along = np.clip(inner @ chord / length, 0, 1) if length else np.zeros(len(inner))
    gap: Points = np.linalg.norm(inner - along[:, None] * chord, axis=1)
    return gap
