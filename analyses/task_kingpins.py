"""Tasks of claim K01: from processed tables to published numbers.

Every number has one task: ``analyses/build/kingpins_main.json`` is made by ``task_kingpins[kingpins_main]``. The same tasks run
on an invented country (``-m smoke``), into ``analyses/build/smoke``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pytask import Product, mark, task

from analyses import kingpins, settings
from analyses.effects import SIMULATED
from analyses.mexico import Inputs, Section, official_inputs
from analyses.synthetic import synthetic_inputs
from crimepolicy.claims.plan import read_plan
from crimepolicy.data import load_table
from crimepolicy.report.numbers import write_numbers

SECTION = "kingpins"
CODE = [settings.HERE / f"{name}.py" for name in ("effects", "kingpins", "mexico", "settings", "synthetic")]
TABLES = settings.tables("mexico_municipality_month", "mexico_state_month", "mexico_contiguity", "kingpins_mexico")
LITERATURE = settings.tables("published_estimates")
LIBRARY = settings.library()
PLAN = read_plan(settings.PLAN)
SMOKE_DRAWS = 19


@dataclass(frozen=True, slots=True)
class Run:
    """What one task needs: its inputs, its part of the plan, and its own stream of random numbers."""

    inputs: Inputs
    section: Section
    draws: int
    seed: int


Compute = Callable[[Run], dict[str, Any]]


def effects(**change: Any) -> Compute:
    return lambda run: kingpins.effect_numbers(run.inputs, run.section, change, draws=run.draws, seed=run.seed)


def placebo(group: str) -> Compute:
    return lambda run: kingpins.placebo_numbers(run.inputs, run.section, group, draws=run.draws, seed=run.seed)


def specifications(run: Run) -> dict[str, Any]:
    rows = [kingpins.specification_numbers(run.inputs, run.section, entry) for entry in run.section["specification"]]
    return {"rows": {row["name"]: row for row in rows}}


NUMBERS: dict[str, Compute] = {
    "sample": lambda run: kingpins.sample_numbers(run.inputs, run.section),
    "counts": lambda run: kingpins.count_numbers(run.inputs, run.section),
    "main": effects(),
    "matched": effects(controls="matched"),
    "lieutenant": effects(**PLAN.section(SECTION)["beside"]["lieutenant"]),
    "plaza": effects(**PLAN.section(SECTION)["beside"]["plaza"]),
    "state": lambda run: kingpins.state_numbers(run.inputs, run.section, draws=run.draws, seed=run.seed),
    "leads": lambda run: kingpins.lead_numbers(run.inputs, run.section, draws=run.draws, seed=run.seed),
    "path": lambda run: kingpins.path_numbers(kingpins.path_estimate(run.inputs, run.section), seed=run.seed),
    "honest": lambda run: kingpins.honest_numbers(run.inputs, run.section, seed=run.seed),
    "leave_out": lambda run: kingpins.leave_out_numbers(run.inputs, run.section),
    "specifications": specifications,
    "published": lambda run: kingpins.published_numbers(load_table("published_estimates")),
    **{f"placebo_{group}": placebo(group) for group in (*PLAN.section(SECTION)["placebo"], "all")},
}


def compute(name: str, smoke: bool) -> dict[str, Any]:
    """Return the numbers of one task."""
    section = PLAN.section(SECTION)
    inputs = synthetic_inputs(section) if smoke else official_inputs(section)
    draws = SMOKE_DRAWS if smoke else section["inference"]["draws"]
    return NUMBERS[name](Run(inputs, section, draws, settings.seed_of(f"{SECTION}_{name}")))


def write(numbers: dict[str, Any], out: Path, placebos: Path) -> None:
    """Write the published numbers and, beside them, the placebo estimates that only figures need."""
    write_numbers(placebos, numbers.pop("placebos", {}))
    settings.publish(out, SECTION, numbers, SIMULATED)


for name in NUMBERS:
    reads = LITERATURE if name == "published" else TABLES

    @task(id=f"{SECTION}_{name}")
    def task_kingpins(
        name: str = name,
        library: list[Path] = LIBRARY,
        code: list[Path] = CODE,
        tables: list[Path] = reads,
        plan: Path = settings.PLAN,
        environment: Path = settings.LOCK,
        out: Annotated[Path, Product] = settings.BUILD / f"{SECTION}_{name}.json",
        placebos: Annotated[Path, Product] = settings.BUILD / "placebos" / f"{SECTION}_{name}.json",
    ) -> None:
        """Compute numbers of claim K01 from official figures."""
        write(compute(name, smoke=False), out, placebos)

    @mark.smoke
    @task(id=f"{SECTION}_{name}")
    def task_smoke(
        name: str = name,
        library: list[Path] = LIBRARY,
        code: list[Path] = CODE,
        tables: list[Path] = LITERATURE,
        plan: Path = settings.PLAN,
        environment: Path = settings.LOCK,
        out: Annotated[Path, Product] = settings.BUILD / "smoke" / f"{SECTION}_{name}.json",
        placebos: Annotated[Path, Product] = settings.BUILD / "smoke" / "placebos" / f"{SECTION}_{name}.json",
    ) -> None:
        """Compute the same numbers from an invented country."""
        write(compute(name, smoke=True), out, placebos)
