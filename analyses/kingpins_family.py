"""Claim K01 as the tasks and the site see it; the smoke run computes it on an invented country."""

from typing import Any

from analyses import kingpins, kingpins_figures, kingpins_page, kingpins_pooled, kingpins_pooled_page, settings
from analyses.effects import SIMULATED
from analyses.family import Compute, Family, Run
from analyses.mexico import Inputs
from analyses.synthetic import synthetic_inputs
from crimepolicy.data import load_table

SECTION = "kingpins"
PLAN = settings.plan().section(SECTION)


def inputs(run: Run) -> Inputs:
    """Return Mexico, or the invented country."""
    return synthetic_inputs(run.section) if run.smoke else kingpins_pooled.official()


def effects(**change: Any) -> Compute:
    return lambda run: kingpins.effect_numbers(inputs(run), run.section, change, draws=run.draws, seed=run.seed)


def placebo(group: str) -> Compute:
    return lambda run: kingpins.placebo_numbers(inputs(run), run.section, group, draws=run.draws, seed=run.seed)


def specifications(run: Run) -> dict[str, Any]:
    here = inputs(run)
    rows = [kingpins.specification_numbers(here, run.section, entry) for entry in run.section["specification"]]
    return {"rows": {row["name"]: row for row in rows}}


NUMBERS: dict[str, Compute] = {
    "sample": lambda run: kingpins.sample_numbers(inputs(run), run.section),
    "counts": lambda run: kingpins.count_numbers(inputs(run), run.section),
    "main": effects(),
    "matched": effects(controls="matched"),
    "lieutenant": effects(**PLAN["beside"]["lieutenant"]),
    "plaza": effects(**PLAN["beside"]["plaza"]),
    "state": lambda run: kingpins.state_numbers(inputs(run), run.section, draws=run.draws, seed=run.seed),
    "leads": lambda run: kingpins.lead_numbers(inputs(run), run.section, draws=run.draws, seed=run.seed),
    "path": lambda run: kingpins.path_numbers(kingpins.path_estimate(inputs(run), run.section), seed=run.seed),
    "honest": lambda run: kingpins.honest_numbers(inputs(run), run.section, seed=run.seed),
    "leave_out": lambda run: kingpins.leave_out_numbers(inputs(run), run.section),
    "specifications": specifications,
    "published": lambda run: kingpins.published_numbers(load_table("published_estimates")),
    **{f"placebo_{group}": placebo(group) for group in (*PLAN["placebo"], "all")},
    **kingpins_pooled.NUMBERS,
}

FAMILY = Family(
    claim="K01",
    section=SECTION,
    numbers=NUMBERS,
    modules=(
        "colombia",
        "effects",
        "kingpins",
        "kingpins_family",
        "kingpins_pooled",
        "mexico",
        "policing_meta",
        "standard",
        "synthetic",
    ),
    tables=(
        "mexico_municipality_month",
        "mexico_state_month",
        "mexico_contiguity",
        "kingpins_mexico",
        "colombia_municipality_month",
        "colombia_contiguity",
        "kingpins_colombia",
        "published_estimates",
    ),
    figures=(*(f"{SECTION}_{name}" for name in kingpins_figures.FIGURES), *kingpins_pooled_page.FIGURES),
    draw=kingpins_figures.draw_all,
    page=kingpins_page.page,
    kinds=SIMULATED,
    data=kingpins_page.DATA,
    smoke=True,
    elsewhere=dict.fromkeys(kingpins_pooled.NUMBERS, kingpins_pooled.SECTION),
)
