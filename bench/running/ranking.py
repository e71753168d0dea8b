"""What answers a case's requests, and how well it ranks test users: the same wherever cases are measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from bench.data.dataset import Dataset, Split
from bench.measure.subject import Subject, user_batches
from bench.quality import evaluate
from bench.records.case import Case
from bench.records.quality import Quality
from models.catalogue import History
from models.recommender import Recommender

SERVED = 1024
"""Users who ask a service in turn."""


def subject_of(recommender: Recommender, case: Case, dataset: Dataset, device: torch.device) -> Subject:
    """Put an indexed recommender before batches of test users; a service is asked by more of them."""
    histories, _ = dataset.queries(Split.TEST)
    batches = user_batches(histories, case.batch_size, **({} if case.load is None else {"users": SERVED}))
    return Subject(case.name, recommender, batches, case.k, device, len(dataset.catalogue), dataset.catalogue)


def users_to_rank(dataset: Dataset, users: int | None) -> tuple[Sequence[History], list[int]]:
    """Return the histories and targets of a seeded sample of test users; of all where `users` is None."""
    histories, targets = dataset.queries(Split.TEST)
    rows = evaluate.sample(len(histories), users)
    return histories.pick(rows), [targets[row] for row in rows]


def ranked(subject: Subject, histories: Sequence[History], targets: Sequence[int]) -> Iterator[evaluate.Lists]:
    """Rank users batch by batch."""
    assert subject.items is not None
    return evaluate.rank_users(
        subject.recommender,
        histories,
        targets,
        k=subject.k,
        batch_size=evaluate.BATCH,
        device=subject.device,
        items=subject.items,
    )


def quality_of(
    lists: evaluate.Lists, histories: Sequence[History], targets: Sequence[int], *, case: Case, dataset: Dataset
) -> Quality:
    """Turn the lists of test users into the record's quality."""
    items = len(dataset.catalogue)
    return evaluate.summarise(lists, histories, targets, items=items, split=Split.TEST.value, seen=case.seen)
