"""`crimepolicy estimate`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import typer

from crimepolicy.cli.estimators import list_estimators, run_estimator
from crimepolicy.cli.panels import takes_panel
from crimepolicy.cli.showing import AsJson, show_json, show_table
from crimepolicy.errors import EstimationError
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

__all__ = ["EXAMPLES", "METHODS_EXAMPLES", "estimate", "methods"]

Average = Literal["simple", "event", "group", "calendar"]
TableFormat = Literal["html", "latex", "typst", "markdown"]

EXAMPLES = """\b
Examples:
  crimepolicy estimate my.csv --unit city --time year --outcome homicides \\
      --population people --treated truce --method imputation --option family=poisson
  crimepolicy estimate mexico_municipality_month --start 2003-01 --events kingpins_mexico \\
      --where rank=leader --where place_precision=municipality --where first_per_unit=true \\
      --method imputation --option family=poisson --option horizon=0,5 --json
  crimepolicy estimate my.parquet --unit state --time month --outcome rate --first-treated law \\
      --method group_time_effects --option control=not_yet --aggregate event --figure path.svg
"""


METHODS_EXAMPLES = """\b
Examples:
  crimepolicy methods
  crimepolicy methods --json
"""


def methods(as_json: AsJson = False) -> None:
    """List the estimators that `estimate --method` knows."""
    rows = [{"method": name, "what": what} for name, what in list_estimators().items()]
    if as_json:
        show_json(rows)
    else:
        show_table(rows, ["method", "what"])


@takes_panel
def estimate(
    panel: Panel,
    method: Annotated[str, typer.Option(help="Name of the estimator, see `crimepolicy methods`.")],
    option: Annotated[
        list[str] | None, typer.Option(help="Option of the estimator as key=value; may be repeated.")
    ] = None,
    aggregate: Annotated[Average | None, typer.Option(help="Average the group-time cells.")] = None,
    ratio: Annotated[bool, typer.Option("--ratio", help="Show a log effect as a ratio.")] = False,
    table: Annotated[TableFormat | None, typer.Option(help="Write a publication table instead.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Also draw the estimate into this SVG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Estimate an effect and print the sentence of the paper, a table, or JSON."""
    found = run_estimator(method, panel, option or ())
    found = found.aggregate(aggregate) if aggregate else found
    found = found.as_ratio() if ratio else found
    if figure is not None:
        _draw(found, figure)
    if as_json:
        show_json(_record(found))
    elif table is not None:
        from crimepolicy.report.tables import table as publication

        typer.echo(publication(found, format=table))
    else:
        typer.echo(found.sentence())
        for check in found.checks:
            typer.echo(str(check))


def _draw(found: Estimate, path: Path) -> None:
    from crimepolicy.report.style import save_figure

    if path.suffix.lower() != ".svg":
        raise EstimationError(f"--figure {path} should end in .svg, which every browser and word processor reads.")
    save_figure(found.plot().figure, path)


def _record(found: Estimate) -> dict[str, Any]:
    """Return the estimate without its influence functions, which would be most of the text."""
    terms = pd.DataFrame(_columns(found.tidy()))
    return {
        "sentence": found.sentence(),
        "estimand": found.estimand,
        "scale": found.scale,
        "estimate": found.value,
        "std_error": found.std_error,
        "interval": found.interval(),
        "p_value": found.p_value(),
        "correction": found.correction,
        "method": found.method,
        "citation": found.citation,
        "options": dict(found.options),
        "n_units": found.n_units,
        "n_treated": found.n_treated,
        "panel": {"name": found.panel_name, "digest": found.panel_digest},
        "terms": terms.drop(columns=["method", "n_units", "n_treated", "panel"]).to_dict("records"),
        "checks": [
            {"name": check.name, "passed": check.passed, "value": check.value, "text": check.text}
            for check in found.checks
        ],
    }


def _columns(frame: Any) -> dict[str, list[Any]]:
    """Columns of a pandas or polars frame: files are read with polars, packaged panels give pandas."""
    return {str(name): list(frame[name]) for name in frame.columns}
