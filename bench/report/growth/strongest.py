"""Where the strongest one pass and the strongest beams cross: of each side, at each size, whatever is fastest there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.records.record import Record
from bench.report.growth.crossings import PLACES, REACH, SURE, first_turn
from bench.report.growth.laws import FittedLine, Growth, between
from bench.report.reading.labels import significant
from bench.statistics.growth import Floats


@dataclass(frozen=True)
class Overtaking:
    """From where on the other side is faster.

    Attributes:
        growth: The sweep.
        one_pass: The fastest line of one pass there.
        beams: The fastest line of beams there.
        one_pass_first: Whether one pass is the faster one below.
        at: Value of the swept quantity; None where they do not cross within reach.
        low: 2.5th percentile over the resamples that cross.
        high: 97.5th.
        share: Share of the resamples that cross so.
        inside: Whether both sides were measured on both sides of it.

    """

    growth: Growth
    one_pass: str
    beams: str
    one_pass_first: bool
    at: float | None
    low: float | None
    high: float | None
    share: float
    inside: bool


def overtakings(grown: Sequence[Growth]) -> list[Overtaking]:
    """Return one for each sweep that has both a claimant's one pass, losing little, and beams that keep the lists."""
    return [overtaking for growth in grown if (overtaking := _of(growth)) is not None]


def _of(growth: Growth) -> Overtaking | None:
    fast = [line for line in growth.lines if all(map(_is_one_pass, line.records))]
    slow = [line for line in growth.lines if all(record.case.is_exact for record in line.records)]
    if not fast or not slow:
        return None
    least = max(min(line.x[0] for line in side) for side in (fast, slow))
    most = min(max(line.x[-1] for line in side) for side in (fast, slow))
    places = np.geomspace(max(1.0, least / REACH), most * REACH, PLACES)
    gap = np.log(_fastest(fast, places)) - np.log(_fastest(slow, places))  # [1 + R, X], below 0 where one pass leads
    one_pass_first = bool(gap[0, 0] < 0)
    crossed = first_turn(gap if one_pass_first else -gap, places)
    at, resampled = float(crossed[0]), crossed[1:][np.isfinite(crossed[1:])]
    if not np.isfinite(at):
        names = [_leader(side, float(np.sqrt(least * most))) for side in (fast, slow)]
        return Overtaking(growth, names[0], names[1], one_pass_first, None, None, None, 0.0, inside=False)
    low, high = between(at, resampled) if resampled.size else (None, None)
    share = len(resampled) / (len(crossed) - 1)
    inside = bool(least <= at <= most)
    return Overtaking(growth, _leader(fast, at), _leader(slow, at), one_pass_first, at, low, high, share, inside)


def _is_one_pass(record: Record) -> bool:
    return record.claims and record.case.decoder is None and record.loses_little


def _fastest(lines: Sequence[FittedLine], places: Floats) -> Floats:
    """Return the least time of any line at each place: by the fitted laws, then by those of each resample."""
    fastest: Floats = np.min([np.vstack([line.law.at(places), line.laws.at(places)]) for line in lines], axis=0)
    return fastest


def _leader(lines: Sequence[FittedLine], place: float) -> str:
    return min(lines, key=lambda line: float(line.law.at(np.array([place]))[0, 0])).name


def describe(grown: Sequence[Growth]) -> str:
    """Say in words where the strongest of both sides cross, and name both; empty where there are no two sides."""
    return " ".join(map(_sentence, overtakings(grown)))


def _sentence(overtaking: Overtaking) -> str:
    first, second = ("one pass", "beams") if overtaking.one_pass_first else ("beams", "one pass")
    named = {"one pass": overtaking.one_pass, "beams": overtaking.beams}
    text = f"Against {overtaking.growth.against}, the strongest {first} ({named[first]})"
    if overtaking.at is None:
        return f"{text} is faster than the strongest {second} ({named[second]}) wherever the laws were looked at."
    between_them = (
        ""
        if overtaking.low is None or overtaking.high is None
        else f" [{significant(overtaking.low)}, {significant(overtaking.high)}]"
    )
    where = "interpolated" if overtaking.inside else "predicted"
    doubt = "" if overtaking.share >= SURE else ", may not cross"
    return (
        f"{text} is faster than the strongest {second} ({named[second]}) "
        f"up to {significant(overtaking.at)}{between_them} ({where}{doubt})."
    )
