"""The book of phrases: what it tells, and what it leaves in English."""

import re
from pathlib import Path

import pytest

from crimepolicy.report.language import language
from crimepolicy.report.phrases import Phrases

BOOK = {
    "{n} of {m} {what}": "{n} de {m} {what}",
    "units": "unidades",
    "no change": "sin cambio",
    "{a} to {b}": "{a} a {b}",
    "{what}: p = {p}.": "{what}: p = {p}.",
    "Thefts": "Hurtos",
    "None is selected.": "Ninguna se elige.",
}


@pytest.fixture
def spanish():
    return Phrases(language("es"), BOOK)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("3 of 1,200 units", "3 de 1\u202f200 unidades"),
        ("no change to +12%", "sin cambio a +12\u202f%"),
        ("Thefts: p = 0.04.", "Hurtos: p = 0,04."),
        ("None is selected. Thefts: p = 0.04.", "Ninguna se elige. Hurtos: p = 0,04."),
        ("\u22120.5 (2008-2012)", "\u22120,5 (2008-2012)"),
        ("García, Mejía and Ortega", "García, Mejía and Ortega"),
        ("ab9f261b1115ea87\u2026", "ab9f261b1115ea87\u2026"),
    ],
)
def test_what_the_book_holds_is_told(spanish, text, told):
    assert spanish(text) == told


@pytest.mark.parametrize(
    "text", ["3 of 5 cities", "None is selected. Two cities differ.", "two units", "units to nowhere"]
)
def test_a_text_is_told_as_a_whole_or_not_at_all(spanish, text):
    assert spanish(text) is None


def test_a_phrase_that_contains_itself_ends():
    assert Phrases(language("es"), {"{a}: {b}": "{a}: {b}"})("x: y: z") is None


def test_every_phrase_of_the_site_keeps_its_places():
    from analyses.ledger import translations

    assert (Path(__file__).parents[2] / "analyses" / "translations" / "phrases.toml").is_file()
    for code, words in translations().items():
        for english, text in words["phrases"].items():
            places = re.findall(r"\{\w+\}", english)
            # Each place once in English; the other language may leave out what it says otherwise.
            assert len(places) == len(set(places)), english
            assert set(re.findall(r"\{\w+\}", text)) <= set(places), (code, english)
            assert text, (code, english)


@pytest.mark.parametrize("code", ["es", "pt"])
def test_what_recurs_on_the_pages_is_told_in_every_language(code):
    """Nearly all titles, captions, columns and conditions; what is new may stay in English, marked, until it has words."""
    from analyses import settings
    from analyses.families import FAMILIES
    from analyses.ledger import translations
    from crimepolicy.claims.claim import read_claims

    phrases = Phrases(language(code), translations()[code]["phrases"])
    reasons = [
        criterion.why
        for family in FAMILIES
        for part in read_claims(settings.CLAIMS / f"{family.claim}.toml")
        for criterion in part.criteria
    ]
    untold = [reason for reason in dict.fromkeys(reasons) if phrases(reason) is None]
    assert len(untold) <= 0.1 * len(set(reasons)), untold
