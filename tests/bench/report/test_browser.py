"""The page in a browser, opened from disk with no network: it answers, it fits, and everybody can use it."""

from functools import partial
from urllib.parse import urlencode

import pytest

from bench.records import store
from bench.records.case import Outcome
from bench.report.comparing.page import write_comparison
from bench.report.history.page import write_history
from bench.report.run.page import write_report
from tests.bench.factories import (
    LEAKY,
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
from tests.bench.report.browsing import IN_CHROMIUM, NARROW, WIDE, api, grave_faults, misplaced, spilling, unfold
from tests.bench.report.run.test_learning import record as learning
from tests.bench.report.run.test_roofline import WORK
from tests.bench.report.test_report import HOSTILE

pytestmark = [pytest.mark.drawn, IN_CHROMIUM]

PAGES = ("report", "compare", "history")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pages of everything: timed, evaluated and studied, failed, and with names that would break them."""
    place = tmp_path_factory.mktemp("page")
    studies, records = make_studies()
    hostile = make_case(HOSTILE, dataset="films", settings={"preset": "compact", "note": HOSTILE})
    formula = make_case("=SUM(A1)", dataset="films")
    failed = make_failure(HOSTILE, Outcome.ERROR, HOSTILE)
    files = [write_studies(place / "studies.json", studies)]
    leaky = [make_record(case=make_case(name, dataset="leaky"), labels=labels) for name, labels in LEAKING]
    timed = [*make_run(), *records, *leaky, make_record(case=hostile), make_record(case=formula), failed]
    timed += [make_served(peak=400.0), make_served("p5", peak=60.0)]
    timed.append(learning("sasrec", dataset="films").model_copy(update={"roofline": WORK}))
    files.append(write_results(place / "run.json", timed))
    runs, studied = store.read_all(files)
    write_report(runs, place / "report", studied)
    slower = store.read(write_results(place / "slower.json", [_slowed(one) for one in timed]))
    write_comparison([*runs, slower], place / "compare")
    write_history([*runs, slower], place / "history")
    return place


LEAKING = (("sasrec", []), ("p5", [LEAKY]))


def _slowed(record):
    """The same case on the next day, a half slower."""
    latency = record.latency and make_latency(1.5 * record.latency.p50_s, seed=1)
    source = make_provenance(started="2026-12-01T00:00:00+00:00", commit="f" * 40)
    return record.model_copy(update={"latency": latency, "provenance": source})


@pytest.fixture
def opened(visit, folder):
    """Opens a page of the folder."""

    def opens(width=WIDE, scheme="light", name="report", *, query="", unfolded=False):
        return visit.open((folder / name / "index.html").as_uri() + query, width, scheme, unfolded=unfolded)

    return opens


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_overlaps_or_overflows(opened, width, scheme, name):
    page = opened(width, scheme, name)
    assert misplaced(page) == []
    unfold(page)
    assert misplaced(page) == []
    assert spilling(page) == []
    assert page.evaluate("document.documentElement.classList.contains('dark')") is (scheme == "dark")


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_serious_fault(opened, width, scheme, name):
    assert grave_faults(opened(width, scheme, name, unfolded=True)) == []


def column(page, name, table="#latency table"):
    names = page.locator(f"{table} thead th").all_inner_texts()
    place = next(row for row, text in enumerate(names, start=1) if text.strip() == name)
    return page.locator(f"{table} tbody tr > :nth-child({place})").all_inner_texts()


def sort(page, table, name, order):
    """Click a column's name, and wait until its table is in order: scripts sort after the click."""
    head = page.locator(f"{table} thead th", has_text=name).first
    head.click()
    api.expect(head).to_have_attribute("aria-sort", order)


def test_a_table_sorts_by_value_and_not_by_text(opened):
    page = opened(unfolded=True)
    values = partial(column, page, "p50")
    before = values()
    sort(page, "#latency table", "p50", "ascending")
    rising = [float(text.split()[0].replace(",", "")) for text in values()]
    assert rising == sorted(rising)
    sort(page, "#latency table", "p50", "descending")
    assert values() != before
    assert [float(text.split()[0].replace(",", "")) for text in values()] == sorted(rising, reverse=True)


def test_quality_sorts_best_first(opened):
    page = opened(unfolded=True)
    sort(page, "#results table", "NDCG@10", "descending")
    known = [float(text.split()[0]) for text in column(page, "NDCG@10", "#results table") if text != "n/a"]
    assert known == sorted(known, reverse=True)
    assert len(set(known)) > 1


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
    assert all("Popularity" in name for name in names)


def test_a_table_filters(opened):
    page = opened(unfolded=True)
    page.get_by_label("Filter Latency", exact=True).fill("popularity")
    names = column(page, "case")
    assert names
    assert all("Popularity" in name for name in names)


def test_a_dataset_and_a_batch_are_found_whatever_is_chosen(opened):
    """Numbers of other columns are not what was asked for."""
    page = opened(unfolded=True)
    page.get_by_label("Filter All cases", exact=True).fill("synthetic batch 32")
    names = column(page, "case", "#results table")
    assert len(names) > 3
    assert all("batch 32" in name and "synthetic" in name for name in names)
    page.get_by_label("Filter All cases", exact=True).fill("batch 3")
    assert column(page, "case", "#results table") == ["No row of this choice."]


def test_a_choice_filters_every_table_and_stands_in_the_address(opened):
    page = opened(unfolded=True)
    page.locator("#choice").get_by_text("synthetic", exact=True).click()
    page.locator("#choice").get_by_text("32 users").click()
    for table in ("#latency table", "#results table"):
        names = column(page, "case", table)
        assert names
        assert all("synthetic" in name and "batch 32" in name for name in names), table
    assert "dataset=synthetic&batch=32" in page.url
    again = opened(query=page.url.partition("index.html")[2])
    assert again.locator("#choice input:checked").evaluate_all("all => all.map((one) => one.value)")[:2] == [
        "synthetic",
        "32",
    ]
    assert names_of_first(again) == ["SASRec", "Lite-LLM4Rec", "P5 (beam 20)", "Popularity"]


def test_a_table_says_how_much_of_it_is_shown_and_shows_the_rest(opened):
    page = opened(unfolded=True)
    told = page.locator("#results .told")
    shown = len(column(page, "case", "#results table"))
    every = page.locator("#results table").evaluate(
        "one => Number(one.closest('.grid').textContent.match(/of (\\d+) rows/)[1])"
    )
    assert told.inner_text().startswith(f"{shown} of {every} rows: ")
    told.get_by_role("button", name="all rows").click()
    assert len(column(page, "case", "#results table")) == every > shown


def test_columns_unfold(opened):
    page = opened(unfolded=True)
    heads = page.locator("#results table thead th:visible")
    assert heads.count() == 6
    page.locator("#results .told").get_by_role("button", name="more columns").click()
    assert heads.count() > 10


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_no_table_is_cut_without_a_sign(opened, width):
    page = opened(width, unfolded=True)
    page.wait_for_timeout(200)
    unsigned = page.evaluate("""() => [...document.querySelectorAll('.scroll')]
      .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1 && !one.hasAttribute('data-cut'))
      .map((one) => one.getAttribute('aria-label'))""")
    assert unsigned == []


@pytest.mark.parametrize(
    ("kind", "starts", "holds"),
    [
        ("CSV", "case,NDCG@10,", '"Popularity, synthetic'),
        ("CSV", "case,NDCG@10,", "\"'=SUM(A1)"),
        ("Markdown", "| case | NDCG@10 |", "\\|\\`\\*\\_$x^$"),
        ("LaTeX", "\\begin{tabular}{l", "\\$x\\^{}\\$"),
    ],
)
def test_a_table_is_copied_whole_and_escaped(opened, kind, starts, holds):
    page = opened(unfolded=True)
    page.evaluate("() => addEventListener('copy', (event) => { window.copied = event.target.value; }, true)")
    page.locator("#results .told").get_by_role("button", name="all rows").click()
    page.locator("#results").get_by_role("button", name=kind).click()
    copied = page.wait_for_function("window.copied").json_value()
    assert copied.startswith(starts)
    assert holds in copied
    assert copied.count("Popularity") == sum("Popularity" in name for name in column(page, "case", "#results table"))


def names_of_first(page):
    return page.locator("#first tbody th").evaluate_all("all => all.map((one) => one.childNodes[1].textContent)")


SYNTHETIC = "?dataset=synthetic&batch=32"


def test_what_fits_answers_at_once(opened):
    page = opened(query=SYNTHETIC)
    fits = page.locator("#fits")
    assert "Best that fits: SASRec (NDCG@10 0.2100" in fits.locator("output").inner_text()
    fits.locator("input[name=within]").fill("90")
    assert "Fastest within 90 % of it: Popularity" in fits.locator("output").inner_text()
    fits.locator("input[name=budget]").fill("1")
    assert "Best that fits: Popularity" in fits.locator("output").inner_text()
    assert page.locator("#first tr.fits").count() == 1
    assert page.locator("#first tr.misses").count() == 3
    fits.locator("input[name=budget]").fill("")
    fits.locator("input[name=users]").fill("30000")
    assert "Best that fits: Popularity" in fits.locator("output").inner_text()
    fits.locator("input[name=budget]").fill("0.00001")
    assert fits.locator("output").inner_text() == "Nothing measured here fits."


def test_what_fits_takes_a_rate_and_a_limit_of_services(opened):
    page = opened()
    service = page.locator("#choice input[name=asked]").nth(1).get_attribute("value")
    page = opened(query=f"?{urlencode({'asked': service})}")
    fits = page.locator("#fits")
    assert len(names_of_first(page)) == 2
    assert "at 400 users/s" in fits.locator("output").inner_text(), "as its row has it"
    fits.locator("select[name=time]").select_option("p99")
    fits.locator("input[name=budget]").fill("80")
    assert "at 400 users/s" in fits.locator("output").inner_text(), "the highest rate within the budget"
    fits.locator("input[name=users]").fill("300")
    assert "Best that fits: Lite-LLM4Rec (NDCG@10" in fits.locator("output").inner_text()
    assert "at 400 users/s" in page.locator("#first tr.fits").inner_text()
    assert page.locator("#first tr.misses").count() == 1
    fits.locator("input[name=users]").fill("450")
    assert fits.locator("output").inner_text() == "Nothing measured here fits."


def test_what_leaks_never_fits(opened):
    page = opened(query="?dataset=leaky+(synthetic)")
    page.locator("#fits input[name=budget]").fill("1000")
    assert names_of_first(page) == ["SASRec", "P5"]
    assert page.locator("#first tr.fits th").evaluate_all("all => all.map((one) => one.childNodes[1].textContent)") == [
        "SASRec"
    ]


def test_the_figure_draws_what_is_chosen_and_a_click_marks_its_row(opened):
    page = opened(query=SYNTHETIC)
    drawn = page.locator("figure[data-live=quality_latency] .live")
    page.wait_for_selector("figure[data-live=quality_latency] .live svg")
    assert drawn.get_attribute("data-marks") == "4"
    assert {"SASRec", "Popularity"} <= set(drawn.locator("svg text").all_text_contents())
    page.locator("#choice").get_by_text("1 user", exact=True).click()
    page.locator("figure[data-live=quality_latency] .mark-symbol.role-mark path").first.click(force=True)
    page.wait_for_selector("tr.picked")
    assert page.locator("#first tr.picked").count() == 1


@pytest.mark.parametrize("name", PAGES)
def test_every_figure_is_unpacked_for_paper(opened, name):
    page = opened(name=name, unfolded=True)
    page.wait_for_selector("html[data-drawn]")
    figures = page.locator("figure")
    assert page.locator("figure > svg").count() == figures.count() > 0
    page.emulate_media(media="print")
    assert page.locator("figure > svg:visible").count() == figures.count()


def choose(page, dataset):
    page.locator(f"#choice input[name=dataset][value='{dataset}']").check(force=True)


@pytest.mark.parametrize(
    ("name", "dataset"),
    [
        ("ablations", "films"),
        ("beams", "films"),
        ("learning", "films (synthetic)"),
        ("roofline", "films (synthetic)"),
        ("load_latency", "synthetic"),
    ],
)
def test_every_figure_follows_the_choice(opened, name, dataset):
    """What is chosen is drawn and no more; where nothing of the choice is known, the figure says so."""
    page = opened(query=f"?{urlencode({'dataset': dataset})}", unfolded=True)
    box = page.locator(f"figure[data-live={name}] .live")
    box.scroll_into_view_if_needed()
    box.locator("svg").wait_for()
    of_one = int(box.get_attribute("data-marks"))
    assert of_one > 0
    choose(page, "leaky (synthetic)")
    api.expect(box).to_contain_text("Nothing to draw of leaky")
    assert box.get_attribute("data-marks") == "0"
    choose(page, dataset)
    box.locator("svg").wait_for()
    assert int(box.get_attribute("data-marks")) == of_one


def test_hovering_tells_a_case_and_its_numbers(opened):
    page = opened(query=SYNTHETIC)
    mark = page.locator("figure[data-live=quality_latency] .mark-symbol.role-mark path").first
    mark.hover(force=True)
    tip = page.locator("#tip")
    tip.wait_for(state="visible")
    assert "recommender SASRec" in tip.inner_text()
    assert "NDCG@10 0.2100" in tip.inner_text()


def test_without_scripts_tables_stand_there_and_figures_are_told_in_words(browser, folder):
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((folder / "report" / "index.html").as_uri())
    assert page.locator("#first tbody tr:visible").count() > 1
    assert "Popularity" in page.locator("figure noscript p").first.inner_text()
    context.close()


COSTS = ".scroll[aria-label='Cost'] table"


def test_a_price_changes_the_cost(opened):
    page = opened(unfolded=True)
    before = column(page, "per million users", COSTS)
    page.locator("#prices input").first.fill("0")
    after = column(page, "per million users", COSTS)
    assert all(text == "0 USD" for text in after if text != "n/a")
    assert before != after
    assert set(column(page, "USD per million users", "#first")) == {"0 USD"}


def test_a_link_unfolds_what_it_leads_to(opened):
    page = opened()
    assert not page.locator("#distrust ul").first.is_visible()
    page.locator(".trust a").click()
    page.locator("#distrust ul").first.wait_for(state="visible")


def test_few_words_stand_there_before_anything_unfolds(opened):
    page = opened()
    assert page.evaluate("document.body.innerText.split(/\\s+/).length") < 6000


def test_the_keyboard_reaches_the_answer_first(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the answer"
    page.keyboard.press("Enter")
    assert page.url.endswith("#answer")


def test_first_rows_sort_by_value_with_gaps_last(opened):
    page = opened(query=SYNTHETIC)
    page.locator(".told button", has_text="more columns").first.click()
    for order, sign in (("ascending", 1), ("descending", -1)):
        sort(page, "#first", "p99", order)
        times = column(page, "p99", "#first")
        known = [float(text.split()[0].replace(",", "")) for text in times if text != "n/a"]
        assert known == sorted(known, key=lambda value: sign * value), order
        assert times[: len(known)] == [text for text in times if text != "n/a"]
