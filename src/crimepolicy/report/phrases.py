"""Sentences and table texts in another language, by a book of phrases that leave places for numbers and names."""

import re
from collections.abc import Mapping

from crimepolicy.report.language import Language

__all__ = ["Phrases"]

_PLACE = re.compile(r"\\\{(\w+)\\\}")
# Not after "et al.", "D.C." and an ellipsis, which end no sentence.
_SENTENCE = re.compile(r"(?<=[.!?])(?<!\bal\.)(?<!\bch\.)(?<!\bD\.C\.)(?<!\.\.\.)\s+(?=\S)")
_CLAUSE = re.compile(r"(?<=[;:])\s+(?=\S)")
_NUMBERS = re.compile(r"[\d\s,.;:%()<=>~/\u00d7\u00b1+\-\u2212\u2013\u2026\u202f]*")
_CODE = re.compile(r"[\w-]*\d[\w-]*\u2026?")
_PARTICLES = {"and", "de", "del", "la", "las", "los", "el", "y", "e", "do", "da", "dos", "et", "al."}


class Phrases:
    """The book of one language.

    Parameters
    ----------
    words : Language
        Language of the page, for its notation of numbers.
    book : mapping of str to str
        From English to that language. ``{name}`` is a place that holds a number, a name, or another phrase of the book.

    Examples
    --------
    >>> from crimepolicy.report.language import language
    >>> spanish = Phrases(language("es"), {"{n} of {m} units": "{n} de {m} unidades"})
    >>> spanish("3 of 1,200 units")
    '3 de 1\u202f200 unidades'
    >>> spanish("no such phrase") is None
    True
    """

    def __init__(self, words: Language, book: Mapping[str, str]) -> None:
        self._words = words
        self._whole = {english: text for english, text in book.items() if "{" not in english}
        open_ones = sorted((english for english in book if "{" in english), key=_letters, reverse=True)
        self._open = [(*_ends(english), _pattern(english), book[english]) for english in open_ones]
        self._known: dict[str, str | None] = {}

    def __call__(self, text: str) -> str | None:
        """Return the text in the language of the page, or None where the book has no words for all of it."""
        if text not in self._known:
            # A place may hold what surrounds it; until the answer is known there is none.
            self._known[text] = None
            self._known[text] = self._found(text)
        return self._known[text]

    def _found(self, text: str) -> str | None:
        if text in self._whole:
            return self._whole[text]
        if _NUMBERS.fullmatch(text):
            return self._words.notation(text)
        # A phrase that begins a row or a title.
        small = self._whole.get(text[:1].lower() + text[1:])
        return (
            (small[:1].upper() + small[1:] if small else None)
            or self._in_parts(_SENTENCE, text)
            or self._by_pattern(text)
            or self._in_parts(_CLAUSE, text)
            or (text if _stays(text) else None)
        )

    def _in_parts(self, ends: re.Pattern[str], text: str) -> str | None:
        parts = ends.split(text)
        found = [self(part) for part in parts] if len(parts) > 1 else [None]
        return None if None in found else " ".join(part for part in found if part)

    def _by_pattern(self, text: str) -> str | None:
        for start, end, pattern, template in self._open:
            match = text.startswith(start) and text.endswith(end) and pattern.fullmatch(text)
            if match:
                found = {name: self(value) for name, value in match.groupdict().items()}
                if None not in found.values():
                    return template.format(**found)
        return None


def _letters(english: str) -> int:
    return len(re.sub(r"\{\w+\}", "", english))


def _ends(english: str) -> tuple[str, str]:
    """Return the letters before the first place and after the last: most texts differ there, and need no pattern."""
    parts = re.split(r"\{\w+\}", english)
    return parts[0], parts[-1]


def _pattern(english: str) -> re.Pattern[str]:
    return re.compile(_PLACE.sub(r"(?P<\1>.+?)", re.escape(english)))


def _stays(text: str) -> bool:
    """Whether a text is a code, or every word begins with a capital letter, as in names of people and places."""
    if _CODE.fullmatch(text):
        return True
    words = re.findall(r"[^\W\d_][\w'.]*", text)
    return bool(words) and words[0][0].isupper() and all(word[0].isupper() or word in _PARTICLES for word in words)
