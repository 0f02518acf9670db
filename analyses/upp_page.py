"""The page of claim P01: figures, tables and words, all from published numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analyses.upp import DECIDES, JUDGED, LATER, LETHAL
from analyses.upp_figures import NAMES, WINDOWS, Results, decision_of, interval_of, planned_rows
from analyses.upp_more_page import more_sections
from crimepolicy.claims.plan import Plan
from crimepolicy.claims.verdict import Verdict
from crimepolicy.report.site import Cell, ClaimPage, Figure, Section, Table, against_expected, change, number, p_value

Row = tuple[Cell | str, ...]

DATA = (
    "rio_precinct_month",
    "rio_upp_month",
    "rio_upps",
    "rio_inside_outside_month",
    "rio_contiguity",
    "rio_precinct_outlines",
    "published_estimates",
)


def page(verdicts: tuple[Verdict, ...], results: Results, plan: Plan, figures: Path) -> ClaimPage:
    """Return the page of claim P01."""
    section = plan.section("upp")
    sections = (
        _comparison(results, section), _path_section(results, figures), _windows_section(results, figures),
        _family_section(results, section, figures), _before_section(results, section), _placebo_section(results, figures),
        _specification_section(results, plan, figures), _elsewhere_section(results), *more_sections(results, figures),
        _published_section(results), _flow_section(results), _plan_section(plan, "upp"), _later_section(plan),
    )  # fmt: skip
    return ClaimPage(verdicts, _lead(verdicts, results), sections, DATA, {"P01b": "killings by police"})


def _lead(verdicts: tuple[Verdict, ...], results: Results) -> str:
    main, counts = results["upp_main"]["outcomes"], results["upp_sample"]["counts"]
    found = {name: _in_words(decision_of(main[name]["windows"][DECIDES])) for name in JUDGED}
    labels = " and ".join(f"\u201c{verdict.claim.title.lower()}\u201d is {verdict.label}" for verdict in verdicts)
    return (
        f"In the four years after {counts['treated']} precincts of Rio de Janeiro were occupied, homicides ran {found['homicides']} and killings by police {found['police_killings']}, "
        f"each against what the other precincts of the capital lead one to expect. By conditions written down before the numbers, {labels}."
    )


def _in_words(ends: tuple[float | None, ...]) -> str:
    value, low, high = (against_expected(end) for end in ends)
    return f"{value} (from {low} to {high})"


def _comparison(results: Results, section: Mapping[str, Any]) -> Section:
    sample, areas = results["upp_sample"], results["upp_sample"]["counts"]
    compared = (
        f"{areas['treated']} precincts of the capital, in {areas['blocks']} blocks of neighbours occupied together, are compared with {areas['comparison']} precincts of the capital without UPP residents, "
        f"of which {areas['bordering']} border a treated one; quarters {sample['quarters']['first']} to {sample['quarters']['last']}. Beside them stand {areas['areas']} UPP areas in {areas['operations']} operations, each compared with areas not yet occupied."
    )
    share = ", ".join(f"{NAMES[name].lower()} {sample['inside_share'][name]:.0%}" for name in LETHAL)
    texts = (
        section["question"],
        compared,
        f"What is estimated: {_lower(section['estimand'])}",
        f"What must hold: {_lower(section['assumption'])}",
        f"{section['dilution']} The shares are: {share}.",
        _shared(results),
    )
    return Section("What is compared with what", "comparison", texts)


def _shared(results: Results) -> str:
    parts = [
        f"{NAMES[name].lower()} {change(found['treated_change'])} where units came, {change(found['comparison_change'])} in the rest of the capital ({found['shared']:.0%} of the fall in logs is shared)"
        for name, found in ((name, results["upp_counts"][name]) for name in LETHAL)
    ]
    return f"How much of the raw fall is citywide: from 2007\u201308 to 2012\u201313: {'; '.join(parts)}."


def _path_section(results: Results, figures: Path) -> Section:
    path = Figure(
        "Quarter by quarter",
        figures / "upp_path.svg",
        " ".join(_excluded(results, outcome) for outcome in JUDGED),
        "Dots: ratio to what was expected, hollow before the occupation, where each quarter is compared with the precinct's earlier quarters. Bars: pointwise 95% intervals, clustered by block. Pale band: the whole path at once with 95%.",
        "upp_path",
        height=538,
    )
    years = Figure(
        "Deaths as counted, before any model",
        figures / "upp_years.svg",
        _shared(results),
        "Recorded by the precinct in the month of the record.",
        "upp_counts",
        height=499,
    )
    return Section("Deaths around the occupation", "path", (), (path, years))


def _excluded(results: Results, outcome: str) -> str:
    months = results["upp_path"][outcome]["months"]
    after = [entry for step, entry in months.items() if int(step) >= 0]
    outside = sum(entry["band_low"] > 1 or entry["band_high"] < 1 for entry in after)
    return f"{NAMES[outcome]}: the band excludes no effect in {outside} of {len(after)} quarters after the occupation."


def _windows_section(results: Results, figures: Path) -> Section:
    columns = ("", "Window", "Change", "Deciding 95% interval", "Inside the areas", "Precinct SE", "Block SE", "SD, dealt schedules", "p dealt", "Would have found")  # fmt: skip
    rows: list[Row] = []
    for outcome in JUDGED:
        for name, label in WINDOWS.items():
            window = results["upp_main"]["outcomes"][outcome]["windows"].get(name)
            if window is not None:
                rows.append((NAMES[outcome], label, *_cells(window, "upp_main")))
        for name, window in results["upp_areas"]["outcomes"][outcome]["windows"].items():
            rows.append((f"{NAMES[outcome]}, UPP areas", WINDOWS[name], *_cells(window, "upp_areas")))
    table = Table("Every kind of uncertainty, side by side", columns, tuple(rows), "upp_main", wide=True)
    figure = Figure(
        "Year by year",
        figures / "upp_windows.svg",
        " ".join(_faded(results, outcome) for outcome in JUDGED),
        "Bars: the widest of three 95% intervals (clustered by precinct, by block; dealt schedules). The axis ends at a fifth and at five times what was expected.",
        "upp_main",
    )
    text = (
        "Errors are on the logarithmic scale.",
        "The column for the inside states the effect in the UPP areas that would produce the one on the whole precinct if the rest of it felt nothing; \u2212100% means a fall of at least all deaths inside.",
    )
    return Section("How large, how sure, and does it last", "windows", text, (figure, table))


def _cells(window: Results, task: str) -> tuple[Cell, ...]:
    decision, inside = window["decision"], window["inside"]
    within = (
        ""
        if inside["value"] is None
        else f"{change(inside['value'])} ({change(inside['low'])} to {change(inside['high'])})"
    )
    texts = (
        change(decision["value"]), f"{change(decision['low'])} to {change(decision['high'])}", within,
        number(window["se_unit"], 2), number(window["se_block"], 2), number(window["sd_blocks"], 2),
        p_value(window["p_blocks"]), change(1 / decision["detectable"]),
    )  # fmt: skip
    return tuple(Cell(text, task, number=True) for text in texts)


def _faded(results: Results, outcome: str) -> str:
    windows = results["upp_main"]["outcomes"][outcome]["windows"]
    years = [f"{WINDOWS[name].lower()} {change(windows[name]['decision']['value'])}" for name in (DECIDES, LATER)]
    return f"{NAMES[outcome]}: {', '.join(years)}."


def _family_section(results: Results, section: Mapping[str, Any], figures: Path) -> Section:
    found = results["upp_main"]["outcomes"]
    main = {outcome: found[outcome] for outcome in section["outcomes"]}
    rows: list[Row] = []
    for entry in main.values():
        windows = entry["windows"]
        texts = [_interval(decision_of(windows[name])) for name in (DECIDES, LATER)]
        texts.insert(1, p_value(windows[DECIDES]["p_blocks"]))
        texts.insert(2, p_value(entry["p_holm"]))
        rows.append((entry["label"], *(Cell(text, "upp_main", number=True) for text in texts)))
    columns = ("Outcome", WINDOWS[DECIDES], "p dealt", "p for the family (Holm)", WINDOWS[LATER])
    below = [entry["label"] for entry in main.values() if entry["p_holm"] <= 0.05]
    finding = f"Of {len(main)} outcomes, {len(below)} stand out at 5% once all are counted{': ' + '; '.join(below) if below else ''}."
    figure = Figure(
        "Relabelled, hidden, or reported more?",
        figures / "upp_family.svg",
        finding,
        "Years 1\u20134. Bars: the deciding 95% intervals; the axis ends at a fifth and at five times what was expected.",
        "upp_main",
        height=403,
    )
    text = (
        "If deaths were only relabelled, lethal violence would not fall; if bodies were hidden, persons missing and bodies found would rise; if people reported more, thefts and assaults would. Police presence and better geocoding raise what is recorded.",
    )
    return Section(
        "Where else it would show",
        "family",
        text,
        (figure, Table("Eight outcomes, one family", columns, tuple(rows), "upp_main")),
    )


def _before_section(results: Results, section: Mapping[str, Any]) -> Section:
    texts = []
    for outcome in JUDGED:
        leads, honest = results["upp_leads"][outcome], results["upp_honest"][outcome]
        low, high = honest["bounds"]["m_0"]["conf_low"], honest["bounds"]["m_0"]["conf_high"]
        texts.append(
            f"{NAMES[outcome]}: joint test of the {-section['main']['leads'][0]} quarters before, p = {p_value(leads['p_blocks'])} under dealt schedules, which decides, and {p_value(leads['p_clustered'])} by the clustered covariance, "
            f"which rejects in {leads['share_rejecting']:.0%} of the dealt schedules, where it should in 5%. "
            f"As a difference of rates (every precinct's change added, not multiplied) the effect of years 1\u20134 is {number(honest['rate'])} per 100,000 and year ({number(low)} to {number(high)}); it is told from none as long as trends fail by less than {number(honest['breakdown'], 2)} times the largest failure seen before."
        )
    texts.append(
        "Rates and ratios need not agree: where two groups start from different levels, one fall in per cent is two different falls in rates. The specifications below show both."
    )
    return Section("Was it comparable before?", "before", tuple(texts))


def _placebo_section(results: Results, figures: Path) -> Section:
    parts = [
        f"{NAMES[outcome]}: p = {p_value(results['upp_main']['outcomes'][outcome]['windows'][DECIDES]['p_blocks'])} in precincts, {p_value(results['upp_areas']['outcomes'][outcome]['windows'][DECIDES]['p_blocks'])} in UPP areas."
        for outcome in JUDGED
    ]
    figure = Figure(
        "Had the units come elsewhere, or in another order",
        figures / "upp_placebos.svg",
        " ".join(parts),
        f"Years 1\u20134. Bars: estimates under {results['upp_main']['draws']} dealt schedules of whole blocks; for the areas only the order is dealt, because all were occupied. p-values compare estimates divided by their standard errors.",
        "upp_main",
        height=442,
    )
    return Section("Could it be chance?", "placebos", (), (figure,))


def _specification_section(results: Results, plan: Plan, figures: Path) -> Section:
    rows, task = planned_rows(results, plan), "upp_specifications"
    lines: list[Row] = []
    for row in rows:
        cells: list[Cell | str] = [row["label"]]
        for outcome in JUDGED:
            found = row["outcomes"][outcome]
            texts = [_interval(interval_of(found["windows"].get(name))) for name in (DECIDES, LATER)]
            cells += [
                Cell(text, task, number=True)
                for text in ([f"Not computed: {found['failed']}", ""] if "failed" in found else texts)
            ]
        first = row["outcomes"][JUDGED[0]]
        count = "" if "failed" in first else f"{first['n_treated']} / {first['n_comparison']}"
        lines.append((cells[0], Cell(count, task, number=True), *cells[1:]))
    columns = (
        "Specification",
        "Treated / comparison",
        *(f"{NAMES[outcome]}, {WINDOWS[name].lower()}" for outcome in JUDGED for name in (DECIDES, LATER)),
    )
    figure = Figure(
        "One thing changed at a time, years 1\u20134",
        figures / "upp_specifications.svg",
        " ".join(_range(rows, outcome) for outcome in JUDGED),
        "Bars: the wider of the intervals clustered by precinct and by block; for the main specification also by dealt schedules. Two-way rows average all years after. The axis ends at a quarter and at four times what was expected.",
        task,
        height=538,
    )
    return Section(
        "Does it depend on choices?",
        "specifications",
        (
            "Every row was named in the plan. None is selected. The comparison outside the capital is where violence may have been displaced to, which would make the fall look larger.",
        ),
        (figure, Table("The same as numbers", columns, tuple(lines), task, wide=True), _left_out(results)),
    )


def _range(rows: list[Results], outcome: str) -> str:
    found = [row["outcomes"][outcome]["windows"].get(DECIDES, {}).get("ratio") for row in rows]
    known = [ratio for ratio in found if ratio is not None]
    return f"{NAMES[outcome]}: {sum(ratio < 1 for ratio in known)} of {len(known)} specifications below expected, from {change(min(known))} to {change(max(known))}."


def _left_out(results: Results) -> Table:
    lines: list[Row] = []
    for label, key in (
        ("Smallest when any one block is left out", "smallest"),
        ("Largest when any one block is left out", "largest"),
    ):
        found = [results["upp_leave_out"][outcome] for outcome in JUDGED]
        lines.append(
            (
                label,
                *(
                    Cell(f"{change(entry[key])} (without {entry[f'{key}_without']})", "upp_leave_out", number=True)
                    for entry in found
                ),
            )
        )
    without = [results["upp_leave_out"][outcome]["without_alemao"] for outcome in JUDGED]
    lines.append(
        (
            "Without Alem\u00e3o and Penha, precincts",
            *(Cell(change(ratio), "upp_leave_out", number=True) for ratio in without),
        )
    )
    areas = [results["upp_areas"]["outcomes"][outcome]["without_alemao"] for outcome in JUDGED]
    lines.append(
        (
            "Without Alem\u00e3o and Penha, UPP areas",
            *(Cell(change(ratio), "upp_areas", number=True) for ratio in areas),
        )
    )
    return Table(
        "Without single blocks, years 1\u20134",
        ("", *(NAMES[outcome] for outcome in JUDGED)),
        tuple(lines),
        "upp_leave_out",
    )


def _elsewhere_section(results: Results) -> Section:
    lines: list[Row] = []
    names = {"direct": "Precincts with UPP", "bordering": "Bordering precincts", "baixada": "Baixada Fluminense"}
    for outcome, found in results["upp_spillover"].items():
        if outcome in (*NAMES, "vehicle_robberies"):
            label = NAMES.get(outcome, "Vehicle robberies")
            texts = (
                [found["failed"], "", ""]
                if "failed" in found
                else [_interval(interval_of(found.get(name))) for name in names]
            )
            lines.append((label, *(Cell(text, "upp_spillover", number=True) for text in texts)))
    spill = Table(
        "Against the rest of the state, all years after", ("Outcome", *names.values()), tuple(lines), "upp_spillover"
    )
    halves: list[Row] = []
    for outcome in LETHAL:
        found = results["upp_split"][outcome]
        texts = (
            [found["failed"], ""]
            if "failed" in found
            else [_interval(interval_of(found.get(name))) for name in (DECIDES, LATER)]
        )
        halves.append((NAMES[outcome], *(Cell(text, "upp_split", number=True) for text in texts)))
    split = Table(
        "Inside UPP areas against the rest of the same precincts",
        ("Outcome", WINDOWS[DECIDES], WINDOWS[LATER]),
        tuple(halves),
        "upp_split",
    )
    texts = (
        "The Baixada is one region: its interval, from precincts taken as independent, is too narrow, and other things changed there. A rise in it is a question, not displacement shown.",
        "Inside against outside uses years, and joins precincts that share an area. Records without a place count as outside, and became fewer with time, which works against finding a fall inside.",
    )
    return Section("Did it move elsewhere? Inside and outside", "elsewhere", texts, (spill, split))


def _published_section(results: Results) -> Section:
    lines: list[Row] = [
        (f"{row['study']} {row['year']}", row.get("outcome", ""), row.get("treatment", ""), row.get("direction", ""), row.get("basis", ""), "yes" if row["verified"] else "no")
        for row in results["upp_published"]["rows"]
    ]  # fmt: skip
    columns = ("Study", "Outcome", "Treatment", "Direction found", "Read in", "Verified")
    text = ("No size of these could be read in the studies themselves; the sizes drawn above are quoted elsewhere.",)
    return Section(
        "Beside published estimates",
        "published",
        text,
        (Table("Published effects of the UPP", columns, tuple(lines), "upp_published", wide=True),),
    )


def _flow_section(results: Results) -> Section:
    sample = results["upp_sample"]
    steps = [
        (entry["step"], *(Cell(f"{entry[key]:,}", "upp_sample", number=True) for key in ("left_out", "kept")))
        for entry in sample["flow"]
    ]
    listed = [
        (
            Cell(entry["unit"], "upp_sample"),
            entry["occupied"],
            entry["block"],
            Cell(f"{entry['share']:.0%}", "upp_sample", number=True),
        )
        for entry in sample["treated"]
    ]
    tables = (
        Table("From all precincts to those used", ("Step", "Left out", "Kept"), tuple(steps), "upp_sample"),
        Table(
            "The precincts with UPP",
            ("Precinct", "Occupied", "Block: first quarter, members", "Residents in UPP areas at the end"),
            tuple(listed),
            "upp_sample",
        ),
    )
    return Section("Who is in the sample, and who was left out", "sample", (), tables)


def _plan_section(plan: Plan, name: str) -> Section:
    seen = plan.seen_before.get(name, {})
    texts = (
        f"The plan was frozen on {plan.shared['frozen']}; its section has the digest {plan.digest(name)[:16]}\u2026, which every file of numbers carries and the claim pins.",
        *(f"Seen before the plan ({key}): {text}" for key, text in seen.items()),
        *(f"Deviation of {entry['date']}: {entry['what']} {entry['why']}" for entry in plan.departures(name)),
    )
    return Section("The plan, and what was known before it", "plan", texts)


def _later_section(plan: Plan) -> Section:
    section, seen = plan.section("upp_more"), plan.seen_before.get("upp_more", {})
    texts = (
        f"Map, errors, calibration, curve, closures and published sizes have a section of the plan of their own, with the digest {plan.digest('upp_more')[:16]}\u2026.",
        *section["caveats"],
        *(f"Seen before ({key}): {text}" for key, text in seen.items()),
    )
    return Section("What was planned later", "later", texts)


def _interval(ends: tuple[float | None, ...]) -> str:
    value, low, high = ends
    return "" if value is None else f"{change(value)} ({change(low)} to {change(high)})"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
