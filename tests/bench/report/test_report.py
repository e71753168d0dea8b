"""The report: golden texts, a page that stands alone, and every shape of results."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from bench.ground.outputs import MANIFEST
from bench.records.case import Outcome, WeightsKind
from bench.records.cost import Phase
from bench.records.learning import Ending
from bench.records.model import Unavailable
from bench.records.phases import KINDS
from bench.records.quality import Quality
from bench.records.store import read
from bench.report.reading.distrust import distrust
from bench.report.reading.findings import comparisons
from bench.report.reading.labels import case_labels, groups, operations, significant
from bench.report.run.answers import answer, headline, leads
from bench.report.run.page import write_report
from bench.report.run.phases import describe_phases, draw_phases
from bench.report.run.tables import claims
from tests.bench.factories import (
    make_case,
    make_failure,
    make_latency,
    make_provenance,
    make_record,
    make_run,
    write_results,
)
from tests.bench.report.drawing.test_packing import unpacked

GOLDEN = Path(__file__).with_name("golden")
RENEW = "RENEW_GOLDEN"


def render(folder: Path, records) -> Path:
    out = folder / "report"
    write_report([read(write_results(folder / "run.json", records))], out)
    return out


FIGURE = re.compile('<script type="text/plain" class="svg">([^<]*)</script>')


class Page(HTMLParser):
    """Collects what a page loads, what it links to, and what it says outside of scripts, its figures unpacked."""

    def __init__(self, text: str):
        super().__init__()
        self.loaded, self.links, self.ids, self.text, self.tags, self.scripts = [], [], [], [], [], []
        self.feed(FIGURE.sub(lambda packed: unpacked(packed[1]), text))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        found = dict(attrs)
        for name in {"src", "href", "xlink:href", "data", "action"} & set(found):
            (self.links if tag == "a" or found[name].startswith("#") else self.loaded).append(found[name])
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "script" and found.get("class") != "rows":
            self.scripts.append(found.get("id", "ours"))

    def handle_data(self, data):
        if self.tags[-1:] != ["script"]:
            self.text.append(data)

    @property
    def anchors(self):
        return {link[1:] for link in self.links if link.startswith("#")}

    def missing(self, folder: Path):
        """Return the files that are linked and not there."""
        files = [unquote(link) for link in self.links if not link.startswith("#")]
        return [name for name in files if not (folder / name).exists()]


SCRIPTS = ["choices-data", "prices-data", "vega", "ours"]
"""All scripts of a page, in their order, but the numbers of figures."""

PLAIN = ["ours"]
"""Those of a page without figures that answer to choices."""


@pytest.mark.parametrize("name", ["report.md", "results.csv"])
def test_the_text_is_what_it_was(tmp_path, name):
    """Golden files; after a wanted change, run once with RENEW_GOLDEN=1 and read the difference."""
    made = (render(tmp_path, make_run()) / name).read_text()
    if os.environ.get(RENEW):
        GOLDEN.mkdir(exist_ok=True)
        (GOLDEN / name).write_text(made)
    assert made == (GOLDEN / name).read_text()


def test_the_page_stands_alone(tmp_path):
    """Nothing is loaded, every anchor exists, every figure is there and named."""
    out = render(tmp_path, make_run())
    page = Page((out / "index.html").read_text())
    assert page.loaded == []
    assert page.missing(out) == []
    assert page.anchors <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.scripts == SCRIPTS
    drawn = ("quality_latency", "distribution", "latency", "phases", "cost")
    assert page.tags.count("svg") == len(drawn)
    assert page.tags.count("h1") == 1
    kinds = ("svg", "png", "csv")
    assert {path.name for path in (out / "figures").iterdir()} == {f"{name}.{kind}" for name in drawn for kind in kinds}


def test_the_answer_and_the_claim_carry_their_numbers(tmp_path):
    text = (render(tmp_path, make_run()) / "report.md").read_text()
    assert "97.28 %" in text
    assert "99.48 %" in text
    assert "46.8 %" in text
    assert "+33.3 %" in text  # HR@10 .2 against .15
    assert re.search(r"Lite-LLM4Rec is 4\d\.\d times \[\d\d\.\d, \d\d\.\d\] as fast as P5", text)
    assert "fastest within its interval" in text or "nothing faster comes within its interval" in text
    assert "took longer than 5 s" in text
    assert "Synthetic data" in text


@pytest.mark.drawn
def test_equal_results_give_equal_bytes(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    outs = []
    for folder in (first, second):
        folder.mkdir()
        outs.append(render(folder, make_run()))
    files = sorted(path.relative_to(outs[0]) for path in outs[0].rglob("*") if path.is_file())
    suffixes = {path.suffix for path in files if path.name != MANIFEST}
    assert suffixes == {".html", ".md", ".csv", ".parquet", ".tex", ".bib", ".svg", ".png"}
    for name in files:
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes(), name


HOSTILE = '<script>alert("x")</script>|`*_$x^$'


def test_hostile_names_stay_text(tmp_path):
    case = make_case(HOSTILE, dataset=HOSTILE, settings={"preset": HOSTILE, "note": HOSTILE})
    records = [make_record(case=case, labels=[HOSTILE]), make_failure(HOSTILE, Outcome.ERROR, HOSTILE)]
    out = render(tmp_path, records)
    page = Page((out / "index.html").read_text())
    assert page.scripts == SCRIPTS
    assert "<script" not in (out / "report.md").read_text()
    assert "\\$x\\textasciicircum " in (out / "tables" / "results.tex").read_text()
    assert any(HOSTILE in text for text in page.text)


def test_a_leak_is_told_beside_the_results(tmp_path):
    text = (render(tmp_path, [make_record(labels=["leaky item IDs"])]) / "report.md").read_text()
    assert "leaky item IDs" in text


def test_untrained_weights_have_no_quality_and_say_so(tmp_path):
    case = make_case("p5", weights=WeightsKind.UNTRAINED, decoder="reference", beam_width=20)
    why = Unavailable(unavailable="the weights are random (--untrained)")
    out = render(
        tmp_path,
        [make_record(case=case, quality=why), make_record(case=make_case(weights=WeightsKind.UNTRAINED), quality=why)],
    )
    text = (out / "report.md").read_text()
    assert "P5 (reference, beam 20), untrained" in text
    assert "Untrained weights" in text
    assert "cost alone was measured" in text
    assert not (out / "figures" / "quality_latency.svg").exists()
    assert "as fast as P5 (reference, beam 20)" in text


def test_only_failures_still_make_a_page(tmp_path):
    out = render(
        tmp_path, [make_failure("sasrec", Outcome.OUT_OF_MEMORY, "DefaultCPUAllocator: can't allocate memory")]
    )
    assert "out of memory" in (out / "index.html").read_text()
    assert "No case could be measured" in (out / "report.md").read_text()
    assert not (out / "figures").exists()
    assert Page((out / "index.html").read_text()).scripts == ["ours"]


@pytest.mark.parametrize("count", [1, 30])
def test_any_number_of_cases(tmp_path, count):
    records = [
        make_record(case=make_case(f"recommender-{number}"), median_s=0.001 * (1 + number)) for number in range(count)
    ]
    page = (render(tmp_path, records) / "index.html").read_text()
    assert f"recommender-{count - 1}" in page


def pair(**changes):
    """A one-pass case, and a generative one that takes 40 times as long."""
    slow = make_case("p5", decoder="reference", beam_width=20, **changes)
    return make_record(median_s=0.002), make_record(case=slow, median_s=0.08, ndcg=0.15)


def test_only_recommenders_of_one_preset_are_compared():
    assert len(comparisons(pair())) == 1
    assert comparisons(pair(settings={"preset": "t5-base"})) == []


def test_machines_are_told_apart_and_not_compared(tmp_path):
    fast, slow = pair()
    other = make_provenance(machine={"processor": "another processor", "cores": 64})
    records = [fast, slow.model_copy(update={"provenance": other})]
    assert comparisons(records) == []
    assert len(groups(records)) == 2
    text = (render(tmp_path, records) / "report.md").read_text()
    for words in ("Several machines", "processor: a processor", "processor: another processor", "another processor (6"):
        assert words in text


def test_runs_are_told_apart_and_their_turns_not_paired():
    fast, slow = pair()
    later = slow.model_copy(update={"provenance": make_provenance(started="2026-01-03T00:00:00+00:00")})
    together, apart = comparisons([fast, slow])[0].ratio, comparisons([fast, later])[0].ratio
    assert together.value == apart.value
    assert apart.high - apart.low > together.high - together.low
    assert any("Several runs" in line for line in distrust([fast, later]))
    assert len(set(case_labels([slow, later]))) == 2


def test_without_the_papers_recommender_the_best_one_pass_case_is_compared():
    _, slow = pair()
    records = [make_record("popularity", ndcg=0.01, median_s=0.0001), make_record("sasrec", median_s=0.002), slow]
    assert "SASRec is 40.0 times [40.0, 40.0] as fast as P5" in answer(records)[0]


def test_one_sentence_says_what_one_pass_gains_over_all_groups():
    fast, slow = pair()
    assert headline([fast, slow]) == (
        "Lite-LLM4Rec answered 40.0 times [40.0, 40.0] as fast as the strongest beam search, with +33 % HR@10: "
        "synthetic, batch 32, a processor (2 cores)."
    )
    alone = [one.model_copy(update={"case": one.case.model_copy(update={"batch_size": 1})}) for one in pair()]
    alone[1] = make_record(case=alone[1].case, median_s=0.01, ndcg=0.25)
    exact = make_record(case=slow.case.model_copy(update={"decoder": "exact"}), median_s=0.02, ndcg=0.15)
    assert headline([fast, slow, exact, *alone]) == (
        "Lite-LLM4Rec answered 5.0 to 10 times as fast as the strongest beam search and 40.0 times [40.0, 40.0] as "
        "fast as the papers' decoder, with -20 % to +33 % HR@10: synthetic, batch 1 to 32, a processor (2 cores)."
    )
    three = [
        one.model_copy(update={"case": one.case.model_copy(update={"dataset": name})})
        for name in ("films", "books", "toys")
        for one in pair()
    ]
    assert headline(three).endswith(
        ": films (synthetic), books (synthetic) and toys (synthetic), batch 32, a processor (2 cores)."
    )
    assert headline([fast]) is None
    assert headline([]) is None


@pytest.mark.parametrize(
    ("verdict", "words"),
    [(Ending.CUT_SHORT, "the training of P5 was cut short"), (None, "nobody knows whether P5 was trained to its end")],
)
def test_no_gain_is_told_over_a_search_that_was_not_trained_to_its_end(verdict, words):
    fast, slow = pair()
    records = [fast, slow.model_copy(update={"weights": slow.weights.model_copy(update={"ending": verdict})})]
    assert headline(records).endswith(f" Quality is not compared: {words}.")
    assert f"; their quality is not compared, for {words}." in answer(records)[0]
    assert claims(records)["HR@10 change"].tolist()[-1] == words
    for text in (headline(records), *answer(records)):
        assert "HR@10" not in text
    assert any("P5" in line and ("cut short" in line or "nobody knows" in line) for line in distrust(records))
    assert "% HR@10" in headline([fast, slow])


def test_a_case_without_phases_has_no_time_beside_its_bar():
    told = make_record(phases=[Phase(name="encode", seconds=0.002)])
    replayed = make_record(case=make_case(compiled=True), phases=[])
    assert [text.get_text() for text in draw_phases([told, replayed]).axes[0].texts] == ["2.00 ms", "n/a"]
    assert describe_phases([told, replayed]).endswith("(compiled): n/a.")


def test_every_kind_of_phase_has_a_colour_of_its_own():
    record = make_record(phases=[Phase(name=kind, seconds=0.001) for kind in KINDS])
    bars = draw_phases([record]).axes[0].patches
    assert len({bar.get_facecolor() for bar in bars}) == len(bars) == len(KINDS)


def test_a_one_pass_case_is_held_against_beams_as_it_is_served_best():
    _, slow = pair()
    plain, compiled = (
        make_record(case=make_case(compiled=how), median_s=median_s) for how, median_s in ((False, 0.01), (True, 0.002))
    )
    assert [lead.fast for lead in leads([plain, compiled, slow])] == [compiled]
    quicker = make_record(case=plain.case, median_s=0.001)
    assert [lead.fast for lead in leads([quicker, compiled, slow])] == [quicker]


def test_a_slower_one_pass_case_is_said_to_be_slower():
    slow = make_case("p5", decoder="reference", beam_width=20)
    text = answer([make_record(median_s=0.02), make_record(case=slow, median_s=0.01)])[0]
    assert "Lite-LLM4Rec is 2.00 times [2.00, 2.00] as slow as P5" in text


def test_a_busy_machine_is_distrusted():
    busy = make_provenance(machine={"processor": "a processor", "cores": 2, "load average at the end": 7.5})
    assert any("load average reached 7.5" in line for line in distrust([make_record(provenance=busy)]))


def test_energy_is_a_column_where_it_was_measured(tmp_path):
    text = (render(tmp_path, [make_record(energy_j_per_1000_users=12.5)]) / "report.md").read_text()
    assert "J/1000 users" in text
    assert "| 12.5 |" in text


def test_what_cannot_be_measured_is_never_zero(tmp_path):
    gone = Unavailable(unavailable="no such counter")
    record = make_record(flops=gone, memory=gone, phases=gone, quality=gone, latency=make_latency(rounds=1, turns=1))
    out = render(tmp_path, [record])
    whole = (out / "report.md").read_text().partition("## All cases")[2]
    row = next(line for line in whole.splitlines() if line.startswith("| Lite-LLM4Rec"))
    assert row.count("n/a") == 6  # NDCG, HR, coverage, p95, FLOPs, memory
    assert "no such counter" in (out / "index.html").read_text()


def test_doubts_are_listed(tmp_path):
    record = make_record(
        flops={"per_user": 4e6, "forward_per_user": 2e6, "fvcore_per_user": 1.8e6, "uncounted": {"aten.gru.input": 1}},
        audit={"users": 64, "identical": 60, "ties": 4, "different": 0},
        latency=make_latency(rounds=20),
    )
    assert isinstance(record.quality, Quality)
    record = record.model_copy(update={"quality": record.quality.model_copy(update={"valid_rate": 0.9})})
    text = (render(tmp_path, [record]) / "report.md").read_text()
    for doubt in ("-10.0%", "4 of 64", "Fewer than 50 rounds", "10.00%", "gru.input"):
        assert doubt in text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1234.5, "1,230"), (0.012345, "0.0123"), (9.999, "10.0"), (float("nan"), "n/a")]
)
def test_three_significant_digits(value, text):
    assert significant(value) == text


def test_operations_have_one_unit_everywhere():
    assert [operations(value) for value in (12, 3.2e4, 5e6, 7.5e9, 2e12)] == [
        "0.0000000120 GFLOP",
        "0.0000320 GFLOP",
        "0.00500 GFLOP",
        "7.50 GFLOP",
        "2,000 GFLOP",
    ]


def test_no_best_quality_is_named_among_untrained_recommenders(tmp_path):
    """Popularity has quality where the rest is untrained; calling it the best would mislead."""
    why = Unavailable(unavailable="the weights are random (--untrained)")
    untrained = make_record(case=make_case(weights=WeightsKind.UNTRAINED), quality=why)
    popular = make_record(case=make_case("popularity", weights=WeightsKind.AS_BUILT))
    text = (render(tmp_path, [popular, untrained]) / "report.md").read_text()
    assert "cost alone was measured" in text
    assert "the best NDCG@10" not in text
