"""Every command of the project, for a machine with nothing but Python and pip.

What follows `--` goes to the tool inside:

nox -s tests -- -k panel                      one part of the test suite
nox -s analyses -- --dry-run --explain        what would run again, and why
nox -s analyses -- -k kingpins                one claim
nox -s analyses -- -k "task_figures and K01-official"   one figure alone, with what it needs
nox -s analyses -- -m smoke                   the whole line on a small synthetic panel
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.10"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = True
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests"]

ROOT = Path(__file__).resolve().parent
LOCK, PYPROJECT = ROOT / "requirements.lock", ROOT / "pyproject.toml"
BUILD, RESULTS = ROOT / "analyses" / "build", ROOT / "analyses" / "results"
PROJECT = nox.project.load_toml(PYPROJECT)
LOCKED_EXTRAS = ["analyses", "bayes", "dask"]
LOCKED_GROUPS = ["bench", "build", "docs", "lint", "test", "types"]
# Tasks and tests are what runs side by side; one thread in each also keeps sums in one order.
ONE_THREAD = {"MKL_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _starts(version: str) -> bool:
    """Whether this Python runs here: a version manager's shim may exist and refuse."""
    command = shutil.which(f"python{version}")
    return command is not None and subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0


def _interpreter() -> str | None:
    """Return the Python of the single-interpreter sessions; None is the one that runs nox."""
    if sys.version_info >= (3, 12):
        return None
    return next((version for version in ("3.13", "3.12") if _starts(version)), None)


PYTHON = _interpreter()


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def _roots(extras: list[str] | None, groups: list[str]) -> set[str]:
    """Return the direct requirements of these groups and, unless extras is None, of the library with these extras."""
    names = {_name(item) for item in nox.project.dependency_groups(PROJECT, *groups)}
    if extras is None:
        return names
    project, waiting = PROJECT["project"], list(extras)
    names |= {_name(item) for item in project["dependencies"]}
    while waiting:
        for item in project["optional-dependencies"][waiting.pop()]:
            if _name(item) == project["name"]:
                waiting += item.split("[")[1].rstrip("]").split(",")
            else:
                names.add(_name(item))
    return names


def _locked(extras: list[str] | None, groups: list[str]) -> str:
    """Return the part of the lock that these extras and groups need, hashes included.

    After each package the lock says who asked for it (`# via`): the dependency graph, read backwards.
    """
    blocks: dict[str, str] = {}
    for line in LOCK.read_text(encoding="utf-8").splitlines(keepends=True):
        if line[0].isalnum():
            current = _name(line)
        blocks[current] = blocks.get(current, "") + line
    asked_by = {name: set(re.split(r",\s*", block.rpartition("# via ")[2].strip())) for name, block in blocks.items()}
    needed: set[str] = set()
    waiting = _roots(extras, groups)
    while waiting:
        needed |= waiting
        waiting = {name for name, parents in asked_by.items() if parents & waiting} - needed
    return "".join(blocks[name] for name in sorted(needed))


def _install(session: nox.Session, extras: list[str] | None, groups: list[str], *, editable: bool = True) -> None:
    """Install the locked requirements and (unless extras is None) the library, if anything changed since last time."""
    if sys.version_info < (3, 12) and PYTHON is None:
        session.error("crimepolicy needs Python 3.12 or newer, and none was found. Run nox with one: python3.13 -m nox")
    locked = _locked(extras, groups if extras is None else [*groups, "build"])
    stamp, state = Path(session.virtualenv.location, "installed.txt"), locked + PYPROJECT.read_text(encoding="utf-8")
    if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == state):
        requirements = Path(session.create_tmp(), "requirements.txt")
        requirements.write_text(locked, encoding="utf-8")
        # Compiling a thousand modules that are never imported is half of pip's time.
        session.install("--require-hashes", "--no-deps", "-r", str(requirements), env={"PIP_NO_COMPILE": "1"})
        if editable and extras is not None:
            session.install("--no-deps", "--no-build-isolation", "-e", ".")
        stamp.write_text(state, encoding="utf-8")
    if not editable:
        session.install("--no-deps", "--no-build-isolation", "--force-reinstall", ".")


