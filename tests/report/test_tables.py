import re

import pandas as pd
import pytest

from crimepolicy.errors import DesignError, EstimationError
from crimepolicy.estimate import Check, Estimate
from crimepolicy.report.tables import table


def estimate(**fields):
    facts = {
        "estimand": "effect on homicides",
        "value": 0.41,
        "std_error": 0.1,
        "method": "imputation",
        "citation": "",
        "scale": "log",
        "correction": "CR1",
        "n_units": 1251,
        "n_treated": 42,
    }
    return Estimate(**(facts | fields))


WINDOWS = estimate(
    path=pd.DataFrame(
        {"estimate": [0.1, -0.2], "std_error": [0.05, 0.1]}, index=pd.Index(["short", "long"], name="window")
    )
)
FORMATS = ("html", "latex", "typst", "markdown")


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_holds_the_numbers(format):
    text = table({"Main": estimate(), "Other": estimate(value=-0.1)}, format=format, title="Effects")
    for expected in ("0.41", "(0.1)", "0.214", "1,251", "42", "Main", "Other", "Effects", "CR1", "effect on homicides"):
        assert expected in text, expected


@pytest.mark.parametrize("format", FORMATS)
def test_markup_in_names_stays_text(format):
    text = table({"<script>a</script> & 5% | $x_1$": estimate()}, format=format)
    if format == "html":
        assert "<script>" not in text
        assert "&lt;script&gt;" in text
    marked = {"latex": r"\& 5\% | \$x\_1\$", "typst": r"\$x\_1\$", "markdown": r"5% \|", "html": "&amp; 5%"}
    assert marked[format] in text


def test_latex_has_as_many_cells_as_columns():
    text = table({"A": estimate(), "B": estimate()}, format="latex")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {3}
    assert r"\begin{tabular}{lcc}" in text


def test_ratios():
    text = table(estimate(), format="markdown", ratio=True)
    assert "| Effect | 1.51 |" in text
    with pytest.raises(EstimationError, match="level"):
        table(estimate(scale="level"), ratio=True)


def test_terms_are_rows_and_absent_ones_stay_empty():
    terms = {"att": "All", "window[short]": "Months 0-5"}
    lines = table({"A": WINDOWS, "B": estimate()}, format="markdown", terms=terms).splitlines()
    row = next(line for line in lines if "Months 0-5" in line)
    assert row == "| Months 0-5 | 0.1 |  |"


def test_an_unknown_term_is_named():
    with pytest.raises(EstimationError, match=r"window\[middle\].*Known"):
        table(WINDOWS, terms={"window[middle]": "x"})


def test_failed_checks_stand_in_the_notes():
    text = table({"Main": estimate(checks=(Check("leads", False, 0.01, "The leads reject."),))}, format="markdown")
    assert "Failed check (Main): The leads reject." in text


def test_options():
    with pytest.raises(DesignError, match="format='word'"):
        table(estimate(), format="word")
    with pytest.raises(EstimationError, match="no estimate"):
        table({})
