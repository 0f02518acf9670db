"""Compare recomputed numbers with the published ones, and say how many came back.

``python -m crimepolicy.report.reproduce analyses`` compares ``analyses/build/*.json`` with ``analyses/results``, writes one
line per number that differs and a last line with the count. It ends with 1 where a number differs.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crimepolicy.errors import CrimepolicyError
from crimepolicy.report.numbers import flatten, read_results, tolerance_of

__all__ = ["Comparison", "compare", "main"]

_MISSING = object()
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Comparison:
    """How many published numbers were reproduced.

    Attributes
    ----------
    total, reproduced : int
        Published numbers, and those that came back within their tolerance.
    departures : tuple of str
        One line per number that did not, or that is not published.
    tolerances : tuple of str
        The tolerances used, one phrase each.
    """

    total: int
    reproduced: int
    departures: tuple[str, ...]
    tolerances: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """True where every published number came back and nothing is new."""
        return self.total > 0 and not self.departures

    def __str__(self) -> str:
        shown = list(self.departures[:_SHOWN])
        if len(self.departures) > _SHOWN:
            shown.append(f"... and {len(self.departures) - _SHOWN:,} more")
        last = f"{self.reproduced:,} of {self.total:,} published numbers reproduced (tolerance: {'; '.join(self.tolerances)})"
        return "\n".join([*shown, last])


def compare(build: Path | str, results: Path | str) -> Comparison:
    """Compare every number of two folders of JSON files.

    Parameters
    ----------
    build : path
        Folder of the numbers just computed.
    results : path
        Folder of the published numbers, whose files also say how exactly each kind must come back.

    Returns
    -------
    Comparison
        A published number that is missing counts as not reproduced; a new number that is not published is listed.

    Raises
    ------
    DataError
        Where a file is not JSON.
    """
    published, computed = _values(results), _values(build)
    departures: list[str] = []
    tolerances: dict[str, str] = {}
    for path, (value, kinds) in published.items():
        tolerance = tolerance_of(path.partition(".")[2], value, kinds)
        tolerances[tolerance.kind] = (
            f"{tolerance.kind} {tolerance.relative:g} relative, {tolerance.absolute:g} absolute"
        )
        found, _ = computed.get(path, (_MISSING, {}))
        if found is _MISSING:
            departures.append(f"{path}: published {value!r}, not computed")
        elif not _same(found, value, tolerance.relative, tolerance.absolute):
            departures.append(f"{path}: published {value!r}, computed {found!r} ({tolerance.kind})")
    lost = len(departures)
    departures += [f"{path}: computed, but not published" for path in computed if path not in published]
    named = tuple("exact" if kind == "exact" else tolerances[kind] for kind in sorted(tolerances))
    return Comparison(len(published), len(published) - lost, tuple(departures), named)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comparison of a folder of analyses, and return 0 where every number was reproduced."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    folder = Path(given[0] if given else "analyses")
    try:
        comparison = compare(folder / "build", folder / "results")
    except CrimepolicyError as problem:
        print(problem)
        return 1
    if not comparison.total:
        print(f"There are no published numbers in {folder / 'results'}.")
        return 1
    print(comparison)
    return 0 if comparison.agrees else 1


def _values(folder: Path | str) -> dict[str, tuple[Any, dict[str, str]]]:
    values: dict[str, tuple[Any, dict[str, str]]] = {}
    for name, content in read_results(folder).items():
        kinds = content.pop("kinds", {})
        values |= {f"{name}.{path}": (value, kinds) for path, value in flatten(content)}
    return values


def _same(found: Any, value: Any, relative: float, absolute: float) -> bool:
    numbers = isinstance(value, (int, float)) and isinstance(found, (int, float)) and not isinstance(value, bool)
    if not numbers or (relative == 0 and absolute == 0):
        return type(found) is type(value) and bool(found == value)
    return bool(abs(found - value) <= absolute + relative * abs(value))


if __name__ == "__main__":
    sys.exit(main())
