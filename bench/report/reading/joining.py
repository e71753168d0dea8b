"""Which evaluations and which timed cases belong together: the same weights, serving the same lists."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records.case import Case, WeightsKind
from bench.records.decoders import FULL_VOCAB
from bench.records.quality import Quality
from bench.records.record import Record
from bench.records.studies import Evaluation
from bench.report.reading.ratios import latency_of, measured

TEST = "test"


def same_weights(record: Record, evaluation: Evaluation) -> bool:
    """Tell whether both ranked with the same weights: one checkpoint, or both built alike with nothing to train."""
    first, second = record.case, evaluation.case
    if first.dataset_variant != second.dataset_variant or record.weights is None:
        return False
    if record.weights.sha256 is not None:
        return record.weights.sha256 == evaluation.weights.sha256
    as_built = first.weights is second.weights is WeightsKind.AS_BUILT
    return as_built and (first.recommender, first.settings) == (second.recommender, second.settings)


def same_lists(first: Case, second: Case) -> bool:
    """Tell whether two cases of the same weights must serve the same lists, up to ties."""
    common = [
        (case.seen, case.k, case.dtype, case.beam_width, case.scores or FULL_VOCAB if case.decoder else None)
        for case in (first, second)
    ]
    decoders = first.decoder == second.decoder or (first.keeps_the_beams and second.keeps_the_beams)
    rankers = first.ranker == second.ranker or (first.ranks_exactly and second.ranks_exactly)
    return common[0] == common[1] and decoders and rankers


def with_whole_quality(records: Sequence[Record], evaluations: Sequence[Evaluation]) -> list[Record]:
    """Return the records, each with the quality of the evaluation that ranked more users for the same lists."""
    return [_with_whole_quality(record, evaluations) for record in records]


def _with_whole_quality(record: Record, evaluations: Sequence[Evaluation]) -> Record:
    qualities = [
        evaluation.quality
        for evaluation in evaluations
        if evaluation.quality.split == TEST
        and same_weights(record, evaluation)
        and same_lists(record.case, evaluation.case)
    ]
    users = record.quality.users if isinstance(record.quality, Quality) else 0
    best = max(qualities, key=lambda quality: quality.users, default=None)
    return record if best is None or best.users <= users else record.model_copy(update={"quality": best})


def timed_for(evaluation: Evaluation, records: Sequence[Record]) -> list[Record]:
    """Return the timed cases of an evaluation's weights and lists, all of one decoder.

    That is the evaluation's own, or where that was not timed, the one that is fastest at the smallest batch.
    """
    alike = [
        record
        for record in measured(records)
        if same_weights(record, evaluation) and same_lists(record.case, evaluation.case)
    ]
    own = [record for record in alike if record.case.decoder == evaluation.case.decoder]
    if own or not alike:
        return own
    fastest = min(alike, key=lambda record: (record.case.batch_size, latency_of(record).p50_s))
    return [record for record in alike if record.case.decoder == fastest.case.decoder]
