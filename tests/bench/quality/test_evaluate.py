"""Full ranking: ties that a list cuts are followed to their end, and intervals hold their means."""

import numpy as np
import pytest
import torch

from bench.data.dataset import Split
from bench.quality import evaluate
from bench.quality.evaluate import Lists
from bench.statistics.ranks import Ranks
from models.catalogue import History
from models.serving import SeenItems, Serving
from tests.tiny import ITEMS, build, catalogue, dataset, walks

CPU = torch.device("cpu")


def rank(recommender, histories, targets, k, batch_size=7):
    return evaluate.join(
        list(evaluate.rank_users(recommender, histories, targets, k=k, batch_size=batch_size, device=CPU))
    )


def expected_places(scores, target):
    """Ranks that the target may take, from the scores of the whole catalogue."""
    better = int((scores > scores[target]).sum())
    return range(better + 1, better + int((scores == scores[target]).sum()) + 1)


def test_popularity_with_many_equal_counts_equals_brute_force_over_all_scores():
    """Sixty walks over forty items leave a handful of distinct counts, so lists end inside ties."""
    recommender = build("popularity")
    counts = recommender.counts.double().numpy()
    assert len(np.unique(counts[1:])) < ITEMS / 2
    histories, targets = dataset(40).queries(Split.TEST)
    lists = rank(recommender, histories, targets, k=5)
    metrics = evaluate.per_user_metrics(lists.ranks, 5)
    assert lists.items.shape == (40, 5)
    for user, (history, target) in enumerate(zip(histories, targets, strict=True)):
        scores = counts.copy()
        scores[[0, *history.items]] = -np.inf
        assert target not in history.items
        places = expected_places(scores, target)
        assert metrics["HR@5"][user] == pytest.approx(np.mean([place <= 5 for place in places]))
        gains = [1 / np.log2(place + 1) if place <= 5 else 0 for place in places]
        assert metrics["NDCG@5"][user] == pytest.approx(np.mean(gains))
        assert metrics["MRR@5"][user] == pytest.approx(np.mean([1 / place if place <= 5 else 0 for place in places]))


def test_a_target_that_was_removed_as_seen_is_a_miss():
    lists = rank(build("popularity"), [History(0, (1, 2, 3))], [2], k=20)
    assert lists.ranks.tied.tolist() == [0]


def test_a_search_that_cannot_fill_longer_lists_is_not_asked_for_ever():
    """Beam search returns as many items as it has beams, however long the list; equal scores end there."""
    recommender = build("popularity", serving=Serving(seen=SeenItems.KEEP))
    recommender.counts.fill_(3)
    lists = rank(recommender, walks(3), [1, 2, 3], k=ITEMS + 3)
    assert lists.ranks.better.tolist() == [0, 0, 0]
    assert lists.ranks.tied.tolist() == [ITEMS] * 3


def test_lists_come_in_the_order_of_users_whatever_the_batches():
    recommender = build("sasrec")
    recommender.index(catalogue())
    histories, targets = dataset(20).queries(Split.VALIDATION)
    small, large = rank(recommender, histories, targets, 5, 3), rank(recommender, histories, targets, 5, 64)
    assert small.users.tolist() == list(range(20))
    assert np.array_equal(small.items, large.items)
    np.testing.assert_allclose(small.scores, large.scores, atol=1e-4)


def test_an_interval_holds_its_mean_and_repeats_with_its_seed():
    values = (np.random.default_rng(1).random(300) < 0.3).astype(float)
    first, again, other = evaluate.interval(values), evaluate.interval(values), evaluate.interval(values, seed=1)
    assert first.low < first.value < first.high
    assert first.value == pytest.approx(values.mean())
    assert first == again
    assert first != other
    normal = 1.96 * values.std() / np.sqrt(len(values))
    assert first.high - first.low == pytest.approx(2 * normal, rel=0.15)


@pytest.mark.parametrize("values", [[0.25], [0.0, 0.0, 0.0], [1.0, 1.0]])
def test_where_nothing_varies_the_interval_is_the_mean(values):
    metric = evaluate.interval(np.array(values))
    assert (metric.low, metric.value, metric.high) == (values[0],) * 3


def test_coverage_and_valid_rate_by_hand():
    """Three distinct items of ten; five of six places hold an item."""
    items = np.array([[1, 2, 0], [2, 3, 1]])
    scores = np.array([[3.0, 2, -np.inf], [3.0, 2, 1]])
    lists = Lists(np.array([0, 1]), items, scores, Ranks(np.array([0, -1]), np.array([1, 0])))
    asked = {"histories": [History(0, (9,)), History(1, (8, 9))], "targets": [1, 8]}
    quality = evaluate.summarise(lists, **asked, items=10, split="test", seen="remove")
    assert quality.coverage == pytest.approx(0.3)
    assert quality.valid_rate == pytest.approx(5 / 6)
    assert quality.metrics["HR@1"].value == 0.5
    assert set(quality.metrics) == {"HR@1", "NDCG@1", "MRR@3"}, "no cut-off beyond the list's length"
    assert (quality.users, quality.cutoff, quality.split, quality.seen) == (2, 3, "test", "remove")
    assert quality.unreachable == 1, "item 8 is in the second user's history"
    kept = evaluate.summarise(lists, **asked, items=10, split="test", seen="keep")
    assert (kept.unreachable, kept.valid_rate) == (0, pytest.approx(5 / 6))


def test_places_that_no_item_is_left_for_are_not_held_against_a_recommender():
    """The first user has seen two of four items, so that two places of a list of three can be filled, and are."""
    items = np.array([[1, 2, 0], [2, 3, 1]])
    scores = np.array([[3.0, 2, -np.inf], [3.0, 2, 1]])
    lists = Lists(np.array([0, 1]), items, scores, Ranks(np.array([0, -1]), np.array([1, 0])))
    histories = [History(1, ()), History(0, (3, 4, 3))]
    quality = evaluate.summarise(lists, histories, [1, 1], items=4, split="test", seen="remove")
    assert quality.valid_rate == 1
