"""The searches that transformers' `generate` makes: what the papers run, and the same with a quick trie.

Every beam repeats the encoder states or the prompt, and caches are reordered at every step.
`reference` asks the trie from Python, once a beam and step; `vectorised_trie` asks it in bulk on the
device. Both are exact, not fast: the other searches are held against their lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.modeling_outputs import BaseModelOutput

from baselines.decoding import cache_size
from baselines.decoding.beams import Beams, Prompt
from baselines.decoding.decoder import TrieDecoder
from baselines.decoding.device_trie import DeviceTrie, on_device
from baselines.decoding.trie import ROOT, Trie
from models.errors import UserError
from models.padding import PADDING
from models.phases import phase
from models.serving import Scores

DEAD = -1e8
"""`generate` starts all beams but one at -1e9; what scores below this was never a live beam."""


def reference(
    model: Any, prompt: Prompt, trie: Trie, *, width: int, scores: Scores, seen_items: Tensor | None = None
) -> Beams:
    """Search with ``prefix_allowed_tokens_fn``, as OpenP5 does; see `baselines.decoding.search`.

    Scores are not divided by length (``length_penalty=0``, with ``early_stopping="never"``: the
    setting that transformers documents as canonical; OpenP5 leaves the defaults, which favour longer
    IDs). `generate` keeps the scores of every step over the vocabulary until it returns, 4 B x width
    x T x V bytes, as it does in OpenP5.
    """
    allowed = _allowed_tokens(trie, _decoder_start(model), _nothing(model, trie), seen_items)
    return _generate(model, prompt, trie, width, scores, {"prefix_allowed_tokens_fn": allowed})


def vectorised_trie(
    model: Any, prompt: Prompt, trie: Trie, *, width: int, scores: Scores, seen_items: Tensor | None = None
) -> Beams:
    """Search as `reference` does, with the trie on the device; see `baselines.decoding.search`."""
    there = on_device(trie, prompt.mask.device)
    processor = TrieProcessor(there, _decoder_start(model), _nothing(model, trie), seen_items, width)
    return _generate(model, prompt, trie, width, scores, {"logits_processor": LogitsProcessorList([processor])})


REFERENCE = TrieDecoder(name="reference", search=reference, rung=0, cache_bytes=cache_size.of_generate)
VECTORISED_TRIE = TrieDecoder(
    name="vectorised-trie", search=vectorised_trie, rung=1, cache_bytes=cache_size.of_generate
)


def check_generates(config: Any) -> None:
    """Refuse a T5 for whose decoder transformers' `generate` makes too small a cache: as many layers as the encoder's.

    Raises:
        UserError: The decoder has more layers than the encoder.

    """
    layers, decoder_layers = (getattr(config, name, None) for name in ("num_layers", "num_decoder_layers"))
    if config.is_encoder_decoder and layers is not None and decoder_layers is not None and decoder_layers > layers:
        raise UserError(
            f"transformers' generate cannot serve {decoder_layers} decoder layers behind {layers} encoder layers: its "
            "cache has one entry an encoder layer; use --decoder exact, which makes the same lists"
        )


def _generate(model: Any, prompt: Prompt, trie: Trie, width: int, scores: Scores, trie_asked: dict[str, Any]) -> Beams:
    check_generates(model.config)
    if model.config.is_encoder_decoder:
        with phase("encode"):
            states = model.get_encoder()(inputs_embeds=prompt.embeddings, attention_mask=prompt.mask)
        inputs: dict[str, Any] = {"encoder_outputs": BaseModelOutput(last_hidden_state=states.last_hidden_state)}
    else:
        inputs = {"inputs_embeds": prompt.embeddings}
    config = _generation_config(model.config, trie.depth, width, scores, _end(model, trie))
    with _step_phases(model):
        output = model.generate(**inputs, attention_mask=prompt.mask, generation_config=config, **trie_asked)
    with phase("rank"):
        users, start = len(prompt), _decoder_start(model)
        tokens = output.sequences[:, start : start + trie.depth]
        beam_scores = output.sequences_scores if width > 1 else _greedy_scores(output, tokens, config, scores)
        beam_scores = beam_scores.view(users, -1).float()
        there = on_device(trie, beam_scores.device)
        node, inside = there.walk(tokens)
        items = there.items[node].long().masked_fill(~inside, PADDING).view(users, -1)
        items = items.masked_fill(beam_scores < DEAD, PADDING)
        sequences = there.sequences[items].long()
        return Beams(sequences, beam_scores.masked_fill(items == PADDING, -torch.inf), items)


def _decoder_start(model: Any) -> int:
    """Return how many tokens of a generated sequence come before the first that is chosen."""
    return 1 if model.config.is_encoder_decoder else 0


def _end(model: Any, trie: Trie) -> int:
    """Return the token that ends sequences: the model's own if the item IDs end with it, else one that there is not.

    With the latter all sequences run to the tree's depth; `generate` would put the model's own for None.
    """
    config = model.config
    end: int = config.eos_token_id
    return end if end is not None and trie.last_token == end else config.vocab_size


def _nothing(model: Any, trie: Trie) -> int:
    """Return the token that goes where no other may: `generate` must always have one.

    Such are prefixes that only dead beams hold, and users who have seen every item; from neither
    does it lead to an item.
    """
    end = _end(model, trie)
    if end < model.config.vocab_size:
        return end
    return next(token for token in range(end) if trie.step(ROOT, token) is None)


def _generation_config(config: Any, depth: int, width: int, scores: Scores, end: int) -> GenerationConfig:
    """Return beam search; a single beam is greedy search, whose scores come from its logits."""
    beam: dict[str, Any] = {"output_logits": True}
    if width > 1:
        beam = {"length_penalty": 0.0, "early_stopping": "never", "output_scores": True}
    elif scores is Scores.RENORMALISED:
        beam = {"output_scores": True}
    return GenerationConfig(
        num_beams=width,
        num_return_sequences=width,
        max_new_tokens=depth,
        min_new_tokens=0,
        do_sample=False,
        use_cache=True,
        return_dict_in_generate=True,
        renormalize_logits=scores is Scores.RENORMALISED,
        decoder_start_token_id=getattr(config, "decoder_start_token_id", None),
        eos_token_id=end,
        pad_token_id=config.pad_token_id or 0,
        **beam,
    )


def _allowed_tokens(
    trie: Trie, start: int, nothing: int, seen_items: Tensor | None
) -> Callable[[int, Tensor], list[int]]:
    """Make the callback of `generate`: which tokens may follow a user's prefix."""
    exhausted = None if seen_items is None else [trie.exhausted(row) for row in seen_items.tolist()]

    def allowed(user: int, prefix: Tensor) -> list[int]:
        node = trie.find(prefix[start:].tolist())
        if node is None:
            return [nothing]
        forbidden = exhausted[user] if exhausted else frozenset()
        return [token for token, child in trie.children(node) if child not in forbidden] or [nothing]

    return allowed


