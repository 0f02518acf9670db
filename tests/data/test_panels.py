"""Panels and events as an analyst asks for them."""

import time

import pandas as pd
import pytest

from crimepolicy.data import load_events, load_panel, load_table
from crimepolicy.data.dictionary import list_tables, read_dictionary
from crimepolicy.errors import DataError

SECONDS = 3.0  # of processor time; less than one second on a quiet machine
OFFICIAL = ["mexican_forces", "state_police"]
TRUE_REMOVAL = ["none", "later_released", "escaped", "later_at_large"]


def test_municipal_panel_is_whole_and_quick() -> None:
    load_panel("mexico_state_month")
    started = time.process_time()
    panel = load_panel("mexico_municipality_month")
    assert time.process_time() - started < SECONDS
    assert panel.Y.shape == (2442, 252)
    assert panel.balanced
    assert panel.population is not None
    assert panel.neighbours is not None
    matrix = panel.neighbour_matrix()
    assert abs(matrix - matrix.T).sum() == 0
    assert panel.sources == ("inegi-mortality", "conapo-population", "inegi-municipalities")


def test_flags_become_checks() -> None:
    found = {check.name: check for check in load_panel("mexico_municipality_month").checks}
    assert found["late_registration"].value == 2442 * 12
    assert found["doubtful_2018"].passed is None
    early = {check.name: check for check in load_panel("mexico_municipality_month", end="2017-12").checks}
    assert early["late_registration"].value == 0
    assert early["doubtful_2018"].passed is True


@pytest.mark.parametrize(
    ("start", "end", "periods"), [("2003-01", "2020-12", 216), ("2003", "2003", 12), (None, "2000-03-01", 3)]
)
def test_window_includes_both_ends(start: str | None, end: str | None, periods: int) -> None:
    assert load_panel("mexico_state_month", start=start, end=end).n_periods == periods


def test_other_outcome_with_missing_months_needs_a_word() -> None:
    with pytest.raises(ValueError, match="missing"):
        load_panel("mexico_state_month", outcome="victims_sesnsp_old")
    panel = load_panel("mexico_state_month", outcome="victims_sesnsp_old", start="2014-01", end="2017-11")
    assert panel.balanced


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean 'mexico_state_month'"):
        load_panel("mexico_states_month")
    with pytest.raises(DataError, match="Did you mean 'homicides'"):
        load_panel("mexico_state_month", outcome="homicide")
    with pytest.raises(DataError, match="not a panel"):
        load_panel("kingpins_mexico")
    with pytest.raises(DataError, match="Did you mean 'late_registration'"):
        load_panel("mexico_state_month", accept={"late_registrations": "why"})


def test_base_definition_of_a_removal() -> None:
    chosen = {
        "actor": OFFICIAL, "action": ["captured", "killed"], "reversal": TRUE_REMOVAL, "place_precision": ["municipality"],
        "start": "2001-01-01", "end": "2020-12-31",
    }  # fmt: skip
    events = load_events("kingpins_mexico", **chosen, one_per_operation=False)  # type: ignore[arg-type]
    assert (len(events), len({event.unit for event in events})) == (115, 72)
    leaders = load_events("kingpins_mexico", rank=["leader"], **chosen)  # type: ignore[arg-type]
    assert len(leaders) == 51
    first = load_events("kingpins_mexico", rank=["leader"], first_per_unit=True, **chosen)  # type: ignore[arg-type]
    panel = load_panel("mexico_municipality_month", events=first)
    assert int(panel.D.any(axis=1).sum()) == len(first) == 42


def test_same_operation_is_one_event() -> None:
    both = load_events("kingpins_mexico", unit=["14120"], start="2010-07-01", end="2010-07-31", one_per_operation=False)
    one = load_events("kingpins_mexico", unit=["14120"], start="2010-07-01", end="2010-07-31")
    assert [event.id for event in both] == ["MX040", "MX041"]
    assert [event.id for event in one] == ["MX040"]


def test_event_without_place_is_never_dropped_in_silence() -> None:
    with pytest.raises(DataError, match=r"events without a date or unit: MX001.*12 in all"):
        load_events("kingpins_mexico")
    everywhere = load_events("kingpins_mexico", place="operations_state", one_per_operation=False)
    assert len(everywhere) == 149


