"""Which evaluations belong to which timed cases."""

import pytest

from bench.records.case import Outcome, WeightsKind
from bench.records.model import Unavailable
from bench.report.reading.joining import same_lists, same_weights, timed_for, with_whole_quality
from tests.bench.factories import (
    make_case,
    make_evaluation,
    make_failure,
    make_quality,
    make_ranked_quality,
    make_timed,
)

SERVED = {"decoder": "exact", "beam_width": 20, "scores": "full-vocab"}
P5 = make_evaluation("p5", case=SERVED)
POPULARITY = make_evaluation("popularity", case={"weights": WeightsKind.AS_BUILT})


def test_a_record_shows_the_quality_of_all_users():
    for evaluation in (P5, POPULARITY, make_evaluation("sasrec")):
        record = make_timed(evaluation, batch_size=32)
        (shown,) = with_whole_quality([record], [POPULARITY, P5, evaluation])
        assert shown.quality == evaluation.quality
        assert shown == record.model_copy(update={"quality": evaluation.quality})


def test_what_timing_did_not_rank_is_filled_in():
    record = make_timed(P5, quality=Unavailable(unavailable="nobody was ranked"))
    assert with_whole_quality([record], [P5])[0].quality == P5.quality


def test_of_several_evaluations_the_largest_counts():
    smaller = make_evaluation("p5", case=SERVED, quality=make_quality(0.1))
    record = make_timed(P5)
    for order in ([P5, smaller], [smaller, P5]):
        assert with_whole_quality([record], order)[0].quality == P5.quality


@pytest.mark.parametrize(
    "evaluation",
    [
        make_evaluation("p5", case=SERVED, seed=1),
        make_evaluation("p5", case=SERVED | {"dataset": "films"}),
        make_evaluation("p5", case=SERVED | {"seen": "keep"}),
        make_evaluation("p5", case=SERVED | {"k": 10}),
        make_evaluation("p5", case=SERVED | {"beam_width": 50}),
        make_evaluation("p5", case=SERVED | {"scores": "renormalised"}),
        make_evaluation("p5", case=SERVED | {"dtype": "bfloat16"}),
        make_evaluation("p5", case={"decoder": "exhaustive", "scores": "full-vocab"}),
        make_evaluation("p5", case=SERVED, quality=P5.quality.model_copy(update={"split": "validation"})),
        make_evaluation("p5", case=SERVED, quality=make_ranked_quality(0.5, users=50)),
        POPULARITY,
    ],
    ids=lambda one: f"{one.case.variant}, {one.case.dataset}, {one.quality.split}",
)
def test_other_weights_other_lists_and_no_more_users_change_nothing(evaluation):
    record = make_timed(P5)
    assert with_whole_quality([record], [evaluation]) == [record]


def test_decoders_that_keep_the_beams_share_their_lists():
    reference, exact, old = (
        make_case("p5", decoder=decoder, beam_width=20, scores=scores)
        for decoder, scores in (("reference", "full-vocab"), ("exact", "full-vocab"), ("compiled", None))
    )
    assert same_lists(reference, exact)
    assert same_lists(exact, old)
    assert not same_lists(exact, make_case("p5", decoder="exhaustive", scores="full-vocab"))
    assert same_lists(make_case("sasrec"), make_case("sasrec", device="cuda", batch_size=1))


def test_weights_that_nobody_trained_are_alike_only_where_there_is_nothing_to_train():
    other = make_evaluation("popularity", settings={"window": 7}, case={"weights": WeightsKind.AS_BUILT})
    untrained = make_evaluation("sasrec", case={"weights": WeightsKind.UNTRAINED})
    assert same_weights(make_timed(POPULARITY), POPULARITY)
    assert not same_weights(make_timed(POPULARITY), other)
    assert not same_weights(make_timed(untrained), untrained)


def test_failures_are_left_alone():
    failed = make_failure("p5", Outcome.TIMED_OUT, "took longer than 5 s")
    assert with_whole_quality([failed], [P5]) == [failed]
    assert timed_for(P5, [failed]) == []


def test_an_evaluation_finds_its_own_decoder_or_else_the_fastest_that_makes_its_lists():
    own = [make_timed(P5, 0.02), make_timed(P5, 0.3, batch_size=32)]
    reference, compiled = (
        [make_timed(P5, s * size, batch_size=size, case={"decoder": decoder}) for size in (1, 32)]
        for decoder, s in (("reference", 0.08), ("compiled", 0.01))
    )
    assert timed_for(P5, [*reference, *own, *compiled]) == own
    assert timed_for(P5, [*reference, *compiled]) == compiled
    assert timed_for(POPULARITY, [*reference, *own]) == []
