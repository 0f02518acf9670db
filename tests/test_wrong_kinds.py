"""Whoever gives a table where a panel belongs, or a panel where an estimate belongs, is told so, by name and with the way out."""

import inspect

import numpy as np
import pandas as pd
import pytest

import crimepolicy as cp
from crimepolicy.errors import DesignError

TABLE = pd.DataFrame({"place": ["a", "b"], "deaths": [1, 2]})
ESTIMATE = cp.Estimate(value=0.0, std_error=1.0, estimand="", method="", citation="")


def first_kinds():
    """Names of public functions by the kind of their first argument."""
    found: dict[str, list[str]] = {"Panel": [], "Estimate": []}
    for name in sorted(cp.__all__):
        member = getattr(cp, name)
        if inspect.isfunction(member):
            kinds = [
                str(p.annotation).rpartition(".")[2].rstrip("'>") for p in inspect.signature(member).parameters.values()
            ]
            if kinds and kinds[0] in found:
                found[kinds[0]].append(name)
    return found


FIRST = first_kinds()


def rest(function):
    """Nothing for every other argument that must be given: the first is looked at before them."""
    needed = [p for p in list(inspect.signature(function).parameters.values())[1:] if p.default is p.empty]
    named = {p.name: None for p in needed if p.kind is p.KEYWORD_ONLY}
    return [None for p in needed if p.kind is p.POSITIONAL_OR_KEYWORD], named


def call(name, value):
    function = getattr(cp, name)
    others, named = rest(function)
    return function(value, *others, **named)


def test_there_are_functions_of_both_kinds():
    assert "imputation" in FIRST["Panel"]
    assert "cluster" in FIRST["Estimate"]
    assert min(map(len, FIRST.values())) > 15


@pytest.mark.parametrize("name", FIRST["Panel"])
@pytest.mark.parametrize("value", [TABLE, ESTIMATE, None, []], ids=["table", "estimate", "nothing", "list"])
def test_what_is_no_panel_is_named(name, value):
    with pytest.raises(DesignError, match=rf"should be a Panel, but is of type {type(value).__name__}. Make one with"):
        call(name, value)


@pytest.mark.parametrize("name", FIRST["Estimate"])
@pytest.mark.parametrize("value", [TABLE, None, {"a": ESTIMATE}], ids=["table", "nothing", "mapping"])
def test_what_is_no_estimate_is_named(name, value):
    with pytest.raises(DesignError, match=rf"should be an Estimate, but is of type {type(value).__name__}. Give what"):
        call(name, value)


@pytest.mark.parametrize("name", ["synthesise", "hierarchical_synthesis"])
def test_what_is_among_estimates_is_named_by_its_place(name):
    with pytest.raises(DesignError, match="should be a mapping by name, but is of type DataFrame"):
        call(name, TABLE)
    with pytest.raises(DesignError, match=r"estimates\[1\] should be an Estimate, but is of type float"):
        call(name, [ESTIMATE, 0.3])
    with pytest.raises(DesignError, match=r"estimates\['north'\] should be an Estimate, but is of type ndarray"):
        call(name, {"north": np.zeros(2)})


def test_lists_where_names_are_needed():
    panel = cp.Panel.from_frame(
        pd.DataFrame({"u": [0, 0, 1, 1], "t": [0, 1, 0, 1], "y": [1.0, 2.0, 3.0, 5.0], "d": [0, 0, 0, 1]}),
        unit="u",
        time="t",
        outcome="y",
        treated="d",
    )
    for make in (
        lambda: cp.multiple_testing([ESTIMATE, ESTIMATE]),
        lambda: cp.calibrate([cp.imputation], panel),
        lambda: cp.specification_curve(cp.imputation, [1, 2]),
    ):
        with pytest.raises(DesignError, match="should be a mapping by name, but is of type list"):
            make()
