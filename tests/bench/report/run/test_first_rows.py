"""The first screen: one row a recommender, what it says of each, and the answer above it."""

import pytest

from bench.records.case import WeightsKind
from bench.records.decoders import Search
from bench.records.learning import Ending
from bench.records.record import Weights
from bench.records.studies import Studies
from bench.report.reading.distrust import Doubt, Severity
from bench.report.reading.facets import ANY
from bench.report.reading.families import Family
from bench.report.run.first_rows import first_rows, training_told
from bench.report.run.first_table import shown_rows
from bench.report.run.fits import first_choice
from bench.report.run.money import read_prices
from bench.report.run.opening import opening
from tests.bench.factories import LEAKY, make_case, make_record, make_run


def beams(decoder, median_s, **changes):
    """TIGER's twenty beams under a decoder."""
    case = make_case("tiger", decoder=decoder, beam_width=20, batch_size=1)
    return make_record(case=case, median_s=median_s, ndcg=0.1, **changes)


def one_pass(name="sasrec", median_s=0.001, ndcg=0.2, **changes):
    settings = {"preset": "compact"} | changes.pop("settings", {})
    return make_record(case=make_case(name, batch_size=1, settings=settings), median_s=median_s, ndcg=ndcg, **changes)


def of(records):
    """Open a page of records."""
    return opening(records, first_rows(records), Studies(), {}, [], [])


def test_a_beam_search_stands_once_under_its_fastest_decoder_and_says_what_the_papers_takes():
    rows = first_rows([one_pass(), beams("reference", 0.02), beams("exact", 0.005)])
    strongest = [row for row in rows if ANY in row.under]
    assert [(row.name, row.record.case.decoder) for row in strongest] == [
        ("SASRec", None),
        ("TIGER (beam 20)", "exact"),
    ]
    assert strongest[1].said == "exact search; the papers': 20.1 ms"
    (reference,) = (row for row in rows if row.record.case.is_reference)
    assert reference.under == ("reference",)
    assert reference.said == "the papers' search"
    assert strongest[0].under == (ANY, "reference", "exact")


def test_a_search_that_makes_other_lists_is_not_the_strongest():
    own = Search(kind="greedy search", has_beams=False)
    greedy = make_record(
        case=make_case("tiger", decoder="greedy", search=own, beam_width=20, batch_size=1), median_s=0.0001
    )
    rows = first_rows([greedy, beams("exact", 0.005)])
    assert [row.record.case.decoder for row in rows if ANY in row.under] == ["exact"]
    assert {row.family for row in rows} == {Family.SEARCH, Family.BEAMS}


def test_what_shows_what_beams_miss_is_for_who_asks_for_it():
    """A ranking of all items by the same weights ranks a little better, and nobody would serve it."""
    whole = make_record(case=make_case("tiger", decoder="exhaustive", batch_size=1), median_s=1.4, ndcg=0.21)
    rows = {row.record.case.decoder: row for row in first_rows([beams("exact", 0.02), whole])}
    assert ANY in rows["exact"].under
    assert rows["exact"].few
    assert rows["exhaustive"].under == ("exhaustive",)
    assert not rows["exhaustive"].few
    (alone,) = first_rows([whole])
    assert alone.few
    assert ANY in alone.under


def test_few_rows_are_the_best_of_each_and_the_claimants_own_settings_but_no_lucky_seed():
    own = one_pass("lite-llm4rec", ndcg=0.15)
    best = one_pass("lite-llm4rec", ndcg=0.18, settings={"head": "items"})
    seed = one_pass("lite-llm4rec", ndcg=0.19, settings={"seed": 1})
    leaky = one_pass("p5", ndcg=0.5, settings={"numbering": "leaky"}, labels=[LEAKY])
    sound = one_pass("p5", ndcg=0.1)
    rows = first_rows([own, best, seed, leaky, sound])
    assert [row.record for row in rows if row.few] == [best, own, sound]
    assert {row.record.quality.metrics["NDCG@10"].value for row in rows} == {0.15, 0.18, 0.19, 0.5, 0.1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "to the end"),
        ({"ending": Ending.CUT_SHORT, "training": {"epochs": 1.2}}, "cut short, 1.2 epochs"),
        ({"ending": None, "training": {"epochs": 16}}, "not known, 16 epochs"),
        ({"ending": None, "training": {"epochs": 0.4}}, "cut short, 0.40 epochs"),
    ],
)
def test_a_row_tells_whether_it_was_trained_to_its_end(changes, words):
    """Who saw less than its examples once was cut short, curve or no curve."""
    known = {"parameters": 1, "parameter_bytes": 4, "ending": Ending.FINISHED} | changes
    assert training_told(make_record(weights=Weights(**known))) == words


