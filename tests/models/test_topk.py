"""Ranking in chunks, by groups and in half precision gives what sorting all scores gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from models import topk
from models.recommender import PADDING
from models.topk import rank_items, top_items, top_k


def problem(users, items, seed, *, width=8, history=3):
    generator = torch.Generator().manual_seed(seed)
    query, vectors = (torch.randn(rows, width, generator=generator) for rows in (users, items + 1))
    seen = torch.randint(0, items + 1, (users, history), generator=generator)
    return query, vectors, seen, torch.randn(items + 1, generator=generator)


def in_plain_python(query, vectors, k, seen, bias):
    """Lists as pairs (item, score), best first."""
    scores = (query.double() @ vectors.double().T + bias.double()).tolist()
    lists = []
    for row, gone in zip(scores, seen.tolist(), strict=True):
        left = [(score, item) for item, score in enumerate(row) if item != PADDING and item not in gone]
        lists.append([item for _, item in sorted(left, reverse=True)[:k]])
    return lists


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
        patch.setitem(topk.CHUNK, "cpu", chunk)
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
        patch.setattr(topk, "WORTH_GROUPING", 0)
        patch.setattr(topk, "GROUP", 5)
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
    assert max(searched) == 10 * topk.GROUP + 8200 % topk.GROUP


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_nominates_and_float32_ranks(dtype):
    """Rounded scores of close items tie; the same vectors multiplied in float32 do not."""
    query, vectors, seen, bias = problem(6, 500, 3, width=64)
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
    monkeypatch.setitem(topk.CHUNK, "cpu", 128)
    query, vectors, seen, bias = problem(20, 1000, 0)
    with Watch() as watch:
        rank_items(query, vectors, 5, seen, bias)
    assert max(watch.sizes) == 20 * 128
