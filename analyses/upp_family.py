"""Claim P01 as the tasks and the site see it, with the numbers planned later in a section of their own."""

from analyses import upp, upp_figures, upp_more, upp_more_page, upp_page
from analyses.family import Compute, Family
from crimepolicy.data import load_table

SECTION = "upp"

NUMBERS: dict[str, Compute] = {
    "sample": lambda run: upp.sample_numbers(run.section),
    "counts": lambda run: upp.count_numbers(run.section),
    "main": lambda run: upp.main_numbers(run.section, draws=run.draws, seed=run.seed),
    "areas": lambda run: upp.area_numbers(run.section, draws=run.draws, seed=run.seed),
    "leads": lambda run: upp.lead_numbers(run.section, draws=run.draws, seed=run.seed),
    "path": lambda run: upp.path_numbers(run.section, seed=run.seed),
    "honest": lambda run: upp.honest_numbers(run.section, seed=run.seed),
    "leave_out": lambda run: upp.leave_out_numbers(run.section),
    "specifications": lambda run: upp.specification_numbers(run.section),
    "spillover": lambda run: upp.spillover_numbers(run.section),
    "split": lambda run: upp.split_numbers(run.section),
    "published": lambda run: upp.published_numbers(load_table("published_estimates")),
    **upp_more.NUMBERS,
}

FAMILY = Family(
    claim="P01",
    section=SECTION,
    numbers=NUMBERS,
    modules=("effects", "mexico", "rio", "standard", "upp", "upp_family", "upp_more"),
    tables=upp_page.DATA,
    figures=(
        *(f"{SECTION}_{name}" for name in upp_figures.FIGURES),
        *(f"{upp_more.SECTION}_{name}" for name in upp_more_page.FIGURES),
    ),
    draw=upp_figures.draw_all,
    page=upp_page.page,
    kinds={**upp.SIMULATED, **upp_more.KINDS},
    elsewhere=dict.fromkeys(upp_more.NUMBERS, upp_more.SECTION),
)
