"""Measures the cases of one checkout, told line by line what to do: see `bench.worker`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.cli.options import serving_of
from bench.data.dataset import Dataset
from bench.measure import machine
from bench.measure.clock import Clock
from bench.measure.latency import Samples, TimingPlan, take_turn
from bench.measure.outcome import failure
from bench.measure.state import Watch
from bench.measure.subject import Subject
from bench.measure.warmup import warm_up
from bench.records.case import Case, WeightsKind
from bench.records.cost import Memory
from bench.records.gate import PROTOCOL, Facts, RankedUser
from bench.records.model import Unavailable
from bench.records.quality import Quality
from bench.running.building import Builder
from bench.running.ranking import quality_of, ranked, subject_of, users_to_rank
from bench.service.arrivals import poisson
from bench.service.service import Service
from bench.statistics.objectives import requests_needed
from bench.suites.cases import Planned
from bench.suites.planning import Job, lay_out
from bench.training import checkpoints, recipes
from models import registry
from models.errors import UserError
from models.padding import PADDING

RANKED_USERS = 64


class Worker:
    """The state between two lines: a planned job, and at most one open case."""

    def __init__(self) -> None:
        self._planned: dict[str, tuple[Planned, Dataset]] = {}
        self._builders: dict[str, Builder] = {}
        self._device = torch.device("cpu")
        self._clock = Clock(self._device)
        self._plan = TimingPlan()
        self._open: tuple[Planned, Subject, Samples] | None = None
        self._service: Service | None = None
        self._weights: Any = None

    def answer(self, line: str) -> dict[str, Any]:
        """Do what a line says."""
        asked = json.loads(line)
        does: dict[str, Callable[..., Any]] = {
            "plan": self.plan, "open": self.open, "warm": self.warm, "turn": self.turn,
            "facts": self.facts, "close": self.close,
        }  # fmt: skip
        what = does[asked.pop("do")]
        try:
            return {"ok": what(**asked)}
        except UserError as error:
            return {"refused": str(error)}
        except Exception as error:  # noqa: BLE001 - a failed case is a row, not the end of the worker
            why = failure(error)
            return {"failed": f"{why.outcome}: {why.detail}"}

    def plan(self, job: dict[str, Any]) -> dict[str, Any]:
        """Load the data and list the cases of a job."""
        layout = lay_out(Job.model_validate(job))
        if all(
            planned_case.case.load is None
            for piece in layout.pieces
            for group in piece.groups
            for planned_case in group
        ):
            _pin(layout.threads)
        self._device = layout.device
        self._clock = Clock(layout.device)
        self._plan = TimingPlan(case_s=layout.suite.case_seconds)
        for piece in layout.pieces:
            builder = Builder(piece.dataset, device=layout.device, train_minutes=None, progress=lambda _: None)
            for planned in (planned_case for group in piece.groups for planned_case in group):
                self._planned[planned.case.name] = planned, piece.dataset
                self._builders[planned.case.name] = builder
        return {
            "protocol": PROTOCOL,
            "cases": [
                [planned_case.case.model_dump(mode="json"), planned_case.margin]
                for planned_case, _ in self._planned.values()
            ],
            "code": _origins([planned_case.case.recommender for planned_case, _ in self._planned.values()]),
            "machine": machine.machine(layout.device) | {"threads": layout.threads},
            "software": machine.software(),
            "warnings": [
                f"{piece.dataset.name}: {said}" for piece in layout.pieces for said in piece.dataset.source.warnings
            ],
        }

    def open(self, case: str) -> None:
        """Build and index a case."""
        planned, dataset = self._planned[case]
        _refuse_to_train(planned, dataset)
        for builder in self._builders.values():
            builder.keep_only(planned)
        recommender, self._weights = self._builders[case].get(planned)
        recommender.serving = serving_of(planned.case)
        recommender.index(dataset.catalogue)
        subject = subject_of(recommender, planned.case, dataset, self._device)
        self._open = planned, subject, Samples(watch=Watch(self._device))

    def warm(self) -> dict[str, Any]:
        """Warm up, and say how many rounds the case should get in one process."""
        planned, subject, samples = self._opened()
        samples.warmup = warm_up(subject, self._clock)
        plan = TimingPlan(case_s=self._plan.case_s, min_rounds=planned.min_rounds)
        request_s = samples.warmup.request_s
        if (load := planned.case.load) is not None:
            largest = load.largest_batches[-1]
            self._service = Service(subject, workers=load.workers or 1, largest=largest).__enter__()
            asked = requests_needed(load.slo)
            served = {"of_a_turn": asked} | ({"turn_s": asked / load.rate} if load.rate else {})
            return {"rounds": asked, "request_s": request_s, "stationary": True} | served
        return {"rounds": plan.rounds(request_s), "request_s": request_s, "stationary": samples.warmup.stationary}

    def turn(self, number: int, rounds: int) -> list[float]:
        """Time some rounds, or a service's trial of so many requests; seconds of each."""
        planned, subject, samples = self._opened()
        if self._service is not None:
            return asked_openly(self._service, planned.case, number, rounds)
        before = len(samples.timed)
        take_turn(subject, samples, self._clock, number, rounds)
        return [timed.wall_s for timed in samples.timed[before:]]

    def facts(self, quality_users: int) -> dict[str, Any]:
        """Count and rank what does not depend on the clock."""
        from bench.measure.flops import count_request
        from bench.measure.memory import allocated

        planned, subject, _ = self._opened()
        counted = count_request(subject)
        facts = Facts(
            flops_per_user=counted.total / subject.batch_size,
            operators=counted.operators,
            parameters=self._weights.parameters,
            peak_bytes=allocated(lambda: subject.request(0), device=subject.device).peak,
            lists=_lists(subject),
            quality=self._quality(planned, subject, quality_users),
        )
        return facts.model_dump(mode="json")

    def memory(self) -> Memory | Unavailable:
        """Measure what a request takes, and what this process holds then."""
        from bench.measure.memory import request_memory

        _, subject, _ = self._opened()
        subject.request(0)
        return request_memory(subject, weight_bytes=self._weights.parameter_bytes, alone=True)

    def close(self) -> dict[str, Any]:
        """Let go of the open case, and say what the machine did while it was timed."""
        if self._service is not None:
            self._service.__exit__()
            self._service = None
        seen = self._open[2].watch.total if self._open is not None and self._open[2].watch is not None else None
        self._open = None
        if seen is None:
            return {}
        return {"involuntary_switches": seen.involuntary_switches, "other_cores": seen.other_cores}

    def _opened(self) -> tuple[Planned, Subject, Samples]:
        assert self._open is not None, "open a case first"
        return self._open

    def _quality(self, planned: Planned, subject: Subject, users: int) -> Quality | None:
        if planned.case.weights is not WeightsKind.TRAINED:
            return None
        from bench.quality import evaluate

        _, dataset = self._planned[planned.case.name]
        histories, targets = users_to_rank(dataset, users)
        lists = evaluate.join(list(ranked(subject, histories, targets)))
        return quality_of(lists, histories, targets, case=planned.case, dataset=dataset)


