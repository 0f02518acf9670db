"""The panel: what it reads, what it refuses, and what never changes it."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crimepolicy.errors import CrimepolicyError, DesignError, PanelError
from crimepolicy.panel import Event, Panel


def table(n: int = 8, first: int = 2000, years: int = 6) -> pd.DataFrame:
    """Eight towns, six years; a, b and c are treated from 2003."""
    units = np.repeat(list("abcdefgh")[:n], years)
    rows = pd.DataFrame({"town": units, "year": np.tile(range(first, first + years), n)})
    rows["deaths"] = np.arange(len(rows)) % 7
    rows["people"] = 100.0 + np.arange(len(rows))
    rows["truce"] = ((rows.town < "d") & (rows.year > first + 2)).astype(int)
    rows["adopted"] = np.where(rows.town < "d", first + 3.0, np.nan)
    rows["state"] = np.where(rows.town < "e", "north", "south")
    return rows


def read(rows: Any, **options: Any) -> Panel:
    return Panel.from_frame(rows, **({"unit": "town", "time": "year", "outcome": "deaths"} | options))


FULL: dict[str, Any] = {"treated": "truce", "population": "people", "cluster": "state", "region": "state"}


def test_arrays_hold_what_the_rows_say() -> None:
    rows = table()
    panel = read(rows, **FULL, covariates=["year"])
    wide = rows.pivot(index="town", columns="year", values="deaths")
    np.testing.assert_array_equal(panel.Y, wide.to_numpy())
    np.testing.assert_array_equal(panel.D.sum(axis=1), [3, 3, 3, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(panel.G, [3, 3, 3, *[np.inf] * 5])
    np.testing.assert_array_equal(panel.X["year"][0], range(2000, 2006))
    assert list(panel.clusters) == ["north"] * 4 + ["south"] * 4


def test_a_date_per_unit_equals_an_indicator_per_cell() -> None:
    by_date = read(table(), first_treated="adopted", population="people", cluster="state", region="state")
    assert by_date.digest == read(table(), **FULL).digest


@pytest.mark.parametrize("never", [0, np.inf, np.nan])
def test_never_treated_by_any_usual_code(never: float) -> None:
    rows = table().assign(adopted=lambda d: d.adopted.fillna(never))
    assert read(rows, first_treated="adopted").D.sum() == 9


@pytest.mark.parametrize(
    "convert", [pl.from_pandas, pa.Table.from_pandas, lambda d: d.convert_dtypes()], ids=["polars", "arrow", "nullable"]
)
def test_the_kind_of_table_does_not_matter_and_comes_back(convert: Any) -> None:
    rows = table()
    panel = read(convert(rows), **FULL)
    assert panel.digest == read(rows, **FULL).digest
    assert type(panel.to_frame()) is type(convert(rows))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_row_order_does_not_matter(seed: int) -> None:
    rows = table()
    assert read(rows.sample(frac=1, random_state=seed), **FULL).digest == read(rows, **FULL).digest


@settings(max_examples=20, deadline=None)
@given(cell=st.integers(0, 47), shift=st.floats(0.5, 100))
def test_the_digest_sees_every_cell(cell: int, shift: float) -> None:
    rows = table()
    changed = rows.assign(people=rows.people + shift * (np.arange(48) == cell))
    assert read(changed, **FULL).digest != read(rows, **FULL).digest


def test_the_callers_table_is_not_touched() -> None:
    rows = table()
    before = rows.copy(deep=True)
    read(rows, **FULL).rate().window(2001).drop(["a"])
    pd.testing.assert_frame_equal(rows, before)


def test_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        read(table()).Y[0, 0] = 1


TIMES = {
    "month text": (lambda y: f"2005-{y - 1999:02d}", "M"),
    "day text": (lambda y: f"2005-01-{y - 1999:02d}", "D"),
    "quarter text": (lambda y: f"{2005 + (y - 2000) // 4}Q{(y - 2000) % 4 + 1}", "Q-DEC"),
    "weeks": (lambda y: pd.Timestamp("2005-01-03") + pd.Timedelta(days=7 * (y - 2000)), "W-SUN"),
    "years": (lambda y: pd.Timestamp(year=y, month=1, day=1), "Y-DEC"),
    "quarter starts": (lambda y: pd.Timestamp("2005-01-01") + pd.DateOffset(months=3 * (y - 2000)), "Q-DEC"),
    "month ends": (lambda y: pd.Timestamp("2005-01-31") + pd.offsets.MonthEnd(y - 2000), "M"),
    "time zone": (lambda y: pd.Timestamp(f"2005-{y - 1999:02d}-01", tz="UTC"), "M"),
}


@pytest.mark.parametrize("name", TIMES)
def test_times_of_every_kind_are_read(name: str) -> None:
    make, code = TIMES[name]
    panel = read(table().assign(year=lambda d: d.year.map(make)), **FULL)
    assert isinstance(panel.periods, pd.PeriodIndex)
    assert panel.periods.freqstr == code
    np.testing.assert_array_equal(panel.Y, read(table()).Y)
    assert panel.D.sum() == 9


@pytest.mark.parametrize("time", ["2003", pd.Timestamp("2003-01-01"), pd.Timestamp("2003-11-20")])
def test_a_treatment_date_within_a_year_means_that_year(time: object) -> None:
    rows = table().assign(year=lambda d: d.year.astype(str), adopted=time)
    assert read(rows, first_treated="adopted").G.tolist() == [3.0] * 8


BROKEN: dict[str, tuple[Any, dict[str, Any], str]] = {
    "typo": (lambda d: d, {"treated": "trucee"}, "treated column 'trucee' is not in the table. Did you mean 'truce'"),
    "duplicates": (lambda d: pd.concat([d, d.head(7)]), {}, r"\(a, 2000\), .*7 in all.*groupby"),
    "gap": (lambda d: d.iloc[2:], {}, r"\(a, 2000\), \(a, 2001\) \(2\).*missing='zero'"),
    "missing outcome": (
        lambda d: d.assign(deaths=d.deaths.where(d.index != 3)),
        {},
        r"'deaths' is missing at \(a, 2003\)",
    ),
    "zero is not for NaN": (
        lambda d: d.assign(deaths=d.deaths.where(d.index != 3)),
        {"missing": "zero"},
        "is missing at",
    ),
    "text outcome": (lambda d: d.assign(deaths=d.deaths.astype(str)), {}, "should hold numbers but holds '0' in row 0"),
    "infinite outcome": (lambda d: d.assign(deaths=d.deaths.where(d.index != 3, np.inf)), {}, "is infinite in rows 3"),
    "negative count": (
        lambda d: d.assign(deaths=d.deaths - 1),
        {"population": "people"},
        r"negative, but 'deaths' is at \(a, 2000\)",
    ),
    "zero population": (
        lambda d: d.assign(people=d.people * (d.index != 3)),
        {"population": "people"},
        r"positive number.*\(a, 2003\)",
    ),
    "missing population": (
        lambda d: d.assign(people=d.people.where(d.index != 3)),
        {"population": "people"},
        r"\(a, 2003\)",
    ),
    "negative weight": (lambda d: d.assign(people=-d.people), {"weights": "people"}, "Weights cannot be negative"),
    "treatment share": (lambda d: d.assign(truce=d.truce / 2), {"treated": "truce"}, "0 or 1.*0.5"),
    "treatment text": (lambda d: d.assign(truce="yes"), {"treated": "truce"}, "should hold numbers but holds 'yes'"),
    "two treatments": (lambda d: d, {"treated": "truce", "first_treated": "adopted"}, "not both"),
    "changing date": (
        lambda d: d.assign(adopted=d.adopted.where(d.index != 1, 2004)),
        {"first_treated": "adopted"},
        "change within a unit.*a",
    ),
    "changing cluster": (
        lambda d: d.assign(state=d.state.where(d.index != 1, "x")),
        {"cluster": "state"},
        "change within a unit",
    ),
    "missing unit": (lambda d: d.assign(town=d.town.where(d.index != 1)), {}, "no value in rows 1"),
    "mixed units": (lambda d: d.assign(town=d.town.astype(object).where(d.index != 1, 5)), {}, "mixes types.*int.*str"),
    "mixed times": (
        lambda d: d.assign(year=d.year.astype(object).where(d.index != 1, "2001-01")),
        {},
        "mixes types of time",
    ),
    "half years": (lambda d: d.assign(year=d.year + 0.5), {}, "not whole numbers"),
    "irregular": (lambda d: d[d.year != 2003], {}, "not regular.*2003"),
    "month names": (lambda d: d.assign(year="Jan"), {}, "cannot be read as times"),
    "empty": (lambda d: d.head(0), {}, "no rows"),
    "not a table": (lambda d: d.to_dict(), {}, "not from dict"),
    "lazy": (lambda d: pl.from_pandas(d).lazy(), {}, "collect"),
    "twin columns": (lambda d: pd.concat([d, d[["deaths"]]], axis=1), {}, "several columns of one name"),
    "option": (lambda d: d, {"missing": "ignore"}, "missing='ignore' is not an option. Use one of: 'raise'"),
    "frequency": (lambda d: d, {"frequency": "fortnight"}, "Use one of: 'day'"),
    "date kinds": (
        lambda d: d.assign(year=lambda r: [f"2005-{y - 1999:02d}" for y in r.year]),
        {"first_treated": "adopted"},
        "same kind as time",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_bad_input_says_what_where_and_what_to_do(name: str) -> None:
    spoil, options, message = BROKEN[name]
    with pytest.raises(CrimepolicyError, match=f"(?s){message}"):
        read(spoil(table()), **options)


def test_missing_cells_stay_missing_when_asked() -> None:
    panel = read(table().iloc[2:], **FULL, missing="keep")
    assert np.isnan(panel.Y[0, :2]).all()
    assert not panel.balanced
    assert {c.name: c.value for c in panel.checks}["absent_rows"] == 2


def test_absent_rows_become_zero_when_asked_and_keep_their_treatment_and_population() -> None:
    rows = table().drop(index=[1, 4])
    panel = read(rows, **FULL, missing="zero")
    assert panel.Y[0, 1] == panel.Y[0, 4] == 0
    assert panel.D[0].tolist() == [False, False, False, True, True, True]
    assert panel.population is not None
    assert panel.population[0, 1] == pytest.approx(101.0)


def test_units_left_out_are_named() -> None:
    panel = read(table().drop(index=[1, 9]), **FULL, missing="drop_units")
    assert list(panel.units) == list("cdefgh")
    assert panel.region is not None
    assert len(panel.region) == 6
    assert "a, b (2)" in next(c.text for c in panel.checks if c.name == "dropped_units")


def test_treatment_that_ends_is_allowed_but_has_no_single_date() -> None:
    rows = table()
    panel = read(rows.assign(truce=rows.truce * (rows.year < 2005)), treated="truce")
    assert not panel.absorbing
    assert panel.first_treated.tolist()[:3] == [3.0] * 3
    with pytest.raises(DesignError, match=r"switches off in a, b, c \(3\).*imputation"):
        _ = panel.G


def test_early_and_late_dates_are_counted() -> None:
    early = read(table().assign(adopted=1990.0), first_treated="adopted")
    late = read(table().assign(adopted=2010.0), first_treated="adopted")
    assert [c.name for c in early.checks] == ["always_treated"]
    assert [c.name for c in late.checks] == ["treated_after_end"]
    assert not late.D.any()


def test_fractional_counts_are_noted() -> None:
    panel = read(table().assign(deaths=lambda d: d.deaths + 0.5), population="people")
    assert next(c for c in panel.checks if c.name == "integer_counts").passed is False


def test_dose_alone_defines_treatment() -> None:
    rows = table().assign(share=lambda d: 0.3 * d.truce)
    panel = read(rows, dose="share")
    assert panel.D.sum() == 9
    assert panel.dose is not None
    assert panel.dose.max() == pytest.approx(0.3)


def test_new_panels() -> None:
    panel = read(table(), **FULL)
    assert panel.window(2001, 2004).Y.shape == (8, 4)
    assert list(panel.drop(["a", "h"]).units) == list("bcdefg")
    assert list(panel.keep(["h", "a"]).units) == ["a", "h"]
    treated = panel.untreated().treat(["d"], at=2002, until=2004)
    assert np.argwhere(treated.D).tolist() == [[3, 2], [3, 3]]
    rate = panel.rate(per=1000)
    np.testing.assert_allclose(rate.Y, panel.Y / panel.population * 1000)
    assert rate.population is None
    for name in ("drop", "keep", "treat"):
        with pytest.raises(PanelError, match="No such unit: z"):
            getattr(panel, name)(["z"], *((2002,) if name == "treat" else ()))
    with pytest.raises(PanelError, match="not in the panel, which runs from 2000 to 2005"):
        panel.window(1990)


def test_events_are_laid_on_and_those_outside_are_counted() -> None:
    events = [
        Event("e1", "a", "2001"),
        Event("e2", "zz", "2001"),
        Event("e3", "b", "2099"),
        Event("e4", "b", "2002", "2003"),
    ]
    rows = table().assign(year=lambda d: d.year.astype(str))
    panel = read(rows).treat_events(events)
    assert panel.D.sum(axis=1).tolist()[:3] == [5, 1, 0]
    assert "e2, e3 (2)" in panel.checks[-1].text


def test_aggregation_sums_counts_and_averages_population() -> None:
    months = pd.period_range("2001-02", "2002-04", freq="M")
    rows = pd.DataFrame(
        {
            "town": "a",
            "year": months,
            "deaths": np.arange(15),
            "people": 100.0 + np.arange(15),
            "truce": [0] * 8 + [1] * 7,
        }
    )
    rows = pd.concat([rows, rows.assign(town="b", truce=0)])
    quarters = read(rows, treated="truce", population="people").aggregate("quarter")
    assert [str(p) for p in quarters.periods] == ["2001Q2", "2001Q3", "2001Q4", "2002Q1"]
    assert quarters.Y[0].tolist() == [2 + 3 + 4, 5 + 6 + 7, 8 + 9 + 10, 11 + 12 + 13]
    assert quarters.population is not None
    assert quarters.population[0].tolist() == [103.0, 106.0, 109.0, 112.0]
    assert quarters.D[0].tolist() == [False, False, True, True]
    assert quarters.checks[-1].value == 2


def test_neighbours_become_a_matrix_of_known_units() -> None:
    pairs = pd.DataFrame({"unit": ["a", "b", "a"], "neighbour": ["b", "a", "zz"], "weight": [2.0, 2.0, 1.0]})
    matrix = read(table(), neighbours=pairs).neighbour_matrix()
    assert matrix.shape == (8, 8)
    assert matrix.sum() == 4.0
    with pytest.raises(DesignError, match="no neighbours"):
        read(table()).neighbour_matrix()


def test_to_frame_goes_round() -> None:
    panel = read(table(), **FULL)
    again = Panel.from_frame(
        panel.to_frame(),
        unit="unit",
        time="period",
        outcome="deaths",
        treated="treated",
        population="population",
        cluster="cluster",
        region="region",
    )
    assert again.digest == panel.digest


def test_another_treatment_keeps_what_outcome_and_labels_say_and_nothing_else() -> None:
    panel = read(table(), **FULL)
    assert panel.observed.all()
    assert panel.absorbing
    assert panel.cluster_codes.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    D = np.zeros_like(panel.D)
    D[5, 1:3] = True
    other = panel.with_treatment(D)
    assert other.cluster_codes is panel.cluster_codes
    assert not other.absorbing
    assert other.digest != panel.digest
    Y = panel.Y.copy()
    Y[0, 0] = np.nan
    assert not panel.with_outcome(Y).with_treatment(D).observed.all()
