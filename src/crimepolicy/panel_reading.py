"""From a long table to the arrays of a panel: every column is read once and every cell placed once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import narwhals as nw
import numpy as np
import pandas as pd

from crimepolicy import panel_checks as checks
from crimepolicy.errors import DesignError, PanelError, offenders
from crimepolicy.panel_checks import Check
from crimepolicy.periods import Frequency, read_periods, regular_index, whole_numbers

if TYPE_CHECKING:
    from crimepolicy.panel import Panel

__all__ = ["coarser", "read_panel"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where each row of the table belongs.

    units (N,), periods (T,): labels. row, column (rows,): positions. cell (rows,): row * T + column.
    present (N, T): a row exists.
    """

    units: pd.Index
    periods: pd.Index
    row: Array
    column: Array
    cell: Array
    present: Array

    def place(self, values: Array) -> Array:
        """Return values (rows,) laid out as (N, T), NaN where no row exists."""
        placed = np.full(self.present.size, np.nan)
        placed[self.cell] = values
        return placed.reshape(self.present.shape)

    def cells(self, mask: Array, limit: int = 5) -> tuple[list[tuple[object, object]], int]:
        """Return the first labels of the cells in a mask (N, T), and how many there are."""
        flat = np.flatnonzero(mask.ravel())
        rows, columns = np.divmod(flat[:limit], len(self.periods))
        return [(self.units[i], self.periods[t]) for i, t in zip(rows, columns, strict=True)], flat.size


def read_panel(
    frame: Any,
    *,
    unit: str,
    time: str,
    outcome: str,
    treated: str | None,
    first_treated: str | None,
    dose: str | None,
    population: str | None,
    weights: str | None,
    covariates: Sequence[str],
    cluster: str | None,
    region: str | None,
    coordinates: tuple[str, str] | None,
    neighbours: Any,
    frequency: Frequency | None,
    missing: Literal["raise", "keep", "zero", "drop_units"],
) -> dict[str, Any]:
    """Return the fields of a `Panel` read from a long table; see `Panel.from_frame`."""
    if treated is not None and first_treated is not None:
        raise PanelError("Give treated= (0/1 per cell) or first_treated= (a date per unit), not both.")
    table, kind = _table(frame)
    roles = {
        "unit": unit,
        "time": time,
        "outcome": outcome,
        "treated": treated,
        "first_treated": first_treated,
        "dose": dose,
    }
    roles |= {"population": population, "weights": weights, "cluster": cluster, "region": region}
    roles |= {f"covariate {name}": name for name in covariates}
    roles |= dict(zip(("longitude", "latitude"), coordinates or (), strict=False))
    checks.columns_missing({role: name for role, name in roles.items() if name is not None}, table.columns)

    grid = _grid(table, unit, time, frequency)
    ledger: list[Check] = []
    Y = _outcome(table, grid, outcome, missing, ledger)
    cells = {name: _numbers(table, grid, column) for name, column in (("weights", weights), ("dose", dose)) if column}
    if weights is not None:
        checks.negative_weights(weights, *grid.cells(cells["weights"] < 0))
    D = _treatment(table, grid, treated, first_treated, cells.get("dose"), ledger)
    if population is not None:
        cells["population"] = _population(_numbers(table, grid, population), Y, population, grid, missing, ledger)
        checks.negative_counts(outcome, *grid.cells(Y < 0))
        ledger += _integer_check(Y)
    labels = {
        key: _unit_labels(table, grid, column) for key, column in (("cluster", cluster), ("region", region)) if column
    }
    if coordinates is not None:
        pair = [_unit_labels(table, grid, column, numeric=True) for column in coordinates]
        labels["coordinates"] = np.column_stack(pair).astype(float)
    X = {name: _numbers(table, grid, name) for name in covariates}
    fields: dict[str, Any] = {"Y": Y, "D": D, "X": X, "units": grid.units, "periods": grid.periods, **cells, **labels}
    if missing == "drop_units":
        fields = _complete_units(fields, grid, ledger)
    ledger += _design_checks(fields["D"], fields["units"])
    return fields | {
        "outcome": outcome,
        "neighbours": _neighbour_pairs(neighbours),
        "frame_kind": kind,
        "checks": tuple(ledger),
    }


