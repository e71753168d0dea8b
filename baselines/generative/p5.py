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

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import (
    AutoTokenizer,
    BatchFeature,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers import initialization as init
from transformers.utils.generic import ModelOutput

from baselines.decoding.beams import Prompt
from baselines.generative.generative import IGNORED, Generative
from baselines.generative.prompts import PROMPTS, SEEN, fill
from baselines.item_ids import numbering
from baselines.item_ids.collaborative import CLUSTER_TOKEN
from baselines.item_ids.item_tokens import OUTPUT, ItemTokens
from baselines.item_ids.numbering import Numbered, number_items
from baselines.item_ids.words import Encoded, WordEncoder
from models import recommender
from models.backbones import PRESETS, Role, backbone_config, is_preset, new_backbone, pretrained_backbone
from models.errors import UserError
from models.recommender import Catalogue, History, SeenItems, pad
from models.tokenizers import TOKENIZER, tokenizer_for, tokenizer_name

WHOLE_WORDS = 512
"""Rows of the whole-word embedding, as in P5; later words share the last."""

SAMPLE = 2000
"""Histories whose prompts a tokenizer is trained on."""


class Settings(numbering.Settings):
    """Settings of P5; `preset` is ``compact``, ``t5-small``, ``t5-base``, a local directory or a hub name.

    Attributes:
        max_history: Most items of a prompt.
        prompt: Which prompt serves: 0 to 9 are trained on, 10 is the unseen one.
        vocab_size: Upper bound of a tokenizer that is trained for lack of a pretrained one, added
            cluster tokens excluded. Small, so that numbers fall into pieces as under T5's own.
        dropout: T5's, in every layer. On a CPU it takes a third of a training step, and the compact
            preset learns faster in few steps without it.

    """

    max_history: int = Field(default=20, ge=1)
    prompt: int = Field(default=0, ge=0, lt=len(PROMPTS))
    vocab_size: int = Field(default=1024, ge=256)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class P5Config(PretrainedConfig):
    """What a P5 is made of.

    Attributes:
        settings: The `Settings` it was built with.
        t5: Configuration of the backbone.
        dataset: Name of the catalogue as prompts spell it.

    """

    model_type = "p5"

    def __init__(
        self,
        settings: dict[str, Any] | None = None,
        t5: dict[str, Any] | None = None,
        dataset: str = "",
        **kwargs: Any,
    ) -> None:
        self.settings = settings or {}
        self.t5 = t5 or {}
        self.dataset = dataset
        super().__init__(**kwargs)


class P5(Generative):
    """See the module's docstring. Shapes: B users, S prompt tokens, T target tokens."""

    settings_type = Settings
    config_class = P5Config
    config: P5Config

    def __init__(self, config: P5Config) -> None:
        super().__init__(config)
        self.settings = Settings(**config.settings)
        self.t5 = cast("T5ForConditionalGeneration", new_backbone(T5Config(**config.t5), Role.ENCODER_DECODER))
        self.whole_words = nn.Embedding(WHOLE_WORDS, self.t5.config.d_model)
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._encoder: WordEncoder | None = None
        self.post_init()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Number the items, choose or train the tokenizer, and make seeded or pretrained weights.

        Raises:
            UserError: `settings.preset` is no T5, or the catalogue cannot be numbered as asked.

        """
        assert isinstance(settings, Settings)
        numbered = number_items(catalogue, histories, settings)
        tokenizer = tokenizer_for(
            settings.preset,
            lambda: _corpus(catalogue, histories, numbered, settings),
            vocab_size=settings.vocab_size,
            words=numbered.words,
        )
        items = ItemTokens.encode(numbered.ids, catalogue, WordEncoder(tokenizer))
        config = P5Config(
            settings=settings.model_dump(mode="json"),
            t5=_t5_config(settings, len(tokenizer)).to_dict(),
            dataset=catalogue.name,
        )
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = cls(config)
            if not is_preset(settings.preset):
                model._load_pretrained(settings.preset, tokenizer)
        model._adopt(tokenizer, items)
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

    def _adopt(self, tokenizer: PreTrainedTokenizerBase, items: ItemTokens) -> None:
        self._tokenizer, self.items, self._encoder = tokenizer, items, WordEncoder(tokenizer)

    @property
    def labels(self) -> tuple[str, ...]:
        """Say so when the numbering leaks."""
        return self.settings.numbering.labels

    def request(self, prompt: str, user: int, items: Sequence[int]) -> Encoded:
        """Fill and tokenise a prompt with the newest items of a history."""
        assert self._encoder is not None
        assert self.items is not None
        ids = [self.items.ids[item - 1] for item in items[-self.settings.max_history :]]
        return self._encoder(fill(prompt, self.config.dataset, user, ids))

    def target(self, item: int) -> tuple[int, ...]:
        """Return the tokens that are to be generated for an item, the end of sequence last."""
        assert self.items is not None
        return self.items.sequences[item - 1]

    def examples(self, histories: Sequence[History]) -> PromptExamples:
        """Cut histories into one example for each item that has another before it."""
        return PromptExamples(self, histories)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad on the right: ``input_ids``, ``attention_mask``, ``whole_word_ids`` [B, S], ``labels`` [B, T]."""
        batch = _pad_prompts([example["prompt"] for example in examples])
        return batch | {"labels": pad([example["labels"] for example in examples], value=IGNORED)}

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

    @property
    def tokenizer_name(self) -> str | None:
        """Where the tokenizer of prompts and IDs comes from."""
        return tokenizer_name(self._tokenizer, self.settings.preset)

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Fill the serving prompt, tokenise and pad; with seen items removed also ``seen_items`` [B, H]."""
        prompt = PROMPTS[self.settings.prompt]
        batch = _pad_prompts([self.request(prompt, history.user, history.items) for history in histories])
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
        self._adopt(AutoTokenizer.from_pretrained(folder / TOKENIZER), ItemTokens.load(folder))

    def _embed(self, input_ids: Tensor, whole_word_ids: Tensor) -> Tensor:
        embedded: Tensor = self.t5.get_input_embeddings()(input_ids) + self.whole_words(whole_word_ids)
        return embedded  # [B, S, D]


class PromptExamples:
    """Every training item with what came before it, under a seen prompt drawn from torch's generator.

    Args:
        model: Fills and tokenises the prompts.
        histories: Training histories; those with one item yield nothing.

    """

    def __init__(self, model: P5, histories: Sequence[History]) -> None:
        self._model = model
        self._histories = [history for history in histories if len(history.items) > 1]
        self._first = np.cumsum([0, *(len(history.items) - 1 for history in self._histories)])

    @property
    def lengths(self) -> list[int]:
        """Prompt tokens of each example, estimated from its number of items."""
        model = self._model
        per_item = len(model.request("{history}", 0, (1, 1)).tokens) // 2
        frame = len(model.request(SEEN[0], 0, ()).tokens)
        before = np.arange(len(self)) - np.repeat(self._first[:-1], np.diff(self._first)) + 1
        lengths: list[int] = (frame + per_item * np.minimum(before, model.settings.max_history)).tolist()
        return lengths

    def __len__(self) -> int:
        """Count the examples."""
        return int(self._first[-1])

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Make one example: a prompt (`Encoded`) and the target's tokens."""
        row = int(np.searchsorted(self._first, number, side="right")) - 1
        history, end = self._histories[row], number - int(self._first[row]) + 1
        prompt = SEEN[int(torch.randint(len(SEEN), ()))]
        before = history.items[max(0, end - self._model.settings.max_history) : end]
        return {
            "prompt": self._model.request(prompt, history.user, before),
            "labels": self._model.target(history.items[end]),
        }


def _pad_prompts(prompts: Sequence[Encoded]) -> dict[str, Tensor]:
    words = pad([prompt.words for prompt in prompts]).clamp(max=WHOLE_WORDS - 1)
    mask = pad([[1] * len(prompt.tokens) for prompt in prompts])
    return {"input_ids": pad([prompt.tokens for prompt in prompts]), "attention_mask": mask, "whole_word_ids": words}


def _t5_config(settings: Settings, tokens: int) -> T5Config:
    """Return the backbone's configuration; `compact` has as many embeddings as the tokenizer has tokens.

    The others keep their 32,128 rows even under a smaller trained tokenizer, so that the output
    layer costs what it costs in a P5 from pretrained weights.
    """
    name = settings.preset
    config = backbone_config(name, dropout_rate=settings.dropout)
    if not isinstance(config, T5Config):
        raise UserError(
            f"p5 needs a T5 backbone, and {name!r} is a {config.model_type}: use compact, t5-small or t5-base"
        )
    own = config.vocab_size if not is_preset(name) else PRESETS[name][1].get("vocab_size", 0)
    config.vocab_size = max(tokens, own)
    return config


def _corpus(
    catalogue: Catalogue, histories: Sequence[History], numbered: Numbered, settings: Settings
) -> Iterator[str]:
    """Yield what a tokenizer is trained on: prompts, targets and item texts, without the added words."""
    yield " ".join("0123456789")  # a user may have a number of digits that the sample has not
    step = max(1, len(histories) // SAMPLE)
    for place, history in enumerate(histories[::step]):
        ids = [numbered.ids[item - 1] for item in history.items[-settings.max_history :]]
        yield CLUSTER_TOKEN.sub("", fill(PROMPTS[place % len(PROMPTS)], catalogue.name, history.user, ids))
    for text, item in zip(numbered.ids, catalogue.items, strict=True):
        yield CLUSTER_TOKEN.sub("", OUTPUT.format(dataset=catalogue.name, id=text))
        yield item.text
