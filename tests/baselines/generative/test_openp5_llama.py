"""OpenP5 on a decoder alone: prompts, adapters, and what serving sees of them."""

import pytest
import torch
from peft.tuners.lora import LoraLayer
from transformers import LlamaConfig, LlamaForCausalLM

from baselines.generative.openp5_llama import OpenP5Llama
from baselines.generative.prompts import PROMPTS
from models.errors import UserError
from models.serving import Serving
from models.tokenizers import train_tokenizer
from tests import tiny

TINY = {
    "initializer_range": 0.3,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def build(**settings):
    return tiny.build("openp5-llama", **settings)


@torch.inference_mode()
def answer(model, decoder="exact", k=6):
    model.serving = Serving(decoder=decoder, beam_width=12)
    model.index(tiny.catalogue())
    return model.recommend(model.prepare(tiny.walks(5)), k)


@pytest.fixture
def pretrained(tmp_path):
    """Write a Llama with a tokenizer that has a start token of its own."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer([*PROMPTS, "Response:", " ".join(map(str, range(2000)))], vocab_size=300)
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    LlamaForCausalLM(LlamaConfig(**TINY, vocab_size=len(tokenizer))).save_pretrained(tmp_path / "llama")
    tokenizer.save_pretrained(tmp_path / "llama")
    return str(tmp_path / "llama")


def disturb(model):
    """Give adapters something to add: they start at zero."""
    model.train()
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.5)


def train_step(model):
    model.train()
    examples = model.examples(tiny.walks(4))
    batch = model.collate([examples[row] for row in range(6)])
    return model(**batch).loss


def test_a_prompt_ends_where_the_response_begins():
    model = build()
    batch = model.prepare(tiny.walks(3))
    ends = [model._tokenizer.decode(row) for row in batch["input_ids"]]
    assert all(text.endswith("Response:") for text in ends)
    assert batch["attention_mask"][:, -1].tolist() == [1, 1, 1]
    assert (batch["attention_mask"][:, :-1] <= batch["attention_mask"][:, 1:]).all(), "padding is on the left"


def test_a_preset_is_trained_whole():
    model = build()
    assert not any(isinstance(module, LoraLayer) for module in model.modules())
    assert all(weight.requires_grad for weight in model.parameters())


def test_pretrained_weights_are_kept_and_adapters_trained_beside_them(pretrained):
    model = build(preset=pretrained, numbering="sequential", lora_rank=4)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    assert {name.split(".")[-4] for name in trained} == {"q_proj", "v_proj"}
    lent = LlamaForCausalLM.from_pretrained(pretrained)
    kept = dict(model.llama.named_parameters())["model.layers.0.self_attn.q_proj.base_layer.weight"]
    assert torch.equal(kept, lent.model.layers[0].self_attn.q_proj.weight)
    train_step(model).backward()
    assert all(weight.grad is not None for weight in model.parameters() if weight.requires_grad)


def test_added_words_are_trained_too(pretrained):
    model = build(preset=pretrained, numbering="collaborative")
    assert model.llama.get_input_embeddings().weight.requires_grad
    assert len(model.llama.get_input_embeddings().weight) == len(model._tokenizer)


def test_without_a_rank_all_pretrained_weights_are_trained(pretrained):
    model = build(preset=pretrained, lora_rank=0)
    assert all(weight.requires_grad for weight in model.parameters())


def test_prompts_start_as_the_pretrained_tokenizers_do(pretrained):
    model = build(preset=pretrained)
    batch = model.prepare(tiny.walks(2))
    firsts = [row[mask == 1][0].item() for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    assert firsts == [model._tokenizer.bos_token_id] * 2


def test_serving_folds_adapters_in_and_training_takes_them_out(pretrained):
    model = build(preset=pretrained)
    disturb(model)
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    weight = layers[0].base_layer.weight
    apart = weight.clone()
    model.eval()
    assert all(layer.merged for layer in layers)
    assert not torch.allclose(weight, apart)
    model.train()
    assert not any(layer.merged for layer in layers)
    assert torch.allclose(weight, apart, atol=1e-6)


def test_checkpoints_keep_adapters_apart_and_serve_the_same_lists(pretrained, tmp_path):
    model = build(preset=pretrained)
    disturb(model)
    model.eval()
    before = answer(model)
    model.save_pretrained(tmp_path / "saved")
    assert all(layer.merged for layer in model.modules() if isinstance(layer, LoraLayer)), "left as it was"
    again = OpenP5Llama.from_pretrained(tmp_path / "saved").eval()
    after = answer(again)
    assert torch.equal(before.items, after.items)
    torch.testing.assert_close(before.scores, after.scores)
    assert {name for name, one in again.named_parameters() if one.requires_grad} == {
        name for name, one in model.named_parameters() if one.requires_grad
    }


@pytest.mark.parametrize("decoder", ["vectorised-trie", "exact"])
def test_decoders_agree_with_the_reference_on_adapted_weights(pretrained, decoder):
    model = build(preset=pretrained, numbering="sequential")  # rows of added words are all but equal
    disturb(model)
    model.double().eval()
    expected = answer(model, "reference")
    found = answer(model, decoder)
    assert torch.equal(expected.items, found.items)
    torch.testing.assert_close(expected.scores, found.scores)


def test_a_backbone_with_an_encoder_is_refused():
    with pytest.raises(UserError, match="'t5-small' is a t5: use compact"):
        build(preset="t5-small")


def test_a_folder_that_is_not_there_is_named():
    with pytest.raises(UserError, match="no-such-llama"):
        build(preset="./no-such-llama")
