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
from transformers import LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, T5ForConditionalGeneration

from baselines.decoding.attention import attend_gathered, attend_masked
from baselines.decoding.beams import Prompt
from models.errors import UserError
from models.int8 import Int8Linear, products
from models.recommender import phase

DENSE_BEAMS = 64
"""Up to so many beams a user, slots are masked; above, gathered."""

CAUSAL = (LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)


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


def stack_of(model: Any) -> Stack:
    """Return the stack of a transformers model.

    Raises:
        UserError: Its family is not known here, or its layers do not attend to all that came before.

    """
    if isinstance(model, T5ForConditionalGeneration):
        return T5Decoder(model)
    if not isinstance(model, CAUSAL):
        problem = f"this is a {type(model).__name__}"
    elif "sliding_attention" in (getattr(model.config, "layer_types", None) or ()):
        problem = f"this {type(model).__name__} attends within a sliding window"
    else:
        return CausalDecoder(model)
    raise UserError(
        f"the exact searches know T5, and Llama, Qwen2 and Qwen3 with full attention, and {problem}: "
        "use --decoder reference or vectorised-trie"
    )


def normalise(norm: Any, states: Tensor) -> Tensor:
    """Apply a transformers RMS norm, in one operator except in float64, where transformers' T5 rounds to float32."""
    if states.dtype is torch.float64:
        normalised: Tensor = norm(states)
        return normalised
    return functional.rms_norm(states, norm.weight.shape, norm.weight, norm.variance_epsilon)


class T5Decoder(Stack):
    """T5 (Raffel et al. 2020): encoder states become cross-attention keys and values once a user."""

    def begin(self, prompt: Prompt, forced: Tensor, *, depth: int, room: int) -> tuple[Tensor, SearchMemory]:
        """See `Stack.begin`."""
        model, config = self.model, self.model.config
        with phase("encode"):
            padding = torch.zeros_like(prompt.mask, dtype=prompt.embeddings.dtype)
            padding = padding.masked_fill_(prompt.mask == 0, -torch.inf)[:, None, None]  # [B, 1, 1, S]
            states = self._encode(prompt.embeddings, padding)
        users, width = len(prompt), len(forced) + 1
        shape = (users, width + room, config.num_heads, config.d_kv)
        with phase("cross K/V"):
            cross = [self._cross(block, states) for block in model.decoder.block]
            attention = model.decoder.block[0].layer[0].SelfAttention
            total = width + depth
            bias = attention.compute_bias(total, total, device=states.device)[0]  # [H, total, total]
            memory = SearchMemory(
                [states.new_empty(shape) for _ in cross],
                [states.new_empty(shape) for _ in cross],
                0,
                prompt.mask.new_empty(0),
                {"cross": cross, "padding": padding, "bias": bias},
            )
        start = forced.new_full((1,), config.decoder_start_token_id)
        tokens = torch.cat([start, forced]).expand(users, 1, width)
        slots = torch.arange(width, device=forced.device).expand(users, 1, width)
        states = self.extend(memory, Step("decode step 1", tokens, slots))[:, 0]
        memory.context, memory.positions = width, prompt.mask.new_empty(0)
        return states, memory

    def _encode(self, states: Tensor, padding: Tensor) -> Tensor:
        """Run the encoder over [B, S, D], its norms and attention in one operator each."""
        encoder, places = self.model.encoder, states.shape[1]
        biased = encoder.block[0].layer[0].SelfAttention
        mask = biased.compute_bias(places, places, device=states.device) + padding  # [B, H, S, S]
        for block in encoder.block:
            own, forward = block.layer
            attention, inner = own.SelfAttention, normalise(own.layer_norm, states)
            shape = (*states.shape[:2], attention.n_heads, attention.key_value_proj_dim)
            query, key, value = (project(inner).view(shape) for project in (attention.q, attention.k, attention.v))
            states = _finite(states + attention.o(attend_masked(query, key, value, mask, 1.0)))
            states = _finite(states + forward.DenseReluDense(normalise(forward.layer_norm, states)))
        return normalise(encoder.final_layer_norm, states)

    @staticmethod
    def _cross(block: Any, states: Tensor) -> tuple[Tensor, Tensor]:
        attention = block.layer[1].EncDecAttention
        shape = (*states.shape[:2], attention.n_heads, attention.key_value_proj_dim)
        key, value = (project(states).view(shape).transpose(1, 2) for project in (attention.k, attention.v))
        return key.contiguous(), value.contiguous()  # [B, H, S, d]

    def extend(self, memory: SearchMemory, step: Step) -> Tensor:
        """See `Stack.extend`."""
        users, beams, row = step.tokens.shape
        states = self.model.shared(step.tokens.reshape(users, beams * row))  # [B, R, D]
        first = memory.context + step.before
        biases = memory.shared["bias"][:, first : first + row]  # [H, m, total]
        attend = None
        for number, block in enumerate(self.model.decoder.block):
            own, cross, forward = block.layer
            with phase(f"{step.name}: attention"):
                inner = normalise(own.layer_norm, states)
                attention = own.SelfAttention
                self._write(memory, number, attention.k(inner), attention.v(inner))
                if attend is None:
                    attend = _Attend(memory, step, biases=biases)
                states = _finite(states + attention.o(attend(memory, number, attention.q(inner), scale=1.0)))
                inner = normalise(cross.layer_norm, states)
                attention = cross.EncDecAttention
                query = attention.q(inner).view(users, beams * row, attention.n_heads, -1).transpose(1, 2)
                key, value = memory.shared["cross"][number]
                found = functional.scaled_dot_product_attention(
                    query, key, value, attn_mask=memory.shared["padding"], scale=1.0
                )
                states = _finite(states + attention.o(found.transpose(1, 2).flatten(2)))
            with phase(f"{step.name}: feed-forward"):
                states = _finite(states + forward.DenseReluDense(normalise(forward.layer_norm, states)))
        self._note(memory, step)
        states = normalise(self.model.decoder.final_layer_norm, states)
        if self.model.config.scale_decoder_outputs:
            states = states * self.model.model_dim**-0.5
        ends: Tensor = states.view(users, beams, row, -1)
        return ends


