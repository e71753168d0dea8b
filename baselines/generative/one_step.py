"""The forward pass that stands for a search where a counter must trace one: the choice of the first token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from baselines.decoding.beams import Prompt


class OneStep(nn.Module):
    """Runs a prompt up to the logits of the first generated token.

    Args:
        model: A transformers encoder-decoder, or a decoder alone.

    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, embeddings: Tensor, mask: Tensor, *start: Tensor) -> Tensor:
        """Return logits [B, 1, V] from a prompt [B, S, D] and its mask [B, S].

        A decoder beside an encoder also takes the token that it starts with, [B, 1].
        """
        rest: dict[str, Any] = {"decoder_input_ids": start[0]} if start else {"logits_to_keep": 1}
        output = self.model(inputs_embeds=embeddings, attention_mask=mask, use_cache=False, **rest)
        logits: Tensor = output.logits
        return logits


def one_step(model: Any, prompt: Prompt) -> tuple[OneStep, tuple[Tensor, ...]]:
    """Return the pass and its arguments."""
    arguments: tuple[Tensor, ...] = (prompt.embeddings, prompt.mask)
    if model.config.is_encoder_decoder:
        start = model.config.decoder_start_token_id
        arguments += (torch.full((len(prompt), 1), start, device=prompt.mask.device),)
    return OneStep(model), arguments
