"""Tasks of claim P01: from processed tables to published numbers.

Every number has one task: ``analyses/build/upp_main.json`` is made by ``task_upp[upp_main]``. The smoke run takes the same
figures with few draws.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pytask import Product, mark, task

from analyses import settings, upp
from crimepolicy.claims.plan import read_plan
from crimepolicy.data import load_table
from crimepolicy.report.numbers import write_numbers

SECTION = "upp"
CODE = [settings.HERE / f"{name}.py" for name in ("effects", "mexico", "rio", "settings", "upp")]
DATA = (
    "rio_precinct_month",
    "rio_upp_month",
    "rio_upps",
    "rio_contiguity",
    "rio_inside_outside_month",
    "published_estimates",
)
TABLES = settings.tables(*DATA)
LIBRARY = settings.library()
PLAN = read_plan(settings.PLAN).section(SECTION)
SMOKE_DRAWS = 19

# Each takes the draws and the seed of its task; those that draw nothing leave them.
NUMBERS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "sample": lambda draws, seed: upp.sample_numbers(PLAN),
    "counts": lambda draws, seed: upp.count_numbers(PLAN),
    "main": lambda draws, seed: upp.main_numbers(PLAN, draws=draws, seed=seed),
    "areas": lambda draws, seed: upp.area_numbers(PLAN, draws=draws, seed=seed),
    "leads": lambda draws, seed: upp.lead_numbers(PLAN, draws=draws, seed=seed),
    "path": lambda draws, seed: upp.path_numbers(PLAN, seed=seed),
    "honest": lambda draws, seed: upp.honest_numbers(PLAN, seed=seed),
    "leave_out": lambda draws, seed: upp.leave_out_numbers(PLAN),
    "specifications": lambda draws, seed: upp.specification_numbers(PLAN),
    "spillover": lambda draws, seed: upp.spillover_numbers(PLAN),
    "split": lambda draws, seed: upp.split_numbers(PLAN),
    "published": lambda draws, seed: upp.published_numbers(load_table("published_estimates")),
}


def write(name: str, draws: int, out: Path, placebos: Path) -> None:
    """Write the published numbers of one task and, beside them, the placebo estimates that only figures need."""
    numbers = NUMBERS[name](draws, settings.seed_of(f"{SECTION}_{name}"))
    write_numbers(placebos, numbers.pop("placebos", {}))
    settings.publish(out, SECTION, numbers, upp.SIMULATED)


for name in NUMBERS:

    @task(id=f"{SECTION}_{name}")
    def task_upp(
        name: str = name,
        library: list[Path] = LIBRARY,
        code: list[Path] = CODE,
        tables: list[Path] = TABLES,
        plan: Path = settings.PLAN,
        environment: Path = settings.LOCK,
        out: Annotated[Path, Product] = settings.BUILD / f"{SECTION}_{name}.json",
        placebos: Annotated[Path, Product] = settings.BUILD / "placebos" / f"{SECTION}_{name}.json",
    ) -> None:
        """Compute numbers of claim P01 from official figures."""
        write(name, PLAN["inference"]["draws"], out, placebos)

    @mark.smoke
    @task(id=f"{SECTION}_{name}")
    def task_smoke(
        name: str = name,
        library: list[Path] = LIBRARY,
        code: list[Path] = CODE,
        tables: list[Path] = TABLES,
        plan: Path = settings.PLAN,
        environment: Path = settings.LOCK,
        out: Annotated[Path, Product] = settings.BUILD / "smoke" / f"{SECTION}_{name}.json",
        placebos: Annotated[Path, Product] = settings.BUILD / "smoke" / "placebos" / f"{SECTION}_{name}.json",
    ) -> None:
        """Compute the same numbers with few draws."""
        write(name, SMOKE_DRAWS, out, placebos)
