"""Words and notation by language."""

import pytest

from crimepolicy.claims.verdict import Headline
from crimepolicy.errors import DesignError
from crimepolicy.report.language import LANGUAGES, language


def test_every_language_has_the_same_words():
    english = {key: set(words) for key, words in language("en").texts.items()}
    for code in LANGUAGES:
        assert {key: set(words) for key, words in language(code).texts.items()} == english


@pytest.mark.parametrize(
    ("code", "thousand", "half", "rise"),
    [("en", "12,346", "0.5", "+40%"), ("es", "12\u202f346", "0,5", "+40\u202f%"), ("pt", "12.346", "0,5", "+40%")],
)
def test_numbers_follow_the_language(code, thousand, half, rise):
    words = language(code)
    assert words.number(12345.6) == thousand
    assert words.number(0.5) == half
    assert words.change(1.4) == rise
    assert words.change(0.92).startswith("\u2212")


def test_numbers_in_a_text_follow_the_language_and_years_stay():
    text = "1,234.5 in 2008-2012, \u22128% at p = .05"
    assert language("en").notation(text) == "1,234.5 in 2008-2012, \u22128% at p = 0.05"
    assert language("pt").notation(text) == "1.234,5 in 2008-2012, \u22128% at p = 0,05"
    assert language("es").notation(text) == "1\u202f234,5 in 2008-2012, \u22128\u202f% at p = 0,05"


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_reading_names_the_estimate_and_both_ends(code):
    text = language(code).reading(Headline(1.4, 0.92, 2.13, 1.5, "ratio"), "killings")
    assert all(part in text for part in ("40", "8", "113", "killings"))
    assert (
        language(code).reading(Headline(None, None, None, None, "ratio")) == language(code).texts["reading"]["missing"]
    )


def test_an_unknown_language_is_named():
    with pytest.raises(DesignError, match="'fr'"):
        language("fr")
