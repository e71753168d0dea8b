"""What every ranker promises: whole lists without seen items, and told costs; what those promise that are not exact."""

import sys

import pytest
import torch

from models.errors import UserError
from models.int8 import Int8Rows
from models.padding import PADDING
from models.ranking.exact import rank_items
from models.ranking.rankers import RANKERS
from tests.models.ranking.small import in_plain_python, problem, real


@pytest.fixture(params=RANKERS)
def ranker(request):
    return RANKERS[request.param]


@pytest.mark.parametrize("history", [1, 30, 290])
def test_a_user_who_has_seen_much_gets_a_whole_list_of_other_items(ranker, history):
    query, vectors, _, bias = problem(4, 300, 1)
    seen = torch.stack([torch.randperm(300)[:history] + 1 for _ in range(4)])
    seen[0] = 0
    index, _ = ranker.built(vectors, bias)
    found = index.rank(query, 20, seen)
    assert [len(row) for row in real(found)] == [20, *[min(20, 300 - history)] * 3]
    assert all(not set(row) & set(gone) for row, gone in zip(real(found), seen.tolist(), strict=True))
    assert (found.scores[:, 1:] <= found.scores[:, :-1]).all()
    assert torch.equal(found.items == PADDING, found.scores == -torch.inf)
    scores = query @ vectors.T + bias
    there = found.items != PADDING
    torch.testing.assert_close(found.scores[there], scores.gather(1, found.items)[there], atol=1e-4, rtol=1e-4)


def test_lists_longer_than_the_catalogue_end_in_padding(ranker):
    query, vectors, seen, _ = problem(3, 12, 2)
    found = ranker.built(vectors, None)[0].rank(query, 20, seen)
    assert real(found) == in_plain_python(query, vectors, 20, seen)


def test_without_seen_items_nothing_is_removed(ranker):
    query, vectors, _, _ = problem(3, 40, 2)
    found = ranker.built(vectors, None)[0].rank(query, 40)
    assert all(sorted(row) == list(range(1, 41)) for row in found.items.tolist())


def test_rounded_rows_can_be_ranked(ranker):
    query, vectors, seen, bias = problem(3, 200, 5, width=32)
    rows = Int8Rows.of(vectors)
    found = ranker.built(rows, bias)[0].rank(query, 10, seen)
    assert real(found) == in_plain_python(query, rows.float(), 10, seen, bias)


def test_what_it_is_and_took_is_told(ranker):
    _, vectors, _, _ = problem(1, 500, 0)
    index, built = ranker.built(vectors, None)
    assert built.ranker is ranker
    assert built.seconds > 0
    assert (built.nbytes == 0) == ranker.is_exact
    assert (index.flops(2, 10) is None) == (not ranker.is_counted)


def test_int8_is_a_quarter_of_the_bytes_and_a_scale_an_item():
    _, vectors, _, _ = problem(1, 500, 0, width=64)
    assert RANKERS["int8-rescored"].built(vectors, None)[1].nbytes == 501 * (64 + 4)


def test_what_the_bound_proves_is_so():
    """Vectors of which some are so close that the bound cannot tell them apart."""
    query, vectors, seen, _ = problem(40, 3000, 7, width=32)
    vectors[1000:2000] = vectors[1] + 1e-3 * vectors[1000:2000]
    vectors[2000:] = vectors[2] + 1e-3 * vectors[2000:]
    index, _ = RANKERS["int8-rescored"].built(vectors, None)
    proven = index.proven(query, 10, seen)
    found, truth = index.rank(query, 10, seen), rank_items(query, vectors, 10, seen)
    same = torch.tensor([set(a) == set(b) for a, b in zip(real(found), real(truth), strict=True)])
    assert same[proven].all()
    assert 0 < proven.float().mean() < 1


def test_where_all_items_are_nominated_all_is_proven():
    query, vectors, seen, _ = problem(4, 30, 7)
    assert RANKERS["int8-rescored"].built(vectors, None)[0].proven(query, 20, seen).all()


@pytest.mark.parametrize("name", ["exact", "exact-fused", "ivf", "hnsw"])
def test_the_others_have_no_bound(name):
    query, vectors, _, _ = problem(4, 100, 7)
    assert RANKERS[name].built(vectors, None)[0].proven(query, 20) is None


@pytest.mark.parametrize("name", ["ivf", "hnsw"])
def test_approximate_rankers_find_most_of_what_is_there(name):
    """Items in clusters, as trained ones are; few are looked at, nearly all are found."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(60, 16, generator=generator)
    vectors = centres[torch.randint(60, (6001,), generator=generator)] + 0.3 * torch.randn(
        6001, 16, generator=generator
    )
    query = centres[:20] + 0.3 * torch.randn(20, 16, generator=generator)
    found = RANKERS[name].built(vectors, None)[0].rank(query, 10)
    truth = rank_items(query, vectors, 10)
    shares = [len(set(a) & set(b)) / 10 for a, b in zip(found.items.tolist(), truth.items.tolist(), strict=True)]
    assert sum(shares) / len(shares) > 0.9


@pytest.mark.parametrize("name", ["ivf", "hnsw"])
def test_without_faiss_it_is_one_line_that_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    _, vectors, _, _ = problem(1, 50, 0)
    with pytest.raises(UserError, match=r"install it with pip install 'lite-llm4rec-bench\[ann\]'"):
        RANKERS[name].built(vectors, None)