@nox.session(python=PYTHON)
def lint(session: nox.Session) -> None:
    """Check format, style, the layering of the modules, and that no file names this machine."""
    _install(session, None, ["lint"])
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("lint-imports", "--no-cache", env={"PYTHONPATH": "src"})
    session.run("python", "tools/check_tree.py")


@nox.session(python=PYTHON)
def types(session: nox.Session) -> None:
    """Check the types, strictly."""
    _install(session, LOCKED_EXTRAS, ["test", "types"])
    session.run("mypy", *session.posargs)


@nox.session(python=PYTHON)
def tests(session: nox.Session) -> None:
    """Run the test suite in random order on the Python that runs nox."""
    _install(session, LOCKED_EXTRAS, ["test"])
    session.run("pytest", "-n", "2", *session.posargs, env=ONE_THREAD)


@nox.session(python=["3.12", "3.13"], default=False)
def tests_all(session: nox.Session) -> None:
    """Run the test suite on every supported Python."""
    _install(session, LOCKED_EXTRAS, ["test"])
    session.run("pytest", "-n", "2", *session.posargs, env=ONE_THREAD)


@nox.session(python=PYTHON, default=False)
def minimal(session: nox.Session) -> None:
    """Test the numerical core from a built wheel with the core dependencies only."""
    _install(session, [], ["test-core"], editable=False)
    core = ["test_panel.py", "test_estimate.py", "did", "synth", "inference", "diagnostics", "sensitivity", "synthesis"]
    paths = [f"tests/{name}" for name in core if (ROOT / "tests" / name).exists()]
    switched_off = {"CRIMEPOLICY_REQUIRE_ALL": "0"}
    session.run("pytest", "-n", "2", *paths, *session.posargs, env=ONE_THREAD | switched_off)


@nox.session(python=PYTHON, default=False)
def coverage(session: nox.Session) -> None:
    """Run the slow simulations of size and coverage and print their tables."""
    _install(session, LOCKED_EXTRAS, ["test"])
    session.run("pytest", "-m", "slow", "-n", "2", "-rP", *session.posargs, env=ONE_THREAD)


_analysis_bin = ""


@nox.session(python=PYTHON, default=False)
def environment(session: nox.Session) -> None:
    """Install the environment that analyses, verify, data, site and readme share."""
    global _analysis_bin  # noqa: PLW0603 - nox hands nothing from one session to the next
    _install(session, ["analyses"], [])
    _analysis_bin = session.bin


def _run(session: nox.Session, *command: str, env: dict[str, str] | None = None) -> None:
    """Run a command of the shared environment."""
    session.run(str(Path(_analysis_bin, command[0])), *command[1:], external=True, env=ONE_THREAD | (env or {}))


@nox.session(python=False, requires=["environment"], default=False)
def data(session: nox.Session) -> None:
    """Rebuild the processed tables from the raw figures and compare them with the committed ones."""
    _run(session, "python", "-m", "crimepolicy.data.build", *(session.posargs or ["--check"]))


def _official(arguments: list[str]) -> list[str]:
    """Leave out the tasks on invented countries unless the caller chooses by marker."""
    return arguments if "-m" in arguments else ["-m", "not smoke", *arguments]


@nox.session(python=False, requires=["environment"], default=False)
def analyses(session: nox.Session) -> None:
    """Rebuild every number, table and figure that changed, and compare with the published numbers."""
    # The tasks on the invented country are done before a second process has loaded the library.
    workers = "1" if "smoke" in session.posargs else "2"
    _run(session, "pytask", "build", "-n", workers, *_official(session.posargs))
    # A part of the numbers, or none, says nothing about all of them.
    if not session.posargs:
        _run(session, "python", "-m", "crimepolicy.report.reproduce", "analyses")


