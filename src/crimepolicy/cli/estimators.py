"""The estimators by name, and their options from text."""

import ast
import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

import crimepolicy
from crimepolicy.errors import DesignError, suggest
from crimepolicy.estimate import Estimate
from crimepolicy.panel import Panel

__all__ = ["list_estimators", "run_estimator"]

_WORDS = {"true": True, "false": False, "none": None}


def list_estimators() -> dict[str, str]:
    """Return every estimator that runs here with what it does in a line: the public functions from a panel to an estimate."""
    found = {name: _installed(name) for name in crimepolicy.__all__}
    return {name: (inspect.getdoc(function) or "").splitlines()[0] for name, function in found.items() if function}


def run_estimator(method: str, panel: Panel, options: Sequence[str] = ()) -> Estimate:
    """Return the estimate of a method named by text, with options as ``key=value``.

    Parameters
    ----------
    method : str
        Name of an estimator.
    panel : Panel
        What it is run on.
    options : sequence of str
        Such as ``"family=poisson"``, ``"horizon=0,5"`` or ``"unit_trends=true"``.

    Returns
    -------
    Estimate

    Raises
    ------
    DesignError
        Where the method, an option or its value is unknown.

    Examples
    --------
    >>> from crimepolicy.data import load_panel
    >>> panel = load_panel("brazil_state_year", start="2000", missing="drop_units").treat(["SP"], at=2006)
    >>> run_estimator("synthetic_control", panel, ["v=equal"]).method
    'synthetic control'
    """
    function = _public(method) if method in crimepolicy.__all__ else None
    if function is None:
        raise DesignError(f"There is no method {method!r}.{suggest(method, list(list_estimators()))}")
    known = dict(inspect.signature(function, eval_str=True).parameters)
    del known["panel"]
    estimate: Estimate = function(panel, **dict(_option(text, known, method) for text in options))
    return estimate


def _installed(name: str) -> Callable[..., Estimate] | None:
    """Return the estimator of this name unless a library that it needs is missing, as `doctor` would say."""
    try:
        return _public(name)
    except ModuleNotFoundError:
        return None


def _public(name: str) -> Callable[..., Estimate] | None:
    """Return the public function of this name if it is an estimator."""
    function = getattr(crimepolicy, name)
    if not inspect.isfunction(function):
        return None
    signature = inspect.signature(function, eval_str=True)
    first = next(iter(signature.parameters.values()), None)
    takes_panel = first is not None and first.annotation is Panel
    return function if takes_panel and signature.return_annotation is Estimate else None


def _option(text: str, known: Mapping[str, inspect.Parameter], method: str) -> tuple[str, Any]:
    name, found, words = text.partition("=")
    if not found:
        raise DesignError(f"--option {text!r} should read key=value.")
    if name not in known:
        raise DesignError(f"{method} has no option {name!r}.{suggest(name, list(known))}")
    kind = known[name].annotation
    value = _value(words)
    if not isinstance(value, tuple) and _fits((value,), kind) and not _fits(value, kind):
        value = (value,)
    if not _fits(value, kind):
        raise DesignError(f"--option {text}: {name} should be {_words(kind)}.")
    return name, value


def _value(words: str) -> Any:
    if words.lower() in _WORDS:
        return _WORDS[words.lower()]
    try:
        return ast.literal_eval(words)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return tuple(words.split(",")) if "," in words else words


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of an annotated kind, as far as text can be."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        return isinstance(value, tuple) and len(value) == len(parts) and all(map(_fits, value, parts))
    if origin is Sequence:
        return isinstance(value, tuple | list) and all(_fits(item, parts[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_fits(item, parts[1]) for item in value.values())
    return _is_plain(value, kind)


def _is_plain(value: Any, kind: Any) -> bool:
    if kind in (int, float):
        # A truth value counts as a whole number in Python, and not in the mind of who typed it.
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return kind in (Any, object) or isinstance(value, kind)


def _words(kind: Any) -> str:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(part) for part in parts)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, parts))
    if origin is tuple:
        return f"{len(parts)} values such as 0,5"
    if origin is Sequence:
        return "values separated by commas"
    if origin is Mapping:
        return "a mapping such as {'short': (0, 5)}"
    return {float: "a number", int: "a whole number", bool: "true or false", type(None): "none"}.get(
        kind, getattr(kind, "__name__", str(kind))
    )
