"""Tasks that compute published numbers, one per file: ``analyses/build/kingpins_main.json`` is made by ``task_numbers[K01-kingpins_main]``.

The smoke run computes some of them with few draws, or on an invented country, into ``analyses/build/smoke``.
"""

from pathlib import Path
from time import process_time
from typing import Annotated

from pytask import Product, PythonNode, mark, task

from analyses import settings
from analyses.families import FAMILIES
from analyses.family import Family, Run
from crimepolicy.report.numbers import write_numbers

SMOKE_DRAWS = 19
PLAN = settings.plan()


def write(family: Family, name: str, out: Path, *, smoke: bool) -> None:
    """Write the published numbers of one task and, beside them, the placebo estimates that only figures need."""
    planned = family.section_of(name)
    section = PLAN.section(planned)
    draws = SMOKE_DRAWS if smoke else section.get("inference", {}).get("draws", 0)
    start = process_time()
    run = Run(section, draws, settings.seed_of(f"{planned}_{name}"), smoke)
    numbers = family.numbers[name](run)
    write_numbers(out.parent / "placebos" / out.name, numbers.pop("placebos", {}))
    settings.publish(out, planned, numbers, family.kinds)
    # No product: a time differs on every run, and nothing depends on it.
    write_numbers(out.parent / "times" / out.name, {"claim": family.claim, "seconds": process_time() - start})


for family in FAMILIES:
    for name in family.numbers:
        for smoke in (False, True)[: 1 + family.smoke]:
            marked = mark.smoke if smoke else (lambda function: function)
            file = f"{family.section_of(name)}_{name}.json"
            folder = settings.BUILD / "smoke" if smoke else settings.BUILD

            @marked
            @task(id=f"{family.claim}-{file.removesuffix('.json')}{'-smoke' * smoke}")
            def task_numbers(
                # A plan of another claim, or another claim's code, does not compute these numbers again.
                plan: Annotated[str, PythonNode(value=family.planned(PLAN, name), hash=True)],
                library: Annotated[str, PythonNode(value=settings.library(), hash=True)],
                family: Annotated[Family, PythonNode(value=family)],
                name: str = name,
                smoke: bool = smoke,
                code: list[Path] = settings.modules(*family.modules),
                tables: list[Path] = settings.tables(*family.tables),
                environment: Path = settings.LOCK,
                out: Annotated[Path, Product] = folder / file,
                placebos: Annotated[Path, Product] = folder / "placebos" / file,
            ) -> None:
                """Compute one file of published numbers."""
                write(family, name, out, smoke=smoke)
