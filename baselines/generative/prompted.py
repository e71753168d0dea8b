"""What P5 and its kin share: histories as a text of item IDs in, the next item's ID as text out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from transformers import BatchFeature, PretrainedConfig, PreTrainedTokenizerBase

from baselines.generative.generative import IGNORED, Generative
from baselines.generative.prompts import PROMPTS, SEEN, fill
from baselines.item_ids import numbering
from baselines.item_ids.collaborative import CLUSTER_TOKEN
from baselines.item_ids.item_tokens import OUTPUT, ItemTokens
from baselines.item_ids.numbering import Numbered, number_items
from baselines.item_ids.words import Encoded, WordEncoder
from models import recommender
from models.backbones import PRESETS, is_preset
from models.catalogue import Catalogue, History
from models.identified import ItemNumbers
from models.origins import saved_tokenizer
from models.ragged import pad
from models.sequences import Cuts
from models.serving import SeenItems
from models.tokenizers import TOKENIZER, tokenizer_for, tokenizer_name
from models.trainable import Examples

SAMPLE = 2000
"""Histories whose prompts a tokenizer is trained on."""


class Settings(numbering.Settings):
    """Settings of whatever is prompted.

    Attributes:
        max_history: Most items of a prompt.
        prompt: Which prompt serves: 0 to 9 are trained on, 10 is the unseen one.
        vocab_size: Upper bound of a tokenizer that is trained for lack of a pretrained one, added
            cluster tokens excluded. Small, so that numbers fall into pieces as under T5's own.

    """

    max_history: int = Field(default=20, ge=1, le=100_000)
    prompt: int = Field(default=0, ge=0, lt=len(PROMPTS))
    vocab_size: int = Field(default=1024, ge=256, le=1_000_000)


class PromptedConfig(PretrainedConfig):
    """What all prompted recommenders need to know again.

    Attributes:
        settings: The `Settings` it was built with.
        dataset: Name of the catalogue as prompts spell it.

    """

    def __init__(self, settings: dict[str, Any] | None = None, dataset: str = "", **kwargs: Any) -> None:
        self.settings = settings or {}
        self.dataset = dataset
        super().__init__(**kwargs)


@dataclass(frozen=True)
class Written:
    """A catalogue's IDs as tokens.

    Attributes:
        tokenizer: Tokenizer of prompts and IDs.
        items: The IDs.
        words: Parts of IDs that are one token each.

    """

    tokenizer: PreTrainedTokenizerBase
    items: ItemTokens
    words: list[str]

    @classmethod
    def of(
        cls, catalogue: Catalogue, histories: Sequence[History], settings: Settings, *, backbone: str, ending: str = ""
    ) -> Written:
        """Number the items, and choose or train the tokenizer.

        Args:
            catalogue: The items.
            histories: Training histories.
            settings: Settings of the numbering and of prompts.
            backbone: Whose tokenizer: a preset, a local directory or a hub name.
            ending: What follows every prompt.

        Raises:
            UserError: The catalogue cannot be numbered as asked, or the tokenizer cannot be loaded.

        """
        numbered = number_items(catalogue, histories, settings)
        tokenizer = tokenizer_for(
            backbone,
            lambda: _corpus(catalogue, histories, numbered, settings, ending),
            vocab_size=settings.vocab_size,
            words=numbered.words,
        )
        items = ItemTokens.encode(numbered.ids, catalogue, WordEncoder(tokenizer))
        return cls(tokenizer, items, numbered.words)


class Prompted(Generative):
    """A recommender that is asked in words.

    Attributes:
        ending: What follows every prompt.

    """

    ending: ClassVar[str] = ""
    settings: Settings
    config: PromptedConfig
    _tokenizer: PreTrainedTokenizerBase | None = None
    _encoder: WordEncoder | None = None

    @abstractmethod
    def pad_prompts(self, prompts: Sequence[Encoded]) -> dict[str, Tensor]:
        """Stack B requests into the tensors that `prompt` embeds."""

    @classmethod
    def numberings(
        cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings
    ) -> Sequence[ItemNumbers]:
        """Number items 1..n by every scheme of `Numbering`, and as the catalogue numbers them."""
        assert isinstance(settings, Settings)
        return numbering.numberings(catalogue, histories, settings)

    def _adopt(self, tokenizer: PreTrainedTokenizerBase, items: ItemTokens) -> None:
        self._tokenizer, self.items, self._encoder = tokenizer, items, WordEncoder(tokenizer)

    @property
    def labels(self) -> tuple[str, ...]:
        """Say so when the numbering leaks."""
        return self.settings.numbering.labels

    @property
    def tokenizer_name(self) -> str | None:
        """Where the tokenizer of prompts and IDs comes from."""
        return tokenizer_name(self._tokenizer, self.settings.preset)

    def request(self, prompt: str, user: int, items: Sequence[int]) -> Encoded:
        """Fill and tokenise a prompt with the newest items of a history."""
        assert self.items is not None
        ids = [self.items.ids[item - 1] for item in items[-self.settings.max_history :]]
        return self._encode(fill(prompt + self.ending, self.config.dataset, user, ids))

    def _encode(self, text: str) -> Encoded:
        assert self._encoder is not None
        return self._encoder(text)

    def target(self, item: int) -> tuple[int, ...]:
        """Return the tokens that are to be generated for an item, the end of sequence last."""
        assert self.items is not None
        return self.items.sequences[item - 1]

    def examples(self, histories: Sequence[History]) -> Examples:
        """Cut histories into one example for each item that has another before it."""
        return PromptExamples(self, histories)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad prompts and, on the right, ``labels`` [B, T]."""
        batch = self.pad_prompts([example["prompt"] for example in examples])
        return batch | {"labels": pad([example["labels"] for example in examples], value=IGNORED)}

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Fill the serving prompt, tokenise and pad; with seen items removed also ``seen_items`` [B, H]."""
        prompt = PROMPTS[self.settings.prompt]
        batch = self.pad_prompts([self.request(prompt, history.user, history.items) for history in histories])
        if self.serving.seen is SeenItems.REMOVE:
            batch["seen_items"] = pad([history.items for history in histories])
        return BatchFeature(batch)

    def save_assets(self, folder: Path) -> None:
        """Save the tokenizer and the item IDs."""
        assert self._tokenizer is not None
        assert self.items is not None
        self._tokenizer.save_pretrained(folder / TOKENIZER)
        self.items.save(folder)

    def load_assets(self, folder: Path) -> None:
        """Load the tokenizer and the item IDs."""
        self._adopt(saved_tokenizer(folder / TOKENIZER), ItemTokens.load(folder))


class PromptExamples(Cuts):
    """Every training item with what came before it, under a seen prompt drawn from torch's generator.

    Args:
        model: Fills and tokenises the prompts.
        histories: Training histories; those with one item yield nothing.

    """

    def __init__(self, model: Prompted, histories: Sequence[History]) -> None:
        super().__init__(histories, model.settings.max_history)
        self._model = model

    @property
    def lengths(self) -> list[int]:
        """Prompt tokens of each example, estimated from its number of items."""
        model = self._model
        pair, single = (len(model.request(SEEN[0], 0, items).tokens) for items in ((1, 1), (1,)))
        frame = len(model.request(SEEN[0], 0, ()).tokens)
        lengths: list[int] = (frame + (pair - single) * np.array(super().lengths, dtype=np.int64)).tolist()
        return lengths

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Make one example: a prompt (`Encoded`) and the target's tokens."""
        before, following = self.cut(number)
        prompt = SEEN[int(torch.randint(len(SEEN), ()))]
        return {
            "prompt": self._model.request(prompt, before.user, before.items),
            "labels": self._model.target(following),
        }


