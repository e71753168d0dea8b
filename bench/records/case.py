"""What is measured: one recommender under one setting, and how measuring it ended."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

from bench.records.decoders import BEFORE_VERSION_5, FULL_VOCAB, QUANTISED, UNKNOWN, Search
from bench.records.load import Offered
from bench.records.model import AtLeastOne, Model
from bench.records.rankers import Ranking

CLOSED = "closed"
"""The usual scenario, which goes without saying."""

NO_RUNG = 2**31
"""Above all rungs."""


class Outcome(StrEnum):
    """How measuring a case ended. Outcomes are data."""

    OK = "ok"
    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "timed out"
    UNSUPPORTED = "unsupported"
    ERROR = "error"
    CRASHED = "crashed"
    """The process that measured the case ended: by a signal, or because the recommender ended it."""


class WeightsKind(StrEnum):
    """Where the weights came from."""

    TRAINED = "trained"
    AS_BUILT = "as built"
    """Nothing to train: counted from the training part, or brought along by the recommender."""
    UNTRAINED = "untrained"


class Case(Model):
    """What is measured: one recommender, one setting. Two equal cases can be compared.

    Attributes:
        recommender: Name in the registry, or ``package.module:Class``.
        settings: The preset and what differs from the recommender's recipe.
        dataset: The dataset's name.
        loaded_with: What the dataset was loaded with, where that is not the usual: a cut of histories,
            a k-core, the sizes of generated data.
        weights: Where they came from.
        device: As torch calls it.
        dtype: Number format of weights and activations.
        batch_size: Users a request.
        k: Length of the lists.
        seen: Whether items of the history may come back.
        decoder: Name of the decoder of generative recommenders; None for one-pass ones.
        search: What that decoder is; where only its name is given, what older versions called so.
        beam_width: Beams of beam searches; None where there are no beams.
        scores: What a generated item's score means, ``full-vocab`` or ``renormalised``; None for one-pass
            recommenders, and in records made before there was a choice.
        ranker: What ranks all items by inner product; None for the usual one, which scores every item, and where
            nothing is ranked so.
        ranking: What that ranker is; None where `ranker` is.
        compiled: Whether each request of a one-pass recommender runs as one program: a CUDA graph, or Inductor's.
        threads: CPU threads.
        scenario: How requests arrive; ``closed`` is one client that waits for each answer.
        load: What is asked of it as a service; None where one client waits for each answer.

    """

    recommender: str
    settings: dict[str, str | int | float | bool | None]
    dataset: str
    loaded_with: dict[str, str | int | bool | None] = Field(default={})
    weights: WeightsKind
    device: str
    dtype: str
    batch_size: AtLeastOne
    k: AtLeastOne
    seen: str
    decoder: str | None = None
    search: Search | None = None
    beam_width: AtLeastOne | None = None
    scores: str | None = None
    ranker: str | None = None
    ranking: Ranking | None = None
    compiled: bool = False
    threads: AtLeastOne
    scenario: str = CLOSED
    load: Offered | None = None

    @model_validator(mode="before")
    @classmethod
    def _what_older_versions_called_so(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if "captured" in values:
            values = {name: value for name, value in values.items() if name != "captured"} | {
                "compiled": values["captured"]
            }
        if values.get("search") is None and isinstance(values.get("decoder"), str):
            return values | {"search": BEFORE_VERSION_5.get(values["decoder"], UNKNOWN)}
        return values

    @property
    def keeps_the_beams(self) -> bool:
        """Whether its lists must be those of the papers' decoder, up to ties at its dtype's precision."""
        return self.search is not None and self.search.rung is not None

    @property
    def is_exact(self) -> bool:
        """Whether its lists are those of the papers' search: its beams, its scores, weights as they are."""
        return self.keeps_the_beams and self.scores in (None, FULL_VOCAB) and self.dtype not in QUANTISED

    @property
    def ranks_exactly(self) -> bool:
        """Whether nothing is left out where items are ranked by inner product."""
        return self.ranking is None or self.ranking.is_exact

    @property
    def is_reference(self) -> bool:
        """Whether it runs what the papers run."""
        return self.search is not None and self.search.rung == 0

    @property
    def rung(self) -> int:
        """Its place among the decoders that make the papers' lists; above all of them where it makes its own."""
        return NO_RUNG if self.search is None or self.search.rung is None else self.search.rung

    @property
    def changed(self) -> dict[str, str | int | float | bool | None]:
        """The settings that differ from the recipe, but for size and seed."""
        return {name: value for name, value in self.settings.items() if name not in {"preset", "seed"}}

    @property
    def served(self) -> list[str]:
        """How it is served, as far as that is not the usual way, in a few words each."""
        details = [self.decoder] if self.decoder else []
        details += [self.ranker] if self.ranker else []
        details += ["compiled"] if self.compiled else []
        details += [self.scores] if self.scores not in (None, FULL_VOCAB) else []
        return details + ([f"beam {self.beam_width}"] if self.beam_width else [])

    @property
    def variant(self) -> str:
        """What tells recommenders apart within one run, such as ``p5 (collaborative, reference, beam 20)``.

        Scores over the whole vocabulary, the usual ones, go without saying here; `name` says them.
        """
        details = [value if isinstance(value, str) else f"{name} {value}" for name, value in self.changed.items()]
        details += self.served
        return f"{self.recommender} ({', '.join(details)})" if details else self.recommender

    @property
    def dataset_variant(self) -> str:
        """The dataset and what it was loaded with, such as ``ml-1m (max_history 50)``."""
        details = ", ".join(f"{name} {value}" for name, value in self.loaded_with.items())
        return f"{self.dataset} ({details})" if details else self.dataset

    @property
    def name(self) -> str:
        """Readable and stable name of the case."""
        parts = [self.variant, self.dataset_variant, str(self.settings.get("preset", "default")), self.weights.value]
        parts += [self.device, self.dtype, f"batch {self.batch_size}", f"top {self.k}"]
        parts += [f"{self.scores} scores"] if self.scores else []
        parts += [] if self.scenario == CLOSED else [self.scenario]
        parts += [] if self.load is None else [self.load.words]
        return " | ".join(parts)
