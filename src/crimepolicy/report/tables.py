"""Publication tables of one or several estimates, for HTML, LaTeX, Typst and Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from crimepolicy.errors import EstimationError, choose, offenders
from crimepolicy.estimate import HEADLINE, Estimate

__all__ = ["Format", "table"]

Format = Literal["html", "latex", "typst", "markdown"]

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_TYPST = {mark: "\\" + mark for mark in "\\#*_`$<>@[]"}
_MARKDOWN = {"|": "\\|", "\n": " ", "<": "&lt;"}


@dataclass(frozen=True, slots=True)
class _Grid:
    """A table as text: columns, body rows, foot rows, notes."""

    columns: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    foot: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def table(
    estimates: Estimate | Mapping[str, Estimate],
    *,
    format: Format = "html",
    terms: Mapping[str, str] | None = None,
    ratio: bool = False,
    level: float = 0.95,
    digits: int = 3,
    title: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Return a table with one column per estimate and, under each effect, its standard error and interval.

    Parameters
    ----------
    estimates : Estimate or mapping of str to Estimate
        Columns by heading.
    format : {"html", "latex", "typst", "markdown"}
        HTML pastes into a word processor.
    terms : mapping of str to str, optional
        Rows: term (``att``, ``event_time[3]``, ``window[short]``) and its label. The headline by default.
    ratio : bool
        Show log effects as ratios.
    level : float
        Coverage of the intervals.
    digits : int
        Significant digits.
    title : str
        Heading.
    notes : sequence of str
        Added below the notes that the estimates give themselves: estimand, correction, failed checks.

    Returns
    -------
    str

    Raises
    ------
    EstimationError
        Where no estimate has one of the terms, or a ratio is asked of an effect that is not on the log scale.

    Examples
    --------
    >>> effect = Estimate(estimand="effect", value=0.5, std_error=0.1, method="difference", citation="")
    >>> print(table(effect, format="markdown").splitlines()[2])
    | Effect | 0.5 |
    """
    choose("format", format, Format)
    named = {"": estimates} if isinstance(estimates, Estimate) else dict(estimates)
    if not named:
        raise EstimationError("There is no estimate to put in the table.")
    named = {name: estimate.as_ratio() if ratio else estimate for name, estimate in named.items()}
    grid = _grid(named, dict(terms or {HEADLINE: "Effect"}), level, digits, tuple(notes))
    return {"html": _html, "latex": _latex, "typst": _typst, "markdown": _markdown}[format](grid, title)


# ---------------------------------------------------------------------------------------------------------------- grid


def _grid(
    named: Mapping[str, Estimate], terms: Mapping[str, str], level: float, digits: int, notes: tuple[str, ...]
) -> _Grid:
    absent = [term for term in terms if not any(term in estimate.estimates for estimate in named.values())]
    if absent:
        known = [str(term) for estimate in named.values() for term in estimate.estimates.index[:6]]
        raise EstimationError(
            f"No estimate has the terms {offenders(absent)}. Known: {offenders(dict.fromkeys(known), show=12)}."
        )
    body: list[tuple[str, ...]] = []
    for term, label in terms.items():
        cells = [_cell(estimate, term, level, digits) for estimate in named.values()]
        body += [tuple(texts) for texts in zip((label, "", ""), *cells, strict=True)]
    return _Grid(("", *named), tuple(body), _foot(named), (*_notes(named, level), *notes))


def _cell(estimate: Estimate, term: str, level: float, digits: int) -> tuple[str, str, str]:
    if term not in estimate.estimates:
        return "", "", ""
    value, error = float(estimate.estimates[term]), float(estimate.std_errors[term])
    low, high = estimate.interval(level, term)
    spread = f"({_number(error, digits)})" if np.isfinite(error) else ""
    ends = f"[{_number(low, digits)}, {_number(high, digits)}]" if np.isfinite(low) else ""
    return _number(value, digits), spread, ends


def _foot(named: Mapping[str, Estimate]) -> tuple[tuple[str, ...], ...]:
    clusters = [len(pd.unique(e.clusters)) if e.clusters is not None else e.n_units for e in named.values()]
    return (
        ("Units", *(f"{e.n_units:,}" for e in named.values())),
        ("Treated units", *(f"{e.n_treated:,}" for e in named.values())),
        ("Clusters", *(f"{count:,}" for count in clusters)),
        ("Estimator", *(e.method for e in named.values())),
    )


