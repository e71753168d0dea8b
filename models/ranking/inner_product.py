"""Recommenders that make one query of a history, and rank all items by their inner product with it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

from torch import Tensor
from transformers import BatchFeature

from models.errors import UserError
from models.graphs import is_watched
from models.phases import phase
from models.programs import as_program
from models.ranker import Built
from models.ranking.ranker import CatalogueRanker, Index, Rows
from models.ranking.rankers import RANKERS
from models.recommender import Recommender
from models.serving import Recommendations


class InnerProduct(Recommender):
    """Ranks by any of the rankers. A subclass says what the query and the rows are; its `index` ends with `rebuild`.

    Shapes: B users, n items, D columns.
    """

    rankers: ClassVar[Mapping[str, CatalogueRanker]] = RANKERS
    compilable = True
    _indexes: dict[str, tuple[Index, Built]]

    @abstractmethod
    def query_of(self, inputs: BatchFeature) -> Tensor:
        """Return what items are scored against, [B, D]."""

    @property
    @abstractmethod
    def ranked_rows(self) -> tuple[Rows, Tensor | None]:
        """Return a row an item, [n + 1, D], row 0 belonging to padding; and its bias [n + 1], or None."""

    def rebuild(self) -> None:
        """Forget what was built and compiled over other rows, and build the ranker that is to serve.

        Raises:
            UserError: There is no such ranker, or it cannot be built here.

        """
        self.programs = {}
        self._indexes = {}
        if self.rankers:
            self._ranker()

    @property
    def built(self) -> Built | None:
        """What the ranker is, and what building it took; None where a subclass ranks in a way of its own."""
        return self._ranker()[1] if self.rankers else None

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of the ranker, where it holds any beyond the rows."""
        built = self.built
        return {built.ranker.name: built.nbytes} if built is not None and built.nbytes else {}

    def recommend(self, inputs: BatchFeature, k: int) -> Recommendations:
        """Make the query, and rank by it."""
        index, built = self._ranker()
        if not self.serving.compiled or is_watched():
            with self.encoding():
                query = self.query_of(inputs)
            return self.ranked(query, inputs, k)
        if built.ranker.traceable or self._on_gpu(inputs):
            return self._compiled_pass(index, built, inputs, k)
        with phase("encode"):
            query_inputs = BatchFeature({name: value for name, value in inputs.items() if name != "seen_items"})
            (query,) = as_program(self, "query", lambda given: (self.query_of(given),), query_inputs)
        return self.ranked(query, inputs, k)

    def encoding(self) -> AbstractContextManager[object]:
        """Mark the step that makes the query; a subclass whose `query_of` marks its own steps marks none here."""
        return phase("encode")

    def ranked(self, query: Tensor, inputs: BatchFeature, k: int) -> Recommendations:
        """Rank by a query [B, D] that is at hand."""
        with phase("rank"):
            return self._ranker()[0].rank(query, k, inputs.get("seen_items"))

    def ranking_flops(self, users: int, k: int = 1) -> int | None:
        """Return what the ranker costs; None where that is not known beforehand."""
        return self._ranker()[0].flops(users, k)

    def proven(self, inputs: BatchFeature, k: int) -> Tensor | None:
        """Tell which lists a bound proves to be those of scoring every item, bool [B]; None without a bound."""
        return self._ranker()[0].proven(self.query_of(inputs), k, inputs.get("seen_items"))

    def _compiled_pass(self, index: Index, built: Built, inputs: BatchFeature, k: int) -> Recommendations:
        def encode_and_rank(given: BatchFeature) -> tuple[Tensor, Tensor]:
            ranked = index.rank(self.query_of(given), k, given.get("seen_items"))
            return ranked.items, ranked.scores

        with phase("compiled pass"):
            return Recommendations(*as_program(self, (built.ranker.name, k), encode_and_rank, inputs))

    @staticmethod
    def _on_gpu(inputs: BatchFeature) -> bool:
        return any(value.is_cuda for value in inputs.values())

    def _ranker(self) -> tuple[Index, Built]:
        name = self.serving.ranker or next(iter(self.rankers))
        if name not in self.rankers:
            raise UserError(f"there is no ranker {name!r}: use one of {', '.join(self.rankers)}")
        if name not in self._indexes:
            self._indexes[name] = self.rankers[name].built(*self.ranked_rows)
        return self._indexes[name]
