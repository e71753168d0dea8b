"""The second opinion: fvcore traces one forward pass and counts its multiply-accumulates.

fvcore leaves out operators that it does not know; the handlers here have those that recommenders are made of.
Norms count as nothing, since fvcore knows one kind of them alone.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis

from bench.measure.formulas import recurrent, whole_attention


def fvcore_flops(module: torch.nn.Module, tensors: tuple[torch.Tensor, ...]) -> float:
    """Return twice fvcore's count of multiply-accumulates, attention included, norms left out.

    Args:
        module: Called with `tensors`; in eval mode.
        tensors: Positional arguments.

    """
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(module, tensors)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        for operator, handler in _HANDLERS.items():
            analysis.set_op_handle(f"aten::{operator}", handler)
        return 2.0 * float(analysis.total())


def _shape(value: Any) -> list[int]:
    shape: list[int] | None = value.type().sizes()
    if shape is None:
        raise ValueError("a tensor's shape is not in the trace")
    return shape


def _attention(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count multiply-accumulates of attention: query [..., Q, D], key [..., K, D], value [..., K, V]."""
    del outputs
    query, key, value = map(_shape, inputs[:3])
    return int(math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


def _product(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count multiply-accumulates of matrices or vectors [..., D] with others: D for each number of the output."""
    return int(math.prod(_shape(outputs[0])) * _shape(inputs[0])[-1])


def _added_product(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count multiply-accumulates of a product that is added to something, and summed over a batch if it has one."""
    left = _shape(inputs[1])
    return int(math.prod(_shape(outputs[0])) * math.prod(left) // left[-2])


def _recurrent(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count multiply-accumulates of a recurrent network over [..., D]: its matrices are in one of its lists."""
    del outputs
    lists = [value.node().inputs() for value in inputs if value.node().kind() == "prim::ListConstruct"]
    weights = [_shape(value) for values in lists for value in values if value.isCompleteTensor()]
    return recurrent(_shape(inputs[0]), weights)


def _whole_attention(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count multiply-accumulates of attention between [B, S, D] with its four projections."""
    del outputs
    queries, keys, values = ([places] * users for users, places, _ in map(_shape, inputs[:3]))
    return whole_attention(queries, keys, values, _shape(inputs[0])[-1])


def _encoder_layer(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count multiply-accumulates of one layer of `nn.TransformerEncoder` over [B, S, D]."""
    del outputs
    users, places, width = _shape(inputs[0])
    lengths = [places] * users
    feed_forward = users * places * sum(math.prod(_shape(inputs[place])) for place in (14, 16))  # as in aten's schema
    return whole_attention(lengths, lengths, lengths, width) + feed_forward


def _nothing(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    del inputs, outputs
    return 0


_HANDLERS: dict[str, Callable[[Sequence[Any], Sequence[Any]], int]] = {
    "scaled_dot_product_attention": _attention,
    **dict.fromkeys(("_int_mm", "matmul", "mv", "dot", "vdot"), _product),
    **dict.fromkeys(("addmv", "addbmm"), _added_product),
    "_native_multi_head_attention": _whole_attention,
    "_transformer_encoder_layer_fwd": _encoder_layer,
    **dict.fromkeys(("gru", "lstm", "rnn_tanh", "rnn_relu"), _recurrent),
    **dict.fromkeys(("layer_norm", "batch_norm", "group_norm"), _nothing),
}
