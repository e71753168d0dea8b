"""Transformer decoders as a beam search wants them: everything a user's beams share is kept once.

A user's keys and values lie in one buffer that is only ever written behind its end::

    context: what all beams share          pool: one slot a generated token
    [ prompt, or decoder start, forced ] [ step 1: beam 0, 1, ... ][ step 2: ... ]

Nothing is moved when beams are chosen. A beam is the list of the slots on its path, and attention
either masks the other slots (few beams: one dense product for all beams of a user) or gathers its
own (many beams: memory linear in their number). The weights and modules are the transformers
model's own, so quantised and adapted layers work as they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.decoding.attention import attend_gathered, attend_masked
from baselines.decoding.beams import Prompt
from models.int8 import Int8Linear, products

DENSE_BEAMS = 64
"""Up to so many beams a user, slots are masked; above, gathered."""


@dataclass(frozen=True)
class Step:
    """Tokens that are fed at once: m in a row for each of K beams.

    Attributes:
        name: Name of the phase.
        tokens: int64 [B, K, m].
        slots: Pool slot of every token on a beam's path, the fed ones last, int64 [B, K, t].

    """

    name: str
    tokens: Tensor
    slots: Tensor

    @property
    def before(self) -> int:
        """Tokens on a path before those that are fed."""
        return self.slots.shape[2] - self.tokens.shape[2]


@dataclass
class SearchMemory:
    """What a search remembers of B users.

    Attributes:
        keys, values: One buffer a layer, [B, P + room, H, d].
        context: Number P of places that all beams share.
        positions: Position on its path of each slot written so far, int64 [N].
        shared: What else a stack needs, such as cross-attention keys and values.

    """

    keys: list[Tensor]
    values: list[Tensor]
    context: int
    positions: Tensor
    shared: dict[str, Any]

    @property
    def used(self) -> int:
        """Slots written so far."""
        return len(self.positions)


class Stack(ABC):
    """A transformers decoder with its head.

    Args:
        model: The whole model.

    """

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def vocabulary(self) -> int:
        """Logits a row."""
        size: int = self.model.config.vocab_size
        return size

    @abstractmethod
    def begin(self, prompt: Prompt, forced: Tensor, *, depth: int, room: int) -> tuple[Tensor, SearchMemory]:
        """Read prompts and the tokens that every ID begins with.

        Args:
            prompt: Prompts of B users.
            forced: int64 [F].
            depth: Most tokens of an ID.
            room: Pool slots that the search will need.

        Returns:
            The states from which the first F + 1 tokens are predicted, [B, F + 1, D], and the memory.

        """

    @abstractmethod
    def extend(self, memory: SearchMemory, step: Step) -> Tensor:
        """Feed tokens to every beam; returns the states after each, [B, K, m, D]."""

    def logits(self, states: Tensor, tokens: Tensor | None = None) -> Tensor:
        """Apply the head, float32 [..., V]; of some `tokens` int64 [W] alone, float32 [..., W]."""
        head = self.model.lm_head
        if tokens is None:
            logits: Tensor = head(states).float()
        elif type(head) in (nn.Linear, Int8Linear):
            bias = None if head.bias is None else head.bias[tokens]
            logits = products(states, head.weight[tokens], bias).float()
        else:
            logits = head(states).float()[..., tokens]
        return logits

    @staticmethod
    def _write(memory: SearchMemory, layer: int, key: Tensor, value: Tensor) -> None:
        """Put keys and values [B, R, H * d] behind what layer `layer` holds."""
        buffer = memory.keys[layer]
        begin = memory.context + memory.used
        end = begin + key.shape[1]
        shape = (*key.shape[:2], *buffer.shape[2:])
        buffer[:, begin:end] = key.view(shape)
        memory.values[layer][:, begin:end] = value.view(shape)

    @staticmethod
    def _note(memory: SearchMemory, step: Step) -> None:
        """Count the slots of `step` as written."""
        count = torch.arange(step.tokens.shape[2], device=step.tokens.device) + (memory.context + step.before)
        memory.positions = torch.cat([memory.positions, count.repeat(step.tokens.shape[1])])


def normalise(norm: Any, states: Tensor) -> Tensor:
    """Apply a transformers RMS norm, in one operator except in float64, where transformers' T5 rounds to float32."""
    if states.dtype is torch.float64:
        normalised: Tensor = norm(states)
        return normalised
    return functional.rms_norm(states, norm.weight.shape, norm.weight, norm.variance_epsilon)


