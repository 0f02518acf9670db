"""The argument PANEL: a packaged panel by its name, or a file with its columns named by options."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from crimepolicy.errors import PanelError
from crimepolicy.panel import Panel

__all__ = ["read_argument", "takes_panel"]

Frequency = Literal["day", "week", "month", "quarter", "year", "integer"]
Missing = Literal["raise", "keep", "zero", "drop_units"]

_FILES = {".csv", ".gz", ".parquet", ".tsv", ".txt", ".zst"}
_FILE_ONLY = ("unit", "time", "population", "weights", "frequency")


def read_argument(
    panel: Annotated[str, typer.Argument(help="Name of a packaged panel (see `datasets`), or a CSV or parquet file.")],
    unit: Annotated[str | None, typer.Option(help="File: column of the units.")] = None,
    time: Annotated[str | None, typer.Option(help="File: column of the periods.")] = None,
    outcome: Annotated[str | None, typer.Option(help="Column of the outcome.")] = None,
    treated: Annotated[str | None, typer.Option(help="Column of 0 and 1, treated in this cell.")] = None,
    first_treated: Annotated[str | None, typer.Option(help="Column with the first treated period.")] = None,
    dose: Annotated[str | None, typer.Option(help="Column of the intensity of treatment.")] = None,
    events: Annotated[str | None, typer.Option(help="Packaged panel: event table to lay on it.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="Keep events by a column, as rank=leader or rank=leader,plaza.")
    ] = None,
    population: Annotated[str | None, typer.Option(help="File: column of the exposure of a count.")] = None,
    weights: Annotated[str | None, typer.Option(help="File: column of analysis weights.")] = None,
    covariate: Annotated[list[str] | None, typer.Option(help="Numeric column; may be repeated.")] = None,
    cluster: Annotated[str | None, typer.Option(help="Column of the level of inference.")] = None,
    region: Annotated[str | None, typer.Option(help="Column of the strata of region-by-period effects.")] = None,
    frequency: Annotated[Frequency | None, typer.Option(help="File: inferred when not given.")] = None,
    missing: Annotated[Missing, typer.Option(help="What absent rows and missing outcomes mean.")] = "raise",
    start: Annotated[str | None, typer.Option(help="First period kept.")] = None,
    end: Annotated[str | None, typer.Option(help="Last period kept.")] = None,
) -> Panel:
    """Return the panel that the arguments of a command describe."""
    given = {key: value for key, value in locals().items() if key != "panel" and value not in (None, [])}
    return _from_file(Path(panel), given) if _is_file(panel) else _packaged(panel, given)


def takes_panel[**P](command: Callable[P, None]) -> Callable[..., None]:
    """Give a command the arguments of `read_argument`, and hand it the panel as its first argument."""
    reading = inspect.signature(read_argument)
    _, *own = inspect.signature(command).parameters.values()

    def run(**given: Any) -> None:
        asked = {name: given.pop(name) for name in reading.parameters}
        command(read_argument(**asked), **given)  # type: ignore[arg-type]

    # By keyword, an option without a default may follow one that has one.
    both = [*reading.parameters.values(), *own]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in both]
    run.__signature__ = reading.replace(parameters=parameters, return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__name__, run.__doc__ = command.__name__, command.__doc__
    return run


def _is_file(panel: str) -> bool:
    return Path(panel).suffix.lower() in _FILES or Path(panel).is_file()


def _from_file(path: Path, given: dict[str, Any]) -> Panel:
    for role in ("unit", "time", "outcome"):
        if role not in given:
            raise PanelError(f"{path.name} is a file: say which column is the {role} with --{role} COLUMN.")
    for option in ("events", "where"):
        if option in given:
            raise PanelError(f"--{option} lays packaged events on a packaged panel; for a file use --treated.")
    ends = {key: _period(given.pop(key)) for key in ("start", "end") if key in given}
    covariates = given.pop("covariate", [])
    panel = Panel.from_frame(_table(path), covariates=covariates, name=path.name.split(".")[0], **given)
    return panel.window(**ends) if ends else panel


def _table(path: Path) -> Any:
    import polars as pl

    from crimepolicy.data.reading import read_parquet

    if not path.is_file():
        raise PanelError(f"There is no file {path}.")
    if path.suffix.lower() == ".parquet":
        return read_parquet(path)
    separator = "\t" if ".tsv" in path.suffixes else ","
    try:
        return pl.read_csv(path, separator=separator, infer_schema_length=None)
    except (OSError, UnicodeError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as problem:
        first = (str(problem).splitlines() or ["no reason given"])[0]
        raise PanelError(f"{path.name} cannot be read as CSV: {first}.") from problem


def _period(text: str) -> Any:
    """Return a plain number as a numbered period, which a calendar reads as a year all the same."""
    return int(text) if text.lstrip("-").isdigit() else text


def _packaged(name: str, given: dict[str, Any]) -> Panel:
    from crimepolicy.data.events import load_events
    from crimepolicy.data.panels import load_panel

    for option in _FILE_ONLY:
        if option in given:
            raise PanelError(
                f"--{option.replace('_', '-')} belongs to a file; the packaged panel {name!r} settles it itself."
            )
    table, filters = given.pop("events", None), given.pop("where", [])
    if filters and table is None:
        raise PanelError("--where chooses among events: say which table with --events.")
    chosen = load_events(table, **dict(map(_filter, filters))) if table else ()
    return load_panel(name, events=chosen, covariates=given.pop("covariate", []), **given)


def _filter(text: str) -> tuple[str, Any]:
    column, found, values = text.partition("=")
    if not found:
        raise PanelError(f"--where {text!r} should read column=value.")
    if column in {"first_per_unit", "one_per_operation", "source_read"}:
        return column, values.lower() in {"true", "yes", "1"}
    if column in {"start", "end", "place", "incomplete"}:
        return column, values
    return column, values.split(",")
