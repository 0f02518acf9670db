"""Lines of the ledger without a verdict, the country of every line, and the words of the claims in other languages."""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from analyses import settings
from crimepolicy.data import load_table
from crimepolicy.errors import ClaimError
from crimepolicy.report.language import LANGUAGES
from crimepolicy.report.site import Entry, number

__all__ = ["countries_of", "entries", "translations"]

TASK = "statements"

_COUNTRIES = {
    "Mexico": ("mexico", "kingpins_mexico", "joint_operations_mexico"),
    "Brazil": ("rio", "brazil"),
    "Colombia": ("colombia", "medellin", "coca", "kingpins_colombia", "quadrants_colombia", "calendar_colombia"),
    "El Salvador": ("el_salvador", "peace_municipalities"),
    "Ecuador": ("ecuador",),
    "Region": ("latam", "truces", "crackdowns"),
}
_SOURCES = {
    "narrower": "The source named is narrower than the statement.",
    "not public": "The source named is not public.",
    "differs": "Another source that is named counts otherwise.",
    "not checked": "The source named was not checked here.",
}


def countries_of(tables: Iterable[str]) -> str:
    """Return the countries that tables come from, as one text."""
    tables = tuple(tables)
    found = [name for name, starts in _COUNTRIES.items() if any(table.startswith(starts) for table in tables)]
    # A table of the whole region stands beside national ones in many analyses.
    return ", ".join(name for name in found if name != "Region" or found == ["Region"])


def entries(numbers: Mapping[str, Any], analysed: Iterable[str]) -> list[Entry]:
    """Return a line for every claim of the report that has no verdict.

    Parameters
    ----------
    numbers : mapping
        Published numbers of the task `statements`.
    analysed : iterable of str
        Claims of the report that have verdicts.

    Raises
    ------
    ClaimError
        Where a claim has neither a verdict, nor a number, nor a reason.
    """
    claims = load_table("report_claims").set_index("claim")
    stated = [_stated(name, item, claims) for name, item in numbers["items"].items()]
    reasons = tomllib.loads((settings.HERE / "untested.toml").read_text(encoding="utf-8"))
    told = {*analysed, *(_report_claim(entry.id, claims) for entry in stated)}
    untested = [_untested(name, reasons[name], claims) for name in claims.index if name in reasons and name not in told]
    silent = [name for name in claims.index if name not in told and name not in reasons]
    if silent:
        raise ClaimError(
            f"Neither a verdict nor a number nor a reason for: {', '.join(silent)}. Add it to untested.toml."
        )
    return [*stated, *untested]


def _report_claim(name: str, claims: pd.DataFrame) -> str:
    """Return the claim of the report that an item belongs to: B10a is a part of B10."""
    return name if name in claims.index else name[:-1]


def _stated(name: str, item: Mapping[str, Any], claims: pd.DataFrame) -> Entry:
    claim = claims.loc[_report_claim(name, claims)]
    status = item["status"]
    found = item["note"] if item["value"] is None else f"{item['quantity']}: {number(item['value'])}. {_beside(item)}"
    if status == "other quantity":
        found = f"{found} {item['note']}"
    if item.get("source"):
        found = f"{found} {_SOURCES[item['source']]}"
    return Entry(name, claim["family"].lower(), item["country"], item["says"], claim["page"], status, item["stated"], found, TASK)  # fmt: skip


def _beside(item: Mapping[str, Any]) -> str:
    shown = [f"{key} {value if isinstance(value, str) else number(value, 4)}" for key, value in item["years"].items()]
    silent = item.get("without_figures", [])
    return f"Beside it: {'; '.join(shown)}." + (f" Without figures: {', '.join(silent)}." if silent else "")


def _untested(name: str, entry: Mapping[str, str], claims: pd.DataFrame) -> Entry:
    claim = claims.loc[name]
    country = entry.get("country", "Region")
    return Entry(name, claim["family"].lower(), country, claim["statement"], claim["page"], entry["kind"], entry["reason"], entry["needs"])  # fmt: skip


def translations() -> dict[str, Any]:
    """Return the words of the claims by language and, as `phrases`, the book of what else stands on their pages."""
    book = _words("phrases") | _words("sentences")
    return {
        code: _words(code) | {"phrases": {english: texts[place] for english, texts in book.items()}}
        for place, code in enumerate(LANGUAGES[1:])
    }


def _words(name: str) -> dict[str, Any]:
    return tomllib.loads((settings.HERE / "translations" / f"{name}.toml").read_text(encoding="utf-8"))
