"""Operations of what torch's `FlopCounterMode` has no formula for and would silently count as nothing.

Convention: 1 multiply-accumulate = 2 operations; matrix-like operators only; causal attention is not halved;
operations on integers count as those on floats do. A formula gets the operator's arguments with shapes
in place of tensors; one marked `_get_raw`, as torch calls it, gets the tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from bench.measure.operators import MOVERS, base_name, is_view

MATRIX = 2
"""Dimensions of a matrix."""


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Count the two products of attention: [B, H, S, D] each."""
    return int(sdpa_flop_count(query, key, value))


def _matrices(left: Any, right: Any, *_: Any, **__: Any) -> int:
    """Count the product of matrices [R, D] and [D, n]."""
    return 2 * int(math.prod((*left, right[1])))


def _vector(matrix: Sequence[int], *_: Any, **__: Any) -> int:
    """Count the product of a matrix [R, D], or of a vector [D], with a vector [D]."""
    return 2 * math.prod(matrix)


def _added_vector(added: Any, matrix: Sequence[int], *_: Any, **__: Any) -> int:
    """Count the product of a matrix [R, D] with a vector [D] that is added to another."""
    del added
    return 2 * math.prod(matrix)


def _summed_matrices(added: Any, left: Any, right: Any, *_: Any, **__: Any) -> int:
    """Count the products of matrices [B, R, D] and [B, D, n]."""
    del added
    return 2 * int(math.prod((*left, right[2])))


def _packed_linear(states: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    """Count a linear layer from [..., D] to [..., n] whose weight is packed away."""
    return 2 * int(math.prod((*states, out_shape[-1])))


def _recurrent_layer(states: Any, *weights: Any, **__: Any) -> int:
    """Count one layer over [..., D]: every place is multiplied by the input weights and by the hidden ones."""
    return recurrent(states, weights[:2]) * 2


def _recurrent_stack(states: Any, weights: Any, *_: Any, **__: Any) -> int:
    """Count all layers over [..., D], whose matrices and biases are given in one list."""
    return recurrent(states, weights) * 2


def _whole_attention(query: Tensor, key: Tensor, value: Tensor, width: int, *_: Any, **__: Any) -> int:
    """Count attention between [B, S, D] with its four projections; nested tensors have rows of several lengths."""
    return whole_attention(_lengths(query), _lengths(key), _lengths(value), width) * 2


def _encoder_layer(states: Tensor, width: int, *others: Any, **__: Any) -> int:
    """Count one layer of `nn.TransformerEncoder` over [B, S, D], which may be nested: attention and feed-forward."""
    lengths = _lengths(states)
    weights: tuple[Tensor, Tensor] = (others[12], others[14])  # places in aten's schema, less two
    feed_forward = sum(lengths) * sum(weight.numel() for weight in weights)
    return (whole_attention(lengths, lengths, lengths, width) + feed_forward) * 2


for _formula in (_whole_attention, _encoder_layer):
    vars(_formula)["_get_raw"] = True


def recurrent(states: Sequence[int], weights: Sequence[Sequence[int]]) -> int:
    """Return multiply-accumulates of a recurrent network.

    Every matrix is applied once at every place of the sequence: the input weights [G * H, D], the hidden ones
    [G * H, H], and those that project the output where there are any, with G gates of H units.

    Args:
        states: Shape of the input, width last.
        weights: Shapes of all parameters, both directions; what is no matrix is left out.

    """
    return math.prod(states[:-1]) * sum(math.prod(weight) for weight in weights if len(weight) == MATRIX)


def whole_attention(queries: Sequence[int], keys: Sequence[int], values: Sequence[int], width: int) -> int:
    """Return multiply-accumulates of attention with all heads, its projections of queries, keys, values and output.

    Args:
        queries: How many places each row of the batch has.
        keys: Likewise.
        values: Likewise, as many as keys.
        width: Width of the states, D.

    """
    projected = (2 * sum(queries) + sum(keys) + sum(values)) * width**2
    return projected + 2 * width * sum(rows * columns for rows, columns in zip(queries, keys, strict=True))


def _lengths(states: Tensor) -> list[int]:
    """Return how many places each row of a batch has."""
    if states.is_nested:
        return [int(size[0]) for size in states._nested_tensor_size()]  # noqa: SLF001 - it has no shape
    return [states.shape[1]] * states.shape[0]


_FORMULAS: dict[str, Callable[..., int]] = {
    "aten._scaled_dot_product_flash_attention_for_cpu": _attention,
    "aten._int_mm": _matrices,
    "aten.mv": _vector,
    "aten.dot": _vector,
    "aten.vdot": _vector,
    "aten.addmv": _added_vector,
    "aten.addbmm": _summed_matrices,
    "aten.mkldnn_rnn_layer": _recurrent_layer,
    "aten._cudnn_rnn": _recurrent_stack,
    "aten._native_multi_head_attention": _whole_attention,
    "aten._transformer_encoder_layer_fwd": _encoder_layer,
    "quantized.linear_dynamic": _packed_linear,
}


def _operators(formulas: dict[str, Callable[..., int]]) -> dict[Any, Callable[..., int]]:
    """Look operators up by name; what this version of torch does not have is left out."""
    by_packet: dict[Any, Callable[..., int]] = {}
    for path, formula in formulas.items():
        namespace, _, name = path.partition(".")
        packet = getattr(getattr(torch.ops, namespace), name, None)
        if packet is not None:
            by_packet[packet] = formula
    return by_packet


MENDED = _operators(_FORMULAS)
"""Formulas that torch's registry lacks, by operator."""


@cache
def has_formula(func: Any) -> bool:
    """Tell whether the operations of an operator are known: by a formula, or to be none."""
    none = torch.Tag.pointwise in func.tags or base_name(func) in MOVERS or is_view(func)
    return none or func.overloadpacket in flop_registry or func.overloadpacket in MENDED
