"""The task that computes the numbers stated in the report again: ``analyses/build/statements.json``."""

from pathlib import Path
from typing import Annotated

from pytask import Product, PythonNode, task

from analyses import settings
from analyses.statements import TABLES, statement_numbers

SECTION = "statements"
PLAN = settings.plan()


@task(id=SECTION)
def task_statements(
    plan: Annotated[str, PythonNode(value=PLAN.digest(SECTION), hash=True)],
    library: Annotated[str, PythonNode(value=settings.library(), hash=True)],
    code: list[Path] = settings.modules(SECTION),
    tables: list[Path] = settings.tables(*TABLES),
    out: Annotated[Path, Product] = settings.BUILD / f"{SECTION}.json",
) -> None:
    """Compute every stated number that the tables hold."""
    settings.publish(out, SECTION, statement_numbers(PLAN.section(SECTION)))
