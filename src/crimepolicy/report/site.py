"""The static site: a ledger of claims, a page per claim, and a page of tasks where every number was made."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from crimepolicy.claims.claim import Claim
from crimepolicy.claims.verdict import Headline, Verdict
from crimepolicy.data.dictionary import Dictionary
from crimepolicy.errors import DataError

__all__ = [
    "Cell",
    "ClaimPage",
    "Figure",
    "Section",
    "Table",
    "TaskRecord",
    "against_expected",
    "change",
    "number",
    "p_value",
    "write_site",
]

_TEMPLATES = Path(__file__).parent / "templates"
_SCALES: dict[str, tuple[float, ...]] = {"ratio": (0.5, 1.0, 2.0)}


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
    """

    verdicts: tuple[Verdict, ...]
    lead: str
    sections: tuple[Section, ...]
    tables: tuple[str, ...]
    words: Mapping[str, str] = field(default_factory=dict)


def write_site(
    folder: Path | str,
    pages: Sequence[ClaimPage],
    tasks: Sequence[TaskRecord],
    cards: Mapping[str, Dictionary],
    *,
    seen_before: Mapping[str, Any],
    comparison: str = "",
    waiting: Sequence[Claim] = (),
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

    Raises
    ------
    DataError
        Where a page names a task or a table that is not given, or a figure is missing.
    """
    folder = Path(folder)
    _check(pages, tasks, cards)
    if folder.exists():
        shutil.rmtree(folder)
    for name in ("figures", "numbers"):
        (folder / name).mkdir(parents=True)
    shutil.copyfile(_TEMPLATES / "style.css", folder / "style.css")
    for record in tasks:
        shutil.copyfile(record.product, folder / "numbers" / record.product.name)
    for figure in _figures(pages):
        for file in (figure.file, figure.file.with_suffix(".json")):
            shutil.copyfile(file, folder / "figures" / file.name)
    shared = {"pages": pages, "comparison": comparison, "seen_before": seen_before, "waiting": waiting}
    environment = _environment()
    _write(environment, "index.html", folder / "index.html", shared)
    _write(environment, "tasks.html", folder / "tasks.html", shared | {"tasks": tasks, "cards": cards})
    for page in pages:
        used = {name: cards[name] for name in page.tables}
        _write(
            environment,
            "claim.html",
            folder / f"{page.verdicts[0].claim.report['id']}.html",
            shared | {"page": page, "cards": used},
        )


def _check(pages: Sequence[ClaimPage], tasks: Sequence[TaskRecord], cards: Mapping[str, Dictionary]) -> None:
    known = {record.name for record in tasks}
    for name in _task_names(pages):
        if name not in known:
            raise DataError(f"The site links a number to the task {name!r}, which is not among the tasks given.")
    absent = [name for page in pages for name in page.tables if name not in cards]
    if absent:
        raise DataError(f"The site needs a data card for {absent[0]!r}. Give its dictionary.")
    for figure in _figures(pages):
        if not (figure.file.is_file() and figure.file.with_suffix(".json").is_file()):
            raise DataError(f"The figure {figure.file.name} or its data is missing. Run the analyses first.")


def _figures(pages: Iterable[ClaimPage]) -> list[Figure]:
    return [
        block for page in pages for section in page.sections for block in section.blocks if isinstance(block, Figure)
    ]


def _task_names(pages: Iterable[ClaimPage]) -> list[str]:
    names: list[str] = []
    for page in pages:
        for section in page.sections:
            for block in section.blocks:
                names.append(block.task)
                if isinstance(block, Table):
                    names += [cell.task for row in block.rows for cell in row if isinstance(cell, Cell)]
        names += [finding.criterion.of.split(".")[0] for verdict in page.verdicts for finding in verdict.findings]
        names += [verdict.claim.headline.split(".")[0] for verdict in page.verdicts]
    return [name for name in dict.fromkeys(names) if name]


# ------------------------------------------------------------------------------------------------------------ rendering


def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "change": change,
        "number": number,
        "reading": reading,
        "strip": strip,
        "kind_of": lambda block: type(block).__name__,
    }
    return environment


def _write(environment: Any, template: str, path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(environment.get_template(template).render(**values), encoding="utf-8", newline="\n")


def change(ratio: float | None) -> str:
    """Return a ratio as a change in words of a table: '+40%', '−8%', 'no change'."""
    if ratio is None or not np.isfinite(ratio):
        return "not computed"
    if ratio >= 10:
        return f"\u00d7{ratio:.3g}"
    percent = round(100 * (ratio - 1))
    return "no change" if percent == 0 else f"{percent:+,}%".replace("-", "\u2212")


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with a few significant digits and a real minus sign."""
    if value is None or not np.isfinite(value):
        return "not computed"
    text = f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
    return text.replace("-", "\u2212")


def reading(headline: Headline, events: str = "homicides") -> str:
    """Return the estimate in words that a lay reader reads rightly; `events` are what is counted."""
    if headline.value is None or headline.low is None or headline.high is None:
        return "The number could not be computed."
    if headline.scale != "ratio":
        return f"Best estimate {number(headline.value)}; the figures are compatible with anything from {number(headline.low)} to {number(headline.high)}."
    return f"Best estimate: {_more(headline.value)} {events} than expected. The figures are compatible with anything from {_more(headline.low)} to {_more(headline.high)}."


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


def _more(ratio: float) -> str:
    percent = round(100 * abs(ratio - 1))
    return "as many" if percent == 0 else f"{percent:,}% {'more' if ratio > 1 else 'fewer'}"


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


def strip(headline: Headline) -> Strip | None:
    """Return where an interval of ratios lies on an axis from a third to three times the expected number."""
    if headline.scale != "ratio" or headline.value is None or headline.low is None or headline.high is None:
        return None
    left, right = np.log(1 / 3), np.log(3.0)

    def place(ratio: float) -> float:
        return round(float(100 * (np.clip(np.log(ratio), left, right) - left) / (right - left)), 2)

    ticks = tuple((place(ratio), change(ratio) if ratio != 1 else "0") for ratio in _SCALES["ratio"])
    return Strip(
        value=place(headline.value),
        low=place(headline.low),
        high=place(headline.high),
        none=place(1.0),
        ticks=ticks,
        cut_low=bool(np.log(headline.low) < left),
        cut_high=bool(np.log(headline.high) > right),
    )
