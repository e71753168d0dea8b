"""Semantic IDs: codes that items share the more, the more alike their texts are.

After TIGER (Rajput et al. 2023, arXiv 2305.05065): the vector of an item's text is quantised coarse to
fine, each level coding what the level before left over, and a last code tells items apart that share
all others. TIGER trains an RQ-VAE; here the residuals are quantised by k-means on the text vectors
themselves (RQ-k-means, as in snap-research/GRID), by `vector-quantize-pytorch`'s `ResidualVQ`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from models.errors import UserError
from models.item_encoder import UNTITLED
from models.recommender import Catalogue

LEVELS = 3
"""Codes of an item before the one that tells apart what collides."""

DIMENSIONS = 96
"""Of the text vectors."""

PASSES = 30
"""Passes over the items in which the codebooks settle after k-means."""

Codes = NDArray[np.int64]


def text_vectors(catalogue: Catalogue, seed: int) -> NDArray[np.float32]:
    """Return a unit vector of every item's text, [n, D]: TF-IDF, reduced by truncated SVD."""
    texts = [item.text or UNTITLED for item in catalogue.items]
    counts = TfidfVectorizer(sublinear_tf=True, tokenizer=str.split, token_pattern=None).fit_transform(texts)
    width = min(DIMENSIONS, min(counts.shape) - 1)
    if width < 1:
        return np.ones((len(texts), 1), dtype=np.float32)
    reduced = TruncatedSVD(width, random_state=seed).fit_transform(counts)
    vectors: NDArray[np.float32] = normalize(reduced).astype(np.float32)
    return vectors


def semantic_codes(vectors: NDArray[np.float32], *, size: int, seed: int) -> Codes:
    """Quantise vectors by residual k-means.

    Args:
        vectors: [n, D].
        size: Codes of a level; n at most are used.
        seed: Of k-means. Torch's global generator is left as it was.

    Returns:
        Codes from coarse to fine, [n, `LEVELS`].

    """
    from vector_quantize_pytorch import ResidualVQ

    given = torch.from_numpy(vectors)[None]  # one sequence of n vectors
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        quantiser = ResidualVQ(
            dim=vectors.shape[1],
            num_quantizers=LEVELS,
            codebook_size=min(size, len(vectors)),
            kmeans_init=True,
            kmeans_iters=20,
            threshold_ema_dead_code=0,
        )
        quantiser.train()
        for _ in range(PASSES):
            quantiser(given)
        quantiser.eval()
        codes: Codes = quantiser(given)[1][0].numpy().astype(np.int64)
    return codes


def random_codes(items: int, *, size: int, seed: int) -> Codes:
    """Draw codes that mean nothing, [n, `LEVELS`]: what semantic IDs cost without what they give."""
    return np.random.default_rng(seed).integers(size, size=(items, LEVELS))


def told_apart(codes: Codes, *, size: int) -> Codes:
    """Add the code that numbers the items of equal codes, [n, `LEVELS` + 1].

    Raises:
        UserError: More than `size` items share their codes.

    """
    _, same = np.unique(codes, axis=0, return_inverse=True)
    same = same.reshape(-1)
    order = np.argsort(same, kind="stable")
    first = np.concatenate([[0], np.flatnonzero(np.diff(same[order])) + 1])
    lengths = np.diff([*first, len(order)])
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order)) - np.repeat(first, lengths)
    if place.max() >= size:
        raise UserError(
            f"{place.max() + 1} items share their semantic codes, and the last code tells {size} apart: "
            "raise codebook_size, or give the items texts that differ"
        )
    return np.column_stack([codes, place])


def collision_rate(codes: Codes) -> float:
    """Return the share of items whose codes [n, L] another item has too."""
    _, counts = np.unique(codes, axis=0, return_counts=True)
    return float(counts[counts > 1].sum() / len(codes))
