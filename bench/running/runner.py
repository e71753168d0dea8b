"""Measures groups of cases in this process: weights, quality, latency in turns, then what one request costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import torch

from bench.cli.options import serving_of
from bench.data.dataset import Dataset, Split
from bench.measure import latency
from bench.measure.clock import Clock
from bench.measure.instrument import Request
from bench.measure.instruments import measure_all
from bench.measure.latency import PERCENTILE_ROUNDS, Samples, TimingPlan
from bench.measure.outcome import Failure, Step, deadline, failure, unwatched
from bench.measure.repeats import KEPT, repeated_requests
from bench.measure.state import machine_state
from bench.measure.subject import Subject, fresh_batches
from bench.measure.warmup import warm_up
from bench.quality import evaluate
from bench.records.case import Case, Outcome, WeightsKind
from bench.records.conditions import MachineState, Repeats
from bench.records.cost import Index
from bench.records.model import Unavailable
from bench.records.quality import ListAudit, Quality
from bench.records.record import Provenance, Record, Weights
from bench.running.agreement import Agreements
from bench.running.audit import TOLERANCE, Listed, audit_lists, evaluated_lists, timed_lists, too_many_differ
from bench.running.building import Builder, labels_of
from bench.running.provenance import provenance
from bench.running.ranked import operator_by_operator, ranked_beside_exact, requested_lists
from bench.running.ranking import quality_of, ranked, subject_of, users_to_rank
from bench.running.unfinished import Unfinished
from bench.scenarios.scenarios import SCENARIOS
from bench.suites.cases import Planned
from bench.suites.definitions import Suite
from bench.suites.planning import Job
from models.catalogue import History


class AnswersKeptError(Exception):
    """A recommender is not as fast as it seems: it remembers what it answered."""


@dataclass(frozen=True)
class RunOptions:
    """What holds for all cases of a run.

    Attributes:
        job: What was asked for, for processes of their own.
        suite: The suite, changed by what the user named.
        device: Where everything runs.
        timeout_s: What one case may take at each of its steps; None for any time.
        memory_bytes: What the process that measures may allocate; None leaves that to the system.
        quality_users: Users ranked for quality, a seeded sample; None for all.
        command: As the user typed it.

    """

    job: Job
    suite: Suite
    device: torch.device
    timeout_s: float | None
    memory_bytes: int | None
    quality_users: int | None
    command: str


@dataclass
class Ready:
    """A case whose requests are answered.

    Attributes:
        planned: Which.
        subject: What answers its requests, warm.
        weights: What the subject is made of.
        index: What indexing took.
        labels: Cautions.
        repeats: Whether users who asked again were answered sooner, tried before anything else asked; None where the
            case was timed before.
        lists: The evaluated lists by user; None when quality was not measured.
        quality: Quality, or why there is none; None where the case was timed before.

    """

    planned: Planned
    subject: Subject
    weights: Weights
    index: Index
    labels: list[str]
    repeats: Repeats | Unavailable | None = None
    lists: Listed | None = field(default=None, repr=False)
    quality: Quality | Unavailable | None = None

    @property
    def case(self) -> Case:
        """The case."""
        return self.planned.case


def failed(options: RunOptions, dataset: Dataset, case: Case, why: Failure, *, started: str | None = None) -> Record:
    """Return the record of a case that failed, such as one that ended the process in which it was measured.

    Args:
        options: What holds for all cases.
        dataset: What it was to recommend from.
        case: Which.
        why: How it failed.
        started: When measuring it began, ISO 8601; None takes the present.

    """
    return Record(
        suite=options.job.suite,
        case=case,
        outcome=why.outcome,
        detail=why.detail,
        provenance=provenance(options.command, dataset, options.device, started or _now()),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Runner:
    """Measures the groups of one dataset.

    Args:
        options: What holds for all cases.
        dataset: What is recommended from.
        unfinished: Parts of this run that an interrupted one left.
        progress: Told what goes on.
        step: Told before the code of a recommender runs.
        caught: What a recommender may raise without ending the run: every exception in a process that is there to
            measure, those of errors alone where Ctrl-C is the user's.

    """

    def __init__(
        self,
        options: RunOptions,
        dataset: Dataset,
        unfinished: Unfinished,
        progress: Callable[[str], None],
        *,
        step: Step = unwatched,
        caught: type[BaseException] = Exception,
    ) -> None:
        self._options = options
        self._dataset = dataset
        self._unfinished = unfinished
        self._progress = progress
        self._step = step
        self._caught = caught
        self._clock = Clock(options.device, flush=options.suite.flush_cache)
        self._builder = Builder(
            dataset, device=options.device, train_minutes=options.suite.train_minutes, progress=progress
        )
        self._agreements = Agreements(unfinished)
        self._ready: dict[str, Ready] = {}

    def measure(self, group: Sequence[Planned], *, first_turn: int = 0) -> Iterator[Record]:
        """Measure cases side by side, and yield each one's record when it is whole; those that fail come first.

        What a process of its own tells of memory is not in them.

        Args:
            group: Cases of one group. Those of which `Unfinished.timed` knows the timing are not timed again.
            first_turn: Number of the first turn in which the others are timed, see `latency.TimingPlan`.

        """
        started = _now()
        timed = {
            planned_case.case.name: record
            for planned_case in group
            if (record := self._unfinished.timed(planned_case.case)) is not None
        }
        for planned, record in self._timed(
            [planned_case for planned_case in group if planned_case.case.name not in timed], started, first_turn
        ):
            if record.outcome is Outcome.OK:
                timed[planned.case.name] = record
            else:
                yield record
        for planned in group:
            if planned.case.name in timed:
                yield self._whole(planned, timed[planned.case.name], started)

    def _timed(self, group: list[Planned], started: str, first_turn: int) -> Iterator[tuple[Planned, Record]]:
        """Get cases ready and time them in turns; yield each one's record so far, and keep it."""
        ready: list[Ready] = []
        for planned in group:
            try:
                ready.append(self._get_ready(planned))
            except self._caught as error:  # a failed case is a row, not the end of the run
                yield planned, self._failed(planned.case, failure(error), started)
        if not ready:
            return
        suite = self._options.suite
        plan = TimingPlan(
            case_s=suite.case_seconds,
            min_rounds=max([PERCENTILE_ROUNDS.get(suite.percentile, 1), *(planned.min_rounds for planned in group)]),
            timeout_s=self._options.timeout_s,
            first_turn=first_turn,
            offered=group[0].case.load,
            recall=self._unfinished.value,
            keep=self._unfinished.keep_value,
        )
        before = machine_state(self._options.device)
        subjects = [entry.subject for entry in ready]
        scenario = SCENARIOS[suite.scenario]
        timings = scenario.time(subjects, plan, self._clock, self._progress, step=self._step, caught=self._caught)
        states = before, machine_state(self._options.device)
        for opened in ready:
            samples = timings[opened.case.name]
            if isinstance(samples, Samples):
                self._agreements.add(opened.case, opened.lists or timed_lists(samples.answers))
        records = [self._record(entry, timings[entry.case.name], states, started) for entry in ready]
        for opened, record in zip(ready, records, strict=True):
            if record.outcome is Outcome.OK:
                self._unfinished.keep_timed(record)
                self._ready[opened.case.name] = opened
        yield from zip((entry.planned for entry in ready), records, strict=True)

    def _whole(self, planned: Planned, timed: Record, started: str) -> Record:
        """Add to the timing of a case what else a request costs; of a service all was told."""
        if timed.load is not None:
            self._ready.pop(planned.case.name, None)
            return timed
        try:
            opened = self._ready.pop(planned.case.name, None) or self._open(planned)
            fields = self._beside_exact(opened)
            self._progress(f"counting operations and memory of {opened.case.variant}")
            limit_s = self._options.timeout_s
            with self._step(opened.case.name, "being counted", limit_s), deadline(limit_s):
                return timed.model_copy(update=fields | self._costs(opened))
        except self._caught as error:  # as above
            return self._failed(planned.case, failure(error), started)

    def _open(self, planned: Planned) -> Ready:
        """Build, index and warm up."""
        case, limit_s = planned.case, self._options.timeout_s
        with self._step(case.name, "being trained", None):
            self._builder.train(planned)
        with self._step(case.name, "being built", limit_s), deadline(limit_s):
            recommender, weights = self._builder.get(planned)
        recommender.serving = serving_of(case)
        self._progress(f"indexing for {case.variant}")
        with self._step(case.name, "being indexed", limit_s), deadline(limit_s):
            start = time.perf_counter()
            recommender.index(self._dataset.catalogue)
            self._clock.synchronise()
            index = Index(seconds=time.perf_counter() - start, bytes=recommender.index_bytes)
        subject = subject_of(recommender, case, self._dataset, self._options.device)
        with self._step(case.name, "warming up", limit_s), deadline(limit_s):
            warm_up(subject, self._clock)
        return Ready(planned, subject, weights, index, labels_of(recommender, case))

    def _get_ready(self, planned: Planned) -> Ready:
        """Build, index and warm up, see whether answers are kept, and rank users for quality."""
        opened, limit_s = self._open(planned), self._options.timeout_s
        histories, _ = self._dataset.queries(Split.TEST)
        fresh = fresh_batches(histories, opened.subject.batches, opened.case.batch_size)
        with self._step(opened.case.name, "answering the same users again", limit_s), deadline(limit_s):
            repeats = repeated_requests(opened.subject, fresh, self._clock)
        if isinstance(repeats, Repeats) and repeats.high < KEPT:
            said = f"a user who asks again is answered in {repeats.ratio:.2f} of the time: answers seem to be kept"
            raise AnswersKeptError(said)
        lists, quality = self._quality(opened)
        return replace(opened, repeats=repeats, lists=lists, quality=quality)

    def _quality(self, opened: Ready) -> tuple[Listed | None, Quality | Unavailable]:
        case = opened.case
        if case.weights is WeightsKind.UNTRAINED:
            return None, Unavailable(unavailable="the weights are random (--untrained)")
        histories, targets = users_to_rank(self._dataset, self._options.quality_users)
        key = case.model_dump(mode="json", exclude={"batch_size", "compiled"})
        key |= {"weights": opened.weights.sha256, "users": len(histories)}
        lists = self._unfinished.lists(key)
        if lists is None:
            lists = self._ranked(opened, histories, targets)
            self._unfinished.keep_lists(key, lists)
        return evaluated_lists(lists), quality_of(lists, histories, targets, case=case, dataset=self._dataset)

    def _beside_exact(self, opened: Ready) -> dict[str, Any]:
        """Hold what a ranker finds against scoring every item; nothing where that is what the case does."""
        case = opened.case
        if case.ranker is None:
            return {}
        self._progress(f"holding {case.variant} against scoring every item")
        planned = replace(opened.planned, case=case.model_copy(update={"ranker": None, "ranking": None}))
        exact = replace(opened, planned=planned, subject=operator_by_operator(opened.subject, ranker=None))
        (lists, quality), (others, other_quality) = self._quality(opened), self._quality(exact)
        limit_s = self._options.timeout_s
        with self._step(case.name, "being ranked exactly", limit_s), deadline(limit_s):
            if lists is None or others is None:
                lists, others = (requested_lists(who) for who in (operator_by_operator(opened.subject), exact.subject))
            ranked, agreement = ranked_beside_exact(
                opened.subject, lists, others, dtype=case.dtype, quality=(quality, other_quality)
            )
        return {"ranked": ranked, "agreement": agreement}

    def _ranked(self, opened: Ready, histories: Sequence[History], targets: list[int]) -> evaluate.Lists:
        """Rank users batch by batch; each batch is a step, so that one that hangs is found.

        What runs as one program is ranked operator by operator, as no other sizes than the timed ones need a program;
        the audit holds the timed lists against these.
        """
        batches = ranked(operator_by_operator(opened.subject), histories, targets)
        parts: list[evaluate.Lists] = []
        while True:
            limit_s = self._options.timeout_s
            with self._step(opened.case.name, "ranking users", limit_s), deadline(limit_s):
                part = next(batches, None)
            if part is None:
                return evaluate.join(parts)
            parts.append(part)
            done = min(len(parts) * evaluate.BATCH, len(histories))
            self._progress(f"ranking for {opened.case.variant}: {done} of {len(histories)} users")

    def _record(
        self, opened: Ready, timed: Samples | Failure, states: tuple[MachineState, MachineState], started: str
    ) -> Record:
        """Return what is known of a case once it is timed."""
        if isinstance(timed, Failure):
            return self._failed(opened.case, timed, started)
        audit = self._audit(opened, timed)
        if not isinstance(audit, Unavailable) and too_many_differ(audit, opened.case.dtype):
            detail = f"{audit.different} of {audit.users} timed lists differ from the evaluated ones"
            return self._failed(opened.case, Failure(Outcome.ERROR, detail), started)
        return Record(
            suite=self._options.job.suite,
            case=opened.case,
            claims=opened.planned.claims,
            outcome=Outcome.OK,
            labels=opened.labels,
            weights=opened.weights,
            latency=latency.summarise(timed, opened.case.batch_size, self._clock),
            load=timed.load,
            index=opened.index,
            quality=opened.quality,
            audit=audit,
            repeats=opened.repeats,
            conditions=latency.conditions(timed, *states),
            agreement=self._agreements.of(opened.case),
            provenance=self._provenance(started),
        )

    @staticmethod
    def _audit(opened: Ready, timed: Samples) -> ListAudit | Unavailable:
        if opened.lists is None:
            return Unavailable(unavailable="no lists were evaluated that the timed ones could be compared with")
        return audit_lists(opened.lists, timed_lists(timed.answers), tolerance=TOLERANCE[opened.case.dtype])

    def _costs(self, opened: Ready) -> dict[str, Any]:
        """Measure what one request costs besides time, outside of the timed rounds."""
        case = opened.case
        return measure_all(
            Request(opened.subject, self._clock, case.dtype, case.threads, opened.weights.parameter_bytes)
        )

    def _failed(self, case: Case, why: Failure, started: str) -> Record:
        return failed(self._options, self._dataset, case, why, started=started)

    def _provenance(self, started: str) -> Provenance:
        return provenance(self._options.command, self._dataset, self._options.device, started)
