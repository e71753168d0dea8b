"""What scenarios have in common that ask a service: workers behind a batcher, one case after the other."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from bench.measure.clock import Clock, Timed
from bench.measure.latency import Samples, TimingPlan
from bench.measure.outcome import Failure, Step, failure, unwatched
from bench.measure.state import Watch
from bench.measure.subject import Subject
from bench.measure.warmup import warm_up
from bench.records.load import Load, Offered, Peak, Refresh, SecondOpinion, Trial
from bench.scenarios.scenario import Scenario
from bench.service.asked import Heard
from bench.service.service import HANG_S, Service
from bench.service.session import Session
from models.serving import Recommendations


class NothingAnsweredError(Exception):
    """No request got a list."""


@dataclass(frozen=True)
class Tried:
    """What a scenario tried.

    Attributes:
        main: The trial that the record's latency is of.
        heard: What its client heard.
        trials: All of the chosen batching.
        searched: Those that led there.
        peak: The highest rate; None where it was not searched.
        loadgen: LoadGen's second opinion.
        refreshes: New catalogues taken in meanwhile.

    """

    main: Trial
    heard: Heard
    trials: list[Trial]
    searched: list[Trial] = field(default_factory=list)
    peak: Peak | None = None
    loadgen: SecondOpinion | None = None
    refreshes: list[Refresh] = field(default_factory=list)


class Served(Scenario):
    """Asks each case as a service; see `bench.service.service`."""

    def offered(self, asked: Offered, device: torch.device) -> Offered | None:
        """See `Scenario.offered`: a core is left to the client where nothing is said; one worker on a GPU.

        Workers on every core would make the client wait for a turn, and it would send too late.
        """
        spare = max(1, (os.cpu_count() or 1) - 1)
        return asked.model_copy(update={"workers": 1 if device.type == "cuda" else asked.workers or spare})

    @abstractmethod
    def tried(self, session: Session) -> Tried:
        """Ask a running service."""

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
        """See `Scenario.time`; a service has the machine to itself, so there are no turns."""
        timings: dict[str, Samples | Failure] = {}
        for subject in subjects:
            try:
                timings[subject.name] = self._serve(subject, plan, clock, progress, step)
            except caught as error:  # a failed case is a row, not the end of the run
                timings[subject.name] = failure(error)
        return timings

    def _serve(
        self, subject: Subject, plan: TimingPlan, clock: Clock, progress: Callable[[str], None], step: Step
    ) -> Samples:
        assert plan.offered is not None, "a service is asked for something"
        offered = plan.offered
        samples = Samples(watch=Watch(subject.device))
        with step(subject.name, "warming up", plan.timeout_s):
            samples.warmup = warm_up(subject, clock, most_s=plan.warmup_s)
        hang_s = min(HANG_S, plan.timeout_s or HANG_S)
        with (
            step(subject.name, "starting its workers", None),
            Service(
                subject, workers=offered.workers or 1, hang_s=hang_s, largest=max(offered.largest_batches)
            ) as service,
            samples.watch or Watch(subject.device),
        ):
            alone_s = max(samples.warmup.request_s, 1e-6)
            session = Session(service, offered, step, plan.recall, plan.keep, progress, alone_s)
            tried = self.tried(session)
            said, users = service.said, service.users
        heard, main = tried.heard, tried.main
        good = ~np.isnan(heard.received) & (heard.ok == 1)
        if not good.any():
            raise NothingAnsweredError(said or f"none of {main.sent} requests was answered")
        samples.timed = [Timed(seconds, None) for seconds in (heard.received - heard.scheduled)[good].tolist()]
        samples.turns = [0] * len(samples.timed)
        samples.users_per_second = main.achieved
        samples.answers = {
            place: ([users[place]], Recommendations(torch.tensor(items)[None], torch.tensor(scores)[None]))
            for place, (items, scores) in heard.lists.items()
        }
        samples.load = Load(
            workers=service.workers,
            pipelined=service.pipelined,
            trials=sorted(tried.trials, key=lambda trial: trial.rate or 0.0),
            searched=tried.searched,
            peak=tried.peak,
            loadgen=tried.loadgen,
            refreshes=tried.refreshes,
        )
        return samples