class Attend:
    """Self-attention of one step, masked or gathered; what all layers share is made once.

    Args:
        memory: With the step's slots written in one layer at least.
        step: What is fed.
        biases: Position biases from the fed positions to all, [H, m, total]; None for none.
        padding: Which context places are real, bool [B, P]; None for all.

    """

    def __init__(
        self, memory: SearchMemory, step: Step, *, biases: Tensor | None = None, padding: Tensor | None = None
    ) -> None:
        users, beams, row = step.tokens.shape
        self._shape = (users, beams, row)
        self._dense = beams <= DENSE_BEAMS
        self._context = memory.context
        self._end = memory.context + memory.used + beams * row
        self._slots = step.slots
        if self._dense:
            self._mask = self._dense_mask(memory, step, biases, padding)
        else:
            self._masks = self._own_masks(memory, step, biases, padding)

    def __call__(self, memory: SearchMemory, layer: int, query: Tensor, *, scale: float) -> Tensor:
        """Attend with queries [B, R, H, d] or [B, R, H * d]; returns [B, R, H * d]."""
        keys, values = memory.keys[layer], memory.values[layer]
        query = query.view(*query.shape[:2], -1, keys.shape[-1])
        if self._dense:
            return attend_masked(query, keys[:, : self._end], values[:, : self._end], self._mask, scale)
        users, beams, row = self._shape
        query = query.view(users, beams, row, *query.shape[2:])
        return attend_gathered(query, keys, values, self._context, self._slots, self._masks, scale).flatten(1, 2)

    def _dense_mask(self, memory: SearchMemory, step: Step, biases: Tensor | None, padding: Tensor | None) -> Tensor:
        """Return what each fed token may see, [B, 1 or H, R, P + N]: bool, or biases with -inf."""
        users, beams, row = self._shape
        slots = self._end - self._context
        match = step.slots[..., None] == torch.arange(slots, device=step.slots.device)  # [B, K, t, N]
        reach = [match[:, :, : step.before + place + 1].any(2) for place in range(row)]
        own = torch.stack(reach, dim=2)  # [B, K, m, N]
        if padding is None:
            padding = own.new_ones(users, self._context)
        context = padding[:, None, None].expand(users, beams, row, self._context)
        sees = torch.cat([context, own], dim=3)
        if biases is None:
            return sees.view(users, 1, beams * row, self._end)
        fed = torch.arange(row, device=step.slots.device) + (memory.context + step.before)
        shared = torch.arange(self._context, device=fed.device)
        key_positions = torch.cat([shared, memory.positions, fed.repeat(beams)])
        bias = biases[:, :, key_positions]  # [H, m, P + N]
        added = torch.where(sees[:, None], bias[None, :, None], -torch.inf)  # [B, H, K, m, P + N]
        return added.flatten(2, 3)

    def _own_masks(
        self, memory: SearchMemory, step: Step, biases: Tensor | None, padding: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return what is added to scores over the context and over the path; see `attend_gathered`."""
        _, _, row = self._shape
        context = path = None
        length = step.slots.shape[2]
        if biases is not None:
            context = biases[:, :, : self._context]
            path = biases[:, :, self._context : self._context + length]
        if padding is not None:
            hidden = torch.zeros_like(padding, dtype=memory.keys[0].dtype).masked_fill_(~padding, -torch.inf)
            context = hidden[:, None, None, None] if context is None else context + hidden[:, None, None, None]
        if row > 1:
            later = torch.ones(row, length, dtype=torch.bool, device=step.slots.device).triu(step.before + 1)
            causal = torch.zeros(row, length, dtype=memory.keys[0].dtype, device=later.device)
            causal = causal.masked_fill_(later, -torch.inf)
            path = causal if path is None else path + causal
        return context, path
