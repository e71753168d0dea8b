"""P5: a prompt with the history's item IDs in, the next item's ID out, as text.

After OpenP5 v2 (Xu et al. 2023, arXiv 2306.07134; agiresearch/OpenP5), the maintained form of P5
(Geng et al. 2022, arXiv 2203.13366): a T5 encoder-decoder, whole-word embeddings added to the
encoder's input, ten sequential prompts, item IDs by one of four schemes, beam search over the trie
of the catalogue's IDs. The target text is ``{dataset} item_{id}`` as there, so the tokens before
the ID are forced and still cost a decoder step each.

Differences: the sequential task alone is trained, one prompt an example drawn anew at each visit;
seen items are removed inside the search when they are to be removed, where OpenP5 widens the beam.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import (
    BatchFeature,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers import initialization as init
from transformers.utils.generic import ModelOutput

from baselines.decoding.beams import Prompt
from baselines.generative import prompted
from baselines.generative.generative import IGNORED
from baselines.generative.prompted import Prompted, PromptedConfig, Written, token_rows
from baselines.item_ids.words import Encoded
from models import recommender
from models.backbones import Role, backbone_config, is_preset, new_backbone, pretrained_backbone
from models.catalogue import Catalogue, History
from models.dropout import quicken_dropout
from models.errors import UserError
from models.ragged import pad
from models.spoken import Spoken

WHOLE_WORDS = 512
"""Rows of the whole-word embedding, as in P5; later words share the last."""


class Settings(prompted.Settings):
    """Settings of P5; `preset` is ``compact``, ``t5-small``, ``t5-base``, a local directory or a hub name.

    Attributes:
        dropout: T5's, in every layer. On a CPU it takes a third of a training step, and the compact
            preset learns faster in few steps without it.

    """

    dropout: float = Field(default=0.1, ge=0, lt=1)


class P5Config(PromptedConfig):
    """What a P5 is made of.

    Attributes:
        t5: Configuration of the backbone.

    """

    model_type = "p5"

    def __init__(self, t5: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.t5 = t5 or {}
        super().__init__(**kwargs)


class P5(Prompted):
    """See the module's docstring. Shapes: B users, S prompt tokens, T target tokens."""

    settings_type = Settings
    spoken = Spoken(
        "P5",
        {
            "P5 (collaborative IDs)": {"numbering": "collaborative"},
            "P5 (sequential IDs)": {"numbering": "sequential"},
            "P5 (sequential IDs, leaky)": {"numbering": "sequential-leaky"},
            "P5 (random IDs)": {"numbering": "random"},
        },
    )
    config_class = P5Config
    config: P5Config

    def __init__(self, config: P5Config) -> None:
        super().__init__(config)
        self.settings = Settings(**config.settings)
        self.t5 = cast("T5ForConditionalGeneration", new_backbone(T5Config(**config.t5), Role.ENCODER_DECODER))
        quicken_dropout(self.t5)
        self.whole_words = nn.Embedding(WHOLE_WORDS, self.t5.config.d_model)
        self.post_init()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Number the items, choose or train the tokenizer, and make seeded or pretrained weights.

        Raises:
            UserError: `settings.preset` is no T5, or the catalogue cannot be numbered as asked.

        """
        assert isinstance(settings, Settings)
        written = Written.of(catalogue, histories, settings, backbone=settings.preset)
        config = P5Config(
            settings=settings.model_dump(mode="json"),
            t5=_t5_config(settings, len(written.tokenizer)).to_dict(),
            dataset=catalogue.name,
        )
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = cls(config)
            if not is_preset(settings.preset):
                model._load_pretrained(settings.preset, written.tokenizer)
        model._adopt(written.tokenizer, written.items)
        return model

    def _init_weights(self, module: nn.Module) -> None:
        if module is self.whole_words:
            init.normal_(module.weight, std=1.0)  # as T5 starts its token embeddings

    def _load_pretrained(self, name: str, tokenizer: PreTrainedTokenizerBase) -> None:
        """Put pretrained weights in, with rows for added tokens and fresh ones for numbers, as OpenP5 does."""
        t5 = cast("T5ForConditionalGeneration", pretrained_backbone(name, Role.ENCODER_DECODER))
        if len(tokenizer) > t5.config.vocab_size:
            t5.resize_token_embeddings(len(tokenizer))
        numbers = tokenizer([str(number) for number in range(30000)], add_special_tokens=False)["input_ids"]
        rows = sorted({token for number in numbers for token in number})
        with torch.no_grad():
            t5.shared.weight[rows] = torch.randn(len(rows), t5.config.d_model)
        self.t5.load_state_dict(t5.state_dict())

    def pad_prompts(self, prompts: Sequence[Encoded]) -> dict[str, Tensor]:
        """Pad on the right: ``input_ids``, ``attention_mask``, ``whole_word_ids`` [B, S]."""
        words = pad([prompt.words for prompt in prompts]).clamp(max=WHOLE_WORDS - 1)
        mask = pad([[1] * len(prompt.tokens) for prompt in prompts])
        return {
            "input_ids": pad([prompt.tokens for prompt in prompts]),
            "attention_mask": mask,
            "whole_word_ids": words,
        }

    def forward(self, input_ids: Tensor, attention_mask: Tensor, whole_word_ids: Tensor, labels: Tensor) -> ModelOutput:
        """Return the cross-entropy, averaged over each sample's tokens, then over samples, as OpenP5 does."""
        prompt = Prompt(self._embed(input_ids, whole_word_ids), attention_mask)
        losses = self.token_losses(prompt, labels)
        return ModelOutput(loss=(losses.sum(-1) / (labels != IGNORED).sum(-1)).mean())

    @property
    def generator(self) -> T5ForConditionalGeneration:
        """The T5."""
        return self.t5

    def prompt(self, inputs: BatchFeature) -> Prompt:
        """Embed the prompt's tokens and words."""
        return Prompt(self._embed(inputs["input_ids"], inputs["whole_word_ids"]), inputs["attention_mask"])

    def _embed(self, input_ids: Tensor, whole_word_ids: Tensor) -> Tensor:
        embedded: Tensor = self.t5.get_input_embeddings()(input_ids) + self.whole_words(whole_word_ids)
        return embedded  # [B, S, D]


def _t5_config(settings: Settings, tokens: int) -> T5Config:
    name = settings.preset
    config = backbone_config(name, dropout_rate=settings.dropout)
    if not isinstance(config, T5Config):
        raise UserError(
            f"p5 needs a T5 backbone, and {name!r} is a {config.model_type}: use compact, t5-small or t5-base"
        )
    config.vocab_size = token_rows(name, config, tokens)
    return config
