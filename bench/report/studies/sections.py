"""The parts of the page that studies fill: each a title, tables, a note and at most a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bench.records.record import Provenance, Record
from bench.records.studies import Studies
from bench.report.drawing.figure import Drawing, drawn
from bench.report.drawing.section import Section, Titled
from bench.report.studies import ablations, beams, leaks, quality, shortcuts, tradeoff
from bench.report.studies.published import published_beside
from bench.report.studies.variants import Place, Variant

QUALITY_NOTE = (
    "Best NDCG@10 first. Brackets: 95 % bootstrap intervals over users. Over the next: mean difference of NDCG@10 to "
    "the variant that is named, over the same users. p: paired t-test of that difference, corrected for all "
    "comparisons of the table (Holm 1979); * is below 0.05. Latency, FLOPs and memory are those of the same weights "
    "serving the same lists, n/a where these were not timed; a decoder is named where it is another one that makes "
    "these lists."
)
PUBLISHED_NOTE = (
    "Theirs as printed, over the whole catalogue; ours as above. The last column says what is known to differ: "
    "protocol, loss, numbering or size."
)
SEEDS_NOTE = "One training a seed. SD: sample standard deviation over seeds, which intervals over users leave out."
BEAMS_NOTE = (
    "All items: the ranking of the whole catalogue by the same scores, for the same users. True rank: where the "
    "targets that the beams find stand in that ranking. Overlap: share of its first ten that the beams find. "
    "Coverage: share of the catalogue in some user's first ten. Where beams find more targets than the ranking of all "
    "items, they do so by dropping competitors with better scores, not by knowing better."
)
LEAKS_NOTE = (
    "Without any model: the numbers after the highest of the history, recommended in that order. What they find beyond "
    "chance, the numbers carry: from the training part where they were made of it alone, from the test targets where "
    "they leak."
)
EXPLAINED_NOTE = (
    "Explained: (leaky - repaired) / leaky, over the same users, with 95 % bootstrap intervals; one was trained under "
    "P5's numbering, the other under one that counts the training part alone."
)
SHORTCUTS_NOTE = (
    "After arXiv 2605.07125. Items that follow an item: two to the power of the entropy of what follows it in training "
    "histories. Targets that follow the last item do so directly in some training history. Cosine: of TF-IDF vectors "
    "of last item and target, and of other users' targets. Where a recommender ranks as well by the last item or two, "
    "the dataset asks for no more; what a user has seen is not in the lists, known to it or not."
)
ABLATIONS_NOTE = (
    "Each was trained for the minutes shown, by one recipe: at equal time, not to where each ends. "
    "Change of NDCG@10 against the base: of means over the same users, 95 % intervals from a paired bootstrap. Latency "
    "over the base's: of medians, below 1 where the variation is faster, intervals from a bootstrap over turns."
)


def sections(
    studies: Studies, found: Sequence[Variant], places: dict[str, list[Place]], records: Sequence[Record]
) -> list[Section]:
    """Return the sections that have something to show.

    Args:
        studies: All of them.
        found: What was evaluated.
        places: The same, compared.
        records: What was timed.

    """
    costs = tuple(Titled(dataset, quality.beside_cost(group, records)) for dataset, group in places.items())
    published = published_beside(studies.evaluations)
    made = [
        Section("quality", "Quality beside cost", costs, QUALITY_NOTE),
        Section("published", "Published numbers beside ours", (Titled("", published),), PUBLISHED_NOTE),
        Section("seeds", "Seeds", (Titled("", quality.over_seeds(found)),), SEEDS_NOTE),
        _beams(studies),
        _leaks(studies, found),
        Section("shortcuts", "Shortcuts", _shortcuts(studies), SHORTCUTS_NOTE),
        _ablations(studies, found, records),
    ]
    filled = [replace(one, tables=tuple(table for table in one.tables if not table.frame.empty)) for one in made]
    return [one for one in filled if one.tables]


def _beams(studies: Studies) -> Section:
    shown = [study for study in studies.beams if study.beams]
    drawings: tuple[Drawing, ...] = ()
    if shown:
        title, text = "HR@10 against the number of beams", beams.describe(shown)
        drawings = (drawn("beams", title, partial(beams.draw, shown), text, beams.points(shown)),)
    return Section("beams", "Beam search against all items", (Titled("", beams.table(shown)),), BEAMS_NOTE, drawings)


def _leaks(studies: Studies, found: Sequence[Variant]) -> Section:
    probes, explained = leaks.probes(studies.leaks), leaks.explained(found)
    tables = (Titled("", probes), Titled("What the leak is worth to a recommender", explained))
    notes = [LEAKS_NOTE] * (not probes.empty) + [EXPLAINED_NOTE] * (not explained.empty)
    return Section("leaks", "Leaks", tables, " ".join(notes))


def _shortcuts(studies: Studies) -> tuple[Titled, ...]:
    return (
        Titled("", shortcuts.structures(studies.shortcuts)),
        Titled("By the newest items alone", shortcuts.limited(studies.shortcuts)),
    )


def _ablations(studies: Studies, found: Sequence[Variant], records: Sequence[Record]) -> Section:
    parts = ablations.parts(studies.ablations, found, records)
    tables = tuple(Titled(f"{part.title}, {part.dataset}", ablations.table(part)) for part in parts)
    drawings: tuple[Drawing, ...] = ()
    if any(tradeoff.drawn(part) for part in parts):
        title, text, missing = "Quality lost against latency saved", tradeoff.describe(parts), tradeoff.left_out(parts)
        draw, data = partial(tradeoff.draw, parts), tradeoff.points(parts)
        drawings = (drawn("ablations", title, draw, text, data, left_out=missing),)
    return Section("ablations", "Ablations", tables, ABLATIONS_NOTE, drawings)


def doubts(studies: Studies) -> list[str]:
    """List what weakens the figures of studies."""
    sources = studied(studies)
    found = []
    if any(source.dataset.get("synthetic") for source in sources):
        found.append("Synthetic data: orderings of quality need not hold on real data.")
    if any(source.dirty for source in sources):
        found.append("The code was changed after its last commit; the commit alone does not give these numbers again.")
    ranked = [(one.case, one.labels) for one in studies.evaluations] + [(one.case, one.labels) for one in studies.beams]
    found += [f"{case.variant}: {label}." for case, labels in ranked for label in labels]
    for one in studies.evaluations:
        seen = one.weights.part_of_an_epoch
        if seen is not None:
            where = f"{one.case.variant} on {one.case.dataset_variant}"
            found.append(f"{where} saw {seen:.0%} of the training examples once: more training would rank better.")
    found += [
        f"{one.case.recommender} on {one.case.dataset_variant}: its beams were studied on {one.users:,} of "
        f"{one.all_users:,} users."
        for one in studies.beams
        if one.users < one.all_users
    ]
    return list(dict.fromkeys(found))


def studied(studies: Studies) -> list[Provenance]:
    """Return what stands behind each study."""
    made = [one.provenance for one in studies.evaluations] + [one.provenance for one in studies.beams]
    return made + [one.provenance for one in studies.probes]
