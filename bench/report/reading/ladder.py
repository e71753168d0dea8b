"""The decoders of each generative recommender, rung by rung: what each saves, and whether lists stay the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.case import WeightsKind
from bench.records.decoders import FULL_VOCAB
from bench.records.quality import Quality
from bench.records.record import Record
from bench.report.reading import histories
from bench.report.reading.labels import machine_name
from bench.report.reading.naming import dataset_name, label_of
from bench.report.reading.ratios import latency_of, measured, metric, ratio_of
from bench.statistics.latency import Ratio


@dataclass(frozen=True)
class Rung:
    """One decoder of a ladder.

    Attributes:
        record: What was measured.
        setting: What all rungs have in common.
        to_reference: How many times as long the reference decoder takes; None where it was not measured, or is this.
        before: The rung before; None for the first, and for what is no rung.
        to_before: How many times as long the rung before takes; None for the first, and for what is no rung: another
            dtype, or a search without beams.
        ndcg_change: NDCG@10 minus the reference's; None where either has none.

    """

    record: Record
    setting: str
    to_reference: Ratio | None
    before: Record | None
    to_before: Ratio | None
    ndcg_change: float | None


def ladders(records: Sequence[Record]) -> list[list[Rung]]:
    """Return the ladders of two rungs or more, in the order of the records.

    A ladder holds what is measured of one recommender at one batch size and beam width, whatever the
    decoder, the scores and the dtype; a search without beams stands on all ladders of its recommender.
    """
    generative = [record for record in measured(records) if record.case.decoder is not None]
    by_key: dict[tuple[str, int | None], list[Record]] = {}
    for record in generative:
        if record.case.beam_width is not None:
            by_key.setdefault(_key(record), []).append(record)
    for record in generative:
        if record.case.beam_width is None:
            for key in [key for key in by_key if key[0] == _key(record)[0]] or [_key(record)]:
                by_key.setdefault(key, []).append(record)
    return [_rungs(sorted(group, key=_height)) for group in by_key.values() if len(group) > 1]


def _rungs(group: list[Record]) -> list[Rung]:
    setting = _setting(group[0])
    reference = group[0] if group[0].case.is_reference and group[0].case.is_exact else None
    rungs = []
    for earlier, record in zip([None, *group], group, strict=False):
        others = None if record is reference else reference
        before = earlier if earlier is not None and _is_next(earlier, record) else None
        rungs.append(
            Rung(
                record,
                setting,
                to_reference=None if others is None else ratio_of(others, record),
                before=before,
                to_before=None if before is None else ratio_of(before, record),
                ndcg_change=None if others is None else _change(others, record),
            )
        )
    return rungs


def _is_next(before: Record, record: Record) -> bool:
    same = before.case.dtype == record.case.dtype
    return same and before.case.keeps_the_beams and record.case.keeps_the_beams


def _change(reference: Record, record: Record) -> float | None:
    before, after = metric(reference, "NDCG@10"), metric(record, "NDCG@10")
    return None if before is None or after is None else after - before


def _key(record: Record) -> tuple[str, int | None]:
    """Return what all rungs of a ladder have in common; without beams a case goes with every beam width."""
    case = record.case
    common = case.model_dump_json(exclude={"decoder", "search", "scores", "dtype", "beam_width"})
    return f"{common} {machine_name(record)}", case.beam_width


def _setting(record: Record) -> str:
    """Name what all rungs of a ladder have in common, for readers."""
    case = record.case
    words = [label_of(record), str(case.settings.get("preset", ""))]
    words += ["untrained" if case.weights is WeightsKind.UNTRAINED else "", dataset_name(record), case.device]
    words += [f"batch {case.batch_size}", f"top {case.k}", "" if case.seen == "remove" else f"seen items: {case.seen}"]
    words += [f"beam {case.beam_width}" if case.beam_width else ""]
    return ", ".join(word for word in words if word)


def _height(record: Record) -> tuple[bool, bool, bool, int]:
    """Sort rungs: float32 first, the usual scores first, then by the ladder; other decoders last."""
    case = record.case
    return case.dtype != "float32", not case.keeps_the_beams, case.scores not in (None, FULL_VOCAB), case.rung


def strongest(fast: Record, group: Sequence[Record]) -> Record | None:
    """Return the generative case that a one-pass case has to beat; None where there is none of its size.

    Its lists are the papers' search's, and whole: exact decoders, scores over the whole vocabulary, weights as they
    are, as many beams as places; where none is so, any. Of these it is the fastest that ranks as well as the best: of
    which NDCG@10 lies within the interval of the best one's. Without quality, the fastest.
    """
    matching = [record for record in group if record.case.decoder is not None and sizes_match(fast, record)]
    matching = [record for record in matching if not record.labels] or matching  # a leaky one is nothing to beat
    exact = [record for record in matching if record.case.is_exact]
    wide_enough = [record for record in exact if (record.case.beam_width or 0) >= record.case.k]
    candidates = wide_enough or exact or matching
    best = max(candidates, key=lambda record: metric(record, "NDCG@10") or 0.0, default=None)
    if best is not None and isinstance(best.quality, Quality) and metric(best, "NDCG@10") is not None:
        bound = best.quality.metrics["NDCG@10"].low
        candidates = [record for record in candidates if (metric(record, "NDCG@10") or 0.0) >= bound]
    return min(candidates, key=lambda record: latency_of(record).p50_s, default=None)


def reference_of(record: Record, group: Sequence[Record]) -> Record | None:
    """Return the case of the same recommender and beam width under the reference decoder; None if not measured."""
    for other in group:
        same = other.case.is_reference and other.case.is_exact
        if same and other.case.dtype == record.case.dtype and _key(other) == _key(record):
            return other
    return None


def sizes_match(first: Record, second: Record) -> bool:
    """Tell whether two cases have one preset, or only one of them has any, and histories as long where that was set."""
    presets = {record.case.settings.get("preset") for record in (first, second)} - {None}
    return len(presets) <= 1 and histories.match(first, second)
