"""Ranking in chunks, by groups and in half precision gives what sorting all scores gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from models.padding import PADDING
from models.ranking import exact, lists
from models.ranking.exact import rank_items
from models.ranking.lists import top_items, top_k
from tests.models.ranking.small import in_plain_python, problem


@settings(deadline=None, max_examples=60)
@given(
    users=st.integers(1, 4),
    items=st.integers(1, 60),
    k=st.integers(1, 70),
    chunk=st.integers(1, 64),
    seed=st.integers(0, 999),
)
def test_chunks_of_any_size_give_the_lists_of_all_scores(users, items, k, chunk, seed):
    query, vectors, seen, bias = problem(users, items, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(exact.CHUNK, "cpu", chunk)
        patch.setattr(exact, "SCORES", 0)
        found = rank_items(query, vectors, k, seen, bias)
    expected = in_plain_python(query, vectors, k, seen, bias)
    assert found.items.shape == found.scores.shape == (users, k)
    assert [[item for item in row if item != PADDING] for row in found.items.tolist()] == expected
    assert (found.scores[found.items == PADDING] == -torch.inf).all()
    assert (found.scores[:, :-1] >= found.scores[:, 1:]).all()


@settings(deadline=None, max_examples=60)
@given(users=st.integers(1, 3), items=st.integers(1, 700), k=st.integers(1, 20), seed=st.integers(0, 999))
def test_maxima_of_groups_first_finds_the_same_scores(users, items, k, seed):
    scores = torch.randn(users, items, generator=torch.Generator().manual_seed(seed))
    k = min(k, items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "WORTH_GROUPING", 0)
        patch.setattr(lists, "GROUP", 5)
        best, places = top_k(scores, k)
    assert torch.equal(best, scores.topk(k, dim=1).values)
    assert torch.equal(scores.gather(1, places), best)
    assert all(len(set(row)) == k for row in places.tolist())


def test_large_problems_go_by_groups(monkeypatch):
    scores = torch.randn(64, 8200, generator=torch.Generator().manual_seed(0))
    expected = scores.topk(10, dim=1)
    searched = []
    whole = torch.Tensor.topk

    def counted(self, *args, **options):
        searched.append(self.shape[1])
        return whole(self, *args, **options)

    monkeypatch.setattr(torch.Tensor, "topk", counted)
    best, places = top_k(scores, 10)
    assert torch.equal(best, expected.values)
    assert torch.equal(places, expected.indices)
    assert max(searched) == 10 * lists.GROUP + 8200 % lists.GROUP


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_nominates_and_float32_ranks(dtype):
    """Rounded scores of close items tie; the same vectors multiplied in float32 do not."""
    query, vectors, seen, bias = problem(40, 2000, 3, width=64)
    query, vectors, bias = query.to(dtype), vectors.to(dtype), bias.to(dtype)
    found = rank_items(query, vectors, 10, seen, bias)
    assert found.items.tolist() == in_plain_python(query, vectors, 10, seen, bias)
    assert found.scores.dtype == torch.float32
    rounded = top_items(torch.addmm(bias, query, vectors.T), 10, seen)
    assert not torch.equal(found.items, rounded.items), "or rescoring is not put to the test"


def test_a_user_who_has_seen_all_gets_nothing():
    query, vectors, _, _ = problem(1, 4, 0)
    found = rank_items(query, vectors, 3, torch.tensor([[1, 2, 3, 4]]))
    assert found.items.tolist() == [[PADDING] * 3]


class Watch(TorchDispatchMode):
    """Notes the size of every tensor that an operator makes."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        parts = made if isinstance(made, tuple) else (made,)
        self.sizes += [one.numel() for one in parts if isinstance(one, torch.Tensor)]
        return made


def test_scores_of_all_users_and_items_are_never_held(monkeypatch):
    monkeypatch.setitem(exact.CHUNK, "cpu", 128)
    monkeypatch.setattr(exact, "SCORES", 0)
    query, vectors, seen, bias = problem(20, 1000, 0)
    with Watch() as watch:
        rank_items(query, vectors, 5, seen, bias)
    assert max(watch.sizes) == 20 * 128
