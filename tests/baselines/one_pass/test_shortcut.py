"""Shortcut: scores by the formula, from transitions and texts, whatever the size of its blocks."""

import numpy as np
import pytest
import torch

from baselines.one_pass import shortcut
from models.catalogue import Catalogue, History, Item
from models.errors import UserError
from models.padding import PADDING
from models.serving import SeenItems, Serving
from tests.tiny import build, walks

HISTORIES = [History(0, (1, 2, 3, 4)), History(1, (2, 3, 1)), History(2, (5, 1))]
ITEMS = (
    Item("red wine", ("Drinks",), "Maker"),
    Item("white wine", ("Drinks", "Cold"), "Maker"),
    Item("red car", ("Toys",), "Other"),
    Item("blue car", ("Toys",), "Other"),
    Item(),
)
CATALOGUE = Catalogue("tiny", ("a", "b", "c", "d", "e"), ITEMS)


def transitions(power):
    """P by its definition, item by item."""
    counts = np.zeros((6, 6))
    for history in HISTORIES:
        for place, item in enumerate(history.items):
            for apart, weight in enumerate((1, 0.5, 0.25), 1):
                if place + apart < len(history.items):
                    counts[item, history.items[place + apart]] += weight
                    counts[history.items[place + apart], item] += weight / 2
    scaled = counts / np.maximum(counts.sum(axis=0), 1e-12) ** power
    return scaled / np.maximum(scaled.sum(axis=1, keepdims=True), 1e-12)


def made(**settings):
    found = shortcut.Shortcut.build(CATALOGUE, HISTORIES, shortcut.ShortcutSettings(**settings)).eval()
    found.index(CATALOGUE)
    return found


def scores_of(recommender, *items):
    recommender.serving = Serving(seen=SeenItems.KEEP)
    with torch.inference_mode():
        lists = recommender.recommend(recommender.prepare([History(0, items)]), 5)
    return {int(item): float(score) for item, score in zip(lists.items[0], lists.scores[0], strict=True)}


@pytest.mark.parametrize("block", [2, 512])
@pytest.mark.parametrize(("power", "hops", "second"), [(0.0, 1, 0.3), (0.3, 2, 0.3), (1.0, 2, 3.0)])
def test_scores_of_the_graph_are_those_of_the_formula(power, hops, second, block, monkeypatch):
    monkeypatch.setattr(shortcut, "BLOCK", block)
    settings = {"degree_power": power, "hops": hops, "second_hop": second, "text": 0, "earlier": 0.6, "graph": 2}
    found = scores_of(made(**settings), 2, 3)
    steps = transitions(power)
    whole = 2 * (steps + second * steps @ steps if hops == 2 else steps)
    expected = whole[3] + 0.6 * whole[2]
    assert found == pytest.approx({item: expected[item] for item in range(1, 6)}, abs=2e-6)


def test_texts_alone_prefer_what_is_described_alike():
    found = scores_of(made(graph=0, text=1), 1)
    ranked = sorted(found, key=found.get, reverse=True)
    assert ranked[:2] == [1, 2], "the same kind and maker"
    assert found[1] == pytest.approx(1, abs=1e-5)
    assert found[5] < 1e-5, "an item without a text is like no other"


def test_what_lies_behind_the_candidates_ranks_by_popularity():
    found = scores_of(made(candidates=1, text=0), 4)
    first, *rest = found
    assert found[first] > 0.1
    assert all(score <= shortcut.TIE_BREAK for item, score in found.items() if item in rest)
    assert rest[:2] == [1, 2] or rest[:2] == [1, 3], "the most frequent ones"


def test_a_user_without_history_gets_what_is_popular_and_lists_end_with_the_catalogue():
    recommender = made()
    recommender.serving = Serving()
    lists = recommender.recommend(recommender.prepare([History(0, ()), History(1, (1, 2))]), 8)
    assert lists.items[0, 0] == 1
    assert (lists.items[1] == PADDING).sum() == 5
    assert set(lists.items[1].tolist()) == {PADDING, 3, 4, 5}


def test_the_next_item_of_a_circle_is_found():
    recommender = build("shortcut", serving=Serving())
    from tests.tiny import catalogue

    recommender.index(catalogue())
    histories = walks(50, seed=3)
    lists = recommender.recommend(recommender.prepare([History(one.user, one.items[:-1]) for one in histories]), 1)
    assert lists.items[:, 0].tolist() == [one.items[-1] for one in histories]


def test_another_catalogue_is_refused():
    with pytest.raises(UserError, match="shortcut counted 5 items and other has 4: build it anew"):
        made().index(Catalogue("other", CATALOGUE.ids[:4], ITEMS[:4]))


def test_texts_without_a_common_word_tell_nothing():
    names = Catalogue("tiny", CATALOGUE.ids, tuple(Item(f"word{number}") for number in range(5)))
    recommender = shortcut.Shortcut.build(names, HISTORIES, shortcut.ShortcutSettings(graph=0, text=1))
    recommender.index(names)
    assert all(score <= shortcut.TIE_BREAK for score in scores_of(recommender, 1).values())
