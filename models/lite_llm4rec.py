"""Lite-LLM4Rec (arXiv 2402.09543): one forward pass scores the whole catalogue, no beam search.

::

    item texts ─▶ Item LLM ─▶ projection ─▶ item vectors      `index`, once per catalogue
    history ─▶ item vectors ─▶ Recommendation LLM ─▶ state    `recommend`, once per request
    state ─▶ item projection head ─▶ a score for every item

Trained with cross-entropy over the catalogue. The paper's ablations are settings: `hierarchy`
(``flattened`` feeds the items' tokens to the Recommendation LLM), `item_llm` (``ids`` replaces it
by an embedding table), `item_llm_training` (tuned or frozen) and `backbone`. The one with a decoder
and beam search in place of the head is the recommender ``lite-llm4rec-beam``.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional
from transformers import BatchFeature, PretrainedConfig, PreTrainedTokenizerBase
from transformers.utils.generic import ModelOutput

from models import forward_costs, item_vectors, recommender
from models.backbones import Role, backbone_config, is_preset, new_backbone, pretrained_backbone
from models.catalogue import Catalogue, History
from models.errors import UserError
from models.flattened import FlatItems
from models.int8 import Int8Rows
from models.item_encoder import reading_role
from models.item_vectors import IDS, ItemLLMTraining, ItemVectors, as_config, item_llm_config, item_texts, load_item_llm
from models.kept_keys import KeptKeys, Returning, Shape
from models.losses import catalogue_cross_entropy
from models.padding import PADDING
from models.sequences import Prefixes, Windows, collate_windows, request_batch
from models.spoken import Spoken
from models.tokenizers import tokenizer_for, tokenizer_name
from models.trainable import Examples, TrainableRecommender

REC_LLMS = {"compact": "compact-causal"}
"""Which Recommendation LLM goes with a preset; the preset itself where nothing is said."""


class Hierarchy(StrEnum):
    """What the Recommendation LLM reads: one vector an item, or all tokens of all items."""

    ITEMS = "items"
    FLATTENED = "flattened"


class Head(StrEnum):
    """What a state is scored against."""

    LINEAR = "linear"
    """A row of weights an item: the paper's item projection head."""
    ITEMS = "items"
    """The item vectors that the Recommendation LLM reads, and a bias an item: what the text tells of an item is
    used on both sides, as SASRec does with its embeddings. Not the paper's."""


class Settings(item_vectors.Settings):
    """Settings of Lite-LLM4Rec.

    Attributes:
        hierarchy: One vector an item, or the items' tokens.
        head: What a state is scored against.
        max_tokens: Most tokens of a flattened history.
        instruction: Text that stands before the history; empty for none.

    """

    hierarchy: Hierarchy = Hierarchy.ITEMS
    head: Head = Head.LINEAR
    max_tokens: int = Field(default=512, ge=1, le=100_000)
    instruction: str = ""

    @model_validator(mode="after")
    def _vectors_of_all_items_at_hand(self) -> Self:
        trains_text = self.item_llm_name != IDS and self.item_llm_training is ItemLLMTraining.TUNED
        if self.head is Head.ITEMS and (trains_text or self.hierarchy is Hierarchy.FLATTENED):
            raise ValueError(
                "head=items needs the vectors of all items at each step: freeze the Item LLM, or use item_llm=ids"
            )
        return self

    @property
    def rec_llm_name(self) -> str:
        """The Recommendation LLM that is used when `backbone` says nothing."""
        return self.backbone or REC_LLMS.get(self.preset, self.preset)


class LiteLLM4RecConfig(PretrainedConfig):
    """What a Lite-LLM4Rec is made of.

    Attributes:
        items: Size n of the catalogue.
        settings: The `Settings` it was built with.
        item_llm: Configuration of the Item LLM; None for ID embeddings or a flattened history.
        rec_llm: Configuration of the Recommendation LLM.
        instruction: Token numbers of the instruction.

    """

    model_type = "lite-llm4rec"

    def __init__(
        self,
        items: int = 1,
        settings: dict[str, Any] | None = None,
        item_llm: dict[str, Any] | None = None,
        rec_llm: dict[str, Any] | None = None,
        instruction: Sequence[int] = (),
        **kwargs: Any,
    ) -> None:
        self.items = items
        self.settings = settings or {}
        self.item_llm = item_llm
        self.rec_llm = rec_llm or {"model_type": "llama"}
        self.instruction = list(instruction)
        super().__init__(**kwargs)


