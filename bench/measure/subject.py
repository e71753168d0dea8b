"""A recommender ready to be measured: with its inputs, and with what a request is."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import torch
from transformers import BatchFeature

from models.catalogue import Catalogue, History
from models.contract import check_lists
from models.phases import phase
from models.recommender import Recommender
from models.serving import Recommendations


@dataclass(frozen=True)
class Subject:
    """An indexed recommender in eval mode, and the batches of users that ask it.

    Attributes:
        name: The case's name.
        recommender: What is asked.
        batches: Requests, each of B users; timed rounds take them in turn.
        k: Length of the lists.
        device: Where the recommender is.
        items: Size of the catalogue, which no item of a list may exceed; None where it is not known.
        catalogue: The catalogue; None where it is not known.

    """

    name: str
    recommender: Recommender = field(repr=False)
    batches: Sequence[Sequence[History]] = field(repr=False)
    k: int
    device: torch.device
    items: int | None = None
    catalogue: Catalogue | None = field(default=None, repr=False)

    @property
    def batch_size(self) -> int:
        """Users a request."""
        return len(self.batches[0])

    def inputs(self, number: int) -> BatchFeature:
        """Prepare request `number` and bring it to the device."""
        with phase("prepare"):
            return self.recommender.prepare(self.batches[number % len(self.batches)]).to(self.device)

    def request(self, number: int) -> Recommendations:
        """Answer request `number` from histories to lists on the host: what a user waits for."""
        with torch.inference_mode():
            recommended = self.recommender.recommend(self.inputs(number), self.k)
        return Recommendations(recommended.items.cpu(), recommended.scores.cpu())

    def check(self, number: int, answer: Recommendations) -> None:
        """See that what request `number` got keeps the contract of lists; never within the time that is taken.

        Raises:
            BrokenListError: The answer breaks it.

        """
        users = self.batches[number % len(self.batches)]
        check_lists(self.recommender, answer, users, k=self.k, items=self.items)


def user_batches(
    histories: Sequence[History], batch_size: int, *, seed: int = 0, users: int = 64
) -> list[list[History]]:
    """Deal users into batches at random; with fewer users than a batch holds, users ask again.

    There are batches for so many users at least, so that no request is answered from warm caches alone.
    """
    shuffled = random.Random(seed).sample(range(len(histories)), len(histories))
    while len(shuffled) < batch_size:
        shuffled = shuffled + shuffled
    most = max(1, min(len(shuffled) // batch_size, max(users // batch_size, 16)))
    return [
        [histories[row] for row in shuffled[start * batch_size : (start + 1) * batch_size]] for start in range(most)
    ]


def fresh_batches(
    histories: Sequence[History], asked: Sequence[Sequence[History]], batch_size: int, *, most: int = 32
) -> list[list[History]]:
    """Deal users whom `asked` does not name into at most so many batches, then the others without their newest item.

    Both are requests that nobody made yet.
    """
    asked_users = {history.user for batch in asked for history in batch}
    others = (history for history in histories if history.user not in asked_users)
    cut = (
        History(history.user, history.items[:-1])
        for history in histories
        if history.user in asked_users and len(history.items) > 1
    )
    rest = list(islice(chain(others, cut), most * batch_size))
    dealt = [rest[start : start + batch_size] for start in range(0, len(rest), batch_size)]
    return [batch for batch in dealt if len(batch) == batch_size]
