"""Two backbones that read histories of sets and answer queries: a T5, and a decoder alone.

Shapes: B users, S items, t vectors an item, D width. The vectors of one item have one position and do not see each
other. A query sees what was read and itself, and no other query.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, PretrainedConfig, T5Config, T5Model

from baselines.decoding.t5_stack import finite
from models import forward_costs
from models.backbones import Role, new_backbone
from models.dropout import quicken_dropout


class T5Reader(nn.Module):
    """An encoder over the history, and a decoder over the queries whose self-attention sees nothing but itself.

    Under a mask of one place, attention gives back the value itself, so that queries, keys and positions of the
    decoder's self-attention have no say and are not computed.

    Args:
        config: A T5's; its vocabulary is not read.

    """

    every_place = False
    role = Role.ENCODER_DECODER

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        model = T5Model(config)
        self.config = config
        self.encoder: Any = model.encoder
        self.decoder: Any = model.decoder
        for stack in (self.encoder, self.decoder):
            stack.set_input_embeddings(nn.Identity())  # no tokens are read
        quicken_dropout(self)

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take over the weights of a T5, but not its embeddings."""
        self.load_state_dict({name: value for name, value in weights.items() if ".block." in name or "norm" in name})

    def forward(self, sets: Tensor, real: Tensor, queries: Tensor) -> Tensor:
        """Answer queries [t, D] about whole histories.

        Args:
            sets: The histories' sets, [B, S, t, D].
            real: Which items are no padding, bool [B, S].
            queries: The same for all users, [t, D].

        Returns:
            [B, t, D].

        """
        users, places, each, _ = sets.shape
        context = self._encode(sets.flatten(1, 2), real.repeat_interleave(each, 1), places, each)
        sees = _added(real.repeat_interleave(each, 1)[:, None, None], sets.dtype)  # [B, 1, 1, S * t]
        decoder = self.decoder
        states = decoder.dropout(queries.repeat(users, 1, 1))
        for own, cross, forward in (block.layer for block in decoder.block):
            attention = own.SelfAttention
            states = finite(states + own.dropout(attention.o(attention.v(own.layer_norm(states)))))
            states = finite(cross(states, key_value_states=context, attention_mask=sees)[0])
            states = finite(forward(states))
        normalised = decoder.dropout(decoder.final_layer_norm(states))
        # Scaled, or the softmax would begin sharp: vectors are long.
        answers: Tensor = normalised * normalised.shape[-1] ** -0.5
        return answers

    def _encode(self, states: Tensor, real: Tensor, places: int, each: int) -> Tensor:
        """Run the encoder over [B, S * t, D], with relative positions of items in place of vectors."""
        encoder = self.encoder
        bias = encoder.block[0].layer[0].SelfAttention.compute_bias(places, places)
        bias = bias.repeat_interleave(each, 2).repeat_interleave(each, 3)  # [1, H, S * t, S * t]
        allowed = real[:, None, None] & ~_siblings(places, each, states.device)
        bias = bias.masked_fill(~allowed, torch.finfo(states.dtype).min)
        states = encoder.dropout(states)
        for block in encoder.block:
            states, _, _ = block(states, position_bias=bias)
        read: Tensor = encoder.dropout(encoder.final_layer_norm(states))
        return read

    def cost(self, users: int, places: int, each: int) -> int:
        """Return the operations of `forward` by a closed formula."""
        config = self.config
        read = forward_costs.t5_encoder(config, users, places * each)
        written = forward_costs.t5_decoder(config, users, each, places * each)
        inner = config.num_heads * config.d_kv
        unread = forward_costs.products(users * each, *[(config.d_model, inner)] * 2)
        unread += forward_costs.attention(users, each, each, inner)
        return read + written - (config.num_decoder_layers or config.num_layers) * unread


class CausalReader(nn.Module):
    """A decoder alone: items see those before them, and queries stand behind the last item that they see.

    Args:
        config: A Llama's or its kin's; its vocabulary is not read.

    """

    every_place = True
    role = Role.CAUSAL

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone: Any = new_backbone(config, Role.CAUSAL)
        self.backbone.set_input_embeddings(nn.Identity())  # no tokens are read

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take over the weights of such a backbone, but not its embeddings."""
        self.backbone.load_state_dict({name: value for name, value in weights.items() if "embed_tokens" not in name})

    def forward(self, sets: Tensor, real: Tensor, queries: Tensor) -> Tensor:
        """Answer queries [t, D] about whole histories, see `T5Reader.forward`; [B, t, D]."""
        last = real.sum(1, keepdim=True) - 1  # [B, 1]
        return self._answer(sets, queries, last)[:, 0]

    def at_every_place(self, sets: Tensor, queries: Tensor) -> Tensor:
        """Answer queries [t, D] about the history up to each item of [B, S, t, D] at once; [B, S, t, D]."""
        users, places = sets.shape[:2]
        ends = torch.arange(places, device=sets.device).expand(users, -1)
        return self._answer(sets, queries, ends)

    def _answer(self, sets: Tensor, queries: Tensor, ends: Tensor) -> Tensor:
        """Answer a set of queries behind the items at `ends`, int64 [B, E]; [B, E, t, D]."""
        users, places, each, _ = sets.shape
        asked = ends.shape[1]
        item = torch.arange(places, device=sets.device).repeat_interleave(each).expand(users, -1)  # [B, S * t]
        end = ends.repeat_interleave(each, 1)  # [B, E * t]
        before = item[:, None] < item[:, :, None]  # [B, S * t, S * t]
        over_items = torch.cat([before, item[:, None] <= end[:, :, None]], dim=1)  # [B, N, S * t], N = (S + E) * t
        over_queries = over_items.new_zeros(users, over_items.shape[1], asked * each)
        itself = torch.eye(over_items.shape[1], dtype=torch.bool, device=sets.device)
        sees = torch.cat([over_items, over_queries], dim=2) | itself
        states = torch.cat([sets.flatten(1, 2), queries.repeat(asked, 1).expand(users, -1, -1)], dim=1)
        hidden = self.backbone(
            inputs_embeds=states,
            attention_mask=_added(sees[:, None], states.dtype),
            position_ids=torch.cat([item, end + 1], dim=1),
            use_cache=False,
        ).last_hidden_state
        answers: Tensor = hidden[:, places * each :].unflatten(1, (asked, each)) * hidden.shape[-1] ** -0.5  # as above
        return answers

    def cost(self, users: int, places: int, each: int) -> int:
        """Return the operations of `forward` by a closed formula."""
        operations = forward_costs.reader(self.config, users, (places + 1) * each)
        assert operations is not None
        return operations


def reader_of(config: PretrainedConfig) -> T5Reader | CausalReader:
    """Choose by the backbone's family: a T5, or a Llama and its kin."""
    return T5Reader(config) if isinstance(config, T5Config) else CausalReader(config)


def can_read(config: PretrainedConfig) -> bool:
    """Tell whether there is a reader for the family."""
    return isinstance(config, (T5Config, LlamaConfig)) or config.model_type in {"qwen2", "qwen3"}


def _siblings(places: int, each: int, device: torch.device) -> Tensor:
    """Tell which vectors are others of the same item, bool [S * t, S * t]."""
    item = torch.arange(places, device=device).repeat_interleave(each)
    same = item[:, None] == item[None]
    return same & ~torch.eye(places * each, dtype=torch.bool, device=device)


def _added(sees: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a mask as every kind of attention understands it: 0 where it may look, the least number elsewhere."""
    return torch.zeros_like(sees, dtype=dtype).masked_fill(~sees, torch.finfo(dtype).min)