class LiteLLM4Rec(Returning, TrainableRecommender):
    """See the module's docstring. Shapes: B users, S places, D width of the Recommendation LLM."""

    settings_type: ClassVar[type[Settings]] = Settings
    spoken = Spoken(
        "Lite-LLM4Rec",
        {
            "Lite-LLM4Rec, flattened": {"hierarchy": "flattened"},
            "Lite-LLM4Rec, text + IDs": {"item_ids": True},
            "Lite-LLM4Rec, IDs": {"item_llm": "ids"},
            "Lite-LLM4Rec, frozen MiniLM": {"item_llm": "minilm", "item_llm_training": "frozen"},
        },
    )
    config_class: type[LiteLLM4RecConfig] = LiteLLM4RecConfig
    config: LiteLLM4RecConfig
    settings: Settings

    def __init__(self, config: LiteLLM4RecConfig) -> None:
        super().__init__(config)
        self.settings = self.settings_type(**config.settings)
        rec_config = as_config(config.rec_llm)
        self.role = reading_role(rec_config)
        self.rec_llm = new_backbone(rec_config, self.role)
        width: int = rec_config.hidden_size
        self.reader: ItemVectors | FlatItems
        if self.settings.hierarchy is Hierarchy.ITEMS:
            self.reader = ItemVectors(config.items, width, self.settings, config.item_llm)
        else:
            self.reader = FlatItems(self.settings.text_tokens, self.settings.max_tokens)
        self.dropout = nn.Dropout(self.settings.dropout)
        self._instructions: dict[torch.device, Tensor] = {}
        if self.settings.head is Head.LINEAR:
            self.head = nn.Linear(width, config.items + 1)
        else:
            self.query = nn.Linear(width, width)
            self.bias = nn.Parameter(torch.zeros(config.items + 1))
        self.post_init()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Make one with seeded random weights, or pretrained ones where `settings` name some."""
        del histories
        assert isinstance(settings, Settings)
        flattened = settings.hierarchy is Hierarchy.FLATTENED
        item_llm = None if flattened else item_llm_config(catalogue, settings)
        words: PreTrainedTokenizerBase | None = None
        if flattened or settings.instruction:
            texts = [settings.instruction, *item_texts(catalogue)]
            words = tokenizer_for(settings.rec_llm_name, lambda: texts, vocab_size=settings.vocab_size)
        rec_llm = cls._rec_llm_config(settings, words)
        config = cls.config_class(
            items=len(catalogue),
            settings=settings.model_dump(mode="json"),
            item_llm=item_llm and item_llm[0].to_dict(),
            rec_llm=rec_llm.to_dict(),
            instruction=words(settings.instruction)["input_ids"] if words and settings.instruction else (),
        )
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            model = cls(config)
            if not is_preset(settings.rec_llm_name):
                model.rec_llm = pretrained_backbone(settings.rec_llm_name, model.role)
            if isinstance(model.reader, ItemVectors):
                model.reader.tokenizer = item_llm and item_llm[1]
                load_item_llm(model.reader, settings)
            else:
                model.reader.tokenizer = words
        model.reader.read(catalogue)
        return model

    @staticmethod
    def _rec_llm_config(settings: Settings, words: PreTrainedTokenizerBase | None) -> PretrainedConfig:
        """Size the token embeddings to what is read: nothing, where item vectors are all there is."""
        name = settings.rec_llm_name
        if not is_preset(name):
            return backbone_config(name)
        changes = {"pad_token_id": None, "bos_token_id": None, "eos_token_id": None} if words is None else {}
        return backbone_config(name, vocab_size=len(words) if words else 1, **changes)

    def examples(self, histories: Sequence[History]) -> Examples:
        """Cut histories into windows; into prefixes where the Recommendation LLM sees both ways."""
        length = self.settings.max_length
        if isinstance(self.reader, FlatItems):
            length = min(length, self.reader.items_that_fit)
        return Windows(histories, length) if self.role is Role.CAUSAL else Prefixes(histories, length)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad on the right; a flattened history carries its labels at each item's last token."""
        return self.reader.flatten(examples) if isinstance(self.reader, FlatItems) else collate_windows(examples)

    def forward(self, input_ids: Tensor, labels: Tensor) -> ModelOutput:
        """Return the mean cross-entropy over all places with a label; both int64 [B, S]."""
        real = labels != PADDING
        if self.settings.head is Head.LINEAR:
            queries, vectors, bias = self.states(input_ids)[real], self.head.weight, self.head.bias
        else:
            vectors, bias = self._item_reader.all_vectors(), self.bias
            queries = self.query(self._states_of(vectors[input_ids], input_ids)[real])
        loss = catalogue_cross_entropy(self.dropout(queries), vectors[1:], labels[real] - 1, bias[1:])
        return ModelOutput(loss=loss)  # padding is no candidate

    def index(self, catalogue: Catalogue) -> None:
        """Encode every item's text once.

        Raises:
            UserError: The catalogue is not the one the projection head was made for.

        """
        if len(catalogue) != self.config.items:
            raise UserError(
                f"lite-llm4rec's head scores {self.config.items} items and {catalogue.name} has {len(catalogue)}: "
                "train it on this dataset, loaded with the same options"
            )
        self.reader.read(catalogue)
        self.reader.index()
        self.rebuild()
        self.forget()

    def new_kept(self) -> KeptKeys | None:
        """Return room for users, where the Recommendation LLM is causal and reads one vector an item."""
        if self.role is not Role.CAUSAL or isinstance(self.reader, FlatItems):
            return None
        shape = Shape.of(self.rec_llm.config, self.settings.max_length, len(self.config.instruction))
        return KeptKeys(self._read_on, shape, next(self.rec_llm.parameters()))

    def _read_on(self, events: Tensor, **how: Any) -> Any:
        """Read items [B, S], behind the instruction or behind what was read before."""
        read = self.reader(events)
        return self.rec_llm(inputs_embeds=read if "past_key_values" in how else self._instructed(read), **how)

    @property
    def tokenizer_name(self) -> str | None:
        """Where the tokenizer of the item texts comes from."""
        flattened = isinstance(self.reader, FlatItems)
        backbone = self.settings.rec_llm_name if flattened else self.settings.item_llm_name
        return tokenizer_name(self.reader.tokenizer, backbone)

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of the item vectors (of the item tokens when flattened), and of the ranker."""
        name = "item tokens" if isinstance(self.reader, FlatItems) else "item vectors"
        return {name: self.reader.index_bytes} | super().index_parts

    def padded(self, histories: Sequence[History]) -> BatchFeature:
        """Pad the newest items on the right."""
        batch = request_batch(histories, self.settings.max_length, self.serving)
        return self.reader.request(histories, batch) if isinstance(self.reader, FlatItems) else batch

    def most_places(self, name: str) -> int | None:
        """Return the most items, or flattened the most tokens, that are read."""
        if name != "input_ids":
            return None
        flattened = isinstance(self.reader, FlatItems)
        return self.settings.max_tokens if flattened else self.settings.max_length

    def query_of(self, inputs: BatchFeature) -> Tensor:
        """Return what items are scored against, [B, D]: the newest item's state."""
        states = self.states(inputs["input_ids"])
        return self.query_from(states[torch.arange(len(states), device=states.device), inputs["last"]])

    def query_from(self, hidden: Tensor) -> Tensor:
        """Turn states [B, D] to where the item vectors are, where these are what is scored against."""
        return hidden if self.settings.head is Head.LINEAR else self.query(hidden)

    @property
    def ranked_rows(self) -> tuple[Tensor | Int8Rows, Tensor]:
        """Return a row an item, [n + 1, D], and its bias [n + 1]."""
        if self.settings.head is Head.LINEAR:
            return self.head.weight, self.head.bias
        return self._item_reader.vectors, self.bias

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up the Recommendation LLM, instruction included, and the projection head; item vectors are at hand."""
        if self.is_known(inputs):
            return None
        users, places = inputs["input_ids"].shape
        read = forward_costs.reader(self.rec_llm.config, users, len(self.config.instruction) + places)
        linear = self.settings.head is Head.LINEAR
        turned = 0 if linear else forward_costs.products(users, (self.query.in_features, self.query.out_features))
        return forward_costs.total(read, turned, self.ranking_flops(users))

    def states(self, input_ids: Tensor) -> Tensor:
        """Run the Recommendation LLM over items (or, flattened, tokens) [B, S] to states [B, S, D]."""
        embed = self.rec_llm.get_input_embeddings()
        return self._states_of(
            embed(input_ids) if isinstance(self.reader, FlatItems) else self.reader(input_ids), input_ids
        )

    @property
    def _item_reader(self) -> ItemVectors:
        assert isinstance(self.reader, ItemVectors)
        return self.reader

    def _states_of(self, read: Tensor, input_ids: Tensor) -> Tensor:
        """Run the Recommendation LLM over what it reads [B, S, D]."""
        inputs = self._instructed(self.dropout(read))
        before = len(self.config.instruction)
        mask = None
        if self.role is Role.ENCODER:  # causal backbones see no padding: it stands on the right
            mask = functional.pad(input_ids != PADDING, (before, 0), value=True)
            mask[:, before] = True  # an empty history reads one padding item
        states: Tensor = self.rec_llm(inputs_embeds=inputs, attention_mask=mask).last_hidden_state
        return states[:, before:]

    def _instructed(self, read: Tensor) -> Tensor:
        """Put the instruction before what is read, [B, S, D]."""
        if not self.config.instruction:
            return read
        instruction = self.rec_llm.get_input_embeddings()(self._instruction(read.device))
        return torch.cat([instruction.expand(len(read), -1, -1), read], dim=1)

    def _instruction(self, device: torch.device) -> Tensor:
        """Return the instruction's tokens, which no request may bring from the host once it is captured."""
        if self._instructions.get(device) is None:
            with torch.inference_mode(False):
                self._instructions[device] = torch.tensor(self.config.instruction, device=device)
        return self._instructions[device]

    def save_assets(self, folder: Path) -> None:
        """Save the tokenizer."""
        self.reader.save_tokenizer(folder)

    def load_assets(self, folder: Path) -> None:
        """Load the tokenizer."""
        self.reader.load_tokenizer(folder)
