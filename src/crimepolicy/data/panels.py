"""Packaged panels, ready for an estimator."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import polars as pl

from crimepolicy.data.dictionary import Dictionary, list_tables, read_dictionary
from crimepolicy.data.tables import Frame, load_table
from crimepolicy.errors import DataError, suggest
from crimepolicy.panel import Event, Missing, Panel
from crimepolicy.panel_checks import Check

__all__ = ["load_panel"]


def load_panel(
    name: str,
    *,
    outcome: str | None = None,
    start: str | int | None = None,
    end: str | int | None = None,
    units: Sequence[str] | None = None,
    events: Iterable[Event] = (),
    treated: str | None = None,
    first_treated: str | None = None,
    dose: str | None = None,
    population: bool = True,
    covariates: Sequence[str] = (),
    cluster: str | None = None,
    region: str | None = None,
    missing: Missing = "raise",
    accept: Mapping[str, str] | None = None,
    frame: Frame = "pandas",
) -> Panel:
    """Return a packaged table as a panel, with population, coordinates, neighbours and flags.

    Parameters
    ----------
    name : str
        Name of the table, see `datasets`.
    outcome : str, optional
        Column to use, by default the main outcome of the table.
    start, end : str or int, optional
        First and last period kept, as ISO text (``"2003-01"``) or year, both included. Where the population
        starts later than the outcome, the table's own default start is used and stands in the checks.
    units : sequence of str, optional
        Only these units.
    events : iterable of Event
        Interventions to lay on the panel, see `load_events`.
    treated, first_treated, dose, cluster, region : str, optional
        Columns of the table, as in `Panel.from_frame`.
    population : bool
        Use the exposure of the table, so that the outcome is a count.
    covariates : sequence of str
        Numeric columns.
    missing : {"raise", "keep", "zero", "drop_units"}
        What missing outcomes mean.
    accept : mapping of flag to reason, optional
        Some tables refuse to be used where a cell of the outcome is flagged as unsound. Name the
        flag and say why it does no harm; the reason stands in the checks of the panel.
    frame : {"pandas", "polars"}
        Kind of frame that the panel gives back.

    Returns
    -------
    Panel
        Its ``checks`` count the cells under every flag of the table.

    Raises
    ------
    DataError
        If the table is unknown, is not a panel, lacks a column, or holds flagged cells that were
        not accepted.

    Examples
    --------
    >>> from crimepolicy.data import load_panel
    >>> load_panel("mexico_state_month", start="2003-01", end="2020-12")
    Panel mexico_state_month: 32 units x 216 periods (2003-01 to 2020-12), outcome homicides; 0 units treated in 0 cells
    >>> load_panel("rio_upp_month", end="2017-12", first_treated="occupation")
    Panel rio_upp_month: 38 units x 132 periods (2007-01 to 2017-12), outcome lethal_violence; 38 units treated in 3,081 cells
    """
    dictionary = _panel_dictionary(name)
    roles = dictionary.panel
    outcome = roles["outcome"] if outcome is None else outcome
    _known_outcome(dictionary, outcome)
    start, end = _iso("start", start), _iso("end", end)
    extra = [column for column in (treated, first_treated, dose, cluster, region, *covariates) if column]
    table = load_table(name, columns=_columns(dictionary, outcome, extra), frame="polars")
    table = _window(_chosen(table, roles["unit"], units, name), roles["time"], start or roles.get("start"), end)
    panel = Panel.from_frame(
        table,
        unit=roles["unit"],
        time=roles["time"],
        outcome=outcome,
        treated=treated,
        first_treated=first_treated,
        dose=dose,
        population=roles.get("population") if population and outcome in roles["outcomes"] else None,
        covariates=covariates,
        cluster=cluster or roles.get("cluster"),
        region=region or roles.get("region"),
        coordinates=tuple(roles["coordinates"]) if "coordinates" in roles else None,
        neighbours=_neighbours(roles.get("neighbours")),
        missing=missing,
        name=name,
        sources=dictionary.sources,
    )
    flags = _flags(table, dictionary, outcome, dict(accept or {}))
    if start is None and "start" in roles:
        flags.append(
            Check("default_start", None, None, f"The panel starts in {roles['start']}: {roles['start_reason']}.")
        )
    panel = replace(panel, checks=(*panel.checks, *flags), frame_kind=frame)
    events = list(events)
    return panel.treat_events(events) if events else panel


def _panel_dictionary(name: str) -> Dictionary:
    dictionary = read_dictionary(name)
    if dictionary.kind != "panel":
        panels = [other for other in list_tables() if read_dictionary(other).kind == "panel"]
        raise DataError(
            f"Table {name!r} holds {dictionary.kind}, not a panel: use load_table. Panels: {', '.join(panels)}."
        )
    return dictionary


def _known_outcome(dictionary: Dictionary, outcome: str) -> None:
    known = [*dictionary.panel["outcomes"], *dictionary.panel.get("rates", ())]
    if outcome not in known:
        raise DataError(f"Table {dictionary.name!r} has no outcome {outcome!r}.{suggest(outcome, known)}")


def _columns(dictionary: Dictionary, outcome: str, extra: list[str]) -> list[str]:
    roles = dictionary.panel
    wanted = [roles["unit"], roles["time"], outcome, *extra, *roles.get("coordinates", ())]
    wanted += [roles[key] for key in ("population", "cluster", "region") if key in roles]
    wanted += [column.name for column in dictionary.columns if column.unit == "flag"]
    return list(dict.fromkeys(wanted))


def _chosen(table: pl.DataFrame, unit: str, units: Sequence[str] | None, name: str) -> pl.DataFrame:
    if units is None:
        return table
    known = table[unit].unique().sort().to_list()
    strange = [label for label in units if label not in set(known)]
    if strange:
        raise DataError(f"{name} has no unit {strange[0]!r}.{suggest(strange[0], known)}")
    return table.filter(pl.col(unit).is_in(list(units)))


def _iso(option: str, value: str | int | None) -> str | None:
    if value is None or re.fullmatch(r"\d{4}(-\d{2}(-\d{2})?)?", str(value)):
        return None if value is None else str(value)
    raise DataError(f"{option}={value!r} is no period. Give a year, a month or a day: 2003, '2003-01' or '2003-01-31'.")


def _window(table: pl.DataFrame, time: str, start: str | None, end: str | None) -> pl.DataFrame:
    if table.schema[time] != pl.Date:
        low, high = (None if text is None else int(text[:4]) for text in (start, end))
        return _between(table, pl.col(time), low, high)
    months = pl.col(time).dt.strftime("%Y-%m-%d")
    # Text comparison: '2020-12' must include every day of that month, so it is padded upwards.
    return _between(table, months, start, None if end is None else f"{end}~")


def _between(table: pl.DataFrame, time: pl.Expr, low: Any, high: Any) -> pl.DataFrame:
    if low is not None:
        table = table.filter(time >= low)
    return table if high is None else table.filter(time <= high)


def _neighbours(name: str | None) -> Any:
    if name is None:
        return None
    pairs = load_table(name, columns=["unit", "neighbour"])
    back = pairs.rename(columns={"unit": "neighbour", "neighbour": "unit"})
    return pd.concat([pairs, back], ignore_index=True)


def _flags(table: pl.DataFrame, dictionary: Dictionary, outcome: str, accept: dict[str, str]) -> list[Check]:
    stops = dictionary.panel.get("stops", [])
    flags = [column for column in dictionary.columns if column.unit == "flag"]
    unknown = [name for name in accept if name not in {flag.name for flag in flags}]
    if unknown:
        raise DataError(f"accept names {unknown[0]!r}.{suggest(unknown[0], [flag.name for flag in flags])}")
    used = table.filter(pl.col(outcome).is_not_null())
    counts = {flag.name: int(used[flag.name].sum()) for flag in flags}
    refused = [f"{name} ({counts[name]} cells)" for name in stops if counts[name] and name not in accept]
    if refused:
        raise DataError(
            f"{dictionary.name} holds outcomes flagged as unsound: {', '.join(refused)}. Leave the cells out, or pass "
            f"accept={{'{refused[0].split(' ')[0]}': 'reason why it does no harm'}}."
        )
    return [
        Check(
            flag.name,
            None if counts[flag.name] else True,
            counts[flag.name],
            _flag_text(flag.label, counts[flag.name], accept.get(flag.name)),
        )
        for flag in flags
    ]


def _flag_text(label: str, count: int, reason: str | None) -> str:
    return f"{label}: {count:,} cells." + (f" Accepted: {reason}" if reason else "")
