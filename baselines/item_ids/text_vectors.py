"""A vector for every item from its text: weighted words, or a pretrained encoder."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from models.backbones import backbone_config, is_preset, pretrained_backbone
from models.item_encoder import UNTITLED, ItemEncoder, Pooling, tokenise_items
from models.tokenizers import tokenizer_for

Vectors = NDArray[np.float32]

WORD = r"\w+"
"""What counts as one: also single letters and digits, which tell models and sizes apart."""

DIMENSIONS = 256
"""Width of word vectors, at most. With 768, the width of a sentence encoder, words that few items have are kept
apart at the cost of categories: quantised, twice as many items share their codes."""

TEXT_TOKENS = 64
"""Most tokens that an encoder reads of an item's text."""


def word_vectors(texts: Sequence[str], seed: int) -> Vectors:
    """Return latent semantic analysis of the texts (Deerwester et al. 1990), [n, d] with d at most `DIMENSIONS`.

    Words are weighted by TF-IDF with logarithmic term frequencies, and the matrix is cut to its
    greatest singular values. Needs no pretrained model. Items without text are read as `UNTITLED`.
    """
    words = TfidfVectorizer(sublinear_tf=True, token_pattern=WORD, dtype=np.float32)
    readable = re.compile(WORD)
    weights = words.fit_transform([text if readable.search(text) else UNTITLED for text in texts])  # sparse [n, words]
    if weights.shape[1] == 1:  # all texts say the same word
        return np.asarray(weights.toarray(), dtype=np.float32)
    reduction = TruncatedSVD(min(DIMENSIONS, *weights.shape), random_state=seed)
    return np.asarray(reduction.fit_transform(weights), dtype=np.float32)


def encoder_vectors(texts: Sequence[str], encoder: str) -> Vectors:
    """Return the mean of an encoder's token states, [n, D], items without text read as `UNTITLED`.

    Args:
        texts: Texts of items 1..n.
        encoder: A local directory or a hub name; or a preset, whose weights are random.

    Raises:
        UserError: The encoder or its tokenizer cannot be loaded.

    """
    tokenizer = tokenizer_for(encoder, lambda: texts)
    config = backbone_config(encoder, vocab_size=len(tokenizer) if is_preset(encoder) else None)
    model = ItemEncoder(config, Pooling.MEAN)
    if not is_preset(encoder):
        model.backbone = pretrained_backbone(encoder, model.role)
    tokens, mask = tokenise_items(texts, tokenizer, TEXT_TOKENS)
    with torch.inference_mode():
        vectors = model.eval().encode_all(tokens, mask)
    return vectors[1:].numpy()
