"""Tokenising word by word, from memory.

Prompts are made of words between single spaces, most of them item IDs that come again and again.
SentencePiece tokenizers, T5's and our trained ones alike, cut text at spaces before anything else, so
a text's tokens are its words' tokens one after the other, and each word needs to be tokenised once.
"""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Encoded:
    """A tokenised text.

    Attributes:
        tokens: Token numbers, the end of sequence last.
        words: Number of the word, from 1, that each token belongs to; 0 at the end of sequence.
            These are P5's whole-word indices.

    """

    tokens: list[int]
    words: list[int]


class WordEncoder:
    """Tokenises texts as `tokenizer` would, and counts the words.

    Args:
        tokenizer: One that cuts at spaces and appends its end of sequence.

    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._end = int(tokenizer.eos_token_id)
        self._known: dict[str, list[int]] = {}

    def __call__(self, text: str) -> Encoded:
        """Tokenise words that are separated by spaces."""
        tokens: list[int] = []
        words: list[int] = []
        for number, word in enumerate(text.split(), 1):
            pieces = self._known.get(word)
            if pieces is None:
                pieces = self._known[word] = self._tokenizer(word, add_special_tokens=False)["input_ids"]
            tokens += pieces
            words += [number] * len(pieces)
        return Encoded([*tokens, self._end], [*words, 0])
