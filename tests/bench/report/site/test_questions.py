"""Six questions, answered from the site's first page in three clicks at most: the page says what the records say."""

import re
import shutil
from pathlib import Path

import pytest

from bench.records import store
from bench.records.learning import Ending
from bench.records.record import Record
from bench.report.reading.joining import with_whole_quality
from bench.report.reading.labels import listed, milliseconds, significant
from bench.report.reading.ratios import measured, metric
from bench.report.reading.trained import how_trained
from bench.report.site.page import write_site
from tests.bench.report.browsing import IN_CHROMIUM, api, spilling
from tests.bench.report.outlines import no_figures

pytestmark = IN_CHROMIUM

REPORTS = Path(__file__).parents[4] / "reports" / "cpu-2-cores"
READ = ("paper", "scaling", "all-targets", "shortcuts")
"""Pages that hold the answers; the others would only make the site larger."""

MOST_CLICKS = 3


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site over committed results, as it would be made today; nothing here asks for its pictures."""
    root = tmp_path_factory.mktemp("site")
    for name in READ:
        (root / "cpu-2-cores" / name).mkdir(parents=True)
        for file in (REPORTS / name).glob("*.json.gz"):
            shutil.copy(file, root / "cpu-2-cores" / name)
    with pytest.MonkeyPatch.context() as patch:
        no_figures(patch)
        return write_site(root)[0]


def records_of(name):
    runs, files = store.read_all(sorted((REPORTS / name).glob("*.json.gz")))
    evaluations = [one for file in files for one in file.studies.evaluations]
    return measured(with_whole_quality([record for run in runs for record in run.records], evaluations))


@pytest.fixture(scope="module")
def paper():
    return records_of("paper")


class Reader:
    """Somebody who clicks, and counts the clicks."""

    def __init__(self, page):
        self.page, self.clicks = page, 0

    def click(self, place):
        place.click()
        self.page.wait_for_selector("html[data-ready]")
        self.clicks += 1
        assert self.clicks <= MOST_CLICKS

    def choose(self, words):
        self.click(self.page.locator("#choice label").filter(has_text=re.compile(f"^{words}", re.IGNORECASE)).first)

    def follow(self, words):
        self.click(self.page.get_by_role("link", name=words).first)

    def rows(self):
        """Return the cells of the rows that stand there, by what their heads begin with."""
        rows = self.page.locator("#first tbody tr").filter(visible=True)
        return {
            row[0]: row for row in rows.evaluate_all("all => all.map((one) => [...one.cells].map((c) => c.innerText))")
        }


@pytest.fixture
def reader(visit, site):
    return Reader(visit.open(site.as_uri()))


def here(records: list[Record], dataset, batch):
    return [one for one in records if (one.case.dataset, one.case.batch_size) == (dataset, batch) and not one.labels]


def seconds(record):
    return record.latency.p50_s


def searches(records, name):
    """Return the papers' search and the fastest that makes the same lists, of a recommender as it comes."""
    own = [one for one in records if one.case.recommender == name and one.case.settings.keys() <= {"preset"}]
    return (
        next(one for one in own if one.case.is_reference),
        min((one for one in own if one.case.is_exact), key=seconds),
    )


def test_fastest_within_two_percent_of_the_best_on_beauty(reader, paper):
    ranked = here(paper, "beauty", 1)
    best = max(metric(one, "NDCG@10") or 0.0 for one in ranked)
    fastest = min((one for one in ranked if (metric(one, "NDCG@10") or 0.0) >= 0.98 * best), key=seconds)
    reader.choose("beauty")
    (row,) = (cells for head, cells in reader.rows().items() if "fastest within 2 % of the best" in head)
    assert row[0].lower().startswith(fastest.case.recommender)
    assert row[1].startswith(f"{metric(fastest, 'NDCG@10'):.4f}")
    assert row[2] == milliseconds(seconds(fastest))


def test_what_beam_search_costs_at_batch_32_on_ml_1m(reader, paper):
    reader.choose("ml-1m")
    reader.choose("32 users")
    rows, timed = reader.rows(), here(paper, "ml-1m", 32)
    for name, said in (("tiger", "TIGER"), ("openp5-llama", "OpenP5 (Llama")):
        reference, fastest = searches(timed, name)
        (row,) = (cells for head, cells in rows.items() if head.startswith(said))
        assert row[2] == milliseconds(seconds(fastest))
        assert f"the papers': {milliseconds(seconds(reference))}" in row[0].replace("\n", " ")
    one_pass = min(seconds(one) for one in timed if one.case.recommender == "lite-llm4rec")
    assert any(
        row[2] == milliseconds(one_pass) for head, row in rows.items() if head.lower().startswith("lite-llm4rec")
    )


