import json

import numpy as np
import pytest

from crimepolicy.errors import DataError
from crimepolicy.report.numbers import flatten, read_numbers, tolerance_of, write_numbers
from crimepolicy.report.reproduce import compare, main


@pytest.fixture
def folders(tmp_path):
    build, results = tmp_path / "build", tmp_path / "results"
    numbers = {"n": 42, "effect": 0.1 + 0.2, "p": 0.031, "name": "a", "gone": None, "path": [1.5, 2.5]}
    for folder in (build, results):
        write_numbers(folder / "one.json", numbers, kinds={"p": "simulated"})
    return tmp_path, numbers


def change(folder, **values):
    path = folder / "build" / "one.json"
    write_numbers(
        path,
        {key: value for key, value in (read_numbers(path) | values).items() if key != "kinds"},
        kinds={"p": "simulated"},
    )


def test_same_numbers_are_the_same_bytes(tmp_path):
    write_numbers(tmp_path / "a.json", {"b": 1, "a": {"d": np.float64(0.1), "c": np.int64(3)}})
    write_numbers(tmp_path / "b.json", {"a": {"c": 3, "d": 0.1}, "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_floats_survive_exactly_and_not_a_number_is_nothing(tmp_path):
    values = np.random.default_rng(0).normal(size=50) * 10.0 ** np.arange(-25, 25)
    write_numbers(tmp_path / "a.json", {"x": values, "nan": float("nan"), "inf": np.inf})
    back = read_numbers(tmp_path / "a.json")
    assert back["x"] == values.tolist()
    assert back["nan"] is None
    assert back["inf"] is None


def test_a_value_that_cannot_be_published_is_named(tmp_path):
    with pytest.raises(DataError, match=r"Cannot publish effect\.paths\.1: a value of type set"):
        write_numbers(tmp_path / "a.json", {"effect": {"paths": [1, {2}]}})


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(DataError, match="no kind of number 'rough'"):
        write_numbers(tmp_path / "a.json", {}, kinds={"*": "rough"})


def test_flatten_gives_every_leaf_once():
    assert dict(flatten({"a": {"b": [1, {"c": 2}]}, "d": None})) == {"a.b.0": 1, "a.b.1.c": 2, "d": None}


def test_kinds_by_pattern_and_by_type():
    kinds = {"*.p_dates": "simulated", "windows.m0.*": "exact"}
    assert tolerance_of("windows.m6.p_dates", 0.1, kinds).kind == "simulated"
    assert tolerance_of("windows.m0.p_dates", 0.1, kinds).kind == "exact"
    assert tolerance_of("windows.m6.value", 0.1, kinds).kind == "estimate"
    assert tolerance_of("windows.m6.n", 3, kinds).kind == "exact"


def test_everything_reproduced(folders):
    folder, _ = folders
    comparison = compare(folder / "build", folder / "results")
    assert comparison.agrees
    assert str(comparison).startswith("7 of 7 published numbers reproduced (tolerance: ")
    assert "estimate 1e-06 relative" in str(comparison)


@pytest.mark.parametrize(
    ("change_to", "line"),
    [
        ({"n": 43}, "one.n: published 42, computed 43 (exact)"),
        ({"n": 42.0}, "one.n: published 42, computed 42.0 (exact)"),
        ({"effect": 0.3001}, "one.effect: published 0.30000000000000004, computed 0.3001 (estimate)"),
        ({"p": 0.04}, "one.p: published 0.031, computed 0.04 (simulated)"),
        ({"name": "b"}, "one.name: published 'a', computed 'b' (exact)"),
        ({"gone": 1.0}, "one.gone: published None, computed 1.0 (exact)"),
        ({"effect": None}, "one.effect: published 0.30000000000000004, computed None (estimate)"),
        ({"path": [1.5]}, "one.path.1: published 2.5, not computed"),
    ],
)
def test_a_departure_is_listed_and_ends_with_1(folders, capsys, change_to, line):
    folder, _ = folders
    change(folder, **change_to)
    assert main([str(folder)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert line in printed
    assert printed[-1].startswith("6 of 7 published numbers reproduced")


@pytest.mark.parametrize("values", [{"effect": 0.3 + 1e-9}, {"p": 0.032}])
def test_within_tolerance_is_reproduced(folders, values):
    folder, _ = folders
    change(folder, **values)
    assert compare(folder / "build", folder / "results").agrees


def test_a_new_number_is_not_silently_accepted(folders):
    folder, _ = folders
    change(folder, extra=1)
    comparison = compare(folder / "build", folder / "results")
    assert comparison.reproduced == 7
    assert not comparison.agrees
    assert comparison.departures == ("one.extra: computed, but not published",)


def test_nothing_published_is_no_success(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "no published numbers" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_damaged_files_are_named(folders, capsys, text):
    folder, _ = folders
    (folder / "build" / "one.json").write_text(text)
    assert main([str(folder)]) == 1
    assert "one.json" in capsys.readouterr().out


def test_the_file_is_plain_json(folders):
    folder, numbers = folders
    assert {
        key: value for key, value in json.loads((folder / "build" / "one.json").read_text()).items() if key != "kinds"
    } == numbers
