"""The sections of the page that studies fill: each a title, tables, a note and at most a figure."""

from __future__ import annotations

from functools import partial

from bench.report.drawing.figure import drawn
from bench.report.drawing.section import Titled
from bench.report.run.chapter import About, Chapter, Content, Material
from bench.report.studies import ablations, beams, fairness, leaks, quality, shortcuts, tradeoff
from bench.report.studies.published import published_beside

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
QUALITY_FIRST = ("NDCG@10", "HR@10", quality.SMALLEST, "trained to the end", "cautions")
BEAMS_FIRST = ("data", "beams", "HR@10", "HR@10, all items", "overlap")
PUBLISHED_FIRST = ("published", "their NDCG@10", "our NDCG@10", "ours / theirs", "ours")
"""Columns that stand there before the others unfold."""

ABLATIONS_NOTE = (
    "Each was trained for the minutes shown, by one recipe: at equal time, not to where each ends. What was cut "
    "short is not held against the base, nor another recommender unless both were trained to their ends: that would be "
    "a difference of training. "
    "Change of NDCG@10 against the base: of means over the same users, 95 % intervals from a paired bootstrap. Latency "
    "over the base's: of medians, below 1 where the variation is faster, intervals from a bootstrap over turns."
)


def _quality(material: Material) -> Content:
    places = material.places.items()
    tables = tuple(
        Titled(dataset, quality.beside_cost(group, material.records), QUALITY_FIRST, {"dataset": dataset})
        for dataset, group in places
    )
    return Content(tables, QUALITY_NOTE)


def _fair(material: Material) -> Content:
    shown = fairness.fairness(material.records, material.studies.evaluations, material.variants)
    return Content((Titled("", shown),), lead=fairness.LEAD)


def _published(material: Material) -> Content:
    return Content((Titled("", published_beside(material.studies.evaluations), PUBLISHED_FIRST),), PUBLISHED_NOTE)


def _seeds(material: Material) -> Content:
    return Content((Titled("", quality.over_seeds(material.variants)),), SEEDS_NOTE)


def _beams(material: Material) -> Content:
    shown = [study for study in material.studies.beams if study.beams]
    if not shown:
        return Content()
    title, text = "HR@10 against the number of beams", beams.describe(shown)
    answering = beams.live(shown) if material.offers(beams.by_dataset(shown)) else None
    drawing = drawn("beams", title, partial(beams.draw, shown), text, beams.points(shown), live=answering)
    return Content((Titled("", beams.table(shown), BEAMS_FIRST),), BEAMS_NOTE, (drawing,))


def _leaks(material: Material) -> Content:
    probes, explained = leaks.probes(material.studies.leaks), leaks.explained(material.variants)
    tables = (Titled("", probes), Titled("What the leak is worth to a recommender", explained))
    notes = [LEAKS_NOTE] * (not probes.empty) + [EXPLAINED_NOTE] * (not explained.empty)
    return Content(tables, " ".join(notes))


def _shortcuts(material: Material) -> Content:
    probes = material.studies.shortcuts
    tables = Titled("", shortcuts.structures(probes)), Titled("By the newest items alone", shortcuts.limited(probes))
    return Content(tables, SHORTCUTS_NOTE)


def _ablations(material: Material) -> Content:
    parts = ablations.parts(material.studies.ablations, material.variants, material.records)
    tables = tuple(
        Titled(f"{part.title}, {part.dataset}", ablations.table(part), facets={"dataset": part.dataset})
        for part in parts
    )
    if not any(tradeoff.drawn(part) for part in parts):
        return Content(tables, ABLATIONS_NOTE)
    title, text, missing = "Quality lost against latency saved", tradeoff.describe(parts), tradeoff.left_out(parts)
    draw, data = partial(tradeoff.draw, parts), tradeoff.points(parts)
    answering = tradeoff.live(parts) if material.offers(part.dataset for part in parts) else None
    drawing = drawn("ablations", title, draw, text, data, left_out=missing, live=answering)
    return Content(tables, ABLATIONS_NOTE, (drawing,))


QUALITY = Chapter(
    "quality", "Quality beside cost", _quality, about=About.QUALITY, asks="who ranks best, and who is told apart"
)
FAIR = Chapter(
    "fair",
    "Are the baselines fair?",
    _fair,
    dropped=12,
    asks="the search, training, item IDs and published quality of each beam search",
    wide=True,
)
PUBLISHED = Chapter(
    "published",
    "Published numbers beside ours",
    _published,
    dropped=1,
    about=About.QUALITY,
    asks="what others report, and why it differs",
)
SEEDS = Chapter(
    "seeds", "Seeds", _seeds, dropped=7, about=About.QUALITY, asks="how far another training of the same lies apart"
)
BEAMS = Chapter("beams", "Beam search against all items", _beams, dropped=10, asks="what beams miss")
LEAKS = Chapter("leaks", "Leaks", _leaks, dropped=8, about=About.QUALITY, asks="which numbers give the answer away")
SHORTCUTS = Chapter(
    "shortcuts",
    "Shortcuts",
    _shortcuts,
    dropped=9,
    about=About.QUALITY,
    asks="how far the data is solved without training",
)
ABLATIONS = Chapter("ablations", "Ablations", _ablations, dropped=3, asks="what each part gives, and costs")
