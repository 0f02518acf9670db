"""The page that lists where the report parts from the sources that it names."""

import tomllib

from analyses import settings
from crimepolicy.data import load_table
from crimepolicy.errors import ClaimError
from crimepolicy.report.site import Section, Table

__all__ = ["source_page"]

_COLUMNS = ("Claim", "The report says", "Source that it names", "How they differ", "In a word", "Known from")


def source_page() -> Section:
    """Return the page of departures, in the order of the claims.

    Raises
    ------
    ClaimError
        Where a line belongs to no claim of the report.
    """
    listed = tomllib.loads((settings.HERE / "sources.toml").read_text(encoding="utf-8"))
    claims = load_table("report_claims").set_index("claim")["statement"]
    strange = [name for name in listed if name not in claims.index]
    if strange:
        raise ClaimError(f"sources.toml names no claim of the report: {', '.join(strange)}. Correct the name.")
    lines = tuple(
        (name, str(claims[name]), entry["source"], entry["differs"], entry["kind"], entry["known"])
        for name, entry in sorted(listed.items())
    )
    texts = (
        f"In {len(lines)} of the {len(claims)} claims the sentence of the report and the source behind it part, as far as our notes on its footnotes go.",
        "Most of the sources were not read for this list; the last column says what was. A difference here does not make a sentence false: whether it holds is asked on the page of its claim, where it can be asked.",
    )
    table = Table("Sentences of the report beside the sources that they name", _COLUMNS, lines, wide=True)
    return Section("The report and its own sources", "sources", texts, (table,))
