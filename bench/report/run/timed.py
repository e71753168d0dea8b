"""The parts of the page that timing fills: the claim, decoders, latency, cost, all cases, failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from bench.records.record import Record
from bench.report.drawing.figure import Drawing, drawn
from bench.report.drawing.section import Section, Titled
from bench.report.growth import crossings, laws
from bench.report.growth import sweeps as scaling
from bench.report.growth.sweeps import Sweep
from bench.report.reading import findings
from bench.report.reading.ratios import measured
from bench.report.run import money, tables
from bench.report.run.distributions import latencies
from bench.report.run.figures import MOST_PANELS
from bench.report.run.money import Price
from bench.report.run.roofline import limits

CLAIM_NOTE = (
    "Time saved and ratios are of median request latency, with 95 % intervals from a bootstrap over interleaved turns."
)
NO_PAIR = "Nothing to compare: the run holds no pair of lite-llm4rec and a beam-search recommender of one preset."
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

MOST_GROWING = 12
"""Lines of a sweep that are drawn, fitted, and crossed with each other."""

LATENCY_FIGURES = ("distribution", "latency", "phases")
COST_FIGURES = ("cost", "roofline")


def timed_sections(
    records: Sequence[Record], drawings: dict[str, Drawing], prices: Sequence[Price], replaced: int
) -> list[Section]:
    """Return the sections that have something to show.

    Args:
        records: All cases.
        drawings: Figures by name.
        prices: Prices of devices.
        replaced: How many cases show the quality of a larger evaluation.

    """
    compared = bool(findings.comparisons(records))
    more = (
        f" Quality of {replaced} of these cases is of more users than were ranked beside the timing: that of an "
        "evaluation of the same weights serving the same lists."
    )
    spent = (
        Titled("", tables.costs(records, prices)),
        Titled("Prices", money.used(records, prices)),
        Titled("Against the machine's limits", limits(records)),
    )
    made = [
        Section("claim", "The paper's claim", (Titled("", tables.claims(records)),), CLAIM_NOTE, lead=findings.CLAIM),
        Section("decoders", "Decoders", (Titled("", tables.ladder(records)),), DECODERS_NOTE),
        Section("latency", "Latency", (Titled("", latencies(records)),), LATENCY_NOTE, _of(drawings, LATENCY_FIGURES)),
        _growth(records),
        Section("cost", "Cost", spent, f"{COST_NOTE} {LIMITS_NOTE}", _of(drawings, COST_FIGURES)),
        Section(
            "results", "All cases", (Titled("", tables.results(records)),), RESULTS_NOTE + (more if replaced else "")
        ),
        Section("failed", "What failed", (Titled("", tables.failures(records)),), ""),
    ]
    if not compared:
        made[0] = replace(made[0], note=NO_PAIR)
    filled = [replace(one, tables=tuple(table for table in one.tables if len(table.frame.columns) > 1)) for one in made]
    filled = [replace(one, tables=tuple(table for table in one.tables if not table.frame.empty)) for one in filled]
    return [one for one in filled if one.tables or one.drawings]


def _growth(records: Sequence[Record]) -> Section:
    """Return how latency grows with what was swept, and by which laws."""
    found = [_short(sweep) for sweep in scaling.sweeps(measured(records))[:MOST_PANELS]]
    heavy = [sweep for sweep in found if scaling.has_memory(sweep)]
    grown = laws.growths(found)
    crossed = crossings.crossings(grown)
    shown = (Titled("Laws", laws.laws(grown)), Titled("Where laws cross", crossed))
    notes = [laws.NOTE] + [crossings.NOTE] * (not crossed.empty) + [crossings.describe_crossings(grown)]
    drawings = []
    if found:
        draw = partial(scaling.draw_latency, found, partial(crossings.draw_laws, grown))
        text, data = f"{scaling.describe(found)} {crossings.describe_crossings(grown)}", scaling.latencies(found)
        drawings.append(drawn("scaling", "How latency grows", draw, text, data))
    if grown:
        title, text = "How far the laws are from what was measured", laws.describe_residuals(grown)
        drawings.append(drawn("residuals", title, partial(laws.draw_residuals, grown), text, laws.residuals(grown)))
    if heavy:
        title, text = "How memory grows", "What a request adds to memory, against what latency is drawn against."
        draw, data = partial(scaling.draw_memory, heavy), scaling.memories(heavy)
        drawings.append(drawn("scaling_memory", title, draw, text, data))
    return Section("growth", "How cost grows", shown, " ".join(notes), tuple(drawings))


def _short(sweep: Sweep) -> Sweep:
    """Return a sweep with as many lines as can be told apart."""
    lines = dict(islice(sweep.lines.items(), MOST_GROWING))
    return replace(sweep, lines=lines, level=dict(islice(sweep.level.items(), MOST_GROWING)))


def _of(drawings: dict[str, Drawing], names: Sequence[str]) -> tuple[Drawing, ...]:
    return tuple(drawings[name] for name in names if name in drawings)
