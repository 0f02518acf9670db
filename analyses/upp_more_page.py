"""Figures and page sections of what stands beside claim P01, all from published numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from analyses.figures import Panel, draw_figure, interval_data
from analyses.upp_more import CLASS_LABELS
from crimepolicy.report.site import Cell, Figure, Section, Table, change, number, p_value

Results = Mapping[str, Any]

FIGURES = ("map", "curve", "closures", "forest")
NAMES = {"homicides": "Homicides", "police_killings": "Killings by police", "lethal_violence": "Lethal violence"}
_HEIGHTS = {"map": 2.9, "curve": 5.2, "closures": 5.6, "forest": 4.4}


def draw_more(folder: Path, results: Results, placebos: Results) -> None:
    """Draw the map of dose, the curve of choices, the closures and the published sizes beside ours."""
    shapes = placebos["upp_more_map"]
    panels = {
        "map": [Panel({"kind": "map", "shapes": shapes["shapes"], "level": shapes["levels"], "classes": list(CLASS_LABELS)})],
        "curve": [_curve(results["upp_more_curve"][outcome], NAMES[outcome]) for outcome in ("homicides", "police_killings")],
        "closures": [_path(results["upp_more_closures"]["paths"][outcome], NAMES[outcome]) for outcome in ("homicides", "police_killings")],
        "forest": [_forest(results["upp_more_forest"]["rows"])],
    }  # fmt: skip
    for name, drawn in panels.items():
        draw_figure(folder / f"upp_more_{name}.svg", drawn, height=_HEIGHTS[name])


def _forest(rows: Sequence[Results]) -> Panel:
    named = {row["label"] + ("" if row["verified"] else " (not verified)"): row for row in rows}
    ends = {"\n".join(wrap(label, 40)): (row["ratio"], row["low"], row["high"]) for label, row in named.items()}
    return Panel(interval_data(ends, (0.1, 2.0)))


def _curve(found: Results, title: str) -> Panel:
    lines = {"ratio to expected": found["estimate"], "95% interval, low": found["conf_low"], "95% interval, high": found["conf_high"]}  # fmt: skip
    data = {"kind": "series", "x": list(range(1, len(found["estimate"]) + 1)), "series": lines}
    return Panel(data, title, {"ylabel": "Ratio to expected", "xlabel": "Combinations of choices, in order of the estimate"})  # fmt: skip


def _path(found: Results, title: str) -> Panel:
    labels = {"xlabel": "Quarters since the closure"}
    return Panel(
        {"kind": "event", "scale": "log", "level": 0.95, "band_low": None, "band_high": None, **found}, title, labels
    )


def more_sections(results: Results, figures: Path) -> tuple[Section, ...]:
    """Return the sections of the page in order."""
    return (
        _map_section(results, figures),
        _error_section(results),
        _calibration_section(results),
        _curve_section(results, figures),
        _closure_section(results, figures),
        _forest_section(results, figures),
    )


def _map_section(results: Results, figures: Path) -> Section:
    found = results["upp_more_map"]
    shares = sorted(found["shares"].values())
    finding = f"{found['occupied']} of {len(shares)} precincts of the capital had residents under a unit; in the most covered one {shares[-1]:.0%} of them."
    figure = Figure("Share of residents under a unit, by precinct of the capital", figures / "upp_more_map.svg", finding, "Outlines of 2019, simplified. Share of the residents of 2010 inside UPP areas once all units had come.", "upp_more_map", height=_pixels("map"))  # fmt: skip
    return Section("Where the units were", "map", (), (figure,))


def _pixels(name: str) -> int:
    return round(96 * _HEIGHTS[name])


def _error_section(results: Results) -> Section:
    found = results["upp_more_errors"]["outcomes"]
    main = results["upp_main"]["outcomes"]
    keys = ("unit", "block", "km_5", "km_10", "km_20")
    lines = []
    for outcome, entry in found.items():
        texts = [change(float(np.exp(entry["log"]))), *(number(entry["errors"][key], 2) for key in keys)]
        texts += [p_value(main[outcome]["p_holm"]), p_value(entry["p_romano_wolf"])]
        lines.append((entry["label"], *(Cell(text, "upp_more_errors", number=True) for text in texts)))
    columns = ("Outcome", "Years 1\u20134", "SE precinct", "SE block", "Conley 5 km", "Conley 10 km", "Conley 20 km", "p Holm, dealt", "p Romano-Wolf, block")  # fmt: skip
    table = Table("Errors that let near places move together", columns, tuple(lines), "upp_more_errors", wide=True)
    clipped = results["upp_more_clipped"]
    parts = [f"{NAMES[name].lower()} {entry['months']} of {entry['of_months']:,} months and {entry['years']} of {entry['of_years']} years ({number(entry['deaths'], 2)} deaths in all)" for name, entry in ((name, clipped[name]) for name in NAMES)]  # fmt: skip
    texts = (
        "Romano-Wolf draws on influence functions by block; with so few treated blocks such errors are too sure (see the calibration below). Holm on dealt schedules is what the verdict uses.",
        f"In the split into inside and outside, counts outside fell below zero and were set to zero, because areas that straddle precincts are apportioned by surface: {'; '.join(parts)} after precincts that share an area were joined.",
    )
    return Section("Other errors, and the family by Romano-Wolf", "errors", texts, (table,))


def _calibration_section(results: Results) -> Section:
    found = results["upp_more_calibration"]
    columns = ("Estimator and panel", "Rejects a true null (should be 5%)", "Covers (should be 95%)", "Bias", "RMSE", "Would find")  # fmt: skip
    lines = tuple(
        (row["label"], *(Cell(text, "upp_more_calibration", number=True) for text in (f"{row['size']:.0%}", f"{row['coverage']:.0%}", number(row["bias"], 2), number(row["rmse"], 2), number(row["detectable"], 2))))
        for row in found["rows"]
    )  # fmt: skip
    text = f"Schedules of the real units were laid on precincts that never had one, with the outcomes of treated cells hidden: {found['laid']} at a time on those of the capital, all of them on those of the state, {found['times']} times (half as often for the state). Errors are clustered by precinct; sizes are log points."
    return Section("Is the method any good on these data?", "calibration", (text,), (Table("The estimators where nothing happened, homicides, years 1\u20134", columns, lines, "upp_more_calibration", wide=True),))  # fmt: skip


def _curve_section(results: Results, figures: Path) -> Section:
    parts = []
    for outcome in ("homicides", "police_killings"):
        found = results["upp_more_curve"][outcome]
        shares = sorted(found["shares"].items(), key=lambda pair: -pair[1])
        parts.append(f"{NAMES[outcome]}: {found['below']:.0%} of {len(found['estimate'])} combinations below expected, from {change(found['estimate'][0])} to {change(found['estimate'][-1])}; {found['below_significant']:.0%} with an interval by block wholly below; {shares[0][1]:.0%} of the spread comes of the {_WORDS[shares[0][0]]}.")  # fmt: skip
    figure = Figure("Every combination of four choices, years 1\u20134", figures / "upp_more_curve.svg", " ".join(parts), "Rule of treatment, onset, comparison and last quarter. Intervals by block are too narrow with so few blocks (see the calibration), and comparisons outside the capital may hold displaced violence.", "upp_more_curve", height=_pixels("curve"))  # fmt: skip
    return Section("All combinations of choices", "curve", (), (figure,))


_WORDS = {"rule": "rule of treatment", "onset": "onset", "controls": "comparison", "end": "last quarter", "interactions": "interplay of choices"}  # fmt: skip


def _closure_section(results: Results, figures: Path) -> Section:
    found = results["upp_more_closures"]
    lines = []
    for name in found["order"]:
        row = found["rows"][name]
        if row["value"] is None:
            lines.append((row["label"], Cell(f"Not computed: {row['failed']}", "upp_more_closures"), "", ""))
            continue
        p = "" if row["p_value"] is None else p_value(row["p_value"])
        texts = (change(row["value"]), f"{change(row['low'])} to {change(row['high'])}", p)
        lines.append((row["label"], *(Cell(text, "upp_more_closures", number=True) for text in texts)))
    table = Table("Nine closed areas against those that stayed open", ("Outcome, quarters", "Change", "95% interval by area", "p, closures dealt anew"), tuple(lines), "upp_more_closures", wide=True)  # fmt: skip
    killed, murdered = found["rows"]["police_killings_all"], found["rows"]["homicides_all"]
    early = found["before"]["police_killings"]
    verdict = ", so that no reversal is shown" if early["p_clustered"] < 0.05 else ""
    finding = f"After the closure killings by police ran {_said(killed)}, homicides {_said(murdered)}; but in the two years before, killings by police in the areas closed later already stood {change(early['mean_ratio'])} against the time before that (joint p = {p_value(early['p_clustered'])}){verdict}."
    figure = Figure("Around the closure", figures / "upp_more_closures.svg", finding, "Areas by quarter, 2015\u20132019. Dots: ratio to what was expected, hollow before. Bars: 95% intervals by area.", "upp_more_closures", height=_pixels("closures"))  # fmt: skip
    text = f"{found['closed']} units closed in 2018, {found['open']} stayed. Deaths in closed areas after the closure: {', '.join(f'{NAMES[name].lower()} {number(count)}' for name, count in found['deaths'].items())}. The plan of this section was written after the main numbers; it enters no verdict."
    return Section("What happened where units closed", "closures", (text,), (figure, table))


def _said(row: Results) -> str:
    if row["value"] is None:
        return "could not be computed"
    p = "" if row["p_value"] is None else f", p = {p_value(row['p_value'])}"
    return f"{change(row['value'])} ({change(row['low'])} to {change(row['high'])}{p})"


def _forest_section(results: Results, figures: Path) -> Section:
    rows = [row for row in results["upp_more_forest"]["rows"] if "design" in row]
    finding = f"Of {len(rows)} published sizes {sum(row['verified'] for row in rows)} were read in a source; none came with an interval that could be read."
    figure = Figure("Published sizes beside ours, years 1\u20134", figures / "upp_more_forest.svg", finding, "Bars: ours, by the largest of five errors. Points without a bar: published, without an interval. Raw changes are no effects: most of the raw fall is citywide.", "upp_more_forest", height=_pixels("forest"))  # fmt: skip
    return Section("Published sizes beside ours", "forest", (), (figure,))
