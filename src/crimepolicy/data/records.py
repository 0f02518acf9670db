"""Records of the sources: who made the figures, under which terms, and which bytes we read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crimepolicy.data.paths import processed_folder, raw_folder
from crimepolicy.data.reading import read_toml
from crimepolicy.errors import DataError, suggest

__all__ = ["Source", "SourceFile", "list_sources", "read_source"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One input file: `path` (below the mirror, or in the source's folder when `provided`)."""

    path: str
    sha256: str
    bytes: int
    provided: bool = False
    download: str | None = None

    @property
    def name(self) -> str:
        """Name of the file without its folder."""
        return Path(self.path).name


@dataclass(frozen=True, slots=True)
class Source:
    """One source with its terms of use; `redistribute` says whether derived tables may ship."""

    id: str
    producer: str
    title: str
    citation: str
    url: str
    url_checked: bool
    published: str
    accessed: str
    licence: str
    licence_url: str
    redistribute: bool
    measures: str
    processing: str
    files: tuple[SourceFile, ...]


def list_sources(folder: Path | None = None) -> tuple[str, ...]:
    """Return the identifiers of all sources, sorted.

    Parameters
    ----------
    folder : Path, optional
        Folder with one subfolder per source; by default the one of the checkout, else the
        records that were shipped with the package.
    """
    return tuple(sorted(_records(folder)))


def read_source(source: str, folder: Path | None = None) -> Source:
    """Return the record of one source.

    Parameters
    ----------
    source : str
        Identifier, for instance ``"conapo-population"``.
    folder : Path, optional
        As in `list_sources`.

    Raises
    ------
    DataError
        If there is no such source, or its record is incomplete.

    Examples
    --------
    >>> from crimepolicy.data.records import read_source
    >>> read_source("conapo-population").redistribute
    True
    """
    records = _records(folder)
    if source not in records:
        raise DataError(f"There is no source {source!r}.{suggest(source, sorted(records))}")
    return _source(source, records[source])


def _records(folder: Path | None) -> dict[str, dict[str, Any]]:
    folder = raw_folder() if folder is None else folder
    if folder is None:
        shipped = json.loads((processed_folder() / "manifest.json").read_text("utf-8"))
        records: dict[str, dict[str, Any]] = shipped["sources"]
        return records
    files = sorted(folder.glob("*/source.toml"))
    return {file.parent.name: read_toml(file) for file in files}


def _source(name: str, record: dict[str, Any]) -> Source:
    try:
        licence = record["licence"]
        return Source(
            id=name,
            producer=record["producer"],
            title=record["title"],
            citation=record["citation"],
            url=record["url"],
            url_checked=record["url_checked"],
            published=str(record["published"]),
            accessed=str(record["accessed"]),
            licence=licence["name"],
            licence_url=licence["url"],
            redistribute=licence["redistribute"],
            measures=record["measures"],
            processing=record["processing"],
            files=tuple(SourceFile(**file) for file in record.get("file", ())),
        )
    except KeyError as missing:
        raise DataError(f"The record of source {name!r} lacks {missing.args[0]!r}.") from None
    except TypeError as problem:
        raise DataError(f"The record of source {name!r} is malformed: {problem}.") from problem
