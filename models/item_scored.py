"""Recommenders whose scores are inner products of a state with one vector an item."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor

from models.catalogue import Catalogue
from models.errors import UserError
from models.int8 import Int8Linear, Int8Rows
from models.ranking.inner_product import InnerProduct
from models.trainable import TrainableRecommender


class ItemScored(InnerProduct, TrainableRecommender):
    """A recommender whose configuration holds the number of `items`; their vectors are its index.

    Attributes:
        rounded: The item vectors in int8, once `round_weights` was called.

    """

    config: Any
    rounded: Int8Linear | None

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.rounded = None

    @property
    @abstractmethod
    def item_vectors(self) -> Tensor:
        """One row an item, [n + 1, D], row 0 belonging to padding."""

    @property
    def ranked_vectors(self) -> Tensor | Int8Rows:
        """What serving ranks by: the item vectors, or what they were rounded to."""
        return self.item_vectors if self.rounded is None else self.rounded.weight

    @property
    def ranked_rows(self) -> tuple[Tensor | Int8Rows, None]:
        """`ranked_vectors`, without a bias."""
        return self.ranked_vectors, None

    def index(self, catalogue: Catalogue) -> None:
        """Check that the catalogue is as large as the one trained on.

        Raises:
            UserError: The catalogue has another size.

        """
        check_size(self.config, catalogue)
        self.rebuild()

    def round_weights(self) -> None:
        """Round the item vectors too, where items are ranked by them; the network goes on reading them in float."""
        super().round_weights()
        self.rounded = Int8Linear(self.item_vectors, None)


def check_size(config: Any, catalogue: Catalogue) -> None:
    """Make sure that a catalogue is as large as the one that a recommender has vectors of.

    Args:
        config: The recommender's, with `items` and `model_type`.
        catalogue: What is to be indexed.

    Raises:
        UserError: It has another size.

    """
    if len(catalogue) != config.items:
        raise UserError(
            f"{config.model_type} was trained on {config.items} items and {catalogue.name} has {len(catalogue)}: "
            "train it on this dataset, loaded with the same options"
        )
