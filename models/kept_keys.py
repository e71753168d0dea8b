"""Keys and values of a causal transformer's histories, kept for users who come back with one event more.

A causal layer reads, at each event, that event and those before it alone. So where keys and values of a history are
kept, a further event takes one step over them, and the result is that of a whole pass up to the order of sums. That
holds as long as no event moves: where positions are counted from the oldest event that is read, a history as long as
the model reads loses its oldest event with each further one, and has to be read whole. So it is under rotary positions,
too: what the oldest event told the later ones in the first layer would still be in their keys in the second.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import BatchFeature, DynamicCache, PretrainedConfig

from models.catalogue import History
from models.kept_states import KeepsUsers, KeptStates, key_of
from models.phases import phase
from models.ranking.inner_product import InnerProduct
from models.serving import KeptUsers, Recommendations

KEPT_BYTES = 256 * 2**20
"""Memory for keys and values; the users who came least recently make room."""

NOT_KEPT = -1
"""Key of a history that cannot be kept: no tuple of Python's has this hash."""

READ = 256
"""Histories that are read at once outside of requests."""


class Backbone(Protocol):
    """A transformer that caches, called with events int64 [B, S] and its own keyword arguments."""

    def __call__(self, events: Tensor, **how: Any) -> Any:
        """Read them; what comes back has ``last_hidden_state`` and ``past_key_values``."""


@dataclass(frozen=True)
class Shape:
    """Sizes of what is kept of a history.

    Attributes:
        layers: Layers of the backbone.
        heads: Heads of keys and values in each.
        head_width: Width of a head.
        width: Width of hidden states, D.
        most: Most events that are read.
        before: Tokens that stand before each history, the same for all.

    """

    layers: int
    heads: int
    head_width: int
    width: int
    most: int
    before: int = 0

    @classmethod
    def of(cls, config: PretrainedConfig, most: int, before: int = 0) -> Shape:
        """Read the sizes from a transformer's configuration."""
        heads = config.num_attention_heads
        head_width = getattr(config, "head_dim", None) or config.hidden_size // heads
        heads = getattr(config, "num_key_value_heads", None) or heads
        return cls(config.num_hidden_layers, heads, head_width, config.hidden_size, most, before)


