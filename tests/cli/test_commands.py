"""The command line: what people read, what machines read, and what happens when something is wrong."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import crimepolicy as cp
from crimepolicy.cli import health
from crimepolicy.cli.app import app, main
from crimepolicy.cli.estimators import run_estimator
from crimepolicy.errors import DesignError
from crimepolicy.estimate import Check, Estimate

RUNNER = CliRunner()
COMMANDS = ("datasets", "fetch", "describe", "estimate", "methods", "claims", "verdict", "doctor")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = pd.DataFrame(
        {
            "city": [city for city in "abcdefgh" for _ in range(6)],
            "year": list(range(2001, 2007)) * 8,
            "deaths": [20 + (i * 7) % 9 for i in range(48)],
            "people": 100_000,
            "truce": [int(city < "d" and year > 2003) for city in "abcdefgh" for year in range(2001, 2007)],
        }
    )
    path = tmp_path / "own.csv"
    rows.to_csv(path, index=False)
    return path


def words(*given):
    done = RUNNER.invoke(app, [str(word) for word in given])
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.stdout


def machine(*given):
    return json.loads(words(*given, "--json"))


def columns(table):
    return [table, "--unit", "city", "--time", "year", "--outcome", "deaths", "--treated", "truce"]


def fails(capsys, monkeypatch, *given):
    monkeypatch.setattr(sys, "argv", ["crimepolicy", *map(str, given)])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code, capsys.readouterr().err


def test_version_and_help():
    assert words("--version").strip() == f"crimepolicy {cp.__version__}"
    assert all(command in words("--help") for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_examples(command):
    text = words(command, "--help")
    assert f"Examples:\n    crimepolicy {command}" in text


def test_the_program_runs_by_its_name():
    # What the entry point calls, in a process of its own.
    code = "from crimepolicy.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "verdict", "X9"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("crimepolicy: There is no claim 'X9'.")
    assert done.stdout == ""


def test_datasets_agree_with_the_catalogue():
    listed = machine("datasets")
    catalogue = cp.datasets().set_index("name")
    assert [row["name"] for row in listed] == list(catalogue.index)
    assert all(row["rows"] == catalogue.loc[row["name"], "rows"] for row in listed)
    assert all(row["publisher"] for row in listed)
    assert {row["kind"] for row in machine("datasets", "--kind", "events")} == {"events"}
    assert "brazil_state_year" in words("datasets")


def test_fetch_says_where_a_file_is():
    (row,) = machine("fetch", "kingpins-mexico")
    assert Path(row["path"]).stat().st_size == row["bytes"]


def test_a_packaged_panel_with_events():
    given = ["mexico_municipality_month", "--start", "2005-01", "--end", "2012-12", "--events", "kingpins_mexico"]
    given += ["--where", "rank=leader", "--where", "place_precision=municipality", "--where", "first_per_unit=true"]
    facts = machine("describe", *given)
    events = cp.load_events("kingpins_mexico", rank=["leader"], place_precision=["municipality"], first_per_unit=True)
    panel = cp.load_panel("mexico_municipality_month", start="2005-01", end="2012-12", events=events)
    assert facts["digest"] == panel.digest
    assert sum(facts["first_treated"].values()) == facts["treated_units"] == panel.D.any(axis=1).sum()


@pytest.mark.parametrize("ending", ["csv", "parquet", "csv.gz", "tsv"])
def test_files_of_every_kind_give_one_panel(table, tmp_path, ending):
    frame = pd.read_csv(table)
    path = tmp_path / f"other.{ending}"
    if ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    expected = cp.Panel.from_frame(frame, unit="city", time="year", outcome="deaths", treated="truce")
    assert machine("describe", *columns(path))["digest"] == expected.digest
    assert "first treated 2004: 3 units" in words("describe", *columns(path))


def test_a_window_of_a_file(table):
    assert machine("describe", *columns(table), "--start", "2002", "--end", "2005")["periods"] == 4


def test_an_estimate_is_that_of_the_library(table):
    given = [*columns(table), "--population", "people", "--method", "imputation", "--option", "family=poisson"]
    record = machine("estimate", *given, "--option", "horizon=0,1")
    panel = cp.Panel.from_frame(
        pd.read_csv(table), unit="city", time="year", outcome="deaths", treated="truce", population="people"
    )
    effect = cp.imputation(panel, family="poisson", horizon=(0, 1))
    assert record["estimate"] == effect.value
    assert record["terms"][0]["conf_low"] == effect.interval()[0]
    assert len(record["terms"]) == len(effect.tidy())
    ratio = machine("estimate", *given, "--option", "horizon=0,1", "--ratio")
    assert ratio["scale"] == "ratio"
    assert effect.sentence() in words("estimate", *given, "--option", "horizon=0,1")


def test_tables_and_figures_of_an_estimate(table, tmp_path):
    given = [*columns(table), "--method", "group_time_effects", "--aggregate", "event"]
    figure = tmp_path / "path.svg"
    assert words("estimate", *given, "--table", "latex", "--figure", figure).startswith(r"\begin{table}")
    assert figure.read_text("utf-8").startswith("<?xml")


def test_every_claim_is_listed_and_shown():
    listed = machine("claims")
    assert {"K01a", "K01b", "P01a", "P01b"} <= {row["claim"] for row in listed}
    for row in listed:
        if row["verdict"] not in ("not published yet", "not judged"):
            shown = machine("verdict", row["claim"])
            assert shown["label"] == row["verdict"]
            assert shown["criteria"]
    assert "K01a" in words("claims")
    assert "Overturned by:" in words("verdict", "K01a")


def test_the_methods_are_the_functions_from_a_panel_to_an_estimate():
    found = {row["method"]: row["what"] for row in machine("methods")}
    assert {"imputation", "synthetic_did", "bayesian_event_study", "two_way_fixed_effects"} <= set(found)
    assert not {"bacon_decomposition", "placebo_test", "load_panel", "synthesise"} & set(found)
    assert all(found.values())


PANEL = cp.Panel.from_frame(
    pd.DataFrame({"u": list("aabb"), "t": [1, 2, 1, 2], "y": [1.0, 2.0, 2.0, 2.0], "d": [0, 1, 0, 0]}),
    unit="u", time="t", outcome="y", treated="d",
)  # fmt: skip


@pytest.mark.parametrize(
    ("method", "option", "message"),
    [
        ("imputations", "", "Did you mean 'imputation'"),
        ("imputation", "family", "key=value"),
        ("imputation", "famly=poisson", "Did you mean 'family'"),
        ("imputation", "family=gamma", "one of 'gaussian', 'poisson'"),
        ("imputation", "horizon=5", "2 values such as 0,5"),
        ("imputation", "anticipation=soon", "a whole number"),
        ("imputation", "unit_trends=1", "true or false"),
        ("imputation", "windows=short", "a mapping"),
        ("synthetic_control", "penalty=much", "should be a number"),
        ("imputation", "horizon=" + "(" * 500, "2 values"),
    ],
)
def test_wrong_methods_and_options_are_explained(method, option, message):
    with pytest.raises(DesignError, match=message.replace("(", r"\(")):
        run_estimator(method, PANEL, [option] if option else [])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("covariates=gdp", ("gdp",)),
        ("covariates=gdp,rain", ("gdp", "rain")),
        ("horizon=(0, 5)", (0, 5)),
        ("horizon=0,5", (0, 5)),
        ("windows={'a': (0, 1)}", {"a": (0, 1)}),
        ("average=none", None),
        ("unit_trends=True", True),
    ],
)
def test_right_options_reach_the_estimator(monkeypatch, option, value):
    seen = {}
    real = cp.imputation

    @functools.wraps(real)
    def spy(panel, **options):
        seen.update(options)

    monkeypatch.setattr(cp, "imputation", spy, raising=False)
    run_estimator("imputation", PANEL, [option])
    assert seen == {option.partition("=")[0]: value}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["describe", "mexico_stat_month"], "Did you mean 'mexico_state_month'"),
        (["describe", "absent.csv", "--unit", "a", "--time", "b", "--outcome", "c"], "There is no file absent.csv"),
        (["describe", "absent.csv"], "--unit COLUMN"),
        (["describe", "mexico_state_month", "--unit", "x"], "--unit belongs to a file"),
        (["describe", "mexico_state_month", "--where", "rank=leader"], "say which table with --events"),
        (["describe", "brazil_state_year", "--events", "truces", "--where", "rank"], "should read column=value"),
        (["fetch", "kingpins-mexic"], "Did you mean 'kingpins-mexico'"),
        (["verdict", "K99"], "There is no claim 'K99'"),
    ],
)
def test_what_fails_on_purpose_is_one_message_and_exit_code_1(capsys, monkeypatch, given, message):
    code, text = fails(capsys, monkeypatch, *given)
    assert code == 1
    assert text.startswith("crimepolicy: ")
    assert message in text
    assert "Traceback" not in text


def test_a_broken_file_is_named(capsys, monkeypatch, tmp_path):
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    code, text = fails(capsys, monkeypatch, "describe", *columns(path))
    assert code == 1
    assert "broken.parquet cannot be read as parquet" in text


@pytest.mark.parametrize("given", [["datasets", "--kind", "maps"], ["estimate", "x"], ["verdict"], ["divine"]])
def test_what_is_not_understood_is_exit_code_2(capsys, monkeypatch, given):
    code, text = fails(capsys, monkeypatch, *given)
    assert code == 2
    assert "Usage: crimepolicy" in text


def test_a_missing_library_says_how_to_get_it(capsys, monkeypatch):
    def absent(*_):
        raise ModuleNotFoundError("No module named 'pymc'", name="pymc")

    monkeypatch.setattr("crimepolicy.cli.app.app", lambda prog_name: absent())
    code, text = fails(capsys, monkeypatch, "claims")
    assert code == 1
    assert "pip install 'crimepolicy[bayes]'" in text


def test_a_missing_library_hides_only_the_methods_that_need_it():
    code = "import sys; sys.modules['numba'] = None; from crimepolicy.cli.estimators import list_estimators as all; print(*all())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"imputation", "synthetic_control"} <= set(done.stdout.split())
    assert "bayesian_event_study" not in done.stdout.split()


def test_the_doctor_finds_nothing_wrong_here():
    found = machine("doctor")
    assert not [check for check in found if check["passed"] is False]
    assert {"core", "tables", "verdicts"} <= {check["name"] for check in found}


def test_the_doctor_notices_a_number_that_differs():
    effect = Estimate(estimand="effect", value=1.0, std_error=0.1, method="", citation="")
    assert health._number("fit", lambda: effect, 1.0).passed is True
    assert health._number("fit", lambda: effect, 1.001).passed is False


def test_a_failed_check_is_exit_code_1(monkeypatch):
    monkeypatch.setattr(health, "examine", lambda: [Check("tables", False, 1, "one table is damaged")])
    done = RUNNER.invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "[FAILED] tables: one table is damaged" in done.stdout
