"""The README of the package, in the order of the template of the Data and Code Availability Standard."""

from collections.abc import Mapping

from crimepolicy.data.records import list_sources, read_source
from tools import readme
from tools.replication.contents import Entry

__all__ = ["package_readme"]


def package_readme(citation: Mapping[str, str], entries: Mapping[str, Entry]) -> str:
    """Return the README as Markdown."""
    parts = {
        "Overview": _OVERVIEW,
        "Data availability and provenance": _RIGHTS + readme.sources(),
        "Statement about rights": _rights(),
        "Dataset list": _datasets(entries),
        "Computational requirements": readme.versions() + _REQUIREMENTS + readme.times(),
        "Description of programs": _PROGRAMS,
        "Instructions to replicators": _INSTRUCTIONS,
        "List of numbers, tables and figures": readme.outputs(),
        "Findings": readme.claims(),
        "References": _references(),
    }
    title = f"# Replication package of {citation['title']}, version {citation['version']}\n\n"
    return (
        title
        + "\n\n".join(f"## {number}. {name}\n\n{text.strip()}" for number, (name, text) in enumerate(parts.items(), 1))
        + "\n"
    )


_OVERVIEW = """
The code in this package makes every published number, table, figure and verdict from the processed tables in
`data/processed`. One command runs all of it. Nothing but Python 3.12 or 3.13 and pip is needed beforehand.

| file | what it is |
|---|---|
| `README.md` | this file, after the template of the social science data editors |
| `datapackage.json` | every table with every column, for machines (Frictionless Data Package) |
| `docs/data.md` | the same data dictionary, for people |
| `ro-crate-metadata.json` | files, makers, and which task made which number (RO-Crate 1.1) |
| `analyses/plan.toml`, `analyses/claims/` | the analysis plan and the criteria, frozen before the results |
| `analyses/results/` | the published numbers |
| `SHA256SUMS` | the hash of every file: `sha256sum --check SHA256SUMS` |
"""
_RIGHTS = """
The processed tables are in the package. Raw figures are in it where their licence and size allow it (*yes* below); of the
others `data/raw/*/source.toml` has the address, the terms and the hash. No table that ships comes from a source that forbids it.

"""
_REQUIREMENTS = """
- Every requirement with its version and hash: `requirements.lock`. Operating systems tried: Linux.
- One core and 4 GB of memory are enough; tasks run two at a time. No network is used after the installation.

Run times of the last publication:

"""
_PROGRAMS = """
| folder | what it does |
|---|---|
| `src/crimepolicy` | the library: panels, estimators, inference, doubt, verdicts (`docs/map.md` is its map) |
| `analyses/task_*.py` | the tasks; each reads tables and its section of the plan, and writes one file of numbers |
| `analyses/*_figures.py`, `analyses/*_page.py` | figures and pages from the numbers alone |
| `tools/`, `noxfile.py` | the commands |
| `tests/` | the tests of the library, with reference numbers of other packages |

The code is under the BSD 3-clause licence (`LICENSE`).
"""
_INSTRUCTIONS = """
1. Unpack, and go into the folder.
2. `python3 -m pip install nox`
3. `python3 -m nox -s analyses` recomputes every number and compares each with the published one; the last line says how many
   came back, and within which tolerance.
4. One claim alone: `python3 -m nox -s analyses -- -k kingpins`. One figure alone:
   `python3 -m nox -s analyses -- -k "task_figures and K01-official"`. What would run, and why: `-- --dry-run --explain`.
   The whole line on invented places, in two or three minutes: `-- -m smoke`.
5. `python3 -m nox -s data` rebuilds the processed tables where the raw figures are at hand (`CRIMEPOLICY_MIRROR`).
"""


def _rights() -> str:
    closed = [name for name in list_sources() if not read_source(name).redistribute]
    left_out = f" Sources that do not allow it, of which nothing ships: {', '.join(closed)}." if closed else ""
    return (
        "- [x] The authors had legitimate access to the data.\n"
        "- [x] The authors may redistribute what this package holds, under the terms in `LICENSE-DATA.md`." + left_out
    )


def _datasets(entries: Mapping[str, Entry]) -> str:
    rows = [
        [f"`{path}`", f"{entry.size:,}", f"`{path.replace('.parquet', '.toml')}`"]
        for path, entry in entries.items()
        if path.startswith("data/processed/") and path.endswith(".parquet")
    ]
    return readme.table(["table", "bytes", "dictionary"], rows)


def _references() -> str:
    return "\n".join(f"- {read_source(name).citation}" for name in list_sources())
