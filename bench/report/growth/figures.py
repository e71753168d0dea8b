"""The figures of growth: for each quantity that was swept, latency, memory, and how far the laws are from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from bench.report.drawing.figure import Drawing, drawn
from bench.report.growth import crossings, laws, live, sweeps
from bench.report.growth.laws import Growth
from bench.report.growth.sweeps import Sweep


def figures(swept: Sequence[Sweep], grown: Sequence[Growth]) -> Iterator[Drawing]:
    """Draw every quantity by itself: first all latencies, then memory, then residuals.

    Args:
        swept: All sweeps that are shown.
        grown: Those of them that have laws.

    """
    by_quantity: dict[str, list[Sweep]] = {}
    for sweep in swept:
        by_quantity.setdefault(sweep.quantity, []).append(sweep)
    fitted = {quantity: [growth for growth in grown if growth.sweep.quantity == quantity] for quantity in by_quantity}
    for quantity, lines in by_quantity.items():
        yield _latency(quantity, lines, fitted[quantity])
    for quantity, lines in by_quantity.items():
        heavy = [sweep for sweep in lines if sweeps.has_memory(sweep)]
        if heavy:
            yield _memory(quantity, heavy)
    for quantity, growths in fitted.items():
        if growths:
            yield _residuals(quantity, growths)


def _latency(quantity: str, swept: Sequence[Sweep], grown: Sequence[Growth]) -> Drawing:
    return drawn(
        f"scaling_{_file(quantity)}",
        f"Latency against {_short(quantity)}",
        partial(sweeps.draw_latency, swept, partial(crossings.draw_laws, grown)),
        f"{sweeps.describe(swept)} {crossings.describe_crossings(grown)}",
        sweeps.latencies(swept),
        live=live.live_latency(swept, grown),
    )


def _memory(quantity: str, swept: Sequence[Sweep]) -> Drawing:
    return drawn(
        f"memory_{_file(quantity)}",
        f"Memory against {_short(quantity)}",
        partial(sweeps.draw_memory, swept),
        f"What a request adds to memory, against {quantity}.",
        sweeps.memories(swept),
        live=live.live_memory(swept),
    )


def _residuals(quantity: str, grown: Sequence[Growth]) -> Drawing:
    return drawn(
        f"residuals_{_file(quantity)}",
        f"How far the laws of {_short(quantity)} are from what was measured",
        partial(laws.draw_residuals, grown),
        laws.describe_residuals(grown),
        laws.residuals(grown),
        live=live.live_residuals(grown),
    )


def _short(quantity: str) -> str:
    """Name a quantity without its unit."""
    return quantity.partition(",")[0]


def _file(quantity: str) -> str:
    return _short(quantity).replace(" ", "_")
