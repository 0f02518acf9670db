"""Tasks that judge the claims, draw the figures and write the site, for official figures and for the invented country."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pytask import Product, PythonNode, mark, task

from analyses import settings
from analyses.families import FAMILIES
from analyses.family import Family
from analyses.ledger import TASK, countries_of, entries, translations
from analyses.sources import source_page
from analyses.statements import TABLES as STATED
from analyses.timelines import FIGURES as TIMELINES
from analyses.timelines import TABLES as DATED
from analyses.timelines import draw_timelines, timelines
from crimepolicy.claims.claim import read_claims
from crimepolicy.claims.verdict import Verdict, judge
from crimepolicy.data.dictionary import read_dictionary
from crimepolicy.report.numbers import read_numbers, write_numbers
from crimepolicy.report.reproduce import compare
from crimepolicy.report.site import ClaimPage, TaskRecord, write_site

CLAIMS = sorted(settings.CLAIMS.glob("*.toml"))
CARDS = sorted({name for family in FAMILIES for name in (*family.tables, *family.data)} | set(STATED))
DICTIONARIES = [settings.PROCESSED / f"{name}.toml" for name in CARDS]
PUBLISHED_NUMBERS = sorted(settings.RESULTS.glob("*.json"))
SHOWING = settings.showing()
CODE = settings.code()
STATEMENTS = settings.BUILD / f"{TASK}.json"
WORDS = [
    settings.HERE / "untested.toml",
    settings.HERE / "sources.toml",
    *sorted((settings.HERE / "translations").glob("*.toml")),
]


@dataclass(frozen=True, slots=True)
class Line:
    """Where one run of the whole line keeps its products, and the claims it covers."""

    name: str
    build: Path
    site: Path
    families: tuple[Family, ...]

    def numbers(self, family: Family) -> list[Path]:
        """Return the files of published numbers of one claim."""
        return [self.build / f"{name}.json" for name in family.files]

    def placebos(self, family: Family) -> list[Path]:
        """Return the files of placebo estimates that its figures read."""
        return [self.build / "placebos" / path.name for path in self.numbers(family)]

    def verdict(self, family: Family) -> Path:
        """Return the file with the verdicts on its parts."""
        return self.build / "verdicts" / f"{family.claim}.json"

    def figures(self, family: Family) -> list[Path]:
        """Return its figures in every language, each with its data."""
        return drawn(self, family.figures)


OFFICIAL = Line("official", settings.BUILD, settings.SITE, FAMILIES)
SMOKE = Line(
    "smoke", settings.BUILD / "smoke", settings.BUILD / "smoke" / "site", tuple(f for f in FAMILIES if f.smoke)
)


def claim_file(family: Family) -> Path:
    """Return the file with the criteria of a claim."""
    return settings.CLAIMS / f"{family.claim}.toml"


def numbers_of(line: Line, family: Family) -> dict[str, dict[str, Any]]:
    """Return the published numbers of one claim by file."""
    return {path.stem: read_numbers(path) for path in line.numbers(family)}


def verdicts(line: Line, family: Family) -> tuple[Verdict, ...]:
    """Return the verdicts on the parts of one claim."""
    results, plan = numbers_of(line, family), settings.plan()
    return tuple(judge(part, results, plan=plan) for part in read_claims(claim_file(family)))


def records(line: Line, stated: Path) -> list[TaskRecord]:
    """Return every task that makes published numbers."""
    made = [
        TaskRecord(
            name,
            f"analyses/task_numbers.py::task_numbers[{family.claim}-{name}]",
            line.build / f"{name}.json",
            family.tables,
        )
        for family in line.families
        for name in family.files
    ]
    told = TaskRecord(TASK, f"analyses/task_statements.py::task_statements[{TASK}]", stated, STATED)
    return [
        *made,
        told,
        TaskRecord("verdicts", "analyses/task_site.py::task_verdicts", line.build / "verdicts.json", ()),
    ]


def site(line: Line, stated: Path = STATEMENTS) -> None:
    """Write the site of one line; `stated` is the file of the numbers that the report states."""
    plan = settings.plan()
    pages = [_page(line, family) for family in line.families]
    cards = {name: read_dictionary(name) for name in CARDS}
    # The first build of all has nothing published to be compared with.
    published = line is OFFICIAL and PUBLISHED_NUMBERS
    compared = str(compare(line.build, settings.RESULTS)).splitlines()[-1] if published else ""
    analysed = {claim_file(family) for family in line.families}
    waiting = [part for file in CLAIMS if file not in analysed for part in read_claims(file)]
    lines = entries(read_numbers(stated), [file.stem for file in CLAIMS])
    write_site(
        line.site,
        pages,
        records(line, stated),
        cards,
        seen_before=plan.seen_before,
        comparison=compared,
        waiting=waiting,
        entries=lines,
        extra={"timelines": timelines(line.build / "figures"), "sources": source_page()},
        translations=translations(),
    )


def _page(line: Line, family: Family) -> ClaimPage:
    made = family.page(verdicts(line, family), numbers_of(line, family), settings.plan(), line.build / "figures")
    return replace(made, country=countries_of(family.tables))


def dated(line: Line) -> list[Path]:
    """Return the timelines, each with its data."""
    return drawn(line, TIMELINES)


def drawn(line: Line, figures: Sequence[str]) -> list[Path]:
    """Return the files of figures: the data, and a drawing in every language."""
    files = [(f"{name}.json", *(f"{code}{name}.svg" for code in ("", "es/", "pt/"))) for name in figures]
    return [line.build / "figures" / name for names in files for name in names]


for line in (OFFICIAL, SMOKE):
    marked = mark.smoke if line is SMOKE else (lambda function: function)
    for family in line.families:

        @marked
        @task(id=f"{family.claim}-{line.name}")
        def task_verdict(
            line: Annotated[Line, PythonNode(value=line)],
            family: Annotated[Family, PythonNode(value=family)],
            showing: Annotated[str, PythonNode(value=SHOWING, hash=True)],
            numbers: list[Path] = line.numbers(family),
            claim: Path = claim_file(family),
            plan: Path = settings.PLAN,
            out: Annotated[Path, Product] = line.verdict(family),
        ) -> None:
            """Judge one claim."""
            write_numbers(out, {verdict.claim.id: verdict.to_dict() for verdict in verdicts(line, family)})

        @marked
        @task(id=f"{family.claim}-{line.name}")
        def task_figures(
            line: Annotated[Line, PythonNode(value=line)],
            family: Annotated[Family, PythonNode(value=family)],
            code: Annotated[str, PythonNode(value=CODE, hash=True)],
            showing: Annotated[str, PythonNode(value=SHOWING, hash=True)],
            numbers: list[Path] = line.numbers(family),
            placebos: list[Path] = line.placebos(family),
            plan: Path = settings.PLAN,
            words: list[Path] = WORDS,
            figures: Annotated[list[Path], Product] = line.figures(family),
        ) -> None:
            """Draw the figures of one claim from published numbers."""
            drawn = {path.stem: read_numbers(path) for path in placebos}
            family.draw(line.build / "figures", numbers_of(line, family), drawn, settings.plan())

    @marked
    @task(id=line.name)
    def task_verdicts(
        parts: list[Path] = [line.verdict(family) for family in line.families],
        out: Annotated[Path, Product] = line.build / "verdicts.json",
    ) -> None:
        """Collect the verdicts on all claims."""
        judged = [read_numbers(path) for path in parts]
        write_numbers(out, {"task": "verdicts", "claims": {key: part[key] for part in judged for key in part}})

    @marked
    @task(id=line.name)
    def task_timelines(
        line: Annotated[Line, PythonNode(value=line)],
        showing: Annotated[str, PythonNode(value=SHOWING, hash=True)],
        tables: list[Path] = settings.tables(*DATED),
        code: list[Path] = settings.modules("figures", "timelines"),
        words: list[Path] = WORDS,
        figures: Annotated[list[Path], Product] = dated(line),
    ) -> None:
        """Draw the homicides of every country with its dated events."""
        draw_timelines(line.build / "figures")

    @marked
    @task(id=line.name)
    def task_site(
        line: Annotated[Line, PythonNode(value=line)],
        code: Annotated[str, PythonNode(value=CODE, hash=True)],
        showing: Annotated[str, PythonNode(value=SHOWING, hash=True)],
        numbers: list[Path] = [path for family in line.families for path in line.numbers(family)],
        judged: Path = line.build / "verdicts.json",
        stated: Path = STATEMENTS,
        words: list[Path] = WORDS,
        figures: list[Path] = [path for family in line.families for path in line.figures(family)] + dated(line),
        published: list[Path] = PUBLISHED_NUMBERS,
        dictionaries: list[Path] = DICTIONARIES,
        claims: list[Path] = CLAIMS,
        plan: Path = settings.PLAN,
        index: Annotated[Path, Product] = line.site / "index.html",
    ) -> None:
        """Write the site."""
        site(line)
