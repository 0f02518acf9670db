"""The Frictionless description of the processed tables: every column with its type, unit and allowed values."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from crimepolicy.data.dictionary import Column, Dictionary, list_tables, read_dictionary
from crimepolicy.data.records import Source, read_source
from tools.replication.contents import Entry

__all__ = ["datapackage"]

# Parquet has missing values of its own; the reader of the validator turns them into these. It counts no bytes and takes no
# hash of such a file either: sizes and hashes stand in SHA256SUMS and in the crate.
_MISSING = ["", "nan", "NaT", "None"]
_TYPES = {"string": "string", "bool": "boolean", "date": "date"}


def datapackage(version: str, entries: Mapping[str, Entry]) -> dict[str, Any]:
    """Return ``datapackage.json`` as plain values.

    Parameters
    ----------
    version : str
        Version of the package.
    entries : mapping of path to Entry
        The files, for sizes and hashes.
    """
    tables = [read_dictionary(name) for name in list_tables()]
    return {
        "profile": "data-package",
        "name": "crimepolicy",
        "title": "Processed tables of crimepolicy",
        "description": "Official figures and dated events on policies against organised crime in Latin America.",
        "version": version,
        "resources": [_resource(table, entries[f"data/processed/{table.name}.parquet"]) for table in tables],
    }


def _resource(table: Dictionary, entry: Entry) -> dict[str, Any]:
    sources = [read_source(source) for source in table.sources]
    defects = "".join(f"\n- {defect}" for defect in table.defects)
    return {
        "name": table.name,
        "profile": "data-resource",
        "path": entry.path,
        "title": table.title,
        "description": table.description + (f"\n\nKnown defects:{defects}" if defects else ""),
        "format": "parquet",
        "mediatype": entry.media_type,
        "sources": [{"title": f"{source.producer}: {source.title}", "path": source.url} for source in sources],
        "licenses": [_licence(source) for source in sources],
        "schema": {
            "fields": [_field(column) for column in table.columns],
            "primaryKey": list(table.key),
            "missingValues": _MISSING,
        },
    }


def _licence(source: Source) -> dict[str, str]:
    named = {"title": source.licence}
    # A licence needs a name from a list or an address; terms of use of an office have only the second.
    return named | {"path": source.licence_url or source.url}


def _field(column: Column) -> dict[str, Any]:
    kind = _TYPES.get(column.type, "integer" if column.type.startswith("int") else "number")
    limits: dict[str, Any] = {"required": True} if column.complete else {}
    if column.allowed is not None:
        limits["enum"] = list(column.allowed)
    if column.range is not None:
        low, high = (end.isoformat() if isinstance(end, date) else end for end in column.range)
        limits |= {"minimum": low, "maximum": high}
    words = (
        f"Unit: {column.unit}. Made by: {column.how}. Missing: {column.missing}. Source: {', '.join(column.source)}."
    )
    return {
        "name": column.name,
        "type": kind,
        "title": column.label,
        "description": words,
        **({"constraints": limits} if limits else {}),
    }
