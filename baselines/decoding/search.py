"""One door to all searches: the same question to each, and the same bad input refused by each.

A beam's score is the sum of its tokens' log-probabilities; what the softmax runs over is declared
(`models.serving.Scores`). All but `exhaustive` keep `width` beams at every step, and return the
same lists: those of transformers' beam search with ``length_penalty=0``, ``early_stopping="never"``.
An item whose sequence ends at a step is kept if it ranks among the `width` best candidates there.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from baselines.decoding.beams import Beams, Prompt
from baselines.decoding.compiled import COMPILED
from baselines.decoding.exact import EXACT
from baselines.decoding.exhaustive import EXHAUSTIVE
from baselines.decoding.reference import REFERENCE, VECTORISED_TRIE
from baselines.decoding.trie import Leaves, Trie
from models.errors import UserError
from models.named import by_name
from models.serving import Scores

DECODERS = by_name(EXACT, REFERENCE, VECTORISED_TRIE, COMPILED, EXHAUSTIVE)
"""All of them by name; the first is the default."""


def search(
    decoder: str,
    model: Any,
    prompt: Prompt,
    trie: Trie,
    *,
    width: int,
    scores: Scores = Scores.FULL_VOCAB,
    seen_items: Tensor | None = None,
) -> Beams:
    """Find the likeliest items of each user.

    Args:
        decoder: One of `DECODERS`.
        model: A transformers T5 with its language-model head, or a Llama, Qwen2 or Qwen3 with it.
        prompt: What B users ask, on the model's device.
        trie: The items' token sequences; unless equally long, all end with the model's end of sequence.
        width: Number of beams; may exceed the catalogue.
        scores: What the log-probabilities are taken over.
        seen_items: Items that may not come back, int64 [B, H] padded with 0; None removes nothing.

    Returns:
        As many beams as there are, `width` at most (under `exhaustive` too).

    Raises:
        UserError: There is no such decoder, a prompt is empty, prompt and ID together are longer than
            the model has positions for, or IDs of unequal length have no common end.

    """
    if decoder not in DECODERS:
        raise UserError(f"there is no decoder {decoder!r}: use one of {', '.join(DECODERS)}")
    assert prompt.past is None or DECODERS[decoder].reads_on, f"{decoder} would not see what was read before"
    check_prompt(model.config, prompt, trie)
    check_ends(model.config, trie)
    return DECODERS[decoder].search(model, prompt, trie, width=width, scores=scores, seen_items=seen_items)


def check_ends(config: Any, trie: Trie) -> None:
    """Refuse IDs of unequal length whose end the model does not write: `generate` would write on behind the short ones.

    Raises:
        UserError: See `search`.

    """
    unequal = any(level.leaves is Leaves.SOME for level in trie.levels)
    if unequal and (config.eos_token_id is None or trie.last_token != config.eos_token_id):
        raise UserError(
            "item IDs have unequal lengths and do not all end with the model's end of sequence "
            f"({config.eos_token_id}): end each with it, or make them equally long"
        )


def check_prompt(config: Any, prompt: Prompt, trie: Trie) -> None:
    """Refuse prompts that the model cannot read.

    Raises:
        UserError: See `search`.

    """
    length = prompt.places
    positions = getattr(config, "max_position_embeddings", None)
    if length == 0:
        raise UserError("a prompt has no tokens: even an empty history needs one")
    if positions is not None and length + trie.depth > positions:
        raise UserError(
            f"a prompt of {length} tokens and an ID of {trie.depth} need {length + trie.depth} positions and the model "
            f"has {positions}: give it shorter histories (max_history)"
        )


def check_trie(trie: Trie, vocabulary: int) -> None:
    """Refuse item IDs that the model cannot write.

    Raises:
        UserError: A token lies outside the vocabulary.

    """
    largest = int(trie.tokens.max())
    if largest >= vocabulary:
        raise UserError(
            f"the item IDs use token {largest} and the model's vocabulary ends at {vocabulary - 1}: "
            "train the model with the tokenizer of these IDs"
        )