def test_where_one_pass_and_beams_cross(reader):
    """On both sides of the number that the page names, what was measured is as it says."""
    reader.follow("where do one pass and beams cross")
    told = reader.page.locator(".answer strong").inner_text()
    said = (
        r"(\S+) \(ids\) is faster than (\S+) \(random codes, exact\) up to some ([\d,]+) items in the catalogue "
        r"\(batch (\d+), beam (\d+)\)"
    )
    below, beyond, at, batch, beam = re.match(said, told.lower()).groups()
    times = {"below": {}, "beyond": {}}
    for one in records_of("scaling"):
        case, items = one.case, one.provenance.dataset["items"]
        if case.batch_size != int(batch) or case.dataset.startswith("synthetic ("):
            continue
        if case.recommender == below and case.search is None:
            times["below"].setdefault(items, []).append(seconds(one))
        if case.recommender == beyond and case.decoder == "exact" and case.beam_width == int(beam):
            times["beyond"].setdefault(items, []).append(seconds(one))
    both = {items: (min(times["below"][items]), min(times["beyond"][items])) for items in times["below"]}
    crossing = int(at.replace(",", ""))
    assert min(both) < crossing < max(both)
    for items, (one_pass, beams) in both.items():
        assert (one_pass < beams) is (items < crossing)


def test_what_a_million_users_cost_at_two_dollars_an_hour(reader, paper):
    field = reader.page.locator("#prices input:visible").first
    reader.click(field)
    field.fill("2")
    _, fastest = searches(here(paper, "ml-1m", 1), "tiger")
    (row,) = (cells for head, cells in reader.rows().items() if head.lower().startswith("tiger"))
    assert row[3] == f"{significant(2 * seconds(fastest) / 3600 * 1e6, 2)} USD"


def test_whether_the_baseline_p5_is_fair(reader, paper):
    reader.follow("Are the baselines fair?")
    api.expect(reader.page.locator("#fair")).to_have_attribute("open", "")
    row = reader.page.locator(
        "#fair tbody tr", has=reader.page.locator("th", has_text=re.compile("^p5$", re.IGNORECASE))
    )
    _, time, quality, longer, *_ = row.locator("th, td").all_inner_texts()
    assert time.startswith("yes")
    own = [one for one in paper if one.case.recommender == "p5" and not one.labels]
    cut = dict.fromkeys(one.case.dataset for one in own if how_trained(one) == Ending.CUT_SHORT.value)
    assert f"no on {listed(list(cut))}: training was cut short" in quality.lower()
    settings = dict.fromkeys((one.case.dataset, one.case.batch_size) for one in own)
    pairs = [searches(here(own, *setting), "p5") for setting in settings]
    factors = sorted(seconds(reference) / seconds(fastest) for reference, fastest in pairs)
    assert longer == f"{significant(factors[0], 2)} to {significant(factors[-1], 2)} times as long"


def test_which_numbers_not_to_trust(reader, paper):
    reader.follow("What to distrust, worst first")
    distrust = reader.page.locator("#distrust")
    assert distrust.locator("h4").first.inner_text() == "Numbers not to use"
    labelled = {label for one in paper for label in one.labels}
    assert labelled
    worst = distrust.locator("ul").first.inner_text()
    assert all(label in worst for label in labelled)
    lines = distrust.locator("li").all_inner_texts()
    assert len(set(lines)) == len(lines)


def test_what_ranks_better_but_was_not_timed_is_said_beside_the_best(reader, paper):
    told = reader.page.locator("#answer").inner_text().lower()
    for dataset in ("beauty", "ml-1m"):
        best = max(metric(one, "NDCG@10") or 0.0 for one in here(paper, dataset, 1))
        (other,) = re.findall(rf"{dataset} \(([\d.]+)\)", told.partition("ranked better")[2])[:1]
        assert float(other) > best


@pytest.mark.parametrize("name", READ)
def test_no_text_of_a_table_runs_into_the_next_cell(visit, site, name):
    page = visit.open((site.parent / "cpu-2-cores" / name / "index.html").as_uri(), unfolded=True)
    assert spilling(page) == []


def test_pages_and_first_page_lead_to_each_other(reader):
    reader.follow("Are the baselines fair?")
    reader.follow("All results")
    assert reader.page.url.endswith("site0/index.html")
