"""Greedy text is what transformers' generate writes, and its memory is what the formula says."""

import pytest
import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from baselines.decoding import cache_size, greedy
from baselines.decoding.beams import Prompt

END = 3


@pytest.fixture
def model():
    torch.manual_seed(4)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(**sizes, num_key_value_heads=2, vocab_size=12, initializer_range=0.4)
    return LlamaForCausalLM(config).double().eval()


def prompts(users=6, places=5):
    torch.manual_seed(1)
    mask = torch.ones(users, places, dtype=torch.int64)
    mask[0, :3], mask[1, :1] = 0, 0
    return Prompt(torch.randn(users, places, 32, dtype=torch.float64), mask)


@torch.inference_mode()
@pytest.mark.parametrize("limit", [1, 4, 9])
def test_it_writes_what_generate_writes(model, limit):
    """Texts of several lengths beside each other; behind an end stand ends."""
    prompt = prompts()
    found = greedy.greedy(model, prompt, limit=limit, end=END)
    expected = model.generate(
        inputs_embeds=prompt.embeddings,
        attention_mask=prompt.mask,
        max_new_tokens=limit,
        do_sample=False,
        eos_token_id=END,
        pad_token_id=END,
    )
    assert torch.equal(found, expected)


@torch.inference_mode()
def test_no_step_is_made_once_all_texts_ended(model):
    prompt = prompts()
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[END] = torch.randn(32, dtype=torch.float64)
        model.lm_head.weight[END + 1] = -model.lm_head.weight[END]
    assert greedy.greedy(model, prompt, limit=50, end=END).shape[1] <= 50
    model.lm_head.weight.zero_()  # equal logits: the first token of all is 0
    assert greedy.greedy(model, prompt, limit=50, end=0).shape == (6, 1)


@torch.inference_mode()
def test_the_cache_is_as_large_as_the_formula_says(model, monkeypatch):
    caches = []

    def noting(**named):
        caches.append(DynamicCache(**named))
        return caches[-1]

    monkeypatch.setattr(greedy, "DynamicCache", noting)
    prompt = prompts()
    greedy.greedy(model, prompt, limit=7, end=99)
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in caches[0].layers)
    assert held == cache_size.of_one_text(model, prompt, 7)
