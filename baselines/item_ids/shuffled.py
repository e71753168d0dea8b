"""Random item IDs: numbers from 1001 in a seeded random order (OpenP5's "random")."""

from __future__ import annotations

import numpy as np

FIRST_ID = 1001
"""Where P5's numbers start, so that they have four digits."""

STREAM = 1
"""Keeps this permutation apart from the one of the same seed that numbers the catalogue: the one after the other would
bring the order of the source files back, which leaks."""


def random_ids(items: int, seed: int) -> list[str]:
    """Return the IDs of items 1..n, item i at ``[i - 1]``."""
    numbers = np.random.default_rng((seed, STREAM)).permutation(items) + FIRST_ID
    return [str(number) for number in numbers]