def _table(frame: Any) -> tuple[nw.DataFrame[Any], Any]:
    try:
        table = nw.from_native(frame, eager_only=True)
    except TypeError as error:
        hint = " Call .collect() first." if hasattr(frame, "collect") else ""
        raise PanelError(
            f"A panel is made from a pandas, polars or pyarrow table, not from {type(frame).__name__}.{hint}"
        ) from error
    except nw.exceptions.DuplicateError as error:
        raise PanelError(f"The table has several columns of one name: {error}. Rename or drop them.") from error
    kind = table.implementation.value
    if len(table) == 0:
        raise PanelError("The table has no rows.")
    return table, kind if kind in {"pandas", "polars", "pyarrow"} else "pandas"


def _values(table: nw.DataFrame[Any], column: str) -> Array:
    native = table[column].to_native()
    if isinstance(native, pd.Series):
        if isinstance(native.dtype, pd.CategoricalDtype):
            return np.asarray(native)
        if native.dtype == "boolean" or str(native.dtype)[:3] in {"Int", "UIn", "Flo"}:
            return native.to_numpy(dtype=float, na_value=np.nan)
        return native.to_numpy()
    values = table[column]
    # Whole numbers of 128 bits have no place in an array, and nothing that is counted needs them.
    wide = values.dtype in (nw.Int128, nw.UInt128)
    return np.asarray((values.cast(nw.Float64) if wide else values).to_numpy())


def _numbers(table: nw.DataFrame[Any], grid: _Grid, column: str) -> Array:
    values = checks.non_numeric(column, _values(table, column))
    checks.infinite_outcome(column, values)
    return grid.place(values)


def _factorise(column: str, values: Array, *, complete: bool = True) -> tuple[Array, Array]:
    """Return codes (rows,) and the distinct values in order of first appearance; a missing value is one, or an error."""
    try:
        codes, distinct = pd.factorize(values, use_na_sentinel=complete)
    except TypeError as error:
        raise PanelError(f"Column {column!r} holds values that cannot be labels: {error}.") from error
    if complete:
        checks.missing_labels(column, codes < 0)
    return codes, np.asarray(distinct)


def _sorted(column: str, labels: Array) -> Array:
    """Return the order of the labels (k,)."""
    try:
        return np.argsort(labels, kind="stable")
    except TypeError as error:
        raise PanelError(
            f"Column {column!r} holds labels without an order ({error}). Use text or whole numbers."
        ) from error


def _grid(table: nw.DataFrame[Any], unit: str, time: str, frequency: Frequency | None) -> _Grid:
    unit_codes, unit_values = _factorise(unit, _values(table, unit))
    time_codes, time_values = _factorise(time, _values(table, time))
    checks.mixed_type_times(unit, unit_values)
    order = _sorted(unit, unit_values)
    row = np.argsort(order)[unit_codes]
    labels = read_periods(time, time_values, frequency)
    periods = regular_index(time, labels)
    checks.too_many_cells(len(order), len(periods))
    column = periods.get_indexer(labels)[time_codes]
    cell = row * len(periods) + column
    counts = np.bincount(cell, minlength=len(order) * len(periods))
    grid = _Grid(pd.Index(unit_values[order]), periods, row, column, cell, counts.reshape(len(order), -1) > 0)
    twice = (counts > 1).reshape(grid.present.shape)
    checks.duplicated_cells(unit, time, *grid.cells(twice))
    return grid


def _outcome(table: nw.DataFrame[Any], grid: _Grid, outcome: str, missing: str, ledger: list[Check]) -> Array:
    values = checks.non_numeric(outcome, _values(table, outcome))
    checks.infinite_outcome(outcome, values)
    Y = grid.place(values)
    absent = ~grid.present
    unknown = np.isnan(Y) & grid.present
    if missing == "raise":
        checks.gaps(*grid.cells(absent))
    if missing in {"raise", "zero"}:
        checks.missing_outcome(outcome, *grid.cells(unknown))
    if missing == "zero":
        Y[absent] = 0.0
    if absent.any():
        meaning = {"zero": "read as zero", "keep": "kept as missing", "drop_units": "a reason to leave the unit out"}[
            missing
        ]
        ledger.append(Check("absent_rows", None, int(absent.sum()), f"{int(absent.sum()):,} absent rows {meaning}."))
    if unknown.any():
        ledger.append(
            Check(
                "missing_outcome", None, int(unknown.sum()), f"The outcome is missing in {int(unknown.sum()):,} cells."
            )
        )
    return Y


