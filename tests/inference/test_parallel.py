"""Work in chunks: order, one worker and many, and what is said where joblib is missing."""

import sys

import pytest

from crimepolicy.errors import InferenceError
from crimepolicy.inference.parallel import ordered_map


def square(k: int) -> int:
    return k * k


@pytest.mark.parametrize("count", [0, 1, 39, 40, 41, 1001])
def test_order_is_that_of_the_tasks(count: int) -> None:
    assert ordered_map(square, range(count)) == [k * k for k in range(count)]


def test_two_workers_give_the_same() -> None:
    assert ordered_map(square, range(100), n_jobs=2) == [k * k for k in range(100)]


def test_progress_is_for_terminals_only(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ordered_map(square, range(50), label="squares")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    ordered_map(square, range(50), label="squares")
    assert capsys.readouterr().err.endswith("\rsquares: 50 of 50\n")


def test_missing_joblib_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(InferenceError, match=r"crimepolicy\[fast\]"):
        ordered_map(square, range(3), n_jobs=2)
