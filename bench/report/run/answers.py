"""The answer in words: one sentence for all that was measured, and one for each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records.case import WeightsKind
from bench.records.quality import Quality
from bench.records.record import Record
from bench.report.reading.findings import claimants, recall_gain, times
from bench.report.reading.labels import groups, listed, machine_name, milliseconds, short_names, significant
from bench.report.reading.ladder import reference_of, strongest
from bench.report.reading.naming import caption, dataset_name, label_of, named
from bench.report.reading.rankers import served_best
from bench.report.reading.ratios import latency_of, measured, metric, ratio_of
from bench.report.reading.trained import not_compared
from bench.statistics.latency import Ratio


@dataclass(frozen=True)
class Lead:
    """A one-pass case against the strongest generative one of its group.

    Attributes:
        fast: The one-pass case.
        slow: The strongest generative one.
        ratio: Latency of `slow` over `fast`.
        reference: What the papers run in place of `slow`; None where that was not measured, or is `slow`.
        to_reference: Latency of `reference` over `fast`.
        recall: Relative change of HR@10 from `slow` to `fast`, in percent; None without quality, and where either
            was not trained to its end.

    """

    fast: Record
    slow: Record
    ratio: Ratio
    reference: Record | None
    to_reference: Ratio | None
    recall: float | None


def leads(group: Sequence[Record]) -> list[Lead]:
    """Hold the claimant of a group, or else its best one-pass case, against the strongest generative one."""
    one_pass = [record for record in group if record.case.decoder is None]
    one_pass = [
        record for record in one_pass if record.claims or record.case.weights is not WeightsKind.AS_BUILT
    ]  # no straw man
    chosen = claimants(one_pass)
    if not chosen and one_pass:
        one_pass = served_best(one_pass)
        chosen = [max(one_pass, key=lambda record: (metric(record, "NDCG@10") or 0.0, -latency_of(record).p50_s))]
    rivals = ((fast, strongest(fast, group)) for fast in chosen)
    return [_lead(fast, slow, group) for fast, slow in rivals if slow is not None]


def leads_of(records: Sequence[Record]) -> list[Lead]:
    """Return the leads of all groups."""
    return [lead for group in groups(measured(records)).values() for lead in leads(group)]


def _lead(fast: Record, slow: Record, group: Sequence[Record]) -> Lead:
    candidate = reference_of(slow, group)
    reference = None if candidate is slow else candidate
    to_reference = None if reference is None else ratio_of(reference, fast)
    return Lead(fast, slow, ratio_of(slow, fast), reference, to_reference, recall_gain(fast, slow))


def headline(records: Sequence[Record]) -> str | None:
    """Say in one sentence what one pass gains on beam search over all groups; None where nothing can be compared."""
    all_leads = leads_of(records)
    if not all_leads:
        return None
    text = f"{gained(all_leads)}: {_where([lead.fast for lead in all_leads])}."
    both = [record for lead in all_leads if lead.recall is None and _ranked(lead) for record in (lead.fast, lead.slow)]
    why = not_compared(*both)
    told = any(lead.recall is not None for lead in all_leads)
    return f"{text} Quality is not compared{' everywhere' if told else ''}: {why}." if why else text


def gained(all_leads: Sequence[Lead]) -> str:
    """Say what one pass gains on beam search, over several groups."""
    names = listed(_names_of([lead.fast for lead in all_leads]))
    text = f"{names} answered {_span([lead.ratio for lead in all_leads])} as the strongest beam search"
    references = [lead.to_reference for lead in all_leads if lead.to_reference is not None]
    if references:
        text += f" and {_span(references)} as the papers' decoder"
    changes = sorted(lead.recall for lead in all_leads if lead.recall is not None)
    if changes:
        ends = [f"{change:+.0f} %" for change in (changes[0], changes[-1])]
        text += f", with {' to '.join(dict.fromkeys(ends))} HR@10"
    return text


def _names_of(records: Sequence[Record]) -> list[str]:
    """Name what answered, each once; a recommender that stands there under several settings by its name alone."""
    labels: dict[str, list[str]] = {}
    for record in records:
        labels.setdefault(named(record).name, []).append(_ranked_by(record))
    return [said.pop() if len(said := set(several)) == 1 else name for name, several in labels.items()]


def _ranked_by(record: Record) -> str:
    ranker = record.case.ranker
    return label_of(record) if ranker is None else f"{label_of(record)} ranked by {ranker}"


def _ranked(lead: Lead) -> bool:
    return all(metric(record, "HR@10") is not None for record in (lead.fast, lead.slow))


def _span(ratios: Sequence[Ratio]) -> str:
    """Say how fast, by one ratio with its interval, or by the least and the greatest of several."""
    if len(ratios) == 1:
        return _beside(ratios[0])
    values = sorted(ratio.value for ratio in ratios)
    least, most = values[0], values[-1]
    if most < 1:
        return f"{_ends(1 / most, 1 / least)} times as slow"
    if least < 1:
        return f"from {significant(1 / least, 2)} times as slow to {significant(most, 2)} times as fast"
    return f"{_ends(least, most)} times as fast"


def _ends(least: float, most: float) -> str:
    return " to ".join(dict.fromkeys(significant(value, 2) for value in (least, most)))


def _where(records: Sequence[Record]) -> str:
    datasets = list(dict.fromkeys(map(dataset_name, records)))
    machines = list(dict.fromkeys(map(machine_name, records)))
    batches = sorted({record.case.batch_size for record in records})
    data = listed(datasets) if len(datasets) < 4 else f"{len(datasets)} datasets"  # noqa: PLR2004 - fit a line
    sizes = f"batch {batches[0]}" + (f" to {batches[-1]}" if len(batches) > 1 else "")
    return f"{data}, {sizes}, {listed(machines)}"


def answer(records: Sequence[Record]) -> list[str]:
    """Say in plain sentences what was found, one a group."""
    sentences = []
    grouped = groups(measured(records))
    for name, short in short_names(grouped).items():
        group = grouped[name]
        ranked = [record for record in group if metric(record, "NDCG@10") is not None]
        ranked = [record for record in ranked if not record.labels] or ranked  # what leaks is not the best
        untrained = any(record.case.weights is WeightsKind.UNTRAINED for record in group)
        saved = "".join(map(_against_beams, leads(group)))
        if ranked and not untrained:
            sentences.append(f"{short}: {_best(ranked)}{saved}")
        else:
            fastest = min(group, key=lambda record: latency_of(record).p50_s)
            time = milliseconds(latency_of(fastest).p50_s)
            sentences.append(f"{short}: cost alone was measured; the fastest is {caption(fastest)}, {time}.{saved}")
    return sentences or ["No case could be measured; see what failed."]


def _best(ranked: list[Record]) -> str:
    best = max(ranked, key=lambda record: metric(record, "NDCG@10") or 0.0)
    assert isinstance(best.quality, Quality)
    bound = best.quality.metrics["NDCG@10"].low
    reaching = [record for record in ranked if (metric(record, "NDCG@10") or 0.0) >= bound]
    fastest = min(reaching, key=lambda record: latency_of(record).p50_s)
    text = f"best NDCG@10 {_quality_and_time(best)} a request (median)"
    if fastest is best:
        return f"{text}; nothing faster comes within its interval."
    return f"{text}; fastest within its interval {_quality_and_time(fastest)}."


def _quality_and_time(record: Record) -> str:
    value, time = significant(metric(record, "NDCG@10") or 0.0), milliseconds(latency_of(record).p50_s)
    return f"{value}, {caption(record)}, {time}"


def _against_beams(lead: Lead) -> str:
    """Say how fast a one-pass case is beside the strongest generative one, and beside what the papers run."""
    recall = "" if lead.recall is None else f", with {lead.recall:+.0f} % HR@10"
    if lead.recall is None and _ranked(lead) and (why := not_compared(lead.fast, lead.slow)):
        recall = f"; their quality is not compared, for {why}"
    text = f" {caption(lead.fast)} is {_beside(lead.ratio)} as {caption(lead.slow)}"
    if lead.reference is not None and lead.to_reference is not None:
        text += f" and {_beside(lead.to_reference)} as {caption(lead.reference)}, the papers' decoder"
    return f"{text}{recall}."


def _beside(ratio: Ratio) -> str:
    if ratio.value < 1:
        return f"{times(Ratio(1 / ratio.value, 1 / ratio.high, 1 / ratio.low))} as slow"
    return f"{times(ratio)} as fast"
