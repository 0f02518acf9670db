"""Keep what the benchmarks of this folder print: one section of results.txt each."""

import os
import platform
from pathlib import Path

RESULTS = Path(__file__).with_name("results.txt")


def record(title: str, body: str) -> None:
    """Print a section and write it to results.txt, in place of an earlier one with its title."""
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    section = f"{title}\n{'=' * len(title)}\n{machine}\n{body.rstrip()}\n"
    kept = RESULTS.read_text(encoding="utf-8").split("\n\n\n") if RESULTS.exists() else []
    others = [part.strip("\n") for part in kept if part.strip() and not part.lstrip().startswith(f"{title}\n")]
    print(section)
    RESULTS.write_text("\n\n\n".join(sorted([*others, section.strip("\n")])) + "\n", encoding="utf-8")
