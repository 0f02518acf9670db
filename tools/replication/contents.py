"""Which files go into the package, and what each of them is."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from crimepolicy.errors import DataError

__all__ = ["Entry", "contents"]

_LEFT_OUT = (".ci/", ".gitignore", "benchmarks/", "site/")
_FORMATS = {
    ".cff": "text/yaml",
    ".css": "text/css",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".lock": "text/plain",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".py": "text/x-python",
    ".toml": "application/toml",
    ".txt": "text/plain",
    ".yml": "text/yaml",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the package: path inside it, media type, size in bytes and sha256."""

    path: str
    media_type: str
    size: int
    sha256: str


def contents(root: Path) -> tuple[Entry, ...]:
    """Return the committed files of a checkout that a replication needs, in the order of their paths."""
    found = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=False, text=True)
    if found.returncode:
        raise DataError(f"{root} is no git checkout, so there is no list of its files: {found.stderr.strip()}.")
    paths = sorted(path for path in found.stdout.split("\0") if path and not path.startswith(_LEFT_OUT))
    return tuple(_entry(root, path) for path in paths if path != "README.md" and (root / path).is_file())


def _entry(root: Path, path: str) -> Entry:
    content = (root / path).read_bytes()
    media_type = _FORMATS.get(Path(path).suffix, "application/octet-stream")
    return Entry(path, media_type, len(content), hashlib.sha256(content).hexdigest())
