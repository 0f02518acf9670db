"""Figures in other languages: every word is told, what has no words stays, and the figure is as it was afterwards."""

import pytest
from matplotlib.text import Text

from crimepolicy.report.figure_words import in_words
from crimepolicy.report.style import new_figure

BOOK = {
    "Deaths": "Muertes",
    "First year": "Primer año",
    "seen": "vistas",
    "Before": "Antes",
    "A long note in one line": "Una nota larga que en la otra lengua ocupa bastante más que aquella línea",
}


@pytest.fixture
def figure():
    figure = new_figure(2.0)
    axes = figure.add_subplot(xlabel="First year", ylabel="Untold", title="Deaths")
    axes.plot([0, 1], [1, 2], label="seen")
    axes.set_xticks([0, 1], ["Before", "2012"])
    axes.legend()
    axes.annotate("A long note in one line", (0.5, 1.5))
    return figure


def words(figure):
    figure.canvas.draw()
    return [text.get_text() for text in figure.findobj(Text)]


def test_every_word_is_told_and_what_has_none_stays(figure):
    with in_words(figure, BOOK.get):
        told = words(figure)
    assert {"Muertes", "Primer año", "vistas", "Antes", "2012", "Untold"} <= set(told)
    assert not {"Deaths", "First year", "seen", "Before"} & set(told)


def test_the_figure_is_as_it_was_afterwards(figure):
    before = words(figure)
    with in_words(figure, BOOK.get):
        words(figure)
    assert words(figure) == before


def test_a_note_keeps_its_line_and_a_long_title_takes_two(figure):
    figure.axes[0].set_title("A long note in one line")
    with in_words(figure, BOOK.get):
        found = [text for text in words(figure) if text.startswith("Una nota")]
    assert min(text.count("\n") for text in found) == 0
    assert max(text.count("\n") for text in found) >= 1


def test_axes_that_share_labels_are_told_once():
    figure = new_figure(2.0)
    left, right = figure.subplots(1, 2, sharex=True)
    left.set_xticks([0, 1], ["Before", "2012"])
    with in_words(figure, BOOK.get):
        assert words(figure).count("Antes") >= 1
    assert left.xaxis.get_major_formatter() is right.xaxis.get_major_formatter()
    assert "Antes" not in words(figure)
