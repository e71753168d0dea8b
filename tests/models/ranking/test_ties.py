"""Where scores are equal the item with the lower number comes first, whatever ranks and however it goes about it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.ranking import exact, lists
from models.ranking.fused import rank_fused
from models.ranking.lists import top_k
from models.ranking.rankers import RANKERS
from tests.models.ranking.small import in_plain_python, problem, real, tied


@settings(deadline=None, max_examples=80)
@given(
    users=st.integers(1, 5),
    items=st.integers(1, 300),
    k=st.integers(1, 40),
    chunk=st.integers(1, 150),
    seed=st.integers(0, 999),
)
@pytest.mark.parametrize("rank", [exact.rank_items, rank_fused])
def test_masses_of_ties_are_ordered_by_item(rank, users, items, k, chunk, seed):
    query, vectors, seen, bias = tied(users, items, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(exact.CHUNK, "cpu", chunk)
        patch.setattr(exact, "SCORES", 0)
        found = rank(query, vectors, k, seen, bias)
    assert real(found) == in_plain_python(query, vectors, k, seen, bias)


@settings(deadline=None, max_examples=60)
@given(users=st.integers(1, 3), items=st.integers(1, 700), k=st.integers(1, 20), seed=st.integers(0, 999))
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("as_keys", [False, True])
def test_top_k_takes_the_lower_place_on_every_path(grouped, as_keys, users, items, k, seed):
    """With keys, as on a GPU or while compiling, and without; -0.0 and 0.0 are equal, -inf ties, too."""
    values = torch.tensor([-torch.inf, -1.5, -1.0, -0.0, 0.0, 1.0, 2.0**-130, torch.inf])
    scores = values[torch.randint(len(values), (users, items), generator=torch.Generator().manual_seed(seed))]
    k = min(k, items)
    with pytest.MonkeyPatch.context() as patch:
        if grouped:
            patch.setattr(lists, "WORTH_GROUPING", 0)
            patch.setattr(lists, "GROUP", 5)
        if as_keys:
            patch.setattr(torch.compiler, "is_compiling", lambda: True)
        best, places = top_k(scores, k)
    for row, found in zip(scores.tolist(), places.tolist(), strict=True):
        assert found == sorted(range(items), key=lambda place: (-row[place], place))[:k]
    assert torch.equal(best, scores.gather(1, places))


@pytest.mark.parametrize("users", [1, 7, 32])
@pytest.mark.parametrize("bias", [False, True])
def test_the_fused_ranker_gives_the_very_lists_of_the_exact_one(users, bias):
    """Bit for bit, over several chunks, for users who have seen much and little."""
    query, vectors, seen, added = problem(users, 90_000, users, width=16, history=200)
    seen[0] = 0
    given = query, vectors, 20, seen, added if bias else None
    one, other = exact.rank_items(*given), rank_fused(*given)
    assert torch.equal(one.items, other.items)
    assert torch.equal(one.scores, other.scores)


def test_a_catalogue_that_gets_better_and_better_is_ranked_too():
    """Every group beats all before it, so that nothing can be passed over."""
    vectors = torch.arange(50_000.0)[:, None]
    found = rank_fused(torch.ones(3, 1), vectors, 5)
    assert found.items.tolist() == [[49_999, 49_998, 49_997, 49_996, 49_995]] * 3


@pytest.mark.parametrize("name", RANKERS)
def test_every_ranker_orders_ties_by_item(name):
    """Small enough for the approximate ones to see every item."""
    query, vectors, seen, bias = tied(6, 300, 3)
    index, _ = RANKERS[name].built(vectors, bias)
    found = index.rank(query, 300, seen)
    assert real(found) == in_plain_python(query, vectors, 300, seen, bias)
