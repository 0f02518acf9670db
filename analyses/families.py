"""The claims that are analysed: for each, its numbers, its figures and its page. A new claim adds one entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analyses import kingpins_figures, kingpins_page, task_upp, upp_figures, upp_page
from analyses.task_kingpins import LITERATURE, NUMBERS, SECTION, TABLES
from crimepolicy.claims.plan import Plan
from crimepolicy.claims.verdict import Verdict
from crimepolicy.report.site import ClaimPage

Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Family:
    """What verdicts, figures and the site need to know of the analysis of one claim of the report.

    Attributes
    ----------
    claim : str
        Identifier of the claim of the report, as in its file.
    numbers : tuple of str
        Files of published numbers; each is made by the task of that name in `task_file`.
    task_file : str
        Name of the file with these tasks.
    tables, data : tuple of str
        Tables that the tasks read, and those that get a data card on the page.
    figures : tuple of str
        Names of the figures that `draw` writes.
    draw, page : callable
        From published numbers to figures, and to the page.
    """

    claim: str
    numbers: tuple[str, ...]
    task_file: str
    tables: tuple[str, ...]
    data: tuple[str, ...]
    figures: tuple[str, ...]
    draw: Callable[[Path, Results, Results, Plan], None]
    page: Callable[[tuple[Verdict, ...], Results, Plan, Path], ClaimPage]


KINGPINS = Family(
    claim="K01",
    numbers=tuple(f"{SECTION}_{name}" for name in NUMBERS),
    task_file="task_kingpins",
    tables=tuple(path.stem for path in (*TABLES, *LITERATURE) if path.suffix == ".parquet"),
    data=kingpins_page.DATA,
    figures=tuple(f"{SECTION}_{name}" for name in kingpins_figures.FIGURES),
    draw=kingpins_figures.draw_all,
    page=kingpins_page.page,
)

UPP = Family(
    claim="P01",
    numbers=tuple(f"{task_upp.SECTION}_{name}" for name in task_upp.NUMBERS),
    task_file="task_upp",
    tables=task_upp.DATA,
    data=upp_page.DATA,
    figures=tuple(f"{task_upp.SECTION}_{name}" for name in upp_figures.FIGURES),
    draw=upp_figures.draw_all,
    page=upp_page.page,
)

FAMILIES = (KINGPINS, UPP)
