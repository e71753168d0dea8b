"""The exact search, compiled: once for each size of request, then replayed.

On a CPU `torch.compile` turns the whole search, encoder included, into one program. On CUDA the whole
search is captured as one graph, so that a request costs one launch. Prompts and seen items are padded
to the next bucket, so that few sizes occur; padding is masked and changes no list. The first request
of a size pays for compiling it, seconds to minutes.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from baselines.decoding import cache_size
from baselines.decoding.beams import Beams, Prompt
from baselines.decoding.decoder import TrieDecoder
from baselines.decoding.device_trie import DeviceTrie, on_device
from baselines.decoding.exact import run
from baselines.decoding.stacks import stack_of
from baselines.decoding.trie import Trie
from models import programs
from models.errors import UserError
from models.graphs import Program, capture, is_watched
from models.phases import phase
from models.serving import Scores

PROMPT_BUCKET = 32
SEEN_BUCKET = 64
"""Lengths are padded to multiples of these."""

RECOMPUTED = ("dynamic", "longrope")
"""Rotary positions that transformers makes anew from the longest prompt, which it reads back to the host."""


def compiled(
    model: Any, prompt: Prompt, trie: Trie, *, width: int, scores: Scores, seen_items: Tensor | None = None
) -> Beams:
    """Search as `exact` does, compiled; see `baselines.decoding.search`.

    While operations are counted, the same operators run one by one.

    Raises:
        UserError: The model's family is not known or its positions cannot be compiled, or on a CPU there
            is no C++ compiler.

    """
    inputs = _bucketed(prompt, seen_items, left=not model.config.is_encoder_decoder)
    here = on_device(trie, prompt.mask.device)
    sizes = tuple(None if value is None else value.shape for value in inputs)
    key = (id(model), width, scores, prompt.embeddings.dtype, sizes)  # a program holds its model: no id comes twice
    if key not in here.programs:
        here.programs[key] = _program(model, inputs, here, width, scores)
    with phase("compiled search"):
        return Beams(*here.programs[key](*inputs))


COMPILED = TrieDecoder(name="compiled", search=compiled, rung=3, compiles=True, cache_bytes=cache_size.of_pool)


def _bucketed(prompt: Prompt, seen_items: Tensor | None, *, left: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    missing = -prompt.embeddings.shape[1] % PROMPT_BUCKET
    sides = (missing, 0) if left else (0, missing)
    seen = seen_items
    if seen is not None:
        seen = functional.pad(seen, (0, -seen.shape[1] % SEEN_BUCKET))
    return functional.pad(prompt.embeddings, (0, 0, *sides)), functional.pad(prompt.mask, sides), seen


def _program(
    model: Any, inputs: tuple[Tensor, Tensor, Tensor | None], here: DeviceTrie, width: int, scores: Scores
) -> Program:
    """Return a program from prompt embeddings, mask and seen items to the three parts of `Beams`."""
    stack = stack_of(model)
    kind = (getattr(model.config, "rope_parameters", None) or {}).get("rope_type", "default")
    if kind in RECOMPUTED:
        raise UserError(f"--decoder compiled cannot compile rotary positions of type {kind}: use exact")
    if scores is Scores.RENORMALISED:
        _ = here.vocabularies  # made on the host, so not while compiling

    def decode(embeddings: Tensor, mask: Tensor, seen_items: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        beams = run(stack, Prompt(embeddings, mask), here, width, scores, seen_items)
        return beams.tokens, beams.scores, beams.items

    if inputs[0].is_cuda:
        return capture(decode, inputs)
    quick = programs.compiled(decode)

    def call(embeddings: Tensor, mask: Tensor, seen_items: Tensor | None) -> tuple[Tensor, ...]:
        return (decode if is_watched() else quick)(embeddings, mask, seen_items)

    return call
