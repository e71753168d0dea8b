"""Runs held against each other: what is matched, what the verdicts are, and what a page says of them."""

import pytest

from bench.records.case import Outcome
from bench.records.cost import Memory
from bench.records.model import Unavailable
from bench.report.comparing.comparison import ChangeVerdict, QualityVerdict, compare
from bench.report.comparing.matching import case_key, holdings, match
from bench.report.comparing.sources import file_names, sources
from bench.report.comparing.tables import change_text, costs
from bench.report.comparing.words import cautions, summary
from bench.statistics.between_runs import OneRunEach
from models.errors import UserError
from tests.bench.factories import (
    make_case,
    make_failure,
    make_latency,
    make_provenance,
    make_quality,
    make_ranked_quality,
    make_record,
    make_run,
)
from tests.bench.report.comparing.runs import LATER, earlier, of_other_code, page, read_of, slowed


def only(base, other, **kinds):
    """The one pair of two records, whose runs are known to differ by little."""
    other = of_other_code(other)
    (group,) = compare([base], [other], past=[*earlier(base), *earlier(other)], **kinds).groups
    (row,) = group.rows
    return row


@pytest.mark.parametrize(
    ("factor", "word"),
    [
        (1.0, ChangeVerdict.SAME),
        (1.2, ChangeVerdict.SLOWER),
        (0.8, ChangeVerdict.FASTER),
        (1.05, ChangeVerdict.UNCLEAR),
        (1.02, ChangeVerdict.SAME),
    ],
)
def test_the_whole_interval_decides(factor, word):
    other = make_record(latency=make_latency(0.002 * factor, rounds=2000, seed=1))
    row = only(make_record(latency=make_latency(rounds=2000)), other)
    assert row.verdict is word
    assert row.ratio.low <= row.ratio.value <= row.ratio.high
    assert row.ratio.value == pytest.approx(factor, rel=0.02)


def test_a_wider_margin_makes_more_the_same():
    pair = make_record(), make_record(latency=make_latency(0.0022, seed=1))
    assert only(*pair, margin=0.05).verdict is ChangeVerdict.SLOWER
    assert only(*pair, margin=0.3).verdict is ChangeVerdict.SAME


def test_few_turns_are_no_grounds_for_a_verdict():
    """One sample has an interval without width, ten times as long or not."""
    once = make_record(latency=make_latency(0.02, rounds=1, turns=1))
    assert only(make_record(), once).verdict is ChangeVerdict.UNCLEAR
    assert (
        only(make_record(), make_record(latency=make_latency(0.02, rounds=40, turns=4))).verdict
        is ChangeVerdict.UNCLEAR
    )


def test_eight_turns_are_grounds_for_a_verdict_and_seven_are_not():
    for turns, word in ((8, ChangeVerdict.SLOWER), (7, ChangeVerdict.UNCLEAR)):
        latency = make_latency(0.02, rounds=10 * turns, turns=turns)
        assert only(make_record(), make_record(latency=latency)).verdict is word


def test_one_run_each_has_a_ratio_and_no_verdict():
    """Nobody knows how far equal runs lie apart: not even ten times as long is called slower."""
    ((row,),) = (group.rows for group in compare([make_record()], [of_other_code(make_record(median_s=0.02))]).groups)
    assert row.verdict is ChangeVerdict.ONE_RUN_EACH
    assert row.verdict.value == "UNCLEAR (one run each)"
    assert row.ratio == OneRunEach(pytest.approx(10, rel=0.02))


def test_the_spread_of_stored_runs_decides_what_a_difference_is_worth():
    """A tenth more is slower where equal runs lie a thousandth apart, and nothing where they lie a tenth apart."""
    base, other = make_record(), of_other_code(make_record(median_s=0.0022))
    for spread, word in ((0.001, ChangeVerdict.SLOWER), (0.1, ChangeVerdict.UNCLEAR)):
        (group,) = compare([base], [other], past=earlier(base, spread)).groups
        assert group.rows[0].verdict is word


def test_a_run_that_is_stored_twice_counts_once():
    base, other = make_record(), of_other_code(make_record(median_s=0.0022))
    (group,) = compare([base], [other], past=[base, other, base]).groups
    assert group.rows[0].verdict is ChangeVerdict.ONE_RUN_EACH


def test_a_failed_case_is_matched_and_not_measured(tmp_path):
    failed = make_failure("lite-llm4rec", Outcome.OUT_OF_MEMORY, "too large")
    assert only(make_record(), failed).verdict is ChangeVerdict.NOT_MEASURED
    text = page(tmp_path, [make_record()], [failed])[1]
    assert "1 NOT MEASURED" in text
    assert "| Lite-LLM4Rec | NOT MEASURED | " in text
    assert "out of memory" in text


def test_equal_cases_are_pairs_whatever_their_order():
    base, other = make_run(), slowed(1.0)[::-1]
    found = compare(base, other)
    assert [row.base for row in found.rows] == base
    assert all(case_key(row.base.case) == case_key(row.other.case) for row in found.rows)
    assert (found.only_base, found.only_other) == ((), ())


