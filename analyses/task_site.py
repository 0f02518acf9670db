"""Tasks that judge the claims, draw the figures and write the site, for official figures and for the invented country."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pytask import Product, mark, task

from analyses import kingpins, kingpins_figures, kingpins_page, settings
from analyses.task_kingpins import NUMBERS, SECTION, TABLES
from crimepolicy.claims.claim import Claim, read_claims
from crimepolicy.claims.plan import read_plan
from crimepolicy.claims.verdict import Verdict, judge
from crimepolicy.data import load_table
from crimepolicy.data.dictionary import read_dictionary
from crimepolicy.report.numbers import read_numbers, read_results, write_numbers
from crimepolicy.report.reproduce import compare
from crimepolicy.report.site import TaskRecord, write_site

CLAIMS = [settings.CLAIMS / "K01.toml"]
DICTIONARIES = [settings.PROCESSED / f"{name}.toml" for name in kingpins_page.DATA]
PUBLISHED_NUMBERS = sorted(settings.RESULTS.glob("*.json"))
PUBLISHED = settings.tables("published_estimates")
SHOWING = settings.showing("report", "claims")
CODE = [
    settings.HERE / f"{name}.py"
    for name in ("figures", "kingpins", "kingpins_figures", "kingpins_page", "settings", "task_kingpins")
]


@dataclass(frozen=True, slots=True)
class Line:
    """Where one run of the whole line keeps its products."""

    name: str
    build: Path
    site: Path

    @property
    def numbers(self) -> list[Path]:
        """Files of published numbers that verdicts and pages read."""
        return [self.build / f"{SECTION}_{name}.json" for name in (*NUMBERS, "published")]

    @property
    def placebos(self) -> list[Path]:
        """Files of placebo estimates that figures read."""
        return [self.build / "placebos" / f"{SECTION}_{name}.json" for name in NUMBERS]

    @property
    def figures(self) -> list[Path]:
        """Figures, each with its data."""
        folder = self.build / "figures"
        return [
            folder / f"{SECTION}_{name}.{ending}" for name in kingpins_figures.FIGURES for ending in ("svg", "json")
        ]


OFFICIAL = Line("official", settings.BUILD, settings.SITE)
SMOKE = Line("smoke", settings.BUILD / "smoke", settings.BUILD / "smoke" / "site")


def verdicts(line: Line) -> list[tuple[Claim, Verdict]]:
    """Return every claim with its verdict."""
    results, plan = read_results(line.build), read_plan(settings.PLAN)
    return [(claim, judge(claim, results, plan=plan)) for file in CLAIMS for claim in read_claims(file)]


def records(line: Line) -> list[TaskRecord]:
    """Return every task that makes published numbers."""
    names = [path.stem for path in TABLES if path.suffix == ".parquet"]
    made = [
        TaskRecord(
            f"{SECTION}_{name}",
            f"analyses/task_kingpins.py::task_kingpins[{SECTION}_{name}]",
            line.build / f"{SECTION}_{name}.json",
            tuple(names),
        )
        for name in NUMBERS
    ]
    compared = TaskRecord(
        f"{SECTION}_published",
        "analyses/task_site.py::task_published",
        line.build / f"{SECTION}_published.json",
        ("published_estimates",),
    )
    judged = TaskRecord("verdicts", "analyses/task_site.py::task_verdicts", line.build / "verdicts.json", ())
    return [*made, compared, judged]


def site(line: Line) -> None:
    """Write the site of one line."""
    plan, results = read_plan(settings.PLAN), read_results(line.build)
    # The first build of all has nothing published to be compared with.
    compared = (
        str(compare(line.build, settings.RESULTS)).splitlines()[-1] if line is OFFICIAL and PUBLISHED_NUMBERS else ""
    )
    found = [verdict for _, verdict in verdicts(line)]
    pages = [kingpins_page.page(tuple(found), results, plan, line.build / "figures")]
    cards = {name: read_dictionary(name) for name in kingpins_page.DATA}
    write_site(line.site, pages, records(line), cards, seen_before=plan.seen_before, comparison=compared)


for line in (OFFICIAL, SMOKE):
    marked = mark.smoke if line is SMOKE else (lambda function: function)

    @marked
    @task(id=line.name)
    def task_published(
        tables: list[Path] = PUBLISHED,
        code: list[Path] = CODE,
        plan: Path = settings.PLAN,
        out: Annotated[Path, Product] = line.build / f"{SECTION}_published.json",
    ) -> None:
        """Bring the published estimates on one scale with ours."""
        settings.publish(out, SECTION, kingpins.published_numbers(load_table("published_estimates")))

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
        write_numbers(
            out, {"task": "verdicts", "claims": {claim.id: verdict.to_dict() for claim, verdict in verdicts(line)}}
        )

    @marked
    @task(id=line.name)
    def task_figures(
        line: Line = line,
        numbers: list[Path] = line.numbers,
        placebos: list[Path] = line.placebos,
        code: list[Path] = CODE,
        showing: list[Path] = SHOWING,
        figures: Annotated[list[Path], Product] = line.figures,
    ) -> None:
        """Draw the figures of claim K01 from published numbers."""
        drawn = {path.stem: read_numbers(path) for path in placebos}
        kingpins_figures.draw_all(line.build / "figures", read_results(line.build), drawn, read_plan(settings.PLAN))

    @marked
    @task(id=line.name)
    def task_site(
        line: Line = line,
        numbers: list[Path] = line.numbers,
        judged: Path = line.build / "verdicts.json",
        figures: list[Path] = line.figures,
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