def test_random_weights_and_those_that_need_no_training_say_so():
    assert training_told(make_record(case=make_case(weights=WeightsKind.UNTRAINED))) == "random weights"
    assert training_told(make_record(case=make_case(weights=WeightsKind.AS_BUILT))) == "needs none"


def test_rows_of_what_was_not_chosen_wait_hidden():
    rows = first_rows(make_run())
    shown = shown_rows(rows, first_choice([row.record for row in rows]), read_prices())
    assert len(shown) == 8
    assert [(one.row.facets["batch"], one.row.name) for one in shown if not one.hidden] == [
        ("1", "SASRec"),
        ("1", "Lite-LLM4Rec"),
        ("1", "P5 (beam 20)"),
        ("1", "Popularity"),
    ]
    assert [round(one.share) for one in shown if not one.hidden] == [100, 95, 71, 19]


def test_the_answer_says_what_to_serve_and_what_beams_cost():
    found = of([one_pass("lite-llm4rec"), one_pass("sasrec", 0.0005, 0.198), beams("exact", 0.005)])
    assert found.question == "Is beam search needed?"
    assert found.serve == (
        "Serve Lite-LLM4Rec: of what was timed, the best NDCG@10 on synthetic, 0.200, 1.01 ms a request; SASRec comes "
        "within 2 % of it, faster, 0.503 ms a request."
    )
    assert found.others.startswith("Lite-LLM4Rec answered 5.00 times [5.00, 5.00] as fast as the strongest beam search")
    assert found.sentences == [found.serve, found.others]


def test_a_recommender_under_several_settings_is_named_once():
    longer = [
        record.model_copy(update={"case": record.case.model_copy(update={"batch_size": 8, "settings": settings})})
        for record, settings in ((one_pass("lite-llm4rec"), {"max_length": 50}), (beams("exact", 0.005), {}))
    ]
    others = of([one_pass("lite-llm4rec"), beams("exact", 0.005), *longer]).others
    assert others.startswith("Lite-LLM4Rec answered 5.0")


def test_who_is_slower_than_beams_is_said_to_be():
    fast, slow = one_pass("lite-llm4rec", 0.02), beams("exact", 0.005)
    other = [one.model_copy(update={"case": one.case.model_copy(update={"dataset": "films"})}) for one in (fast, slow)]
    other[1] = beams("exact", 0.05).model_copy(update={"case": other[1].case})
    assert "is needed" not in of([fast, slow]).others
    assert "answered 4.00 times [4.00, 4.00] as slow as" in of([fast, slow]).others
    assert "from 4.0 times as slow to 2.5 times as fast as" in of([fast, slow, *other]).others


def test_no_one_is_named_best_where_datasets_differ():
    records = [one_pass("a", ndcg=0.2), one_pass("b", ndcg=0.1)]
    films = [
        one.model_copy(update={"case": one.case.model_copy(update={"dataset": "films"}), "quality": two.quality})
        for one, two in zip(records, reversed(records), strict=True)
    ]
    assert of([*records, *films]).serve == "No one recommender ranks best everywhere: a on synthetic; b on films."


def test_what_leaks_is_never_served():
    records = [one_pass("p5", ndcg=0.5, labels=[LEAKY]), one_pass("sasrec", ndcg=0.1)]
    assert of(records).serve.startswith("Serve SASRec")


def test_the_gravest_caution_that_rows_do_not_show_is_the_last_sentence():
    records = [one_pass("p5", labels=[LEAKY])]
    doubts = [
        Doubt(f"p5: {LEAKY}.", Severity.UNUSABLE),
        Doubt("Training was cut short: p5.", Severity.COMPARED),
        Doubt("Busy.", Severity.NOISY),
    ]
    found = opening(records, first_rows(records), Studies(), {}, [], doubts)
    assert found.trust == "Training was cut short: p5."
    assert found.further == 2
    assert found.sentences[-1] == "Training was cut short: p5. 2 further cautions stand below."


def test_without_quality_the_fastest_is_told():
    records = [
        make_record(case=make_case(name, batch_size=1, weights=WeightsKind.UNTRAINED), median_s=seconds, quality=None)
        for name, seconds in (("a", 0.002), ("b", 0.001))
    ]
    assert of(records).serve == "Cost alone was measured: b answers fastest, 1.01 ms a request of 1 user."
