"""A closed loop: one client that sends its next request when the last one is answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.measure import latency
from bench.measure.clock import Clock
from bench.measure.latency import Samples, TimingPlan
from bench.measure.outcome import Failure, Step, unwatched
from bench.measure.subject import Subject
from bench.scenarios.scenario import Scenario


class Closed(Scenario):
    """Times cases in interleaved turns, so that a slow minute of the machine falls on all of them."""

    name = "closed"

    def time(
        self,
        subjects: Sequence[Subject],
        plan: TimingPlan,
        clock: Clock,
        progress: Callable[[str], None] = lambda _: None,
        *,
        step: Step = unwatched,
        caught: type[BaseException] = Exception,
    ) -> dict[str, Samples | Failure]:
        """See `Scenario.time`."""
        return latency.interleave(subjects, plan, clock, progress, step=step, caught=caught)
