"""Floating-point operations of a request, by phase, beam search included.

Convention: 1 multiply-accumulate = 2 operations; matrix-like operators only; causal attention is
not halved. The authority is torch's `FlopCounterMode`, whose registry lacks the CPU's attention
kernel and the product of int8 matrices, which would count as nothing; `MENDED` has their formulas. The second
opinion is fvcore, which traces one forward pass and counts multiply-accumulates.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry, sdpa_flop_count

from bench.measure.subject import Subject
from bench.results.record import Flops, Unavailable
from models.recommender import PHASE


def _cpu_attention(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """Count the two products of attention from the shapes [B, H, S, D] of its inputs."""
    del out_shape
    return int(sdpa_flop_count(query, key, value))


def _product(left: Any, right: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """Count the product of matrices of shapes [R, D] and [D, n]."""
    del out_shape
    return int(2 * left[0] * left[1] * right[1])


MENDED: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _cpu_attention,  # noqa: SLF001 - an operator's name
    torch.ops.aten._int_mm: _product,  # noqa: SLF001 - as above
}
"""Formulas that torch's registry lacks; operations on int8 count as those on floats do."""

UNDECLARED_VIEWS = {torch.ops.aten._unsafe_view, torch.ops.aten.unsafe_split}  # noqa: SLF001 - as above
"""Operators that move nothing, yet whose schemas do not say that they return views."""


@dataclass(frozen=True)
class Counted:
    """FLOPs of one request.

    Attributes:
        total: All of it.
        phases: By phase, in the order in which phases first ran; what ran outside any is left out.
        uncounted: Operators with floating-point outputs and no formula that are neither views nor
            elementwise, and how often they ran.

    """

    total: int
    phases: dict[str, int]
    uncounted: dict[str, int]


class _Watcher(TorchDispatchMode):
    """Reads the counter whenever a phase begins or ends, and notes operators without a formula."""

    def __init__(self, counter: FlopCounterMode) -> None:
        super().__init__()
        self._counter = counter
        self._open: list[tuple[str, int]] = []
        self.phases: dict[str, int] = {}
        self.uncounted: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = str(func)
        if name.startswith("profiler._record_function_enter"):
            label = str(args[0])
            self._open.append((label, self._counter.get_total_flops()))
            if label.startswith(PHASE):
                self.phases.setdefault(label.removeprefix(PHASE), 0)
        elif name.startswith("profiler._record_function_exit") and self._open:
            label, before = self._open.pop()
            if label.startswith(PHASE):
                self.phases[label.removeprefix(PHASE)] += self._counter.get_total_flops() - before
        result = func(*args, **(kwargs or {}))
        if not self._has_formula(func) and _is_float(result):
            self.uncounted[name] += 1
        return result

    @staticmethod
    def _has_formula(func: Any) -> bool:
        packet = getattr(func, "overloadpacket", func)
        elementwise = torch.Tag.pointwise in getattr(func, "tags", ())
        aliases = any(argument.alias_info is not None for argument in func._schema.arguments)  # noqa: SLF001
        view = aliases or packet in UNDECLARED_VIEWS
        return packet in flop_registry or packet in MENDED or elementwise or view


def _is_float(result: Any) -> bool:
    first = result[0] if isinstance(result, (tuple, list)) and result else result
    return isinstance(first, torch.Tensor) and (first.is_floating_point() or first.is_complex()) and first.numel() > 0


def count(call: Callable[[], Any]) -> Counted:
    """Count the operations of one call; it runs many times slower than it otherwise would."""
    counter = FlopCounterMode(display=False, custom_mapping=MENDED)
    watcher = _Watcher(counter)
    # Not inference_mode: there, composite operators would reach the watcher undecomposed.
    with torch.no_grad(), counter, watcher:
        call()
    return Counted(counter.get_total_flops(), watcher.phases, dict(sorted(watcher.uncounted.items())))


def request_flops(subject: Subject) -> tuple[Flops, dict[str, float]]:
    """Count one whole request of a subject.

    Returns:
        FLOPs per user with both opinions, and FLOPs per user by phase.

    """

    def request() -> None:
        subject.recommender.recommend(subject.inputs(0), subject.k)

    counted = count(request)
    users = subject.batch_size
    forward, second = _second_opinion(subject)
    flops = Flops(
        per_user=counted.total / users,
        forward_per_user=None if forward is None else forward / users,
        fvcore_per_user=second if isinstance(second, Unavailable) else second / users,
        uncounted=counted.uncounted,
    )
    return flops, {name: value / users for name, value in counted.phases.items()}


def _second_opinion(subject: Subject) -> tuple[int | None, float | Unavailable]:
    """Count one forward pass with both counters: ours, and twice fvcore's multiply-accumulates."""
    try:
        module, tensors = subject.recommender.forward_pass(subject.inputs(0))
        forward = count(lambda: module(*tensors)).total
        return forward, fvcore_flops(module, tensors)
    except Exception as error:  # noqa: BLE001 - whatever tracing stumbles over, the first opinion stands
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        return None, Unavailable(unavailable=f"fvcore cannot trace this forward pass: {reason}")


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
        analysis.set_op_handle("aten::scaled_dot_product_attention", _fvcore_attention)
        analysis.set_op_handle("aten::_int_mm", _fvcore_product)
        for norm in ("layer_norm", "batch_norm", "group_norm"):
            analysis.set_op_handle(f"aten::{norm}", _nothing)
        return 2.0 * float(analysis.total())


def _fvcore_attention(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count multiply-accumulates of attention: query [..., Q, D], key [..., K, D], value [..., K, V]."""
    del outputs
    query, key, value = (item.type().sizes() for item in inputs[:3])
    return int(math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1]))


def _fvcore_product(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count multiply-accumulates of matrices [R, D] and [D, n]."""
    del outputs
    left, right = (item.type().sizes() for item in inputs)
    return int(math.prod(left) * right[1])


def _nothing(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    del inputs, outputs
    return 0
