"""The figure and the page section of what carries over to the next removal, beside claim K01."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analyses.figures import Panel, draw_figure, interval_data
from analyses.kingpins_pooled import SECTION
from analyses.standard import REACH
from crimepolicy.claims.plan import Plan
from crimepolicy.report.site import Cell, Figure, Section, Table, change, number, p_value

Results = Mapping[str, Any]

FIGURES = (f"{SECTION}_forest", f"{SECTION}_groups")
_TITLES = {"short": "Months 0\u20135", "long": "Months 6\u201335"}
_MEANS = {"short": ("main", "prediction"), "long": ("long", "long_prediction")}
_GROUPS = {
    "mexico": "Mexico alone", "colombia": "Colombia alone", "only_captured": "Captured", "only_killed": "Killed",
    "only_extradited": "Extradited (home)",
}  # fmt: skip
_AXIS = (0.2, 5.0)
# Single removals scatter further than means: every one of them must lie inside.
_FOREST_AXIS = (1 / 8, 8.0)


def draw_pooled(folder: Path, results: Results) -> None:
    """Draw every removal with the mean and the next, and the means by country and kind."""
    forest = [Panel(interval_data(_forest(results, name), _FOREST_AXIS), title, {"xlabel": ""}) for name, title in _TITLES.items()]  # fmt: skip
    draw_figure(folder / f"{FIGURES[0]}.svg", forest, columns=2, height=10.5, share_labels=True)
    groups = [Panel(interval_data(_groups(results, name), _AXIS), title, {"xlabel": ""}) for name, title in _TITLES.items()]  # fmt: skip
    draw_figure(folder / f"{FIGURES[1]}.svg", groups, columns=2, height=3.0, share_labels=True)


def _forest(results: Results, name: str) -> dict[str, Any]:
    found = results[f"{SECTION}_effects"]["rows"]
    mean, following = (_ends(found[key]) for key in _MEANS[name])
    # One order for both windows, so that a line of the figure is one removal.
    removals = [row for row in results[f"{SECTION}_removals"]["listed"] if "short" in row and row["action"] != "extradited"]  # fmt: skip
    removals = sorted(removals, key=lambda row: row["short"]["log"])
    return {"MEAN OVER REMOVALS": mean, "ONE MORE REMOVAL": following} | {
        f"{row['place']} {row['month'][:4]}": _around(row.get(name)) for row in removals
    }


def _around(found: Results | None) -> tuple[float | None, float | None, float | None]:
    if found is None:
        return None, None, None
    ends = found["log"], found["log"] - REACH * found["se"], found["log"] + REACH * found["se"]
    return tuple(float(np.exp(end)) for end in ends)  # type: ignore[return-value]


def _groups(results: Results, name: str) -> dict[str, Any]:
    means, found = results[f"{SECTION}_effects"]["rows"], results[f"{SECTION}_moderators"]["rows"]
    return {"All": _ends(means[_MEANS[name][0]])} | {
        label: _ends(found[f"{key}_{name}"]) for key, label in _GROUPS.items()
    }


def _ends(row: Results) -> tuple[float | None, float | None, float | None]:
    return row["value"], row["low"], row["high"]


def pooled_section(results: Results, plan: Plan, figures: Path) -> Section:
    """Return the section of the page on what carries over."""
    section = plan.section(SECTION)
    texts = (
        "Every removal counts once here; in the numbers above each counts by its deaths, so that a few cities with many deaths lead. In rows from a posterior, p is twice its smaller tail.",
        *_sentences(results),
        section["assumption"],
        *section["caveats"],
        *(f"Seen before ({key}): {text}" for key, text in plan.seen_before.get(SECTION, {}).items()),
        f"The section of the plan has the digest {plan.digest(SECTION)[:16]}\u2026.",
    )
    blocks = (
        _forest_figure(results, figures),
        _table("Mean over removals, and one more", results[f"{SECTION}_effects"], f"{SECTION}_effects"),
        _group_figure(results, figures),
        _table("By country, and by what happened to the leader", results[f"{SECTION}_moderators"], f"{SECTION}_moderators"),
        _flow_table(results),
    )  # fmt: skip
    return Section("Does it carry over to the next removal, and to another country?", "next", texts, blocks)


def _sentences(results: Results) -> tuple[str, ...]:
    found, other = results[f"{SECTION}_effects"]["rows"], results[f"{SECTION}_moderators"]["rows"]
    following = results[f"{SECTION}_next"]
    said = []
    for name, title in _TITLES.items():
        mean, one = (found[key] for key in _MEANS[name])
        left, across = following[name], following[name].get("from_mexico")
        text = f"{title}: the mean over {mean['removals']} removals is {_interval(mean)}, and one more would lie between {change(one['low'])} and {change(one['high'])}. Of {left['of']} removals, each predicted by the others with its own error, {left['inside']} lie inside their 95% interval"  # fmt: skip
        said.append(text + ("." if across is None else f"; of {across['of']} in Colombia predicted by Mexico alone, {across['inside']}."))  # fmt: skip
    said.append(
        f"Between countries: p = {p_value(other['country_short']['p_value'])} and {p_value(other['country_long']['p_value'])}. "
        + _kinds(other)
        + " Such a difference between kinds is one of several comparisons of few removals, and leaders who are killed differ in more than that."
    )
    return tuple(said)


def _kinds(other: Results) -> str:
    texts = [
        f"{label} against captured: {_interval(other[f'{kind}_short'])} in months 0\u20135 and {_interval(other[f'{kind}_long'])} in months 6\u201335 (p = {p_value(other[f'{kind}_short']['p_value'])} and {p_value(other[f'{kind}_long']['p_value'])})."
        for kind, label in {"killed": "Killed", "extradited": "Extradited"}.items()
        if f"{kind}_short" in other and other[f"{kind}_short"]["value"] is not None and other[f"{kind}_long"]["value"] is not None
    ]  # fmt: skip
    return " ".join(texts)


def _interval(row: Results) -> str:
    return f"{change(row['value'])} ({change(row['low'])} to {change(row['high'])})"


def _forest_figure(results: Results, figures: Path) -> Figure:
    alike = results[f"{SECTION}_removals"]["correlation"]["short"]
    finding = f"One removal says little by itself: municipalities leave their country's path by so much without any removal that even a large place has an error of about {number(np.sqrt(alike['treated_before']['common']), 2)} on the logarithmic scale."  # fmt: skip
    caption = "Bars: 95% intervals; the axis ends at an eighth and at eight times what was expected. In order of months 0\u20135; no bar where the figures end before the window does."
    return Figure("Removal by removal", figures / f"{FIGURES[0]}.svg", finding, caption, f"{SECTION}_effects", height=1008)  # fmt: skip


def _group_figure(results: Results, figures: Path) -> Figure:
    rows = results[f"{SECTION}_moderators"]["rows"]
    counts = ", ".join(f"{label.lower()} {rows[f'{key}_short'].get('removals', 0)}" for key, label in _GROUPS.items())
    return Figure("By country and kind", figures / f"{FIGURES[1]}.svg", f"Removals in months 0\u20135: {counts}.", "Bars: 95% intervals of the mean.", f"{SECTION}_moderators", height=288)  # fmt: skip


def _table(title: str, numbers: Results, task: str) -> Table:
    columns = ("", "Change", "95% interval", "p", "Removals", "Spread between removals", "Interval from")
    return Table(title, columns, tuple(_line(numbers["rows"][name], task) for name in numbers["order"]), task, wide=True)  # fmt: skip


def _line(row: Results, task: str) -> tuple[Cell | str, ...]:
    if row["value"] is None:
        return (row["label"], "not computed", "", "", "", "", row["failed"])
    p = "" if row["p_value"] is None else p_value(row["p_value"])
    texts = [change(row["value"]), f"{change(row['low'])} to {change(row['high'])}", p, str(row.get("removals", ""))]
    texts.append(number(row["tau"], 2) if "tau" in row else "")
    return (row["label"], *(Cell(text, task, number=True) for text in texts), row["how"])


def _flow_table(results: Results) -> Table:
    task = f"{SECTION}_removals"
    lines = tuple(
        (
            row["country"],
            *(Cell(str(row[key]), task, number=True) for key in ("removals", "short", "long", "extradited", "comparison")),
            ", ".join(row["not_measured"]),
        )
        for row in results[task]["flow"]
    )  # fmt: skip
    columns = ("Country", "Removals listed", "Measured, months 0\u20135", "Measured, months 6\u201335", "Extraditions measured", "Comparison municipalities", "Not measured: too few homicides before, or figures end")  # fmt: skip
    return Table("Who is in, and who cannot be measured", columns, lines, task, wide=True)
