"""Tasks that judge the claims, draw the figures and write the site, for official figures and for the invented country."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pytask import Product, mark, task

from analyses import settings
from analyses.families import FAMILIES, Family
from crimepolicy.claims.claim import Claim, read_claims
from crimepolicy.claims.plan import read_plan
from crimepolicy.claims.verdict import Verdict, judge
from crimepolicy.data.dictionary import read_dictionary
from crimepolicy.errors import ClaimError
from crimepolicy.report.numbers import read_numbers, read_results, write_numbers
from crimepolicy.report.reproduce import compare
from crimepolicy.report.site import TaskRecord, write_site

CLAIMS = sorted(settings.CLAIMS.glob("*.toml"))
CARDS = sorted({name for family in FAMILIES for name in (*family.tables, *family.data)})
DICTIONARIES = [settings.PROCESSED / f"{name}.toml" for name in CARDS]
PUBLISHED_NUMBERS = sorted(settings.RESULTS.glob("*.json"))
SHOWING = settings.showing("report", "claims")
CODE = sorted(settings.HERE.glob("*.py"))


@dataclass(frozen=True, slots=True)
class Line:
    """Where one run of the whole line keeps its products."""

    name: str
    build: Path
    site: Path

    @property
    def numbers(self) -> list[Path]:
        """Files of published numbers that verdicts and pages read."""
        return [self.build / f"{name}.json" for family in FAMILIES for name in family.numbers]

    @property
    def placebos(self) -> list[Path]:
        """Files of placebo estimates that figures read."""
        return [self.build / "placebos" / path.name for path in self.numbers]

    def figures(self, family: Family) -> list[Path]:
        """Return the figures of one claim, each with its data."""
        names = [f"{name}.{ending}" for name in family.figures for ending in ("svg", "json")]
        return [self.build / "figures" / name for name in names]


OFFICIAL = Line("official", settings.BUILD, settings.SITE)
SMOKE = Line("smoke", settings.BUILD / "smoke", settings.BUILD / "smoke" / "site")


def claims() -> dict[str, tuple[Claim, ...]]:
    """Return the parts of every claim of the report, by its identifier."""
    read = [read_claims(file) for file in CLAIMS]
    return {parts[0].report["id"]: parts for parts in read}


def verdicts(line: Line) -> dict[str, tuple[Verdict, ...]]:
    """Return the verdicts on the parts of every claim that is analysed."""
    results, plan, known = read_results(line.build), read_plan(settings.PLAN), claims()
    absent = [family.claim for family in FAMILIES if family.claim not in known]
    if absent:
        raise ClaimError(f"The analysis of {absent[0]} has no claim file in analyses/claims.")
    return {family.claim: tuple(judge(part, results, plan=plan) for part in known[family.claim]) for family in FAMILIES}


def records(line: Line) -> list[TaskRecord]:
    """Return every task that makes published numbers."""
    made = [
        TaskRecord(
            name,
            f"analyses/{family.task_file}.py::{family.task_file}[{name}]",
            line.build / f"{name}.json",
            family.tables,
        )
        for family in FAMILIES
        for name in family.numbers
    ]
    return [*made, TaskRecord("verdicts", "analyses/task_site.py::task_verdicts", line.build / "verdicts.json", ())]


def site(line: Line) -> None:
    """Write the site of one line."""
    plan, results, found = read_plan(settings.PLAN), read_results(line.build), verdicts(line)
    pages = [family.page(found[family.claim], results, plan, line.build / "figures") for family in FAMILIES]
    cards = {name: read_dictionary(name) for name in CARDS}
    # The first build of all has nothing published to be compared with.
    published = line is OFFICIAL and PUBLISHED_NUMBERS
    compared = str(compare(line.build, settings.RESULTS)).splitlines()[-1] if published else ""
    waiting = [part for name, parts in claims().items() if name not in found for part in parts]
    write_site(
        line.site, pages, records(line), cards, seen_before=plan.seen_before, comparison=compared, waiting=waiting
    )


for line in (OFFICIAL, SMOKE):
    marked = mark.smoke if line is SMOKE else (lambda function: function)

    @marked
    @task(id=line.name)
    def task_verdicts(
        line: Line = line,
        numbers: list[Path] = line.numbers,
        claims: list[Path] = CLAIMS,
        showing: list[Path] = SHOWING,
        plan: Path = settings.PLAN,
        out: Annotated[Path, Product] = line.build / "verdicts.json",
    ) -> None:
        """Judge every claim."""
        judged = {verdict.claim.id: verdict.to_dict() for parts in verdicts(line).values() for verdict in parts}
        write_numbers(out, {"task": "verdicts", "claims": judged})

    for family in FAMILIES:
        drawings = line.figures(family)

        @marked
        @task(id=f"{family.claim}-{line.name}")
        def task_figures(
            line: Line = line,
            family: Family = family,
            numbers: list[Path] = line.numbers,
            placebos: list[Path] = line.placebos,
            code: list[Path] = CODE,
            showing: list[Path] = SHOWING,
            plan: Path = settings.PLAN,
            figures: Annotated[list[Path], Product] = drawings,
        ) -> None:
            """Draw the figures of one claim from published numbers."""
            drawn = {path.stem: read_numbers(path) for path in placebos}
            family.draw(line.build / "figures", read_results(line.build), drawn, read_plan(plan))

    every = [path for family in FAMILIES for path in line.figures(family)]

    @marked
    @task(id=line.name)
    def task_site(
        line: Line = line,
        numbers: list[Path] = line.numbers,
        judged: Path = line.build / "verdicts.json",
        figures: list[Path] = every,
        published: list[Path] = PUBLISHED_NUMBERS,
        dictionaries: list[Path] = DICTIONARIES,
        claims: list[Path] = CLAIMS,
        code: list[Path] = CODE,
        showing: list[Path] = SHOWING,
        plan: Path = settings.PLAN,
        index: Annotated[Path, Product] = line.site / "index.html",
    ) -> None:
        """Write the site."""
        site(line)
