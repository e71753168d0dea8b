"""The page in a browser, opened from disk with no network: it answers, it fits, and everybody can use it."""

import shutil
from functools import partial

import pytest

from bench.records import store
from bench.records.record import Outcome
from bench.report.comparing.page import write_comparison
from bench.report.history.page import write_history
from bench.report.run.page import write_report
from tests.bench.factories import (
    make_case,
    make_failure,
    make_latency,
    make_provenance,
    make_record,
    make_run,
    make_served,
    make_studies,
    write_results,
    write_studies,
)
from tests.bench.report.test_report import HOSTILE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.drawn,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH: install the distribution's package"),
]

WIDE, NARROW = 1440, 390
PAGES = ("report", "compare", "history")
TEXTS = "h1, h2, h3, nav a, .answer li, p, figcaption, label, output, dt, dd, #distrust li, #again li"

OVERLAPPING = """(selector) => {
  const boxes = [...document.querySelectorAll(selector)]
    .filter((one) => one.checkVisibility() && one.textContent.trim())
    .map((one) => [one, one.getBoundingClientRect()]);
  const inside = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const found = [];
  boxes.forEach(([one, box], row) => boxes.slice(row + 1).forEach(([other, another]) => {
    if (!one.contains(other) && !other.contains(one) && inside(box, another))
      found.push(`${one.textContent.trim().slice(0, 40)} | ${other.textContent.trim().slice(0, 40)}`);
  }));
  return found;
}"""
TOO_WIDE = """() => [...document.querySelectorAll('body *')]
  .filter((one) => !one.closest('.scroll, figure') && one.getBoundingClientRect().right > innerWidth + 1)
  .map((one) => `${one.tagName} ${one.textContent.trim().slice(0, 40)}`)"""


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pages of everything: timed, evaluated and studied, failed, and with names that would break them."""
    place = tmp_path_factory.mktemp("page")
    studies, records = make_studies()
    hostile = make_case(HOSTILE, dataset="films", settings={"preset": "compact", "note": HOSTILE})
    formula = make_case("=SUM(A1)", dataset="films")
    failed = make_failure(HOSTILE, Outcome.ERROR, HOSTILE)
    files = [write_studies(place / "studies.json", studies)]
    timed = [*make_run(), *records, make_record(case=hostile), make_record(case=formula), failed]
    timed += [make_served(peak=400.0), make_served("p5", peak=60.0)]
    files.append(write_results(place / "run.json", timed))
    runs, studied = store.read_all(files)
    write_report(runs, place / "report", studied)
    slower = store.read(write_results(place / "slower.json", [_slowed(one) for one in timed]))
    write_comparison([*runs, slower], place / "compare")
    write_history([*runs, slower], place / "history")
    return place


def _slowed(record):
    """The same case on the next day, a half slower."""
    latency = record.latency and make_latency(1.5 * record.latency.p50_s, seed=1)
    source = make_provenance(started="2026-12-01T00:00:00+00:00", commit="f" * 40)
    return record.model_copy(update={"latency": latency, "provenance": source})


@pytest.fixture
def opened(browser, folder):
    """Opens the page, and holds it to being silent and alone."""
    contexts, said = [], []

    def opens(width=WIDE, scheme="light", name="report"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        page.on("request", lambda one: None if one.url.startswith(("file:", "data:")) else said.append(one.url))
        page.goto((folder / name / "index.html").as_uri())
        page.wait_for_selector("html[data-ready]")
        return page

    yield opens
    for context in contexts:
        context.close()
    assert said == [], "no request leaves, nothing fails, no name is run"


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_overlaps_or_overflows(opened, width, scheme, name):
    page = opened(width, scheme, name)
    assert page.evaluate(TOO_WIDE) == []
    assert page.evaluate(OVERLAPPING, TEXTS) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.documentElement.classList.contains('dark')") is (scheme == "dark")


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_serious_fault(opened, width, scheme, name):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(opened(width, scheme, name)).response["violations"]
    grave = [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found if _is_grave(one)]
    assert grave == []


def _is_grave(violation):
    return violation["impact"] in ("serious", "critical")


def column(page, name, table="#latency table"):
    names = page.locator(f"{table} thead th").all_inner_texts()
    place = next(row for row, text in enumerate(names, start=1) if text.strip() == name)
    return page.locator(f"{table} tbody tr > :nth-child({place})").all_inner_texts()


def sort(page, table, name, order):
    """Click a column's name, and wait until its table is in order: DataTables sorts after the click's own task."""
    head = page.locator(f"{table} thead th", has_text=name).first
    head.click()
    api.expect(head).to_have_attribute("aria-sort", order)


def test_a_table_sorts_by_value_and_not_by_text(opened):
    page = opened()
    values = partial(column, page, "p50")
    before = values()
    sort(page, "#latency table", "p50", "ascending")
    rising = [float(text.split()[0].replace(",", "")) for text in values()]
    assert rising == sorted(rising)
    sort(page, "#latency table", "p50", "descending")
    assert values() != before
    assert [float(text.split()[0].replace(",", "")) for text in values()] == sorted(rising, reverse=True)


@pytest.mark.parametrize(("name", "label", "head"), [("compare", "Latency", "p50 A"), ("history", "All runs", "p50")])
def test_tables_of_several_runs_sort_and_filter(opened, name, label, head):
    page = opened(name=name)
    table = f".scroll[aria-label^='{label}'] table"
    sort(page, table, head, "ascending")
    rising = [float(text.split()[0].replace(",", "")) for text in column(page, head, table) if " ms" in text]
    assert len(set(rising)) > 1
    assert rising == sorted(rising)
    page.get_by_label(f"Filter {label}").first.fill("popularity")
    names = page.locator(f"{table} tbody th").all_inner_texts()
    assert names
    assert all("popularity" in name for name in names)


def test_a_table_filters(opened):
    page = opened()
    whole = len(column(page, "case"))
    page.get_by_label("Filter Latency", exact=True).fill("popularity")
    assert 0 < len(column(page, "case")) < whole
    assert all("popularity" in name for name in column(page, "case"))


@pytest.mark.parametrize(
    ("kind", "starts", "holds"),
    [
        ("CSV", "case,data,", '"popularity, synthetic'),
        ("CSV", "case,data,", "\"'=SUM(A1)"),
        ("Markdown", "| case | data |", "\\|\\`\\*\\_$x^$"),
        ("LaTeX", "\\begin{tabular}{l", "\\$x\\^{}\\$"),
    ],
)
def test_a_table_is_copied_whole_and_escaped(opened, kind, starts, holds):
    page = opened()
    page.evaluate("() => addEventListener('copy', (event) => { window.copied = event.target.value; }, true)")
    page.locator("#results").get_by_role("button", name=kind).click()
    copied = page.wait_for_function("window.copied").json_value()
    assert copied.startswith(starts)
    assert holds in copied
    assert copied.count("popularity") == sum("popularity" in name for name in column(page, "case", "#results table"))


def test_what_fits_answers_at_once(opened):
    page = opened()
    fits = page.locator("#fits")
    choices = fits.locator("select[name=setting] option").all_inner_texts()
    assert len(choices) > 1
    fits.locator("select[name=setting]").select_option(label=next(one for one in choices if "synthetic" in one))
    fits.locator("select[name=batch]").select_option("32")
    assert "Best that fits: sasrec (NDCG@10 0.2100" in fits.locator("output").inner_text()
    fits.locator("input[name=within]").fill("90")
    assert "Fastest within 90 % of it: popularity" in fits.locator("output").inner_text()
    fits.locator("input[name=budget]").fill("1")
    assert "Best that fits: popularity" in fits.locator("output").inner_text()
    assert fits.locator("tr.fits").count() == 1
    assert fits.locator("tr.misses").count() == 3
    fits.locator("input[name=budget]").fill("0.00001")
    assert fits.locator("output").inner_text() == "Nothing measured here fits."
    assert fits.locator("figure circle").count() == 4


def test_what_fits_takes_a_rate_and_a_limit_of_services(opened):
    page = opened()
    fits = page.locator("#fits")
    choices = fits.locator("select[name=setting] option").all_inner_texts()
    fits.locator("select[name=setting]").select_option(label=next(one for one in choices if "as services" in one))
    assert fits.locator("tr.fits").count() == 2
    fits.locator("input[name=rate]").fill("300")
    fits.locator("select[name=time]").select_option("p99")
    fits.locator("input[name=budget]").fill("80")
    assert "Best that fits: lite-llm4rec (NDCG@10" in fits.locator("output").inner_text()
    assert "at 400 users/s" in fits.locator("tr.fits").inner_text()
    assert fits.locator("tr.misses").count() == 1
    fits.locator("input[name=rate]").fill("450")
    assert fits.locator("output").inner_text() == "Nothing measured here fits."
    fits.locator("select[name=setting]").select_option(index=0)
    assert fits.locator("tr.fits").count() == 0, "what one client asked fits no rate"


def test_what_fits_writes_names_beside_their_own_marks(opened):
    page = opened()
    page.locator("#fits select[name=batch]").wait_for()
    far = page.evaluate("""() => {
      const marks = [...document.querySelectorAll('#fits circle')];
      const names = [...document.querySelectorAll('#fits svg g text')].filter((one) => !/^\\d+$/.test(one.textContent));
      const own = (name) => marks.find((mark) => mark.textContent.startsWith(`${name.textContent}: `));
      const number = (one, what) => Number(one.getAttribute(what));
      return [names.filter(own).length, names.filter(own).filter((name) =>
        Math.abs(number(name, 'y') - number(own(name), 'cy')) > 12).map((name) => name.textContent)];
    }""")
    assert far[0] > 0
    assert far[1] == []


COSTS = ".scroll[aria-label='Cost'] table"


def test_a_price_changes_the_cost(opened):
    page = opened()
    before = column(page, "per million users", COSTS)
    page.locator("#prices input").first.fill("0")
    after = column(page, "per million users", COSTS)
    assert all(text == "0 USD" for text in after if text != "n/a")
    assert before != after


def test_the_keyboard_reaches_the_answer_first(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the answer"
    page.keyboard.press("Enter")
    assert page.url.endswith("#answer")


def test_what_fits_sorts_by_value_with_gaps_last(opened):
    page = opened()
    fits = page.locator("#fits")
    label = next(one for one in fits.locator("select[name=setting] option").all_inner_texts() if "synthetic" in one)
    fits.locator("select[name=setting]").select_option(label=label)
    for order, sign in (("ascending", 1), ("descending", -1)):
        sort(page, "#fits table", "p99", order)
        times = column(page, "p99", "#fits table")
        known = [float(text.split()[0].replace(",", "")) for text in times if text != "n/a"]
        assert known == sorted(known, key=lambda value: sign * value), order
        assert times[: len(known)] == [text for text in times if text != "n/a"]
