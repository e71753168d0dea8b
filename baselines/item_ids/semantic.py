"""Semantic item IDs: a few codes from a residual quantisation of the item's text.

After TIGER (Rajput et al. 2023, arXiv 2305.05065, section 3.1) as its public re-implementations run
it: three codebooks of 256 codes, and a last code that tells apart the items that share the others.
They quantise the vectors of a pretrained sentence encoder; here weighted words take its place
unless an encoder is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
import torch
from pydantic import Field

from baselines.item_ids.quantisation import Codes, Quantiser, quantise
from baselines.item_ids.text_vectors import encoder_vectors, word_vectors
from models import recommender
from models.errors import UserError
from models.recommender import Catalogue


class CodeScheme(StrEnum):
    """Where an item's codes come from."""

    SEMANTIC = "semantic"
    """Its text: similar items begin alike."""
    RANDOM = "random"
    """Chance: what the same codes cost and give when they mean nothing."""


class Settings(recommender.Settings):
    """Settings of whatever identifies items by codes.

    Attributes:
        codes: Where codes come from.
        quantiser: How semantic codes are found.
        text_encoder: A local directory or hub name of a transformers encoder whose vectors are
            quantised, or a preset with random weights; None takes words weighted by TF-IDF.
        codebooks: Levels before the last, which tells apart what shares the others.
        codebook_size: Codes of each level, the last included.

    """

    codes: CodeScheme = CodeScheme.SEMANTIC
    quantiser: Quantiser = Quantiser.RQ_VAE
    text_encoder: str | None = None
    codebooks: int = Field(default=3, ge=1, le=8)
    codebook_size: int = Field(default=256, ge=2, le=65536)


def item_codes(catalogue: Catalogue, settings: Settings) -> Codes:
    """Give every item its codes, item i at ``[i - 1]``; no two items share all.

    The seed settles them, and torch's global generator is left as it was.

    Returns:
        int64 [n, codebooks + 1] below `codebook_size`.

    Raises:
        UserError: More items share their codes than the last level can tell apart, or there are more
            items than codes.

    """
    size, levels = settings.codebook_size, settings.codebooks + 1
    if len(catalogue) > size**levels:
        raise UserError(
            f"{levels} codes below {size} tell {size**levels:,} items apart and {catalogue.name} has "
            f"{len(catalogue):,}: raise codebook_size or codebooks"
        )
    if settings.codes is CodeScheme.RANDOM:
        return random_codes(len(catalogue), levels, size, settings.seed)
    texts = [item.text for item in catalogue.items]
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        if settings.text_encoder is None:
            vectors = word_vectors(texts, settings.seed)
        else:
            vectors = encoder_vectors(texts, settings.text_encoder)
        codes = quantise(vectors, settings.quantiser, levels=settings.codebooks, size=size)
    places = places_among_equals(codes)
    if places.max() >= size:
        shared = codes[places.argmax()]
        raise UserError(
            f"{(codes == shared).all(1).sum():,} items of {catalogue.name} have the semantic codes "
            f"{spell(shared.tolist())}, and the last code tells {size} apart: raise codebook_size or codebooks, "
            "give items texts that differ, or use codes=random"
        )
    return np.column_stack([codes, places])


def random_codes(items: int, levels: int, size: int, seed: int) -> Codes:
    """Draw distinct random codes, int64 [items, levels] below `size`, a million in about a second."""
    if size**levels <= np.iinfo(np.int64).max:
        numbers = np.random.default_rng(seed).choice(size**levels, items, replace=False)
        return np.column_stack(np.unravel_index(numbers, (size,) * levels)).astype(np.int64)
    rng = np.random.default_rng(seed)
    codes = np.zeros((0, levels), dtype=np.int64)
    while len(codes) < items:  # of so many, hardly two are equal
        codes = np.concatenate([codes, rng.integers(size, size=(items - len(codes), levels))])
        codes = codes[np.sort(np.unique(codes, axis=0, return_index=True)[1])]
    return codes


def places_among_equals(codes: Codes) -> Codes:
    """Count, for each row of codes [n, L], the equal rows before it, int64 [n]."""
    order = np.lexsort(codes.T[::-1])  # stable: equal rows stay in the order of items
    ordered = codes[order]
    first = np.ones(len(codes), dtype=bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(1)
    starts = np.flatnonzero(first)
    places = np.empty(len(codes), dtype=np.int64)
    places[order] = np.arange(len(codes)) - starts[np.cumsum(first) - 1]
    return places


def spell(codes: Sequence[int]) -> str:
    """Write codes as LC-Rec and LETTER do: ``<a_12><b_3><c_200><d_0>``."""
    return "".join(f"<{chr(ord('a') + level)}_{code}>" for level, code in enumerate(codes))
