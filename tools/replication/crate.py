"""The RO-Crate description: files, who made them, and which task made which number from which table."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.replication.contents import Entry

__all__ = ["crate"]

_CONTEXT = "https://w3id.org/ro/crate/1.1/context"
_AUTHORS = "#authors"
_LICENCE = "https://spdx.org/licenses/BSD-3-Clause"

Node = dict[str, Any]


def crate(citation: Mapping[str, str], entries: Mapping[str, Entry], lock: Path) -> Node:
    """Return ``ro-crate-metadata.json`` as plain values.

    Parameters
    ----------
    citation : mapping
        Title, version and date-released of the citation file.
    entries : mapping of path to Entry
        The files.
    lock : Path
        The lock file of the analyses, which says what each task read and made.
    """
    actions = _actions(lock, entries)
    return {
        "@context": _CONTEXT,
        "@graph": [*_about(citation, entries, actions), *map(_file, entries.values()), *actions],
    }


def _about(citation: Mapping[str, str], entries: Mapping[str, Entry], actions: list[Node]) -> list[Node]:
    descriptor = {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
    }
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": citation["title"],
        "description": "Code, processed tables, published numbers and verdicts, with everything that makes one from the other.",
        "version": citation["version"],
        "datePublished": citation["date-released"],
        "license": {"@id": _LICENCE},
        "author": {"@id": _AUTHORS},
        "hasPart": [{"@id": path} for path in entries],
        "mentions": [{"@id": action["@id"]} for action in actions],
    }
    authors = {"@id": _AUTHORS, "@type": "Organization", "name": "The crimepolicy authors"}
    licence = {
        "@id": _LICENCE,
        "@type": "CreativeWork",
        "name": "BSD 3-Clause License",
        "description": "Of the code. Every table is under the terms of its producers, listed in LICENSE-DATA.md.",
    }
    return [descriptor, root, authors, licence]


def _file(entry: Entry) -> Node:
    kind: Any = ["File", "SoftwareSourceCode"] if entry.path.endswith(".py") else "File"
    return {
        "@id": entry.path,
        "@type": kind,
        "name": entry.path,
        "encodingFormat": entry.media_type,
        "contentSize": str(entry.size),
        "sha256": entry.sha256,
    }


def _actions(lock: Path, entries: Mapping[str, Entry]) -> list[Node]:
    """Return one action per task whose number is published."""
    tasks = tomllib.loads(lock.read_text("utf-8")).get("task", []) if lock.is_file() else []
    found = []
    for task in sorted(tasks, key=lambda task: str(task["id"])):
        # A task writes beside the published numbers, which are its last published result.
        made = [path.replace("/build/", "/results/") for path in task.get("produces", {}) if "/smoke/" not in path]
        published = [path for path in made if path in entries]
        read = [path for path in task.get("depends_on", {}) if path in entries and not path.startswith("src/")]
        # The lock also remembers tasks whose script is gone.
        if published and str(task["id"]).split("::")[0] in entries:
            found.append(_action(str(task["id"]), read, published))
    return found


def _action(task: str, read: list[str], made: list[str]) -> Node:
    return {
        "@id": f"#{task}",
        "@type": "CreateAction",
        "name": task,
        "object": [{"@id": path} for path in read],
        "result": [{"@id": path} for path in made],
        "instrument": {"@id": task.split("::")[0]},
    }
