"""The static site: a ledger of claims, a page per claim and per family, and a page where every number was made."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crimepolicy.claims.claim import Claim
from crimepolicy.claims.expression import names_in
from crimepolicy.claims.verdict import Finding, Headline, Verdict
from crimepolicy.data.dictionary import Dictionary
from crimepolicy.errors import DataError
from crimepolicy.report.language import LANGUAGES, Language, language
from crimepolicy.report.phrases import Phrases

__all__ = [
    "Cell",
    "ClaimPage",
    "Entry",
    "Figure",
    "Section",
    "Table",
    "TaskRecord",
    "against_expected",
    "change",
    "number",
    "p_value",
    "reading",
    "strip",
    "write_site",
]

_TEMPLATES = Path(__file__).parent / "templates"
_ENGLISH = language("en")
Texts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: its text and, where it is a number, the task that made it."""

    text: str
    task: str = ""
    number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption; rows hold cells or plain texts."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell | str, ...], ...]
    task: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: the SVG file with its data as JSON beside it, and the finding in words for those who cannot see it."""

    title: str
    file: Path
    finding: str
    caption: str
    task: str
    width: int = 557
    height: int = 336


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a page: paragraphs, then figures and tables in order."""

    title: str
    anchor: str
    paragraphs: tuple[str, ...] = ()
    blocks: tuple[Figure | Table, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task: what it makes, by what code, from which tables."""

    name: str
    code: str
    product: Path
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClaimPage:
    """All that stands on the page of one claim of the report.

    Attributes
    ----------
    verdicts : tuple of Verdict
        One per part of the claim.
    lead : str
        The answer in one paragraph.
    sections : tuple of Section
        In reading order.
    tables : tuple of str
        Data tables, for the data cards.
    words : mapping of str to str
        What the part of a claim counts, by its identifier, where that is not homicides.
    country : str
        Where the figures come from, for the filter of the ledger.
    """

    verdicts: tuple[Verdict, ...]
    lead: str
    sections: tuple[Section, ...]
    tables: tuple[str, ...]
    words: Mapping[str, str] = field(default_factory=dict)
    country: str = ""

    @property
    def id(self) -> str:
        """Identifier of the claim of the report, and name of the page."""
        return self.verdicts[0].claim.report["id"]

    @property
    def family(self) -> str:
        """Family of the claim."""
        return self.verdicts[0].claim.report["family"].lower()


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the ledger without a verdict: a stated number, or a claim that is not put to a test.

    Attributes
    ----------
    id, family, country, statement, page : str
        Of the claim, in our words.
    label : {"matched", "off", "other quantity", "not recomputed", "not testable", "no data"}
        What is said of it.
    first, second : str
        What the report says and what the tables say; or why there is no test, and what it would take.
    task : str
        The task that made the number, if one did.
    """

    id: str
    family: str
    country: str
    statement: str
    page: str
    label: str
    first: str
    second: str
    task: str = ""


@dataclass(frozen=True, slots=True)
class _Site:
    """What every page may show."""

    pages: Sequence[ClaimPage]
    entries: Sequence[Entry]
    extra: Mapping[str, Section]
    waiting: Sequence[Claim]
    seen_before: Mapping[str, Any]
    comparison: str
    translations: Mapping[str, Texts]

    def values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def write_site(
    folder: Path | str,
    pages: Sequence[ClaimPage],
    tasks: Sequence[TaskRecord],
    cards: Mapping[str, Dictionary],
    *,
    seen_before: Mapping[str, Any],
    comparison: str = "",
    waiting: Sequence[Claim] = (),
    entries: Sequence[Entry] = (),
    extra: Mapping[str, Section] | None = None,
    translations: Mapping[str, Texts] | None = None,
) -> None:
    """Write the site; it needs no network and opens from the file system.

    Parameters
    ----------
    folder : path
        Is emptied first.
    pages : sequence of ClaimPage
        One per claim of the report.
    tasks : sequence of TaskRecord
        Every task that a page names.
    cards : mapping of str to Dictionary
        Data dictionaries by table.
    seen_before : mapping
        What was known before the plan was written.
    comparison : str
        The last line of the comparison with the published numbers.
    waiting : sequence of Claim
        Claims with conditions written down, but without numbers yet.
    entries : sequence of Entry
        Lines of the ledger without a verdict.
    extra : mapping of str to Section
        Further pages by file name, such as ``{"timelines": Section(...)}``; those that the navigation knows are linked there.
    translations : mapping of str to mapping
        Words of the claims by language and claim; a page is written in every language that has words for all its parts. The
        rest of a page is told by the phrases under ``phrases`` (see `crimepolicy.report.phrases`), or stays in English and
        is marked so. A figure in a folder ``es`` or ``pt`` beside the English one is shown on the pages of that language.

    Raises
    ------
    DataError
        Where a page names a task or a table that is not given, or a figure is missing.
    """
    folder = Path(folder)
    site = _Site(pages, entries, dict(extra or {}), waiting, seen_before, comparison, dict(translations or {}))
    _check(site, tasks, cards)
    if folder.exists():
        shutil.rmtree(folder)
    _copy(folder, site, tasks)
    for code in LANGUAGES:
        if code == "en" or code in site.translations:
            _write_language(folder, site, language(code), tasks, cards)


def _copy(folder: Path, site: _Site, tasks: Sequence[TaskRecord]) -> None:
    for name in ("figures", "numbers"):
        (folder / name).mkdir(parents=True)
    for name in ("style.css", "ledger.js"):
        shutil.copyfile(_TEMPLATES / name, folder / name)
    for record in tasks:
        shutil.copyfile(record.product, folder / "numbers" / record.product.name)
    for figure in _figures(site):
        for name in (figure.file.with_suffix(".json").name, *_drawings(figure.file).values()):
            (folder / "figures" / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(figure.file.parent / name, folder / "figures" / name)


def _drawings(file: Path) -> dict[str, str]:
    """Return the drawings of a figure by language: its own, and those in folders named like the languages."""
    names = {"en": file.name} | {code: f"{code}/{file.name}" for code in LANGUAGES if code != "en"}
    return {code: name for code, name in names.items() if (file.parent / name).is_file()}


def _write_language(
    folder: Path, site: _Site, words: Language, tasks: Sequence[TaskRecord], cards: Mapping[str, Dictionary]
) -> None:
    """Write the pages of one language: the ledger, the claims and the families; in English also tasks, data and the rest."""
    english = words.code == "en"
    place = folder if english else folder / words.code
    place.mkdir(exist_ok=True)
    environment = _environment(words, site)
    shared = site.values() | {"text": words.texts, "lang": words.code, "root": "" if english else "../"}
    _write(environment, "index.html", place / "index.html", shared | {"here": "index", "tally": _Tally()})
    for page in site.pages:
        if english or _translated(site, words.code, page):
            used = {name: cards[name] for name in page.tables}
            told = shared | {"page": page, "cards": used, "here": page.id, "tally": _Tally()}
            _write(environment, "claim.html", place / f"{page.id}.html", told)
    for family in _families(site):
        told = shared | {"family": family, "here": f"family-{family}", "tally": _Tally()}
        _write(environment, "family.html", place / f"family-{family}.html", told)
    if english:
        _write(environment, "tasks.html", place / "tasks.html", shared | {"tasks": tasks, "cards": cards, "here": ""})
        for name, section in site.extra.items():
            _write(environment, "extra.html", place / f"{name}.html", shared | {"section": section, "here": ""})


def _families(site: _Site) -> list[str]:
    return sorted({page.family for page in site.pages} | {entry.family for entry in site.entries})


def _translated(site: _Site, code: str, page: ClaimPage) -> bool:
    words = site.translations.get(code, {})
    return page.id in words and all(verdict.claim.id in words[page.id] for verdict in page.verdicts)


def _check(site: _Site, tasks: Sequence[TaskRecord], cards: Mapping[str, Dictionary]) -> None:
    known = {record.name for record in tasks}
    for name in _task_names(site):
        if name not in known:
            raise DataError(f"The site links a number to the task {name!r}, which is not among the tasks given.")
    absent = [name for page in site.pages for name in page.tables if name not in cards]
    if absent:
        raise DataError(f"The site needs a data card for {absent[0]!r}. Give its dictionary.")
    for figure in _figures(site):
        if not (figure.file.is_file() and figure.file.with_suffix(".json").is_file()):
            raise DataError(f"The figure {figure.file.name} or its data is missing. Run the analyses first.")


def _sections(site: _Site) -> Iterable[Section]:
    for page in site.pages:
        yield from page.sections
    yield from site.extra.values()


def _figures(site: _Site) -> list[Figure]:
    return [block for section in _sections(site) for block in section.blocks if isinstance(block, Figure)]


def _task_names(site: _Site) -> list[str]:
    names = [entry.task for entry in site.entries]
    for section in _sections(site):
        for block in section.blocks:
            names.append(block.task)
            if isinstance(block, Table):
                names += [cell.task for row in block.rows for cell in row if isinstance(cell, Cell)]
    for page in site.pages:
        names += [finding.criterion.of.split(".")[0] for verdict in page.verdicts for finding in verdict.findings]
        names += [verdict.claim.headline.split(".")[0] for verdict in page.verdicts]
    return [name for name in dict.fromkeys(names) if name]


# ------------------------------------------------------------------------------------------------------------ rendering


@dataclass(slots=True)
class _Tally:
    """Words of one page, and those among them that stayed in English."""

    words: int = 0
    english: int = 0

    def add(self, text: str, *, told: bool) -> None:
        """Count a text."""
        count = len(text.split())
        self.words += count
        self.english += 0 if told else count

    @property
    def percent(self) -> int:
        """How much of the page stayed in English."""
        return round(100 * self.english / max(self.words, 1))


def _environment(words: Language, site: _Site) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
    from markupsafe import Markup

    phrases = Phrases(words, site.translations.get(words.code, {}).get("phrases", {}))

    @pass_context
    def say(context: Any, text: str) -> str:
        """Return a text in the language of the page, or marked as English."""
        if words.code == "en" or not text:
            return text
        told = phrases(text)
        context["tally"].add(text, told=told is not None)
        return Markup('<span lang="en">{}</span>').format(text) if told is None else told

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "change": words.change,
        "number": words.number,
        "reading": words.reading,
        "ends": words.ends,
        "smallest": words.smallest,
        "strip": lambda headline: strip(headline, words),
        "key": lambda label: label.replace(" ", "_"),
        "say": say,
        "plainly": lambda text: text if words.code == "en" else phrases(text) or text,
        "drawn": lambda file: _drawings(file).get(words.code, file.name),
        "failed": _failed,
        "kind_of": lambda block: type(block).__name__,
    }
    environment.globals |= {
        "languages": [(code, language(code).texts["language"]["name"]) for code in LANGUAGES if code == "en" or code in site.translations],
        "said": lambda claim, name: _said(site, words.code, claim, name),
        "report_says": lambda page: _report_says(site, words.code, page),
        "has_page": lambda code, page: code == "en" or _translated(site, code, page),
        "claim_page": lambda name: next((page for page in site.pages if page.id == name), None),
        "counts": _counts(site),
        "families": _families(site),
        "countries": _countries(site),
    }  # fmt: skip
    return environment


def _said(site: _Site, code: str, claim: Claim, name: str) -> str:
    """Return a text of a claim in the language of the page, or in English where there is none."""
    found = site.translations.get(code, {}).get(claim.report["id"], {}).get(claim.id, {}).get(name)
    return str(found or getattr(claim, name, ""))


def _failed(verdict: Verdict) -> list[Finding]:
    """Return the conditions of a credible comparison that do not hold."""
    asked = names_in(verdict.claim.identified)
    return [found for found in verdict.findings if found.holds is not True and found.criterion.name in asked]


def _report_says(site: _Site, code: str, page: ClaimPage) -> str:
    found = site.translations.get(code, {}).get(page.id, {}).get("statement")
    return str(found or page.verdicts[0].claim.report["statement"])


def _counts(site: _Site) -> dict[str, int]:
    """Return how many lines of the ledger bear each label, in the order in which they are explained."""
    labels: list[str] = [verdict.label for page in site.pages for verdict in page.verdicts]
    labels += [entry.label for entry in site.entries]
    order = ("supported", "refuted", "inconclusive", "not identified", "matched", "off", "other quantity", "not recomputed", "no data", "not testable")  # fmt: skip
    return {label: labels.count(label) for label in order}


def _countries(site: _Site) -> list[str]:
    named = [page.country for page in site.pages] + [entry.country for entry in site.entries]
    return sorted({country for names in named for country in names.split(", ") if country})


def _write(environment: Any, template: str, path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(environment.get_template(template).render(**values), encoding="utf-8", newline="\n")


# -------------------------------------------------------------------------------------------------------------- English


def change(ratio: float | None) -> str:
    """Return a ratio as a change in words of a table: '+40%', '−8%', 'no change'."""
    return _ENGLISH.change(ratio)


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with a few significant digits and a real minus sign."""
    return _ENGLISH.number(value, digits)


def reading(headline: Headline, events: str = "homicides") -> str:
    """Return the estimate in words that a lay reader reads rightly; `events` are what is counted."""
    return _ENGLISH.reading(headline, events)


def against_expected(ratio: float | None) -> str:
    """Return a ratio in words of a sentence: '40% above expected', 'as expected'."""
    if ratio is None or not np.isfinite(ratio):
        return "not computed"
    percent = round(100 * abs(ratio - 1))
    return "as expected" if percent == 0 else f"{percent:,}% {'above' if ratio > 1 else 'below'} expected"


def p_value(value: float | None) -> str:
    """Return a p-value with two digits, and small ones as a bound."""
    if value is None or not np.isfinite(value):
        return "not computed"
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


@dataclass(frozen=True, slots=True)
class Strip:
    """A small picture of one interval, in per cent of its width."""

    value: float
    low: float
    high: float
    none: float
    ticks: tuple[tuple[float, str], ...]
    cut_low: bool
    cut_high: bool


def strip(headline: Headline, words: Language = _ENGLISH) -> Strip | None:
    """Return where an interval lies: ratios from a third to three times the expected number, differences around none.

    A count without an interval has no picture.
    """
    if headline.value is None or headline.low is None or headline.high is None or headline.low == headline.high:
        return None
    if headline.scale == "ratio":
        ticks = [(np.log(ratio), words.change(ratio) if ratio != 1 else "0") for ratio in (0.5, 1.0, 2.0)]
        # An interval may end at no deaths at all.
        shown = [float(np.log(max(end, 1e-9))) for end in (headline.value, headline.low, headline.high)]
        return _placed(shown, ticks, float(np.log(3.0)))
    shown = [headline.value, headline.low, headline.high]
    reach = 1.15 * max(abs(end) for end in shown) or 1.0
    half = float(f"{reach / 2:.1g}")
    return _placed(shown, [(-half, words.number(-half)), (0.0, "0"), (half, words.number(half))], reach)


def _placed(ends: Sequence[float], ticks: Sequence[tuple[float, str]], reach: float) -> Strip:
    def place(value: float) -> float:
        return round(float(50 + 50 * np.clip(value / reach, -1, 1)), 2)

    value, low, high = ends
    marks = tuple((place(at), text) for at, text in ticks)
    return Strip(place(value), place(low), place(high), place(0.0), marks, low < -reach, high > reach)
