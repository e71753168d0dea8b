"""Which stack goes with which model."""

from __future__ import annotations

from typing import Any

from transformers import LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, T5ForConditionalGeneration

from baselines.decoding.causal_stack import CausalDecoder
from baselines.decoding.stack import Stack
from baselines.decoding.t5_stack import T5Decoder
from models.errors import UserError

CAUSAL = (LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)


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
