"""`crimepolicy datasets` and `crimepolicy fetch`."""

from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any, Literal

import typer

from crimepolicy.cli.showing import AsJson, show_json, show_table

__all__ = ["FETCH_EXAMPLES", "LIST_EXAMPLES", "datasets", "fetch"]

Kind = Literal["panel", "events", "geography", "reference"]

_WIDTH = 70

LIST_EXAMPLES = """\b
Examples:
  crimepolicy datasets
  crimepolicy datasets --kind events --json
"""
FETCH_EXAMPLES = """\b
Examples:
  crimepolicy fetch kingpins-mexico
  crimepolicy fetch inegi-mortality --mirror /data/mirror
"""


def datasets(
    kind: Annotated[Kind | None, typer.Option(help="Only tables of this kind.")] = None, as_json: AsJson = False
) -> None:
    """List the packaged tables with rows, span and publisher."""
    from crimepolicy.data.catalogue import datasets as catalogue

    found = catalogue()
    rows = [_row(row) for row in found.to_dict("records") if kind in (None, row["kind"])]
    if as_json:
        show_json(rows)
    else:
        shown = [row | {"publisher": shorten(row["publisher"], _WIDTH, placeholder=" ...")} for row in rows]
        show_table(shown, ["name", "kind", "rows", "span", "publisher"])


def fetch(
    source: Annotated[str, typer.Argument(help="Identifier of a source, as `datasets --json` lists them.")],
    mirror: Annotated[
        Path | None, typer.Option(help="Folder to look in first; otherwise $CRIMEPOLICY_MIRROR.", file_okay=False)
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder for downloads; otherwise the user's cache.")] = None,
    as_json: AsJson = False,
) -> None:
    """Locate or download the raw files of a source, each with its recorded hash verified."""
    from crimepolicy.data.fetch import fetch as fetch_files
    from crimepolicy.data.records import read_source

    record = read_source(source)
    for file in record.files:
        if not file.provided:
            origin = file.download or "the local mirror"
            typer.echo(f"{file.name}: {file.bytes:,} bytes, from {origin} unless at hand", err=True)
    found = fetch_files(source, mirror=mirror, cache=cache)
    rows = [
        {"file": file.name, "bytes": file.bytes, "sha256": file.sha256, "path": str(found[file.name])}
        for file in record.files
    ]
    if as_json:
        show_json(rows)
    else:
        shown = [row | {"sha256": f"{str(row['sha256'])[:12]} (verified)"} for row in rows]
        show_table(shown, ["file", "bytes", "sha256", "path"])


def _row(row: Any) -> dict[str, Any]:
    from crimepolicy.data.records import read_source

    sources = str(row["sources"]).split(", ")
    ends = [str(row[key]) for key in ("first", "last") if isinstance(row[key], str | int)]
    producers = dict.fromkeys(read_source(source).producer for source in sources)
    return {
        "name": row["name"],
        "kind": row["kind"],
        "title": row["title"],
        "rows": int(row["rows"]),
        "span": " to ".join(ends) or "-",
        "publisher": "; ".join(producers),
        "sources": sources,
        "licence": row["licence"],
    }
