"""What every recommender is: a catalogue in, histories in, ranked lists out.

A user pays for a recommender in three phases, so the interface has three::

    index(catalogue)              once per catalogue refresh    (offline)
      prepare(histories) ─▶ inputs      once per request        (host)
        recommend(inputs, k) ─▶ Recommendations                 (device)

Recommenders know nothing about being measured. The steps inside a phase are marked with
`models.phases.phase`, which costs nothing while nobody profiles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from transformers import BatchFeature

from models.catalogue import Catalogue, History
from models.decoder import Decoder
from models.graphs import Program
from models.int8 import round_weights
from models.ranker import Built, Ranker
from models.serving import KeptUsers, Recommendations, Serving
from models.spoken import Spoken

if TYPE_CHECKING:
    from collections.abc import Sequence


class Settings(BaseModel):
    """What a recommender is built with. Unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: str = Field(default="compact", min_length=1)
    seed: int = Field(default=0, ge=0, lt=2**32)


class Recommender(nn.Module, ABC):
    """Anything that ranks a catalogue for a user's history. See the module's docstring.

    Attributes:
        settings_type: The pydantic model of what `build` accepts.
        spoken: What people call it, under which settings.
        decoders: The decoders it can be served with by name, the default first; empty for one-pass ones.
        rankers: What it can rank the catalogue with by name, the default first; empty where that is no inner product.
        labels: Cautions that must stand wherever its results are shown, such as a leaky numbering.
        compilable: Whether a one-pass recommender can be served as one program (`models.programs`).
        serving: How it is to answer; set before `index`.
        programs: Programs of requests by their sizes; `index` begins with none.

    """

    settings_type: ClassVar[type[Settings]] = Settings
    spoken: ClassVar[Spoken] = Spoken()
    decoders: ClassVar[Mapping[str, Decoder]] = {}
    rankers: ClassVar[Mapping[str, Ranker]] = {}
    compilable: ClassVar[bool] = False
    programs: dict[Any, Program]
    serving: Serving = Serving()

    @classmethod
    def build(cls, catalogue: Catalogue, histories: Sequence[History], settings: Settings) -> Self:
        """Make one with fresh weights.

        Args:
            catalogue: The items.
            histories: The training part only, for what is counted rather than learned by
                gradient: popularity, item-ID clusters, a tokenizer.
            settings: An instance of `cls.settings_type`.

        """
        del catalogue, histories, settings
        return cls()

    @property
    def labels(self) -> tuple[str, ...]:
        """Cautions to show beside every result."""
        return ()

    @property
    def tokenizer_name(self) -> str | None:
        """What turns text into tokens: a pretrained tokenizer's name, or that one was trained; None without text."""
        return None

    @property
    def index_parts(self) -> dict[str, int]:
        """Bytes of what `index` made and serving needs, beyond the weights, such as ``item vectors`` and ``trie``."""
        return {}

    @property
    def index_bytes(self) -> int:
        """Bytes of all of `index_parts`."""
        return sum(self.index_parts.values())

    def cache_bytes(self, inputs: BatchFeature) -> int:
        """Return the bytes of keys and values that a request keeps from one step to the next; 0 without steps."""
        del inputs
        return 0

    @property
    def compiles(self) -> bool:
        """Whether the first request of each size takes long, because a program is made for it."""
        return self.serving.compiled

    @property
    def built(self) -> Built | None:
        """What ranks the catalogue, and what `index` took to build it; None where that is no inner product."""
        return None

    def proven(self, inputs: BatchFeature, k: int) -> Tensor | None:
        """Tell of which lists a bound proves that scoring every item gives them, bool [B]; None where there is none."""
        del inputs, k
        return None

    def most_places(self, name: str) -> int | None:
        """Return how many columns an input may have; None where there is no bound."""
        del name
        return None

    def round_weights(self) -> None:
        """Turn the weights of matrix products into int8, for serving; called in eval mode, before `index`."""
        round_weights(self)

    @abstractmethod
    def index(self, catalogue: Catalogue) -> None:
        """Do what is paid once per catalogue refresh: item vectors, tries."""

    def remember(self, histories: Sequence[History]) -> None:
        """Take in what users did, so that they are answered sooner when they come back with one event more.

        Never within a request, and after `index`. Recommenders that keep nothing of a user do nothing.
        """
        del histories

    def kept_users(self) -> KeptUsers | None:
        """Tell what is kept of users and how often it was of use; None where nothing is kept."""
        return None

    def forget(self) -> None:
        """Forget all users: requests read whole histories, until `remember` is called again."""

    def list_ages(self, histories: Sequence[History]) -> list[int] | None:
        """Return how many items each user took since the list was made that a request would get.

        None where lists are made at the request, as those of most recommenders are.
        """
        del histories
        return None

    @abstractmethod
    def prepare(self, histories: Sequence[History]) -> BatchFeature:
        """Turn B histories into host tensors for `recommend`: cut, tokenise, pad.

        Everything per-request and host-side happens here. An empty history is allowed.
        """

    @abstractmethod
    def recommend(self, inputs: BatchFeature, k: int) -> Recommendations:
        """Rank the catalogue for every row of `inputs`, which lie on the recommender's device.

        Returns lists of exactly k places (see `Recommendations` for unfilled ones).
        """

    def forward_pass(self, inputs: BatchFeature) -> tuple[nn.Module, tuple[Tensor, ...]]:
        """Return one forward pass as a module and its arguments, for counters that must trace it.

        For a one-pass recommender that is all of `recommend`; a generative one returns a pass that
        stands for its search, since a search cannot be traced.
        """
        return OnePass(self, list(inputs)), tuple(inputs.values())

    def forward_flops(self, inputs: BatchFeature) -> int | None:
        """Return what the pass of `forward_pass(inputs)` costs by a closed formula; None where none is known.

        A third opinion beside two counters, so it is composed of `models.forward_costs` and never counted:
        1 multiply-accumulate = 2 operations, matrix-like operators only, causal attention not halved.
        """
        del inputs
        return None


class OnePass(nn.Module):
    """`Recommender.recommend` with its inputs as positional tensors.

    Args:
        recommender: Whose.
        names: The inputs' names in order.

    """

    def __init__(self, recommender: Recommender, names: list[str]) -> None:
        super().__init__()
        self.recommender = recommender
        self._names = names

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return the items [B, 1] of the shortest list."""
        inputs = BatchFeature(dict(zip(self._names, tensors, strict=True)))
        return self.recommender.recommend(inputs, 1).items
