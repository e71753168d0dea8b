"""Results of every shape make a page: one case or a thousand, one sample, no numbers at all."""

import re

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bench.records.case import Outcome
from bench.records.model import Unavailable
from bench.records.store import read
from bench.report.run.formats import Format
from bench.report.run.page import MOST_LETTERS, write_report
from tests.bench.factories import make_case, make_failure, make_latency, make_quality, make_record, write_results
from tests.bench.report.test_report import Page

GONE = Unavailable(unavailable="was not measured")
TEXTS = (Format.HTML, Format.MARKDOWN, Format.CSV, Format.PARQUET, Format.LATEX)


@st.composite
def records(draw, least=0, most=5):
    """Cases as runs may hold them: failed, without quality, with one sample, names of any letters."""
    found = []
    for number in range(draw(st.integers(least, most))):
        name = draw(st.text(min_size=1, max_size=12)) + str(number)
        if draw(st.booleans()):
            found.append(make_failure(name, draw(st.sampled_from([Outcome.ERROR, Outcome.TIMED_OUT])), draw(st.text())))
            continue
        generative = draw(st.booleans())
        case = make_case(
            name,
            dataset=draw(st.sampled_from(["ml-1m", "a|b", "<b>"])),
            batch_size=draw(st.sampled_from([1, 32])),
            **({"decoder": "exact", "beam_width": 20} if generative else {}),
        )
        rounds = draw(st.sampled_from([1, 2, 120]))
        quality = draw(st.sampled_from([GONE, make_quality(0.2), make_quality(0.0)]))
        changes = {name: GONE for name in ("flops", "memory", "phases") if draw(st.booleans())}
        median_s = draw(st.sampled_from([1e-5, 0.002, 3.0]))
        latency = make_latency(median_s, rounds=rounds, turns=min(rounds, 10))
        found.append(make_record(case=case, latency=latency, quality=quality, **changes))
    return found


@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # each example takes seconds to draw
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(records(least=1))
def test_any_results_make_a_page(tmp_path_factory, found):
    folder = tmp_path_factory.mktemp("shape")
    write_report([read(write_results(folder / "run.json", found))], folder / "out", wanted=TEXTS)
    page = Page((folder / "out" / "index.html").read_text())
    assert set(page.scripts) <= {"choices-data", "prices-data", "vega", "ours"}
    assert page.anchors <= set(page.ids)
    assert {"b"} & set(page.tags) == set()
    text = (folder / "out" / "report.md").read_text()
    assert not re.search(r"[\[ ]nan[,\] ]", text)


@pytest.mark.drawn
def test_a_thousand_cases_make_a_page_that_can_be_sent(tmp_path):
    found = [
        make_record(
            case=make_case(
                ("sasrec", "lite-llm4rec", "p5")[number % 3],
                settings={"preset": "compact", "dropout": number // 12},
                batch_size=(1, 8, 32, 128)[number % 4],
                **({"decoder": ("reference", "exact")[number % 2], "beam_width": 20} if number % 3 == 2 else {}),
            ),
            latency=make_latency(0.001 * (1 + number % 17), rounds=1000, turns=20, seed=number),
            ndcg=0.01 + number / 1e5,
        )
        for number in range(1000)
    ]
    write_report([read(write_results(tmp_path / "run.json", found))], tmp_path / "out")
    assert (tmp_path / "out" / "index.html").stat().st_size < 15e6
    assert len((tmp_path / "out" / "report.md").read_text()) <= MOST_LETTERS
    assert len((tmp_path / "out" / "results.csv").read_text().splitlines()) == 1001


@pytest.mark.parametrize("count", [1, 2, 30])
def test_the_page_says_all_cases(tmp_path, count):
    found = [make_record(case=make_case(f"recommender-{number}")) for number in range(count)]
    write_report([read(write_results(tmp_path / "run.json", found))], tmp_path / "out", wanted=[Format.HTML])
    page = (tmp_path / "out" / "index.html").read_text()
    assert all(f"recommender-{number}" in page for number in range(count))
