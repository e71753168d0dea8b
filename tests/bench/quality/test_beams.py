"""Beams held against all items, with a made-up search."""

import numpy as np
import pytest
import torch
from transformers import BatchFeature

from bench.quality import beams, evaluate
from models.catalogue import History
from models.padding import PADDING
from models.recommender import Recommender
from models.serving import Recommendations, SeenItems, Serving

ITEMS = 30


class Made(Recommender):
    """Ranks item i of user u by a table; as a beam search it sees but some of the items."""

    def __init__(self, table, seen=None):
        super().__init__()
        self.table, self.seen = table, seen
        self.serving = Serving(seen=SeenItems.KEEP)

    def index(self, catalogue):
        pass

    def prepare(self, histories):
        return BatchFeature({"user": torch.tensor([history.user for history in histories])})

    def recommend(self, inputs, k):
        scores = self.table[inputs["user"]].clone()
        if self.seen is not None:
            scores[:, ~self.seen] = -torch.inf
        best, items = scores.topk(min(k, ITEMS), dim=1)
        items = (items + 1).masked_fill(best == -torch.inf, PADDING)
        short = k - items.shape[1]
        if short > 0:
            items = torch.nn.functional.pad(items, (0, short))
            best = torch.nn.functional.pad(best, (0, short), value=-torch.inf)
        return Recommendations(items, best)


@pytest.fixture
def setting():
    table = torch.rand(25, ITEMS, generator=torch.Generator().manual_seed(0))
    histories = [History(user, (1,)) for user in reversed(range(25))]
    targets = [int(table[history.user].argsort(descending=True)[11]) + 1 for history in histories]
    return table, histories, targets


def ranked(model, histories, targets):
    parts = evaluate.rank_users(model, histories, targets, k=10, batch_size=4, device=torch.device("cpu"))
    return evaluate.join(list(parts))


def test_a_search_that_sees_all_items_agrees_with_the_ranking_of_all(setting):
    table, histories, targets = setting
    model = Made(table)
    done = []
    whole, places = beams.rank_all(
        model, histories, targets, items=ITEMS, device=torch.device("cpu"), progress=done.append
    )
    assert done[-1] == 25
    assert sorted(places[0, 1:].tolist()) == list(range(1, ITEMS + 1))
    in_order = sorted(zip(histories, targets, strict=True), key=lambda pair: pair[0].user)
    goals = [target for _, target in in_order]
    assert {places[row, goal] for row, goal in enumerate(goals)} == {12}
    found = beams.compare(10, ranked(model, histories, targets), goals, whole, places)
    assert (found.found, found.true_rank_mean, found.overlap) == (0, None, 1.0)
    assert (found.valid_rate, found.duplicate_rate) == (1.0, 0.0)


def test_a_search_that_drops_competitors_finds_targets_that_the_model_ranks_lower(setting):
    table, histories, targets = setting
    whole, places = beams.rank_all(
        Made(table), histories, targets, items=ITEMS, device=torch.device("cpu"), progress=lambda _: None
    )
    goals = [target for _, target in sorted(zip(histories, targets, strict=True), key=lambda pair: pair[0].user)]
    seen = torch.zeros(ITEMS, dtype=torch.bool)
    seen[::2] = True
    lists = ranked(Made(table, seen), histories, targets)
    found = beams.compare(20, lists, goals, whole, places)
    assert found.found == sum(goal % 2 == 1 for goal in goals) > 0  # half the competitors are gone: rank 12 is in
    assert found.true_rank_mean == found.true_rank_median == 12
    assert 0 < found.overlap < 1
    assert found.coverage == 0.5


def test_empty_and_repeated_places_are_counted():
    lists = evaluate.Lists(
        np.arange(2), np.array([[1, 2, 2, *[PADDING] * 7], list(range(1, 11))]), np.zeros((2, 10)),
        evaluate.Ranks(np.array([-1, 0]), np.array([0, 10])),
    )  # fmt: skip
    places = np.tile(np.arange(ITEMS + 1, dtype=np.int32), (2, 1))
    whole = evaluate.Lists(lists.users, np.tile(np.arange(1, 11), (2, 1)), lists.scores, lists.ranks)
    found = beams.compare(10, lists, [5, 3], whole, places)
    assert found.valid_rate == pytest.approx(13 / 20)
    assert found.duplicate_rate == pytest.approx(1 / 13)
    assert (found.found, found.true_rank_mean) == (1, 3.0)
    assert found.overlap == pytest.approx((2 + 10) / 20)
