"""A T5 decoder that reads the same few tokens for every user: what does not depend on the user is computed once.

Before the first cross-attention nothing of a user has been read. Embeddings, the first layer's self-attention and the
queries of its cross-attention are therefore the same for all, and so are relative positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from baselines.decoding.t5_stack import finite
from models import forward_costs


@dataclass(frozen=True)
class Opening:
    """What all users share.

    Attributes:
        states: States behind the first self-attention, [1, T, D].
        query: Queries of the first cross-attention, [1, H, T, d].
        bias: Relative positions, later places masked, [1, H, T, T].

    """

    states: Tensor
    query: Tensor
    bias: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes of all."""
        return self.states.nbytes + self.query.nbytes + self.bias.nbytes

    @classmethod
    @torch.no_grad()
    def of(cls, decoder: Any, tokens: Tensor) -> Opening:
        """Run a decoder in eval mode up to the first cross-attention, over tokens [T]."""
        own, cross, _ = decoder.block[0].layer
        places = len(tokens)
        later = torch.ones(places, places, dtype=torch.bool, device=tokens.device).triu(1)
        bias = own.SelfAttention.compute_bias(places, places)
        bias = bias.masked_fill(later, torch.finfo(bias.dtype).min)
        states, _, _ = own(decoder.embed_tokens(tokens)[None], position_bias=bias)
        attention = cross.EncDecAttention
        query = attention.q(cross.layer_norm(states)).view(1, places, attention.n_heads, -1).transpose(1, 2)
        return cls(states, query.contiguous(), bias)


def decode(decoder: Any, opening: Opening, context: Tensor, mask: Tensor) -> Tensor:
    """Return the decoder's states [B, T, D].

    Args:
        decoder: A `transformers` T5 stack in eval mode.
        opening: Made from it.
        context: The encoder's states, [B, S, D].
        mask: Which of them are real, bool [B, S].

    """
    sees = torch.zeros_like(mask, dtype=context.dtype).masked_fill(~mask, torch.finfo(context.dtype).min)
    sees = sees[:, None, None]  # [B, 1, 1, S]; added, as every kind of attention understands it
    first, *others = decoder.block
    _, cross, forward = first.layer
    attention, users = cross.EncDecAttention, len(context)
    key, value = (
        project(context).view(users, -1, attention.n_heads, attention.key_value_proj_dim).transpose(1, 2)
        for project in (attention.k, attention.v)
    )
    query = opening.query.expand(users, -1, -1, -1)
    attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=sees, scale=1.0)
    states = finite(forward(finite(opening.states + attention.o(attended.transpose(1, 2).flatten(2)))))
    for block in others:
        states, _, _ = block(
            states, position_bias=opening.bias, encoder_hidden_states=context, encoder_attention_mask=sees
        )
    ends: Tensor = decoder.final_layer_norm(states)
    return ends


def saved(config: Any, users: int, places: int) -> int:
    """Return the operations that `decode` saves of `models.forward_costs.t5_decoder` over [B, T, D]."""
    width, inner = config.d_model, config.num_heads * config.d_kv
    projected = forward_costs.products(users * places, *[(width, inner)] * 4, (inner, width))
    return projected + forward_costs.attention(users, places, places, inner)
