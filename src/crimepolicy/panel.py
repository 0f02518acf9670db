"""The panel: units by periods, with its treatment and exposure, checked once and then immutable."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self

import narwhals as nw
import numpy as np
import pandas as pd
from scipy import sparse

from crimepolicy import panel_checks as checks
from crimepolicy.errors import DesignError, PanelError, choose, offenders, suggest
from crimepolicy.panel_checks import Check
from crimepolicy.panel_reading import coarser, read_panel
from crimepolicy.periods import Frequency

__all__ = ["Event", "Panel", "as_kind"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Missing = Literal["raise", "keep", "zero", "drop_units"]
_UNTREATED = ("observed", "balanced", "clusters", "cluster_codes")
"""What is derived from the outcome or the labels alone."""


@dataclass(frozen=True, slots=True)
class Event:
    """One dated intervention at one unit.

    Attributes
    ----------
    id, unit : str
        Stable identifier; label of the treated unit.
    at, until : str
        First treated date and, where the treatment ended, the first date after it (ISO text).
    name : str
        What happened, for tables and plots.
    attributes : mapping
        Coded facts to filter by (rank, action, actor, precision, ...).
    """

    id: str
    unit: str
    at: str
    until: str | None = None
    name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Panel:
    """A regular panel of N units by T periods.

    Build one with `Panel.from_frame`. All arrays are read-only; methods return new panels.

    Attributes
    ----------
    Y : float array (N, T)
        Outcome; NaN where not observed. A count where `population` is given.
    D : bool array (N, T)
        Treated in this cell. May switch off again.
    units : pandas.Index (N,)
        Unit labels, sorted.
    periods : pandas.PeriodIndex or integer pandas.Index (T,)
        Regular, increasing.
    X : mapping of str to float array (N, T)
        Covariates.
    population, weights, dose : float array (N, T) or None
        Exposure of a count; analysis weights; intensity of treatment.
    cluster, region : array (N,) or None
        Labels of the level of inference, and of the strata of region-by-period effects.
    coordinates : float array (N, 2) or None
        Longitude and latitude in degrees.
    neighbours : pandas.DataFrame or None
        Columns unit, neighbour, weight (directed pairs).
    outcome, name : str
        Labels for sentences and plots.
    sources : tuple of str
        Identifiers of the data sources.
    checks : tuple of Check
        What was found and what was left out while the panel was built.
    """

    Y: Floats
    D: Bools
    units: pd.Index
    periods: pd.Index
    X: Mapping[str, Floats] = field(default_factory=dict)
    population: Floats | None = None
    weights: Floats | None = None
    dose: Floats | None = None
    cluster: np.ndarray[Any, Any] | None = None
    region: np.ndarray[Any, Any] | None = None
    coordinates: Floats | None = None
    neighbours: pd.DataFrame | None = None
    outcome: str = "outcome"
    name: str = ""
    sources: tuple[str, ...] = ()
    frame_kind: Literal["pandas", "polars", "pyarrow"] = "pandas"
    checks: tuple[Check, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.units), len(self.periods))
        for name, array in self._cell_arrays():
            if array.shape != shape:
                raise PanelError(
                    f"{name} has shape {array.shape}, but there are {shape[0]} units and {shape[1]} periods."
                )
            array.flags.writeable = False

    # ---------------------------------------------------------------- building

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        unit: str,
        time: str,
        outcome: str,
        treated: str | None = None,
        first_treated: str | None = None,
        dose: str | None = None,
        population: str | None = None,
        weights: str | None = None,
        covariates: Sequence[str] = (),
        cluster: str | None = None,
        region: str | None = None,
        coordinates: tuple[str, str] | None = None,
        neighbours: Any = None,
        frequency: Frequency | None = None,
        missing: Missing = "raise",
        name: str = "",
        sources: Sequence[str] = (),
    ) -> Self:
        """Check a long table and return it as a panel.

        Parameters
        ----------
        frame : pandas, polars or pyarrow table
            One row per unit and period, in any order.
        unit, time, outcome : str
            Column names. Times may be integers, dates, timestamps, pandas periods or ISO strings.
        treated : str, optional
            Column of 0 and 1 per cell; may switch off again.
        first_treated : str, optional
            Column with the first treated period per unit; missing (or, with integer periods, 0 or
            infinite) means never.
        dose : str, optional
            Intensity of treatment per cell; alone, a cell with a positive dose is treated.
        population : str, optional
            Exposure. The outcome is then a count and may not be negative.
        weights : str, optional
            Analysis weights per cell.
        covariates : sequence of str
            Numeric columns.
        cluster, region : str, optional
            Columns constant within unit.
        coordinates : (longitude, latitude), optional
            Columns constant within unit, in degrees.
        neighbours : table, optional
            Columns ``unit``, ``neighbour`` and, optionally, ``weight``.
        frequency : {"day", "week", "month", "quarter", "year", "integer"}, optional
            Inferred when not given.
        missing : {"raise", "keep", "zero", "drop_units"}
            What absent rows and missing outcomes mean. ``"zero"`` concerns absent rows only.
        name : str
            Name of the panel, for sentences.
        sources : sequence of str
            Identifiers of the data sources.

        Returns
        -------
        Panel

        Raises
        ------
        PanelError
            With what is wrong, where (the first five offenders, and how many) and what to do.

        Examples
        --------
        >>> import pandas as pd
        >>> rows = pd.DataFrame(
        ...     {"city": list("aabb"), "year": [1, 2, 1, 2], "deaths": [3, 4, 5, 9], "truce": [0, 1, 0, 0]}
        ... )
        >>> Panel.from_frame(rows, unit="city", time="year", outcome="deaths", treated="truce")
        Panel: 2 units x 2 periods (1 to 2), outcome deaths; 1 unit treated in 1 cell
        """
        choose("missing", missing, Missing)
        return cls(
            **read_panel(
                frame,
                unit=unit,
                time=time,
                outcome=outcome,
                treated=treated,
                first_treated=first_treated,
                dose=dose,
                population=population,
                weights=weights,
                covariates=tuple(covariates),
                cluster=cluster,
                region=region,
                coordinates=coordinates,
                neighbours=neighbours,
                frequency=frequency,
                missing=missing,
            ),
            name=name,
            sources=tuple(sources),
        )

    # ---------------------------------------------------------------- reading

    def __repr__(self) -> str:
        n_treated = int(self.D.any(axis=1).sum())
        named = f" {self.name}" if self.name else ""
        return (
            f"Panel{named}: {self.n_units:,} units x {self.n_periods} periods ({self.periods[0]} to {self.periods[-1]}), outcome {self.outcome}; "
            f"{n_treated:,} unit{'' if n_treated == 1 else 's'} treated in {int(self.D.sum()):,} cell{'' if self.D.sum() == 1 else 's'}"
        )

    @property
    def n_units(self) -> int:
        """Number of units N."""
        return len(self.units)

    @property
    def n_periods(self) -> int:
        """Number of periods T."""
        return len(self.periods)

    @cached_property
    def observed(self) -> Bools:
        """Bool array (N, T): the outcome is observed."""
        return ~np.isnan(self.Y)

    @cached_property
    def balanced(self) -> bool:
        """True where every cell is observed."""
        return bool(self.observed.all())

    @cached_property
    def absorbing(self) -> bool:
        """True where no treatment ends within the panel."""
        return not checks.switches_off(self.D, self.units)

    @cached_property
    def G(self) -> Floats:
        """Position of the first treated period per unit (N,), inf for never.

        Raises
        ------
        DesignError
            Where treatment switches off, so that no single date describes a unit.
        """
        off = checks.switches_off(self.D, self.units)
        if off:
            raise DesignError(
                f"Treatment switches off in {offenders(off)}, but this needs treatment that stays. Estimators for treatment that ends: "
                "imputation, switching_effects, stacked_event_study, factor_model, bayesian_event_study."
            )
        return self.first_treated

    @cached_property
    def first_treated(self) -> Floats:
        """Position of the first treated period per unit (N,), inf for never, whatever follows."""
        return np.where(self.D.any(axis=1), self.D.argmax(axis=1).astype(float), np.inf)

    @cached_property
    def clusters(self) -> np.ndarray[Any, Any]:
        """Labels (N,) of the level of inference: `cluster` if given, else the units."""
        return self.units.to_numpy() if self.cluster is None else self.cluster

    @cached_property
    def cluster_codes(self) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Code (N,) of the cluster of each unit, 0, 1, ... in order of appearance."""
        return np.asarray(pd.factorize(self.clusters)[0])

    @cached_property
    def digest(self) -> str:
        """sha256 of the content, identical wherever the content is."""
        state = hashlib.sha256()
        for name, array in self._cell_arrays():
            state.update(name.encode())
            state.update(np.ascontiguousarray(array).tobytes())
        for name in ("units", "periods", "cluster", "region", "coordinates"):
            labels = getattr(self, name)
            state.update(name.encode())
            if labels is not None:
                state.update("\x1f".join(map(str, np.ravel(labels))).encode())
        if self.neighbours is not None:
            state.update(self.neighbours.to_csv(index=False).encode())
        return state.hexdigest()

    def position(self, period: object) -> int:
        """Return the position of a period given as label, date or integer.

        Raises
        ------
        PanelError
            Where the period lies outside the panel.
        """
        label = self._as_period(period)
        if label not in self.periods:
            raise PanelError(
                f"Period {period!s} is not in the panel, which runs from {self.periods[0]} to {self.periods[-1]}."
            )
        return int(self.periods.get_loc(label))  # type: ignore[arg-type]

    def neighbour_matrix(self) -> sparse.csr_matrix:
        """Return the neighbour pairs as a sparse (N, N) matrix of weights.

        Raises
        ------
        DesignError
            Where the panel carries no neighbours.
        """
        if self.neighbours is None:
            raise DesignError(
                "This panel has no neighbours. Give neighbours= to Panel.from_frame (columns unit, neighbour, weight)."
            )
        rows = self.units.get_indexer(pd.Index(self.neighbours["unit"]))
        cols = self.units.get_indexer(pd.Index(self.neighbours["neighbour"]))
        known = (rows >= 0) & (cols >= 0)
        weight = self.neighbours["weight"].to_numpy(dtype=float)[known]
        return sparse.csr_matrix((weight, (rows[known], cols[known])), shape=(self.n_units, self.n_units))

    def to_frame(self) -> Any:
        """Return the panel as a long table, of the kind that it was made from."""
        n, t = self.Y.shape
        columns: dict[str, Any] = {
            "unit": np.repeat(self.units.to_numpy(), t),
            "period": np.tile(self._period_values(), n),
            self.outcome: self.Y.ravel(),
            "treated": self.D.ravel().astype(np.int8),
        }
        columns |= {key: array.ravel() for key, array in self._cell_arrays() if key not in {"Y", "D"}}
        for key in ("cluster", "region"):
            labels = getattr(self, key)
            if labels is not None:
                columns[key] = np.repeat(labels, t)
        return as_kind(pd.DataFrame(columns), self.frame_kind)

    # ---------------------------------------------------------------- new panels

    def window(self, start: object = None, end: object = None) -> Self:
        """Return the panel between two periods, both included."""
        first = 0 if start is None else self.position(start)
        last = self.n_periods - 1 if end is None else self.position(end)
        if last < first:
            raise PanelError(f"The window ends ({end}) before it starts ({start}).")
        return self._select(columns=slice(first, last + 1))

    def drop(self, units: Iterable[object]) -> Self:
        """Return the panel without some units."""
        positions = self._unit_positions(units)
        return self._select(rows=np.delete(np.arange(self.n_units), positions))

    def keep(self, units: Iterable[object]) -> Self:
        """Return the panel with only these units, in the panel's own order."""
        return self._select(rows=np.sort(self._unit_positions(units)))

    def treat(self, units: Iterable[object], at: object, until: object = None) -> Self:
        """Return the panel with these units treated from `at` to before `until`, beside what was treated already."""
        first = self.position(at)
        last = self.n_periods if until is None else self.position(until)
        D = self.D.copy()
        D[self._unit_positions(units), first:last] = True
        return self.with_treatment(D)

    def treat_events(self, events: Iterable[Event]) -> Self:
        """Return the panel with dated events laid on it; events outside its window or units are counted in the checks."""
        D = self.D.copy()
        outside: list[str] = []
        for event in events:
            cells = self._event_cells(event)
            if cells is None:
                outside.append(event.id)
            else:
                D[cells] = True
        found = Check(
            "events_outside",
            None if outside else True,
            len(outside),
            f"{len(outside)} events lie outside the panel: {offenders(outside)}.",
        )
        return replace(self.with_treatment(D), checks=(*self.checks, found))

    def untreated(self) -> Self:
        """Return the panel with no cell treated."""
        return self.with_treatment(np.zeros_like(self.D))

    def with_treatment(self, D: np.ndarray[Any, Any]) -> Self:
        """Return the panel with another treatment array (N, T)."""
        panel = replace(self, D=np.array(D, dtype=bool), dose=None)
        # Outcome and labels stay, and so does what was worked out from them: a randomisation test asks thousands of times.
        panel.__dict__.update({key: self.__dict__[key] for key in _UNTREATED if key in self.__dict__})
        return panel

    def with_outcome(self, Y: np.ndarray[Any, Any], outcome: str | None = None) -> Self:
        """Return the panel with another outcome array (N, T)."""
        return replace(self, Y=np.array(Y, dtype=float), outcome=outcome or self.outcome)

    def rate(self, per: float = 100_000) -> Self:
        """Return the panel with the outcome as a rate per `per` persons, weighted by population."""
        if self.population is None:
            raise PanelError("A rate needs a population. Give population= to Panel.from_frame.")
        label = f"{self.outcome} per {per:,.0f}"
        return replace(
            self, Y=self.Y / self.population * per, outcome=label, population=None, weights=self.population.copy()
        )

    def aggregate(self, frequency: Literal["week", "month", "quarter", "year"]) -> Self:
        """Return the panel at a coarser frequency.

        Counts are summed, other outcomes and populations averaged; a coarse period is treated when any part of it is.
        Coarse periods that the panel covers only in part are left out and counted in `checks`.
        """
        return replace(self, **coarser(self, frequency))

    # ---------------------------------------------------------------- helpers

    def _cell_arrays(self) -> list[tuple[str, np.ndarray[Any, Any]]]:
        named = [(key, getattr(self, key)) for key in ("Y", "D", "population", "weights", "dose")]
        return [(key, array) for key, array in named if array is not None] + list(self.X.items())

    def _as_period(self, value: object) -> object:
        if isinstance(self.periods, pd.PeriodIndex):
            return pd.Period(str(value) if not isinstance(value, pd.Timestamp) else value, freq=self.periods.freqstr)
        return value

    def _period_values(self) -> np.ndarray[Any, Any]:
        if isinstance(self.periods, pd.PeriodIndex):
            return self.periods.to_timestamp().to_numpy()
        return self.periods.to_numpy()

    def _unit_positions(self, units: Iterable[object]) -> np.ndarray[Any, np.dtype[np.intp]]:
        wanted = pd.Index([units] if isinstance(units, str) else list(units))
        positions = self.units.get_indexer(wanted)
        unknown = list(wanted[positions < 0])
        if unknown:
            raise PanelError(f"No such unit: {offenders(unknown)}.{suggest(unknown[0], list(self.units))}")
        return positions

    def _event_cells(self, event: Event) -> tuple[int, slice] | None:
        label, first, last = (
            event.unit,
            self._as_period(event.at),
            self._as_period(event.until) if event.until else None,
        )
        if label not in self.units or first not in self.periods:
            return None
        stop = self.n_periods if last is None or last not in self.periods else int(self.periods.get_loc(last))  # type: ignore[arg-type]
        return int(self.units.get_loc(label)), slice(int(self.periods.get_loc(first)), stop)  # type: ignore[arg-type]

    def _select(self, rows: np.ndarray[Any, Any] | slice = slice(None), columns: slice = slice(None)) -> Self:
        cells: dict[str, Any] = {
            key: array[rows, columns].copy() for key, array in self._cell_arrays() if key not in self.X
        }
        labels: dict[str, Any] = {
            key: getattr(self, key)[rows]
            for key in ("cluster", "region", "coordinates")
            if getattr(self, key) is not None
        }
        return replace(
            self,
            **cells,
            **labels,
            X={key: array[rows, columns].copy() for key, array in self.X.items()},
            units=self.units[rows],
            periods=self.periods[columns],
        )


def as_kind(frame: pd.DataFrame, kind: Literal["pandas", "polars", "pyarrow"]) -> Any:
    """Return a pandas frame as the kind of table the user works with."""
    if kind == "pandas":
        return frame
    columns = {name: _plain(frame[name]) for name in frame.columns}
    return nw.from_dict(columns, backend=kind).to_native()


def _plain(column: pd.Series) -> Any:
    values = column.to_numpy()
    if values.dtype == "datetime64[s]":
        # pandas keeps seconds, which polars does not take.
        return values.astype("datetime64[ms]")
    return (
        [None if v is None or v is pd.NA or (isinstance(v, float) and np.isnan(v)) else v for v in values]
        if values.dtype == object
        else values
    )