def token_rows(name: str, config: PretrainedConfig, tokens: int) -> int:
    """Return how many token embeddings the backbone `name` gets under a tokenizer of so many tokens.

    A compact preset has as many as there are tokens. Presets of a published size keep its rows even
    under a smaller trained tokenizer, so that the output layer costs what it costs in a model from
    pretrained weights.
    """
    own: int = PRESETS[name][1].get("vocab_size", 0) if is_preset(name) else config.vocab_size
    return max(tokens, own)


def _corpus(
    catalogue: Catalogue, histories: Sequence[History], numbered: Numbered, settings: Settings, ending: str
) -> Iterator[str]:
    """Yield what a tokenizer is trained on: prompts, targets and item texts, without the added words."""
    yield " ".join("0123456789")  # a user may have a number of digits that the sample has not
    step = max(1, len(histories) // SAMPLE)
    for place, history in enumerate(histories[::step]):
        ids = [numbered.ids[item - 1] for item in history.items[-settings.max_history :]]
        yield CLUSTER_TOKEN.sub("", fill(PROMPTS[place % len(PROMPTS)] + ending, catalogue.name, history.user, ids))
    for text, item in zip(numbered.ids, catalogue.items, strict=True):
        yield CLUSTER_TOKEN.sub("", OUTPUT.format(dataset=catalogue.name, id=text))
        yield item.text
