"""Thinned outlines stay within the tolerance and keep their corners."""

import gzip
import json
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crimepolicy.data.sources.outlines import tidy_codes, tidy_outlines

TOLERANCE = 0.05
ROUNDING = 1e-4  # coordinates keep four decimals


def write(folder: Path, ring: list[list[float]]) -> Path:
    feature = {"properties": {"cisp": 7, "cisp_h": 6}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    path = folder / "map.geojson.gz"
    path.write_bytes(gzip.compress(json.dumps({"features": [feature]}).encode()))
    return path


def test_points_on_a_side_go_and_corners_stay(tmp_path: Path) -> None:
    side = np.linspace(0, 1, 11)
    ring = (
        [[x, 0.0] for x in side]
        + [[1.0, y] for y in side[1:]]
        + [[x, 1.0] for x in side[::-1][1:]]
        + [[0.0, y] for y in side[::-1][1:]]
    )
    thinned = tidy_outlines(write(tmp_path, ring), "cisp", TOLERANCE).collect()
    corners = set(zip(thinned["lon"].to_list(), thinned["lat"].to_list(), strict=True))
    assert {(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)} <= corners
    assert thinned.height == 5
    assert thinned["order"].to_list() == list(range(5))


def test_codes_are_text(tmp_path: Path) -> None:
    codes = tidy_codes(write(tmp_path, [[0, 0], [1, 0], [1, 1], [0, 0]]), "cisp", "cisp_h").collect()
    assert codes.rows() == [("7", "6")]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(0.5, 1.0), min_size=8, max_size=40))
def test_no_point_lies_far_from_the_thinned_ring(radii: list[float]) -> None:
    angle = np.linspace(0, 2 * np.pi, len(radii) + 1)
    radius = np.array([*radii, radii[0]])
    ring = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    with TemporaryDirectory() as folder:
        thinned = tidy_outlines(write(Path(folder), ring.tolist()), "cisp", TOLERANCE).collect()
    kept = thinned.select("lon", "lat").to_numpy()
    if not len(kept):  # a ring of fewer than four points is not drawn
        return
    for point in ring:
        nearest = min(_to_segment(point, a, b) for a, b in pairwise(kept))
        assert nearest <= TOLERANCE + ROUNDING


def _to_segment(point: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    span = b - a
    length = float(span @ span)
    along = 0.0 if length == 0 else float(np.clip((point - a) @ span / length, 0, 1))
    return float(np.hypot(*(point - a - along * span)))
