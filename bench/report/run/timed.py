"""The sections of the page that timing fills: the claim, decoders, latency, cost, all cases, failures."""

from __future__ import annotations

from collections.abc import Callable

from bench.report.drawing.section import Titled
from bench.report.growth import crossings, figures, laws, strongest
from bench.report.growth import sweeps as scaling
from bench.report.reading import findings
from bench.report.reading.ratios import measured
from bench.report.run import money, tables
from bench.report.run.chapter import About, Chapter, Content, Material
from bench.report.run.distributions import latencies
from bench.report.run.roofline import limits

CLAIM_NOTE = (
    "Time saved and ratios are of median request latency, with 95 % intervals from a bootstrap over interleaved turns."
)
NO_PAIR = "Nothing to compare: the run holds no pair of a claimant of its suite and a beam search of one preset."
DECODERS_NOTE = (
    "What each decoder of one recommender costs and whether it gives the same lists, lowest rung first. reference is "
    "what the papers run. vectorised-trie, exact and compiled keep the same beams and must give the same lists; "
    "exhaustive scores every item, so it shows what the beams miss. Renormalised scores, and dtypes that round, are "
    "another ranking."
)
LATENCY_NOTE = (
    "Of a whole request, from history to ranked list on the host. Brackets: 95 % interval of the median, from a "
    "bootstrap over turns. A percentile needs five rounds beyond it. Host overhead: what the host adds to the device's "
    "own time."
)
COST_NOTE = (
    "Per million users: requests one after the other as they were timed, on as many cores as they had threads, or on "
    "one GPU, at the price below. 1 multiply-accumulate = 2 FLOPs, matrix-like operators, causal attention not halved. "
    "Moved: what the operators of a request read and write, each for itself. Peak memory: weights, index and the "
    "largest request. Process memory: the peak of a process that serves the case alone, libraries included."
)
LIMITS_NOTE = (
    "Lower bound: what no implementation of the same arithmetic in the same dtype can beat on this machine, from its "
    "own measured peaks; share of p50: how near the median comes. FLOP/B: operations for each byte that is moved. "
    "Timing adds: what the harness costs a call; asked again: time of a user's second request over the first, which "
    "kept answers would make small."
)
RESULTS_NOTE = (
    "Brackets: 95 % bootstrap intervals over users. All scalars with their full digits: results.csv and "
    "results.parquet; phases: phases.csv."
)

COSTS_FIRST = ("per million users", "FLOPs/user", "peak memory", "process memory", "J/1000 users")
CLAIM_FIRST = ("one pass", "beam search", "times as fast", "time saved", "HR@10 change")
RESULTS_FIRST = ("NDCG@10", "HR@10", "p50", "training", "outcome")
"""Columns that stand there before the others unfold."""


def _claim(material: Material) -> Content:
    compared = bool(findings.comparisons(material.records))
    note = CLAIM_NOTE if compared else NO_PAIR
    shown = Titled("", tables.claims(material.records), CLAIM_FIRST)
    return Content((shown,), note, lead=findings.CLAIM)


def _decoders(material: Material) -> Content:
    return Content((Titled("", tables.ladder(material.records)),), DECODERS_NOTE)


def _latency(material: Material) -> Content:
    shown = Titled("", latencies(material.records), ("p50", "p95", "p99", "users/s", "unstable"))
    return Content((shown,), LATENCY_NOTE, material.drawn("distribution", "latency", "phases"))


def _cost(material: Material) -> Content:
    spent = (
        Titled("", tables.costs(material.records, material.prices), COSTS_FIRST),
        Titled("Prices", money.used(material.records, material.prices)),
        Titled("Against the machine's limits", limits(material.records)),
    )
    return Content(spent, f"{COST_NOTE} {LIMITS_NOTE}", material.drawn("cost", "roofline"))


def _results(material: Material) -> Content:
    more = (
        f" Quality of {material.replaced} of these cases is of more users than were ranked beside the timing: that of "
        "an evaluation of the same weights serving the same lists."
    )
    shown = Titled("", tables.results(material.records), RESULTS_FIRST)
    return Content((shown,), RESULTS_NOTE + (more if material.replaced else ""))


def _failed(material: Material) -> Content:
    return Content((Titled("", tables.failures([*material.records, *material.served])),))


def _growth(material: Material) -> Content:
    """Return how latency grows with what was swept, and by which laws."""
    swept = scaling.few(scaling.sweeps(measured(material.records)))
    grown = laws.growths(swept)
    crossed = crossings.crossings(grown)
    shown = (Titled("Where laws cross", crossed), Titled("Laws", laws.laws(grown)))
    notes = [laws.NOTE] + [crossings.NOTE] * (not crossed.empty) + [crossings.describe_crossings(grown)]
    notes += [said] if (said := strongest.describe(grown)) else []
    return Content(shown, " ".join(notes), tuple(figures.figures(swept, grown)))


def _if_timed(make: Callable[[Material], Content]) -> Callable[[Material], Content]:
    """Make a section only where there are records."""
    return lambda material: make(material) if material.records else Content()


CLAIM = Chapter("claim", "The paper's claim", _if_timed(_claim), dropped=0, asks="how much of it holds on this machine")
DECODERS = Chapter(
    "decoders",
    "Decoders",
    _if_timed(_decoders),
    dropped=11,
    asks="where a beam search loses its time, and whether lists stay the same",
)
LATENCY = Chapter(
    "latency",
    "Latency",
    _if_timed(_latency),
    dropped=4,
    about=About.COST,
    asks="how it is distributed, and where the time of a request goes",
)
GROWTH = Chapter(
    "growth",
    "How cost grows",
    _if_timed(_growth),
    dropped=5,
    asks="with beams, batch, history and catalogue, and where one pass loses",
)
COST = Chapter(
    "cost",
    "Cost",
    _if_timed(_cost),
    dropped=2,
    about=About.COST,
    asks="operations, memory, energy, money, and the machine's limits",
)
RESULTS = Chapter(
    "results", "All cases", _if_timed(_results), dropped=6, about=About.ALL, asks="quality beside cost, every case"
)
FAILED = Chapter("failed", "What failed", _failed, about=About.ALL, asks="cases without numbers, and why", wide=True)
