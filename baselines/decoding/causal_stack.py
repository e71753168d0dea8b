"""Llama and its kin as a beam search wants them; see `baselines.decoding.stack`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from baselines.decoding.attention import attend_masked
from baselines.decoding.beams import Past, Prompt
from baselines.decoding.stack import Attend, SearchMemory, Stack, Step, normalise
from models.phases import phase


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
            mask = mask if prompt.past is None else torch.cat([prompt.past.mask, mask], dim=1)
            places, read = mask.shape[1], states.shape[1]
            positions = (mask.long().cumsum(1) - 1).clamp(min=0)
            coming = positions[:, -1:] + 1 + torch.arange(depth, device=mask.device)
            rotary = model.rotary_emb(states, torch.cat([positions, coming], dim=1))  # two of [B, P + depth, d]
            here = tuple(part[:, places - read : places] for part in rotary)
            head_dim = model.layers[0].self_attn.head_dim
            shape = (users, places + room, config.num_key_value_heads, head_dim)
            memory = SearchMemory(
                [states.new_empty(shape) for _ in model.layers],
                [states.new_empty(shape) for _ in model.layers],
                0,
                mask.new_empty(0, dtype=torch.int64),
                {"rotary": rotary, "padding": mask},
            )
            if prompt.past is not None:
                self._take_in(memory, prompt.past)
            causal = torch.ones(places, places, dtype=torch.bool, device=mask.device).tril()
            itself = torch.eye(places, dtype=torch.bool, device=mask.device)  # padding must see something
            sees = ((causal & mask[:, None]) | itself)[:, None, -read:]  # [B, 1, S, P]
            for number, layer in enumerate(model.layers):
                kept = wanted if number == len(model.layers) - 1 else read
                inner = normalise(layer.input_layernorm, states)
                query, key, value = self._project(layer.self_attn, inner, here, kept)
                self._write(memory, number, key, value)
                if prompt.past is not None:
                    key, value = memory.keys[number][:, :places], memory.values[number][:, :places]
                attended = attend_masked(query, key, value, sees[:, :, -kept:], layer.self_attn.scaling)
                states = states[:, -kept:] + layer.self_attn.o_proj(attended)
                states = states + layer.mlp(normalise(layer.post_attention_layernorm, states))
            memory.context = places
            if prompt.keep is not None:
                given = prompt.places
                keys, values = ([part[:, :given] for part in held] for held in (memory.keys, memory.values))
                prompt.keep(Past(keys, values, mask[:, :given]))
            return normalise(model.norm, states), memory

    @staticmethod
    def _take_in(memory: SearchMemory, past: Past) -> None:
        """Put what was read before in front of what will be."""
        memory.context = past.mask.shape[1]
        for held, given in ((memory.keys, past.keys), (memory.values, past.values)):
            for buffer, part in zip(held, given, strict=True):
                buffer[:, : memory.context] = part

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
                    attend = Attend(memory, step, padding=memory.shared["padding"])
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
