"""Semantic item IDs: a few codes from a residual quantisation of the item's text.

After TIGER (Rajput et al. 2023, arXiv 2305.05065, section 3.1) as its public re-implementations run
it: three codebooks of 256 codes, and a last code that tells apart the items that share the others.
They quantise the vectors of a pretrained sentence encoder; here weighted words take its place
unless an encoder is named.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import torch
from pydantic import Field

from baselines.item_ids.item_tokens import spell
from baselines.item_ids.quantisation import Codes, Quantiser, quantise
from baselines.item_ids.text_vectors import encoder_vectors, word_vectors
from models import recommender
from models.catalogue import Catalogue
from models.errors import UserError


class CodeScheme(StrEnum):
    """Where an item's codes come from."""

    SEMANTIC = "semantic"
    """Its text: similar items begin alike."""
    RANDOM = "random"
    """Chance: what the same codes cost and give when they mean nothing."""
    GIVEN = "given"
    """The data, which brings semantic IDs that somebody else made; `codebooks` is theirs then."""


class Settings(recommender.Settings):
    """Settings of whatever identifies items by codes.

    Attributes:
        codes: Where codes come from: ``semantic``, ``random``, or ``given`` with the data.
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
        int64 [n, codebooks + 1] below `codebook_size`; of given codes [n, as many as they have], and one
        more where some are equal.

    Raises:
        UserError: More items share their codes than the last level can tell apart, or there are more
            items than codes; or codes are to be given, and the data brings none that can be used.

    """
    if settings.codes is CodeScheme.GIVEN:
        return given_codes(catalogue, settings.codebook_size)
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
    remedy = "codebooks, give items texts that differ, or use codes=random"
    return told_apart(codes, size, catalogue.name, remedy)


def told_apart(codes: Codes, size: int, name: str, remedy: str) -> Codes:
    """Add a last code below `size` that tells equal rows of codes [n, L] apart; int64 [n, L + 1].

    Args:
        codes: int64 [n, L].
        size: Codes of the last level.
        name: Whose items they are.
        remedy: What to do, beside raising codebook_size, where the last level does not suffice.

    Raises:
        UserError: More than `size` rows are equal.

    """
    places = places_among_equals(codes)
    if places.max() >= size:
        raise _crowded(codes, places, name, size, remedy)
    return np.column_stack([codes, places])


def given_codes(catalogue: Catalogue, size: int) -> Codes:
    """Take over the codes that came with the data.

    Args:
        catalogue: The items.
        size: Codes of each level.

    Returns:
        int64 [n, L] as they are, or [n, L + 1] with a last code that tells equal ones apart.

    Raises:
        UserError: There are none, an item lacks them, they have several lengths, one is not below `size`, or
            more than `size` items share theirs.

    """
    if catalogue.codes is None:
        raise UserError(
            f"codes=given: {catalogue.name} brings no semantic IDs; put NAME.index.json beside its interactions, "
            "or use codes=semantic"
        )
    without = next((name for name, codes in zip(catalogue.ids, catalogue.codes, strict=True) if not codes), None)
    if without is not None:
        number = sum(not codes for codes in catalogue.codes)
        raise UserError(
            f"codes=given: {number:,} of {len(catalogue):,} items of {catalogue.name} have no semantic ID, such as "
            f"{without!r}; add theirs, or use codes=semantic"
        )
    lengths = sorted(set(map(len, catalogue.codes)))
    if len(lengths) > 1:
        raise UserError(
            f"codes=given: the semantic IDs of {catalogue.name} have {lengths[0]} to {lengths[-1]} codes; "
            "give all items the same number, or use codes=semantic"
        )
    most = max(map(max, catalogue.codes))
    if most >= size:
        raise UserError(f"codes=given: {catalogue.name} has code {most}; set codebook_size to {most + 1} or more")
    codes = np.array(catalogue.codes, dtype=np.int64)
    if not places_among_equals(codes).any():
        return codes
    return told_apart(codes, size, catalogue.name, "use codes=semantic")


def _crowded(codes: Codes, places: Codes, name: str, size: int, remedy: str) -> UserError:
    """Return the error for more items with the same codes than a last one tells apart."""
    shared = codes[places.argmax()]
    return UserError(
        f"{(codes == shared).all(1).sum():,} items of {name} have the semantic codes "
        f"{spell(shared.tolist())}, and the last code tells {size} apart: raise codebook_size or {remedy}"
    )


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
