import itertools

import pytest

from crimepolicy.claims.expression import evaluate, names_in
from crimepolicy.errors import ClaimError

NAMES = ("a", "b", "c")


@pytest.mark.parametrize("expression", ["a", "~a", "a & b", "a | b & ~c", "~(a | b) & c", "a & (b | ~c)"])
@pytest.mark.parametrize("values", list(itertools.product([True, False], repeat=3)))
def test_agrees_with_python_where_everything_is_known(expression, values):
    known = dict(zip(NAMES, values, strict=True))
    spelled = expression.replace("~", " not ").replace("&", " and ").replace("|", " or ")
    assert evaluate(expression, known) is eval(spelled, {}, known)


@pytest.mark.parametrize("expression", ["a & b", "a | b", "~a & b", "~(a & b) | c"])
def test_unknown_is_what_both_completions_agree_on(expression):
    """Kleene: an expression is known exactly where no completion of the unknown names changes it (each name used once)."""
    for values in itertools.product([True, False, None], repeat=3):
        options = [[v] if v is not None else [True, False] for v in values]
        completions = {
            evaluate(expression, dict(zip(NAMES, filled, strict=True))) for filled in itertools.product(*options)
        }
        expected = completions.pop() if len(completions) == 1 else None
        assert evaluate(expression, dict(zip(NAMES, values, strict=True))) is expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "a &",
        "a and b",
        "a + b",
        "a < b",
        "f(a)",
        "a.b",
        "1",
        "True",
        "'a'",
        "-a",
        "a if b else c",
        "[a]",
        "lambda: a",
        "a & __import__('os')",
        "a; b",
        "a = b",
        "(" * 5000,
    ],
)
def test_anything_else_is_refused(expression):
    with pytest.raises(ClaimError, match="not an expression of criteria"):
        names_in(expression)
    with pytest.raises(ClaimError, match="not an expression of criteria"):
        evaluate(expression, {"a": True, "b": False, "c": True})


def test_a_name_without_a_value_is_named():
    with pytest.raises(ClaimError, match="'b', which has no value"):
        evaluate("a & b", {"a": True})


def test_names_come_once_each():
    assert names_in("b & (a | ~b)") == ["b", "a"]
