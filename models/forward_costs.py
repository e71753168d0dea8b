"""Operations of a forward pass as closed formulas: from a configuration and shapes, without running anything.

Convention of all: 1 multiply-accumulate = 2 operations; matrix-like operators only, so that embeddings, norms,
softmax, activations and rotary positions cost nothing; every place of a batch counts, padding included; causal
attention is not halved; weights in int8 cost what they cost in float. Each sum is the model's list of products,
each 2 x rows x inputs x outputs, as in Kaplan et al. 2020 (arXiv 2001.08361, table 1), without its approximations.

Shapes: B users, S places, D width, n items.
"""

from __future__ import annotations

from typing import Any


def products(rows: int, *sizes: tuple[int, int]) -> int:
    """Cost of applying matrices of the given sizes to so many rows each."""
    return 2 * rows * sum(inputs * outputs for inputs, outputs in sizes)


def attention(users: int, queries: int, keys: int, inner: int) -> int:
    """Cost of queries by keys and of weights by values, with query heads of `inner` units in all."""
    return 2 * 2 * users * queries * keys * inner


def t5_encoder(config: Any, users: int, places: int) -> int:
    """Cost of a T5 encoder over [B, S, D]; Raffel et al. 2020 (arXiv 1910.10683), layers of transformers' `T5Stack`.

    Relative positions are looked up and added, which costs nothing here.
    """
    layer = _t5_attention(config, users, places, places) + _t5_feed_forward(config, users * places)
    return int(config.num_layers * layer)


def t5_decoder(config: Any, users: int, places: int, context: int) -> int:
    """Cost of a T5 decoder over [B, T, D] that attends to an encoder's [B, S, D], nothing cached.

    Raffel et al. 2020 (arXiv 1910.10683): self-attention, cross-attention whose keys and values are those of the
    context, feed-forward. The language-model head is `head`.
    """
    layer = _t5_attention(config, users, places, places) + _t5_attention(config, users, places, context)
    return int(config.num_decoder_layers * (layer + _t5_feed_forward(config, users * places)))


def _t5_attention(config: Any, users: int, queries: int, keys: int) -> int:
    width, inner = config.d_model, config.num_heads * config.d_kv
    projected = products(users * queries, (width, inner), (inner, width))  # queries and output
    projected += products(users * keys, (width, inner), (width, inner))
    return projected + attention(users, queries, keys, inner)


def _t5_feed_forward(config: Any, rows: int) -> int:
    matrices = 3 if config.is_gated_act else 2
    return products(rows, *[(config.d_model, config.d_ff)] * matrices)


def llama(config: Any, users: int, places: int) -> int:
    """Cost of a Llama, Qwen2 or Qwen3 over [B, S, D], without its head.

    Touvron et al. 2023 (arXiv 2302.13971): gated feed-forward of three matrices; keys and values have fewer heads
    than queries under grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245), which saves projections and
    no operation of attention.
    """
    width, heads = config.hidden_size, config.num_attention_heads
    each = getattr(config, "head_dim", None) or width // heads
    inner, shared = heads * each, (config.num_key_value_heads or heads) * each
    matrices = [(width, inner), (width, shared), (width, shared), (inner, width)]
    matrices += [(width, config.intermediate_size)] * 3
    layer = products(users * places, *matrices) + attention(users, places, places, inner)
    return int(config.num_hidden_layers * layer)


def gpt2(config: Any, users: int, places: int) -> int:
    """Cost of a GPT-2 over [B, S, D], without its head; Radford et al. 2019, blocks of transformers' `GPT2Model`."""
    width, inner = config.n_embd, config.n_inner or 4 * config.n_embd
    matrices = [(width, 3 * width), (width, width), (width, inner), (inner, width)]
    layer = products(users * places, *matrices) + attention(users, places, places, width)
    return int(config.n_layer * layer)


def mamba(config: Any, users: int, places: int) -> int:
    """Cost of the newest output of one Mamba layer over [B, S, D], as `models.state_space.StateSpace.read` computes it.

    Gu and Dao 2023 (arXiv 2312.00752), layers of transformers' `MambaMixer`. Gate, output of the state and projection
    are those of one place a user. What moves the state from place to place is no product of matrices, and so costs
    nothing here, though it takes most of the time.
    """
    width, inner, state = config.hidden_size, config.intermediate_size, config.state_size
    rank = config.time_step_rank
    each = products(users * places, (width, inner), (config.conv_kernel, inner), (inner, rank + state), (rank, inner))
    return each + products(users, (width, inner), (inner, state), (state, inner), (inner, width))


def bert(config: Any, users: int, places: int) -> int:
    """Cost of a BERT or MiniLM over [B, S, D]; Devlin et al. 2019 (arXiv 1810.04805).

    The pooler, which transformers' `BertModel` applies to each row's first place, is included.
    """
    width, inner = config.hidden_size, config.intermediate_size
    matrices = [*[(width, width)] * 4, (width, inner), (inner, width)]
    layer = products(users * places, *matrices) + attention(users, places, places, width)
    return int(config.num_hidden_layers * layer) + products(users, (width, width))


def head(rows: int, width: int, outputs: int) -> int:
    """Cost of scores for so many outputs: a language-model head, or a catalogue's vectors."""
    return products(rows, (width, outputs))


def total(*parts: int | None) -> int | None:
    """Add up costs; None where one is not known."""
    costs = [part for part in parts if part is not None]
    return sum(costs) if len(costs) == len(parts) else None


_DECODERS = {"llama": llama, "qwen2": llama, "qwen3": llama, "gpt2": gpt2}
_READERS = {"t5": t5_encoder, "bert": bert, **_DECODERS}
"""Formulas by transformers' `model_type`."""


def reader(config: Any, users: int, places: int) -> int | None:
    """Cost of a backbone that turns [B, S, D] into hidden states; None for families without a formula."""
    formula = _READERS.get(config.model_type)
    return None if formula is None else formula(config, users, places)


def first_token(config: Any, users: int, places: int) -> int | None:
    """Cost of the logits of the first token after prompts [B, S, D]; None for families without a formula.

    T5 reads the prompt with its encoder and one start token with its decoder; a decoder alone reads the prompt
    and scores its last place.
    """
    if config.model_type == "t5":
        read = t5_encoder(config, users, places) + t5_decoder(config, users, 1, places)
    elif config.model_type in _DECODERS:
        read = _DECODERS[config.model_type](config, users, places)
    else:
        return None
    return read + head(users, config.hidden_size, config.vocab_size)
