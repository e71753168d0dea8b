"""The forward pass that stands for a search where a counter must trace one: encoder and first decode step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class OneStep(nn.Module):
    """Runs the encoder and one decoder position of an encoder-decoder.

    Args:
        model: A transformers encoder-decoder.

    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, embedded: Tensor, mask: Tensor, start: Tensor) -> Tensor:
        """Return logits [B, 1, V] from encoder inputs [B, S, D], their mask [B, S] and a token each [B, 1]."""
        output = self.model(inputs_embeds=embedded, attention_mask=mask, decoder_input_ids=start, use_cache=False)
        logits: Tensor = output.logits
        return logits


def one_step(model: Any, embedded: Tensor, mask: Tensor) -> tuple[OneStep, tuple[Tensor, Tensor, Tensor]]:
    """Return the pass and its arguments."""
    start = torch.full((len(embedded), 1), model.config.decoder_start_token_id, device=embedded.device)
    return OneStep(model), (embedded, mask, start)
