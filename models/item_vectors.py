"""One vector an item for the Recommendation LLM: from the Item LLM, or from an ID embedding."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedTokenizerBase

from models import recommender
from models.backbones import backbone_config, is_preset, pretrained_backbone
from models.catalogue import Catalogue, Item
from models.item_encoder import TRAINED_CHUNK, ItemEncoder, Pooling, tokenise, tokenise_items
from models.origins import saved_tokenizer
from models.padding import PADDING
from models.tokenizers import TOKENIZER, tokenizer_for

IDS = "ids"
"""The value of `item_llm` that puts an ID embedding in the Item LLM's place."""

ITEM_LLMS = {"compact": "compact-text"}
"""Which Item LLM goes with a preset; the preset itself where nothing is said."""


class ItemLLMTraining(StrEnum):
    """Whether the Item LLM's weights move in training."""

    TUNED = "tuned"
    FROZEN = "frozen"


class Settings(recommender.Settings):
    """Settings of whatever reads item vectors.

    Attributes:
        backbone: The Recommendation LLM: a preset, a local directory or a hub name; None takes
            the preset's own.
        item_llm: The Item LLM, likewise; ``ids`` replaces it by an embedding table.
        item_llm_training: Tuned with the rest, or frozen.
        item_ids: Whether an embedding of the item's number is added to what its text gives, as UniSRec's transductive
            setting does (Hou et al. 2022, arXiv 2206.05941, section 2.3); not the paper's.
        pooling: How the Item LLM's token states become one vector.
        text_tokens: Most tokens read of an item's text.
        vocab_size: Upper bound of a tokenizer that is trained for lack of a pretrained one.
        max_length: Most items read of a history.
        dropout: On the item vectors and on the state that is scored.

    """

    backbone: str | None = None
    item_llm: str | None = None
    item_llm_training: ItemLLMTraining = ItemLLMTraining.TUNED
    item_ids: bool = False
    pooling: Pooling = Pooling.MEAN
    text_tokens: int = Field(default=24, ge=1, le=4096)
    vocab_size: int = Field(default=8192, ge=256, le=1_000_000)
    max_length: int = Field(default=100, ge=1, le=100_000)
    dropout: float = Field(default=0.2, ge=0, lt=1)

    @property
    def item_llm_name(self) -> str:
        """The Item LLM that is used when `item_llm` says nothing."""
        return self.item_llm or ITEM_LLMS.get(self.preset, self.preset)


def as_config(values: dict[str, Any]) -> PretrainedConfig:
    """Rebuild a backbone's configuration from its dictionary."""
    return AutoConfig.for_model(**values)


SHARD = 1 << 18
"""Items whose texts are tokenised together; of larger catalogues, tokens are kept only while they are read."""

CORPUS = 1_000_000
"""Items whose texts a tokenizer is trained on, at most: numbers are given out by chance, so the first are a sample."""


def item_texts(catalogue: Catalogue) -> list[str]:
    """Return the texts of items 1..n that a tokenizer is trained on."""
    return [item.text for item in catalogue.items[:CORPUS]]


