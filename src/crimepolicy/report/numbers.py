"""Published numbers: one way to write them, to read them, and to say how exactly they must come back."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from crimepolicy.errors import DataError

__all__ = ["Tolerance", "flatten", "read_numbers", "read_results", "tolerance_of", "write_numbers"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How near a recomputed number must come: ``|a - b| <= absolute + relative * |b|``.

    Attributes
    ----------
    kind, why : str
        Name of the kind of number, and the reason for its tolerance.
    relative, absolute : float
        Both zero for numbers that must be the same.
    """

    kind: str
    relative: float
    absolute: float
    why: str


EXACT = Tolerance("exact", 0.0, 0.0, "counts, names and dates do not depend on the machine")
ESTIMATE = Tolerance(
    "estimate", 1e-6, 1e-9, "iterations stop at 1e-10 or better, and sums run in another order on another processor"
)
SIMULATED = Tolerance(
    "simulated",
    0.0,
    2e-3,
    "seeded, but one draw in a thousand may fall on the other side of a tie on another processor",
)
BAND = Tolerance(
    "band", 3e-2, 3e-2, "critical values of seeded normal draws, turned by eigenvectors whose signs are free"
)
_KINDS = {tolerance.kind: tolerance for tolerance in (EXACT, ESTIMATE, SIMULATED, BAND)}


def write_numbers(path: Path | str, numbers: Mapping[str, Any], *, kinds: Mapping[str, str] | None = None) -> None:
    """Write published numbers as JSON that is the same, byte for byte, whenever the numbers are.

    Parameters
    ----------
    path : path
        File to write; its folder is made.
    numbers : mapping
        Nested values: numbers, text, lists, None. Numpy scalars become plain; NaN and infinities become None.
    kinds : mapping of pattern to {"exact", "estimate", "simulated", "band"}, optional
        Kind of the numbers whose dotted path matches the pattern (``"*.p_dates"``), where it is not the default: exact for
        whole numbers and text, estimate for other numbers.

    Raises
    ------
    DataError
        Where a value is none of these, or a kind is unknown.
    """
    kinds = dict(kinds or {})
    strange = [kind for kind in kinds.values() if kind not in _KINDS]
    if strange:
        raise DataError(f"There is no kind of number {strange[0]!r}. Use one of: {', '.join(_KINDS)}.")
    plain = _plain(numbers, "")
    content = {**plain, "kinds": kinds} if kinds else plain
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    # A process killed in the middle, or a full disk, leaves the old numbers or none, never a part of the new ones.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_text(text + "\n", encoding="utf-8", newline="\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_numbers(path: Path | str) -> dict[str, Any]:
    """Return the published numbers of one file.

    Raises
    ------
    DataError
        Where the file is missing or not JSON.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"There are no numbers at {path}. Run the analyses first.") from None
    except ValueError as problem:
        raise DataError(f"{path} is not valid JSON: {problem}. Remove it and run the analyses again.") from problem
    if not isinstance(content, dict):
        raise DataError(f"{path} should hold a mapping of names to numbers.")
    return content


def read_results(folder: Path | str) -> dict[str, dict[str, Any]]:
    """Return the published numbers of a folder by name of file, in alphabetical order."""
    return {path.stem: read_numbers(path) for path in sorted(Path(folder).glob("*.json"))}


def flatten(numbers: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of nested numbers with its dotted path."""
    if isinstance(numbers, Mapping):
        for key, value in numbers.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(numbers, list):
        for position, value in enumerate(numbers):
            yield from flatten(value, f"{prefix}.{position}")
    else:
        yield prefix, numbers


def tolerance_of(path: str, value: Any, kinds: Mapping[str, str]) -> Tolerance:
    """Return the tolerance of the number at a dotted path: the last pattern that matches decides."""
    matching = [kind for pattern, kind in kinds.items() if fnmatchcase(path, pattern)]
    if matching:
        return _KINDS[matching[-1]]
    return ESTIMATE if isinstance(value, float) else EXACT


def _plain(value: Any, where: str) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item, f"{where}.{i}") for i, item in enumerate(value)]
    if isinstance(value, (np.generic,)):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, bool, int)):
        return value
    raise DataError(
        f"Cannot publish {where.lstrip('.')}: a value of type {type(value).__name__}. Give numbers, text, lists or mappings."
    )
