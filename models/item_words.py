"""Items as vectors of their words: TF-IDF of titles, categories and brands."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from models.catalogue import Catalogue

RARE = 2
"""Items that a word must occur in."""


def tf_idf(catalogue: Catalogue) -> sparse.csr_array:
    """Return TF-IDF vectors of unit length of all items, float32 [n + 1, words]; row 0 is that of padding, and empty.

    Words are those of the title, each category as one, and the brand twice; counts are taken as 1 + their logarithm.

    Args:
        catalogue: The items; one without words has an empty row.

    """
    words: list[list[str]] = [[]]
    for item in catalogue.items:
        brand = [f"brand {item.brand}"] * 2 if item.brand else []
        words.append([*item.title.lower().split(), *(f"category {name}" for name in item.categories), *brand])
    counted = TfidfVectorizer(analyzer=lambda document: document, sublinear_tf=True, min_df=RARE)
    try:
        return sparse.csr_array(counted.fit_transform(words).astype(np.float32))
    except ValueError:  # no word occurs twice: texts tell nothing
        return sparse.csr_array(np.zeros((len(words), 1), dtype=np.float32))
