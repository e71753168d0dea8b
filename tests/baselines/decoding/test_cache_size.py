"""The bytes of keys and values by formula, and as the searches really hold them."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from baselines.decoding.causal_stack import CausalDecoder
from baselines.decoding.exact import exact
from baselines.decoding.exhaustive import exhaustive
from baselines.decoding.reference import reference
from baselines.decoding.search import DECODERS
from baselines.decoding.t5_stack import T5Decoder
from baselines.decoding.trie import Trie
from models.serving import Scores
from tests.baselines.decoding import small

USERS, WIDTH = 3, 4


def world(family):
    rng = small.rng(2)
    ids = [(rng.randint(2, 12), rng.randint(2, 12), 20 + number, small.END) for number in range(20)]
    return small.model(family), small.prompts(family, USERS), Trie.build(ids)


@pytest.fixture
def memories(monkeypatch):
    """What stacks begin to remember with."""
    kept = []
    for stack in (T5Decoder, CausalDecoder):
        begin = stack.begin

        def noting(self, *arguments, begin=begin, **named):
            states, memory = begin(self, *arguments, **named)
            kept.append(memory)
            return states, memory

        monkeypatch.setattr(stack, "begin", noting)
    return kept


def held(memory):
    pairs = [*memory.keys, *memory.values, *(part for pair in memory.shared.get("cross", ()) for part in pair)]
    return sum(part.nbytes for part in pairs)


@pytest.mark.parametrize("family", small.FAMILIES)
@pytest.mark.parametrize(("decoder", "search"), [("exact", exact), ("exhaustive", exhaustive)])
def test_a_search_of_ours_holds_what_the_formula_says(family, decoder, search, memories):
    model, prompt, trie = world(family)
    search(model, prompt, trie, width=WIDTH, scores=Scores.FULL_VOCAB)
    assert {held(memory) for memory in memories} == {DECODERS[decoder].cache_bytes(model, prompt, trie, WIDTH)}


@pytest.mark.parametrize("family", small.FAMILIES)
def test_generate_holds_what_the_formula_says(family, monkeypatch):
    model, prompt, trie = world(family)
    outputs, generate = [], model.generate
    monkeypatch.setattr(model, "generate", lambda **named: outputs.append(generate(**named)) or outputs[-1])
    reference(model, prompt, trie, width=WIDTH, scores=Scores.FULL_VOCAB)
    cache = outputs[0].past_key_values
    caches = [cache.self_attention_cache, cache.cross_attention_cache] if family == "t5" else [cache]
    real = sum(part.nbytes for one in caches for layer in one.layers for part in (layer.keys, layer.values))
    assert real == DECODERS["reference"].cache_bytes(model, prompt, trie, WIDTH)


def test_exhaustive_search_reads_one_user_at_a_time(memories):
    model, prompt, trie = world("t5")
    exhaustive(model, prompt, trie, width=WIDTH, scores=Scores.FULL_VOCAB)
    assert len(memories) == USERS
    assert memories[0].keys[0].dtype is torch.float64


def test_heads_that_share_no_keys_each_have_their_own():
    """GPT-2's configuration names no heads of keys and values."""
    _, prompt, trie = world("llama")
    config = {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 4}
    model = GPT2LMHeadModel(GPT2Config(**config, n_positions=64))
    depths = [DECODERS["exact"].cache_bytes(model, prompt, trie, width) for width in (1, 2, 3)]
    row = 2 * 2 * 4 * (16 // 4) * prompt.embeddings.element_size()
    assert depths[1] - depths[0] == depths[2] - depths[1] == USERS * trie.depth * row
