"""Metrics against ranx, and ties against all the orders in which they could have come."""

from itertools import permutations

import numpy as np
import pytest

from bench.statistics import ranks as ranking
from bench.statistics.ranks import Ranks

METRICS = {"hit_rate": ranking.hit_rate, "ndcg": ranking.ndcg, "mrr": ranking.reciprocal_rank}


def random_lists(users=60, items=50, k=20, seed=0):
    """Lists without ties, targets of which about a half are in them."""
    rng = np.random.default_rng(seed)
    lists = np.stack([rng.permutation(items)[:k] + 1 for _ in range(users)])
    scores = -np.sort(-rng.random((users, k)), axis=1)
    return lists, scores, rng.integers(1, items + 1, users)


@pytest.mark.filterwarnings("ignore")
def test_metrics_equal_those_of_ranx(monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # compiling takes half a minute, the metrics no time
    from ranx import Qrels, Run, evaluate

    lists, scores, targets = random_lists()
    relevant = Qrels({str(user): {str(target): 1} for user, target in enumerate(targets)})
    rows = enumerate(zip(lists, scores, strict=True))
    run = Run({str(user): dict(zip(map(str, row), values.tolist(), strict=True)) for user, (row, values) in rows})
    ranks = ranking.target_ranks(lists, scores, targets)
    assert 0 < (ranks.tied > 0).mean() < 1
    for cutoff in (1, 5, 10, 20):
        names = [f"{name}@{cutoff}" for name in METRICS]
        theirs = evaluate(relevant, run, names)
        for name, measure in zip(names, METRICS.values(), strict=True):
            assert measure(ranks, cutoff).mean() == pytest.approx(theirs[name], abs=1e-9)


def by_hand(name, rank, cutoff):
    if rank > cutoff:
        return 0.0
    return {"hit_rate": 1.0, "ndcg": 1 / np.log2(rank + 1), "mrr": 1 / rank}[name]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("cutoff", [1, 2, 3, 4, 5, 7])
def test_under_ties_a_metric_is_its_mean_over_all_orders_of_the_tied(name, cutoff):
    """Items 3 to 6 share a score; each of the 24 orders is as likely as any other."""
    items, scores = np.array([[1, 2, 3, 4, 5, 6, 7]]), np.array([[9.0, 8, 5, 5, 5, 5, 1]])
    for target in range(1, 9):
        orders = [(1, 2, *tied, 7) for tied in permutations((3, 4, 5, 6))]
        expected = np.mean(
            [by_hand(name, (*order, 8).index(target) + 1 if target < 8 else 99, cutoff) for order in orders]
        )
        found = METRICS[name](ranking.target_ranks(items, scores, np.array([target])), cutoff)
        assert found == pytest.approx([expected], abs=1e-12)


def test_padding_is_neither_a_hit_nor_tied():
    items, scores = np.array([[4, 0, 0], [0, 0, 0]]), np.array([[1.0, -np.inf, -np.inf], [-np.inf] * 3])
    ranks = ranking.target_ranks(items, scores, np.array([4, 4]))
    assert (ranks.better.tolist(), ranks.tied.tolist()) == ([0, -1], [1, 0])
    assert ranking.hit_rate(ranks, 3).tolist() == [1.0, 0.0]
    assert not ranking.open_ties(items, scores, 1).any()


def test_a_tie_is_open_when_the_list_ends_in_it_within_the_counted_places():
    items = np.array([[1, 2, 3, 4]] * 3)
    scores = np.array([[4.0, 3, 2, 2], [4.0, 2, 2, 2], [4.0, 3, 2, 1]])
    assert ranking.open_ties(items, scores, 2).tolist() == [False, True, False]
    assert ranking.open_ties(items, scores, 4).tolist() == [True, True, True], "what follows the last place is unknown"


def test_a_target_in_no_list_counts_as_zero():
    absent = Ranks(np.array([-1]), np.array([0]))
    assert [measure(absent, 10).tolist() for measure in METRICS.values()] == [[0.0]] * 3
