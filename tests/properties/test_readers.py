"""Whatever is read, good or bad, gives what it should or one of our own errors: nothing else escapes."""

import datetime as dt
import json
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crimepolicy as cp
from crimepolicy.claims.claim import read_claims
from crimepolicy.claims.expression import evaluate
from crimepolicy.claims.plan import read_plan
from crimepolicy.cli.panels import read_argument
from crimepolicy.data.dictionary import read_dictionary
from crimepolicy.data.reading import read_parquet
from crimepolicy.data.records import read_source
from crimepolicy.errors import CrimepolicyError
from crimepolicy.report.numbers import read_numbers
from crimepolicy.report.published import published_claims

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = 60
Panic = pl.exceptions.PanicException
PLAN = b"[plan]\nseed = 1\n[a]\nx = 1\n[[deviation]]\nsection = 'a'\ndate = 2026-01-01\nwhat = 'w'\nwhy = 'y'\nreplaces = 'z'\n"

# -------------------------------------------------------------------------------------------------------------- tables

ODD = [
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.binary(max_size=3), st.dates(),
    st.datetimes(), st.timedeltas(), st.complex_numbers(), st.decimals(), st.lists(st.integers(), max_size=2),
    st.sampled_from([pd.NaT, pd.NA, pd.Period("2001-02", "M"), Decimal("sNaN"), object()]),
    st.sampled_from(["2001-02", "2001Q1", "Q", "2001-02-30", "1e400", "nan", ""]),
]  # fmt: skip
MONTHS: list[Any] = [dt.date(2001, month, 1) for month in (1, 2, 3, 4)]
GOOD: dict[str, list[Any]] = {
    "unit": list("aaaabbbbcccc"),
    "time": MONTHS * 3,
    "y": list(range(12)),
    "d": [0, 0, 1, 1] + [0] * 8,
    "x": [0.5 * i for i in range(12)],
    "g": [MONTHS[2]] * 4 + [None] * 8,
}
OPTIONS: dict[str, Any] = {
    "treated": st.just("d"),
    "first_treated": st.just("g"),
    "dose": st.just("x"),
    "population": st.sampled_from(["x", "y"]),
    "weights": st.just("x"),
    "covariates": st.sampled_from([["x"], ["g"]]),
    "cluster": st.just("g"),
    "region": st.just("d"),
    "coordinates": st.just(("x", "y")),
    "frequency": st.sampled_from(["day", "week", "month", "quarter", "year", "integer"]),
    "missing": st.sampled_from(["raise", "keep", "zero", "drop_units"]),
}


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Draw a sound table with one or two columns spoiled in some or all rows."""
    columns = {name: list(values) for name, values in GOOD.items()}
    for name in draw(st.lists(st.sampled_from(list(GOOD)), min_size=1, max_size=2, unique=True)):
        kind = draw(st.sampled_from(ODD))
        for row in draw(st.one_of(st.just(range(12)), st.lists(st.integers(0, 11), min_size=1, max_size=3))):
            columns[name][row] = draw(kind)
    rows = draw(st.sampled_from([12, 12, 12, 11, 1, 0]))
    return pd.DataFrame({name: pd.Series(values[:rows], dtype=object) for name, values in columns.items()})


def as_pandas(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(column.tolist()) for name, column in frame.items()})


def as_polars(frame: pd.DataFrame) -> pl.DataFrame:
    return pl.DataFrame([pl.Series(str(name), column.tolist(), strict=False) for name, column in frame.items()])


CONVERT: dict[str, Callable[[pd.DataFrame], Any]] = {
    "object": lambda frame: frame,
    "pandas": as_pandas,
    "category": lambda frame: frame.astype("category"),
    "polars": as_polars,
    "arrow": lambda frame: as_polars(frame).to_arrow(),
}


def converted(frame: pd.DataFrame, kind: str) -> Any:
    try:
        return CONVERT[kind](frame)
    except (TypeError, ValueError, OverflowError, pa.ArrowException, pl.exceptions.PolarsError, Panic):
        # What the frame library itself does not take never reaches us.
        return None


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=EXAMPLES, deadline=None)
@given(frame=tables(), kind=st.sampled_from(list(CONVERT)), options=st.fixed_dictionaries({}, optional=OPTIONS))
def test_a_table_becomes_a_panel_or_one_of_our_errors(frame: pd.DataFrame, kind: str, options: dict[str, Any]) -> None:
    table = converted(frame, kind)
    if table is None:
        return
    try:
        panel = cp.Panel.from_frame(table, unit="unit", time="time", outcome="y", **options)
    except CrimepolicyError:
        return
    assert panel.Y.shape == panel.D.shape == (panel.n_units, panel.n_periods)
    assert len(panel.to_frame()) == panel.Y.size


# --------------------------------------------------------------------------------------------------------------- bytes


@st.composite
def spoiled(draw: st.DrawFn, sound: bytes) -> bytes:
    """Draw a sound file cut off, with bytes changed, lost, doubled or put in."""
    content = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        at, size = draw(st.integers(0, max(len(content) - 1, 0))), draw(st.sampled_from([1, 3, 40, 4000]))
        match draw(st.sampled_from(["cut", "change", "lose", "double", "insert", "mark"])):
            case "cut":
                del content[at:]
            case "change":
                content[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "lose":
                del content[at : at + size]
            case "double":
                content[at:at] = content[at : at + size]
            case "insert":
                content[at:at] = draw(st.binary(max_size=8))
            case _:
                content[at : at + 1] = draw(
                    st.sampled_from([b"[", b"]", b'"', b"=", b"{", b"\n", b",", b"1e999", b"[[[["])
                )
    return bytes(content)


def panel_file(path: Path) -> cp.Panel:
    return read_argument(str(path), unit="unit", time="time", outcome="y")


def estimate_text(path: Path) -> Any:
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return None
    return cp.Estimate.from_dict(values)


def estimate_bytes() -> bytes:
    frame = pd.DataFrame({"u": list("aabbcc"), "t": [1, 2] * 3, "y": [1.0, 4, 2, 3, 3, 3], "d": [0, 1, 0, 0, 0, 0]})
    panel = cp.Panel.from_frame(frame, unit="u", time="t", outcome="y", treated="d")
    return json.dumps(cp.two_way_fixed_effects(panel).to_dict()).encode()


def table_bytes(kind: str) -> bytes:
    frame, file = pl.DataFrame({"unit": GOOD["unit"], "time": GOOD["time"], "y": GOOD["y"]}), BytesIO()
    frame.write_csv(file) if kind == "csv" else frame.write_parquet(file)
    return file.getvalue()


READERS: dict[str, tuple[Callable[[], bytes], str, Callable[[Path], Any]]] = {
    "claims": ((ROOT / "analyses/claims/K01.toml").read_bytes, "c.toml", read_claims),
    "plan": (lambda: PLAN, "plan.toml", read_plan),
    "published": (lambda: PLAN, "plan.toml", lambda path: published_claims(path.parent)),
    "numbers": ((ROOT / "analyses/results/upp_split.json").read_bytes, "n.json", read_numbers),
    "dictionary": (
        (ROOT / "data/processed/truces.toml").read_bytes, "x.toml", lambda path: read_dictionary("x", path.parent),
    ),
    "source": (
        (ROOT / "data/raw/truces/source.toml").read_bytes,
        "one/source.toml",
        lambda path: read_source("one", path.parents[1]),
    ),
    "csv": (lambda: table_bytes("csv"), "t.csv", panel_file),
    "parquet panel": (lambda: table_bytes("parquet"), "t.parquet", panel_file),
    "parquet": (lambda: table_bytes("parquet"), "t.parquet", read_parquet),
    "estimate": (estimate_bytes, "e.json", estimate_text),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_gives_one_of_our_errors(reader: str, tmp_path: Path) -> None:
    sound, name, read = READERS[reader]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    original = sound()
    path.write_bytes(original)
    read(path)

    @settings(max_examples=EXAMPLES, deadline=None)
    @given(content=spoiled(original))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        with suppress(CrimepolicyError):
            read(path)

    check()


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.text(alphabet="abc &|~()<>=.[]'\"0\n\x00", max_size=40))
def test_an_expression_is_true_false_unknown_or_an_error(expression: str) -> None:
    try:
        truth = evaluate(expression, {"a": True, "b": None, "c": False})
    except CrimepolicyError:
        return
    assert truth in (True, False, None)


@pytest.mark.parametrize("reader", ["claims", "plan", "numbers"])
def test_an_absent_file_is_named(reader: str, tmp_path: Path) -> None:
    with pytest.raises(CrimepolicyError, match=r"absent\.toml"):
        READERS[reader][2](tmp_path / "absent.toml")


def test_a_panel_beyond_the_memory_is_refused_before_it_is_laid_out() -> None:
    # Every unit is seen in a period of its own: laid out as a grid, that is more than any machine has.
    n = 500_000
    frame = pl.DataFrame({"unit": pl.int_range(n, eager=True), "time": pl.int_range(n, eager=True), "y": 0})
    with pytest.raises(CrimepolicyError, match=r"500,000 units by 500,000 periods need about 14,901 GiB"):
        cp.Panel.from_frame(frame, unit="unit", time="time", outcome="y", missing="zero")


def test_one_mistyped_year_is_named_and_not_filled_in() -> None:
    frame = pl.DataFrame({"unit": list("aab"), "time": [2001, 2002, 20_020_000_000], "y": [1, 2, 3]})
    with pytest.raises(
        CrimepolicyError, match=r"no unit has a row for 2003, 2004, 2005, 2006, 2007, .*20019997997 in all"
    ):
        cp.Panel.from_frame(frame, unit="unit", time="time", outcome="y")
