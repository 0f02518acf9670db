import dataclasses
import re
from pathlib import Path

import pytest

from crimepolicy.claims.claim import Claim, Criterion
from crimepolicy.claims.verdict import Finding, Headline, Verdict
from crimepolicy.data.dictionary import Dictionary
from crimepolicy.errors import DataError
from crimepolicy.report.numbers import write_numbers
from crimepolicy.report.site import (
    Cell,
    ClaimPage,
    Entry,
    Figure,
    Section,
    Table,
    TaskRecord,
    against_expected,
    change,
    number,
    p_value,
    reading,
    strip,
    write_site,
)

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture
def parts(tmp_path):
    report = {
        "id": "T01",
        "family": "truces",
        "section": "V",
        "page": "37",
        "source": "A report",
        "statement": f"Truces hold {HOSTILE}",
        "task": "truces",
    }
    criterion = Criterion("rise", "truces.effect.low", ">", 1.0, "it rises")
    claim = Claim(
        "T01a",
        "Truces",
        f"Fewer homicides {HOSTILE}",
        report,
        f"cities {HOSTILE}",
        "Ratio",
        "above 1",
        "truces.effect",
        (criterion,),
        "",
        "rise",
        "rise",
        "More.",
        "truces",
        "abc",
    )
    headline = Headline(1.4, 0.9, 2.1, 1.8, "ratio")
    verdict = Verdict(claim, "inconclusive", (Finding(criterion, 0.9, False),), headline, "Inconclusive.", ())
    write_numbers(tmp_path / "truces.json", {"a": 1})
    (tmp_path / "plot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    (tmp_path / "plot.json").write_text("{}")
    figure = Figure("A plot", tmp_path / "plot.svg", f"The finding {HOSTILE}", "Caption.", "truces")
    table = Table("A table", ("a", "b"), (("x", Cell(HOSTILE, "truces", number=True)),), "truces")
    card = Dictionary(
        "cities",
        "Cities",
        "What",
        "panel",
        "city",
        "2000",
        ("unit",),
        ("source",),
        (f"A defect {HOSTILE}",),
        (),
        (),
        {},
    )
    page = ClaimPage(
        (verdict,),
        f"The answer {HOSTILE}",
        (Section("Findings", "findings", ("Text.",), (figure, table)),),
        ("cities",),
    )
    record = TaskRecord("truces", "analyses/task_truces.py", tmp_path / "truces.json", ("cities",))
    return page, [record], {"cities": card}


def written(tmp_path, parts, **changes):
    page, tasks, cards = parts
    page = dataclasses.replace(page, **changes)
    write_site(tmp_path / "site", [page], tasks, cards, seen_before={"statement": "Seen.", "claims": {"T01": HOSTILE}})
    return {file.name: file.read_text() for file in sorted((tmp_path / "site").glob("*.html"))}


def test_pages_figures_and_numbers_are_written(tmp_path, parts):
    assert list(written(tmp_path, parts)) == ["T01.html", "family-truces.html", "index.html", "tasks.html"]
    names = {file.relative_to(tmp_path / "site").as_posix() for file in (tmp_path / "site").rglob("*.*")}
    assert {"style.css", "figures/plot.svg", "figures/plot.json", "numbers/truces.json"} <= names


def test_what_comes_from_outside_is_escaped_everywhere(tmp_path, parts):
    for name, text in written(tmp_path, parts).items():
        assert HOSTILE not in text, name
        assert "&lt;script&gt;" in text, name


def test_every_link_resolves_and_none_leaves(tmp_path, parts):
    pages = written(tmp_path, parts)
    anchors = {name: set(re.findall(r'id="([^"]+)"', text)) for name, text in pages.items()}
    for name, text in pages.items():
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            file, _, anchor = link.partition("#")
            assert not link.startswith("http"), link
            if link == "data:,":
                continue
            assert not file or (tmp_path / "site" / file).is_file(), link
            assert not anchor or anchor in anchors[file or name], link


def test_every_line_of_the_ledger_is_counted_and_shown(tmp_path, parts):
    page, tasks, cards = parts
    lines = [
        Entry("B05", "balloon", "Costa Rica", HOSTILE, "13", "matched", "+40%", "+38%", "truces"),
        Entry("R05", "prisons", "Region", "Calls", "29", "not testable", "No figures.", "Records."),
    ]
    write_site(tmp_path / "site", [page], tasks, cards, seen_before={"statement": "", "claims": {}}, entries=lines)
    text = (tmp_path / "site" / "index.html").read_text()
    assert "3 claims and stated numbers" in text
    assert HOSTILE not in text
    for line in lines:
        assert f'<tr id="{line.id}" data-verdict="{line.label}" data-family="{line.family}"' in text
        assert line.first in (tmp_path / "site" / f"family-{line.family}.html").read_text()


def test_a_language_has_the_pages_that_it_has_words_for(tmp_path, parts):
    page, tasks, cards = parts
    words = {
        "es": {"T01": {"statement": "Las treguas duran", "T01a": {"title": "Treguas", "overturn": "Más."}}},
        "pt": {"T01": {"statement": "As tréguas duram"}},
    }
    write_site(tmp_path / "site", [page], tasks, cards, seen_before={"statement": "", "claims": {}}, translations=words)
    spanish = (tmp_path / "site" / "es" / "T01.html").read_text()
    assert '<html lang="es">' in spanish
    assert "Las treguas duran" in spanish
    assert "No concluyente" in spanish
    assert "40\u202f% más" in spanish or "40 % más" in spanish
    assert not (tmp_path / "site" / "pt" / "T01.html").exists()
    for folder in ("", "es", "pt"):
        for file in (tmp_path / "site" / folder).glob("*.html"):
            for link in re.findall(r'(?:href|src)="([^"#:]+)[#"]', file.read_text()):
                assert (file.parent / link).resolve().is_file(), (file.name, link)


def test_the_same_page_is_the_same_bytes(tmp_path, parts):
    assert written(tmp_path, parts) == written(tmp_path, parts)


def test_a_number_without_its_task_is_refused(tmp_path, parts):
    table = Table("A table", ("a",), ((Cell("1", "elsewhere"),),))
    with pytest.raises(DataError, match="'elsewhere', which is not among the tasks"):
        written(tmp_path, parts, sections=(Section("S", "s", (), (table,)),))


def test_a_missing_figure_or_card_is_named(tmp_path, parts):
    with pytest.raises(DataError, match="data card for 'towns'"):
        written(tmp_path, parts, tables=("towns",))
    figure = Figure("A", Path(tmp_path / "none.svg"), "", "", "truces")
    with pytest.raises(DataError, match=r"none\.svg"):
        written(tmp_path, parts, sections=(Section("S", "s", (), (figure,)),))


def test_a_verdict_without_identification_gives_no_effect_to_read(tmp_path, parts):
    verdict = dataclasses.replace(parts[0].verdicts[0], label="not identified")
    text = written(tmp_path, parts, verdicts=(verdict,))["T01.html"]
    assert "No effect can be read from this comparison" in text
    assert "more homicides" not in re.sub(r'aria-label="[^"]*"', "", text)


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (1.4, "+40%"),
        (0.6, "\u221240%"),
        (1.0, "no change"),
        (12.3, "\u00d712.3"),
        (None, "not computed"),
        (float("nan"), "not computed"),
    ],
)
def test_changes(ratio, text):
    assert change(ratio) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(1.4, "40% above expected"), (0.6, "40% below expected"), (1.001, "as expected"), (None, "not computed")],
)
def test_changes_in_words(ratio, text):
    assert against_expected(ratio) == text


def test_numbers_have_a_real_minus_and_small_p_values_a_bound():
    assert number(-0.1234) == "\u22120.123"
    assert number(12345.6) == "12,346"
    assert p_value(1e-9) == "< 0.0001"
    assert p_value(0.0312) == "0.031"


def test_the_reading_names_both_ends():
    assert reading(Headline(1.4, 0.92, 2.13, None, "ratio")) == (
        "Best estimate: 40% more homicides than expected. The figures are compatible with anything from 8% fewer to 113% more."
    )
    assert reading(Headline(None, None, None, None, "ratio")) == "The number could not be computed."


def test_the_small_picture_keeps_order_and_marks_what_it_cuts():
    shown = strip(Headline(1.4, 0.1, 2.1, None, "ratio"))
    assert shown.low < shown.none < shown.value < shown.high
    assert (shown.cut_low, shown.cut_high) == (True, False)
    assert strip(Headline(None, None, None, None, "ratio")) is None


def test_differences_lie_around_none_and_a_ratio_of_zero_is_cut():
    shown = strip(Headline(-3.0, -9.0, 2.0, None, "level"))
    assert shown.low < shown.value < shown.none == 50 < shown.high
    assert strip(Headline(0.2, 0.0, 0.8, None, "ratio")).cut_low
