"""The words of a drawn figure in another language: titles, axes, legends, notes and ticks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING

from matplotlib.ticker import Formatter

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["in_words"]

Tell = Callable[[str], str | None]


@contextmanager
def in_words(figure: "Figure", tell: Tell) -> Iterator[None]:
    """Show the words of a figure as `tell` says them, and give it its own words back afterwards.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    tell : callable
        Returns a text in the other language, or None where it has no words for it; such a text stays.

    Examples
    --------
    >>> from crimepolicy.report.style import new_figure
    >>> figure = new_figure(2.0)
    >>> axes = figure.add_subplot(xlabel="Deaths")
    >>> with in_words(figure, {"Deaths": "Muertes"}.get):
    ...     axes.get_xlabel()
    'Muertes'
    >>> axes.get_xlabel()
    'Deaths'
    """
    from matplotlib.legend import Legend
    from matplotlib.text import Annotation, Text

    texts = [(text, text.get_text()) for text in figure.findobj(Text) if text.get_text()]
    # A legend and a note have their place beside what they name; titles and names of axes would run out of the picture.
    legends = {id(text) for legend in figure.findobj(Legend) for text in legend.get_texts()}
    # Axes that share their labels share the formatter too, which must be told once.
    axes = [axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)]
    formatters = [(axis, axis.get_major_formatter()) for axis in axes]
    for text, words in texts:
        beside = isinstance(text, Annotation) or id(text) in legends
        text.set_text(_told(words, tell) if beside else _in_lines(_told(words, tell), len(words)))
    for axis, formatter in formatters:
        if not isinstance(axis.get_major_formatter(), _ToldTicks):
            axis.set_major_formatter(_ToldTicks(formatter, tell))
    yield
    for text, words in texts:
        text.set_text(words)
    for axis, formatter in formatters:
        axis.set_major_formatter(formatter)


class _ToldTicks(Formatter):
    """Labels of ticks as another formatter writes them, told."""

    def __init__(self, inner: Formatter, tell: Tell) -> None:
        self._inner = inner
        self._tell = tell

    def __call__(self, x: float, pos: int | None = None) -> str:
        return _told(self._inner(x, pos), self._tell)

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        return [_told(text, self._tell) for text in self._inner.format_ticks(values)]  # type: ignore[arg-type]


def _in_lines(text: str, length: int) -> str:
    """Return a line that came out much longer than it was in two; `length` is what it was."""
    return fill(text, max(24, length)) if "\n" not in text and len(text) > max(24, 1.2 * length) else text


def _told(text: str, tell: Tell) -> str:
    """Return a text told as one, in lines about as long as its own, or line by line, or as it is."""
    whole = tell(" ".join(text.split("\n")))
    if whole is None:
        return "\n".join(tell(line) or line for line in text.split("\n"))
    lines = text.split("\n")
    return whole if len(lines) == 1 else fill(whole, max(map(len, lines)) + 2)
