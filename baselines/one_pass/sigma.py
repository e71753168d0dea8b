"""SIGMA: a gated Mamba on a history and on its partly flipped copy, beside a convolution and a GRU (Liu et al. 2024).

arXiv 2408.11451, and the public code (ziwliu8/SIGMA at ec22bdb, on RecBole): one layer of width 64, with 32 numbers of
state a unit::

    x = norm(item vectors)              x' = x, all places but the last five reversed
    G = A silu(h) + B sigmoid(h)        h = x + W x; likewise G' from h' = x' + W' x'
    y = a M(x) (1 + G) + b M(x') (1 + G') + c GRU(conv(x))
    state of the newest event = feed-forward of norm(P y)      scored against all item vectors

M is one Mamba for both; a, b and c begin at .8, .1 and .1. The loss is cross-entropy over the catalogue, and each
prefix is an example: flip and convolution look ahead, so that a pass predicts only the item behind its prefix, and no
state can be kept for a further event.

``flip=fixed`` is the released code's: histories are padded on the right to `max_length`, and its first
`max_length` - 5 places are reversed whatever a history's length, so that in a history of few events the flipped copy
has read nothing but padding where the state is taken. ``flip=by-length`` reverses the events alone.

Two slips of the released code are made with `as_released` only: the second gate takes its sigmoid of the first gate,
and the softmax over a, b and c is not used. As released, all `max_length` places are computed as well; else places
behind the newest event are left out, which changes no list.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional
from transformers import BatchFeature, PretrainedConfig
from transformers.utils.generic import ModelOutput

from models import forward_costs, recommender
from models.catalogue import Catalogue, History
from models.dropout import Dropout
from models.errors import UserError
from models.item_scored import ItemScored
from models.losses import catalogue_cross_entropy
from models.padding import PADDING
from models.ragged import pad
from models.sequences import Prefixes, request_batch
from models.spoken import Spoken
from models.state_space import PATH, StateSpace

SIZES: dict[str, int] = {"compact": 64, "t5-small": 512, "t5-base": 768}
"""Widths; compact is the published one, the others are those of the T5s they are named after."""

STATE = 32

IN_PLACE = 5
"""Newest places that the flip leaves where they are."""

SHARES = (0.8, 0.1, 0.1)
"""First weights of the history, its flipped copy and the GRU: a, b and c."""


class Flip(StrEnum):
    """Which places are reversed in the copy."""

    FIXED = "fixed"
    BY_LENGTH = "by-length"


class Settings(recommender.Settings):
    """Settings of SIGMA.

    Attributes:
        flip: Whether padding is flipped with the events.
        max_length: Most events read of a history.
        dropout: On item vectors, gates, and what each half of the layer adds.
        as_released: Make the released code's slips.

    """

    flip: Flip = Flip.FIXED
    max_length: int = Field(default=50, ge=1 + IN_PLACE, le=100_000)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    as_released: bool = False


class SigmaConfig(PretrainedConfig):
    """Size of the catalogue, and the settings it was built with."""

    model_type = "sigma"

    def __init__(self, items: int = 1, settings: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self.items = items
        self.settings = settings or {}
        super().__init__(**kwargs)


class Sigma(ItemScored):
    """See the module's docstring. Shapes: B users, S places, D width, n items."""

    settings_type = Settings
    spoken = Spoken("SIGMA")
    config_class = SigmaConfig
    config: SigmaConfig

    def __init__(self, config: SigmaConfig) -> None:
        super().__init__(config)
        self.settings = Settings(**config.settings)
        width = SIZES[self.settings.preset]
        self.items = nn.Embedding(config.items + 1, width, padding_idx=PADDING)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = Dropout(self.settings.dropout)
        self.layer = _Layer(width, self.settings)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Draw the Mamba's weights as Mamba's own code does, all others as transformers does."""
        super()._init_weights(module)
        if isinstance(module, StateSpace):
            module.initialise()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: recommender.Settings) -> Self:
        """Make one with seeded random weights."""
        del histories
        if settings.preset not in SIZES:
            raise UserError(f"sigma has no preset {settings.preset!r}: use one of {', '.join(SIZES)}")
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            return cls(SigmaConfig(len(catalogue), settings.model_dump(mode="json")))

    @property
    def item_vectors(self) -> Tensor:
        """The embeddings that the layer reads."""
        return self.items.weight

    @property
    def labels(self) -> tuple[str, ...]:
        """How the state space is computed."""
        return (PATH,)

    def examples(self, histories: Sequence[History]) -> Prefixes:
        """Cut histories into prefixes."""
        return Prefixes(histories, self.settings.max_length)

    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad prefixes and their flipped copies, int64 [B, S]; ``last`` and ``targets`` are int64 [B]."""
        histories = [tuple(example["input_ids"]) for example in examples]
        last = torch.tensor([len(items) - 1 for items in histories])
        targets = torch.tensor([example["labels"][-1] for example in examples])
        return {**self._read(histories), "last": last, "targets": targets}

    def forward(self, input_ids: Tensor, flipped: Tensor, last: Tensor, targets: Tensor) -> ModelOutput:
        """Return the mean cross-entropy of the item behind each prefix; see `collate`."""
        loss = catalogue_cross_entropy(self._state(input_ids, flipped, last), self.items.weight[1:], targets - 1)
        return ModelOutput(loss=loss)  # padding is no candidate

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Pad the newest `max_length` events on the right; ``flipped`` int64 [B, S] is the partly flipped copy."""
        batch = request_batch(histories, self.settings.max_length, self.serving)
        batch.update(self._read([history.items[-self.settings.max_length :] for history in histories]))
        return batch

    def most_places(self, name: str) -> int | None:
        """Return the most events that are read."""
        return self.settings.max_length if name in {"input_ids", "flipped"} else None

    def query_of(self, inputs: BatchFeature) -> Tensor:
        """Return the state of the newest event, [B, D]."""
        return self._state(inputs["input_ids"], inputs["flipped"], inputs["last"])

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Add up both passes of the Mamba, the GRU over all places, all else at one place, and the items' scores."""
        users, places = inputs["input_ids"].shape
        width = self.items.embedding_dim
        passes = forward_costs.mamba(self.layer.mamba.sizes, 2 * users, places)
        beside = forward_costs.products(users * places, (3 * width, width), *[(width, 3 * width)] * 2)
        square, wide = (width, width), 4 * width
        newest = forward_costs.products(users, *[square] * 7, (width, wide), (wide, width))
        return forward_costs.total(passes, beside, newest, self.ranking_flops(users))

    def _state(self, input_ids: Tensor, flipped: Tensor, last: Tensor) -> Tensor:
        """Return the state of each row's newest event, [B, D]."""
        read = self.norm(self.dropout(self.items(torch.cat([input_ids, flipped]))))  # [2 B, S, D]
        state: Tensor = self.layer(read, last)
        return state

    def _read(self, histories: Sequence[tuple[int, ...]]) -> dict[str, Tensor]:
        """Pad histories and their flipped copies to int64 [B, S].

        The convolution looks one place ahead, so that padding follows wherever a history is shorter than `max_length`.
        """
        longest = self.settings.max_length
        places = longest if self.settings.as_released else min(longest, 1 + max(map(len, histories), default=0))
        rows = {"input_ids": histories, "flipped": [self._flipped(items) for items in histories]}
        return {name: _widened(pad(row), places) for name, row in rows.items()}

    def _flipped(self, items: tuple[int, ...]) -> tuple[int, ...]:
        """Return the copy of a history up to its newest event; what is not reversed stands at the end."""
        if self.settings.flip is Flip.BY_LENGTH:
            cut = max(0, len(items) - IN_PLACE)
            return items[:cut][::-1] + items[cut:]
        longest = self.settings.max_length
        padded, cut = items + (PADDING,) * (longest - len(items)), longest - IN_PLACE
        return (padded[:cut][::-1] + padded[cut:])[: len(items)]


