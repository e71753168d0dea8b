"""Keys and values of a causal transformer's histories, kept for users who come back with one event more.

What a causal layer makes of an event hangs on the events before it alone. So with keys and values of a history at hand
a further event is one step over them, and the result is that of the whole pass up to the order of sums. That holds as
long as no event moves: where positions are counted from the oldest event that is read, a history as long as the model
reads loses its oldest with each further one, and has to be read whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache, GPT2Model

from models.kept_states import KeptStates, key_of
from models.recommender import History, KeptUsers, phase

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
        """Count the histories at hand."""
        return len(self._states)

    def keys(self, histories: Sequence[History], *, newest: bool) -> Tensor:
        """Return the key int64 [B] of each history, with its newest event or without it."""
        most = self._backbone.config.n_positions
        lengths = [len(one.items) for one in histories]
        return torch.tensor(
            [
                NOT_KEPT if length > most or length <= 1 - newest else key_of(one.items[: length - 1 + newest])
                for one, length in zip(histories, lengths, strict=True)
            ]
        )

    def read(self, ids: Tensor, last: Tensor, keys: Sequence[int]) -> Tensor:
        """Read whole histories, keep them, and return what the backbone makes of their newest events.

        Args:
            ids: Events int64 [B, S], padded on the right.
            last: Place of each newest event, int64 [B].
            keys: Keys of the histories.

        Returns:
            Hidden states [B, D].

        """
        found = self._backbone(input_ids=ids, use_cache=True)
        made = torch.stack([torch.stack((one.keys, one.values), 1) for one in found.past_key_values.layers], 1)
        whole = made.new_zeros(*made.shape[:4], self._backbone.config.n_positions, made.shape[-1])
        whole[..., : made.shape[4], :] = made
        self._keep(keys, whole)
        hidden: Tensor = found.last_hidden_state
        return hidden[torch.arange(len(ids), device=ids.device), last]

    def newest(self, ids: Tensor, last: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
        """Return what the backbone makes of newest events [B, D]: by one step where what came before is at hand."""
        places = self._states.meet(before)
        found = ids.new_zeros(len(ids), self._backbone.config.n_embd, dtype=self._backbone.wte.weight.dtype)
        known = [place for place, here in enumerate(places) if here]
        unknown = [place for place, here in enumerate(places) if not here]
        if known:
            with phase("step"):
                rows = torch.tensor(known, device=ids.device)
                keys = [before[place] for place in known], [after[place] for place in known]
                found[rows] = self._step(ids[rows], last[rows], *keys)
        if unknown:
            with phase("read history"):
                rows = torch.tensor(unknown, device=ids.device)
                found[rows] = self.read(ids[rows], last[rows], [after[place] for place in unknown])
        return found

    def _step(self, ids: Tensor, last: Tensor, before: Sequence[int], after: Sequence[int]) -> Tensor:
        """Read one event each over what is at hand."""
        (whole,) = self._states.get(before)  # [B, L, 2, H, P, D / H]
        rows, most = torch.arange(len(ids), device=ids.device), int(last.max())
        cache = DynamicCache()
        for layer in range(whole.shape[1]):
            cache.update(whole[:, layer, 0, :, :most], whole[:, layer, 1, :, :most], layer)
        real = torch.arange(most + 1, device=ids.device) < last[:, None]
        real[:, most] = True  # the newest event stands behind all others, whatever its position
        found = self._backbone(
            input_ids=ids[rows, last][:, None],
            past_key_values=cache,
            attention_mask=real.long(),
            position_ids=last[:, None],
            use_cache=True,
        )
        for layer, one in enumerate(found.past_key_values.layers):
            whole[rows, layer, 0, :, last] = one.keys[:, :, most]
            whole[rows, layer, 1, :, last] = one.values[:, :, most]
        self._keep(after, whole)
        hidden: Tensor = found.last_hidden_state
        return hidden[:, -1]

    def _keep(self, keys: Sequence[int], whole: Tensor) -> None:
        places = [place for place, key in enumerate(keys) if key != NOT_KEPT]
        if places:
            self._states.keep([keys[place] for place in places], [whole[places]])