def _treatment(
    table: nw.DataFrame[Any],
    grid: _Grid,
    treated: str | None,
    first_treated: str | None,
    dose: Array | None,
    ledger: list[Check],
) -> Array:
    if first_treated is not None:
        return _from_dates(table, grid, first_treated, ledger)
    if treated is not None:
        values = checks.non_numeric(treated, _values(table, treated))
        bad = ~np.isin(values, (0.0, 1.0))
        checks.treatment_not_binary(treated, list(values[bad][:5]), int(bad.sum()))
        placed = grid.place(values)
        # A cell without a row keeps the treatment of the cell before it; nothing says that it changed.
        return pd.DataFrame(placed).ffill(axis=1).fillna(0.0).to_numpy() > 0
    if dose is not None:
        return np.nan_to_num(dose) > 0
    return np.zeros(grid.present.shape, dtype=bool)


def _from_dates(table: nw.DataFrame[Any], grid: _Grid, column: str, ledger: list[Check]) -> Array:
    values = _values(table, column)
    known = pd.notna(values)
    if values.dtype.kind in "fiu":
        known &= np.isfinite(values.astype(float)) & (values != 0)
        values = whole_numbers(column, np.where(known, values, 0)).to_numpy()
    codes, distinct = _factorise(column, values, complete=False)
    codes = np.where(known, codes, -1)
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(distinct)) > 0)
    start = np.full(len(distinct) + 1, np.inf)
    if used.size:
        start[used] = _start_positions(column, np.asarray(distinct)[used], grid.periods)
    per_row = start[codes]
    first = np.full(len(grid.units), np.inf)
    first[grid.row] = per_row
    changing = np.unique(grid.row[per_row != first[grid.row]])
    checks.constant_within_unit(column, list(grid.units[changing[:5]]), len(changing))
    late = grid.units[np.isfinite(first) & (first >= len(grid.periods))]
    if len(late):
        ledger.append(
            Check(
                "treated_after_end",
                None,
                len(late),
                f"First treated after the last period, so untreated here: {offenders(late)}.",
            )
        )
    return np.arange(len(grid.periods))[None, :] >= first[:, None]


def _start_positions(column: str, distinct: Array, periods: pd.Index) -> Array:
    """Return the position of the first period at or after each date; beyond the end where later."""
    if isinstance(periods, pd.PeriodIndex):
        if distinct.dtype.kind in "iu" and periods.freqstr.startswith("Y"):
            distinct = distinct.astype(str)
        elif distinct.dtype.kind in "iu":
            raise PanelError(
                f"Column {column!r} holds whole numbers but time holds dates. Give first-treatment dates of the same kind as time."
            )
        labels: pd.Index = read_periods(column, distinct, "day")
        labels = pd.PeriodIndex(labels).asfreq(periods.freqstr, how="S")
    else:
        labels = read_periods(column, distinct)
        if isinstance(labels, pd.PeriodIndex):
            raise PanelError(
                f"Column {column!r} holds dates but time holds whole numbers. Give first-treatment periods of the same kind as time."
            )
    return np.asarray(periods.searchsorted(labels), dtype=float)


def _population(population: Array, Y: Array, column: str, grid: _Grid, missing: str, ledger: list[Check]) -> Array:
    if missing == "zero" and not grid.present.all():
        filled = pd.DataFrame(population.T).interpolate(limit_direction="both").to_numpy().T
        n = int((np.isnan(population) & ~np.isnan(filled) & ~grid.present).sum())
        population = np.where(grid.present, population, filled)
        ledger.append(
            Check("population_interpolated", None, n, f"Population of {n:,} absent rows interpolated within the unit.")
        )
    bad = ~np.isnan(Y) & ~(population > 0)
    checks.nonpositive_population(column, *grid.cells(bad))
    return population


def _unit_labels(table: nw.DataFrame[Any], grid: _Grid, column: str, *, numeric: bool = False) -> Array:
    values = _values(table, column)
    if numeric:
        values = checks.non_numeric(column, values)
    codes, distinct = _factorise(column, values, complete=False)
    per_unit = np.zeros(len(grid.units), dtype=np.intp)
    per_unit[grid.row] = codes
    changing = np.unique(grid.row[per_unit[grid.row] != codes])
    checks.constant_within_unit(column, list(grid.units[changing[:5]]), len(changing))
    labels = np.asarray(distinct)[per_unit]
    if not numeric:
        checks.missing_labels(column, pd.isna(labels))
    return labels


