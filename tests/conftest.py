"""Shared fixtures: reference numbers, reference data, and the switch that forbids skips."""

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.accuracy import REFERENCES, Recorder, read_reference, write_table

ROOT = Path(__file__).resolve().parents[1]
NO_MIRROR = "no local mirror"
OPTIONAL = [
    "arviz_stats",
    "daqp",
    "great_tables",
    "hatchling",
    "jinja2",
    "joblib",
    "linearmodels",
    "matplotlib",
    "numba",
    "nutpie",
    "playwright",
    "pooch",
    "pyarrow",
    "pymc",
    "pytask",
    "statsmodels",
]


def requires_all() -> bool:
    """Whether a missing optional package, tool or mirror is a failure (set in continuous integration)."""
    return os.environ.get("CRIMEPOLICY_REQUIRE_ALL") == "1"


# The same examples on every run of continuous integration, new ones on every run of a person.
settings.register_profile("fixed", derandomize=True, deadline=None)
if requires_all():
    settings.load_profile("fixed")


def mirror() -> Path:
    """Folder of the local mirror with raw figures and reference data; it may not exist."""
    return Path(os.environ.get("CRIMEPOLICY_MIRROR", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def reference_data() -> Callable[[str], Path]:
    """Return a function: name of a reference dataset -> its CSV in the local mirror, or a skip with the reason."""

    def path(name: str) -> Path:
        folder = mirror() / "references" / "data"
        if not mirror().is_dir():
            pytest.skip(f"{NO_MIRROR} at {mirror()}; set CRIMEPOLICY_MIRROR to read {name!r} from elsewhere")
        found = [folder / f"{name}{ending}" for ending in (".csv.gz", ".csv") if (folder / f"{name}{ending}").is_file()]
        if not found:
            pytest.skip(f"reference dataset {name!r} is not in {folder}")
        return found[0]

    return path


RECORDER = Recorder()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer to write the table of accuracy."""
    parser.addoption("--accuracy", action="store_true", help="write docs/accuracy.md from the comparisons of this run")


@pytest.fixture(autouse=True)
def compared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Hold the row of docs/accuracy.md against what a test with reference numbers finds."""
    if "reference" not in request.fixturenames:
        yield
        return
    module = request.path.stem.removeprefix("test_")
    with RECORDER.watching(module, monkeypatch):
        yield
    if not request.config.getoption("--accuracy"):
        RECORDER.check(module)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the table of accuracy where that was asked for."""
    if session.config.getoption("--accuracy"):
        write_table(RECORDER.rows)


@pytest.fixture(scope="session")
def reference() -> Callable[[str], dict[str, Any]]:
    """Return a function: name -> reference numbers committed as tests/references/<name>.json or .toml."""

    def numbers(name: str) -> dict[str, Any]:
        if not list(REFERENCES.glob(f"{name}.*")):
            known = sorted(file.stem for file in REFERENCES.glob("*.*"))
            raise FileNotFoundError(f"No reference numbers {name!r} in {REFERENCES}. Known: {known}")
        found = read_reference(name)
        RECORDER.load(name, found)
        return found

    return numbers


def _optional_missing(raised: BaseException | None) -> str | None:
    """Name the optional package whose absence stopped a test, if that is what did."""
    while raised is not None:
        if isinstance(raised, ModuleNotFoundError) and (raised.name or "").split(".")[0] in OPTIONAL:
            return f"{raised.name} is not installed"
        raised = raised.__cause__
    return None


def _judge_skip(report: pytest.CollectReport | pytest.TestReport, call: pytest.CallInfo[Any] | None) -> None:
    """Skip where an optional package is missing, and forbid skips where everything must be there."""
    missing = _optional_missing(call.excinfo.value) if call is not None and call.excinfo is not None else None
    if missing is not None:
        report.outcome, report.longrepr = "skipped", (__file__, 0, f"Skipped: {missing}")
    reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    # No mirror at all is a fair reason: whoever has none cannot have its data.
    if report.skipped and not hasattr(report, "wasxfail") and requires_all() and NO_MIRROR not in reason:
        report.outcome, report.longrepr = "failed", f"CRIMEPOLICY_REQUIRE_ALL=1 forbids this skip: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge the skips of single tests."""
    report = yield
    _judge_skip(report, call)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Judge the skips of whole modules."""
    report = yield
    _judge_skip(report, getattr(report, "call", None))
    return report