class ItemVectors(nn.Module):
    """Maps item numbers to vectors of the Recommendation LLM's width D.

    While training, the items of a batch go through the Item LLM once each; `index` does the whole
    catalogue once, and serving looks vectors up.

    Args:
        items: Size n of the catalogue.
        width: D.
        settings: How items are read.
        item_llm: The Item LLM's configuration; None embeds item numbers.

    """

    vectors: Tensor  # [n + 1, D], for serving
    pooled: Tensor | None  # [n + 1, d], of a frozen Item LLM
    tokens: Tensor | None  # [n + 1, T], of catalogues that are not too large
    mask: Tensor | None  # [n + 1, T]

    def __init__(self, items: int, width: int, settings: Settings, item_llm: dict[str, Any] | None) -> None:
        super().__init__()
        self.tokenizer: PreTrainedTokenizerBase | None = None
        self._known: str | None = None
        self._items: Sequence[Item] = ()
        self._text_tokens = settings.text_tokens
        self._frozen = settings.item_llm_training is ItemLLMTraining.FROZEN
        self.embedding = nn.Embedding(items + 1, width) if item_llm is None or settings.item_ids else None
        if item_llm is not None:
            self.item_llm = ItemEncoder(as_config(item_llm), settings.pooling)
            self.item_llm.requires_grad_(not self._frozen)
            self.projection = nn.Linear(self.item_llm.width, width)
        self.norm = nn.BatchNorm1d(width)  # over items: what all texts share tells none of them apart
        self.reads_text = item_llm is not None
        for name in ("vectors", "pooled", "tokens", "mask"):  # made by `read` and `index`, never saved
            self.register_buffer(name, None, persistent=False)

    def read(self, catalogue: Catalogue) -> None:
        """Tokenise the catalogue's texts; before training and before `index`. A catalogue that was read stays read."""
        if not self.reads_text or self._known == catalogue.fingerprint:
            return
        assert self.tokenizer is not None
        self._known = catalogue.fingerprint
        self.pooled = None
        self._items = catalogue.items
        if len(catalogue) > SHARD:
            self.tokens = self.mask = None
            return
        device = self.norm.weight.device
        tokens, mask = tokenise_items([item.text for item in catalogue.items], self.tokenizer, self._text_tokens)
        self.tokens, self.mask = tokens.to(device), mask.to(device)

    @torch.no_grad()
    def index(self) -> None:
        """Compute every item's vector for serving, float [n + 1, D], as outside of training."""
        training = self.training
        self.eval()
        self.vectors = self.all_vectors()
        self.train(training)

    def forward(self, numbers: Tensor) -> Tensor:
        """Look up, or while training compute, the vectors of item numbers [B, S] as [B, S, D]."""
        if not self.training:
            return self.vectors[numbers]
        unique, places = torch.unique(numbers, return_inverse=True)
        pooled = None
        if self.reads_text and self._frozen:
            pooled = self._pool_all()[unique]
        elif self.reads_text:
            pooled = self.item_llm.encode_all(*self._tokens_of(unique), TRAINED_CHUNK)
        raw = self._together(pooled, None if self.embedding is None else self.embedding(unique))
        computed: Tensor = self.norm(raw) if len(unique) > 1 else raw
        return computed[places]

    def all_vectors(self) -> Tensor:
        """Return the vectors of all items [n + 1, D]; the gradient does not reach the Item LLM."""
        pooled = self._pool_all() if self.reads_text else None
        vectors: Tensor = self.norm(self._together(pooled, None if self.embedding is None else self.embedding.weight))
        return vectors

    def _together(self, pooled: Tensor | None, numbers: Tensor | None) -> Tensor:
        """Add up what is known of items: their texts [N, d] and their numbers' embeddings [N, D]."""
        text = None if pooled is None else self.projection(pooled)
        vectors = [part for part in (text, numbers) if part is not None]
        return vectors[0] if len(vectors) == 1 else vectors[0] + vectors[1]

    @property
    def index_bytes(self) -> int:
        """Bytes of the vectors that serving needs."""
        return 0 if self.vectors is None else self.vectors.nbytes

    def _pool_all(self) -> Tensor:
        """Pool the whole catalogue; a frozen Item LLM does it once."""
        if self.pooled is None or not self._frozen:
            was_training = self.item_llm.training
            with torch.no_grad(), torch.autocast(self.norm.weight.device.type, enabled=False):  # as a loaded one will
                self.pooled = self._encode_all().to(self.norm.weight.dtype)
            self.item_llm.train(was_training)
        pooled = self.pooled
        if not self._frozen:
            self.pooled = None
        return pooled

    def _encode_all(self) -> Tensor:
        """Encode padding and all items, [n + 1, d], shard by shard where they are many."""
        self.item_llm.eval()
        if self.tokens is not None and self.mask is not None:
            return self.item_llm.encode_all(self.tokens, self.mask)
        count = len(self._items) + 1
        vectors: Tensor | None = None
        for start in range(0, count, SHARD):
            numbers = torch.arange(start, min(start + SHARD, count))
            made = self.item_llm.encode_all(*self._tokens_of(numbers))
            vectors = made.new_empty(count, made.shape[1]) if vectors is None else vectors
            vectors[start : start + len(made)] = made
        assert vectors is not None
        return vectors

    def _tokens_of(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the tokens and the mask of items [N], both int64 [N, T]."""
        if self.tokens is not None and self.mask is not None:
            return self.tokens[numbers], self.mask[numbers]
        assert self.tokenizer is not None
        texts = ["" if number == PADDING else self._items[number - 1].text for number in numbers.tolist()]
        tokens, mask = tokenise(texts, self.tokenizer, self._text_tokens)
        device = self.norm.weight.device
        return tokens.to(device), mask.to(device)

    def save_tokenizer(self, folder: Path) -> None:
        """Save the tokenizer beside the weights, if there is one."""
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder / TOKENIZER)

    def load_tokenizer(self, folder: Path) -> None:
        """Load what `save_tokenizer` saved."""
        if self.reads_text:
            self.tokenizer = saved_tokenizer(folder / TOKENIZER)


def item_llm_config(
    catalogue: Catalogue, settings: Settings
) -> tuple[PretrainedConfig, PreTrainedTokenizerBase] | None:
    """Choose the Item LLM's configuration and tokenizer; None when item numbers are embedded."""
    name = settings.item_llm_name
    if name == IDS:
        return None
    tokenizer = tokenizer_for(name, lambda: item_texts(catalogue), vocab_size=settings.vocab_size)
    return backbone_config(name, vocab_size=len(tokenizer) if is_preset(name) else None), tokenizer


def load_item_llm(vectors: ItemVectors, settings: Settings) -> None:
    """Put pretrained weights into the Item LLM where `settings` name some."""
    if vectors.reads_text and not is_preset(settings.item_llm_name):
        encoder = vectors.item_llm
        encoder.backbone = pretrained_backbone(settings.item_llm_name, encoder.role)
        encoder.requires_grad_(settings.item_llm_training is ItemLLMTraining.TUNED)