class _Layer(nn.Module):
    """From vectors of histories and of their flipped copies [2 B, S, D] to states of the newest events [B, D].

    Args:
        width: D.
        settings: Dropout, and which slips are made.

    """

    def __init__(self, width: int, settings: Settings) -> None:
        super().__init__()
        self._as_released = settings.as_released
        self.mamba = StateSpace(width, state=STATE)
        self.conv = nn.Conv1d(width, width, kernel_size=3, padding=1)
        self.gru = nn.GRU(width, width, bias=False, batch_first=True)
        self.before_gate, self.before_flipped_gate = nn.Linear(width, width), nn.Linear(width, width)
        self.gate_silu, self.gate_sigmoid = nn.Linear(width, width), nn.Linear(width, width)
        shares = torch.tensor(SHARES)
        self.shares = nn.Parameter(shares if settings.as_released else shares.log())
        self.projection = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.wide_norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = Dropout(settings.dropout)

    def forward(self, read: Tensor, last: Tensor) -> Tensor:
        """Return the states at the places `last`, int64 [B]."""
        rows = torch.arange(len(last), device=last.device)
        both, where = torch.cat([rows, rows + len(last)]), torch.cat([last, last])
        # A pass of which one place is wanted is cheaper, and has no gradient.
        outputs = self.mamba(read)[both, where] if self.training else self.mamba.read(read, where)[0]
        scanned, flipped = outputs.chunk(2)
        newest, flipped_newest = read[both, where].chunk(2)
        gate = newest + self.before_gate(newest)
        gate = self.dropout(self.gate_silu(functional.silu(gate)) + self.gate_sigmoid(torch.sigmoid(gate)))
        other = flipped_newest + self.before_flipped_gate(flipped_newest)
        second = gate if self._as_released else other
        other = self.dropout(self.gate_silu(functional.silu(other)) + self.gate_sigmoid(torch.sigmoid(second)))
        convolved = self.conv(read[: len(last)].transpose(1, 2)).transpose(1, 2)
        recurrent = self.gru(convolved)[0][rows, last]
        shares = self.shares if self._as_released else self.shares.softmax(0)
        mixed = shares[0] * scanned * (1 + gate) + shares[1] * flipped * (1 + other) + shares[2] * recurrent
        mixed = self.norm(self.dropout(self.projection(mixed)))
        inner = self.dropout(functional.gelu(self.wide(mixed)))
        state: Tensor = self.wide_norm(mixed + self.dropout(self.narrow(inner)))
        return state


def _widened(rows: Tensor, places: int) -> Tensor:
    """Pad rows [B, s] on the right to [B, S]."""
    return functional.pad(rows, (0, places - rows.shape[1]), value=PADDING)