def test_old_records_match_new_ones():
    """Scores were not told at first, nor was seed 0 left out always."""
    generative = {"decoder": "exact", "beam_width": 20}
    old = make_record(case=make_case("p5", **generative))
    new = make_record(
        case=make_case("p5", **generative, scores="full-vocab", settings={"preset": "compact", "seed": 0})
    )
    assert only(old, new).verdict is ChangeVerdict.SAME


def test_cases_of_one_file_only_are_listed():
    base = [make_record("a"), make_record("b"), make_record("c")]
    found = compare(base, [make_record("b"), make_record("c"), make_record("d")])
    assert [row.base.case.recommender for row in found.rows] == ["b", "c"]
    assert [record.case.recommender for record in found.only_base] == ["a"]
    assert [record.case.recommender for record in found.only_other] == ["d"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dtype": "bfloat16"}, "dtype float32 → bfloat16"),
        ({"device": "cuda", "threads": 8}, "device cpu → cuda, threads 1 → 8"),
        ({"threads": 8}, "threads 1 → 8"),
        ({"dataset": "beauty", "loaded_with": {"min_count": 5}}, "dataset synthetic → beauty, min_count none → 5"),
        ({"settings": {"preset": "t5-small"}}, "preset compact → t5-small"),
    ],
)
def test_files_that_differ_in_one_thing_are_matched_on_the_rest(change, words):
    base = [make_record(case=make_case(batch_size=size)) for size in (1, 8, 32)]
    other = [make_record(case=make_case(**{"batch_size": size} | change)) for size in (1, 8, 32)]
    (group,) = compare(base, other).groups
    assert ", ".join(map(str, group.changes)) == words
    assert [row.other.case.batch_size for row in group.rows] == [1, 8, 32]


def test_another_recommender_brings_its_decoder_and_settings_along():
    base = [make_record(case=make_case(batch_size=size)) for size in (1, 32)]
    served = {"decoder": "exact", "beam_width": 20, "settings": {"preset": "compact", "numbering": "random"}}
    other = [make_record(case=make_case("p5", batch_size=size, **served)) for size in (1, 32)]
    (group,) = compare(base, other).groups
    assert {str(change) for change in group.changes} >= {"recommender lite-llm4rec → p5", "decoder none → exact"}
    assert len(group.rows) == 2


def test_of_several_changes_the_one_with_most_pairs_is_taken():
    """Two decoders of the other recommender: only one of them can be held against a case."""
    base = [make_record(case=make_case(batch_size=size)) for size in (1, 8, 32)]
    exact = [make_record(case=make_case("p5", decoder="exact", batch_size=size)) for size in (1, 8, 32)]
    found = compare(base, [make_record(case=make_case("p5", decoder="reference", batch_size=1)), *exact])
    assert [row.other.case.decoder for row in found.rows] == ["exact"] * 3
    assert [record.case.decoder for record in found.only_other] == ["reference"]


def test_what_both_hold_stays_beside_what_differs():
    base = [make_record("popularity"), *(make_record(case=make_case(batch_size=size)) for size in (1, 8, 16))]
    other = [
        make_record("popularity"),
        *(make_record(case=make_case(dtype="int8", batch_size=size)) for size in (1, 8, 16)),
    ]
    differing, same = compare(base, other).groups
    assert [str(change) for change in differing.changes] == ["dtype float32 → int8"]
    assert [row.base.case.recommender for row in same.rows] == ["popularity"]


def test_mostly_equal_files_are_not_matched_further():
    base = [make_record("a"), make_record("b"), make_record(case=make_case("c"))]
    other = [make_record("a"), make_record("b"), make_record(case=make_case("c", dtype="int8"))]
    assert [matching.changes for matching in match(base, other)] == [()]


def test_nothing_in_common_says_what_the_files_hold():
    with pytest.raises(UserError, match=r"no case in common: .*one case \(a; on synthetic.*SASRec, P5") as caught:
        compare([make_record("a")], [make_record(case=make_case(n, batch_size=1, k=5)) for n in ("sasrec", "p5")])
    assert "\n" not in str(caught.value)


def test_many_names_are_cut():
    assert "and 26 more" in holdings([make_record(f"r{number}") for number in range(30)])


def test_a_case_twice_in_a_file_counts_once():
    found = compare([make_record(), make_record(median_s=0.5)], [make_record()], past=earlier(make_record()))
    assert (len(found.rows), found.repeated) == (1, 1)
    assert found.rows[0].verdict is ChangeVerdict.SAME
    failed = make_failure("lite-llm4rec", Outcome.ERROR, "first try")
    rows = compare([failed, make_record()], [make_record()], past=earlier(make_record())).rows
    assert rows[0].verdict is ChangeVerdict.SAME


def ranked(skill: float, seed: int = 0, **changes):
    return make_record(quality=make_ranked_quality(skill, users=2000, seed=seed), **changes)


