"""The figures of claim K01, all drawn from published numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analyses.figures import Panel, draw_figure, interval_data, path_data, series_data
from analyses.kingpins_pooled_page import draw_pooled
from analyses.standard import histogram
from crimepolicy.claims.plan import Plan

Results = Mapping[str, Any]
Ends = tuple[float | None, float | None, float | None]

WINDOWS = {
    "m0": "Month of the removal", "m0_5": "Months 0\u20135", "m1_5": "Months 1\u20135", "m6_11": "Months 6\u201311",
    "m12_23": "Months 12\u201323", "m24_35": "Months 24\u201335", "m6_35": "Months 6\u201335",
}  # fmt: skip
SHORT, LONG = "m0_5", "m6_35"
BESIDE = {
    "kingpins_main": "Leaders (main)", "kingpins_matched": "Leaders, matched comparison", "kingpins_lieutenant": "Lieutenants",
    "kingpins_plaza": "Plaza bosses", "kingpins_state": "State of operations",
}  # fmt: skip
PLACEBO = {
    "kingpins_placebo_rivals": "Killed by rivals", "kingpins_placebo_extradited": "Extradited from prison",
    "kingpins_placebo_same_day": "Released the same day", "kingpins_placebo_all": "All three together",
}  # fmt: skip
SHORT_LABELS = {
    "matched": "Matched comparison", "controls_100k": "Comparison from 100,000 people", "controls_20k": "Comparison from 20,000 people",
    "with_neighbours": "Neighbours kept", "region_month": "Region-by-month effects", "anticipation_3": "Three months left out before",
    "until_2017": "Removals until 2017", "until_2012": "Removals 2008\u20132012", "from_2013": "Removals 2013\u20132020",
    "captured": "Captures only", "killed": "Killings only", "at_home": "In the state of operations", "elsewhere": "Outside that state",
    "day_known": "Day known", "source_read": "Source read", "no_earlier_removal": "No earlier removal", "end_2019": "Figures until 2019",
    "without_doubtful_2018": "Without doubtful 2018", "rate_weighted": "Rate, weighted", "rate_unweighted": "Rate, unweighted",
    "stacked": "Stacked (Poisson)", "group_time": "Group-time (rate)", "two_way": "Two-way (Poisson)",
}  # fmt: skip
FIGURES = ("path", "windows", "rates", "years", "placebos", "specifications", "beside", "published")


def draw_all(folder: Path, results: Results, placebos: Results, plan: Plan) -> None:
    """Draw every figure of the page."""
    main, counts = results["kingpins_main"]["windows"], results["kingpins_counts"]
    rows = planned_rows(results, plan.section("kingpins"))
    every = {"Main specification": main} | {SHORT_LABELS[row["name"]]: row["windows"] for row in rows}
    other = {label: results[name]["windows"] for name, label in (BESIDE | PLACEBO).items()}
    windows = interval_data({WINDOWS[name]: decision_of(main[name]) for name in WINDOWS})
    path = path_data(results["kingpins_path"], plan.shared["level"])
    labels = {"xlabel": "Months since the removal", "ylabel": "Homicides against expected"}
    draw_figure(folder / "kingpins_path.svg", [Panel(path, labels=labels)])
    draw_figure(folder / "kingpins_rates.svg", [_around(counts["around"])], height=3.2)
    draw_figure(folder / "kingpins_years.svg", [_yearly(counts["yearly"])], height=3.0)
    draw_figure(folder / "kingpins_windows.svg", [Panel(windows)], height=3.0)
    draw_figure(folder / "kingpins_placebos.svg", _null_panels(main, placebos["kingpins_main"]), columns=2, height=4.6)
    draw_figure(
        folder / "kingpins_specifications.svg", _pair(every, (0.25, 4.0)), columns=2, height=6.4, share_labels=True
    )
    draw_figure(folder / "kingpins_beside.svg", _pair(other, (0.2, 5.0)), columns=2, height=3.4, share_labels=True)
    draw_figure(folder / "kingpins_published.svg", [Panel(interval_data(_published(results)))], height=4.0)
    draw_pooled(folder, results)


def planned_rows(results: Results, section: Mapping[str, Any]) -> list[Results]:
    """Return the rows of specifications in the order of the plan."""
    rows = results["kingpins_specifications"]["rows"]
    return [rows[entry["name"]] for entry in section["specification"]]


def _around(rates: Results) -> Panel:
    months = sorted(rates, key=int)
    lines = {"municipalities with a removal": "rate", "comparison, same months": "comparison_rate"}
    series = {name: [rates[month][key] for month in months] for name, key in lines.items()}
    labels = {"xlabel": "Months since the removal", "ylabel": "Homicides per 100,000 and year"}
    return Panel(series_data([int(month) for month in months], series), labels=labels)


def _yearly(rates: Results) -> Panel:
    years = sorted(rates)
    lines = {"municipalities with a removal": "treated", "comparison": "comparison"}
    series = {name: [rates[year][key] for year in years] for name, key in lines.items()}
    return Panel(series_data([int(year) for year in years], series), labels={"ylabel": "Homicides per 100,000"})


def _null_panels(main: Results, placebos: Results) -> list[Panel]:
    words = {"dates": "other months", "places": "other places"}
    panels = []
    for window in (SHORT, LONG):
        for kind, word in words.items():
            title, found = f"{WINDOWS[window]}, {word}", main[window]
            drawn = histogram(title, placebos[kind][window], found["log"], found["uncertainty"][f"p_{kind}"])
            panels.append(Panel(drawn, title, {"xlabel": "", "ylabel": ""}))
    return panels


def _pair(rows: Mapping[str, Results], limits: tuple[float, float]) -> list[Panel]:
    return [
        Panel(
            interval_data({label: interval_of(windows.get(window)) for label, windows in rows.items()}, limits),
            WINDOWS[window],
            {"xlabel": ""},
        )
        for window in (SHORT, LONG)
    ]


def decision_of(window: Results) -> Ends:
    """Return the deciding interval of a window."""
    decision = window["decision"]
    return decision["value"], decision["low"], decision["high"]


def interval_of(window: Results | None) -> Ends:
    """Return the interval of a window of any table; None where it was not computed."""
    if window is None:
        return None, None, None
    return decision_of(window) if "decision" in window else (window["ratio"], window["low"], window["high"])


def _published(results: Results) -> dict[str, Ends]:
    main = results["kingpins_main"]["windows"]
    ours = {f"This analysis, {WINDOWS[name].lower()}": decision_of(main[name]) for name in (SHORT, "m6_11", LONG)}
    rows = [row for row in results["kingpins_published"]["rows"] if row["ratio"] is not None]
    return ours | {_label(row): (row["ratio"], row["low"], row["high"]) for row in rows}


def _label(row: Results) -> str:
    first = str(row["study"]).split(",")[0].split(" and ")[0]
    return f"({row['number']}) {first} {row['year']}"
