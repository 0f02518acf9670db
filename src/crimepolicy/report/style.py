"""One style for every figure: quiet, colour-blind safe, readable in grey, the same bytes every time."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ACCENT", "BAND", "GREY", "INK", "SECOND", "WIDTH", "new_figure", "save_figure", "style"]

INK = "#1d1d1b"
GREY = "#6f6f6a"
BAND = "#d6dce4"
ACCENT = "#1f4e79"
"""Dark blue: the estimate."""
SECOND = "#a8540f"
"""Orange, lighter than the accent when printed in grey: what it is compared with."""
WIDTH = 5.8

# Measured with the widest of these, so that text never outgrows its place on a machine that has another.
_FAMILIES = "'Source Sans 3', 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "figure.constrained_layout.use": True,
    "svg.fonttype": "none",
    "svg.hashsalt": "crimepolicy",
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the project, whatever the user's own settings are, and leave those alone."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield


def new_figure(height: float) -> "Figure":
    """Return an empty figure as wide as a page, `height` inches high, that no window and no global state knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: "Figure", path: Path | str) -> None:
    """Write a figure as SVG without a date, so that the same figure is the same file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : path
        Ends in ``.svg``; its folder is made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = StringIO()
    with style():
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    path.write_text(drawn.getvalue().replace("'DejaVu Sans'", _FAMILIES), encoding="utf-8", newline="\n")
