"""The ladder of decoders, and what the one-pass side is held against."""

import pytest

from bench.records.cost import Phase
from bench.records.phases import kind_of, seconds_by_kind
from bench.records.quality import Agreement
from bench.report.reading.distrust import distrust
from bench.report.reading.ladder import ladders, reference_of, strongest
from bench.report.run.answers import answer
from bench.report.run.tables import ladder
from tests.bench.factories import make_case, make_record


def rung(decoder, median_s, *, beam_width=20, **changes):
    case = make_case("p5", decoder=decoder, beam_width=beam_width, **changes.pop("case", {}))
    return make_record(case=case, median_s=median_s, **changes)


LITE = make_record("lite-llm4rec", median_s=0.002)
REFERENCE, EXACT = rung("reference", 0.08), rung("exact", 0.02)


def test_rungs_are_compared_with_the_reference_and_with_the_one_before():
    (found,) = ladders([EXACT, rung("vectorised-trie", 0.06), LITE, REFERENCE])
    assert [one.record.case.decoder for one in found] == ["reference", "vectorised-trie", "exact"]
    assert found[0].to_reference is None
    assert found[0].to_before is None
    assert found[2].to_reference.value == pytest.approx(4, rel=0.1)
    assert found[2].to_before.value == pytest.approx(3, rel=0.1)
    assert found[2].ndcg_change == 0


def test_beam_widths_and_batches_are_ladders_of_their_own():
    wide = [rung(decoder, 0.1, beam_width=100) for decoder in ("reference", "exact")]
    batched = [rung(decoder, 0.1, case={"batch_size": 1}) for decoder in ("reference", "exact")]
    every_item = rung("exhaustive", 1.0, beam_width=None)
    found = ladders([REFERENCE, EXACT, *wide, *batched, every_item])
    assert [len(rungs) for rungs in found] == [3, 3, 2]
    assert found[1][-1].record is every_item


def test_one_decoder_is_no_ladder():
    assert ladders([REFERENCE, LITE]) == []
    assert ladder([REFERENCE, LITE]).empty


def test_the_strongest_is_the_fastest_that_keeps_the_lists():
    renormalised = rung("exact", 0.001, case={"scores": "renormalised"})
    narrow = rung("exact", 0.001, beam_width=2)
    assert strongest(LITE, [REFERENCE, EXACT, renormalised, narrow]) is EXACT
    assert strongest(LITE, [renormalised, REFERENCE]) is REFERENCE
    assert strongest(LITE, [LITE]) is None
    assert reference_of(EXACT, [EXACT, REFERENCE]) is REFERENCE
    assert reference_of(EXACT, [EXACT, rung("reference", 0.08, beam_width=50)]) is None


def test_the_headline_holds_the_one_pass_against_the_strongest_and_names_the_reference():
    (text,) = answer([LITE, REFERENCE, EXACT])
    assert text.startswith("synthetic data: best NDCG@10 ")
    assert text.endswith(
        "Lite-LLM4Rec is 10.0 times [10.0, 10.0] as fast as P5 (exact, beam 20) and 40.0 times [40.0, 40.0] as fast as "
        "P5 (reference, beam 20), the papers' decoder, with +0 % HR@10."
    )


def test_the_table_says_what_keeps_the_lists():
    kept = Agreement(compared_with="reference", users=200, identical=196, ties=4, different=0, overlap=1.0)
    row = ladder([REFERENCE, rung("exact", 0.02, agreement=kept)]).iloc[1]
    assert row["identical lists"] == "98.0%, 2.0% but for ties"
    assert row["lists compared with"] == "reference, 200 users"
    assert row["NDCG@10 difference"] == "+0.0000"


def test_a_reference_alone_is_to_be_distrusted():
    assert any(
        "Of P5 only the decoder that the papers run was measured" in line for line in distrust([LITE, REFERENCE])
    )
    assert not any("was measured" in line for line in distrust([LITE, REFERENCE, EXACT]))


def test_an_exact_decoder_with_other_lists_is_to_be_distrusted_first():
    wrong = Agreement(compared_with="reference", users=200, identical=190, ties=4, different=6, overlap=0.9)
    assert distrust([REFERENCE, rung("exact", 0.02, agreement=wrong)])[0].startswith("Not exact: 6 of 200 lists")


def test_phases_add_up_by_kind():
    assert kind_of("decode step 2: head") == "head"
    assert kind_of("decode step 2") == "decode steps"
    assert kind_of("encode") == "encode"
    names = ("rank", "decode step 2: head", "other", "decode step 1: head", "prepare")
    phases = [Phase(name=name, seconds=1.0, flops_per_user=0) for name in names]
    assert seconds_by_kind(make_record(phases=phases)) == {"prepare": 1.0, "head": 2.0, "other": 1.0, "rank": 1.0}
