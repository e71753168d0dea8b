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
from bench.building import Builder
from bench.cases import Planned, Suite
from bench.data.dataset import Dataset, Split
from bench.measure import energy, flops, latency, machine, memory, phases
from bench.measure.clock import Clock
from bench.measure.latency import Plan, Samples
from bench.measure.outcome import Failure, deadline, failure
from bench.measure.subject import Subject, user_batches
from bench.options import serving_of
from bench.quality import evaluate
from bench.results.record import (
    Case,
    Index,
    ListAudit,
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
from models.recommender import History, Recommender, Scores

RENORMALISED = "renormalised scores rank otherwise than scores over the whole vocabulary"


@dataclass(frozen=True)
class Options:
    """What holds for all cases of a run.

    Attributes:
        suite_name: Name of the suite.
        suite: The suite, changed by what the user named.
        device: Where everything runs.
        timeout_s: What one case may take at each of its steps; None for any time.
        quality_users: Users ranked for quality, a seeded sample; None for all.
        command: As the user typed it.

    """

    suite_name: str
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
        weights: What the subject is made of.
        index: What indexing took.
        labels: Cautions.
        lists: The evaluated lists by user; None when quality was not measured.
        quality: Quality, or why there is none.

    """

    case: Case
    subject: Subject
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
        self._clock = Clock(options.device)
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
        plan = Plan(
            case_s=self._options.suite.case_seconds,
            min_rounds=max(planned.min_rounds for planned in group),
            timeout_s=self._options.timeout_s,
        )
        timed = latency.interleave([one.subject for one in ready.values()], plan, self._clock, self._progress)
        for name, one in ready.items():
            found = timed[name]
            if isinstance(found, Samples):
                self._agreements.add(one.case, one.lists or timed_lists(found.answers))
        for name, one in ready.items():
            results[name] = self._record(one, timed[name], started)
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
        subject = Subject(case.name, recommender, batches, case.k, self._options.device)
        lists, quality = self._quality(case, recommender, weights, histories, targets)
        labels = [*recommender.labels, *_labels(case)]
        return Ready(case, subject, weights, index, labels, lists, quality)

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
                recommender, histories, targets, k=case.k, batch_size=evaluate.BATCH, device=self._options.device
            )
            for part in batches:
                parts.append(part)
                ranked = min(len(parts) * evaluate.BATCH, len(rows))
                self._progress(f"ranking for {case.variant}: {ranked} of {len(rows)} users")
            lists = evaluate.join(parts)
            self._unfinished.keep_lists(key, lists)
        quality = evaluate.summarise(lists, items=len(self._dataset.catalogue), split=Split.TEST.value, seen=case.seen)
        return evaluated_lists(lists), quality

    def _record(self, one: Ready, timed: Samples | Failure, started: str) -> Record:
        if isinstance(timed, Failure):
            return self._failed(one.case, timed, started)
        audit = self._audit(one, timed)
        if not isinstance(audit, Unavailable) and audit.different:
            detail = f"{audit.different} of {audit.users} timed lists differ from the evaluated ones"
            return self._failed(one.case, Failure(Outcome.ERROR, detail), started)
        self._progress(f"counting operations and memory of {one.case.variant}")
        try:
            with deadline(self._options.timeout_s):
                costs = self._costs(one)
        except Exception as error:  # noqa: BLE001 - as above
            return self._failed(one.case, failure(error), started)
        return Record(
            suite=self._options.suite_name,
            case=one.case,
            outcome=Outcome.OK,
            labels=one.labels,
            weights=one.weights,
            latency=latency.summarise(timed, one.case.batch_size, self._clock),
            index=one.index,
            quality=one.quality,
            audit=audit,
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
        seconds = phases.phase_seconds(lambda: subject.request(0), device=device)
        counted, by_phase = flops.request_flops(subject)
        resident = one.weights.parameter_bytes + one.index.bytes
        used = energy.request_energy(lambda: subject.request(0), users=subject.batch_size, device=device)
        return {
            "phases": [
                Phase(name=name, seconds=value, flops_per_user=by_phase.get(name)) for name, value in seconds.items()
            ],
            "flops": counted,
            "memory": memory.request_memory(
                lambda: subject.request(0),
                resident=resident,
                device=device,
                captured=subject.recommender.compiles,
            ),
            "energy": None if isinstance(used, Unavailable) else used,
            "energy_j_per_1000_users": used if isinstance(used, Unavailable) else used.joules_per_1000_users,
        }

    def _failed(self, case: Case, why: Failure, started: str) -> Record:
        return Record(
            suite=self._options.suite_name,
            case=case,
            outcome=why.outcome,
            detail=why.detail,
            provenance=self._provenance(started),
        )

    def _provenance(self, started: str) -> Provenance:
        commit, dirty = machine.commit()
        source = self._dataset.source
        facts = {"checksum": source.checksum, "synthetic": source.synthetic, "users": self._dataset.users}
        facts |= {"items": len(self._dataset.catalogue), "interactions": len(self._dataset.flat)}
        return Provenance(
            command=self._options.command,
            commit=commit,
            dirty=dirty,
            started=started,
            machine=machine.machine(self._options.device) | {"load average at the end": machine.load_average()},
            software=machine.software(),
            dataset=source.options | facts,
            dataset_warnings=list(source.warnings),
        )


def _labels(case: Case) -> list[str]:
    """Return the cautions that the way of serving gives cause for."""
    return [RENORMALISED] if case.scores == Scores.RENORMALISED else []
