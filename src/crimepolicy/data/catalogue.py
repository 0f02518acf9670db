"""The list of everything that can be loaded."""

import json
from typing import Any

import pandas as pd

from crimepolicy.data.dictionary import Dictionary, list_tables, read_dictionary
from crimepolicy.data.paths import processed_folder

__all__ = ["datasets"]


def datasets() -> pd.DataFrame:
    """Return one row per packaged table: what it holds, its size, its sources and their terms.

    Returns
    -------
    pandas.DataFrame
        Columns ``name``, ``kind`` (panel, events, geography or reference), ``title``, ``unit``,
        ``units`` (distinct units), ``first``, ``last``, ``rows``, ``sources``, ``licence``.

    Examples
    --------
    >>> from crimepolicy.data import datasets
    >>> table = datasets().set_index("name")
    >>> print(table.loc["mexico_state_month", "title"])
    Mexico: homicides by state and month, all official series, 2000-2022
    """
    manifest = json.loads((processed_folder() / "manifest.json").read_text("utf-8"))
    names = [name for name in list_tables() if name in manifest["tables"]]
    rows = [_row(read_dictionary(name), manifest) for name in names]
    return pd.DataFrame(rows).astype({"units": "Int64"})


def _row(table: Dictionary, manifest: dict[str, Any]) -> dict[str, Any]:
    size = manifest["tables"][table.name]
    terms = sorted({manifest["sources"][source]["licence"]["name"] for source in table.sources})
    return {
        "name": table.name,
        "kind": table.kind,
        "title": table.title,
        "unit": table.unit,
        "units": size["units"],
        "first": size["first"],
        "last": size["last"],
        "rows": size["rows"],
        "sources": ", ".join(table.sources),
        "licence": "; ".join(terms),
    }
