"""Measures groups of cases: weights, quality, latency in turns, then what one request costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch

from bench.agreement import Agreements
from bench.audit import TOLERANCE, Listed, audit_lists, evaluated_lists, timed_lists
from bench.building import Builder, labels_of
from bench.cases import Planned, Suite
from bench.data.dataset import Dataset, Split
from bench.isolated import own_memory
from bench.measure import energy, flops, latency, memory, phases
from bench.measure.clock import Clock
from bench.measure.latency import PERCENTILE_ROUNDS, Plan, Samples
from bench.measure.outcome import Failure, deadline, failure
from bench.measure.overhead import harness_overhead
from bench.measure.peaks import Peaks, bound_s, peaks, roofline
from bench.measure.repeats import KEPT, repeated_requests
from bench.measure.state import machine_state
from bench.measure.subject import Subject, fresh_batches, user_batches
from bench.measure.warmup import warm_up
from bench.options import serving_of
from bench.planning import Job
from bench.provenance import provenance
from bench.quality import evaluate
from bench.results.conditions import MachineState, Repeats
from bench.results.record import (
    Case,
    Index,
    ListAudit,
    Memory,
    Outcome,
    Phase,
    Provenance,
    Quality,
    Record,
    Unavailable,
    Weights,
    WeightsKind,
)
from bench.unfinished import Unfinished
from models.recommender import History, Recommender


class AnswersKeptError(Exception):
    """A recommender is not as fast as it seems: it remembers what it answered."""


@dataclass(frozen=True)
class Options:
    """What holds for all cases of a run.

    Attributes:
        job: What was asked for, for processes of their own.
        suite: The suite, changed by what the user named.
        device: Where everything runs.
        timeout_s: What one case may take at each of its steps; None for any time.
        quality_users: Users ranked for quality, a seeded sample; None for all.
        command: As the user typed it.

    """

    job: Job
    suite: Suite
    device: torch.device
    timeout_s: float | None
    quality_users: int | None
    command: str


@dataclass
class Ready:
    """A case that can be timed.

    Attributes:
        case: Which.
        subject: What answers its requests.
        repeats: Whether users who asked again were answered sooner, tried before anything else asked.
        weights: What the subject is made of.
        index: What indexing took.
        labels: Cautions.
        lists: The evaluated lists by user; None when quality was not measured.
        quality: Quality, or why there is none.

    """

    case: Case
    subject: Subject
    repeats: Repeats | Unavailable
    weights: Weights
    index: Index
    labels: list[str]
    lists: Listed | None = field(repr=False)
    quality: Quality | Unavailable


class Runner:
    """Measures the groups of one dataset.

    Args:
        options: What holds for all cases.
        dataset: What is recommended from.
        unfinished: Parts of this run that an interrupted one left.
        progress: Told what goes on.

    """

    def __init__(
        self, options: Options, dataset: Dataset, unfinished: Unfinished, progress: Callable[[str], None]
    ) -> None:
        self._options = options
        self._dataset = dataset
        self._unfinished = unfinished
        self._progress = progress
        self._clock = Clock(options.device, flush=options.suite.flush_cache)
        self._builder = Builder(
            dataset, device=options.device, train_minutes=options.suite.train_minutes, progress=progress
        )
        self._agreements = Agreements()

    def measure(self, group: list[Planned]) -> list[Record]:
        """Measure a group of cases side by side; a record a case, in order, failures included."""
        key = [planned.case.model_dump(mode="json") for planned in group]
        kept = self._unfinished.records(key)
        if kept is not None:
            return kept
        started = datetime.now(UTC).isoformat(timespec="seconds")
        ready: dict[str, Ready] = {}
        results: dict[str, Record] = {}
        for planned in group:
            name = planned.case.name
            try:
                ready[name] = self._get_ready(planned)
            except Exception as error:  # noqa: BLE001 - a failed case is a row, not the end of the run
                results[name] = self._failed(planned.case, failure(error), started)
        suite = self._options.suite
        plan = Plan(
            case_s=suite.case_seconds,
            min_rounds=max([PERCENTILE_ROUNDS.get(suite.percentile, 1), *(planned.min_rounds for planned in group)]),
            timeout_s=self._options.timeout_s,
        )
        before = machine_state(self._options.device)
        timed = latency.interleave([one.subject for one in ready.values()], plan, self._clock, self._progress)
        states = before, machine_state(self._options.device)
        for name, one in ready.items():
            found = timed[name]
            if isinstance(found, Samples):
                self._agreements.add(one.case, one.lists or timed_lists(found.answers))
        for name, one in ready.items():
            results[name] = self._record(one, timed[name], states, started)
        records = [results[planned.case.name] for planned in group]
        self._unfinished.keep_records(key, records)
        return records

    def _get_ready(self, planned: Planned) -> Ready:
        case = planned.case
        recommender, weights = self._builder.get(planned)
        recommender.serving = serving_of(case)
        self._progress(f"indexing for {case.variant}")
        with deadline(self._options.timeout_s):
            start = time.perf_counter()
            recommender.index(self._dataset.catalogue)
            self._clock.synchronise()
            index = Index(seconds=time.perf_counter() - start, bytes=recommender.index_bytes)
        histories, targets = self._dataset.queries(Split.TEST)
        batches = user_batches(histories, case.batch_size)
        fresh = fresh_batches(histories, batches, case.batch_size)
        subject = Subject(case.name, recommender, batches, case.k, self._options.device, len(self._dataset.catalogue))
        with deadline(self._options.timeout_s):
            warm_up(subject, self._clock)
            repeats = repeated_requests(subject, fresh, self._clock)
        if isinstance(repeats, Repeats) and repeats.high < KEPT:
            said = f"a user who asks again is answered in {repeats.ratio:.2f} of the time: answers seem to be kept"
            raise AnswersKeptError(said)
        lists, quality = self._quality(case, recommender, weights, histories, targets)
        labels = labels_of(recommender, case)
        return Ready(case, subject, repeats, weights, index, labels, lists, quality)

    def _quality(
        self, case: Case, recommender: Recommender, weights: Weights, histories: list[History], targets: list[int]
    ) -> tuple[Listed | None, Quality | Unavailable]:
        if case.weights is WeightsKind.UNTRAINED:
            return None, Unavailable(unavailable="the weights are random (--untrained)")
        rows = evaluate.sample(len(histories), self._options.quality_users)
        histories, targets = [histories[row] for row in rows], [targets[row] for row in rows]
        key = case.model_dump(mode="json", exclude={"batch_size"}) | {"weights": weights.sha256, "users": len(rows)}
        lists = self._unfinished.lists(key)
        if lists is None:
            parts: list[evaluate.Lists] = []
            batches = evaluate.rank_users(
                recommender,
                histories,
                targets,
                k=case.k,
                batch_size=evaluate.BATCH,
                device=self._options.device,
                items=len(self._dataset.catalogue),
            )
            for part in batches:
                parts.append(part)
                ranked = min(len(parts) * evaluate.BATCH, len(rows))
                self._progress(f"ranking for {case.variant}: {ranked} of {len(rows)} users")
            lists = evaluate.join(parts)
            self._unfinished.keep_lists(key, lists)
        quality = evaluate.summarise(lists, items=len(self._dataset.catalogue), split=Split.TEST.value, seen=case.seen)
        return evaluated_lists(lists), quality

    def _record(
        self, one: Ready, timed: Samples | Failure, states: tuple[MachineState, MachineState], started: str
    ) -> Record:
        if isinstance(timed, Failure):
            return self._failed(one.case, timed, started)
        audit = self._audit(one, timed)
        if not isinstance(audit, Unavailable) and audit.different:
            detail = f"{audit.different} of {audit.users} timed lists differ from the evaluated ones"
            return self._failed(one.case, Failure(Outcome.ERROR, detail), started)
        self._progress(f"counting operations and memory of {one.case.variant}")
        try:
            with deadline(self._options.timeout_s):
                overhead = harness_overhead(one.subject, self._clock)
                costs = self._costs(one)
            costs["memory"] = self._memory(one)
        except Exception as error:  # noqa: BLE001 - as above
            return self._failed(one.case, failure(error), started)
        return Record(
            suite=self._options.job.suite,
            case=one.case,
            outcome=Outcome.OK,
            labels=one.labels,
            weights=one.weights,
            latency=latency.summarise(timed, one.case.batch_size, self._clock),
            index=one.index,
            quality=one.quality,
            audit=audit,
            overhead=overhead,
            repeats=one.repeats,
            conditions=latency.conditions(timed, *states),
            agreement=self._agreements.of(one.case),
            provenance=self._provenance(started),
            **costs,
        )

    @staticmethod
    def _audit(one: Ready, timed: Samples) -> ListAudit | Unavailable:
        if one.lists is None:
            return Unavailable(unavailable="no lists were evaluated that the timed ones could be compared with")
        return audit_lists(one.lists, timed_lists(timed.answers), tolerance=TOLERANCE[one.case.dtype])

    def _costs(self, one: Ready) -> dict[str, Any]:
        """Measure what one request costs besides time, outside of the timed rounds."""
        subject, device = one.subject, self._options.device
        captured = subject.recommender.compiles
        seconds = phases.phase_seconds(lambda: subject.request(0), device=device, captured=captured)
        counted = flops.count_request(subject)
        best = peaks(device, one.case.dtype, one.case.threads)
        users = subject.batch_size
        used = energy.request_energy(lambda: subject.request(0), users=users, device=device)
        return {
            "phases": [_phase(name, value, counted, users, best) for name, value in seconds.items()],
            "flops": flops.opinions(subject, counted),
            "roofline": roofline(
                best,
                flops=counted.total,
                moved_bytes=counted.traffic.bytes,
                touched_bytes=counted.traffic.touched_bytes,
            ),
            "energy": None if isinstance(used, Unavailable) else used,
            "energy_j_per_1000_users": used if isinstance(used, Unavailable) else used.joules_per_1000_users,
        }

    def _memory(self, one: Ready) -> Memory | Unavailable:
        """Measure the case in a process of its own, which has a time limit of its own; here, where there is none."""
        subject, device = one.subject, self._options.device
        resident = one.weights.parameter_bytes + one.index.bytes
        found = own_memory(self._options.job, one.case.name, timeout_s=self._options.timeout_s)
        if isinstance(found, Unavailable):
            captured = subject.recommender.compiles
            here = memory.request_memory(
                lambda: subject.request(0), resident=resident, device=device, captured=captured
            )
            if isinstance(here, Unavailable):
                return here
            found = here.model_copy(update={"process_bytes": found})
        held = memory.allocated(lambda: subject.request(0), device=device)
        index = subject.recommender.index_parts or {"index": one.index.bytes}
        with torch.inference_mode():
            cache = min(held.peak, subject.recommender.cache_bytes(subject.inputs(0)))
        parts = {"weights": one.weights.parameter_bytes, **index, "K/V cache": cache, "activations": held.peak - cache}
        return found.model_copy(
            update={"parts": {name: size for name, size in parts.items() if size}, "phases": held.phases}
        )

    def _failed(self, case: Case, why: Failure, started: str) -> Record:
        return Record(
            suite=self._options.job.suite,
            case=case,
            outcome=why.outcome,
            detail=why.detail,
            provenance=self._provenance(started),
        )

    def _provenance(self, started: str) -> Provenance:
        return provenance(self._options.command, self._dataset, self._options.device, started)


def _phase(name: str, seconds: float, counted: flops.Counted, users: int, best: Peaks) -> Phase:
    """Put what was counted of a phase beside its time."""
    if name not in counted.phases:
        return Phase(name=name, seconds=seconds)
    traffic = counted.phase_traffic[name]
    return Phase(
        name=name,
        seconds=seconds,
        flops_per_user=counted.phases[name] / users,
        bytes_per_user=traffic.bytes / users,
        bound_s=bound_s(best, counted.phases[name], traffic.touched_bytes),
    )
