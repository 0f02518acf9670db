"""Write the generated sections of README.md from the records that they repeat; with --check, only compare.

With --times, what the tasks of the last builds took becomes the published run times.

A section stands between ``<!-- generated: NAME -->`` and ``<!-- end: NAME -->``; what is around it is written by hand.
"""

import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from crimepolicy.claims.claim import Claim
from crimepolicy.claims.verdict import Headline
from crimepolicy.data.dictionary import list_tables, read_dictionary
from crimepolicy.data.records import Source, list_sources, read_source
from crimepolicy.report.published import published_claims

ROOT = Path(__file__).resolve().parents[1]
README, ANALYSES = ROOT / "README.md", ROOT / "analyses"
TIMES = ANALYSES / "run-times.json"
VERSIONS = ["numpy", "scipy", "pandas", "narwhals", "polars", "matplotlib", "great-tables", "pymc", "nutpie", "pytask"]


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def claims() -> str:
    """Return every claim with its estimate, its verdict and what would overturn it."""
    ledger = published_claims(ANALYSES)
    if not ledger.results:
        return f"No result is published yet; {len(ledger.claims)} claims are registered in `analyses/claims/`."
    header = ["claim", "in our words", "estimand", "estimate (95% interval)", "verdict", "what would overturn it"]
    rows = [
        [claim.id, claim.statement, claim.estimand, "not published yet", "registered", claim.overturn]
        if claim in ledger.waiting
        else claim_row(claim, ledger.verdict(claim.id))
        for claim in ledger.claims
    ]
    return table(header, rows)


def claim_row(claim: Claim, verdict: Any) -> list[str]:
    """Return the cells of one claim; an inconclusive one says what the design could have found."""
    label = f"**{verdict.label}**"
    if verdict.label == "inconclusive" and verdict.headline.detectable is not None:
        label += f" (smallest detectable effect: {verdict.headline.detectable:.3g})"
    return [claim.id, claim.statement, claim.estimand, interval(verdict.headline), label, claim.overturn]


def interval(headline: Headline) -> str:
    """Return an estimate with its interval in words."""
    if headline.value is None:
        return "not estimated"
    if headline.low is None or headline.high is None or headline.low == headline.high:
        return f"{headline.value:.3g}"
    scale = "ratio" if headline.scale == "ratio" else "difference"
    return f"{scale} {headline.value:.3g} ({headline.low:.3g} to {headline.high:.3g})"


def sources() -> str:
    """Return the data sources with their licences, and the tables made from each."""
    tables = {name: read_dictionary(name) for name in list_tables()}

    def row(source: Source) -> list[str]:
        made = ", ".join(f"`{name}`" for name, record in tables.items() if source.id in record.sources)
        files = ", ".join(f"`{file.name}` ({'yes' if file.provided else 'no'})" for file in source.files)
        licence = f"[{source.licence}]({source.licence_url})" if source.licence_url else source.licence
        return [f"[{source.title}]({source.url})", source.producer, licence, files, made or "-"]

    header = ["source", "producer", "licence", "raw files (in this repository?)", "tables made from it"]
    return table(header, (row(read_source(name)) for name in list_sources()))


def outputs() -> str:
    """Return which tasks make which numbers, figures and pages, one row per claim."""
    if not tasks():
        return "No analysis has been run yet."
    groups: dict[tuple[str, str], list[str]] = {}
    for task in tasks():
        name, _, rest = str(task["id"]).partition("[")
        claim = rest.rstrip("]").split("-")[0]
        groups.setdefault((name, claim), []).extend(sorted(task.get("produces", {})))
    rows = ((f"`{name}[{claim}...]`", made(files)) for (name, claim), files in groups.items())
    return table(["tasks", "make"], rows)


def made(files: list[str]) -> str:
    """Return one file by its name, and several in a folder by their number."""
    folders: dict[str, list[str]] = {}
    for file in files:
        folders.setdefault(str(Path(file).parent), []).append(Path(file).name)
    told = {folder: names[0] if len(names) == 1 else "" for folder, names in folders.items()}
    return ", ".join(
        f"`{folder}/{name}`" + ("" if name else f" ({len(folders[folder])} files)") for folder, name in told.items()
    )


def tasks() -> list[dict[str, Any]]:
    """Return the tasks of the last full build, from the lock that the build writes."""
    lock = ROOT / "pytask.lock"
    if not lock.is_file():
        return []
    listed = tomllib.loads(lock.read_text("utf-8")).get("task", [])
    # The lock also remembers tasks whose script is gone.
    official = [task for task in listed if "smoke" not in task["id"] and (ROOT / task["id"].split("::")[0]).is_file()]
    return sorted(official, key=lambda task: str(task["id"]))


def times() -> str:
    """Return the run time of each claim on the machine of the last publication."""
    if not TIMES.is_file():
        return "Not measured yet."
    measured = json.loads(TIMES.read_text("utf-8"))
    rows = [[claim, f"{seconds:,.0f}"] for claim, seconds in sorted(measured.items())]
    return table(["claim", "processor seconds"], [*rows, ["all", f"{sum(measured.values()):,.0f}"]])


def versions() -> str:
    """Return the Pythons, the main locked versions and the seed."""
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE))
    pythons = ", ".join((ROOT / ".python-version").read_text("utf-8").split())
    named = ", ".join(f"{name} {locked[name]}" for name in VERSIONS if name in locked)
    plan = tomllib.loads((ANALYSES / "plan.toml").read_text("utf-8"))["plan"]
    return (
        f"- Python {pythons}; nothing else has to be installed first.\n"
        f"- {named}; all {len(locked)} with hashes in `requirements.lock`.\n"
        f"- Seed {plan['seed']}, in `analyses/plan.toml`; every task that draws derives its own stream from it."
    )


SECTIONS: dict[str, Callable[[], str]] = {
    "claims": claims,
    "outputs": outputs,
    "sources": sources,
    "times": times,
    "versions": versions,
}


def generated(text: str) -> str:
    """Return the README with every generated section renewed."""
    for name, section in SECTIONS.items():
        opening, closing = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        if text.count(opening) != 1 or text.count(closing) != 1:
            raise SystemExit(f"README.md needs the marks {opening} and {closing} once each.")
        before, rest = text.split(opening)
        after = rest.split(closing)[1]
        text = f"{before}{opening}\n{section()}\n{closing}{after}"
    return text


def record_times(folder: Path) -> None:
    """Keep what the tasks of every claim took together."""
    seconds: dict[str, float] = {}
    for file in sorted(folder.glob("*.json")):
        taken = json.loads(file.read_text("utf-8"))
        seconds[taken["claim"]] = seconds.get(taken["claim"], 0.0) + taken["seconds"]
    if not seconds:
        raise SystemExit("No task has left its time. Run first: python3 -m nox -s analyses")
    TIMES.write_text(json.dumps(seconds, indent=1) + "\n", "utf-8")


def main(arguments: Sequence[str]) -> int:
    """Write or check; return the exit code."""
    present = README.read_text("utf-8")
    if "--times" in arguments:
        record_times(ANALYSES / "build" / "times")
    wanted = generated(present)
    if "--check" not in arguments:
        README.write_text(wanted, "utf-8", newline="\n")
    elif wanted != present:
        print("README.md is out of date. Run: python3 -m nox -s readme")
        return 1
    print("README.md agrees with the records it repeats")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
