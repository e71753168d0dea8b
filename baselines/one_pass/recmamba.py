"""RecMamba: one Mamba layer over a long history of item IDs, and nothing else (Yang et al. 2024, arXiv 2403.16371).

From the public code (nancheng58/RecMamba at 4ff9452): item embeddings times the root of their width, one Mamba layer of
width 64 with 32 numbers of state a unit, no residual, no norm, no feed-forward; the newest output is scored against the
item embeddings. Trained with binary cross-entropy and one negative a place, as published, or with ``loss=ce``.

What differs, unless `as_released`: the released code pads every history on the left to its greatest length and reads
the padding as events, so that a history of five costs what one of five thousand costs, and each event has a learned
position that changes with every further event. Here padding is not read, and the layer alone tells what came first. So
what is known of a user is a state of fixed size: once `remember` has read a history, a request with one event more
costs one step, however long the history is. For histories of up to `max_length` events its list is that of the whole
pass; beyond, the state remembers what the whole pass no longer reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import BatchFeature, PretrainedConfig
from transformers import initialization as init
from transformers.utils.generic import ModelOutput

from models import forward_costs, recommender
from models.catalogue import Catalogue, History
from models.dropout import Dropout
from models.errors import UserError
from models.item_scored import ItemScored
from models.kept_states import KeepsUsers, KeptStates, key_of
from models.losses import binary_cross_entropy, catalogue_cross_entropy
from models.padding import PADDING
from models.phases import phase
from models.ragged import pad
from models.sequences import Windows, collate_windows, negatives_outside, request_batch
from models.serving import Recommendations
from models.spoken import Spoken
from models.state_space import PATH, State, StateSpace

SIZES: dict[str, int] = {"compact": 64, "t5-small": 512, "t5-base": 768}
"""Widths; compact is the published one, the others are those of the T5s they are named after."""

STATE = 32

KEPT = 4096
"""Most histories whose states are kept."""

READ = 64
"""Histories that `remember` reads at a time."""

NOTHING = (PADDING,)
"""What is read for a user without any event."""


class Loss(StrEnum):
    """What training minimises."""

    BCE = "bce"
    CE = "ce"


class Settings(recommender.Settings):
    """Settings of RecMamba.

    Attributes:
        loss: Binary cross-entropy with one sampled negative, as published, or full softmax cross-entropy.
        max_length: Most events read of a history.
        window: Most predictions of one training example; longer histories are cut into several. With `as_released`
            it is `max_length`, whatever it says.
        dropout: On the item vectors that are read, and with ``loss=ce`` on what is scored.
        as_released: Pad on the left to `max_length` and read the padding, with learned positions.

    """

    loss: Loss = Loss.BCE
    max_length: int = Field(default=5000, ge=1, le=100_000)
    window: int = Field(default=200, ge=1, le=100_000)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    as_released: bool = False


class RecMambaConfig(PretrainedConfig):
    """Size of the catalogue, and the settings it was built with."""

    model_type = "recmamba"

    def __init__(self, items: int = 1, settings: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.items = items
        self.settings = settings or {}
        super().__init__(**kwargs)


class RecMamba(KeepsUsers, ItemScored):
    """See the module's docstring. Shapes: B users, S events, D width, n items."""

    settings_type = Settings
    spoken = Spoken("RecMamba")
    config_class = RecMambaConfig
    config: RecMambaConfig
    kept: KeptStates | None = None
    kept_name = "users' states"

    def __init__(self, config: RecMambaConfig) -> None:
        super().__init__(config)
        self.settings = Settings(**config.settings)
        width = SIZES[self.settings.preset]
        self.items = nn.Embedding(config.items + 1, width, padding_idx=PADDING)
        self.positions = nn.Embedding(self.settings.max_length, width) if self.settings.as_released else None
        self.dropout = Dropout(self.settings.dropout)
        self.mamba = StateSpace(width, state=STATE)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Draw embeddings as the released code does, and the layer's weights as Mamba's own."""
        super()._init_weights(module)
        if isinstance(module, StateSpace):
            module.initialise()
        elif isinstance(module, nn.Embedding):
            init.xavier_normal_(module.weight)
            if module.padding_idx is not None and not getattr(module.weight, "_is_hf_initialized", False):
                init.zeros_(module.weight[module.padding_idx])

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Make one with seeded random weights."""
        del histories
        if settings.preset not in SIZES:
            raise UserError(f"recmamba has no preset {settings.preset!r}: use one of {', '.join(SIZES)}")
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            return cls(RecMambaConfig(len(catalogue), settings.model_dump(mode="json")))

    @property
    def item_vectors(self) -> Tensor:
        """The embeddings that the layer reads."""
        return self.items.weight

    @property
    def labels(self) -> tuple[str, ...]:
        """How the state space is computed."""
        return (PATH,)

    def examples(self, histories: Sequence[History]) -> Windows:
        """Cut histories into windows."""
        return Windows(histories, self.settings.max_length if self.settings.as_released else self.settings.window)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad windows on the right; as released, on the left and to the full length."""
        if not self.settings.as_released:
            return collate_windows(examples)
        return {name: self._whole_length([example[name] for example in examples]) for name in ("input_ids", "labels")}

    def forward(self, input_ids: Tensor, labels: Tensor) -> ModelOutput:
        """Return the mean loss over all places with a label; both arguments are int64 [B, S]."""
        real = labels != PADDING
        queries = self.mamba(self.dropout(self._read(input_ids)))[real]  # [T, D]
        positives, vectors = labels[real], self.items.weight
        if self.settings.loss is Loss.CE:
            loss = catalogue_cross_entropy(self.dropout(queries), vectors[1:], positives - 1)  # padding is no candidate
        else:
            negatives = negatives_outside(input_ids, labels, self.config.items)[real]
            loss = binary_cross_entropy(queries, vectors, positives, negatives)
        return ModelOutput(loss=loss)

    def index(self, catalogue: Catalogue) -> None:
        """Check the catalogue, and forget all users."""
        super().index(catalogue)
        self.forget()

    @torch.inference_mode()
    def remember(self, histories: Sequence[History]) -> None:
        """Read histories and keep their states; see `models.recommender.Recommender.remember`.

        Raises:
            UserError: As released, nothing can be kept: each further event changes the positions of all.

        """
        if self.settings.as_released:
            raise UserError("recmamba as_released keeps no states: a further event moves all others; leave it out")
        if self.kept is None:
            nothing = self.mamba.nothing(1, self.items.weight)
            self.kept = KeptStates((nothing.window, nothing.space), KEPT)
        for start in range(0, len(histories), READ):
            part = histories[start : start + READ]
            batch = request_batch(part, self.settings.max_length, self.serving).to(self.device)
            _, state = self.mamba.read(self._read(batch["input_ids"]), batch["last"])
            self.kept.keep([key_of(history.items or NOTHING) for history in part], (state.window, state.space))

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Pad the newest `max_length` events on the right; as released, on the left and to the full length.

        Once states are kept, there are two more columns: ``before`` and ``after`` int64 [B], the keys of each history
        without its newest event and with it.
        """
        batch = request_batch(histories, self.settings.max_length, self.serving)
        if self.settings.as_released:
            batch["input_ids"] = self._whole_length([history.items for history in histories])
            batch["last"] = torch.full_like(batch["last"], self.settings.max_length - 1)
        elif self.kept is not None:
            batch["before"] = torch.tensor([key_of(history.items[:-1]) for history in histories])
            batch["after"] = torch.tensor([key_of(history.items or NOTHING) for history in histories])
        return batch

    def most_places(self, name: str) -> int | None:
        """Return the most events that are read."""
        return self.settings.max_length if name == "input_ids" else None

    def recommend(self, inputs: BatchFeature, k: int) -> Recommendations:
        """Score every item against the newest output: by one step for remembered users, else by a whole pass."""
        if self.kept is None or "before" not in inputs:
            return super().recommend(inputs, k)
        with phase("encode"):
            query = self._stepped(inputs, self.kept)
        return self.ranked(query, inputs, k)

    def query_of(self, inputs: BatchFeature) -> Tensor:
        """Return the newest output of a whole pass, [B, D]."""
        query, _ = self.mamba.read(self._read(inputs["input_ids"]), inputs["last"])
        return query

    def _stepped(self, inputs: BatchFeature, kept: KeptStates) -> Tensor:
        """Take one step from each user's state, and keep where it leads."""
        ids, last = inputs["input_ids"], inputs["last"]
        before = self._before(inputs, inputs["before"].tolist(), kept)
        newest = self._read(ids.gather(1, last[:, None]))
        query, after = self.mamba.read(newest, torch.zeros_like(last), before)
        kept.keep(inputs["after"].tolist(), (after.window, after.space))
        return query

    def _before(self, inputs: BatchFeature, keys: list[int], kept: KeptStates) -> State:
        """Return each user's state before the newest event; who is not known is read from the first event."""
        there = kept.meet(keys)
        unread = [row for row, here in enumerate(there) if not here]
        if not unread:
            return State(*kept.get(keys))
        ids = inputs["input_ids"]
        state = self.mamba.nothing(len(ids), self.items.weight)
        remembered = [row for row, here in enumerate(there) if here]
        if remembered:
            state.window[remembered], state.space[remembered] = kept.get([keys[row] for row in remembered])
        with phase("read history"):  # up to place -1, which is nothing, where the newest event is the first
            _, read = self.mamba.read(self._read(ids[unread]), inputs["last"][unread] - 1)
        state.window[unread], state.space[unread] = read.window, read.space
        kept.keep([keys[row] for row in unread], (read.window, read.space))
        return state

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up the Mamba layer, for remembered users one step of it, and the scores of all items."""
        users, places = inputs["input_ids"].shape
        ranked = self.ranking_flops(users)
        if self.kept is None or "before" not in inputs:
            return forward_costs.total(forward_costs.mamba(self.mamba.sizes, users, places), ranked)
        unread = sum(key not in self.kept for key in inputs["before"].tolist())
        read = forward_costs.mamba(self.mamba.sizes, unread, places)
        return forward_costs.total(read, forward_costs.mamba(self.mamba.sizes, users, 1), ranked)

    def _read(self, numbers: Tensor) -> Tensor:
        """Look up what the layer reads of item numbers [B, S], as [B, S, D]."""
        vectors: Tensor = self.items(numbers) * math.sqrt(self.items.embedding_dim)
        return vectors if self.positions is None else vectors + self.positions.weight[: numbers.shape[1]]

    def _whole_length(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        """Pad on the left to int64 [B, `max_length`], or cut from there."""
        length = self.settings.max_length
        newest = pad([tuple(sequence)[-length:] for sequence in sequences], left=True)
        return nn.functional.pad(newest, (length - newest.shape[1], 0), value=PADDING)
