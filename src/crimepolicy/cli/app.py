"""The program `crimepolicy`: its commands, its errors and its exit codes."""

import sys
from typing import Annotated

import typer

from crimepolicy import __version__
from crimepolicy.cli import claims, datasets, describe, doctor, estimate
from crimepolicy.errors import CrimepolicyError

__all__ = ["app", "main"]

_EXTRAS = {
    "pymc": "bayes",
    "nutpie": "bayes",
    "arviz_stats": "bayes",
    "pooch": "data",
    "matplotlib": "report",
    "great_tables": "report",
    "joblib": "fast",
    "numba": "fast",
}
_EPILOG = """\b
Examples:
  crimepolicy datasets --kind panel
  crimepolicy describe mexico_state_month --start 2003-01
  crimepolicy estimate my.csv --unit city --time year --outcome homicides \\
      --population people --treated truce --method imputation --option family=poisson
  crimepolicy verdict K01a

\b
Exit codes: 0 done; 1 the request failed, and the message says why; 2 the command was not understood.
"""

app = typer.Typer(
    name="crimepolicy",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
app.command(epilog=datasets.LIST_EXAMPLES)(datasets.datasets)
app.command(epilog=datasets.FETCH_EXAMPLES)(datasets.fetch)
app.command(epilog=describe.EXAMPLES)(describe.describe)
app.command(epilog=estimate.EXAMPLES)(estimate.estimate)
app.command(epilog=estimate.METHODS_EXAMPLES)(estimate.methods)
app.command(epilog=claims.LIST_EXAMPLES)(claims.claims)
app.command(epilog=claims.VERDICT_EXAMPLES)(claims.verdict)
app.command(epilog=doctor.EXAMPLES)(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"crimepolicy {__version__}")
        raise typer.Exit


@app.callback(help="Which policies against organised crime work, where, and how sure are we?", epilog=_EPILOG)
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Hold the option that belongs to no command."""


def main() -> None:
    """Run the program: what failed on purpose is one message on standard error and exit code 1."""
    try:
        app(prog_name="crimepolicy")
    except CrimepolicyError as problem:
        _fail(str(problem))
    except ModuleNotFoundError as problem:
        name = (problem.name or "").split(".")[0]
        if name not in _EXTRAS:
            raise
        _fail(f"This needs {name}, which is not installed: pip install 'crimepolicy[{_EXTRAS[name]}]'.")
    except MemoryError as problem:
        _fail(f"Not enough memory: {problem}. Choose a shorter window (--start, --end), or a machine with more.")


def _fail(message: str) -> None:
    typer.echo(f"crimepolicy: {message}", err=True)
    sys.exit(1)
