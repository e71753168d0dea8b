"""Users who come back with one event more: what they did before it is remembered, outside of any request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from bench.measure import latency
from bench.measure.clock import Clock
from bench.measure.latency import Samples, TimingPlan
from bench.measure.outcome import Failure, Step, failure, unwatched
from bench.measure.subject import Subject
from bench.scenarios.scenario import Scenario
from models.catalogue import History


class Returning(Scenario):
    """A closed loop whose recommenders have read each user's history but for its newest event.

    Those that keep nothing of a user read the whole history at each request, as ever.
    """

    name = "returning"

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
        failures: dict[str, Samples | Failure] = {}
        for subject in subjects:
            try:
                with step(subject.name, "reading histories", plan.timeout_s):
                    remember(subject)
            except caught as error:  # a failed case is a row, not the end of the run
                failures[subject.name] = failure(error)
        alive = [subject for subject in subjects if subject.name not in failures]
        return failures | latency.interleave(alive, plan, clock, progress, step=step, caught=caught)


@torch.inference_mode()
def remember(subject: Subject) -> None:
    """Let a subject's recommender read the histories of all its users without their newest events."""
    subject.recommender.remember(
        [History(history.user, history.items[:-1]) for batch in subject.batches for history in batch if history.items]
    )
