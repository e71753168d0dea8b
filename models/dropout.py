"""Dropout whose random numbers cost little on a CPU, and dropout for decoders that have none.

torch draws one double for each value that may be dropped, one after the other: on a CPU a third of the
step of a small T5. Here one draw of 64 bits decides about four values, each with a chance that is right
to 1/65536. Elsewhere it is torch's own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LEVELS = 2**16


class Dropout(nn.Dropout):
    """`torch.nn.Dropout`, quicker on a CPU."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's own name for it
        """Zero values by chance and scale the others, in training."""
        if not self.training or self.p == 0 or input.device.type != "cpu":
            return super().forward(input)
        return input * kept(input, self.p)


def kept(like: Tensor, chance: float) -> Tensor:
    """Draw 0 with a chance, else 1 / (1 - chance): a tensor of the shape and dtype of `like`."""
    dropped = round(chance * LEVELS)
    bits = torch.empty((like.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), 2**63 - 1)
    drawn = bits.view(torch.int16)[: like.numel()].view(like.shape)
    return (drawn >= dropped - LEVELS // 2).to(like.dtype).mul_(LEVELS / (LEVELS - dropped))


def quicken_dropout(model: nn.Module) -> None:
    """Put `Dropout` in the place of every `torch.nn.Dropout`."""
    for parent in model.modules():
        for name, child in parent.named_children():
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p))


def drop_residuals(decoder: Any, chance: float) -> None:
    """Drop from embeddings and from what each block adds, as GPT-2 does: Llama and its kin have no dropout there.

    Args:
        decoder: A transformers decoder alone, with `model.layers`.
        chance: Chance of each value; 0 changes nothing.

    """
    if chance == 0:
        return
    dropout = Dropout(chance)

    def drop(module: nn.Module, _: Any, output: Tensor) -> Tensor | None:
        return dropout(output) if module.training else None

    decoder.get_input_embeddings().register_forward_hook(drop)
    for layer in decoder.model.layers:
        layer.self_attn.o_proj.register_forward_hook(drop)
        layer.mlp.down_proj.register_forward_hook(drop)
