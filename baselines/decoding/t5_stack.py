"""T5's decoder as a beam search wants it; see `baselines.decoding.stack`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from baselines.decoding.attention import attend_masked
from baselines.decoding.beams import Prompt
from baselines.decoding.stack import Attend, SearchMemory, Stack, Step, normalise
from models.phases import phase


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
            states = finite(states + attention.o(attend_masked(query, key, value, mask, 1.0)))
            states = finite(states + forward.DenseReluDense(normalise(forward.layer_norm, states)))
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
                    attend = Attend(memory, step, biases=biases)
                states = finite(states + attention.o(attend(memory, number, attention.q(inner), scale=1.0)))
                inner = normalise(cross.layer_norm, states)
                attention = cross.EncDecAttention
                query = attention.q(inner).view(users, beams * row, attention.n_heads, -1).transpose(1, 2)
                key, value = memory.shared["cross"][number]
                attended = functional.scaled_dot_product_attention(
                    query, key, value, attn_mask=memory.shared["padding"], scale=1.0
                )
                states = finite(states + attention.o(attended.transpose(1, 2).flatten(2)))
            with phase(f"{step.name}: feed-forward"):
                states = finite(states + forward.DenseReluDense(normalise(forward.layer_norm, states)))
        self._note(memory, step)
        states = normalise(self.model.decoder.final_layer_norm, states)
        if self.model.config.scale_decoder_outputs:
            states = states * self.model.model_dim**-0.5
        ends: Tensor = states.view(users, beams, row, -1)
        return ends


def finite(states: Tensor) -> Tensor:
    """Keep half-precision states finite, as transformers' T5 does."""
    if states.dtype is not torch.float16:
        return states
    largest = torch.finfo(torch.float16).max - 1000
    return states.clamp(-largest, largest)
