"""Lite-LLM4Rec with a decoder and beam search over item IDs in place of the projection head.

The paper's own ablation (arXiv 2402.09543): the Item LLM and the Recommendation LLM stay what they
are, and only the way from the user's state to a ranked list differs. The Recommendation LLM is the
encoder of an encoder-decoder; compare it with ``lite-llm4rec`` on the same `backbone`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from transformers import (
    BatchFeature,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.utils.generic import ModelOutput

from baselines.decoding.beams import Prompt
from baselines.generative.generative import IGNORED, Generative
from baselines.item_ids import numbering
from baselines.item_ids.item_tokens import ItemTokens
from baselines.item_ids.numbering import number_items
from baselines.item_ids.words import WordEncoder
from models import item_vectors, recommender
from models.backbones import Role, backbone_config, is_preset, new_backbone, pretrained_backbone
from models.catalogue import Catalogue, History
from models.errors import UserError
from models.item_vectors import ItemVectors, item_llm_config, load_item_llm
from models.origins import saved_tokenizer
from models.padding import PADDING
from models.ragged import pad
from models.sequences import Prefixes, request_batch
from models.spoken import Spoken
from models.tokenizers import tokenizer_name, train_tokenizer

ID_TOKENIZER = "id_tokenizer"
"""Subfolder of a checkpoint with the tokenizer of the item IDs."""


class Settings(item_vectors.Settings, numbering.Settings):
    """Settings of Lite-LLM4Rec's items and of the item IDs; `backbone` must be a T5."""


class LiteLLM4RecBeamConfig(PretrainedConfig):
    """What a Lite-LLM4Rec with beam search is made of.

    Attributes:
        items: Size n of the catalogue.
        settings: The `Settings` it was built with.
        item_llm: Configuration of the Item LLM; None for ID embeddings.
        t5: Configuration of the encoder-decoder.

    """

    model_type = "lite-llm4rec-beam"

    def __init__(
        self,
        items: int = 1,
        settings: dict[str, Any] | None = None,
        item_llm: dict[str, Any] | None = None,
        t5: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.items = items
        self.settings = settings or {}
        self.item_llm = item_llm
        self.t5 = t5 or {}
        super().__init__(**kwargs)


class LiteLLM4RecBeam(Generative):
    """See the module's docstring. Shapes: B users, S items of a history, T target tokens."""

    settings_type = Settings
    spoken = Spoken("Lite-LLM4Rec with beams")
    config_class = LiteLLM4RecBeamConfig
    config: LiteLLM4RecBeamConfig

    def __init__(self, config: LiteLLM4RecBeamConfig) -> None:
        super().__init__(config)
        self.settings = Settings(**config.settings)
        t5 = T5Config(**config.t5)
        self.t5 = cast("T5ForConditionalGeneration", new_backbone(t5, Role.ENCODER_DECODER))
        self.reader = ItemVectors(config.items, t5.d_model, self.settings, config.item_llm)
        self.dropout = nn.Dropout(self.settings.dropout)
        self._ids: PreTrainedTokenizerBase | None = None
        self.post_init()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Number the items and make seeded random weights, or pretrained ones where `settings` name some.

        Raises:
            UserError: The backbone is no T5, or the catalogue cannot be numbered as asked.

        """
        assert isinstance(settings, Settings)
        name = settings.backbone or settings.preset
        numbered = number_items(catalogue, histories, settings)
        ids = train_tokenizer(numbered.ids, vocab_size=settings.vocab_size, words=numbered.words)
        t5 = backbone_config(name, vocab_size=len(ids) if is_preset(name) else None)
        if not isinstance(t5, T5Config):
            raise UserError(f"lite-llm4rec-beam needs a T5 backbone, and {name!r} is a {t5.model_type}")
        item_llm = item_llm_config(catalogue, settings)
        config = LiteLLM4RecBeamConfig(
            items=len(catalogue),
            settings=settings.model_dump(mode="json"),
            item_llm=item_llm and item_llm[0].to_dict(),
            t5=t5.to_dict(),
        )
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = cls(config)
            if not is_preset(name):
                model.t5 = cast("T5ForConditionalGeneration", pretrained_backbone(name, Role.ENCODER_DECODER))
            model.reader.tokenizer = item_llm and item_llm[1]
            load_item_llm(model.reader, settings)
        model.reader.read(catalogue)
        model._adopt(ids, ItemTokens.encode(numbered.ids, catalogue, WordEncoder(ids), output="{id}"))
        return model

    def _adopt(self, ids: PreTrainedTokenizerBase, items: ItemTokens) -> None:
        self._ids, self.items = ids, items

    @property
    def labels(self) -> tuple[str, ...]:
        """Say so when the numbering leaks."""
        return self.settings.numbering.labels

    def examples(self, histories: Sequence[History]) -> Prefixes:
        """Cut histories into one example for each item that has another before it."""
        return Prefixes(histories, self.settings.max_length)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad on the right: ``input_ids`` [B, S] of items, ``labels`` [B, T] of target tokens."""
        assert self.items is not None
        targets = [self.items.sequences[example["labels"][-1] - 1] for example in examples]
        return {
            "input_ids": pad([example["input_ids"] for example in examples]),
            "labels": pad(targets, value=IGNORED),
        }

    def forward(self, input_ids: Tensor, labels: Tensor) -> ModelOutput:
        """Return the mean cross-entropy over target tokens."""
        prompt = Prompt(self.dropout(self.reader(input_ids)), _mask(input_ids))
        return ModelOutput(loss=self.token_losses(prompt, labels).sum() / (labels != IGNORED).sum())

    @property
    def generator(self) -> T5ForConditionalGeneration:
        """The encoder-decoder, whose encoder is the Recommendation LLM."""
        return self.t5

    def prompt(self, inputs: BatchFeature) -> Prompt:
        """Look the history's item vectors up."""
        items = inputs["input_ids"]
        return Prompt(self.reader(items), _mask(items))

    def index(self, catalogue: Catalogue) -> None:
        """Encode every item's text once and build the trie over the IDs.

        Raises:
            UserError: See `Generative.index`.

        """
        super().index(catalogue)
        self.reader.read(catalogue)
        self.reader.index()

    @property
    def tokenizer_name(self) -> str | None:
        """Where the tokenizer of the item texts comes from."""
        return tokenizer_name(self.reader.tokenizer, self.settings.item_llm_name)

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of the item vectors and the trie."""
        return {"item vectors": self.reader.index_bytes} | super().index_parts

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Pad the newest items on the right."""
        return request_batch(histories, self.settings.max_length, self.serving)

    def save_assets(self, folder: Path) -> None:
        """Save the tokenizers and the item IDs."""
        assert self._ids is not None
        assert self.items is not None
        self.reader.save_tokenizer(folder)
        self._ids.save_pretrained(folder / ID_TOKENIZER)
        self.items.save(folder)

    def load_assets(self, folder: Path) -> None:
        """Load the tokenizers and the item IDs."""
        self.reader.load_tokenizer(folder)
        self._adopt(saved_tokenizer(folder / ID_TOKENIZER), ItemTokens.load(folder))


def _mask(items: Tensor) -> Tensor:
    """Return 1 where there is an item, [B, S]; an empty history reads one padding item."""
    mask = (items != PADDING).long()
    mask[:, 0] = 1
    return mask
