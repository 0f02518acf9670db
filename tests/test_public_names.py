"""The public names: each resolves, type checkers see the same ones, and each says what it does."""

import ast
import inspect
from pathlib import Path

import pytest

import crimepolicy as cp

SOURCE = Path(inspect.getfile(cp))


def typed_names() -> set[str]:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.asname or alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def test_type_checkers_see_the_names_that_load() -> None:
    eager = {"Check", "CrimepolicyError", "Estimate", "Event", "Panel"}
    assert typed_names() | eager == set(cp.__all__)


@pytest.mark.parametrize("name", sorted(cp.__all__))
def test_every_name_resolves_and_is_documented(name: str) -> None:
    pytest.importorskip("pymc") if name.startswith("bayesian") or "apture" in name else None
    assert inspect.getdoc(getattr(cp, name))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'regress'"):
        _ = cp.regress
