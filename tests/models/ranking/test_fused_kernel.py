"""The GPU's kernel gives the lists of its reference: in Triton's interpreter where there is no GPU."""

import importlib

import pytest
import torch

from models.ranking.exact import rank_items
from models.ranking.fused import rank_fused
from models.ranking.lists import lists
from tests.models.ranking.small import in_plain_python, problem, real, tied

SIZES = [(5, 700, 16, 20), (33, 1000, 70, 7), (1, 64, 4, 3), (3, 10, 4, 20), (2, 127, 130, 5)]
"""Users, items, width, k: below and beyond one tile of the kernel, and not multiples of it."""


@pytest.fixture
def kernel():
    """The module with its kernel interpreted, see `tests.conftest`."""
    pytest.importorskip("triton", reason="torch brings Triton along where it has CUDA")
    if torch.cuda.is_available():
        pytest.skip("on a GPU it is compiled")
    return importlib.import_module("models.ranking.fused_kernel")


@pytest.mark.parametrize(("users", "items", "width", "k"), SIZES)
def test_lists_are_those_of_every_item(kernel, users, items, width, k):
    query, vectors, seen, bias = problem(users, items, 1, width=width, history=40)
    for added in (None, bias):
        found = lists(*kernel.best(query, vectors, added, k, seen), k)
        expected = rank_items(query, vectors, k, seen, added)
        assert torch.equal(found.items, expected.items)
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("users", "items", "width", "k"), SIZES)
def test_ties_are_ordered_by_item(kernel, users, items, width, k):
    query, vectors, seen, bias = tied(users, items, 1, width=width, history=40)
    found = lists(*kernel.best(query, vectors, bias, k, seen), k)
    assert real(found) == in_plain_python(query, vectors, k, seen, bias)


def test_a_score_an_item_is_never_written(kernel, monkeypatch):
    """What the kernel writes is one number a group."""
    query, vectors, _, _ = problem(4, 1000, 0)
    hidden = kernel._hidden(None, 4, 1001, query.device)
    assert kernel.maxima(query, vectors, None, hidden).shape == (4, 16)
    assert hidden.shape == (4, 32)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the compiled kernel needs a GPU")
@pytest.mark.parametrize(("users", "items", "width", "k"), [*SIZES, (32, 200_000, 64, 20), (300, 50_000, 128, 100)])
@pytest.mark.parametrize("make", [problem, tied])
def test_on_a_gpu_lists_are_those_of_every_item(make, users, items, width, k):
    query, vectors, seen, bias = (one.cuda() for one in make(users, items, 1, width=width, history=40))
    found, expected = rank_fused(query, vectors, k, seen, bias), rank_items(query, vectors, k, seen, bias)
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-3, rtol=1e-4)
    if make is tied:
        assert torch.equal(found.items, expected.items)
    else:
        assert (found.items == expected.items).float().mean() > 0.999