@nox.session(python=False, requires=["environment"], default=False)
def verify(session: nox.Session) -> None:
    """Recompute everything from nothing in a temporary copy and fail on a difference."""
    made = shutil.ignore_patterns(".*_cache", ".git", ".hypothesis", ".nox", ".pytask", "__pycache__", "build", "dist")
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(ROOT, Path(folder, "copy"), ignore=made)
        # The copy's own library comes before the installed one.
        library = {"PYTHONPATH": str(copy / "src")}
        with session.chdir(copy):
            _run(session, "pytask", "build", "-n", "2", *_official([]), env=library)
            _run(session, "python", "-m", "crimepolicy.report.reproduce", "analyses", env=library)


@nox.session(python=False, default=False)
def publish(session: nox.Session) -> None:
    """Make the numbers built last the published ones, on purpose."""
    built = {file.name: file.read_bytes() for file in sorted(BUILD.glob("*.json"))}
    if not built:
        session.error("analyses/build holds no numbers yet. Run first: python3 -m nox -s analyses")
    RESULTS.mkdir(exist_ok=True)
    for file in RESULTS.glob("*.json"):
        if file.name not in built:
            session.log(f"withdrawn: {file.name}")
            file.unlink()
    for name, content in built.items():
        published = RESULTS / name
        if not (published.is_file() and published.read_bytes() == content):
            session.log(f"published: {name}")
            published.write_bytes(content)


@nox.session(python=False, requires=["environment"], default=False)
def site(session: nox.Session) -> None:
    """Build analyses/site/index.html and all that it needs."""
    _run(session, "pytask", "build", "-n", "2", "-k", "site", *session.posargs)
    session.log(f"open {ROOT / 'analyses' / 'site' / 'index.html'}")


@nox.session(python=False, requires=["environment"], default=False)
def readme(session: nox.Session) -> None:
    """Write the generated parts of README.md (`-- --check`: only compare; `-- --times`: with the last run times)."""
    _run(session, "python", "tools/readme.py", *session.posargs)


@nox.session(python=PYTHON, default=False)
def docs(session: nox.Session) -> None:
    """Execute every example and build the documentation, warnings as errors."""
    _install(session, LOCKED_EXTRAS, ["docs", "test"])
    session.run("pytest", "-n", "2", "src", "tests/test_docs.py", env=ONE_THREAD)
    session.run("python", "tools/figures.py", env=ONE_THREAD)
    session.run("python", "tools/reference.py")
    session.run("zensical", "build", "--clean", "--strict")


@nox.session(python=PYTHON, default=False)
def bench(session: nox.Session) -> None:
    """Time the scripts in benchmarks/ (`-- doubt` or `-- calibrate`: a folder or a script)."""
    _install(session, LOCKED_EXTRAS, ["bench", "test"])
    for script in sorted(ROOT.glob("benchmarks/**/*.py")):
        if not session.posargs or {script.stem, script.parent.name} & set(session.posargs):
            session.run("python", str(script), env=ONE_THREAD)


@nox.session(python=PYTHON, default=False)
def build(session: nox.Session) -> None:
    """Build the wheel and the source archive into dist/."""
    _install(session, None, ["build"])
    session.run("python", "-m", "hatchling", "build", "-d", "dist")


@nox.session(python=False, requires=["environment"], default=False)
def package(session: nox.Session) -> None:
    """Write the replication package (code, data, numbers, README, dictionaries, provenance) into dist/."""
    _run(session, "python", "-m", "tools.replication", *session.posargs)


@nox.session(python=PYTHON, default=False)
def lock(session: nox.Session) -> None:
    """Resolve requirements.lock anew: universal, with hashes, with who needs what, without an address."""
    session.install("uv")
    extras = [f"--extra={name}" for name in LOCKED_EXTRAS]
    groups = [f"--group={name}" for name in LOCKED_GROUPS]
    form = ["--universal", "--python-version=3.12", "--generate-hashes", "--annotation-style=line"]
    quiet = ["--quiet", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
    output = ["pyproject.toml", "--output-file", LOCK.name]
    session.run("uv", "pip", "compile", *form, *quiet, *extras, *groups, *output, *session.posargs)
