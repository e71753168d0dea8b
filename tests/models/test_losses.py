"""The chunked loss against the plain one."""

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from models import losses
from models.losses import catalogue_cross_entropy


def tensors(rows=37, items=50, width=8, dtype=torch.float64, seed=0):
    make = torch.Generator().manual_seed(seed)
    queries = torch.randn(rows, width, generator=make, dtype=dtype, requires_grad=True)
    vectors = torch.randn(items, width, generator=make, dtype=dtype, requires_grad=True)
    bias = torch.randn(items, generator=make, dtype=dtype, requires_grad=True)
    return queries, vectors, torch.randint(0, items, (rows,), generator=make), bias


def gradients(loss, *of):
    return torch.autograd.grad(3 * loss, of)


@pytest.mark.parametrize(
    "logits", [1, 50, 50 * 7, 1 << 20], ids=["one row", "one row exactly", "chunks", "all at once"]
)
@pytest.mark.parametrize("biased", [True, False])
def test_loss_and_gradients_are_those_of_all_logits_at_once(logits, biased, monkeypatch):
    monkeypatch.setitem(losses.CHUNK, "cpu", logits)
    queries, vectors, targets, bias = tensors()
    used = (queries, vectors, *([bias] if biased else []))
    plain = functional.cross_entropy(functional.linear(*used), targets)
    chunked = catalogue_cross_entropy(queries, vectors, targets, bias if biased else None)
    torch.testing.assert_close(chunked, plain)
    torch.testing.assert_close(gradients(chunked, *used), gradients(plain, *used))


def test_under_autocast_products_are_rounded_and_sums_are_not():
    queries, vectors, targets, bias = tensors(rows=400, items=2000, dtype=torch.float32)
    plain = functional.cross_entropy(functional.linear(queries, vectors, bias), targets)
    with torch.autocast("cpu", torch.bfloat16):
        chunked = catalogue_cross_entropy(queries, vectors, targets, bias)
    assert chunked.dtype == torch.float32
    assert chunked.item() == pytest.approx(plain.item(), rel=2e-3)
    for found, wanted in zip(
        gradients(chunked, queries, vectors, bias), gradients(plain, queries, vectors, bias), strict=True
    ):
        assert found.dtype == torch.float32
        assert (found - wanted).norm() < 0.02 * wanted.norm()


def test_a_chance_that_float32_cannot_hold_counts_as_its_smallest_and_still_teaches():
    queries = torch.tensor([[200.0]], requires_grad=True)
    vectors = torch.tensor([[0.0], [1.0]], requires_grad=True)
    loss = catalogue_cross_entropy(queries, vectors, torch.tensor([0]))
    loss.backward()
    assert 87 < loss.item() < 88
    torch.testing.assert_close(vectors.grad, torch.tensor([[-200.0], [200.0]]))


def test_no_more_than_a_chunk_of_logits_exists(monkeypatch):
    monkeypatch.setitem(losses.CHUNK, "cpu", 1000 * 16)
    largest = []

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, given=(), named=None):
            found = function(*given, **(named or {}))
            if isinstance(found, torch.Tensor):
                largest.append(found.numel())
            return found

    queries, vectors, targets, bias = tensors(rows=1024, items=1000, width=4, dtype=torch.float32)
    with Watching():
        catalogue_cross_entropy(queries, vectors, targets, bias).backward()
    assert max(largest) <= 1000 * 16
