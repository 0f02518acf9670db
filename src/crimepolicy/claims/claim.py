"""Claims as records: what is said, what is estimated, and which numbers would support or refute it."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from crimepolicy.claims.expression import names_in
from crimepolicy.errors import ClaimError, offenders, suggest

__all__ = ["Claim", "Criterion", "read_claims"]

Operator = Literal["<", "<=", ">", ">="]

_REPORT = ("id", "family", "section", "page", "source", "statement", "task")
_CLAIM = (
    "id",
    "title",
    "statement",
    "population",
    "estimand",
    "predicted",
    "headline",
    "supported",
    "refuted",
    "overturn",
)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One published number compared with a fixed one.

    Attributes
    ----------
    name : str
        Name used in the expressions of the claim.
    of : str
        Dotted path of the published number: file, then keys.
    operator : {"<", "<=", ">", ">="}
        The criterion holds when ``number operator than``.
    than : float
        The fixed number.
    why : str
        What it means that the criterion holds.
    """

    name: str
    of: str
    operator: Operator
    than: float
    why: str


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim that numbers can support or refute.

    Attributes
    ----------
    id, title, statement : str
        Identifier, short name, and the claim in our words.
    report : mapping
        Where the claim comes from: id, family, section, page, source, statement, task.
    population, estimand, predicted : str
        Of whom, what is estimated, and which direction the claim predicts.
    headline : str
        Dotted path of the published node with value, low, high, detectable and scale.
    criteria : tuple of Criterion
        What the expressions below combine.
    identified, supported, refuted : str
        Boolean expressions of criteria with ``&``, ``|``, ``~`` and brackets. `identified` may be empty.
    overturn : str
        What would overturn the verdict.
    section, digest : str
        Section of the plan, and its digest when the criteria were written.
    """

    id: str
    title: str
    statement: str
    report: Mapping[str, str]
    population: str
    estimand: str
    predicted: str
    headline: str
    criteria: tuple[Criterion, ...]
    identified: str
    supported: str
    refuted: str
    overturn: str
    section: str
    digest: str


def read_claims(path: Path | str) -> tuple[Claim, ...]:
    """Read the claims of one file; a sentence that says two things is two claims.

    Parameters
    ----------
    path : path
        TOML with the tables ``[report]``, ``[plan]`` and one ``[[claim]]`` per part; a part that was planned later has a table
        ``plan`` of its own.

    Returns
    -------
    tuple of Claim

    Raises
    ------
    ClaimError
        Where the file is malformed, a criterion is not a comparison of a published number with a fixed one, or an expression uses
        a criterion that is not there.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise ClaimError(f"{path.name} cannot be read as TOML: {problem}.") from problem
    where = path.name
    _require(content, ("report", "plan", "claim"), where)
    _require(content["report"], _REPORT, f"{where}, [report]")
    _require(content["plan"], ("section", "digest"), f"{where}, [plan]")
    if not isinstance(content["claim"], list):
        raise ClaimError(f"{where}: every claim is a table [[claim]] of its own.")
    return tuple(_claim(table, content, where) for table in content["claim"])


def _claim(table: Any, content: Mapping[str, Any], where: str) -> Claim:
    _require(table, (*_CLAIM, "criteria"), f"{where}, a claim")
    where = f"{where}, claim {table['id']}"
    _require(table["criteria"], (), f"{where}, criteria")
    pinned = table.get("plan", content["plan"])
    _require(pinned, ("section", "digest"), f"{where}, plan")
    criteria = tuple(_criterion(name, entry, where) for name, entry in table["criteria"].items())
    claim = Claim(
        **{key: str(table[key]) for key in _CLAIM},
        report=content["report"],
        criteria=criteria,
        identified=str(table.get("identified", "")),
        section=pinned["section"],
        digest=pinned["digest"],
    )
    _check_expressions(claim, where)
    return claim


def _criterion(name: str, entry: Any, where: str) -> Criterion:
    where = f"{where}, criterion {name}"
    _require(entry, ("of", "is", "than", "why"), where)
    if entry["is"] not in get_args(Operator):
        raise ClaimError(
            f"{where}: is = {entry['is']!r} is not a comparison. Use one of: {', '.join(get_args(Operator))}."
        )
    than = entry["than"]
    if isinstance(than, bool) or not isinstance(than, (int, float)) or not math.isfinite(than):
        raise ClaimError(f"{where}: than = {than!r} should be a finite number.")
    return Criterion(name, str(entry["of"]), entry["is"], float(than), str(entry["why"]))


def _check_expressions(claim: Claim, where: str) -> None:
    known = [criterion.name for criterion in claim.criteria]
    used: list[str] = []
    for field in ("identified", "supported", "refuted"):
        expression = getattr(claim, field)
        if field == "identified" and not expression:
            continue
        names = names_in(expression)
        strange = [name for name in names if name not in known]
        if strange:
            raise ClaimError(
                f"{where}: {field} uses {strange[0]!r}, which is no criterion.{suggest(strange[0], known)}"
            )
        used += names
    idle = [name for name in known if name not in used]
    if idle:
        raise ClaimError(f"{where}: criteria that no expression uses: {offenders(idle)}. Remove them, or use them.")


def _require(table: object, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(table, Mapping):
        raise ClaimError(f"{where} should be a table of names and values, not {table!r}.")
    absent = [key for key in keys if key not in table]
    if absent:
        raise ClaimError(f"{where} lacks {', '.join(absent)}.")
