"""Every text of the claim pages and of the ledger has its words in every language, on the published numbers."""

import pytest

pytestmark = pytest.mark.smoke

ADVICE = "give it words in analyses/translations/sentences.toml, with places for its numbers"


@pytest.fixture(scope="module")
def texts():
    """Texts by page, as the templates tell them."""
    from analyses import settings
    from analyses.families import FAMILIES
    from analyses.ledger import entries
    from crimepolicy.claims.claim import read_claims
    from crimepolicy.claims.verdict import judge
    from crimepolicy.report.numbers import read_numbers

    plan = settings.plan()
    found = {}
    for family in FAMILIES:
        numbers = {name: read_numbers(settings.RESULTS / f"{name}.json") for name in family.files}
        claim = settings.CLAIMS / f"{family.claim}.toml"
        verdicts = tuple(judge(part, numbers, plan=plan) for part in read_claims(claim))
        found[family.claim] = list(page_texts(family.page(verdicts, numbers, plan, settings.BUILD)))
    lines = entries(
        read_numbers(settings.RESULTS / "statements.json"), [file.stem for file in settings.CLAIMS.glob("*.toml")]
    )
    found["ledger"] = [text for line in lines for text in (line.statement, line.first, line.second, line.country)]
    found["seen before"] = [plan.seen_before["statement"], *plan.seen_before["claims"].values()]
    return found


def page_texts(page):
    """Yield every text of a claim page that the templates tell; the lead stands on the English page only."""
    from crimepolicy.report.site import Figure

    for section in page.sections:
        yield from (section.title, *section.paragraphs)
        for block in section.blocks:
            if isinstance(block, Figure):
                yield from (block.title, block.finding, block.caption)
            else:
                yield from (block.caption, *block.columns)
                yield from (cell if isinstance(cell, str) else cell.text for row in block.rows for cell in row)
    for verdict in page.verdicts:
        yield from (finding.criterion.why for finding in verdict.findings)
        yield from (text for entry in verdict.deviations for text in (entry["what"], entry["why"]))


@pytest.fixture(scope="module", params=["es", "pt"])
def phrases(request):
    from analyses.ledger import translations
    from crimepolicy.report.language import language
    from crimepolicy.report.phrases import Phrases

    return Phrases(language(request.param), translations()[request.param]["phrases"])


def test_nothing_on_the_pages_is_left_in_english(texts, phrases):
    untold = {text: page for page, found in texts.items() for text in found if text and phrases(text) is None}
    assert not untold, ADVICE


def test_a_sentence_that_is_new_would_be_seen(phrases):
    assert phrases("Homicides fell by 12% where nobody had looked.") is None


def test_names_of_countries_and_words_of_tables_are_no_names_that_stay(phrases):
    for word in ("Brazil", "Captured", "Killed", "All", "Region"):
        assert phrases(word) not in {None, word}
