"""How a recommender is to answer, and what it answers with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict
from torch import Tensor


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