class TrieProcessor(LogitsProcessor):
    """Masks what the trie does not allow after each beam's prefix, in bulk.

    Args:
        trie: On the device of the scores.
        start: Tokens before the first that is chosen.
        nothing: The token that goes where no other may.
        seen_items: As in `baselines.decoding.search`.
        width: Beams a user.

    """

    def __init__(self, trie: DeviceTrie, start: int, nothing: int, seen_items: Tensor | None, width: int) -> None:
        self._trie = trie
        self._start = start
        self._nothing = nothing
        self._places = None if seen_items is None else trie.places(seen_items).repeat_interleave(width, dim=0)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` [R, V] with -inf where a token may not follow `input_ids` [R, T]."""
        chosen = input_ids[:, self._start :]
        node, inside = self._trie.walk(chosen)
        children = self._trie.children(node, chosen.shape[1])
        allowed = children.real & inside[:, None]
        if self._places is not None:
            allowed &= ~self._trie.exhausted(children.nodes, self._places, chosen.shape[1])
        masked = torch.full_like(scores, -torch.inf)
        # Places without a child point at some real sibling or cousin: what they would write must not win.
        token = torch.where(allowed, children.tokens, self._nothing)
        value = torch.where(allowed, scores.gather(1, token), -torch.inf)
        masked.scatter_reduce_(1, token, value, "amax")
        lost = ~allowed.any(1)
        masked[:, self._nothing] = torch.where(lost, scores[:, self._nothing], masked[:, self._nothing])
        return masked


def _greedy_scores(output: Any, tokens: Tensor, config: GenerationConfig, scores: Scores) -> Tensor:
    """Sum the log-probabilities of a greedy search up to its end of sequence, [B]."""
    logits = output.scores if scores is Scores.RENORMALISED else output.logits
    chances = torch.stack(logits, dim=1).float().log_softmax(-1)  # [B, T, V]
    tokens = tokens[:, : chances.shape[1]]
    chosen = chances.gather(-1, tokens[..., None])[..., 0]
    ended = tokens == config.eos_token_id
    running = ended.cumsum(-1) - ended.long() == 0
    total: Tensor = chosen.masked_fill(~running, 0.0).sum(-1)
    return total


@contextmanager
def _step_phases(model: Any) -> Iterator[None]:
    """Mark "decode step i" from one decoder call to the next; the first holds `generate`'s set-up."""
    with ExitStack() as step:
        step.enter_context(phase("decode step 1"))
        calls = 0

        def begin(*_: Any) -> None:
            nonlocal calls
            calls += 1
            if calls > 1:
                step.close()
                step.enter_context(phase(f"decode step {calls}"))

        hook = model.register_forward_pre_hook(begin)
        try:
            yield
        finally:
            hook.remove()
