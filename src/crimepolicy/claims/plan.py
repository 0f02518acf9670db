"""The analysis plan: sections frozen by their digest, and dated deviations from them."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crimepolicy.errors import ClaimError, suggest

__all__ = ["Plan", "read_plan"]

_SHARED = ("plan", "seen_before", "deviation")


@dataclass(frozen=True, slots=True)
class Plan:
    """A parsed plan.

    Attributes
    ----------
    shared : mapping
        The table ``[plan]``: seed, level, smallest effect of interest, date.
    seen_before : mapping
        What was known before the plan was written.
    sections : mapping of str to mapping
        One section per analysis.
    deviations : tuple of mapping
        Dated entries with section, date, what, why and the digest that they replace.
    """

    shared: Mapping[str, Any]
    seen_before: Mapping[str, Any]
    sections: Mapping[str, Mapping[str, Any]]
    deviations: tuple[Mapping[str, Any], ...]

    def section(self, name: str) -> Mapping[str, Any]:
        """Return one section, or raise and suggest the nearest name."""
        if name not in self.sections:
            raise ClaimError(f"The plan has no section {name!r}.{suggest(name, list(self.sections))}")
        return self.sections[name]

    def digest(self, name: str) -> str:
        """Return the sha256 of a section together with what all sections share."""
        content = {"plan": self.shared, "section": self.section(name)}
        text = json.dumps(content, sort_keys=True, ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def departures(self, name: str) -> tuple[Mapping[str, Any], ...]:
        """Return the dated deviations of one section."""
        return tuple(entry for entry in self.deviations if entry["section"] == name)


def read_plan(path: Path | str) -> Plan:
    r"""Read an analysis plan from a TOML file.

    Parameters
    ----------
    path : path
        The plan: a table ``[plan]``, ``[seen_before]``, one table per analysis and, after the fact, ``[[deviation]]``.

    Returns
    -------
    Plan

    Raises
    ------
    ClaimError
        Where the file is not TOML, has no ``[plan]``, or a deviation lacks its section, date, what or why.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "plan.toml"
    >>> _ = file.write_text("[plan]\nseed = 1\n[truces]\nquestion = 'Do truces hold?'\n")
    >>> read_plan(file).digest("truces")[:8]
    '908c5628'
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise ClaimError(f"{path.name} cannot be read as TOML: {problem}.") from problem
    if not isinstance(content.get("plan"), dict):
        raise ClaimError(f"{path.name} has no table [plan] with the seed and the date on which it was frozen.")
    deviations = content.get("deviation", [])
    if not (isinstance(deviations, list) and all(isinstance(entry, dict) for entry in deviations)):
        raise ClaimError(f"{path.name}: every deviation is a table [[deviation]] of its own.")
    for entry in deviations:
        absent = [key for key in ("section", "date", "what", "why", "replaces") if key not in entry]
        if absent:
            raise ClaimError(
                f"A deviation in {path.name} lacks {', '.join(absent)}. Every deviation is dated and reasoned."
            )
    sections = {name: table for name, table in content.items() if name not in _SHARED}
    return Plan(content["plan"], content.get("seen_before", {}), sections, tuple(deviations))
