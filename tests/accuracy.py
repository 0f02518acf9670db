"""How near this package comes to the numbers of others: recorded while the tests compare, kept in docs/accuracy.md.

A comparison counts where the expected value is a number of a reference file. Differences are relative and rounded up to a
power of ten. Run `pytest tests --accuracy` to write the table anew for the modules that ran; without the option every test
that compares checks its row.
"""

import json
import math
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REFERENCES = Path(__file__).resolve().parent / "references"
TABLE = REFERENCES.parents[1] / "docs" / "accuracy.md"
# Below this, differences are of rounding and change with the linear algebra of the machine.
FLOOR = 1e-12
# One decade of another machine's rounding.
SLACK = 10.0

# Comparisons with a looser tolerance of their own are known differences, which the test or a decision explains.
EQUAL = 1e-5

Key = tuple[str, str]

HEAD = """# Accuracy

This package beside the numbers of other packages, over all values that the tests compare: the largest relative difference, rounded up
to a power of ten and never below 1e-12. *Equal* are values that the tests hold to a tolerance of 1e-5 or less (most to 1e-9);
*known differences* are held to looser ones, with the reason in the test or in a [decision](decisions/README.md): another definition, a
program that stops early, a simulated number, the share of a weight near zero. A test fails where its row is missing or a difference exceeds it tenfold;
`pytest tests --accuracy` writes the table.

| tests | reference | package | dataset | equal values | difference | known differences | difference |
|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Row:
    """Number of values compared and their largest relative difference: equal ones, and known differences."""

    equal: int = 0
    largest: float = 0.0
    known: int = 0
    explained: float = 0.0

    @property
    def size(self) -> int:
        """Number of values."""
        return self.equal + self.known

    def plus(self, difference: float, tolerance: float) -> "Row":
        """Return the row with one more comparison."""
        if tolerance <= EQUAL:
            return replace(self, equal=self.equal + 1, largest=max(self.largest, difference))
        return replace(self, known=self.known + 1, explained=max(self.explained, difference))


class Recorder:
    """Collects relative differences by test module and reference file."""

    def __init__(self) -> None:
        self.rows: dict[Key, Row] = {}
        self.known: dict[str, frozenset[float]] = {}

    def load(self, name: str, numbers: Any) -> None:
        """Note that the running test reads a reference file."""
        self.known[name] = frozenset(_floats(numbers))

    def note(self, module: str, actual: Any, expected: Any, relative: float, absolute: float) -> None:
        """Record one comparison of arrays or numbers."""
        try:
            pairs = np.broadcast_arrays(np.asarray(actual, dtype=float), np.asarray(expected, dtype=float))
        except (TypeError, ValueError):
            return
        for found, wanted in zip(*(side.ravel().tolist() for side in pairs), strict=True):
            for name, numbers in self.known.items():
                if abs(wanted) in numbers and math.isfinite(found):
                    row, size = self.rows.get((module, name), Row()), abs(wanted)
                    self.rows[module, name] = row.plus(abs(found - wanted) / size, relative + absolute / size)

    def check(self, module: str) -> None:
        """Fail where a row of the module is missing from the table, or is exceeded."""
        table = read_table()
        for key, row in self.rows.items():
            if key[0] == module:
                assert key in table, f"docs/accuracy.md has no row for {key}. Run: pytest tests --accuracy"
                for found, said in ((row.largest, table[key].largest), (row.explained, table[key].explained)):
                    assert found <= SLACK * max(said, FLOOR), (
                        f"{key}: {found:.1e}, but docs/accuracy.md says {said:.0e}"
                    )

    @contextmanager
    def watching(self, module: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Listen to the two ways in which tests compare numbers."""
        self.known.clear()
        close, approx = np.testing.assert_allclose, pytest.approx

        def assert_allclose(actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0.0, **rest: Any) -> None:
            self.note(module, actual, desired, rtol, atol)
            close(actual, desired, rtol=rtol, atol=atol, **rest)

        def recorded(expected: Any, rel: float | None = None, abs: float | None = None, nan_ok: bool = False) -> Any:
            tolerance = (1e-6 if rel is None and abs is None else rel or 0.0, abs or 0.0)
            inner = approx(expected, rel=rel, abs=abs, nan_ok=nan_ok)
            return _Listening(inner, lambda actual: self.note(module, actual, expected, *tolerance))

        monkeypatch.setattr(np.testing, "assert_allclose", assert_allclose)
        monkeypatch.setattr(pytest, "approx", recorded)
        yield


class _Listening:
    """An approximate value that tells a listener what it was compared with."""

    __array_ufunc__ = None
    __array_priority__ = 100

    def __init__(self, inner: Any, listener: Callable[[Any], None]) -> None:
        self.inner, self.listener = inner, listener

    def __eq__(self, actual: object) -> bool:
        self.listener(actual)
        return bool(self.inner == actual)

    def __ne__(self, actual: object) -> bool:
        return not self == actual

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.inner)


def bound(difference: float) -> float:
    """Return the difference rounded up to a power of ten."""
    return float(10.0 ** math.ceil(math.log10(max(difference, FLOOR)) - 1e-9))


def read_table() -> dict[Key, Row]:
    """Return the rows of the committed table."""
    rows = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines() if TABLE.is_file() else ():
        cells = [cell.strip().replace(",", "") for cell in line.strip("|").split("|")]
        if len(cells) == 8 and cells[4].isdigit():
            numbers = [float(cell or 0) for cell in cells[4:]]
            rows[cells[0], cells[1]] = Row(int(numbers[0]), numbers[1], int(numbers[2]), numbers[3])
    return rows


def write_table(rows: dict[Key, Row]) -> None:
    """Write the table; a row stays where this run compared fewer values. Remove the file to start anew."""
    old = read_table()
    kept = {key: row for key, row in rows.items() if key not in old or row.size >= old[key].size}
    lines = [_line(key, row) for key, row in sorted((old | kept).items(), key=lambda pair: pair[0])]
    TABLE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")


def _line(key: Key, row: Row) -> str:
    numbers = read_reference(key[1])
    listed = numbers.get("packages", numbers.get("software", []))
    named = [" ".join(pair) for pair in listed.items()] if isinstance(listed, dict) else list(listed)
    package = f"{numbers['package']} {numbers.get('version', '')}".strip() if "package" in numbers else ", ".join(named)
    cells = [*key, package, str(numbers.get("dataset", "several"))]
    for count, difference in ((row.equal, row.largest), (row.known, row.explained)):
        cells += [f"{count:,}", f"{bound(difference):.0e}" if count else ""]
    return "| " + " | ".join(cells) + " |"


def read_reference(name: str) -> dict[str, Any]:
    """Return the numbers of a reference file."""
    json_file = REFERENCES / f"{name}.json"
    if json_file.is_file():
        return dict(json.loads(json_file.read_text(encoding="utf-8")))
    return tomllib.loads((REFERENCES / f"{name}.toml").read_text(encoding="utf-8"))


def _floats(numbers: Any) -> Iterator[float]:
    """Yield the sizes of all fractional numbers; whole ones are mostly labels and counts."""
    if isinstance(numbers, dict):
        numbers = list(numbers.values())
    if isinstance(numbers, list):
        for item in numbers:
            yield from _floats(item)
    elif isinstance(numbers, float) and math.isfinite(numbers) and numbers != round(numbers):
        yield abs(numbers)
