"""What writes items as a few codes each: prompts of codes in, the next item's codes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from transformers import AutoConfig, BatchFeature, PretrainedConfig
from transformers.utils.generic import ModelOutput

from baselines.decoding.beams import Prompt
from baselines.decoding.decoder import TrieDecoder
from baselines.decoding.stacks import stack_of
from baselines.generative.every_item import EveryItem, Targets, collate_sequences, sequence_loss
from baselines.generative.generative import IGNORED, Generative
from baselines.generative.kept_prompts import KeptPrompts
from baselines.item_ids.item_tokens import ItemTokens
from baselines.item_ids.quantisation import Codes
from models import recommender
from models.backbones import PRESETS, Role, backbone_config, is_preset, new_backbone, pretrained_backbone
from models.catalogue import Catalogue, History
from models.dropout import drop_residuals, quicken_dropout
from models.errors import UserError
from models.kept_keys import NOT_KEPT, Shape
from models.kept_states import KeepsUsers, key_of
from models.ragged import pad
from models.sequences import Cuts
from models.serving import Recommendations, SeenItems
from models.trainable import Examples

SPECIAL = 3
"""Tokens before all others: padding, end of sequence, and what an empty history reads."""

NOTHING = 2
"""The token of an empty history."""

READ = 64
"""Histories that `remember` reads at a time."""


class Settings(recommender.Settings):
    """Settings of whatever writes codes.

    Attributes:
        targets: Which items of a history an example learns; all of them on a decoder alone.
        max_history: Most items of a prompt, each as long as its ID.
        user_tokens: Rows that users are hashed to; 0 reads no user.
        dropout: In every layer.

    """

    targets: Targets = Targets.NEXT
    max_history: int = Field(default=20, ge=1, le=100_000)
    user_tokens: int = Field(default=0, ge=0, le=10**7)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @property
    def backbone_name(self) -> str:
        """The preset, local directory or hub name of the transformers model."""
        return self.preset


class CodesConfig(PretrainedConfig):
    """What it is made of.

    Attributes:
        settings: The `Settings` it was built with.
        backbone: Configuration of the transformers model.
        first_code: The first token that is a code; user tokens lie before it.
        size: Codes of each level.
        items: Size n of the catalogue.
        levels: Codes of an item, T.
        fingerprint: Fingerprint of the catalogue.

    """

    def __init__(
        self,
        settings: dict[str, Any] | None = None,
        backbone: dict[str, Any] | None = None,
        first_code: int = SPECIAL,
        size: int = 1,
        items: int = 1,
        levels: int = 1,
        fingerprint: str = "",
        **kwargs: Any,
    ) -> None:
        self.settings = settings or {}
        self.backbone = backbone or {}
        self.first_code = first_code
        self.size = size
        self.items = items
        self.levels = levels
        self.fingerprint = fingerprint
        super().__init__(**kwargs)


class WritesCodes(KeepsUsers, Generative):
    """A generative recommender that reads and writes items as a few codes each.

    Shapes: B users, S prompt tokens, T codes. A subclass chooses the codes: it calls `with_codes` when it is built.

    Attributes:
        kept: Keys and values of users who may come back; None before anybody is remembered.

    """

    settings_type: ClassVar[type[Settings]]
    config_class: type[CodesConfig] = CodesConfig
    config: CodesConfig
    settings: Settings
    kept: KeptPrompts | None = None

    def __init__(self, config: CodesConfig) -> None:
        super().__init__(config)
        self.settings = self.settings_type(**config.settings)
        backbone = AutoConfig.for_model(**config.backbone)
        self.backbone = new_backbone(backbone, _role(backbone))
        quicken_dropout(self.backbone)
        if not backbone.is_encoder_decoder:
            drop_residuals(self.backbone, self.settings.dropout)
        self.post_init()

    @classmethod
    def with_codes(cls, catalogue: Catalogue, settings: Settings, codes: Codes, size: int) -> Self:
        """Make one with seeded random weights, or pretrained ones where the backbone's name is no preset.

        Args:
            catalogue: The items, n of them.
            settings: An instance of `cls.settings_type`.
            codes: int64 [n, T].
            size: Codes of each level.

        Raises:
            UserError: The backbone cannot be loaded.

        """
        name = settings.backbone_name
        first = _text_rows(name) + settings.user_tokens
        backbone = _backbone_config(name, first + codes.shape[1] * size, settings.dropout)
        items, levels = codes.shape
        config = cls.config_class(
            settings=settings.model_dump(mode="json"),
            backbone=backbone.to_dict(),
            first_code=first,
            size=size,
            items=items,
            levels=levels,
            fingerprint=catalogue.fingerprint,
        )
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = cls(config)
            if not is_preset(name):
                model._load_pretrained(name)
        model.take(codes)
        return model

    def take(self, codes: Codes) -> None:
        """Write the items by these codes from now on, int64 [n, T]."""
        size, levels = self.config.size, codes.shape[1]
        tokens = codes + self.config.first_code + size * np.arange(levels)
        self.items = ItemTokens.of_codes(codes, tokens, self.config.fingerprint)

    def _load_pretrained(self, name: str) -> None:
        """Put pretrained weights in, with fresh rows for users and codes behind the text's."""
        pretrained = pretrained_backbone(name, _role(self.backbone.config))
        pretrained.resize_token_embeddings(self.backbone.config.vocab_size)
        self.backbone.load_state_dict(pretrained.state_dict())

    @property
    def generator(self) -> Any:
        """The T5, or the decoder alone."""
        return self.backbone

    def request(self, history: History) -> list[int]:
        """Write the newest items of a history as tokens."""
        items = history.items[-self.settings.max_history :]
        codes = chain.from_iterable(self.target(item) for item in items)
        return [*self.opening(history.user), *codes] or [NOTHING]

    def opening(self, user: int) -> list[int]:
        """Return the user's token, where users have some."""
        rows = self.settings.user_tokens
        return [self.config.first_code - rows + user % rows] if rows else []

    def target(self, item: int) -> tuple[int, ...]:
        """Return the tokens of an item."""
        assert self.items is not None
        return self.items.sequences[item - 1]

    def examples(self, histories: Sequence[History]) -> Examples:
        """Cut histories into windows whose items are all learned, or into one example for each item."""
        if self.settings.targets is Targets.ALL:
            return EveryItem(self, histories, self.settings.max_history)
        return PrefixExamples(self, histories)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad prompts: ``input_ids``, ``attention_mask`` [B, S]; ``labels`` [B, T] have one length.

        With ``targets=all`` ``input_ids`` and ``labels`` are int64 [B, S], and no mask is needed.
        """
        if self.settings.targets is Targets.ALL:
            return collate_sequences(examples)
        return self._pad([example["prompt"] for example in examples]) | {
            "labels": torch.tensor([example["labels"] for example in examples])
        }

    def forward(self, input_ids: Tensor, labels: Tensor, attention_mask: Tensor | None = None) -> ModelOutput:
        """Return the mean cross-entropy over target tokens."""
        if attention_mask is None:
            return ModelOutput(loss=sequence_loss(self.backbone, input_ids, labels))
        prompt = Prompt(self.backbone.get_input_embeddings()(input_ids), attention_mask)
        return ModelOutput(loss=self.token_losses(prompt, labels).sum() / (labels != IGNORED).sum())

    def index(self, catalogue: Catalogue) -> None:
        """Build the trie, and forget all users; see `Generative.index`."""
        super().index(catalogue)
        self.forget()

    def _new_kept(self) -> KeptPrompts | None:
        """Return room for users; None where an encoder reads, or where the decoder does not read on."""
        decoder = self._decoder
        if self.backbone.config.is_encoder_decoder or not (isinstance(decoder, TrieDecoder) and decoder.reads_on):
            return None
        most = bool(self.settings.user_tokens) + self.settings.max_history * self.config.levels
        return KeptPrompts(Shape.of(self.backbone.config, most), next(self.backbone.parameters()))

    @torch.inference_mode()
    def remember(self, histories: Sequence[History]) -> None:
        """Read histories and keep their keys and values; see `models.recommender.Recommender.remember`."""
        kept = self.kept = self.kept or self._new_kept()
        if kept is None:
            return
        for start in range(0, len(histories), READ):
            part = histories[start : start + READ]
            keys = self._keys(part, newest=True).tolist()
            batch = {name: value.to(self.device) for name, value in self._pad(list(map(self.request, part))).items()}
            prompt = self.prompt(BatchFeature(batch))
            nothing = prompt.mask.new_empty(0)
            kept_prompt = replace(prompt, keep=partial(kept.keep, keys))
            stack_of(self.generator).begin(kept_prompt, nothing, depth=0, room=0)

    def _keys(self, histories: Sequence[History], *, newest: bool) -> Tensor:
        """Return the key int64 [B] of each prompt, with its newest item or without it."""
        keys = []
        for history in histories:
            items = history.items if newest else history.items[:-1]
            kept = len(items) > 0 and len(history.items) <= self.settings.max_history
            keys.append(key_of((*self.opening(history.user), *items)) if kept else NOT_KEPT)
        return torch.tensor(keys)

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Write and pad the prompts; with seen items removed also ``seen_items`` [B, H].

        Once users are remembered, two columns more: ``before`` and ``after`` int64 [B], the keys of each prompt
        without its newest item and with it.
        """
        batch = self._pad([self.request(history) for history in histories])
        if self.serving.seen is SeenItems.REMOVE:
            batch["seen_items"] = pad([history.items for history in histories])
        if self.kept is not None:
            batch["before"] = self._keys(histories, newest=False)
            batch["after"] = self._keys(histories, newest=True)
        return BatchFeature(batch)

    def recommend(self, inputs: BatchFeature, k: int) -> Recommendations:
        """Search the trie; behind what is kept of remembered users, of whom the newest item alone is read."""
        if self.kept is None or "before" not in inputs:
            return super().recommend(inputs, k)
        met = self.kept.meet(inputs["before"].tolist())
        users, device = len(met), inputs["input_ids"].device
        items = torch.zeros(users, k, dtype=torch.int64, device=device)
        scores = torch.zeros(users, k, device=device)
        for known in (True, False):
            rows = torch.tensor([row for row in range(users) if met[row] is known], device=device, dtype=torch.int64)
            if len(rows):
                asked = BatchFeature({name: value[rows] for name, value in inputs.items()})
                found = self.found(self._continued(asked) if known else self._kept_prompt(asked), asked, k)
                items[rows], scores[rows] = found.items, found.scores
        return Recommendations(items, scores)

    def _kept_prompt(self, inputs: BatchFeature) -> Prompt:
        """Return whole prompts, which are kept once they are read."""
        assert self.kept is not None
        return replace(self.prompt(inputs), keep=partial(self.kept.keep, inputs["after"].tolist()))

    def _continued(self, inputs: BatchFeature) -> Prompt:
        """Return the newest items' tokens behind what is kept."""
        assert self.kept is not None
        whole, levels = self._kept_prompt(inputs), self.config.levels
        past = self.kept.past(inputs["before"].tolist(), whole.mask.sum(1) - levels)
        return replace(whole, embeddings=whole.embeddings[:, -levels:], mask=whole.mask[:, -levels:], past=past)

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up a prompt's pass; None for remembered users, whose steps differ in length."""
        return None if self.kept is not None and "before" in inputs else super().forward_flops(inputs)

    def prompt(self, inputs: BatchFeature) -> Prompt:
        """Embed the prompt's tokens."""
        return Prompt(self.backbone.get_input_embeddings()(inputs["input_ids"]), inputs["attention_mask"])

    def save_assets(self, folder: Path) -> None:
        """Save the item IDs."""
        assert self.items is not None
        self.items.save(folder)

    def load_assets(self, folder: Path) -> None:
        """Load the item IDs."""
        self.items = ItemTokens.load(folder)

    def _pad(self, prompts: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        left = not self.backbone.config.is_encoder_decoder
        mask = pad([[1] * len(prompt) for prompt in prompts], left=left)
        return {"input_ids": pad(prompts, left=left), "attention_mask": mask}


def check_targets(settings: Settings) -> None:
    """Refuse to learn all targets at once where an encoder would read them.

    Raises:
        UserError: See above, or the backbone's configuration cannot be loaded.

    """
    name = settings.backbone_name
    if settings.targets is Targets.ALL and backbone_config(name).is_encoder_decoder:
        raise UserError(
            f"targets=all needs a decoder alone, and preset {name!r} is an encoder-decoder, whose encoder would "
            "read what is to be predicted: use preset compact-llama or another Llama"
        )


class PrefixExamples(Cuts):
    """Every training item with what came before it, as tokens.

    Args:
        model: Writes the prompts.
        histories: Training histories; those with one item yield nothing.

    """

    def __init__(self, model: WritesCodes, histories: Sequence[History]) -> None:
        super().__init__(histories, model.settings.max_history)
        self._model = model

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Make one example: ``prompt`` and ``labels`` as tokens."""
        before, following = self.cut(number)
        return {"prompt": self._model.request(before), "labels": self._model.target(following)}


def _role(config: PretrainedConfig) -> Role:
    return Role.ENCODER_DECODER if config.is_encoder_decoder else Role.DECODER_ONLY


def _text_rows(name: str) -> int:
    """Return how many tokens lie before users and codes: a text model's vocabulary, or a few special ones."""
    rows: int = backbone_config(name).vocab_size if not is_preset(name) else PRESETS[name][1].get("vocab_size", SPECIAL)
    return rows


def _backbone_config(name: str, tokens: int, dropout: float) -> PretrainedConfig:
    config = backbone_config(name)
    config.vocab_size = tokens
    if hasattr(config, "dropout_rate"):
        config.dropout_rate = dropout
    config.pad_token_id = 0
    return config
