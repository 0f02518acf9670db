"""The page of claim K01: figures, tables and words, all from published numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analyses.kingpins_figures import BESIDE, LONG, PLACEBO, SHORT, WINDOWS, Results, interval_of, planned_rows
from analyses.kingpins_pooled_page import pooled_section
from crimepolicy.claims.plan import Plan
from crimepolicy.claims.verdict import Verdict
from crimepolicy.report.site import Cell, ClaimPage, Figure, Section, Table, against_expected, change, number, p_value

Row = tuple[Cell | str, ...]

DATA = (
    "mexico_municipality_month",
    "kingpins_mexico",
    "mexico_state_month",
    "mexico_contiguity",
    "kingpins_colombia",
    "colombia_municipality_month",
    "published_estimates",
)
# ---------------------------------------------------------------------------------------------------------------- page


def page(verdicts: tuple[Verdict, ...], results: Results, plan: Plan, figures: Path) -> ClaimPage:
    """Return the page of claim K01."""
    section = plan.section("kingpins")
    sections = (
        _comparison(results, section), _path_section(results, figures), _windows_section(results, figures), _before_section(results, section),
        _placebo_section(results, figures), _specification_section(results, section, figures), _beside_section(results, figures),
        pooled_section(results, plan, figures), _published_section(results, figures), _flow_section(results), _plan_section(section, plan),
    )  # fmt: skip
    return ClaimPage(verdicts, _lead(verdicts, results), sections, DATA)


def _lead(verdicts: tuple[Verdict, ...], results: Results) -> str:
    short, long = (_in_words(results["kingpins_main"]["windows"][name]["decision"]) for name in (SHORT, LONG))
    labels = ", ".join(f"\u201c{verdict.claim.title.lower()}\u201d is {verdict.label}" for verdict in verdicts)
    count = results["kingpins_sample"]["counts"]["large"]["treated"]
    pooled = results["kingpins_pooled_effects"]["rows"]
    return (
        f"In {count} Mexican municipalities where the head of a criminal organisation was captured or killed, homicides ran {short} in the first half year, and {long} from half a year "
        f"to three years after; there a few cities with many deaths weigh most. With every removal counted once, over Mexico and Colombia, it was {_in_words(pooled['main'])} and {_in_words(pooled['long'])}. By conditions written down before the numbers, {labels}."
    )


def _in_words(decision: Results) -> str:
    ends = f"from {against_expected(decision['low'])} to {against_expected(decision['high'])}"
    return f"{against_expected(decision['value'])} ({ends})"


def _comparison(results: Results, section: Mapping[str, Any]) -> Section:
    sample = results["kingpins_sample"]
    counts = sample["counts"]["large"]
    compared = (
        f"{counts['treated']} municipalities with a first removal of a leader by forces of the Mexican state are compared with {counts['comparison']} municipalities "
        f"that never had a removal of any rank, do not border one that had, and had at least {section['controls']['minimum_population']:,} inhabitants in "
        f"{section['controls']['base_year']}; months {sample['months']['first']} to {sample['months']['last']}."
    )
    texts = (
        section["question"],
        compared,
        f"What is estimated: {_lower(section['estimand'])}",
        f"What must hold: {_lower(section['assumption'])}",
        section["later_removals"],
    )
    return Section("What is compared with what", "comparison", texts)


def _path_section(results: Results, figures: Path) -> Section:
    months = results["kingpins_path"]["months"]
    after = {int(k): v for k, v in months.items() if int(k) >= 0}
    outside = sum(v["band_low"] > 1 or v["band_high"] < 1 for v in after.values())
    first = results["kingpins_main"]["windows"]
    finding = (
        f"Homicides stand at {change(months['0']['ratio'])} in the month of the removal and {change(first['m1_5']['decision']['value'])} over the next five months, "
        f"then return towards what was expected: {change(first['m24_35']['decision']['value'])} in the third year. "
        f"The band for the whole path excludes no effect in {outside} of {len(after)} months."
    )
    path = Figure(
        "Month by month",
        figures / "kingpins_path.svg",
        finding,
        "Dots: ratio of homicides to those expected, hollow before the removal, where each month is compared with the municipality's earlier months. Bars: pointwise 95% intervals. Pale band: covers the whole path at once with 95%.",
        "kingpins_path",
    )
    before, later = (_mean_rate(results, span) for span in ((-24, -13), (-12, -1)))
    rates = Figure(
        "Homicides as counted, before any model",
        figures / "kingpins_rates.svg",
        f"In the municipalities with a removal the rate was {before:.1f} per 100,000 and year in the second year before the removal and {later:.1f} in the year before it.",
        "Months are those since the removal; the comparison shows the same calendar months, weighted alike.",
        "kingpins_counts",
        height=307,
    )
    years = Figure(
        "The same municipalities over the years",
        figures / "kingpins_years.svg",
        _years_finding(results),
        "Removals are spread over 2008 to 2020.",
        "kingpins_counts",
        height=288,
    )
    return Section("Homicides around the removal", "path", (), (path, rates, years))


def _mean_rate(results: Results, span: tuple[int, int]) -> float:
    rows = [row for month, row in results["kingpins_counts"]["around"].items() if span[0] <= int(month) <= span[1]]
    return sum(row["rate"] for row in rows) / len(rows)


def _years_finding(results: Results) -> str:
    yearly = results["kingpins_counts"]["yearly"]
    first, last = min(yearly), max(yearly)
    gap = {year: row["treated"] - row["comparison"] for year, row in yearly.items()}
    widest = max(gap, key=lambda year: gap[year])
    return f"The rate of the municipalities with a removal exceeds the comparison by {gap[first]:.0f} per 100,000 in {first}, {gap[widest]:.0f} in {widest} and {gap[last]:.0f} in {last}."


def _windows_section(results: Results, figures: Path) -> Section:
    main = results["kingpins_main"]["windows"]
    task = "kingpins_main"
    columns = (
        "Window",
        "Change",
        "Deciding 95% interval",
        "Deaths added",
        "Municipality SE",
        "State SE",
        "SD, other months",
        "SD, other places",
        "p months",
        "p places",
        "Would have found",
    )
    rows: list[Row] = []
    for name, label in WINDOWS.items():
        found, spread, deaths = main[name]["decision"], main[name]["uncertainty"], main[name]["deaths"]
        texts = [
            change(found["value"]), f"{change(found['low'])} to {change(found['high'])}", f"{_deaths(deaths['added'])} ({_deaths(deaths['added_low'])} to {_deaths(deaths['added_high'])})",
            number(spread["se_municipality"], 2), number(spread["se_state"], 2), number(spread["sd_dates"], 2), number(spread["sd_places"], 2), p_value(spread["p_dates"]), p_value(spread["p_places"]),
            f"{change(found['detectable'])}",
        ]  # fmt: skip
        rows.append((label, *(Cell(text, task, number=True) for text in texts)))
    low, high = main[SHORT]["decision"], main[LONG]["decision"]
    figure = Figure(
        "By window of months",
        figures / "kingpins_windows.svg",
        f"Months 0\u20135: {change(low['value'])} ({change(low['low'])} to {change(low['high'])}). Months 6\u201335: {change(high['value'])} ({change(high['low'])} to {change(high['high'])}).",
        "Bars: the widest of four 95% intervals (clustered by municipality, by state; placebo months, placebo places).",
        task,
        height=288,
    )
    table = Table("Every kind of uncertainty, side by side", columns, tuple(rows), task, wide=True)
    text = (
        "Errors are on the logarithmic scale. With few removals, errors that count on many independent places can be too small; so the spread of estimates under redrawn months and under redrawn places stands beside them, and the widest interval decides.",
    )
    return Section("How large, and how sure", "windows", text, (figure, table))


def _before_section(results: Results, section: Mapping[str, Any]) -> Section:
    leads, honest, balance = (
        results["kingpins_leads"],
        results["kingpins_honest"],
        results["kingpins_sample"]["balance"],
    )
    first, last = section["main"]["leads"]
    test = (
        f"Joint test of months \u2212{-first} to \u2212{-last}: p = {p_value(leads['p_dates'])} when the dates are redrawn, which decides. By the clustered covariance alone p is {p_value(leads['p_clustered'])}; but that "
        f"test, meant to reject in 5% of cases, rejects in {leads['clustered_rejects']:.0%} of the redrawn dates. "
        "A test that does not reject does not prove that violence would have gone on as expected: the plots above show it rising before the removals."
    )
    survival = (
        "How much of that the estimates bear: in half-years, relative to the last half year before, the rise in months 0\u20135 is "
        f"{number(honest['months_0_5']['rate'])} homicides per 100,000 and year and remains apart from zero as long as the comparison fails by less than "
        f"{number(honest['months_0_5']['breakdown'], 2)} times the largest failure seen before the removals; for months 6\u201335 this breakdown value is {number(honest['months_6_35']['breakdown'], 2)}."
    )
    names = {
        "log_population": "Log population 2006",
        "level": "Log homicide rate 2003\u20132006",
        "trend": "Its change, 2003\u201304 to 2005\u201306",
    }
    rows = [
        (
            label,
            *(
                Cell(number(balance["large"][key][column], 3), "kingpins_sample", number=True)
                for column in ("treated", "comparison", "standardised")
            ),
            Cell(number(balance["matched"][key]["standardised"], 2), "kingpins_sample", number=True),
        )
        for key, label in names.items()
    ]
    table = Table(
        "How alike they were before",
        ("", "With a removal", "Comparison", "Standardised difference", "Same, matched comparison"),
        tuple(rows),
        "kingpins_sample",
    )
    return Section("Was it comparable before?", "before", (test, survival), (table,))


def _placebo_section(results: Results, figures: Path) -> Section:
    main = results["kingpins_main"]["windows"]
    short, long = main[SHORT]["uncertainty"], main[LONG]["uncertainty"]
    finding = (
        f"Months 0\u20135: p = {p_value(short['p_dates'])} against other months and {p_value(short['p_places'])} against other places. "
        f"Months 6\u201335: p = {p_value(long['p_dates'])} and {p_value(long['p_places'])}."
    )
    figure = Figure(
        "Had the removals fallen elsewhere, or in other months",
        figures / "kingpins_placebos.svg",
        finding,
        f"Bars: estimates under {results['kingpins_main']['draws']} redrawn assignments. The p-values compare estimates divided by their standard errors, as planned; "
        f"not divided, they are {p_value(short['p_raw_dates'])} and {p_value(short['p_raw_places'])} for months 0\u20135, {p_value(long['p_raw_dates'])} and {p_value(long['p_raw_places'])} for months 6\u201335.",
        "kingpins_main",
        height=442,
    )
    return Section("Could it be chance?", "placebos", (), (figure,))


def _specification_section(results: Results, section: Mapping[str, Any], figures: Path) -> Section:
    rows = planned_rows(results, section)
    done = [row for row in rows if "failed" not in row]
    finding = "; ".join(_share(done, window) for window in (SHORT, LONG)) + "."
    figure = Figure(
        "One thing changed at a time",
        figures / "kingpins_specifications.svg",
        finding[:1].upper() + finding[1:],
        "Bars: the wider of the intervals clustered by municipality and by state; for the main specification also by randomisation. Rows of rates are shown as ratios to the rate expected. The axis ends at a quarter and at four times what was expected.",
        "kingpins_specifications",
        height=614,
    )
    texts = ("Every row was named in the plan. None is selected.", _splits(results))
    blocks = (figure, _specification_table(rows), _cities_table(results))
    return Section("Does it depend on choices?", "specifications", texts, blocks)


def _specification_table(rows: list[Results]) -> Table:
    task = "kingpins_specifications"
    lines: list[Row] = []
    for row in rows:
        if "failed" in row:
            lines.append((row["label"], Cell("", task), Cell(f"Not computed: {row['failed']}", task), ""))
            continue
        texts = [f"{row['n_treated']} / {row['n_comparison']}", *(_text(row["windows"].get(w)) for w in (SHORT, LONG))]
        lines.append((row["label"], *(Cell(text, task, number=True) for text in texts)))
    columns = ("Specification", "With / without removal", WINDOWS[SHORT], WINDOWS[LONG])
    return Table("The same as numbers", columns, tuple(lines), task)


def _cities_table(results: Results) -> Table:
    main, without = results["kingpins_main"]["windows"], results["kingpins_leave_out"]
    lines = {"All municipalities": [change(main[window]["decision"]["value"]) for window in (SHORT, LONG)]}
    for entry in without["cities"].values():
        found = entry["windows"]
        texts = [change(found[window]) if found else "not in the sample" for window in (SHORT, LONG)]
        lines[f"Without {entry['city']}"] = texts
    lines["Without these together"] = [change(without["all_cities"][window]) for window in (SHORT, LONG)]
    for end in ("smallest", "largest"):
        found = [(without[window][end], without[window][f"{end}_without"]) for window in (SHORT, LONG)]
        lines[f"{end.capitalize()} when any one is left out"] = [f"{change(r)} (without {name})" for r, name in found]
    task = "kingpins_leave_out"
    rows = tuple((label, *(Cell(text, task, number=True) for text in texts)) for label, texts in lines.items())
    return Table("Without single cities", ("", WINDOWS[SHORT], WINDOWS[LONG]), rows, task)


def _splits(results: Results) -> str:
    rows = results["kingpins_specifications"]["rows"]
    pairs = (("until_2012", "from_2013"), ("at_home", "elsewhere"), ("captured", "killed"))
    texts = [
        " against ".join(
            f"{_text(rows[name]['windows'].get(SHORT)) or 'not computed'} ({_lower(rows[name]['label'])})"
            for name in pair
        )
        for pair in pairs
    ]
    return f"Three splits of the removals, in months 0\u20135: {'; '.join(texts)}. They divide few removals further, and were planned as rows of this table, not as claims."


def _share(rows: list[Results], window: str) -> str:
    known = [row["windows"][window]["ratio"] for row in rows if row["windows"].get(window, {}).get("ratio") is not None]
    above = sum(ratio > 1 for ratio in known)
    return f"{_lower(WINDOWS[window])}: {above} of {len(known)} specifications above expected, from {change(min(known))} to {change(max(known))}"


def _text(window: Results | None) -> str:
    value, low, high = interval_of(window)
    return "" if value is None else f"{change(value)} ({change(low)} to {change(high)})"


def _beside_section(results: Results, figures: Path) -> Section:
    columns = (
        "Removal or event",
        "Places",
        WINDOWS[SHORT],
        "p months",
        "p places",
        WINDOWS[LONG],
        "p months",
        "p places",
    )
    lines: list[Row] = []
    for name, label in (BESIDE | PLACEBO).items():
        found = results[name]
        cells: list[Cell | str] = [label, Cell(str(found["n_treated"]), name, number=True)]
        for window in (SHORT, LONG):
            entry = found["windows"].get(window)
            if entry is None:
                cells += ["not computed", "", ""]
                continue
            p = entry["uncertainty"]
            cells += [
                Cell(text, name, number=True) for text in (_text(entry), p_value(p["p_dates"]), p_value(p["p_places"]))
            ]
        lines.append(tuple(cells))
    table = Table(
        "Other ranks, another exposure, and events that should do nothing of the kind", columns, tuple(lines), wide=True
    )
    main, placebo = (results[name]["windows"].get(SHORT) for name in ("kingpins_main", "kingpins_placebo_all"))
    finding = f"Months 0\u20135: leaders {_text(main)}, lieutenants {_text(results['kingpins_lieutenant']['windows'].get(SHORT))}, placebo events {_text(placebo)}."
    figure = Figure(
        "Other ranks and placebo events",
        figures / "kingpins_beside.svg",
        finding,
        "Bars: the deciding 95% intervals; the axis ends at a fifth and at five times what was expected.",
        "kingpins_placebo_all",
        height=326,
    )
    events = "; ".join(
        f"{label.lower()}: {', '.join(results[name]['events'])}"
        for name, label in PLACEBO.items()
        if not name.endswith("_all")
    )
    texts = (
        "After the last three kinds of event the mechanism of the claim, a removal by the state that leaves a gap, predicts nothing or another path. They are few, so that only large effects would show.",
        f"The events: {events}.",
    )
    return Section("Other ranks, other exposures, placebo events", "beside", texts, (figure, table))


def _published_section(results: Results, figures: Path) -> Section:
    rows = results["kingpins_published"]["rows"]
    lines: list[Row] = []
    for row in rows:
        interval = "" if row["low"] is None else f" ({change(row['low'])} to {change(row['high'])})"
        found = "no number" if row["ratio"] is None else change(row["ratio"]) + interval
        words = (row["outcome"], row["horizon"], Cell(found, "kingpins_published", number=True), row["basis"])
        lines.append((f"({row['number']}) {row['study']} {row['year']}", *words, "yes" if row["verified"] else "no"))
    columns = ("Study", "Outcome", "Horizon", "Change", "Read in", "Verified")
    table = Table("Published effects of removing leaders", columns, tuple(lines), "kingpins_published", wide=True)
    known = [row["ratio"] for row in rows if row["ratio"] is not None]
    rises = sum(ratio > 1 for ratio in known)
    finding = f"{rises} of {len(known)} published effects that state a size are rises, from {change(min(known))} to {change(max(known))}."
    figure = Figure(
        "Beside what others published",
        figures / "kingpins_published.svg",
        finding,
        "Dots without a bar: no interval was published or seen. Outcomes, places and horizons differ.",
        "kingpins_published",
        height=384,
    )
    return Section("Beside published estimates", "published", (), (figure, table))


def _flow_section(results: Results) -> Section:
    sample = results["kingpins_sample"]
    tables = []
    for what in ("removals", "municipalities"):
        lines = [
            (entry["step"], *(Cell(f"{entry[key]:,}", "kingpins_sample", number=True) for key in ("left_out", "kept")))
            for entry in sample["flow"]
            if entry["of"] == what
        ]
        tables.append(
            Table(f"From all {what} to those used", ("Step", "Left out", "Kept"), tuple(lines), "kingpins_sample")
        )
    removals = tuple(
        (
            Cell(entry["month"], "kingpins_sample"),
            entry["person"],
            entry["organisation"],
            f"{entry['municipality']}, {entry['state']}",
            entry["action"],
            "yes" if entry["source_read"] else "no",
        )
        for entry in sample["removals"]
    )
    listed = Table(
        "The removals",
        ("Month", "Person", "Organisation", "Place", "What happened", "Source read"),
        removals,
        "kingpins_sample",
        wide=True,
    )
    return Section("Who is in the sample, and who was left out", "sample", (), (*tables, listed))


def _plan_section(section: Mapping[str, Any], plan: Plan) -> Section:
    seen = plan.seen_before.get("kingpins", {})
    texts = (
        f"The plan was frozen on {plan.shared['frozen']}; its section has the digest {plan.digest('kingpins')[:16]}\u2026, which every file of numbers carries and the claim pins.",
        *(f"Seen before the plan ({key.replace('_', ' ')}): {text}" for key, text in seen.items()),
        *(f"Deviation of {entry['date']}: {entry['what']} {entry['why']}" for entry in plan.departures("kingpins")),
    )
    return Section("The plan, and what was known before it", "plan", texts)


def _deaths(count: float) -> str:
    return f"{count:,.0f}".replace("-", "\u2212")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
