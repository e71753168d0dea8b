"""What measures one quantity of a request besides its latency: an `Instrument`, outside of the timed rounds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from bench.measure.clock import Clock
from bench.measure.subject import Subject

Worked = TypeVar("Worked")


@dataclass(frozen=True)
class Request:
    """One request of a case, as instruments meet it.

    Attributes:
        subject: What answers it, warm.
        clock: Clock of its device.
        dtype: Number format that the case is computed in.
        threads: CPU threads that it is computed with.
        weight_bytes: Bytes of parameters and buffers.

    """

    subject: Subject
    clock: Clock
    dtype: str
    threads: int
    weight_bytes: int
    _worked_out: dict[Callable[[Request], Any], Any] = field(default_factory=dict, repr=False)

    def once(self, work: Callable[[Request], Worked]) -> Worked:
        """Return what several instruments need, which the first one works out."""
        if work not in self._worked_out:
            self._worked_out[work] = work(self)
        worked_out: Worked = self._worked_out[work]
        return worked_out


class Instrument(ABC):
    """Measures one quantity.

    Attributes:
        name: Field of the record that it fills. A quantity without a field of its own is a
            `bench.records.cost.FurtherMeasure` under this name in `further`; pages show it beside the others.

    """

    name: ClassVar[str]

    @abstractmethod
    def measure(self, request: Request) -> Any:
        """Return what the record holds: a value of the field's type, or an `Unavailable` with the reason."""
