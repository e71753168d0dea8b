"""What every recommender is: a catalogue in, histories in, ranked lists out.

A user pays for a recommender in three phases, so the interface has three::

    index(catalogue)              once per catalogue refresh    (offline)
      prepare(histories) ─▶ inputs      once per request        (host)
        recommend(inputs, k) ─▶ Recommendations                 (device)

Recommenders know nothing about being measured. The steps inside a phase are marked with
`torch.profiler.record_function(f"{PHASE}name")`, which costs nothing while nobody profiles.
"""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.profiler import record_function
from torch.utils._python_dispatch import _get_current_dispatch_mode
from transformers import BatchFeature, PreTrainedModel

from models import padding
from models.decoder import Decoder
from models.errors import UserError
from models.graphs import Program
from models.int8 import round_weights
from models.origins import HERE, check_alone, check_whole
from models.ranker import Built, Ranker
from models.spoken import Spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

PADDING = padding.PADDING
"""The item number that is no item; catalogue items are 1..n."""

PHASE = "phase:"
"""Prefix of the `record_function` labels that the harness reads as phases."""


def phase(name: str) -> AbstractContextManager[object]:
    """Mark a step of a request, such as ``encode`` or ``decode step 1``, for whoever profiles it or counts in it."""
    if torch.compiler.is_compiling() or not (_profiling() or _get_current_dispatch_mode() is not None):
        return nullcontext()
    return record_function(f"{PHASE}{name}")


def _profiling() -> bool:
    enabled: bool = torch._C._autograd._profiler_enabled()  # noqa: SLF001 - torch asks itself so
    return enabled


@dataclass(frozen=True)
class Item:
    """The text that is known of one item; every part may be empty."""

    title: str = ""
    categories: tuple[str, ...] = ()
    brand: str = ""

    @property
    def text(self) -> str:
        """All parts as one line of text, empty when nothing is known."""
        parts = (("title", self.title), ("categories", ", ".join(self.categories)), ("brand", self.brand))
        return "; ".join(f"{name}: {value}" for name, value in parts if value)