def _notes(named: Mapping[str, Estimate], level: float) -> tuple[str, ...]:
    errors = [e.correction for e in named.values() if e.correction]
    lines = [
        f"Standard errors in parentheses ({'; '.join(dict.fromkeys(errors)) or 'as estimated'}); {level:.0%} intervals in brackets."
    ]
    lines += [f"Estimand: {words}." for words in dict.fromkeys(e.estimand for e in named.values())]
    lines += [
        f"Failed check{f' ({name})' if name else ''}: {check.text}"
        for name, e in named.items()
        for check in e.checks
        if check.passed is False
    ]
    return tuple(lines)


def _number(value: float, digits: int) -> str:
    if not np.isfinite(value):
        return ""
    # Large numbers keep all their digits: 12,345 deaths, not 1.23e+04.
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


# ------------------------------------------------------------------------------------------------------------- writers


def _html(grid: _Grid, title: str) -> str:
    from great_tables import GT

    # Headings may be equal or empty, column names may not.
    names = [f"column_{position}" for position in range(len(grid.columns))]
    frame = pd.DataFrame([*grid.body, *grid.foot], columns=names)
    labels: dict[str, Any] = dict(zip(names, grid.columns, strict=True))
    shown = GT(frame, id="estimates").cols_label(labels)
    shown = shown.cols_align("left", columns=names[:1]).cols_align("center", columns=names[1:])
    shown = shown.tab_header(title=title) if title else shown
    for note in grid.notes:
        shown = shown.tab_source_note(note)
    return str(shown.as_raw_html())


def _latex(grid: _Grid, title: str) -> str:
    rows = [[_escape(text, _LATEX) for text in line] for line in (grid.columns, *grid.body, *grid.foot)]
    lines = [" & ".join(line) + r" \\" for line in rows]
    middle, end = 1, 1 + len(grid.body)
    inner = [r"\toprule", *lines[:middle], r"\midrule", *lines[middle:end], r"\midrule", *lines[end:], r"\bottomrule"]
    caption = [rf"\caption{{{_escape(title, _LATEX)}}}"] if title else []
    notes = [rf"\footnotesize {_escape(note, _LATEX)}\par" for note in grid.notes]
    tabular = [rf"\begin{{tabular}}{{l{'c' * (len(grid.columns) - 1)}}}", *inner, r"\end{tabular}"]
    return "\n".join([r"\begin{table}", r"\centering", *caption, *tabular, "", *notes, r"\end{table}"]) + "\n"


def _typst(grid: _Grid, title: str) -> str:
    def cells(lines: Sequence[Sequence[str]]) -> list[str]:
        return ["    " + ", ".join(f"[{_escape(text, _TYPST)}]" for text in line) + "," for line in lines]

    head = [
        "#figure(",
        "  table(",
        f"    columns: {len(grid.columns)},",
        "    stroke: none,",
        f"    align: (left, {', '.join(['center'] * (len(grid.columns) - 1))}),",
    ]
    inner = [
        "    table.hline(),",
        *cells([grid.columns]),
        "    table.hline(stroke: 0.5pt),",
        *cells(grid.body),
        "    table.hline(stroke: 0.5pt),",
        *cells(grid.foot),
        "    table.hline(),",
    ]
    caption = [f"  caption: [{_escape(title, _TYPST)}],"] if title else []
    notes = [f"#text(size: 0.85em)[{_escape(note, _TYPST)}]" for note in grid.notes]
    return "\n".join([*head, *inner, "  ),", *caption, ")", *notes]) + "\n"


def _markdown(grid: _Grid, title: str) -> str:
    def line(texts: Sequence[str]) -> str:
        return "| " + " | ".join(_escape(text, _MARKDOWN) for text in texts) + " |"

    rule = "|" + "---|" * len(grid.columns)
    head = [f"**{_escape(title, _MARKDOWN)}**", ""] if title else []
    return (
        "\n".join(
            [
                *head,
                line(grid.columns),
                rule,
                *map(line, (*grid.body, *grid.foot)),
                "",
                *(_escape(note, _MARKDOWN) + "  " for note in grid.notes),
            ]
        )
        + "\n"
    )


def _escape(text: str, marks: Mapping[str, str]) -> str:
    return "".join(marks.get(mark, mark) for mark in text)
