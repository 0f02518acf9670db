"""Write the replication package: ``python -m tools.replication [folder]``."""

import json
import re
import sys
from pathlib import Path
from typing import Any

from tools.replication.archive import write_archive
from tools.replication.contents import contents
from tools.replication.crate import crate
from tools.replication.datapackage import datapackage
from tools.replication.readme import package_readme

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: list[str]) -> int:
    """Write the archive into a folder, by default dist, and print its name."""
    citation = _citation(ROOT / "CITATION.cff")
    entries = {entry.path: entry for entry in contents(ROOT)}
    files = {path: (ROOT / path).read_bytes() for path in entries}
    files["README.md"] = package_readme(citation, entries).encode()
    files["datapackage.json"] = _json(datapackage(citation["version"], entries))
    files["ro-crate-metadata.json"] = _json(crate(citation, entries, ROOT / "pytask.lock"))
    sums = {path: entry.sha256 for path, entry in entries.items()}
    files["SHA256SUMS"] = "".join(f"{digest}  {path}\n" for path, digest in sums.items()).encode()
    target = Path(arguments[0] if arguments else ROOT / "dist") / f"crimepolicy-{citation['version']}-replication.zip"
    write_archive(target, files)
    print(f"{target}: {len(files)} files, {target.stat().st_size / 1e6:.1f} MB")
    return 0


def _json(values: Any) -> bytes:
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode()


def _citation(path: Path) -> dict[str, str]:
    """Return the plain fields of the citation file; nothing else in it is needed, so no YAML reader is."""
    return dict(re.findall(r'^([\w-]+): "?(.+?)"?$', path.read_text("utf-8"), re.MULTILINE))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