@dataclass(frozen=True)
class Catalogue:
    """The items that can be recommended, numbered 1..n by a seeded random permutation.

    Attributes:
        name: The dataset's name as prompts spell it.
        ids: Source identifiers; item i is ``ids[i - 1]``.
        items: What is known of item i, at ``items[i - 1]``.
        appearance: Item numbers in order of first appearance over *whole* sequences, targets
            included. This is P5's numbering, and it leaks the answer; nothing but the item-ID
            scheme that is labelled leaky may read it.
        codes: Semantic IDs that came with the data, that of item i at ``codes[i - 1]``, empty where an
            item has none; None where the data brought none.
        digest: What stands for all of it, where it is made by a rule and reading it would take minutes; else None.

    """

    name: str
    ids: Sequence[str]
    items: Sequence[Item]
    appearance: Sequence[int] = field(default=(), repr=False)
    codes: tuple[tuple[int, ...], ...] | None = field(default=None, repr=False)
    digest: str | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Count the items."""
        return len(self.ids)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over identifiers, texts and given codes in order: equal fingerprints can share an index."""
        if self.digest is not None:
            return self.digest
        digest = hashlib.sha256()
        for identifier, item in zip(self.ids, self.items, strict=True):
            digest.update(json.dumps([identifier, item.text]).encode())
        if self.codes is not None:
            digest.update(json.dumps(self.codes).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class History:
    """What one user did, oldest first. `user` is a dense number from 0; P5's prompts name it."""

    user: int
    items: tuple[int, ...]


class SeenItems(StrEnum):
    """Whether the items of a user's history may be recommended again."""

    REMOVE = "remove"
    KEEP = "keep"


class Scores(StrEnum):
    """What the score of a generated item is: a sum of its tokens' log-probabilities, under which softmax?"""

    FULL_VOCAB = "full-vocab"
    """Over the whole vocabulary, before anything is masked: what transformers' `generate` does."""
    RENORMALISED = "renormalised"
    """Over the tokens that the trie allows at that place."""


class Serving(BaseModel):
    """How a recommender is to answer; the same weights can be served in several ways.

    Attributes:
        seen: Whether items of the history may come back.
        decoder: For generative recommenders, one of their `decoders`; None for one-pass ones.
        beam_width: For generative recommenders, how many beams are kept; None under a decoder
            without beams.
        scores: For generative recommenders, what scores mean.
        ranker: For recommenders that rank by inner product, one of their `rankers`; None for the default one.
        compiled: For one-pass recommenders, whether a request runs as one program; see `models.programs`.

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seen: SeenItems = SeenItems.REMOVE
    decoder: str | None = None
    beam_width: int | None = None
    scores: Scores = Scores.FULL_VOCAB
    ranker: str | None = None
    compiled: bool = False


@dataclass(frozen=True)
class Recommendations:
    """Ranked lists, best first.

    Attributes:
        items: Item numbers, int64 [B, k]. A place that could not be filled holds `PADDING`.
        scores: float32 [B, k], non-increasing along a list; -inf where `items` is `PADDING`.

    """

    items: Tensor
    scores: Tensor


@dataclass(frozen=True)
class KeptUsers:
    """What is kept of users who may come back.

    Attributes:
        user_bytes: Bytes a user.
        hits: Users of requests who were answered by what was kept.
        asked: Users of requests.

    """

    user_bytes: int
    hits: int
    asked: int


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


class Examples(Protocol):
    """Training examples by number; `lengths` lets batches be grouped so that little is padded."""

    @property
    def lengths(self) -> Sequence[int]:
        """Cost of each example in positions, without making the example."""

    @property
    def interactions(self) -> int:
        """Next items predicted in one epoch, by which throughput is compared."""

    def __len__(self) -> int:
        """Count the examples of one epoch."""

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Make one example, for `TrainableRecommender.collate`."""


class TrainableRecommender(Recommender, PreTrainedModel):
    """A recommender with weights that are learned by gradient and saved as safetensors.

    `forward(**batch)` returns an output whose ``loss`` is the mean training loss.
    `save_pretrained` and `from_pretrained` round-trip everything `index` and `prepare` need.
    """

    @property
    def teacher(self) -> Mapping[str, Any] | None:
        """Settings of the one of its kind from which it learns, beside those of that one's recipe; None for nobody.

        A training takes the teacher's checkpoint, and makes it where there is none.
        """
        return None

    def learn_from(self, teacher: TrainableRecommender) -> None:
        """Take in the teacher that `teacher` asked for, before anything is trained; also where training goes on.

        Args:
            teacher: Trained, on the device, in eval mode.

        """
        del teacher

    def pretrain(self, histories: Sequence[History]) -> None:
        """Learn what must stand before training proper: a tower, a tokenizer, an LLM that only `index` asks.

        A training calls it once, on the device and in the number format that it trains in, and its seconds count. One
        that was interrupted goes on from saved weights without it, so what it learns must be in parameters and
        buffers. Most recommenders have nothing to do here.

        Args:
            histories: The training part.

        """
        del histories

    @abstractmethod
    def examples(self, histories: Sequence[History]) -> Examples:
        """Cut training histories into examples."""

    @abstractmethod
    def collate(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        """Pad a list of examples into one batch for `forward`."""

    def save_assets(self, folder: Path) -> None:
        """Save what is no tensor, such as a tokenizer, beside the weights."""

    def load_assets(self, folder: Path) -> None:
        """Load what `save_assets` saved."""

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Save configuration, safetensors and assets."""
        super().save_pretrained(save_directory, *args, **kwargs)
        self.save_assets(Path(save_directory))

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Self:  # type: ignore[override]
        """Load what `save_pretrained` saved; weights come from safetensors only, and nothing from anywhere else.

        Raises:
            UserError: Weights are missing, left over, of other shapes, or not finite; an asset is missing or damaged.
            OSError, ValueError, RuntimeError: The files are no checkpoint that transformers can read.

        """
        check_alone(Path(folder))
        kwargs |= HERE | {"use_safetensors": True, "output_loading_info": True}
        loaded: Any = super().from_pretrained(folder, *args, **kwargs)
        model: Self = loaded[0]
        told: dict[str, Any] = loaded[1]
        check_whole(model, told)
        if told["unexpected_keys"]:
            raise UserError(f"weights are left over, {', '.join(sorted(told['unexpected_keys'])[:3])}")
        model.load_assets(Path(folder))
        return model


def pad(sequences: Sequence[Sequence[int]], *, left: bool = False, value: int = PADDING) -> Tensor:
    """Stack integer sequences of unequal length into int64 [B, longest] (at least one column)."""
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    width = max(1, int(lengths.max(initial=0)))
    places = np.arange(width)
    filled = places >= width - lengths[:, None] if left else places < lengths[:, None]
    padded = np.full(filled.shape, value, dtype=np.int64)
    padded[filled] = np.fromiter(chain.from_iterable(sequences), np.int64, int(lengths.sum()))
    return torch.from_numpy(padded)