@pytest.mark.parametrize(
    ("skill", "word"), [(0.6, QualityVerdict.BETTER), (0.3, QualityVerdict.WORSE), (0.5, QualityVerdict.SAME)]
)
def test_quality_is_compared_user_by_user_where_hits_are_known(skill, word):
    row = only(ranked(0.5), ranked(skill))
    assert row.quality.paired
    assert row.quality_verdict is word
    assert row.quality.relative is not None


def test_without_hits_quality_is_compared_by_its_intervals():
    row = only(make_record(ndcg=0.2), make_record(ndcg=0.21))
    assert not row.quality.paired
    assert row.quality.relative is None
    assert row.quality.difference.value == pytest.approx(0.01)
    assert row.quality.difference.low == pytest.approx(0.01 - (0.021**2 + 0.02**2) ** 0.5)
    assert row.quality_verdict is QualityVerdict.UNCLEAR
    assert only(make_record(ndcg=0.2), make_record(ndcg=0.3)).quality_verdict is QualityVerdict.BETTER


def test_quality_that_is_equal_to_the_last_digit_is_the_same():
    assert only(make_record(), make_record()).quality_verdict is QualityVerdict.SAME
    assert only(make_record(ndcg=0.0), make_record(ndcg=0.0)).quality_verdict is QualityVerdict.SAME


@pytest.mark.parametrize(
    "other",
    [
        make_record(quality=Unavailable(unavailable="random weights")),
        make_record(quality=make_quality(0.2).model_copy(update={"split": "validation"})),
        make_record(provenance=make_provenance(dataset={"checksum": "another"})),
        make_record(case=make_case(dataset="beauty")),
    ],
)
def test_quality_of_other_data_or_no_quality_is_not_compared(other):
    row = only(make_record(), other)
    assert row.quality is None
    assert row.quality_verdict is QualityVerdict.NOT_COMPARED


def test_the_summary_counts_and_gives_the_geometric_mean():
    base, other = (read_of(records) for records in (make_run(), slowed(1.5)))
    first, second = sources([base, other])
    past = [run for record in base.records for run in earlier(record)]
    (group,) = compare(base.records, other.records, past=past).groups
    text = summary(first, second, group)
    counts = "0 FASTER, 8 SLOWER, 0 SAME, 0 UNCLEAR, 0 UNCLEAR (one run each) and 1 NOT MEASURED."
    assert f"B against A: of 9 cases in both files, {counts}" in text
    assert "B takes 1.5" in text
    assert group.mean.low < 1.5 < group.mean.high


def told(base, other):
    first, second = sources([read_of([base]), read_of([other])])
    return " ".join(cautions(first, second, compare([base], [other])))


def test_what_weakens_a_comparison_is_told():
    elsewhere = make_provenance(machine={"processor": "another", "cores": 64}, software={"torch": "2.14.0"}, dirty=True)
    text = told(make_record(), make_record(provenance=elsewhere, labels=["leaky item IDs"]))
    for words in (
        "processor a processor → another",
        "cores 2 → 64",
        "torch 2.13.0 → 2.14.0",
        "changed after its commit",
    ):
        assert words in text
    assert "leaky item IDs" in text
    assert "same commit" not in text


def test_one_commit_on_one_machine_shows_noise():
    assert "what differs is noise" in told(make_record(), make_record(provenance=make_provenance(started=LATER)))


def test_other_weights_of_the_same_case_are_told():
    weights = make_record().weights
    first, second = (make_record(weights=weights.model_copy(update={"sha256": sha})) for sha in ("a", "b"))
    assert "other trained weights" in told(first, second)
    assert "other trained weights" not in told(first, first)


def test_files_are_told_apart_by_their_folders(tmp_path):
    assert file_names([tmp_path / "a" / "run.json", tmp_path / "b" / "run.json"]) == ["a/run.json", "b/run.json"]
    assert file_names([tmp_path / "a" / "run.json", tmp_path / "c.json"]) == ["run.json", "c.json"]


def test_costs_without_a_value_and_from_zero():
    assert [change_text(*pair) for pair in ((None, 1.0), (0.0, 1.0), (2.0, 2.0), (2.0, 3.0), (2.0, 60.0))] == [
        "n/a",
        "n/a",
        "=",
        "+50.0 %",
        "30.0 times",
    ]
    first, second = sources([read_of([]), read_of([])])
    rows = compare(
        [make_record(flops=Unavailable(unavailable="no"), memory=Memory(peak_bytes=0, request_bytes=0))],
        [make_record(flops=None)],
    ).rows
    frame = costs(first, second, rows)
    assert list(frame.columns) == [
        "case",
        *(f"{name} {side}" for name in ("peak memory", "parameters") for side in ("A", "B", "change")),
    ]
    assert frame["peak memory change"][0] == "n/a"
    energetic = compare([make_record(energy_j_per_1000_users=2.0)], [make_record()]).rows
    assert costs(first, second, energetic)["J/1000 users B"][0] == "n/a"
