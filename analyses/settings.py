"""Where things are, what every task depends on, and how its numbers are written."""

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from crimepolicy.claims.plan import Plan, read_plan
from crimepolicy.report.numbers import write_numbers

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PLAN = HERE / "plan.toml"
CLAIMS = HERE / "claims"
BUILD = HERE / "build"
RESULTS = HERE / "results"
SITE = HERE / "site"
PROCESSED = ROOT / "data" / "processed"
LOCK = ROOT / "requirements.lock"
SOURCE = ROOT / "src" / "crimepolicy"

# What only shows numbers, or only judges them, must not make the numbers be computed again.
_SHOWING = ("report", "claims", "cli")


@cache
def library() -> str:
    """Return the sha256 of the files of the library that can change a number."""
    return _sha256(file for file in SOURCE.rglob("*.py") if file.relative_to(SOURCE).parts[0] not in _SHOWING)


@cache
def showing() -> str:
    """Return the sha256 of the files of the library that show or judge numbers."""
    files = (file for name in ("report", "claims") for file in (SOURCE / name).rglob("*"))
    return _sha256(file for file in files if file.suffix in {".py", ".html", ".css", ".js", ".toml"})


@cache
def code() -> str:
    """Return the sha256 of the modules of this folder."""
    return _sha256(HERE.glob("*.py"))


def _sha256(files: Iterable[Path]) -> str:
    """Return one value for many files, so that every task depends on it instead of on each of them."""
    state = hashlib.sha256()
    for file in sorted(files):
        state.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return state.hexdigest()


def tables(*names: str) -> list[Path]:
    """Return the processed tables with their dictionaries."""
    return [PROCESSED / f"{name}{ending}" for name in names for ending in (".parquet", ".toml")]


def modules(*names: str) -> list[Path]:
    """Return modules of this folder, with those that every task runs through."""
    return [HERE / f"{name}.py" for name in sorted({*names, "family", "settings"})]


@cache
def plan() -> Plan:
    """Return the analysis plan."""
    return read_plan(PLAN)


def seed_of(task: str) -> int:
    """Return the seed of one task, so that no two tasks share random numbers and their order does not matter."""
    stream = np.random.SeedSequence(plan().shared["seed"], spawn_key=(zlib.crc32(task.encode()),))
    return int(stream.generate_state(1)[0])


def publish(path: Path, section: str, numbers: Mapping[str, Any], kinds: Mapping[str, str] | None = None) -> None:
    """Write the numbers of one task, with the section of the plan that they were made under."""
    stamp = {"section": section, "digest": plan().digest(section)}
    write_numbers(path, {"task": path.stem, "plan": stamp, **numbers}, kinds=kinds)
