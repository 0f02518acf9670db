"""The ledger leaves no claim of the report out, and every analysed claim has its words in every language."""

import pytest

pytestmark = pytest.mark.smoke

TEXTS = ("title", "statement", "population", "estimand", "overturn")


@pytest.fixture(scope="module")
def files():
    from analyses import settings

    return sorted(settings.CLAIMS.glob("*.toml"))


def test_every_claim_of_the_report_stands_in_the_ledger_once(files):
    from analyses import settings
    from analyses.ledger import entries
    from analyses.statements import statement_numbers
    from crimepolicy.data import load_table

    analysed = [file.stem for file in files]
    lines = entries(statement_numbers(settings.plan().section("statements")), analysed)
    names = [line.id for line in lines]
    assert len(names) == len(set(names))
    told = {*analysed, *names, *(name[:-1] for name in names)}
    assert set(load_table("report_claims")["claim"]) <= told
    assert not set(analysed) & set(names)


def test_stated_numbers_come_from_the_tables():
    from analyses import settings
    from analyses.statements import statement_numbers
    from crimepolicy.data import load_table

    items = statement_numbers(settings.plan().section("statements"))["items"]
    area = load_table("coca_municipality_year").groupby("year")["coca_ha"].sum()
    assert items["F02"]["value"] == pytest.approx(area[2022] / area[2012])
    assert items["F02"]["status"] == "matched"
    # 13,537 and 13,555 homicides by the police's own totals: no fall.
    assert items["B10a"]["status"] == "off"


def test_every_claim_has_its_words_in_every_language(files):
    from analyses.ledger import translations
    from crimepolicy.claims.claim import read_claims

    for code, words in translations().items():
        for file in files:
            for part in read_claims(file):
                found = words[file.stem][part.id]
                absent = [name for name in TEXTS if not found.get(name)]
                assert not absent, (code, part.id)
        assert set(words) == {file.stem for file in files} | {"phrases"}, code
