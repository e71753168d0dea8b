"""Where the fastest of one pass and the fastest beams cross."""

import pytest

from bench.records.rankers import Ranked, Ranking
from bench.report.growth.laws import growths
from bench.report.growth.strongest import describe, overtakings
from bench.report.growth.sweeps import sweeps
from tests.bench.factories import make_case, make_record

SIZES = (1, 8, 64, 512)


def line(recommender, time_of, *, ranker=None, lost=0.0, **case):
    ranking = {"ranker": ranker, "ranking": Ranking(kind="one")} if ranker else {}
    ranked = {}
    if ranker:
        ranked["ranked"] = Ranked(build_s=0, bytes=1, users=9, recall=1, identical=9, ndcg_lost=lost)
    return [
        make_record(case=make_case(recommender, batch_size=size, **ranking, **case), median_s=time_of(size), **ranked)
        for size in SIZES
    ]


EXACT = line("lite-llm4rec", lambda size: 1e-3 * size)
QUICK = line("lite-llm4rec", lambda size: 4e-3 + 2e-4 * size, ranker="int8-rescored")
COARSE = line("lite-llm4rec", lambda size: 1e-5 * size, ranker="ivf", lost=0.2)
BEAMS = line("p5", lambda size: 2e-2 + 1e-7 * size, decoder="exact", beam_width=20)
SLOW = line("p5", lambda size: 9e-2 + 1e-7 * size, decoder="reference", beam_width=20)


def grown(*lines):
    return growths(sweeps([record for one in lines for record in one]))


def test_the_strongest_of_both_sides_cross_where_neither_exact_nor_coarse_ones_do():
    (found,) = overtakings(grown(EXACT, QUICK, COARSE, BEAMS, SLOW))
    assert found.at == pytest.approx(80, rel=0.05)
    assert (found.one_pass, found.beams) == ("Lite-LLM4Rec, int8-rescored", "P5, exact")
    assert found.one_pass_first
    assert found.inside
    assert found.low <= found.at <= found.high


def test_it_is_said_in_a_sentence_that_names_both():
    text = describe(grown(EXACT, QUICK, BEAMS))
    assert text.startswith(
        "Against batch size, the strongest one pass (Lite-LLM4Rec, int8-rescored) is faster than the strongest beams "
        "(P5, exact) up to "
    )
    assert text.endswith("(interpolated).")


def test_sides_that_do_not_cross_are_said_so():
    never = line("p5", lambda size: 9.0 + 1e-1 * size, decoder="exact", beam_width=20)
    assert "wherever the laws were looked at" in describe(grown(EXACT, never))


def test_with_one_side_alone_there_is_nothing_to_say():
    assert describe(grown(EXACT, QUICK)) == ""
