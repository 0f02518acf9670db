"""The build: the same tables again, and a clear word when they are not."""

from pathlib import Path

import polars as pl
import pytest

from crimepolicy.data import build as building
from crimepolicy.data import fetch
from crimepolicy.data.dictionary import list_tables
from crimepolicy.data.pages import data_page, licence_page
from crimepolicy.data.paths import checkout, processed_folder
from crimepolicy.errors import DataError


def inputs_are_here() -> bool:
    try:
        fetch("conapo-population")
    except DataError:
        return False
    return True


needs_mirror = pytest.mark.skipif(
    not inputs_are_here(), reason="the inputs are not in the repository: set CRIMEPOLICY_MIRROR to rebuild them"
)


@needs_mirror
@pytest.mark.parametrize("name", [name for name in list_tables() if name != "mexico_municipality_month"])
def test_rebuilt_table_is_the_committed_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert building.main(["--check", name]) == 0, capsys.readouterr().out
    assert "1 of 1 tables rebuilt and equal." in capsys.readouterr().out


@needs_mirror
@pytest.mark.slow
def test_largest_table_is_the_committed_one() -> None:
    assert building.main(["--check", "mexico_municipality_month"]) == 0


def test_writing_is_repeatable(tmp_path: Path) -> None:
    table = building.build_table("joint_operations_mexico")
    for name in ("one", "two"):
        building.write_table(table, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_digest_sees_values_types_and_names() -> None:
    table = pl.DataFrame({"unit": ["a", None], "deaths": [1, 2]})
    digests = {
        building.table_digest(frame)
        for frame in (
            table,
            table.with_columns(deaths=pl.lit(1)),
            table.cast({"deaths": pl.Int32}),
            table.rename({"unit": "place"}),
        )
    }
    assert len(digests) == 4
    assert building.table_digest(table) == building.table_digest(table.clone())


def test_difference_is_named_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "joint_operations_mexico"
    table = pl.read_parquet(processed_folder() / f"{name}.parquet")
    table.with_columns(pl.col("confidence").replace("low", "medium")).write_parquet(tmp_path / f"{name}.parquet")
    monkeypatch.setattr(building, "processed_folder", lambda: tmp_path)
    assert building.main(["--check", name]) == 1
    assert "DIFFERS in confidence" in capsys.readouterr().out


def test_failure_is_reported_and_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(building, "recipes", dict)
    assert building.main(["--check", "joint_operations_mexico"]) == 1
    assert "FAILED  There is no table" in capsys.readouterr().out


def test_source_without_licence_is_never_built(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        redistribute = False

    monkeypatch.setattr(building, "read_source", lambda _: Closed())
    with pytest.raises(DataError, match="may not be shipped"):
        building.build_table("joint_operations_mexico")


def test_unknown_table() -> None:
    with pytest.raises(DataError, match="Did you mean 'kingpins_mexico'"):
        building.build_table("kingpin_mexico")


@pytest.mark.skipif(checkout() is None, reason="the pages are part of the repository only")
def test_pages_are_up_to_date() -> None:
    top = checkout()
    assert top is not None
    assert (top / "docs" / "data.md").read_text("utf-8") == data_page()
    assert (top / "LICENSE-DATA.md").read_text("utf-8") == licence_page()
