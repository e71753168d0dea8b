"""What goes into a search and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from models.padding import PADDING
from models.serving import Recommendations


@dataclass(frozen=True)
class Past:
    """Keys and values of tokens that were read before, for a decoder alone.

    Attributes:
        keys, values: One a layer, [B, P, H, d]; keys are turned to their positions.
        mask: Which tokens are real, bool [B, P].

    """

    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    mask: Tensor


@dataclass(frozen=True)
class Prompt:
    """What B users ask, ready for the model's first layer.

    Attributes:
        embeddings: [B, S, D]; padded on the right for an encoder, on the left for a decoder alone,
            whose generated tokens follow the prompt.
        mask: 1 where they are real, int64 [B, S]; at least once a row.
        past: What stands before them; for decoders that read on, see `baselines.decoding.decoder`.
        keep: Told the keys and values of all that was read, `past` included; under the same decoders.

    """

    embeddings: Tensor
    mask: Tensor
    past: Past | None = None
    keep: Callable[[Past], None] | None = None

    @property
    def places(self) -> int:
        """Tokens a row, padding and past included."""
        return self.mask.shape[1] + (0 if self.past is None else self.past.mask.shape[1])

    def __len__(self) -> int:
        """Count the users."""
        return len(self.mask)


@dataclass(frozen=True)
class Beams:
    """What a search found, best first.

    Attributes:
        tokens: The items' token sequences, int64 [B, C, T], padded with 0.
        scores: Sum of the tokens' log-probabilities, float32 [B, C]; -inf where nothing was found.
        items: int64 [B, C]; `PADDING` where nothing was found.

    """

    tokens: Tensor
    scores: Tensor
    items: Tensor

    def top(self, k: int) -> Recommendations:
        """Return lists of exactly k places; those beyond the beams hold `PADDING`."""
        missing = max(0, k - self.items.shape[1])
        return Recommendations(
            functional.pad(self.items[:, :k], (0, missing), value=PADDING),
            functional.pad(self.scores[:, :k], (0, missing), value=-torch.inf),
        )
