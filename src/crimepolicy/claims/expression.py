"""Boolean expressions of named criteria, evaluated without `eval` and with a third value for unknown."""

import ast
from collections.abc import Mapping

from crimepolicy.errors import ClaimError

__all__ = ["evaluate", "names_in"]

_ALLOWED = (ast.BinOp, ast.UnaryOp, ast.Name, ast.BitAnd, ast.BitOr, ast.Invert, ast.Load)


def evaluate(expression: str, values: Mapping[str, bool | None]) -> bool | None:
    """Return the truth of an expression of names with ``&``, ``|``, ``~`` and brackets.

    Unknown (None) follows Kleene: ``False & None`` is False, ``True | None`` is True, and otherwise it stays unknown.

    Parameters
    ----------
    expression : str
        Such as ``"rise & ~(leads | balance)"``.
    values : mapping of str to bool or None
        Truth of each name.

    Returns
    -------
    bool or None

    Raises
    ------
    ClaimError
        Where the expression holds anything else, or a name without a value.

    Examples
    --------
    >>> evaluate("rise & ~flat", {"rise": True, "flat": False})
    True
    >>> evaluate("rise & flat", {"rise": True, "flat": None}) is None
    True
    """
    return _truth(_parse(expression), values, expression)


def names_in(expression: str) -> list[str]:
    """Return the names of an expression, in order and each once."""
    tree = _parse(expression)
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise _refused(expression)
    found = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return list(dict.fromkeys(found))


def _parse(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        raise _refused(expression) from problem


def _truth(node: ast.expr, values: Mapping[str, bool | None], expression: str) -> bool | None:
    match node:
        case ast.Name(id=name):
            if name not in values:
                raise ClaimError(f"The expression {expression!r} uses {name!r}, which has no value.")
            return values[name]
        case ast.UnaryOp(op=ast.Invert(), operand=inner):
            truth = _truth(inner, values, expression)
            return None if truth is None else not truth
        case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() as operator, right=right):
            sides = (_truth(left, values, expression), _truth(right, values, expression))
            # One side settles the matter: False for "and", True for "or".
            settling = isinstance(operator, ast.BitOr)
            if settling in sides:
                return settling
            return None if None in sides else not settling
    raise _refused(expression)


def _refused(expression: str) -> ClaimError:
    return ClaimError(
        f"{expression!r} is not an expression of criteria. Use their names with & (and), | (or), ~ (not) and brackets."
    )
