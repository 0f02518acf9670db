"""Assignment mechanisms: what they keep, what they move, and that their lists are complete."""

from collections import Counter
from collections.abc import Callable
from math import comb, factorial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crimepolicy.errors import DesignError
from crimepolicy.inference.mechanisms import MoveClusters, PermuteSchedules, RedrawDates, RedrawPlaces
from crimepolicy.panel import Panel

Panels = dict[str, Callable[..., Panel]]


def staggered(n: int = 6, t: int = 5, starts: dict[int, int] | None = None, **fields: Any) -> Panel:
    D = np.zeros((n, t), dtype=bool)
    for unit, start in ({0: 2, 1: 2, 2: 3} if starts is None else starts).items():
        D[unit, start:] = True
    units = pd.Index([f"u{i}" for i in range(n)])
    return Panel(Y=np.zeros((n, t)), D=D, units=units, periods=pd.RangeIndex(t), **fields)


def key(panel: Panel) -> bytes:
    return panel.D.tobytes()


def schedules(panel: Panel) -> Counter[bytes]:
    return Counter(row.tobytes() for row in panel.D)


MECHANISMS = {
    "places": (RedrawPlaces(), factorial(6) // (2 * factorial(3))),
    "candidates": (RedrawPlaces(candidates=("u0", "u1", "u2", "u4")), factorial(4) // 2),
    "strata": (RedrawPlaces(within={f"u{i}": i % 2 for i in range(6)}), factorial(3) * comb(3, 1)),
    "schedules": (PermuteSchedules(), factorial(6) // (2 * factorial(3))),
    "when": (PermuteSchedules(among="treated"), 3),
    "dates": (RedrawDates(), 4**3),
    "window": (RedrawDates(first=2, last=3), 2**3),
    "leader": (RedrawDates(together={**{f"u{i}": i for i in range(6)}, "u1": 0}), 4**2),
}


@pytest.mark.parametrize("name", MECHANISMS)
def test_lists_are_complete_and_without_repetition(name: str) -> None:
    mechanism: Any
    mechanism, count = MECHANISMS[name]
    panel = staggered()
    listed = Counter(key(candidate) for candidate in mechanism.enumerate(panel))
    assert mechanism.count(panel) == count == len(listed)
    assert set(listed.values()) == {1}
    assert key(panel) in listed
    rng = np.random.default_rng(1)
    drawn = Counter(key(mechanism.draw(panel, rng)) for _ in range(40 * count))
    assert set(drawn) == set(listed)
    # Every assignment is drawn equally often: a chi-squared statistic far beyond its mean would show otherwise.
    assert sum((n - 40) ** 2 / 40 for n in drawn.values()) < count + 5 * np.sqrt(2 * count)


@pytest.mark.parametrize("mechanism", [RedrawPlaces(), PermuteSchedules(), PermuteSchedules(among="treated")])
def test_schedules_are_kept_whole(mechanism: Any) -> None:
    panel = staggered(starts={0: 1, 1: 2, 2: 3})
    assert schedules(mechanism.draw(panel, np.random.default_rng(0))) == schedules(panel)


def test_strata_keep_their_own_schedules() -> None:
    panel = staggered(region=np.array(list("aaabbb")), starts={0: 1, 4: 3})
    for seed in range(20):
        drawn = RedrawPlaces(within="region").draw(panel, np.random.default_rng(seed))
        assert drawn.D[:3, 1].sum() == 1
        assert drawn.D[3:, 3].sum() == 1
        assert not drawn.D[3:, 2].any()


def test_dates_keep_places_lengths_and_group_offsets() -> None:
    D = np.zeros((4, 12), dtype=bool)
    D[0, 3:6], D[1, 5:9], D[2, 4:] = True, True, True
    panel = Panel(Y=np.zeros((4, 12)), D=D, units=pd.Index(list("abcd")), periods=pd.RangeIndex(12))
    mechanism = RedrawDates(together=dict(zip("abcd", "xxyz", strict=True)), first=2, last=8)
    for seed in range(20):
        drawn = mechanism.draw(panel, np.random.default_rng(seed)).D
        starts = drawn.argmax(axis=1)
        assert starts[1] - starts[0] == 2
        assert drawn[0].sum() == 3
        assert drawn[1].sum() == min(4, 12 - starts[1])
        assert drawn[2].sum() == 12 - starts[2]
        assert not drawn[3].any()


def test_dates_outside_the_window_are_refused() -> None:
    with pytest.raises(DesignError, match=r"u0, u1 .* starts outside the window"):
        RedrawDates(together={f"u{i}": 0 if i < 2 else i for i in range(6)}, first=3).draw(
            staggered(), np.random.default_rng(0)
        )


def test_treated_places_must_be_candidates() -> None:
    with pytest.raises(DesignError, match="not among the candidates: u2"):
        RedrawPlaces(candidates=("u0", "u1", "u5")).count(staggered())


def test_missing_labels_are_named() -> None:
    with pytest.raises(DesignError, match="no region labels"):
        RedrawPlaces(within="region").count(staggered())
    with pytest.raises(DesignError, match="No label is given for u1"):
        RedrawPlaces(within={"u0": 1}).count(staggered())


def test_blocks_move_whole() -> None:
    blocks = dict(zip([f"u{i}" for i in range(6)], "aabbbc", strict=True))
    panel = staggered(starts={0: 2, 1: 2})
    mechanism = MoveClusters(blocks)
    assert mechanism.count(panel) == 3
    listed = [np.flatnonzero(candidate.D.any(axis=1)).tolist() for candidate in mechanism.enumerate(panel)]
    assert sorted(listed) == [[0, 1], [2, 3, 4], [5]]
    assert mechanism.draw(panel, np.random.default_rng(3)).D.any(axis=1).nonzero()[0].tolist() in listed
    with pytest.raises(DesignError, match="differs within the block of u1"):
        mechanism.count(staggered(starts={0: 2}))


def test_neighbouring_places_stay_neighbours() -> None:
    ring = pd.DataFrame(
        {"unit": [f"u{i}" for i in range(12)], "neighbour": [f"u{(i + 1) % 12}" for i in range(12)], "weight": 1.0}
    )
    panel = staggered(12, starts={0: 2, 1: 2, 2: 3, 7: 4}, neighbours=ring)
    seen = set()
    for seed in range(30):
        drawn = MoveClusters().draw(panel, np.random.default_rng(seed))
        assert schedules(drawn) == schedules(panel)
        three = np.flatnonzero(drawn.D[:, 3])
        gaps = sorted(np.diff(np.r_[three, three[0] + 12]).tolist())
        assert gaps == [1, 1, 10]
        seen.add(tuple(three.tolist()))
    assert len(seen) > 6
    assert MoveClusters().count(panel) is None


def test_no_room_for_a_group_is_an_error() -> None:
    pair = pd.DataFrame({"unit": ["u0", "u2"], "neighbour": ["u1", "u3"], "weight": 1.0})
    crowded = staggered(4, starts={0: 2, 1: 2}, neighbours=pair.iloc[:0])
    assert MoveClusters().draw(crowded, np.random.default_rng(0)).D.sum() == 6
    linked = staggered(
        3,
        starts={0: 2, 1: 2, 2: 2},
        neighbours=pd.DataFrame({"unit": ["u0", "u1"], "neighbour": ["u1", "u2"], "weight": 1.0}),
    )
    assert MoveClusters().draw(linked, np.random.default_rng(0)).D.sum() == 9
