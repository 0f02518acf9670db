"""Fail where a file of the project names this machine, somebody's home folder or a package registry."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def patterns() -> dict[str, re.Pattern[str]]:
    """Return what no file may say, by the words for it."""
    here = {str(path) for path in (ROOT.parent, Path.home())} - {"/", tempfile.gettempdir()}
    homes = [r"/(?:home|Users)/\w", r"[A-Z]:\\Users", *(re.escape(path) + r"(?![\w.-])" for path in sorted(here))]
    # The one-letter classes keep this file from saying itself what it looks for.
    registries = [r"p[y]pi\.org", r"p[y]thonhosted\.", r"npm[j]s\.", r"deb[i]an\.org", r"/simp[l]e/"]
    return {
        "a path of one machine": re.compile(r"(?<![\w.:/])(?:" + "|".join(homes) + ")"),
        "a package registry": re.compile("|".join(registries)),
        "a registry option": re.compile(r"--(?:extra-)?index-[u]rl[ =]\S|--find-l[i]nks[ =]\S"),
    }


PATTERNS = patterns()


def tracked() -> list[Path]:
    """Return the files of the project, committed or about to be."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [ROOT / name for name in sorted(listing.stdout.split("\0")) if name and (ROOT / name).is_file()]


def findings(path: Path) -> list[str]:
    """Return one line for every forbidden thing in a text file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []
    place = path.relative_to(ROOT)
    found = [
        f"{place}:{number}: names {what}: {match[0]}"
        for number, line in enumerate(lines, start=1)
        for what, pattern in PATTERNS.items()
        if (match := pattern.search(line))
    ]
    if path.suffix == ".lock" and any("://" in line for line in lines):
        found.append(f"{place}: a lock file names an address")
    return found


if __name__ == "__main__":
    files = tracked()
    wrong = [line for path in files for line in findings(path)]
    print("\n".join(wrong) if wrong else f"{len(files)} files name no machine and no registry")
    sys.exit(bool(wrong))
