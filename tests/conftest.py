"""Shared fixtures: reference numbers, reference data, and the switch that forbids skips."""

import json
import os
import tomllib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
REFERENCES = ROOT / "tests" / "references"


def requires_all() -> bool:
    """Whether a missing optional package, tool or mirror is a failure (set in continuous integration)."""
    return os.environ.get("CRIMEPOLICY_REQUIRE_ALL") == "1"


def mirror() -> Path:
    """Folder of the local mirror with raw figures and reference data; it may not exist."""
    return Path(os.environ.get("CRIMEPOLICY_MIRROR", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def reference_data() -> Callable[[str], Path]:
    """Return a function: name of a reference dataset -> its CSV in the local mirror, or a skip with the reason."""

    def path(name: str) -> Path:
        folder = mirror() / "references" / "data"
        found = [folder / f"{name}{ending}" for ending in (".csv.gz", ".csv") if (folder / f"{name}{ending}").is_file()]
        if not found:
            pytest.skip(f"reference dataset {name!r} is not in {folder}; set CRIMEPOLICY_MIRROR to the local mirror")
        return found[0]

    return path


@pytest.fixture(scope="session")
def reference() -> Callable[[str], dict[str, Any]]:
    """Return a function: name -> reference numbers committed as tests/references/<name>.json or .toml."""

    def numbers(name: str) -> dict[str, Any]:
        json_file, toml_file = REFERENCES / f"{name}.json", REFERENCES / f"{name}.toml"
        if json_file.is_file():
            return json.loads(json_file.read_text(encoding="utf-8"))
        if toml_file.is_file():
            return tomllib.loads(toml_file.read_text(encoding="utf-8"))
        known = sorted(file.stem for file in REFERENCES.glob("*.*"))
        raise FileNotFoundError(f"No reference numbers {name!r} in {REFERENCES}. Known: {known}")

    return numbers


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything must be there."""
    report = yield
    # `allowed` marks a skip that says something about the platform, not about a missing package.
    if report.skipped and not hasattr(report, "wasxfail") and requires_all() and "allowed_skip" not in item.keywords:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"CRIMEPOLICY_REQUIRE_ALL=1 forbids this skip: {reason}"
    return report
