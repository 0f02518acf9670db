"""How the commands write: tables for people, JSON for machines."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

__all__ = ["AsJson", "show_json", "show_table"]

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to standard output, for machines.")]


def show_json(values: Any) -> None:
    """Write values as JSON; what is not a number becomes null."""
    typer.echo(json.dumps(_plain(values), indent=1, ensure_ascii=False, allow_nan=False))


def show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows as aligned text, numbers to the right."""
    cells = [[_text(row[column]) for column in columns] for row in rows]
    numeric = [all(isinstance(row[column], int | float | None) for row in rows) for column in columns]
    widths = [max(len(line[i]) for line in (list(columns), *cells)) for i in range(len(columns))]
    for line in (list(columns), *cells):
        padded = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ]
        typer.echo("  ".join(padded).rstrip())


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray | pd.Index):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, str | bool | int | float) else str(value)
