"""What a ranker took, and what it misses: its lists beside those of scoring every item with the same weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from bench.measure.subject import Subject
from bench.records.quality import Agreement, Quality
from bench.records.rankers import Ranked
from bench.running.audit import TOLERANCE, Listed, agree, timed_lists
from bench.running.building import sharing_weights

EXACTLY = "every item scored"
"""How comparisons call the lists that rankers are held against."""

METRIC = "NDCG@10"

MOST_USERS = 512
"""Users, about, whose requests are made once more, where no users are ranked for quality."""


def operator_by_operator(subject: Subject, **served: Any) -> Subject:
    """Return what answers with the same weights and index, but not as one program, and otherwise as `served` says."""
    other = sharing_weights(subject.recommender)
    other.serving = other.serving.model_copy(update={"compiled": False, **served})
    return replace(subject, recommender=other)


def requested_lists(subject: Subject) -> Listed:
    """Return what users get, over the first requests."""
    numbers = _first_requests(subject)
    return timed_lists({number: (subject.batches[number], subject.request(number)) for number in numbers})


def _first_requests(subject: Subject) -> range:
    return range(min(len(subject.batches), -(-MOST_USERS // subject.batch_size)))


def ranked_beside_exact(
    subject: Subject, lists: Listed, exact: Listed, *, dtype: str, quality: tuple[object, object]
) -> tuple[Ranked, Agreement]:
    """Tell what the ranker took and what it missed.

    Args:
        subject: What was measured; its recommender has a ranker.
        lists: Its lists by user.
        exact: Those of scoring every item.
        dtype: What weights and activations are kept in.
        quality: That of `lists` and that of `exact`, where both are known.

    """
    built = subject.recommender.built
    assert built is not None
    agreement = agree(lists, exact, EXACTLY, tolerance=TOLERANCE[dtype])
    ranked = Ranked(
        build_s=built.seconds,
        bytes=built.nbytes,
        details=built.details,
        users=agreement.users,
        recall=agreement.overlap,
        identical=agreement.identical,
        proven=_proven(subject),
        **_lost(*quality),
    )
    return ranked, agreement


def _lost(quality: object, exact: object) -> dict[str, Any]:
    after, before = (side.metrics.get(METRIC) if isinstance(side, Quality) else None for side in (quality, exact))
    if after is None or before is None:
        return {}
    return {"ndcg_exact": before.value, "ndcg_lost": None if before.value == 0 else 1 - after.value / before.value}


def _proven(subject: Subject) -> float | None:
    """Return the share of lists that a bound proves to be exact, over the first requests."""
    parts = []
    with torch.inference_mode():
        for number in _first_requests(subject):
            part = subject.recommender.proven(subject.inputs(number), subject.k)
            if part is None:
                return None
            parts.append(part.float())
    return float(torch.cat(parts).mean())
