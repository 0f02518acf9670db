"""The wheel holds what it promises, needs only the core, and ships nothing that it may not."""

import hashlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
RAW, PROCESSED = ROOT / "data" / "raw", ROOT / "data" / "processed"
HEAVY = [
    "arviz", "dask", "distributed", "great_tables", "jinja2", "joblib", "linearmodels", "matplotlib", "nutpie", "numba",
    "polars", "pooch", "pyarrow", "pymc", "requests", "statsmodels", "typer",
]  # fmt: skip


def sources() -> dict[str, dict[str, Any]]:
    return {file.parent.name: tomllib.loads(file.read_text("utf-8")) for file in sorted(RAW.glob("*/source.toml"))}


def run(python: Path | str, code: str, folder: Path) -> str:
    # Away from the checkout and its variables, so that only what is installed can be imported.
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV"))}
    done = subprocess.run([python, "-c", code], cwd=folder, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def requirements(name: str) -> set[str]:
    """Names of the installed distributions that one distribution needs, itself included, extras left out."""
    found, waiting = set(), {name}
    while waiting:
        found |= waiting
        asked = {
            line for known in waiting for line in importlib.metadata.requires(known) or () if "extra ==" not in line
        }
        names = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in asked}
        installed = {other for other in names if list(importlib.metadata.distributions(name=other))}
        waiting = installed - found
    return found


def borrow(name: str, site: Path) -> None:
    """Link the top-level packages of an installed distribution into another environment."""
    files = [file for file in importlib.metadata.files(name) or () if ".." not in file.parts]
    for top in sorted({file.parts[0] for file in files} - {"__pycache__"}):
        root = Path(str(files[0].locate())).parents[len(files[0].parts) - 1]
        (site / top).symlink_to(root / top)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel and its core requirements, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    site = Path(run(python, "import sysconfig; print(sysconfig.get_path('purelib'))", folder))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for name in sorted(requirements("crimepolicy") - {"crimepolicy"}):
        borrow(name, site)
    return python


def test_wheel_holds_the_tables_the_types_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tables = {f"crimepolicy/data/processed/{file.name}" for file in PROCESSED.iterdir() if file.is_file()}
    assert tables <= names
    assert "crimepolicy/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_holds_nothing_but_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        first = {name.split("/")[0] for name in archive.namelist()}
    assert {name for name in first if not name.endswith(".dist-info")} == {"crimepolicy"}


def test_empty_environment_loads_a_panel(installed: Path, tmp_path: Path) -> None:
    code = "import crimepolicy as cp; print(cp.load_panel('mexico_municipality_month'))"
    assert run(installed, code, tmp_path).startswith("Panel mexico_municipality_month")


def test_empty_environment_knows_the_verdicts(installed: Path, tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['crimepolicy', 'verdict', 'K01a']; from crimepolicy.cli import main; main()"
    assert "Overturned by:" in run(installed, code, tmp_path)


def test_empty_environment_has_no_optional_package(installed: Path, tmp_path: Path) -> None:
    code = (
        "import importlib.util as u; print([n for n in ('pyarrow', 'matplotlib', 'pymc', 'numba') if u.find_spec(n)])"
    )
    assert run(installed, code, tmp_path) == "[]"


def test_import_loads_no_heavy_library(tmp_path: Path) -> None:
    # pandas itself loads pyarrow where it finds it; what counts is what we add.
    code = (
        "import sys, narwhals, numpy, pandas, scipy.sparse, scipy.stats; before = set(sys.modules); import crimepolicy;"
        f"print([name for name in {HEAVY} if name in set(sys.modules) - before])"
    )
    assert run(sys.executable, code, tmp_path) == "[]"


def test_every_raw_file_is_in_the_record_of_its_source() -> None:
    recorded = {RAW / name / file["path"] for name, source in sources().items() for file in source.get("file", ())}
    present = {file for file in RAW.rglob("*") if file.is_file() and file.name != "source.toml"}
    ignored = {file for file in present if "downloads" in file.parts}
    assert sorted(present - ignored - recorded) == []


def test_provided_files_are_there_with_the_recorded_bytes() -> None:
    for name, source in sources().items():
        for file in source.get("file", ()):
            if file.get("provided"):
                content = (RAW / name / file["path"]).read_bytes()
                assert hashlib.sha256(content).hexdigest() == file["sha256"], f"{name}/{file['path']}"


def test_sources_that_forbid_redistribution_ship_no_file() -> None:
    closed = {name: source for name, source in sources().items() if not source["licence"]["redistribute"]}
    provided = [name for name, source in closed.items() if any(f.get("provided") for f in source.get("file", ()))]
    assert provided == []
    for file in sorted(PROCESSED.glob("*.toml")):
        if file.with_suffix(".parquet").is_file():
            assert not set(tomllib.loads(file.read_text("utf-8"))["sources"]) & set(closed), file.name


def test_every_table_has_a_dictionary_with_known_sources() -> None:
    known = set(sources())
    for table in sorted(PROCESSED.glob("*.parquet")):
        used = set(tomllib.loads(table.with_suffix(".toml").read_text("utf-8"))["sources"])
        assert used, table.name
        assert used <= known, table.name