class KeptKeys:
    """Keys and values of histories by their events.

    Args:
        backbone: Makes them; its positions count from the oldest event that is read, or what stands before it.
        shape: Their sizes.
        like: A tensor of their dtype and device.

    """

    def __init__(self, backbone: Backbone, shape: Shape, like: Tensor) -> None:
        self._shape = shape
        table = (shape.layers, 2, shape.heads, shape.before + shape.most, shape.head_width)
        kept_like = like.new_zeros(1, *table)
        self.user_bytes = kept_like.nbytes
        self._states = KeptStates([kept_like], max(1, KEPT_BYTES // self.user_bytes))
        self._backbone = backbone
        self._like = like

    @property
    def users(self) -> KeptUsers:
        """What is kept, and how often it was of use."""
        return self._states.users

    @property
    def bytes(self) -> int:
        """Bytes of all that may be kept."""
        return self._states.bytes

    def __len__(self) -> int:
        """Count the histories that are kept."""
        return len(self._states)

    def keys(self, histories: Sequence[History], *, newest: bool) -> Tensor:
        """Return the key int64 [B] of each history, with its newest event or without it."""
        most = self._shape.most
        lengths = [len(history.items) for history in histories]
        return torch.tensor(
            [
                NOT_KEPT if length > most or length <= 1 - newest else key_of(history.items[: length - 1 + newest])
                for history, length in zip(histories, lengths, strict=True)
            ]
        )

    def read(self, ids: Tensor, last: Tensor, keys: Sequence[int]) -> Tensor:
        """Read whole histories, keep their keys and values, and return the hidden states of their newest events.

        Args:
            ids: Events int64 [B, S], padded on the right.
            last: Place of each newest event, int64 [B].
            keys: Keys of the histories.

        Returns:
            Hidden states [B, D].

        """
        output = self._backbone(ids, use_cache=True)
        made = torch.stack([torch.stack((layer.keys, layer.values), 1) for layer in output.past_key_values.layers], 1)
        keys_values = made.new_zeros(*made.shape[:4], self._shape.before + self._shape.most, made.shape[-1])
        keys_values[..., : made.shape[4], :] = made
        self._keep(keys, keys_values)
        hidden: Tensor = output.last_hidden_state
        return hidden[torch.arange(len(ids), device=ids.device), self._shape.before + last]

    def newest(self, ids: Tensor, last: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
        """Return hidden states [B, D] of the newest events: by one step where the history before is kept."""
        places = self._states.meet(before)
        states = self._like.new_zeros(len(ids), self._shape.width)
        remembered = [place for place, here in enumerate(places) if here]
        unread = [place for place, here in enumerate(places) if not here]
        if remembered:
            with phase("step"):
                rows = torch.tensor(remembered, device=ids.device)
                keys = [before[place] for place in remembered], [after[place] for place in remembered]
                states[rows] = self._step(ids[rows], last[rows], *keys)
        if unread:
            with phase("read history"):
                rows = torch.tensor(unread, device=ids.device)
                states[rows] = self.read(ids[rows], last[rows], [after[place] for place in unread])
        return states

    def _step(self, ids: Tensor, last: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
        """Read one event each over the keys and values that are kept."""
        (keys_values,) = self._states.get(before)  # [B, L, 2, H, P, D / H]
        rows, place = torch.arange(len(ids), device=ids.device), self._shape.before + last
        most = int(place.max())
        cache = DynamicCache()
        for layer in range(keys_values.shape[1]):
            cache.update(keys_values[:, layer, 0, :, :most], keys_values[:, layer, 1, :, :most], layer)
        real = torch.arange(most + 1, device=ids.device) < place[:, None]
        real[:, most] = True  # the newest event stands behind all others, whatever its position
        output = self._backbone(
            ids[rows, last][:, None],
            past_key_values=cache,
            attention_mask=real.long(),
            position_ids=place[:, None],
            use_cache=True,
        )
        for layer, layer_cache in enumerate(output.past_key_values.layers):
            keys_values[rows, layer, 0, :, place] = layer_cache.keys[:, :, most]
            keys_values[rows, layer, 1, :, place] = layer_cache.values[:, :, most]
        self._keep(after, keys_values)
        hidden: Tensor = output.last_hidden_state
        return hidden[:, -1]

    def _keep(self, keys: Sequence[int], keys_values: Tensor) -> None:
        places = [place for place, key in enumerate(keys) if key != NOT_KEPT]
        if places:
            self._states.keep([keys[place] for place in places], [keys_values[places]])


class Returning(KeepsUsers, InnerProduct):
    """Ranks by the newest event's hidden state, and keeps keys and values of the users it was told to remember.

    Its `index` ends with `forget`, since other item vectors make other keys.

    Attributes:
        kept: What is kept; None before anybody is remembered.

    """

    kept: KeptKeys | None = None

    @abstractmethod
    def new_kept(self) -> KeptKeys | None:
        """Return room for users; None where their keys and values cannot be kept."""

    @abstractmethod
    def padded(self, histories: Sequence[History]) -> BatchFeature:
        """Pad the newest items on the right: ``input_ids`` int64 [B, S], with the newest at ``last`` int64 [B]."""

    def query_from(self, hidden: Tensor) -> Tensor:
        """Return what items are scored against, given the newest events' hidden states; both [B, D]."""
        return hidden

    @torch.inference_mode()
    def remember(self, histories: Sequence[History]) -> None:
        """Read histories and keep their keys and values; see `models.recommender.Recommender.remember`."""
        kept = self.kept = self.kept or self.new_kept()
        if kept is None:
            return
        for start in range(0, len(histories), READ):
            part = histories[start : start + READ]
            batch = self.padded(part).to(next(self.parameters()).device)
            kept.read(batch["input_ids"], batch["last"], kept.keys(part, newest=True).tolist())

    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Pad the newest items on the right.

        Once users are remembered, two columns more: ``before`` and ``after`` int64 [B], the keys of each history
        without its newest event and with it.
        """
        batch = self.padded(histories)
        if self.kept is not None:
            batch["before"] = self.kept.keys(histories, newest=False)
            batch["after"] = self.kept.keys(histories, newest=True)
        return batch

    def is_known(self, inputs: BatchFeature) -> bool:
        """Tell whether a request takes steps over what is kept, which differ in length."""
        return self.kept is not None and "before" in inputs

    def recommend(self, inputs: BatchFeature, k: int) -> Recommendations:
        """Score every item against the hidden state of the newest one: of one step for remembered users."""
        if self.kept is None or not self.is_known(inputs):
            return super().recommend(inputs, k)
        with phase("encode"):
            keys = inputs["before"].tolist(), inputs["after"].tolist()
            query = self.query_from(self.kept.newest(inputs["input_ids"], inputs["last"], *keys))
        return self.ranked(query, inputs, k)