def _integer_check(Y: Array) -> list[Check]:
    broken = checks.non_integer_counts(Y)
    text = f"{broken:,} observed counts are not whole numbers." if broken else "All observed counts are whole numbers."
    return [Check("integer_counts", broken == 0, broken, text)]


def _complete_units(fields: dict[str, Any], grid: _Grid, ledger: list[Check]) -> dict[str, Any]:
    keep = ~np.isnan(fields["Y"]).any(axis=1)
    dropped = grid.units[~keep]
    text = (
        f"Units left out for missing cells: {offenders(dropped)}."
        if len(dropped)
        else "No unit left out for missing cells."
    )
    ledger.append(Check("dropped_units", None if len(dropped) else True, len(dropped), text))
    if not keep.any():
        raise PanelError(
            f"Every unit has missing cells; missing='drop_units' leaves none of {len(grid.units)}. Use missing='keep'."
        )
    rows = {key: value[keep] for key, value in fields.items() if key not in {"X", "periods"}}
    return rows | {"X": {key: value[keep] for key, value in fields["X"].items()}, "periods": fields["periods"]}


def _design_checks(D: Array, units: pd.Index) -> list[Check]:
    found = []
    early, off = checks.always_treated(D, units), checks.switches_off(D, units)
    if early:
        found.append(
            Check(
                "always_treated",
                None,
                len(early),
                f"Treated from the first period, so without a before: {offenders(early)}.",
            )
        )
    if off:
        found.append(
            Check("treatment_switches_off", None, len(off), f"Treatment ends within the panel in {offenders(off)}.")
        )
    return found


def _neighbour_pairs(neighbours: Any) -> pd.DataFrame | None:
    if neighbours is None:
        return None
    table = nw.from_native(neighbours, eager_only=True)
    checks.columns_missing({"unit": "unit", "neighbour": "neighbour"}, table.columns)
    pairs = pd.DataFrame({name: _values(table, name) for name in ("unit", "neighbour")})
    pairs["weight"] = _values(table, "weight").astype(float) if "weight" in table.columns else 1.0
    return pairs


def coarser(panel: "Panel", frequency: Literal["week", "month", "quarter", "year"]) -> dict[str, Any]:
    """Return the fields of a panel at a coarser frequency; see `Panel.aggregate`."""
    if not isinstance(panel.periods, pd.PeriodIndex):
        raise DesignError(
            "Periods numbered by integers cannot be aggregated by calendar. Give dates to Panel.from_frame."
        )
    code = {"week": "W", "month": "M", "quarter": "Q", "year": "Y"}[frequency]
    labels = panel.periods.asfreq(code)
    sizes = pd.Series(1, index=labels).groupby(level=0).size()
    full = pd.Index([len(pd.period_range(p.start_time, p.end_time, freq=panel.periods.freqstr)) for p in sizes.index])
    whole = sizes.to_numpy() == full.to_numpy()
    if not whole.any():
        raise PanelError(
            f"No complete {frequency} in the panel, which runs from {panel.periods[0]} to {panel.periods[-1]}."
        )
    starts = np.r_[0, np.cumsum(sizes.to_numpy())[:-1]]

    def total(array: Array) -> Array:
        sums: Array = np.add.reduceat(array.astype(float), starts, axis=1)[:, whole]
        return sums

    def mean(array: Array) -> Array:
        averages: Array = total(array) / sizes.to_numpy()[whole]
        return averages

    partial = total(panel.D) % sizes.to_numpy()[whole] != 0
    text = f"{int((~whole).sum())} incomplete {frequency}s left out; {int(partial.sum())} cells treated for a part of the {frequency} count as treated."
    means = {
        key: mean(getattr(panel, key)) for key in ("population", "weights", "dose") if getattr(panel, key) is not None
    }
    return means | {
        "Y": total(panel.Y) if panel.population is not None else mean(panel.Y),
        "D": total(panel.D) > 0,
        "X": {key: mean(array) for key, array in panel.X.items()},
        "periods": sizes.index[whole],
        "checks": (*panel.checks, Check("aggregated", None, int((~whole).sum()), text)),
    }
