"""Rebuild the processed tables and compare them with the committed ones.

Usage: ``python -m crimepolicy.data.build [--check] [--docs] [TABLE ...]``

Without options the tables are written to ``data/processed``, with ``--check`` they are only
compared (exit code 1 if one differs or cannot be rebuilt). ``--docs`` writes the pages that
follow from the dictionaries and source records.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from crimepolicy.data.dictionary import Dictionary, check_table, list_tables, read_dictionary
from crimepolicy.data.pages import data_page, licence_page
from crimepolicy.data.paths import checkout, processed_folder
from crimepolicy.data.recipes import recipes
from crimepolicy.data.records import list_sources, read_source
from crimepolicy.errors import CrimepolicyError, DataError, suggest

__all__ = ["build_table", "main", "table_digest", "write_table"]


def build_table(name: str) -> pl.DataFrame:
    """Return one processed table, made from its sources and checked against its dictionary.

    Parameters
    ----------
    name : str
        Name of the table.

    Raises
    ------
    DataError
        If the name is unknown, a source may not be redistributed, an input is missing, or the
        result departs from its dictionary.
    """
    makers = recipes()
    if name not in makers:
        raise DataError(f"There is no table {name!r}.{suggest(name, sorted(makers))}")
    dictionary = read_dictionary(name)
    _require_licence(dictionary)
    frame = _arrange(makers[name]().collect(), dictionary)
    check_table(frame, dictionary)
    return frame


def table_digest(frame: pl.DataFrame) -> str:
    """Return a sha256 of names, types and values, whatever the bytes of the file."""
    state = hashlib.sha256(json.dumps({k: str(v) for k, v in frame.schema.items()}).encode())
    state.update(frame.write_csv().encode())
    return state.hexdigest()


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a table as zstd parquet; the name appears only when the file is complete."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        frame.write_parquet(temporary, compression="zstd", compression_level=19, statistics=False)
        Path(temporary).replace(path)
        path.chmod(0o644)
    finally:
        Path(temporary).unlink(missing_ok=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = _options(arguments)
    names = options.tables or list_tables()
    width = max(len(name) for name in names)
    failed = [name for name in names if not _one(name, options.check, width)]
    if not options.check and not failed:
        _write_manifest()
    stale = [] if options.tables and not options.docs else _pages(options.check)
    verdict = "rebuilt and equal" if options.check else "written"
    _say(f"{len(names) - len(failed)} of {len(names)} tables {verdict}.")
    if stale:
        _say(f"Out of date: {', '.join(stale)}. Run python -m crimepolicy.data.build --docs")
    return 1 if failed or stale else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m crimepolicy.data.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--docs", action="store_true", help="write docs/data.md and LICENSE-DATA.md")
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="default: all")
    return parser.parse_args(arguments)


def _one(name: str, check: bool, width: int) -> bool:
    try:
        frame = build_table(name)
        outcome = _compare(name, frame) if check else _write(name, frame)
    except CrimepolicyError as problem:
        _say(f"{name:<{width}}  FAILED  {problem}")
        return False
    _say(f"{name:<{width}}  {frame.height:>9,} rows  {outcome}")
    return not outcome.startswith("DIFFERS")


def _compare(name: str, frame: pl.DataFrame) -> str:
    path = processed_folder() / f"{name}.parquet"
    if not path.is_file():
        return "DIFFERS: there is no committed table"
    committed = pl.read_parquet(path)
    if committed.schema != frame.schema:
        return "DIFFERS in columns or types"
    if committed.height != frame.height:
        return f"DIFFERS: {committed.height:,} rows are committed"
    columns = [key for key in frame.columns if not committed[key].equals(frame[key], null_equal=True)]
    if columns:
        return f"DIFFERS in {', '.join(columns)}"
    if _manifest()["tables"].get(name, {}).get("sha256") != table_digest(frame):
        return "DIFFERS from the digest in manifest.json"
    return "equal"


def _write(name: str, frame: pl.DataFrame) -> str:
    path = processed_folder() / f"{name}.parquet"
    write_table(frame, path)
    return f"{path.stat().st_size / 1e6:.2f} MB written"


def _arrange(frame: pl.DataFrame, dictionary: Dictionary) -> pl.DataFrame:
    known = [name for name in dictionary.schema if name in frame.columns]
    rest = [name for name in frame.columns if name not in dictionary.schema]
    types = {name: dictionary.schema[name] for name in known}
    return frame.select(*known, *rest).cast(types).sort(dictionary.key, maintain_order=True)  # type: ignore[arg-type]


def _require_licence(dictionary: Dictionary) -> None:
    closed = [source for source in dictionary.sources if not read_source(source).redistribute]
    if closed:
        raise DataError(f"{dictionary.name} may not be shipped: no licence to redistribute {', '.join(closed)}.")


def _manifest() -> dict[str, Any]:
    path = processed_folder() / "manifest.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {"tables": {}}
    return found


def _write_manifest() -> None:
    folder = processed_folder()
    names = [name for name in list_tables() if (folder / f"{name}.parquet").is_file()]
    content = {
        "tables": {name: _entry(name) for name in names},
        "sources": {name: _record(name) for name in list_sources()},
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    _write_text(folder / "manifest.json", text)


def _entry(name: str) -> dict[str, Any]:
    frame = pl.read_parquet(processed_folder() / f"{name}.parquet")
    times = [key for key, dtype in frame.schema.items() if dtype == pl.Date or key == "year"]
    span = frame[times[0]].drop_nulls() if times else None
    return {
        "rows": frame.height,
        "columns": frame.width,
        "units": frame["unit"].n_unique() if "unit" in frame.columns else None,
        "first": None if span is None else str(span.min()),
        "last": None if span is None else str(span.max()),
        "sha256": table_digest(frame),
    }


def _record(name: str) -> dict[str, Any]:
    source = read_source(name)
    licence = {"name": source.licence, "url": source.licence_url, "redistribute": source.redistribute}
    files = [
        {"path": f.path, "sha256": f.sha256, "bytes": f.bytes, "provided": f.provided, "download": f.download}
        for f in source.files
    ]
    plain = ("producer", "title", "citation", "url", "url_checked", "published", "accessed", "measures", "processing")
    return {key: getattr(source, key) for key in plain} | {"licence": licence, "file": files}


def _pages(check: bool) -> list[str]:
    top = checkout()
    if top is None:
        return []
    pages = {top / "docs" / "data.md": data_page(), top / "LICENSE-DATA.md": licence_page()}
    stale = [path for path, text in pages.items() if not path.is_file() or path.read_text("utf-8") != text]
    if check:
        return [path.name for path in stale]
    for path in stale:
        _write_text(path, pages[path])
    return []


def _write_text(path: Path, text: str) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
