"""Figures and page of an analysis whose published numbers have the shape of `analyses.standard`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from analyses.family import Compute, Family, Results
from analyses.figures import Panel, draw_figure
from crimepolicy.claims.plan import Plan
from crimepolicy.claims.verdict import Verdict
from crimepolicy.report.site import Cell, ClaimPage, Figure, Section, Table, against_expected, change, number, p_value

__all__ = ["standard_family"]

Remarks = Callable[[Results], tuple[str, ...]]
Cells = tuple[Cell | str, ...]

_DRAWN = ("series", "path", "effects", "null")
_GROUPS = {
    "main": "The estimate, every kind of uncertainty side by side",
    "outcome": "Where else it would show",
    "place": "Place by place",
    "window": "How long it lasts",
    "placebo": "Where nothing should show",
    "specification": "One thing changed at a time",
    "level": "In levels, not ratios",
    "years": "Against the same months of other years",
    "break": "A break in the days around the order",
    "long run": "In the long run",
    "donor": "Without single donors",
    "unfit": "Shown, and no evidence: these fail a check of their own",
}
_AXIS = (0.2, 5.0)
_LABEL = 38
"""Characters in a line of a label, so that labels leave room for the intervals."""


def standard_family(
    claim: str,
    section: str,
    numbers: Mapping[str, Compute],
    modules: Sequence[str],
    tables: Sequence[str],
    *,
    words: Mapping[str, str] | None = None,
    remarks: Remarks | None = None,
    kinds: Mapping[str, str] | None = None,
    reads: Sequence[str] = (),
) -> Family:
    """Return a family with the standard page.

    Parameters
    ----------
    claim, section, numbers, modules, tables, kinds, reads
        As in `Family`.
    words : mapping of str to str, optional
        What each part of the claim counts, where not homicides.
    remarks : callable, optional
        From published numbers to paragraphs that a reader needs before the figures.
    """
    drawn = tuple(f"{section}_{name}" for name in _DRAWN if name in numbers)
    return Family(
        claim=claim,
        section=section,
        numbers=numbers,
        modules=("standard", *modules),
        tables=tuple(tables),
        figures=drawn,
        draw=partial(_draw, section=section),
        page=partial(_page, section=section, tables=tuple(tables), words=dict(words or {}), remarks=remarks),
        kinds=dict(kinds or {}),
        reads=tuple(reads),
    )


# ------------------------------------------------------------------------------------------------------------- figures


def _draw(folder: Path, results: Results, placebos: Results, plan: Plan, *, section: str) -> None:
    draws = {"series": _series_panels, "path": _path_panels, "effects": _effect_panels, "null": _null_panels}
    for name, panels_of in draws.items():
        if f"{section}_{name}" in results:
            panels = panels_of(results[f"{section}_{name}"], plan.shared["level"])
            draw_figure(folder / f"{section}_{name}.svg", panels, height=_height(name, panels))


def _height(name: str, panels: Sequence[Panel]) -> float:
    if name == "effects":
        return sum(_rows_height(panel.data["label"]) for panel in panels)
    return {"series": 2.9, "path": 2.9, "null": 2.3}[name] * len(panels)


def _rows_height(labels: Sequence[str]) -> float:
    """Return the height of rows of intervals in inches; a label of two lines takes more."""
    return 1.0 + 0.16 * len(labels) + 0.14 * sum(len(wrap(label, _LABEL)) for label in labels)


def _series_panels(numbers: Results, level: float) -> list[Panel]:
    return [
        Panel(
            {"kind": "series", "x": panel["x"], "series": panel["series"], "marks": panel.get("marks", [])},
            panel.get("title", ""),
            {"ylabel": panel["ylabel"]},
        )
        for panel in numbers["panels"]
    ]


def _path_panels(numbers: Results, level: float) -> list[Panel]:
    keys = ("scale", "event_time", "estimate", "low", "high", "band_low", "band_high")
    return [
        Panel(
            {"kind": "event", "level": level, **{key: panel.get(key) for key in keys}},
            panel.get("title", ""),
            {"xlabel": panel["xlabel"]},
        )
        for panel in numbers["panels"]
    ]


def _effect_panels(numbers: Results, level: float) -> list[Panel]:
    listed = [row for row in _listed(numbers) if row["group"] != "unfit"]
    panels = []
    for scale in ("ratio", "level"):
        found = [row for row in listed if row["scale"] == scale and row["value"] is not None]
        if found:
            panels.append(Panel(_interval_data(found, scale)))
    return panels


def _interval_data(found: Sequence[Results], scale: str) -> dict[str, Any]:
    shown = (lambda value: None if value is None or value <= 0 else float(np.log(value))) if scale == "ratio" else float
    columns = {key: [shown(row[source]) for row in found] for key, source in (("estimate", "value"), ("low", "low"), ("high", "high"))}  # fmt: skip
    # An interval that ends at zero deaths has no logarithm; it runs to the end of the axis.
    if scale == "ratio":
        columns["low"] = [float(np.log(_AXIS[0] / 10)) if low is None else low for low in columns["low"]]
    ends = [float(np.log(end)) for end in _AXIS] if scale == "ratio" else _level_ends(columns)
    # A label as long as a sentence would leave no room for the axis; the table gives it whole.
    labels = ["\n".join(wrap(row.get("short", row["label"]), _LABEL)) for row in found]
    return {
        "kind": "terms",
        "scale": "log" if scale == "ratio" else "level",
        "label": labels,
        "limits": ends,
        **columns,
    }


def _level_ends(columns: Mapping[str, Sequence[float]]) -> list[float] | None:
    """Return where an axis of differences ends if one interval is many times wider than the others; else None."""
    reach = np.abs([*columns["low"], *columns["high"]])
    usual = 1.3 * float(np.quantile(reach, 0.9))
    return [-usual, usual] if reach.max() > 3 * usual else None


def _null_panels(numbers: Results, level: float) -> list[Panel]:
    return [Panel(panel, panel["title"]) for panel in numbers["panels"]]


# ---------------------------------------------------------------------------------------------------------------- page


def _page(
    verdicts: tuple[Verdict, ...],
    results: Results,
    plan: Plan,
    figures: Path,
    *,
    section: str,
    tables: tuple[str, ...],
    words: Mapping[str, str],
    remarks: Remarks | None,
) -> ClaimPage:
    given = {name: results[f"{section}_{name}"] for name in (*_DRAWN, "sample", "calibration", "published") if f"{section}_{name}" in results}  # fmt: skip
    said = () if remarks is None else remarks(results)
    builders = {"series": _series_section, "path": _path_section, "effects": _effects_section, "null": _null_section, "calibration": _calibration_section, "published": _published_section, "sample": _sample_section}  # fmt: skip
    made = [build(given[name], f"{section}_{name}", figures) for name, build in builders.items() if name in given]
    sections = (_comparison(plan.section(section), said), *made, _plan_section(plan, section))
    return ClaimPage(verdicts, _lead(verdicts), sections, tables, words)


def _lead(verdicts: tuple[Verdict, ...]) -> str:
    parts = [f"\u201c{verdict.claim.title}\u201d: {verdict.label}. {_size(verdict)}" for verdict in verdicts]
    if any(verdict.deviations for verdict in verdicts):
        return (
            " ".join(parts) + " Some conditions were changed after the first numbers; the deviation says which and why."
        )
    return " ".join(parts) + " The conditions were written down before the numbers."


def _size(verdict: Verdict) -> str:
    found = verdict.headline
    if found.value is None:
        return "The number could not be computed."
    if found.low == found.high:
        return f"{verdict.claim.estimand}: {number(found.value)}."
    texts = [against_expected(end) if found.scale == "ratio" else number(end) for end in (found.value, found.low, found.high)]  # fmt: skip
    return f"{verdict.claim.estimand}: {texts[0]} (from {texts[1]} to {texts[2]})."


def _comparison(section: Mapping[str, Any], said: tuple[str, ...]) -> Section:
    texts = (
        section["question"],
        f"What is estimated: {section['estimand']}",
        f"What must hold: {section['assumption']}",
        *section.get("caveats", ()),
        *said,
    )
    return Section("What is compared with what", "comparison", texts)


def _series_section(numbers: Results, task: str, figures: Path) -> Section:
    finding = numbers.get("finding", "The figures as counted, before any model.")
    figure = Figure("As counted", figures / f"{task}.svg", finding, numbers.get("caption", ""), task, height=_pixels("series", len(numbers["panels"])))  # fmt: skip
    return Section("The figures as counted", "series", (), (figure,))


def _path_section(numbers: Results, task: str, figures: Path) -> Section:
    outside = [_excluding(panel) for panel in numbers["panels"]]
    caption = "Dots: estimates, hollow before the start. Bars: 95% intervals one by one. Pale band: the whole path at once with 95%, where it could be computed."
    figure = Figure("Before and after", figures / f"{task}.svg", " ".join(outside), caption, task, height=_pixels("path", len(numbers["panels"])))  # fmt: skip
    return Section("Before and after", "path", (), (figure,))


def _excluding(panel: Results) -> str:
    low = panel.get("band_low") or panel["low"]
    high = panel.get("band_high") or panel["high"]
    after = [i for i, time in enumerate(panel["event_time"]) if time >= 0]
    outside = sum(low[i] > 0 or high[i] < 0 for i in after)
    title = f"{panel['title']}: the" if panel.get("title") else "The"
    what = "band excludes" if panel.get("band_low") else "intervals of single periods exclude"
    return f"{title} {what} no effect in {outside} of {len(after)} periods after the start."


def _effects_section(numbers: Results, task: str, figures: Path) -> Section:
    listed = _listed(numbers)
    shown = [row for row in listed if row["value"] is not None and row["group"] != "unfit"]
    labels = [
        [row.get("short", row["label"]) for row in shown if row["scale"] == scale] for scale in ("ratio", "level")
    ]
    height = round(96 * sum(_rows_height(found) for found in labels if found))
    caption = "Bars: 95% intervals. Effects as change against what was expected; the axis ends at a fifth and at five times what was expected, and the table gives the ends beyond."
    figure = Figure("Effects", figures / f"{task}.svg", _range(shown), caption, task, height=height)
    groups = list(dict.fromkeys(row["group"] for row in listed))
    made = [_effect_table([row for row in listed if row["group"] == group], group, task) for group in groups]
    return Section("How large, how sure, and does it depend on choices", "effects", ("All rows are shown and none is selected; a row that the plan did not name says so.",), (figure, *made))  # fmt: skip


def _listed(numbers: Results) -> list[Results]:
    """Return the rows in order; those that fail a check of their own stand in a group apart, with the check."""
    found = [numbers["rows"][name] for name in numbers["order"]]
    return [row | {"group": "unfit", "how": row["unfit"]} if row.get("unfit") else row for row in found]


def _range(shown: Sequence[Results]) -> str:
    texts = []
    for scale, none, show in (("ratio", 1.0, change), ("level", 0.0, number)):
        found = [row["value"] for row in shown if row["scale"] == scale]
        if found:
            below = sum(value < none for value in found)
            texts.append(f"{below} of {len(found)} estimates lie below no effect; they run from {show(min(found))} to {show(max(found))}.")  # fmt: skip
    return " ".join(texts)


def _effect_table(found: Sequence[Results], group: str, task: str) -> Table:
    columns = ("", "Effect", "95% interval", "p", "Would have found", "Interval from")
    return Table(_GROUPS.get(group, group), columns, tuple(_effect_row(row, task) for row in found), task, wide=True)


def _effect_row(row: Results, task: str) -> Cells:
    if row["value"] is None:
        return (row["label"], "not computed", "", "", "", row["failed"])
    show = change if row["scale"] == "ratio" else number
    found = "" if row["detectable"] is None else _detectable(row)
    p = "" if row["p_value"] is None else p_value(row["p_value"])
    texts = (show(row["value"]), f"{show(row['low'])} to {show(row['high'])}", p, found)
    return (row["label"], *(Cell(text, task, number=True) for text in texts), row["how"])


def _detectable(row: Results) -> str:
    if row["scale"] == "level":
        return f"\u00b1{number(row['detectable'])}"
    return f"{change(1 / row['detectable'])} or {change(row['detectable'])}"


def _null_section(numbers: Results, task: str, figures: Path) -> Section:
    texts = [f"{panel['title']}: p = {p_value(panel['p_value'])}." for panel in numbers["panels"]]
    caption = numbers.get("caption", "Bars: estimates where treatment did not happen. Line: the estimate where it did.")
    figure = Figure("Where nothing happened", figures / f"{task}.svg", " ".join(texts), caption, task, height=_pixels("null", len(numbers["panels"])))  # fmt: skip
    return Section("Could it be chance?", "null", (), (figure,))


def _calibration_section(numbers: Results, task: str, figures: Path) -> Section:
    columns = (
        "Estimator",
        "Rejects a true null (should be 5%)",
        "Covers (should be 95%)",
        "Bias",
        "RMSE",
        "Would find",
    )
    lines = tuple(
        (
            row["label"],
            *(
                Cell(text, task, number=True)
                for text in (
                    f"{row['size']:.0%}",
                    f"{row['coverage']:.0%}",
                    number(row["bias"], 2),
                    number(row["rmse"], 2),
                    "" if row["detectable"] is None else number(row["detectable"], 2),
                )
            ),
        )
        for row in numbers["rows"]
    )
    text = "Placebo interventions with the real structure of adoption were laid on untreated places of this very panel, before the real effect was looked at."
    table = Table("The estimators on this panel, where nothing happened", columns, lines, task, wide=True)
    return Section("Is the method any good on these data?", "calibration", (text,), (table,))


def _published_section(numbers: Results, task: str, figures: Path) -> Section:
    columns = ("Study", "Outcome", "Treatment", "Result", "Read in the study itself")
    lines = tuple((row["study"], row["outcome"], row["treatment"], row["result"], "yes" if row["verified"] else "no") for row in numbers["rows"])  # fmt: skip
    return Section("Beside published estimates", "published", (), (Table("Published effects", columns, lines, task, wide=True),))  # fmt: skip


def _sample_section(numbers: Results, task: str, figures: Path) -> Section:
    flow = tuple((entry["step"], *(Cell(f"{entry[key]:,}", task, number=True) for key in ("left_out", "kept"))) for entry in numbers["flow"])  # fmt: skip
    blocks = [Table("From all units to those used", ("Step", "Left out", "Kept"), flow, task)]
    treated = numbers.get("treated", [])
    if treated:
        columns = tuple(treated[0])
        lines = tuple(tuple(_plain(entry[key]) for key in columns) for entry in treated)
        blocks.append(Table("What was treated", tuple(key.replace("_", " ").capitalize() for key in columns), lines, task, wide=True))  # fmt: skip
    if numbers.get("checks"):
        marks = {True: "yes", False: "no", None: "for information"}
        lines = tuple((entry["name"].replace("_", " "), marks[entry["passed"]], entry["text"]) for entry in numbers["checks"])  # fmt: skip
        blocks.append(Table("Checks", ("Check", "Passed", "What was found"), lines, task, wide=True))
    return Section("Who is in the sample, and can it be believed", "sample", (), tuple(blocks))


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return number(value) if isinstance(value, float) else str(value)


def _plan_section(plan: Plan, name: str) -> Section:
    seen = plan.seen_before.get(name, {})
    texts = (
        f"The plan was frozen on {plan.shared['frozen']}; its section has the digest {plan.digest(name)[:16]}\u2026, which every file of numbers carries and the claim pins.",
        *(f"Seen before the plan ({key}): {text}" for key, text in seen.items()),
        *(f"Deviation of {entry['date']}: {entry['what']} {entry['why']}" for entry in plan.departures(name)),
    )
    return Section("The plan, and what was known before it", "plan", texts)


def _pixels(name: str, panels: int) -> int:
    return round(96 * {"series": 2.9, "path": 2.9, "null": 2.3}[name] * panels)
