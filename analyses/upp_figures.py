"""The figures of claim P01, all drawn from published numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analyses.figures import Panel, draw_figure, interval_data, path_data, series_data
from analyses.standard import histogram
from analyses.upp import DECIDES, JUDGED, LETHAL
from analyses.upp_more_page import draw_more
from crimepolicy.claims.plan import Plan

Results = Mapping[str, Any]
Ends = tuple[float | None, float | None, float | None]

WINDOWS = {
    "y1": "Year 1", "y2": "Year 2", "y3": "Year 3", "y4": "Year 4", "y5": "Year 5", "y6": "Year 6", "y7": "Year 7",
    "y1_4": "Years 1\u20134", "y5_7": "Years 5\u20137",
}  # fmt: skip
NAMES = {"homicides": "Homicides", "police_killings": "Killings by police", "lethal_violence": "Lethal violence"}
SHORT_LABELS = {
    "installation": "From installation", "any": "Any UPP", "primary": "Main precinct of a UPP", "dose10": "A tenth of residents",
    "far": "Far capital precincts", "outside": "Metropolitan, not capital", "state": "Rest of the state", "from_2006": "From 2006",
    "end_2014": "Until 2014", "end_2016": "Until 2016", "without_dormant": "Without dormant", "without_alemao": "Without Alem\u00e3o",
    "anticipation": "Two quarters left out", "rate_weighted": "Rate, weighted", "dose_two_way": "Two-way, dose",
    "two_way": "Two-way (Poisson)",
}  # fmt: skip
FIGURES = ("path", "years", "windows", "family", "placebos", "specifications")


def draw_all(folder: Path, results: Results, placebos: Results, plan: Plan) -> None:
    """Draw every figure of the page."""
    main, areas = results["upp_main"]["outcomes"], results["upp_areas"]["outcomes"]
    paths = [_path(results["upp_path"][outcome], NAMES[outcome], plan.shared["level"]) for outcome in JUDGED]
    draw_figure(folder / "upp_path.svg", paths, height=5.6)
    counts = [_yearly(results["upp_counts"][outcome]["yearly"], NAMES[outcome]) for outcome in JUDGED]
    draw_figure(folder / "upp_years.svg", counts, height=5.2)
    windows = [_windows(main[outcome], NAMES[outcome]) for outcome in JUDGED]
    draw_figure(folder / "upp_windows.svg", windows, columns=2, height=3.6, share_labels=True)
    named = [main[outcome] for outcome in plan.section("upp")["outcomes"]]
    family = {entry["label"]: decision_of(entry["windows"][DECIDES]) for entry in named}
    within = {
        f"{NAMES[outcome]}, inside UPP areas": decision_of(areas[outcome]["windows"][DECIDES]) for outcome in LETHAL
    }
    draw_figure(folder / "upp_family.svg", [Panel(interval_data(family | within, (0.2, 5.0)))], height=4.2)
    nulls = [
        _null(numbers[outcome], placebos[task][outcome], f"{NAMES[outcome]}, {where}")
        for task, numbers, where in (("upp_main", main, "precincts"), ("upp_areas", areas, "UPP areas"))
        for outcome in JUDGED
    ]
    draw_figure(folder / "upp_placebos.svg", nulls, columns=2, height=4.6)
    rows = [_rows(results, plan, outcome) for outcome in JUDGED]
    draw_figure(folder / "upp_specifications.svg", rows, columns=2, height=5.6, share_labels=True)
    draw_more(folder, results, placebos)


def planned_rows(results: Results, plan: Plan) -> list[Results]:
    """Return the rows of specifications in the order of the plan."""
    rows = results["upp_specifications"]["rows"]
    return [rows[entry["name"]] for entry in plan.section("upp")["specification"]]


def decision_of(window: Results) -> Ends:
    """Return the deciding interval of a window."""
    decision = window["decision"]
    return decision["value"], decision["low"], decision["high"]


def interval_of(window: Results | None) -> Ends:
    """Return the interval of one row; None where it was not computed."""
    return (None, None, None) if window is None else (window["ratio"], window["low"], window["high"])


def _path(numbers: Results, title: str, level: float) -> Panel:
    labels = {"xlabel": "Quarters since the occupation", "ylabel": f"{title} against expected"}
    return Panel(path_data(numbers, level), labels=labels)


def _yearly(rates: Results, title: str) -> Panel:
    years = sorted(rates)
    lines = {"precincts with UPP": "treated", "other precincts of the capital": "comparison"}
    series = {name: [rates[year][key] for year in years] for name, key in lines.items()}
    return Panel(series_data([int(year) for year in years], series), labels={"ylabel": f"{title} per 100,000"})


def _windows(entry: Results, title: str) -> Panel:
    rows = {label: decision_of(entry["windows"][name]) for name, label in WINDOWS.items() if name in entry["windows"]}
    return Panel(interval_data(rows, (0.2, 5.0)), title, {"xlabel": ""})


def _null(entry: Results, drawn: Results, title: str) -> Panel:
    window = entry["windows"][DECIDES]
    placebos = histogram(title, drawn[DECIDES], window["log"], window["p_blocks"])
    return Panel(placebos, title, {"xlabel": "", "ylabel": ""})


def _rows(results: Results, plan: Plan, outcome: str) -> Panel:
    rows = {"Main specification": decision_of(results["upp_main"]["outcomes"][outcome]["windows"][DECIDES])}
    for row in planned_rows(results, plan):
        rows[SHORT_LABELS[row["name"]]] = interval_of(row["outcomes"][outcome]["windows"].get(DECIDES))
    return Panel(interval_data(rows, (0.25, 4.0)), NAMES[outcome], {"xlabel": ""})
