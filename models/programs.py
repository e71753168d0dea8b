"""Requests as one program for each of their sizes: on a GPU a CUDA graph, on a CPU what Inductor makes of them.

A small model answers few users in less time than Python takes to start its operators one by one. Item numbers are
padded to the next bucket, so that few sizes occur. The first request of a size pays for its program, on a CPU seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import BatchFeature

from models.errors import UserError
from models.graphs import Program, capture
from models.recommender import Recommender

BUCKET = {"cpu": 32}
"""Rows of item numbers that a model reads are padded to multiples of this: a processor pays for each place."""

BUCKET_ELSEWHERE = 64
"""Likewise on a GPU, which pays for launches. On any device, rows without a bound, such as seen items, are padded to
this many places, or to the next power of two."""

SIZES = 256
"""Most sizes of requests that one process compiles."""

OPTIONS: dict[str, Any] = {"cpp_wrapper": True}
"""What Inductor is asked for on a CPU: that no Python runs between its kernels."""

Pass = Callable[[BatchFeature], tuple[Tensor, ...]]


def as_program(recommender: Recommender, key: Hashable, forward_pass: Pass, inputs: BatchFeature) -> tuple[Tensor, ...]:
    """Run `forward_pass` on inputs, as a program that is made once for each key and size.

    Args:
        recommender: Keeps its programs; its `index` empties them, for they go on reading what they were made with.
        key: What tells different passes of the recommender apart.
        forward_pass: Reads tensors [B], and item numbers [B, S] padded on the right with 0 up to
            `Recommender.most_places`.
        inputs: As `Recommender.prepare` makes them, on the recommender's device.

    Raises:
        UserError: There is no C++ compiler.

    """
    names, tensors = list(inputs), [_bucketed(value, recommender.most_places(name)) for name, value in inputs.items()]
    size = (key, *((name, value.shape) for name, value in zip(names, tensors, strict=True)))
    if size not in recommender.programs:

        def from_tensors(*given: Tensor) -> tuple[Tensor, ...]:
            return forward_pass(BatchFeature(dict(zip(names, given, strict=True))))

        recommender.programs[size] = _program(from_tensors, tensors, recommender)
    return recommender.programs[size](*tensors)


def _program(program: Program, tensors: list[Tensor], recommender: Recommender) -> Program:
    if tensors[0].is_cuda:
        return capture(program, tensors, [*recommender.parameters(), *recommender.buffers()])
    return compiled(program, **OPTIONS)


def compiled(program: Program, **options: Any) -> Program:
    """Return `program` compiled by Inductor, for tensors of the sizes that it is first called with.

    Args:
        program: Takes tensors, or None, and returns tensors.
        options: What Inductor is asked for, as `torch.compile` takes it.

    Raises:
        UserError: At its first call: there is no C++ compiler.

    """
    quick: Program = torch.compile(program, dynamic=False, fullgraph=True, options=options or None)
    ready = False

    def call(*given: Tensor | None) -> tuple[Tensor, ...]:
        nonlocal ready
        if ready:
            try:
                return quick(*given)
            except torch._dynamo.exc.FailOnRecompileLimitHit:  # noqa: SLF001 - where torch keeps it
                pass  # something that it was compiled with has changed since, such as what transformers has loaded
        try:
            # Programs of all sizes share one function, against whose limit all of them count.
            with torch._dynamo.config.patch(recompile_limit=SIZES):  # noqa: SLF001 - torch's documented switch
                outputs = quick(*given)
        except torch._inductor.exc.InductorError as error:  # noqa: SLF001 - where torch keeps it
            if "InvalidCxxCompiler" not in str(error):
                raise
            raise UserError("compiling needs a C++ compiler, such as g++: install one, or do not compile") from error
        ready = True
        return outputs

    return call


def _bucketed(value: Tensor, most: int | None) -> Tensor:
    """Pad rows of item numbers to the next bucket, but not beyond `most` places, where that is a bound."""
    if value.ndim == 1:
        return value
    places = value.shape[1]
    if most is None:
        wide = max(BUCKET_ELSEWHERE, 1 << (places - 1).bit_length())
    else:
        bucket = BUCKET.get(value.device.type, BUCKET_ELSEWHERE)
        wide = max(places, min(-(-places // bucket) * bucket, most))
    return value if wide == places else functional.pad(value, (0, wide - places))
