"""Write one page of API reference for each module or folder of the library, from its docstrings."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "reference"


def names() -> list[str]:
    """Return the public modules and folders directly below the package, in alphabetical order."""
    children = (ROOT / "src" / "crimepolicy").iterdir()
    found = {child.stem for child in children if child.suffix == ".py" or (child / "__init__.py").is_file()}
    return sorted(name for name in found if not name.startswith("_"))


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for old in PAGES.glob("*.md"):
        old.unlink()
    for name in names():
        (PAGES / f"{name}.md").write_text(f"# crimepolicy.{name}\n\n::: crimepolicy.{name}\n", "utf-8")
    print(f"{len(names())} pages of reference")