def asked_openly(service: Service, case: Case, seed: int, requests: int) -> list[float]:
    """Let requests arrive at a case's rate, and return the latency of each from its scheduled arrival.

    Args:
        service: Answers.
        case: Says the rate.
        seed: Seed of the arrivals; what is compared gets the same ones.
        requests: How many.

    Raises:
        UserError: The case names no rate, requests failed, or more arrived than could be answered.

    """
    assert case.load is not None, "a service is asked for something"
    load, rate = case.load, case.load.rate
    if rate is None:
        raise UserError("--scenario open: name the rate at which both sides are asked, --rate N")
    arrivals = poisson(rate, count=requests, seed=seed)
    window_s, largest = load.windows_ms[0] / 1e3, load.largest_batches[-1]
    heard = service.ask(arrivals, load.slo, window_s=window_s, largest=largest)
    if heard.saturated or np.isnan(heard.received).any():
        raise UserError(f"more than {rate:g} requests a second cannot be answered: give a lower --rate")
    if not heard.ok.all():
        raise UserError(f"{int((heard.ok == 0).sum())} of {requests} requests failed: {service.said}")
    latency: list[float] = (heard.received - heard.scheduled).tolist()
    return latency


def _origins(recommenders: list[str]) -> dict[str, str]:
    """Return the files that the harness and the recommenders come from, by module."""
    names = ["bench", "models", *(registry.load(name).__module__ for name in recommenders)]
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in dict.fromkeys(names)}
    return {name: str(Path(file).resolve()) for name, file in files.items() if file}


def _pin(threads: int) -> None:
    """Stay on the last cores, as many as there are threads, where the system allows it and others are left.

    All workers then compare on the same cores: of a shared machine one core may be slower than another.
    """
    if hasattr(os, "sched_setaffinity"):
        usable = sorted(os.sched_getaffinity(0))
        if threads < len(usable):
            os.sched_setaffinity(0, usable[-threads:])


def _refuse_to_train(planned: Planned, dataset: Dataset) -> None:
    """Refuse a case whose weights would have to be trained: two sides that train differ by chance."""
    case = planned.case
    if case.weights is not WeightsKind.TRAINED or planned.checkpoint is not None:
        return
    settings, _ = recipes.resolve(case.recommender, case.dataset, dict(case.settings))
    folder = checkpoints.folder_for(case.recommender, settings, dataset)
    if not (folder / checkpoints.CARD).exists():
        raise UserError(
            f"{case.recommender} has no trained weights for {case.dataset}: train it, name --checkpoint FOLDER, "
            "or measure random weights with --untrained"
        )


def _lists(subject: Subject) -> list[RankedUser]:
    """Ask for the lists of the first users, batch by batch."""
    lists: dict[int, RankedUser] = {}
    for number, users in enumerate(subject.batches):
        recommended = subject.request(number)
        subject.check(number, recommended)
        for history, items, scores in zip(users, recommended.items, recommended.scores, strict=True):
            filled = items != PADDING
            ranked = RankedUser(user=history.user, items=items[filled].tolist(), scores=scores[filled].tolist())
            lists.setdefault(history.user, ranked)
        if len(lists) >= RANKED_USERS:
            break
    return list(lists.values())
