"""A ranker's lists beside those of scoring every item, from the same weights."""

import pytest
import torch

from bench.measure import flops
from bench.measure.subject import Subject
from bench.records.model import Unavailable
from bench.running.ranked import operator_by_operator, ranked_beside_exact, requested_lists
from models.serving import Serving
from tests.bench.factories import make_quality
from tests.tiny import build, catalogue, walks


@pytest.fixture(params=["exact-fused", "int8-rescored", "ivf", "hnsw"])
def subject(request):
    recommender = build("sasrec", serving=Serving(ranker=request.param))
    recommender.index(catalogue())
    return Subject("tiny", recommender, [walks(6), walks(6, seed=1)], 5, torch.device("cpu"))


def beside(subject, quality=(None, None)):
    exact = operator_by_operator(subject, ranker=None)
    return ranked_beside_exact(
        subject, requested_lists(subject), requested_lists(exact), dtype="float32", quality=quality
    )


def test_recall_is_the_share_of_the_exact_lists_items(subject):
    """The catalogue is so small that every ranker sees all of it."""
    ranked, agreement = beside(subject)
    assert ranked.recall == agreement.overlap == 1
    assert ranked.users == agreement.users == 6
    assert agreement.different == 0
    assert (ranked.bytes == 0) == subject.recommender.built.ranker.is_exact
    assert ranked.proven == (1.0 if subject.recommender.serving.ranker == "int8-rescored" else None)
    assert ranked.ndcg_lost is None


def test_what_is_lost_is_a_share_of_what_scoring_every_item_has(subject):
    ranked, _ = beside(subject, (make_quality(0.198), make_quality(0.2)))
    assert ranked.ndcg_exact == pytest.approx(0.2)
    assert ranked.ndcg_lost == pytest.approx(0.01)
    assert beside(subject, (make_quality(0.0), make_quality(0.0)))[0].ndcg_lost is None


def test_lists_too_short_for_the_metric_lose_nothing_that_is_known(subject):
    short = make_quality(0.2).model_copy(update={"metrics": {}})
    assert beside(subject, (short, short))[0].ndcg_lost is None


def test_what_ranks_outside_of_torch_is_not_counted_and_says_so(subject):
    found = flops.uncounted(subject)
    if subject.recommender.built.ranker.is_counted:
        assert found is None
    else:
        assert isinstance(found, Unavailable)
        assert "ranks outside of torch" in found.unavailable


def test_the_index_of_a_ranker_is_part_of_what_serving_needs(subject):
    assert subject.recommender.index_bytes == subject.recommender.built.nbytes
