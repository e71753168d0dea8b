"""Products in int8: how far from the float ones, row by row, whatever the sizes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import MambaConfig, MambaModel
from transformers.pytorch_utils import Conv1D

from models import int8
from models.int8 import Int8Linear, Int8Rows, products, round_weights
from models.padding import PADDING
from models.ranking.exact import rank_items

SIZES = st.integers(1, 40)


def matrix(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(rows=SIZES, width=SIZES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_a_rounded_value_is_within_half_a_step_of_what_it_was(rows, width, seed):
    original = matrix(rows, width, seed=seed)
    step = original.abs().amax(1, keepdim=True) / 127
    assert ((Int8Rows.of(original).float() - original).abs() <= step * 0.501).all()


def test_a_row_of_zeros_stays_zero():
    assert torch.equal(Int8Rows.of(torch.zeros(2, 5)).float(), torch.zeros(2, 5))
    assert torch.equal(products(torch.zeros(2, 5), Int8Rows.of(matrix(3, 5))), torch.zeros(2, 3))


@given(rows=SIZES, width=SIZES, columns=SIZES, seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_products_are_those_of_the_rounded_matrices(rows, width, columns, seed):
    query, vectors, bias = matrix(rows, width, seed=seed), matrix(columns, width, seed=seed + 1), matrix(columns)
    expected = Int8Rows.of(query).float().double() @ Int8Rows.of(vectors).float().double().T + bias
    found = products(query, Int8Rows.of(vectors), bias)
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("rows", "width", "columns"), [(1, 7, 9), (17, 8, 16), (20, 5, 3)])
def test_what_cuda_wants_padded_has_the_same_sums(rows, width, columns):
    left, right = (Int8Rows.of(matrix(size, width)).values for size in (rows, columns))
    padded = int8._padded_sums(left, right)
    assert torch.equal(padded, int8._int32_sums(left, right))
    assert torch.equal(padded, left.int() @ right.int().T)


def test_a_row_of_a_batch_is_what_it_is_alone():
    layer, states = Int8Linear(matrix(6, 16), matrix(6, seed=1)), matrix(5, 3, 16, seed=2)
    together = layer(states)
    assert together.shape == (5, 3, 6)
    for row in range(5):
        assert torch.equal(layer(states[row : row + 1])[0], together[row])


def test_linear_layers_of_all_kinds_are_replaced_and_embeddings_stay():
    tied = nn.Embedding(30, 16)
    network = nn.ModuleDict({"tied": tied, "head": nn.Linear(16, 30, bias=False), "deep": nn.Sequential(Conv1D(8, 16))})
    network["head"].weight = tied.weight
    with torch.no_grad():
        network["deep"][0].bias.copy_(matrix(8))
    states = matrix(4, 16)
    before = network["head"](states), network["deep"](states)
    round_weights(network)
    assert type(network["head"]) is type(network["deep"][0]) is Int8Linear
    assert network["tied"].weight.dtype is torch.float32
    for old, new in zip(before, (network["head"](states), network["deep"](states)), strict=True):
        assert 0 < (new - old).abs().max() < 0.05 * old.abs().max()


def test_ranking_by_rounded_vectors_removes_seen_items_and_scores_in_float32():
    query, vectors = matrix(3, 32), matrix(400, 32, seed=1)
    seen = torch.tensor([[4, 9], [0, 0], [7, 0]])
    rounded = Int8Rows.of(vectors)
    found = rank_items(query, rounded, 10, seen)
    scores = query.double() @ rounded.float().double().T
    scores[:, PADDING] = -torch.inf
    scores.scatter_(1, seen, -torch.inf)
    assert torch.equal(found.items, scores.topk(10, dim=1).indices)
    torch.testing.assert_close(found.scores.double(), scores.topk(10, dim=1).values, atol=1e-5, rtol=1e-5)


def test_a_layer_whose_weight_is_multiplied_by_the_module_itself_is_rounded_all_the_same():
    """As Mamba's time steps are: `dt_proj.weight @ steps`."""
    config = MambaConfig(hidden_size=16, state_size=4, num_hidden_layers=1, vocab_size=11, intermediate_size=32)
    torch.manual_seed(0)
    model = MambaModel(config).eval()
    tokens = torch.arange(10)[None]
    with torch.inference_mode():
        before = model(tokens, use_cache=False).last_hidden_state
        round_weights(model)
        after = model(tokens, use_cache=False).last_hidden_state
    assert any(isinstance(layer, Int8Linear) for layer in model.modules())
    assert (after - before).abs().max() < 0.05 * before.abs().max()
    rows = Int8Rows.of(matrix(3, 5))
    assert torch.equal(rows @ matrix(5, 2), rows.float() @ matrix(5, 2))
    assert rows.dtype is torch.float32
