"""Ways to serve one pass: which of them count, which is strongest, and what the page says of them."""

import pytest

from bench.records.quality import Agreement
from bench.records.rankers import Ranked, Ranking
from bench.report.reading.findings import claimants, comparisons
from bench.report.reading.rankers import served_best, ways
from bench.report.run.answers import answer, headline
from bench.report.run.rankers import RANKERS
from tests.bench.factories import make_case, make_material, make_record

EVERY = Agreement(compared_with="every item scored", users=200, identical=100, ties=0, different=100, overlap=0.9)


def served(median_s, ranker=None, *, lost=None, recall=1.0, exact=False, compiled=False, **changes):
    if ranker is None:
        return make_record(case=make_case(compiled=compiled, **changes), median_s=median_s)
    ranking = Ranking(kind="a ranker", is_exact=exact)
    ranked = Ranked(build_s=2, bytes=2**20, details="8 of 64", users=200, recall=recall, identical=100, ndcg_lost=lost)
    case = make_case(ranker=ranker, ranking=ranking, compiled=compiled, **changes)
    return make_record(case=case, median_s=median_s, ranked=ranked, agreement=EVERY)


EXACT = served(0.01)
FUSED = served(0.008, "exact-fused", exact=True)
INT8 = served(0.004, "int8-rescored", lost=0.002, recall=0.98)
COARSE = served(0.001, "ivf", lost=0.03, recall=0.999)
BEAMS = make_record(case=make_case("p5", decoder="exact", beam_width=20), median_s=0.02)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (EXACT, True),
        (FUSED, True),
        (INT8, True),
        (COARSE, False),
        (served(0.001, "ivf", lost=-0.2, recall=0.5), True),
        (served(0.001, "ivf", recall=0.995), True),
        (served(0.001, "ivf", recall=0.985), False),
    ],
)
def test_what_loses_more_than_a_hundredth_does_not_count(record, expected):
    """A share of NDCG@10; where quality was not measured, a share of the items of the exact list."""
    assert record.loses_little is expected


def test_the_strongest_is_the_fastest_that_counts():
    quick = served(0.003, "int8-rescored", lost=0.002, compiled=True)
    assert served_best([EXACT, FUSED, INT8, COARSE]) == [INT8]
    assert served_best([EXACT, FUSED, INT8, COARSE, quick]) == [quick]
    assert served_best([COARSE]) == [COARSE]


def test_other_batches_are_other_cases():
    larger = served(0.05, batch_size=1)
    assert served_best([EXACT, FUSED, larger]) == [FUSED, larger]
    assert [len(several) for several in ways([EXACT, FUSED, larger, BEAMS])] == [2]


def test_pages_hold_the_strongest_ranker_against_beams_and_name_both():
    group = [EXACT, FUSED, INT8, COARSE, BEAMS]
    assert claimants(group) == [INT8]
    assert [(one.fast, one.slow) for one in comparisons(group)] == [(INT8, BEAMS)]
    (text,) = answer(group)
    assert "Lite-LLM4Rec (int8-rescored) is 5.00 times [5.00, 5.00] as fast as P5 (exact, beam 20)" in text
    assert headline(group).startswith("Lite-LLM4Rec ranked by int8-rescored answered")


def test_the_section_says_what_each_ranker_saves_and_loses():
    section = RANKERS.section(make_material([EXACT, FUSED, INT8, COARSE, BEAMS]))
    (table,) = (titled.frame for titled in section.tables)
    assert list(table["served"]) == ["exact", "exact-fused", "int8-rescored", "ivf"]
    assert list(table["against beams"]) == ["", "", "strongest", "loses too much"]
    assert list(table["NDCG@10 lost"]) == ["n/a", "n/a", "+0.20%", "+3.00%"]
    assert list(table["recall"])[2:] == ["98.0%", "99.9%"]
    assert table["built with"][3] == "8 of 64"
    assert {setting.facets["batch"] for setting in table["recommender and setting"]} == {"32"}
    assert RANKERS.section(make_material([EXACT, BEAMS])) is None
