"""The site in a headless browser, as a reader opens it: from the file system."""

import os
import posixpath
import shutil
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "index.html", "K01.html", "family-kingpins.html", "tasks.html", "es/index.html", "pt/K01.html", "es/family-kingpins.html",
)  # fmt: skip
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as built, or else made here from the published numbers, with invented placebo draws of the published spread."""
    built = ROOT / "analyses" / "site"
    if (built / "index.html").is_file():
        return built
    from analyses import settings
    from analyses.families import FAMILIES
    from analyses.task_site import Line, site
    from analyses.timelines import draw_timelines
    from crimepolicy.report.numbers import read_results

    if not read_results(settings.RESULTS):
        pytest.skip("no number is published yet; run nox -s analyses and nox -s publish")
    folder = tmp_path_factory.mktemp("site")
    families = tuple(family for family in FAMILIES if family.claim in {"K01", "K05"})
    line = Line("test", folder / "build", folder / "site", families)
    shutil.copytree(settings.RESULTS, line.build)
    results = read_results(line.build)
    for family in families:
        family.draw(line.build / "figures", results, drawn(results), settings.plan())
    draw_timelines(line.build / "figures")
    site(line, stated=settings.RESULTS / "statements.json")
    return line.site


def drawn(results):
    """Return invented placebo draws of the published spread."""
    rng = np.random.default_rng(0)
    spread = {name: window["uncertainty"] for name, window in results["kingpins_main"]["windows"].items()}
    return {
        "kingpins_main": {
            kind: {name: rng.normal(0, errors[f"sd_{kind}"], 99).tolist() for name, errors in spread.items()}
            for kind in ("dates", "places")
        }
    }


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = (
        os.environ.get("CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if chromium is None:
        pytest.skip("no Chromium on this machine; set CHROMIUM to its path")
    with api.sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def visit(browser, site):
    opened = []

    def go(page, width=1280):
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tab.trouble = []
        tab.on(
            "console",
            lambda message: tab.trouble.append(message.text) if message.type in {"error", "warning"} else None,
        )
        tab.on("pageerror", lambda error: tab.trouble.append(str(error)))
        tab.on("requestfailed", lambda request: tab.trouble.append(request.url))
        tab.on("request", lambda request: tab.trouble.append(request.url) if request.url.startswith("http") else None)
        tab.goto((site / page).as_uri())
        opened.append(tab)
        return tab

    yield go
    for tab in opened:
        tab.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", PAGES)
def test_pages_load_without_an_error_and_without_the_network(visit, page, width):
    tab = visit(page, width)
    assert tab.trouble == []
    assert tab.title()
    assert tab.locator("h1").count() == 1


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_wider_than_the_screen(visit, page, width):
    tab = visit(page, width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_the_claim_table_is_there(visit):
    tab = visit("index.html")
    rows = tab.locator("table.ledger:not(.entries) tbody tr")
    assert rows.count() >= 2
    assert tab.locator("table.ledger:not(.entries) thead th").count() == 5
    for row in rows.all():
        assert row.locator(".badge").inner_text().split(maxsplit=1)[1] in {
            "Supported",
            "Refuted",
            "Inconclusive",
            "Not identified",
        }
    # Every estimate with an interval has its picture.
    assert (
        tab.locator("svg.strip").count()
        == rows.filter(has_text="(").filter(has=tab.locator("a.num", has_text="\u2026")).count()
    )


def test_every_figure_is_visible_and_says_what_it_shows(visit):
    tab = visit("K01.html")
    images = tab.locator("figure img").all()
    assert len(images) >= 8
    for image in images:
        image.scroll_into_view_if_needed()
        assert image.evaluate("node => node.complete && node.naturalWidth > 0")
        assert image.bounding_box()["height"] > 100
        assert len(image.get_attribute("alt")) > 40


@pytest.mark.parametrize("page", PAGES)
def test_every_link_resolves(visit, site, page):
    tab = visit(page)
    links = tab.eval_on_selector_all("a[href]", "nodes => nodes.map(node => node.getAttribute('href'))")
    anchors = {}
    for link in dict.fromkeys(links):
        file, _, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), file)) if file else page
        assert (site / target).is_file(), link
        if anchor:
            if target not in anchors:
                found = visit(target)
                anchors[target] = set(found.eval_on_selector_all("[id]", "nodes => nodes.map(node => node.id)"))
            assert anchor in anchors[target], link


@pytest.mark.parametrize("page", PAGES)
def test_no_identifier_is_used_twice(visit, page):
    ids = visit(page).eval_on_selector_all("[id]", "nodes => nodes.map(node => node.id)")
    assert len(ids) == len(set(ids))


def test_a_number_leads_to_its_task_and_its_tables(visit):
    tab = visit("K01.html")
    tab.locator("td a.num").first.click()
    assert "tasks.html#" in tab.url
    row = tab.locator(f"tr[id='{tab.url.split('#')[1]}']")
    assert row.is_visible()
    assert row.locator("a[href^='numbers/']").count() == 1


def test_the_keyboard_reaches_the_content(visit):
    tab = visit("index.html")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"


def shown_rows(tab):
    return [row.get_attribute("id") for row in tab.locator("table.ledger tbody tr").all() if row.is_visible()]


def test_filters_and_search_narrow_the_ledger_and_say_so(visit):
    tab = visit("index.html")
    every = shown_rows(tab)
    assert tab.locator("[data-shown]").inner_text() == str(len(every))
    tab.select_option("select[name=family]", "kingpins")
    narrowed = shown_rows(tab)
    assert "K01a" in narrowed
    assert "T07" not in narrowed
    tab.fill("input[name=search]", "SPLITS of groups")
    assert shown_rows(tab) == ["K02"]
    tab.fill("input[name=search]", "no such thing")
    assert tab.locator(".nothing").is_visible()
    tab.click("button[type=reset]")
    assert shown_rows(tab) == every


def test_a_count_is_a_filter_and_counts_what_it_shows(visit):
    tab = visit("index.html")
    for button in tab.locator("button.count").all():
        button.click()
        assert len(shown_rows(tab)) == int(button.locator("strong").inner_text())
        assert button.get_attribute("aria-pressed") == "true"
        button.click()


def test_the_language_switch_leads_to_the_same_claim(visit):
    tab = visit("K01.html")
    tab.click(".languages a[hreflang=es]")
    assert tab.url.endswith("es/K01.html")
    assert tab.evaluate("document.documentElement.lang") == "es"
    tab.click(".languages a[hreflang=pt]")
    assert tab.url.endswith("pt/K01.html")
    tab.click(".languages a[hreflang=en]")
    assert tab.url.endswith("/K01.html")


@pytest.mark.parametrize(("code", "section"), [("es", "Qué se compara con qué"), ("pt", "O que se compara com o quê")])
def test_a_page_in_another_language_is_whole_and_nothing_is_left_in_english(visit, code, section):
    english, tab = visit("K01.html"), visit(f"{code}/K01.html")
    for part in ("main section", "figure img", "main table", "main td"):
        assert tab.locator(part).count() >= 0.95 * english.locator(part).count() - english.locator(".card").count(), (
            part
        )
    assert tab.locator("main h2", has_text=section).count() == 1
    assert tab.locator("main span[lang=en]").count() == 0
    drawn = tab.locator("figure img").evaluate_all("images => images.map(image => image.getAttribute('src'))")
    assert drawn
    assert all(f"figures/{code}/" in source for source in drawn)
    assert "0,05" in tab.locator("main").inner_text()


@pytest.mark.parametrize("page", PAGES)
def test_no_barrier_is_found_by_axe(visit, page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    found = axe.Axe().run(visit(page))
    assert found.violations_count == 0, found.generate_report()


def test_it_prints_on_paper(visit):
    tab = visit("K01.html")
    tab.emulate_media(media="print")
    assert not tab.locator("nav").first.is_visible()
    assert tab.pdf(format="A4")[:4] == b"%PDF"
