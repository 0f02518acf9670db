"""Every packaged table against its dictionary, its manifest and its sources."""

import json
import re

import polars as pl
import pytest

from crimepolicy.data import datasets, load_table
from crimepolicy.data.build import table_digest
from crimepolicy.data.dictionary import check_table, list_tables, read_dictionary
from crimepolicy.data.paths import processed_folder
from crimepolicy.data.recipes import recipes
from crimepolicy.data.records import list_sources, read_source
from crimepolicy.errors import CrimepolicyError, DataError

MOST_BYTES_OF_A_TABLE = 3_000_000  # a student should get all tables within a minute
MOST_BYTES = 15_000_000  # the wheel carries them

tables = pytest.mark.parametrize("name", list_tables())


@tables
def test_table_agrees_with_its_dictionary(name: str) -> None:
    check_table(load_table(name, frame="polars"), read_dictionary(name))


@tables
def test_dictionary_says_everything(name: str) -> None:
    dictionary = read_dictionary(name)
    assert dictionary.kind in {"panel", "events", "geography", "reference"}
    assert dictionary.totals, "a table without a total was not validated"
    for column in dictionary.columns:
        for text in (column.label, column.unit, column.how, column.missing):
            assert text.strip(), column.name
        assert set(column.source) <= set(dictionary.sources), column.name
        if column.unit == "category":
            assert column.allowed, column.name
        numeric = column.type not in {"string", "bool"}
        if numeric:
            assert column.range is not None or column.allowed is not None or column.type == "date", column.name


@tables
def test_sources_may_be_shipped(name: str) -> None:
    assert all(read_source(source).redistribute for source in read_dictionary(name).sources)


@tables
def test_roles_name_columns(name: str) -> None:
    dictionary = read_dictionary(name)
    roles = dictionary.panel
    named = [
        roles[key]
        for key in ("unit", "time", "outcome", "population", "cluster", "region", "at", "until")
        if key in roles
    ]
    for key in ("outcomes", "rates", "coordinates", "stops"):
        named += roles.get(key, [])
    assert set(named) <= set(dictionary.schema)
    assert (dictionary.kind in {"panel", "events"}) == bool(roles)


def test_manifest_is_that_of_the_committed_tables() -> None:
    manifest = json.loads((processed_folder() / "manifest.json").read_text("utf-8"))
    assert set(manifest["tables"]) == set(list_tables()) == set(recipes())
    assert set(manifest["sources"]) == set(list_sources())
    for name, entry in manifest["tables"].items():
        assert table_digest(pl.read_parquet(processed_folder() / f"{name}.parquet")) == entry["sha256"], name


def test_tables_are_small() -> None:
    sizes = {file.name: file.stat().st_size for file in processed_folder().glob("*.parquet")}
    assert max(sizes.values()) < MOST_BYTES_OF_A_TABLE, sizes
    assert sum(sizes.values()) < MOST_BYTES


def test_catalogue_lists_every_table() -> None:
    listed = datasets()
    assert listed["name"].tolist() == list(list_tables())
    assert listed["licence"].str.len().min() > 3


def test_sources_are_used_and_complete() -> None:
    used = {source for name in list_tables() for source in read_dictionary(name).sources}
    for name in list_sources():
        source = read_source(name)
        assert source.files, name
        assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in source.files)
        assert name in used or not source.redistribute


def test_unknown_table_suggests_the_nearest() -> None:
    with pytest.raises(DataError, match="Did you mean 'mexico_state_month'"):
        load_table("mexico_state_moth")


def test_unknown_column_and_frame() -> None:
    with pytest.raises(DataError, match="Did you mean 'homicides'"):
        load_table("mexico_state_month", columns=["homicide"])
    with pytest.raises(CrimepolicyError, match="'pandas', 'polars'"):
        load_table("mexico_state_month", frame="arrow")  # type: ignore[arg-type]


def test_check_names_each_departure() -> None:
    dictionary = read_dictionary("joint_operations_mexico")
    table = load_table("joint_operations_mexico", frame="polars")
    spoilt = pl.concat([table, table.head(1)]).with_columns(confidence=pl.lit("certain"))
    with pytest.raises(
        DataError, match=r"confidence holds certain .*2 rows share a key.*total 'rows' is 30, expected 29"
    ):
        check_table(spoilt, dictionary)
    with pytest.raises(DataError, match=r"columns missing: \['start'\]"):
        check_table(table.drop("start"), dictionary)
    with pytest.raises(DataError, match="start is String, not Date"):
        check_table(table.with_columns(pl.col("start").cast(pl.String)), dictionary)
    with pytest.raises(DataError, match="event has 29 missing values"):
        check_table(table.with_columns(event=pl.lit(None, dtype=pl.String)), dictionary)


@pytest.mark.parametrize(
    "name", [name for name in list_tables() if (processed_folder() / f"{name}.parquet").stat().st_size < 200_000]
)
def test_pandas_and_polars_hold_the_same(name: str) -> None:
    one, other = load_table(name).head(50), load_table(name, frame="polars").head(50)
    assert list(one.columns) == other.columns
    for column in other.columns:
        missing = one[column].isna().tolist()
        assert missing == other[column].is_null().to_list(), column
