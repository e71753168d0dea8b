"""One pass served by a CUDA graph for each size of request, for recommenders that read item numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from torch import Tensor
from torch.nn import functional
from transformers import BatchFeature

from models.graphs import capture, is_watched
from models.recommender import Recommendations, Recommender, phase

Served = TypeVar("Served", bound=Recommender)

BUCKET = 64
"""Rows of item numbers are padded to multiples of this."""


def captured(
    recommend: Callable[[Served, BatchFeature, int], Recommendations],
) -> Callable[[Served, BatchFeature, int], Recommendations]:
    """Let `Recommender.recommend` be served by graphs, where `Serving.captured` says so.

    It may read item numbers [B, S], padded on the right with 0 up to `Recommender.most_places`, and tensors [B]. Its
    class says `capturable`, and its `index` empties `programs`: graphs go on reading what they were captured with.

    Raises:
        UserError: The inputs are not on a CUDA device.
    """

    @wraps(recommend)
    def served(self: Served, inputs: BatchFeature, k: int) -> Recommendations:
        if not self.serving.captured or is_watched():
            return recommend(self, inputs, k)
        return _replayed(recommend, self, inputs, k)

    return served


def _replayed(
    recommend: Callable[[Served, BatchFeature, int], Recommendations],
    recommender: Served,
    inputs: BatchFeature,
    k: int,
) -> Recommendations:
    names, tensors = list(inputs), [_bucketed(value, recommender.most_places(name)) for name, value in inputs.items()]
    key = (k, *((name, value.shape) for name, value in zip(names, tensors, strict=True)))

    def whole(*given: Tensor) -> tuple[Tensor, Tensor]:
        found = recommend(recommender, BatchFeature(dict(zip(names, given, strict=True))), k)
        return found.items, found.scores

    if key not in recommender.programs:
        held = [*recommender.parameters(), *recommender.buffers()]
        recommender.programs[key] = capture(whole, tensors, held)
    with phase("captured pass"):
        items, scores = recommender.programs[key](*tensors)
    return Recommendations(items, scores)


def _bucketed(value: Tensor, most: int | None) -> Tensor:
    """Pad rows of item numbers to a multiple of `BUCKET`, but not beyond `most` places, where that is a bound."""
    if value.ndim == 1:
        return value
    wide = -(-value.shape[1] // BUCKET) * BUCKET
    wide = wide if most is None else max(value.shape[1], min(wide, most))
    return functional.pad(value, (0, wide - value.shape[1]))
