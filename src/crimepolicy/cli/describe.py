"""`crimepolicy describe`."""

from typing import Any

import numpy as np
import pandas as pd
import typer

from crimepolicy.cli.panels import takes_panel
from crimepolicy.cli.showing import AsJson, show_json
from crimepolicy.panel import Panel

__all__ = ["EXAMPLES", "describe"]

EXAMPLES = """\b
Examples:
  crimepolicy describe rio_precinct_month --dose upp_share
  crimepolicy describe mexico_municipality_month --start 2003-01 \\
      --events kingpins_mexico --where rank=leader --where place_precision=municipality
  crimepolicy describe my.csv --unit city --time year --outcome homicides --treated truce --json
"""


@takes_panel
def describe(panel: Panel, as_json: AsJson = False) -> None:
    """Describe a panel: units, periods, outcome, treatment, and what was found while it was read."""
    facts = _facts(panel)
    if as_json:
        show_json(facts)
        return
    typer.echo(str(panel))
    outcome = facts["outcome"]
    typer.echo(
        f"{outcome['name']}: mean {outcome['mean']:.4g}, from {outcome['least']:.4g} to {outcome['most']:.4g}; "
        f"{outcome['zero']:.1%} of cells zero, {outcome['missing']:,} missing"
    )
    for start, units in facts["first_treated"].items():
        typer.echo(f"first treated {start}: {units:,} units")
    for check in panel.checks:
        typer.echo(str(check))


def _facts(panel: Panel) -> dict[str, Any]:
    seen = panel.Y[panel.observed]
    # Where nothing is observed, there is no mean and no range.
    summary = (float(np.mean(seen)), float(np.min(seen)), float(np.max(seen)), float(np.mean(seen == 0)))
    starts = panel.first_treated[np.isfinite(panel.first_treated)].astype(int)
    cohorts = pd.Series(starts).value_counts().sort_index()
    return {
        "name": panel.name,
        "units": panel.n_units,
        "periods": panel.n_periods,
        "first": str(panel.periods[0]),
        "last": str(panel.periods[-1]),
        "outcome": {
            "name": panel.outcome,
            **dict(zip(("mean", "least", "most", "zero"), summary, strict=True)),
            "missing": int((~panel.observed).sum()),
            "count": panel.population is not None,
        },
        "treated_units": int(panel.D.any(axis=1).sum()),
        "treated_cells": int(panel.D.sum()),
        "absorbing": panel.absorbing,
        "first_treated": {str(panel.periods[start]): int(units) for start, units in cohorts.items()},  # type: ignore[call-overload]
        "covariates": list(panel.X),
        "sources": list(panel.sources),
        "digest": panel.digest,
        "checks": [
            {"name": check.name, "passed": check.passed, "value": check.value, "text": check.text}
            for check in panel.checks
        ],
    }