def test_filters_that_do_not_apply() -> None:
    with pytest.raises(DataError, match="no column 'rank'"):
        load_events("joint_operations_mexico", rank=["leader"])
    with pytest.raises(DataError, match="Did you mean 'leader'"):
        load_events("kingpins_mexico", rank=["leaders"])
    with pytest.raises(DataError, match="use place='unit'"):
        load_events("joint_operations_mexico", place="operations_state")
    with pytest.raises(DataError, match="not events"):
        load_events("mexico_state_month")


def test_source_read_is_carried() -> None:
    table = load_table("kingpins_mexico")
    assert int(table["source_read"].sum()) == 52
    read = load_events("kingpins_mexico", source_read=True, place="operations_state", one_per_operation=False)
    assert len(read) == 52
    assert all(event.attributes["source_read"] for event in read)


def test_every_place_of_removal_is_a_unit_of_the_panel() -> None:
    places = load_table("kingpins_mexico")["unit"].dropna()
    assert set(places) <= set(load_panel("mexico_municipality_month").units)


def test_month_0_of_culiacan_is_in_the_panel() -> None:
    table = load_table("mexico_municipality_month", columns=["unit", "month", "name", "state", "homicides"])
    cell = table[(table["unit"] == "25006") & (table["month"] == pd.Timestamp("2008-01-01"))]
    assert cell["name"].item() == "Culiacán"
    assert cell["homicides"].item() > 0


@pytest.mark.parametrize("name", [name for name in list_tables() if read_dictionary(name).kind == "panel"])
def test_every_panel_loads(name: str) -> None:
    dictionary = read_dictionary(name)
    accept = dict.fromkeys(dictionary.panel.get("stops", []), "only loaded")
    panel = load_panel(name, missing="keep", accept=accept)
    assert panel.outcome == dictionary.panel["outcome"]
    assert panel.n_periods > 10


@pytest.mark.parametrize("name", [name for name in list_tables() if read_dictionary(name).kind == "events"])
def test_every_event_table_loads(name: str) -> None:
    events = load_events(name, incomplete="leave_out")
    table = load_table(name)
    roles = read_dictionary(name).panel
    whole = table[roles["unit"]].notna() & table[roles["at"]].notna()
    if "same_operation_as" in table:
        assert 0 < int(whole.sum()) - len(events) <= 3
    else:
        assert len(events) == int(whole.sum())


def test_flagged_outcome_stops_a_panel_until_a_reason_is_given() -> None:
    with pytest.raises(DataError, match=r"duplicate_value .2 cells.*definition_changed"):
        load_panel("latam_country_year", missing="keep")
    reason = "the duplicated years lie after the window of the effect"
    panel = load_panel(
        "latam_country_year",
        missing="keep",
        start="1990",
        end="2017",
        accept=dict.fromkeys(["duplicate_value", "shifted_value"], reason),
    )
    found = {check.name: check for check in panel.checks}
    assert reason in found["duplicate_value"].text
    assert found["definition_changed"].passed is True
    clean = load_panel("latam_country_year", units=["SLV", "CRI", "URY"], start="2000", end="2014")
    assert clean.n_units == 3
    with pytest.raises(DataError, match="Did you mean 'SLV'"):
        load_panel("latam_country_year", units=["SVL"])


def test_default_start_is_said() -> None:
    panel = load_panel("brazil_state_year")
    assert str(panel.periods[0]) == "1990"
    assert any(check.name == "default_start" for check in panel.checks)
    assert load_panel("brazil_state_year", start="1989", population=False).n_periods == 34


def test_contested_ends_travel_with_the_event() -> None:
    (truce,) = load_events("truces", unit=["SLV"], start="2012-01-01", end="2012-12-31")
    assert (truce.at, truce.until) == ("2012-03-09", "2014-05-01")
    assert truce.attributes["end_precision"] == "contested"
    assert len(truce.attributes["end_alternatives"].split(";")) == 5


def test_buenaventura_by_day() -> None:
    days = load_table("colombia_homicides_day")
    lull = days[(days["unit"] == "76109") & days["day"].between("2022-08-30", "2022-10-17")]
    assert lull["day"].dt.strftime("%Y-%m-%d").tolist() == ["2022-09-10"]


def test_a_window_is_asked_for_by_year_or_by_text():
    years = load_panel("brazil_state_year", start=1990, end=2000)
    assert years.digest == load_panel("brazil_state_year", start="1990", end="2000").digest
    for wrong in ("January 1990", 90, "1990-1"):
        with pytest.raises(DataError, match="is no period"):
            load_panel("brazil_state_year", start=wrong)
