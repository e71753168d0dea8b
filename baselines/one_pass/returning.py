"""Keys and values of a causal transformer's histories, kept for users who come back with one event more.

A causal layer reads, at each event, that event and those before it alone. So where keys and values of a history are
kept, a further event takes one step over them, and the result is that of a whole pass up to the order of sums. That
holds as long as no event moves: where positions are counted from the oldest event that is read, a history as long as
the model reads loses its oldest event with each further one, and has to be read whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, GPT2Model

from models.catalogue import History
from models.kept_states import KeptStates, key_of
from models.phases import phase
from models.serving import KeptUsers

KEPT_BYTES = 256 * 2**20
"""Memory for keys and values; the users who came least recently make room."""

NOT_KEPT = -1
"""Key of a history that cannot be kept: no tuple of Python's has this hash."""


class KeptKeys:
    """Keys and values of histories by their events.

    Args:
        backbone: Makes them; its positions count from the oldest event that is read.

    """

    def __init__(self, backbone: GPT2Model) -> None:
        config, weight = backbone.config, backbone.wte.weight
        shape = (config.n_layer, 2, config.n_head, config.n_positions, config.n_embd // config.n_head)
        like = weight.new_zeros(1, *shape)
        self.user_bytes = like.nbytes
        self._states = KeptStates([like], max(1, KEPT_BYTES // self.user_bytes))
        self._backbone = backbone

    @property
    def users(self) -> KeptUsers:
        """What is kept, and how often it was of use."""
        return KeptUsers(self.user_bytes, self._states.hits, self._states.asked)

    @property
    def bytes(self) -> int:
        """Bytes of all that may be kept."""
        return self._states.bytes

    def __len__(self) -> int:
        """Count the histories that are kept."""
        return len(self._states)

    def keys(self, histories: Sequence[History], *, newest: bool) -> Tensor:
        """Return the key int64 [B] of each history, with its newest event or without it."""
        most = self._backbone.config.n_positions
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
        output = self._backbone(input_ids=ids, use_cache=True)
        made = torch.stack([torch.stack((layer.keys, layer.values), 1) for layer in output.past_key_values.layers], 1)
        keys_values = made.new_zeros(*made.shape[:4], self._backbone.config.n_positions, made.shape[-1])
        keys_values[..., : made.shape[4], :] = made
        self._keep(keys, keys_values)
        hidden: Tensor = output.last_hidden_state
        return hidden[torch.arange(len(ids), device=ids.device), last]

    def newest(self, ids: Tensor, last: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
        """Return hidden states [B, D] of the newest events: by one step where the history before is kept."""
        places = self._states.meet(before)
        states = ids.new_zeros(len(ids), self._backbone.config.n_embd, dtype=self._backbone.wte.weight.dtype)
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
        rows, most = torch.arange(len(ids), device=ids.device), int(last.max())
        cache = DynamicCache()
        for layer in range(keys_values.shape[1]):
            cache.update(keys_values[:, layer, 0, :, :most], keys_values[:, layer, 1, :, :most], layer)
        real = torch.arange(most + 1, device=ids.device) < last[:, None]
        real[:, most] = True  # the newest event stands behind all others, whatever its position
        output = self._backbone(
            input_ids=ids[rows, last][:, None],
            past_key_values=cache,
            attention_mask=real.long(),
            position_ids=last[:, None],
            use_cache=True,
        )
        for layer, layer_cache in enumerate(output.past_key_values.layers):
            keys_values[rows, layer, 0, :, last] = layer_cache.keys[:, :, most]
            keys_values[rows, layer, 1, :, last] = layer_cache.values[:, :, most]
        self._keep(after, keys_values)
        hidden: Tensor = output.last_hidden_state
        return hidden[:, -1]

    def _keep(self, keys: Sequence[int], keys_values: Tensor) -> None:
        places = [place for place, key in enumerate(keys) if key != NOT_KEPT]
        if places:
            self._states.keep([keys[place] for place in places], [keys_values[places]])
