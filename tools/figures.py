"""Draw the figures of the method pages: every `docs/figures/NAME.py` defines `draw()`, from shipped data."""

import runpy
import sys
from pathlib import Path

import matplotlib as mpl

FIGURES = Path(__file__).resolve().parents[1] / "docs" / "figures"


def main(names: list[str]) -> None:
    """Write `docs/figures/NAME.svg` for the names given, or for all."""
    # Without a salt, the identifiers inside an SVG change from run to run.
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "crimepolicy"
    for script in sorted(FIGURES.glob("*.py")):
        if not names or script.stem in names:
            figure = runpy.run_path(str(script))["draw"]()
            figure.savefig(script.with_suffix(".svg"), metadata={"Date": None}, bbox_inches="tight")
            print(f"docs/figures/{script.stem}.svg")


if __name__ == "__main__":
    main(sys.argv[1:])
