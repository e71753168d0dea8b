"""Dropout: chances, scale, gradients, and where it stands."""

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from models.dropout import Dropout, drop_residuals, kept, quicken_dropout

SIZES = {"vocab_size": 20, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_values_are_dropped_with_the_chance_and_keep_their_mean(chance, dtype):
    torch.manual_seed(0)
    drawn = kept(torch.empty(1000, 1003, dtype=dtype), chance).float()
    share = (drawn == 0).double().mean().item()
    assert share == pytest.approx(chance, abs=5 * (chance * (1 - chance) / drawn.numel()) ** 0.5 + 2**-16)
    assert drawn.unique().tolist() == pytest.approx([0, 1 / (1 - chance)], rel=5e-3)


def test_no_two_places_are_drawn_together():
    torch.manual_seed(0)
    drawn = (kept(torch.empty(200_000), 0.5) > 0).double() - 0.5
    for apart in range(1, 9):
        agree = (drawn[:-apart] * drawn[apart:]).mean() * 4
        assert abs(agree) < 5 / len(drawn) ** 0.5


def test_gradients_are_those_of_what_was_kept():
    torch.manual_seed(0)
    values = torch.randn(40, 30, requires_grad=True)
    out = Dropout(0.3)(values)
    out.sum().backward()
    torch.testing.assert_close(values.grad, torch.where(out == 0, 0.0, out / values).detach())


def test_serving_drops_nothing():
    values = torch.randn(5)
    assert Dropout(0.5).eval()(values) is values


def test_the_same_seed_draws_the_same():
    values = torch.ones(77)
    torch.manual_seed(3)
    first = Dropout(0.5)(values)
    torch.manual_seed(3)
    assert torch.equal(first, Dropout(0.5)(values))


def test_every_dropout_of_a_model_is_replaced():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.2), nn.Sequential(nn.Dropout(0.4)))
    quicken_dropout(model)
    found = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    assert [(type(module), module.p) for module in found] == [(Dropout, 0.2), (Dropout, 0.4)]


def test_a_llama_drops_in_training_alone():
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES))
    tokens = torch.arange(10)[None]
    plain = model.eval()(tokens).logits
    drop_residuals(model, 0.5)
    assert torch.equal(model(tokens).logits, plain)
    model.train()
    assert not torch.equal(model(tokens).logits, model(tokens).logits)