def _finite(states: Tensor) -> Tensor:
    """Keep half-precision states finite, as transformers' T5 does."""
    if states.dtype is not torch.float16:
        return states
    largest = torch.finfo(torch.float16).max - 1000
    return states.clamp(-largest, largest)


class CausalDecoder(Stack):
    """Llama, Qwen2, Qwen3: the prompt is read once a user, and beams are query rows of one sequence."""

    def begin(self, prompt: Prompt, forced: Tensor, *, depth: int, room: int) -> tuple[Tensor, SearchMemory]:
        """See `Stack.begin`. Of the last layer only the states that are asked for are computed."""
        model, config = self.model.model, self.model.config
        users, wanted = len(prompt), len(forced) + 1
        with phase("encode"):
            tail = model.embed_tokens(forced).expand(users, -1, -1)
            states = torch.cat([prompt.embeddings, tail], dim=1)
            mask = functional.pad(prompt.mask, (0, len(forced)), value=1).bool()
            places = states.shape[1]
            known = (mask.long().cumsum(1) - 1).clamp(min=0)
            coming = known[:, -1:] + 1 + torch.arange(depth, device=mask.device)
            rotary = model.rotary_emb(states, torch.cat([known, coming], dim=1))  # two of [B, P + depth, d]
            head_dim = model.layers[0].self_attn.head_dim
            shape = (users, places + room, config.num_key_value_heads, head_dim)
            memory = SearchMemory(
                [states.new_empty(shape) for _ in model.layers],
                [states.new_empty(shape) for _ in model.layers],
                0,
                mask.new_empty(0, dtype=torch.int64),
                {"rotary": rotary, "padding": mask},
            )
            causal = torch.ones(places, places, dtype=torch.bool, device=mask.device).tril()
            itself = torch.eye(places, dtype=torch.bool, device=mask.device)  # padding must see something
            sees = ((causal & mask[:, None]) | itself)[:, None]  # [B, 1, P, P]
            here = tuple(part[:, :places] for part in rotary)
            for number, layer in enumerate(model.layers):
                kept = wanted if number == len(model.layers) - 1 else places
                inner = normalise(layer.input_layernorm, states)
                query, key, value = self._project(layer.self_attn, inner, here, kept)
                self._write(memory, number, key, value)
                found = attend_masked(query, key, value, sees[:, :, -kept:], layer.self_attn.scaling)
                states = states[:, -kept:] + layer.self_attn.o_proj(found)
                states = states + layer.mlp(normalise(layer.post_attention_layernorm, states))
            memory.context = places
            return normalise(model.norm, states), memory

    @staticmethod
    def _project(
        attention: Any, inner: Tensor, rotary: tuple[Tensor, ...], kept: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries (of the last `kept` places), keys and values [B, R, H, d], rotated to their positions."""
        shape = (*inner.shape[:2], -1, attention.head_dim)
        last = inner if kept is None else inner[:, -kept:]
        query = attention.q_proj(last).view(len(last), last.shape[1], -1, attention.head_dim)
        key, value = attention.k_proj(inner).view(shape), attention.v_proj(inner).view(shape)
        if hasattr(attention, "q_norm"):  # Qwen3
            query, key = normalise(attention.q_norm, query), normalise(attention.k_norm, key)
        turned = tuple(part[:, -query.shape[1] :] for part in rotary)
        return _rotate(query, *turned), _rotate(key, *rotary), value

    def extend(self, memory: SearchMemory, step: Step) -> Tensor:
        """See `Stack.extend`."""
        model = self.model.model
        users, beams, row = step.tokens.shape
        states = model.embed_tokens(step.tokens.reshape(users, beams * row))
        first = memory.context + step.before
        rotary = tuple(part[:, first : first + row].repeat(1, beams, 1) for part in memory.shared["rotary"])
        attend = None
        for number, layer in enumerate(model.layers):
            with phase(f"{step.name}: attention"):
                attention = layer.self_attn
                query, key, value = self._project(attention, normalise(layer.input_layernorm, states), rotary)
                self._write(memory, number, key, value)
                if attend is None:
                    attend = _Attend(memory, step, padding=memory.shared["padding"])
                states = states + attention.o_proj(attend(memory, number, query, scale=attention.scaling))
            with phase(f"{step.name}: feed-forward"):
                states = states + layer.mlp(normalise(layer.post_attention_layernorm, states))
        self._note(memory, step)
        return normalise(model.norm, states).view(users, beams, row, -1)


def _rotate(vectors: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn [B, R, H, d] by angles [B, R, d] (rotary embedding, Su et al. 2021)."""
    half = vectors.shape[-1] // 2
    across = torch.cat([-vectors[..., half:], vectors[..., :half]], dim=-1)
    return vectors * cosine[:, :, None] + across * sine[:, :, None]


class _Attend:
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
        whole = torch.where(sees[:, None], bias[None, :, None], -torch.inf)  # [B, H, K, m, P + N]
        return whole.flatten(2, 3)

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
