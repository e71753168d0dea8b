"""Greedy generation of free text: the likeliest token each time, keys and values kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from baselines.decoding.beams import Prompt
from models.phases import phase


def greedy(model: Any, prompt: Prompt, *, limit: int, end: int) -> Tensor:
    """Write what follows each prompt, as transformers' `generate` does without sampling or beams.

    Args:
        model: A transformers decoder alone with its language-model head.
        prompt: Padded on the left.
        limit: Most tokens, the end included.
        end: The token that ends a text; what stands behind it is `end`, too.

    Returns:
        int64 [B, T], T at most `limit`; where all ended sooner, no further step is made.

    """
    mask, states = prompt.mask, prompt.embeddings
    cache = DynamicCache(config=model.config)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    written: list[Tensor] = []
    ended = torch.zeros(len(mask), dtype=torch.bool, device=mask.device)
    for step in range(limit):
        with phase("encode" if step == 0 else f"decode step {step + 1}"):
            logits = model(
                inputs_embeds=states,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            token = logits.argmax(1).masked_fill(ended, end)
            ended = ended | (token == end)
            written.append(token)
            if step == limit - 1 or bool(ended.all()):
                break
            states = model.get_input_embeddings()(token)[:, None]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            positions = positions[:, -1:] + 1
    return torch.stack(written, dim=1)
