"""Numbers and readings in the words and the notation of a language: English, Spanish or Portuguese."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from crimepolicy.claims.verdict import Headline
from crimepolicy.errors import choose

__all__ = ["LANGUAGES", "Language", "language"]

LANGUAGES = ("en", "es", "pt")

_TEXTS = Path(__file__).parent / "texts"
_SEPARATORS = {"en": (",", "."), "es": ("\u202f", ","), "pt": (".", ",")}
"""Between thousands, and before decimals."""
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+")
_PERCENT = {"en": "%", "es": "\u202f%", "pt": "%"}


@dataclass(frozen=True, slots=True)
class Language:
    """One language of the site.

    Attributes
    ----------
    code : {"en", "es", "pt"}
        As in the attribute ``lang`` of a page.
    texts : mapping of str to mapping of str to str
        Words of the site by section and name.
    """

    code: str
    texts: Mapping[str, Mapping[str, str]]

    def number(self, value: float | None, digits: int = 3) -> str:
        """Return a number with a few significant digits and a real minus sign."""
        if value is None or not np.isfinite(value):
            return self.texts["reading"]["none"]
        text = f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
        return self._separated(text)

    def change(self, ratio: float | None) -> str:
        """Return a ratio as a change in words of a table: '+40%', '\u22128%', 'no change'."""
        if ratio is None or not np.isfinite(ratio):
            return self.texts["reading"]["none"]
        if ratio >= 10:
            return f"\u00d7{self.number(ratio)}"
        percent = round(100 * (ratio - 1))
        if percent == 0:
            return self.texts["reading"]["no_change"]
        return self._separated(f"{percent:+,}") + _PERCENT[self.code]

    def ends(self, headline: Headline) -> str:
        """Return an estimate with the ends of its interval, or alone where it has none."""
        show = self.change if headline.scale == "ratio" else self.number
        value = show(headline.value)
        if headline.value is None or headline.low == headline.high:
            return value
        return f"{value} ({show(headline.low)} \u2026 {show(headline.high)})"

    def smallest(self, headline: Headline) -> str:
        """Return the smallest effect that the design would have found, in both directions."""
        size = headline.detectable
        if size is None:
            return ""
        if headline.scale != "ratio":
            return f"\u00b1{self.number(size)}"
        return f"{self.change(1 / size)} {self.texts['ledger']['or']} {self.change(size)}"

    def reading(self, headline: Headline, events: str = "") -> str:
        """Return the estimate in words that a lay reader reads rightly; `events` are what is counted."""
        if headline.value is None or headline.low is None or headline.high is None:
            return self.texts["reading"]["missing"]
        if headline.low == headline.high:
            return self.texts["reading"]["counted"].format(value=self.ends(headline))
        if headline.scale != "ratio":
            shown = [self.number(end) for end in (headline.value, headline.low, headline.high)]
        else:
            counted = events or self.texts["reading"]["events"]
            shown = [self._expected(headline.value, "best_", counted)]
            shown += [self._expected(end, "", counted) for end in (headline.low, headline.high)]
        return self.texts["reading"]["best"].format(value=shown[0], low=shown[1], high=shown[2])

    def _expected(self, ratio: float, form: str, events: str) -> str:
        percent = round(100 * abs(ratio - 1))
        sense = "same" if percent == 0 else "more" if ratio > 1 else "fewer"
        return self.texts["reading"][form + sense].format(percent=self._separated(f"{percent:,}"), events=events)

    def notation(self, text: str) -> str:
        """Return a text with its English numbers written as this language writes them; years and dates stay."""
        shown = _NUMBER.sub(lambda found: self._separated("0" * found[0].startswith(".") + found[0]), text)
        return shown.replace("%", _PERCENT[self.code])

    def _separated(self, text: str) -> str:
        thousands, decimals = _SEPARATORS[self.code]
        return text.translate({ord(","): thousands, ord("."): decimals, ord("-"): "\u2212"})


@cache
def language(code: str) -> Language:
    """Return a language of the site.

    Raises
    ------
    DesignError
        Where the code is none of "en", "es" and "pt".

    Examples
    --------
    >>> language("pt").number(12345.6), language("es").change(1.4)
    ('12.346', '+40\u202f%')
    """
    choose("language", code, LANGUAGES)
    return Language(code, tomllib.loads((_TEXTS / f"{code}.toml").read_text(encoding="utf-8")))
