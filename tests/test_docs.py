"""Every example on a page runs.

A block marked ``python`` is executed, in the order of the page and in one namespace per page; a block marked ``py`` is
only shown.
"""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    known = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [page for page in known if BLOCK.search(page.read_text(encoding="utf-8"))]


def run_doctest(block: str, names: dict[str, object], where: str) -> None:
    test = doctest.DocTestParser().get_doctest(block, names, where, where, 0)
    report: list[str] = []
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    doctest.DocTestRunner(optionflags=flags).run(test, out=report.append, clear_globs=False)
    names.update(test.globs)
    assert not report, "".join(report)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        where = f"{page.relative_to(ROOT)}:{text[: block.start()].count(chr(10)) + 2}"
        if ">>> " in block[1]:
            run_doctest(block[1], names, where)
        else:
            exec(compile(block[1], where, "exec"), names)


@pytest.mark.parametrize("script", sorted((ROOT / "docs" / "figures").glob("*.py")), ids=lambda path: path.stem)
def test_a_figure_stands_on_a_page_with_an_alternative_text(script: Path) -> None:
    shown = re.compile(rf"!\[[^\]]{{40,}}\]\(\.\./figures/{script.stem}\.svg\)")
    pages = [
        page for page in (ROOT / "docs" / "methods").glob("*.md") if shown.search(page.read_text(encoding="utf-8"))
    ]
    assert pages, f"No page of docs/methods shows ../figures/{script.stem}.svg with words for who cannot see it."
