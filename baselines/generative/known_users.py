"""The users of training, kept beside the weights by recommenders that make something for each of them offline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.catalogue import History
from models.errors import UserError

FILE = "known_users.safetensors"
"""Name in a checkpoint folder."""


@dataclass(frozen=True)
class KnownUsers:
    """Histories as they were in training.

    Attributes:
        histories: One a user.

    """

    histories: tuple[History, ...]

    @classmethod
    def of(cls, histories: Sequence[History]) -> Self:
        """Keep all histories that are not empty, short ones first: batches of one length pad little."""
        kept = [history for history in histories if history.items]
        return cls(tuple(sorted(kept, key=lambda history: len(history.items))))

    @property
    def items(self) -> Tensor:
        """All items that all users took, int64 [E]."""
        return torch.tensor(list(chain.from_iterable(history.items for history in self.histories)), dtype=torch.int64)

    def save(self, folder: Path) -> None:
        """Write `FILE` into `folder`."""
        lengths = [0, *(len(history.items) for history in self.histories)]
        content = {
            "users": torch.tensor([history.user for history in self.histories], dtype=torch.int64),
            "ends": torch.tensor(np.cumsum(lengths), dtype=torch.int64),
            "items": self.items.int(),
        }
        save_file(content, folder / FILE)

    @classmethod
    def load(cls, folder: Path, items: int) -> Self:
        """Read what `save` wrote.

        Args:
            folder: The checkpoint.
            items: Size n of the catalogue.

        Raises:
            UserError: The file is missing or broken, or names items that there are not.

        """
        path = folder / FILE
        try:
            kept = load_file(path)
            users, ends, taken = (kept[name].tolist() for name in ("users", "ends", "items"))
            complete = len(ends) == len(users) + 1 and ends[0] == 0 and ends[-1] == len(taken)
            bounds = list(pairwise(ends))
            if not complete or any(start > end for start, end in bounds) or min(users, default=0) < 0:
                raise UserError(f"{path} is damaged: the checkpoint is not whole, train again")
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise UserError(f"{path} cannot be read ({error}): the checkpoint is not whole, train again") from error
        if taken and not 1 <= min(taken) <= max(taken) <= items:
            raise UserError(f"{path} names items outside of 1 to {items}: it is of another checkpoint, train again")
        return cls(tuple(History(user, tuple(taken[a:b])) for user, (a, b) in zip(users, bounds, strict=True)))
