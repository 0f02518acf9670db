"""Every tutorial runs from top to bottom, and its exercise knows a right answer from a wrong one."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("marimo", reason="the tutorials are marimo notebooks")

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "tutorials"
TUTORIALS = sorted(FOLDER.glob("*.py"))
Names = dict[str, Any]


def without_the_largest_donor(names: Names) -> float:
    paulo, weights = names["paulo"], names["synthetic"].weights.set_index("label")["weight"]
    dropped = paulo.drop([weights.idxmax()])
    return float(names["cp"].synthetic_control(dropped, v="equal").value)


def weight_on_the_already_treated(names: Names) -> float:
    check = next(check for check in names["parts"].checks if check.name == "already_treated_controls")
    return float(check.value)


def smallest_p_of_ten_donors(names: Names) -> float:
    return 1 / 11


def effect_of_the_unit(names: Names) -> float:
    counts, np, replace = names["counts"], names["np"], names["replace"]
    logged = np.log1p(counts.Y * 10_000_000 / counts.population)
    panel = replace(counts, Y=logged, population=None)
    return float(names["cp"].imputation(panel, horizon=(0, 11), average="event_time").value)


def ratio_without_el_salvador(names: Names) -> float:
    three = [names["one"](*names["truces"][name]) for name in ("Honduras", "Belize", "Trinidad and Tobago")]
    return float(names["np"].exp(names["cp"].synthesise(three).value))


def most_influential_precinct(names: Names) -> str:
    effect, values = names["effect"], {}
    for unit in effect.panel.units[effect.panel.D.any(axis=1)]:
        values[unit] = abs(effect.refit(effect.panel.drop([unit])).value - effect.value)
    return str(max(values, key=lambda unit: values[unit]))


SOLUTIONS: dict[str, Callable[[Names], Any]] = {
    "1_counterfactual": without_the_largest_donor,
    "2_two_way": weight_on_the_already_treated,
    "3_one_place": smallest_p_of_ten_donors,
    "4_counts": effect_of_the_unit,
    "5_pooling": ratio_without_el_salvador,
    "6_breaking": most_influential_precinct,
}


def test_every_tutorial_has_a_solution() -> None:
    assert [path.stem for path in TUTORIALS] == list(SOLUTIONS)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_runs_and_checks_its_exercise(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    _, defined = runpy.run_path(str(path))["app"].run()
    names = {"np": np, **defined}
    check = names["check"]
    assert "Not answered yet." in capsys.readouterr().out
    answer = SOLUTIONS[path.stem](names)
    assert check(answer).startswith("Right")
    assert check("nobody" if isinstance(answer, str) else answer + 0.05 * abs(answer) + 0.05).startswith("Not yet")
