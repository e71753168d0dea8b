"""All instruments, in the order in which they measure."""

from __future__ import annotations

from typing import Any

from bench.measure.energy import EnergyMeter, JoulesMeter
from bench.measure.flops import FlopCounter
from bench.measure.instrument import Instrument, Request
from bench.measure.memory import MemoryMeter
from bench.measure.overhead import OverheadMeter
from bench.measure.peaks import RooflineMeter
from bench.measure.phases import PhaseProfiler
from bench.measure.refresh import ListAgeMeter, RefreshMeter
from bench.measure.returning import BreakEvenMeter, HitMeter, UserBytesMeter
from bench.records.record import Record

INSTRUMENTS: tuple[Instrument, ...] = (
    PhaseProfiler(),
    FlopCounter(),
    RooflineMeter(),
    EnergyMeter(),
    JoulesMeter(),
    OverheadMeter(),
    MemoryMeter(),
    ListAgeMeter(),
    RefreshMeter(),
    HitMeter(),
    UserBytesMeter(),
    BreakEvenMeter(),
)


def measure_all(request: Request) -> dict[str, Any]:
    """Ask every instrument; returns fields of the record."""
    measured = {instrument.name: instrument.measure(request) for instrument in INSTRUMENTS}
    fields = {name: value for name, value in measured.items() if name in Record.model_fields}
    return fields | {"further": {name: value for name, value in measured.items() if name not in fields}}
