"""Disturb a small part of the analyses and see what is lost: two runs at once, and ``kill -9`` in the middle.

``python -m tools.disturb 8`` kills eight runs at random moments, works in a temporary copy of this tree, and writes what it saw
into docs/reliability.md, between the marks there.
"""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
MARKS = re.compile(r"(<!-- disturbances -->\n).*?(<!-- end -->)", re.DOTALL)
TASKS = (
    "kingpins_published or kingpins_sample or kingpins_counts or kingpins_state or kingpins_matched or kingpins_plaza"
)
MADE = shutil.ignore_patterns(
    ".*_cache", ".git", ".hypothesis", ".nox", ".pytask", "__pycache__", "build", "dist", "site"
)
OPTIONS = ["-n", "1", "-m", "smoke", "-k", TASKS]
Digests = dict[str, str]


def copy(folder: Path) -> Path:
    """Return a copy of the tree without anything built."""
    return Path(shutil.copytree(ROOT, folder, ignore=MADE))


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the analyses in a copy, as a group of processes of its own."""
    library = {"PYTHONPATH": str(folder / "src"), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytask", "build", *OPTIONS]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, cwd=folder, env=os.environ | library, stdout=quiet, stderr=quiet, start_new_session=True)  # fmt: skip


def numbers(folder: Path) -> Digests:
    """Return the digest of every file of numbers; one that is not whole raises."""
    made = sorted((folder / "analyses" / "build" / "smoke").glob("kingpins_*.json"))
    for path in made:
        json.loads(path.read_text(encoding="utf-8"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made}


def unfinished(folder: Path) -> int:
    """Return how many files in the folder of numbers are neither numbers nor the folders beside them."""
    made = (folder / "analyses" / "build" / "smoke").glob("*")
    return sum(path.is_file() and path.suffix != ".json" for path in made)


def together(folders: list[Path], calm: Digests) -> tuple[int, int]:
    """Start one run in each folder at the same moment and return how many succeeded, and how many files then differed."""
    runs = [start(folder) for folder in folders]
    succeeded = sum(run.wait() == 0 for run in runs)
    return succeeded, sum(_lost(numbers(folder), calm) for folder in set(folders))


def interrupted(folder: Path, after: float, calm: Digests) -> tuple[int, int, int]:
    """Kill a run and start again; return the files written by then, those left unfinished, and those that differ at the end."""
    run = start(folder)
    try:
        run.wait(after)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    written, left = len(numbers(folder)), unfinished(folder)
    again = start(folder).wait()
    return written, left, _lost(numbers(folder), calm) + (again != 0)


def _lost(found: Digests, calm: Digests) -> int:
    return sum(found.get(name) != digest for name, digest in calm.items())


def main(kills: int) -> None:
    """Run every disturbance and write what was seen."""
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as place:
        first = copy(Path(place, "calm"))
        begin = time.monotonic()
        if start(first).wait() != 0:
            sys.exit("The undisturbed run failed, so nothing can be learnt from a disturbed one.")
        took, calm = time.monotonic() - begin, numbers(first)
        one = copy(Path(place, "one"))
        rows = [("two runs at once in one folder", 1, together([one, one], calm))]
        pair = [copy(Path(place, name)) for name in ("left", "right")]
        rows.append(("two runs at once in two copies", 1, together(pair, calm)))
        tries = [interrupted(copy(Path(place, f"kill{turn}")), took * chance.uniform(0.3, 1.0), calm) for turn in range(kills)]  # fmt: skip
    lines = [f"| {what} | {count} | {seen[0]} of 2 runs succeeded; {seen[1]} of {len(calm)} files differ from those of a run alone |" for what, count, seen in rows]  # fmt: skip
    stages = ", ".join(str(written) for written, _, _ in sorted(tries))
    lines.append(
        f"| `kill -9` at a random moment, with {stages} of {len(calm)} files written by then; then a run to the end | {kills} | "
        f"{sum(left for _, left, _ in tries)} unfinished files; {sum(lost for *_, lost in tries)} files differ at the end |"
    )
    text = "\n".join(["| what | how often | what was lost |", "|---|---|---|", *lines])
    print(text)
    PAGE.write_text(MARKS.sub(lambda found: f"{found[1]}{text}\n{found[2]}", PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
