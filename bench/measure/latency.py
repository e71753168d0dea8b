"""Latency of several recommenders side by side: interleaved turns, rotating users.

Noise on a machine drifts, so cases that are compared take turns, there and back (A B C C B A ...);
the first request of a turn is not counted, since the others' turns have cooled the caches (unless
requests take so long that they warm them themselves)::

    turn 0:  A (a) a a a   B (b) b   C (c) c c
    turn 1:  C (c) c c   B (b) b   A (a) a a a       () untimed
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from bench.measure.clock import Clock, Timed
from bench.measure.outcome import CaseTimeoutError, Failure, Step, deadline, failure, unwatched
from bench.measure.state import Watch, disturbed
from bench.measure.subject import Subject
from bench.measure.warmup import LONG_S, WarmUp, warm_up
from bench.records.conditions import Conditions, MachineState
from bench.records.cost import Latency
from bench.records.load import Load, Offered
from bench.records.model import Unavailable
from models.catalogue import History
from models.serving import Recommendations

MOST_REPEATED = 3
"""Turns of a case that are taken again at most."""

DISTURBED_SHARE = 0.25
"""Share of the turns that may be disturbed before a case counts as unstable."""

PERCENTILE_ROUNDS = {90: 50, 95: 100, 99: 500}
"""Rounds that a percentile needs: five samples beyond it."""


@dataclass(frozen=True)
class TimingPlan:
    """How long to measure.

    Attributes:
        case_s: Timed seconds that each case gets.
        min_rounds: Timed rounds of each case, however long they take.
        max_rounds: Timed rounds of each case at most.
        turns: How often each case has its turn.
        warmup_s: When warming up ends though times still fall.
        timeout_s: What warming up and all rounds of one case may take together; None for any time.
        first_turn: Number of the first turn. Cases that are timed later than others of their group begin behind
            these, since equal numbers mean that samples were taken side by side.
        offered: What is asked of a service, where cases are measured under load.
        recall: Returns what an interrupted run of the same case kept under a key, as JSON; None where it kept nothing.
        keep: Keeps a value under a key.

    """

    case_s: float = 5.0
    min_rounds: int = 10
    max_rounds: int = 2000
    turns: int = 10
    warmup_s: float = 2.0
    timeout_s: float | None = None
    first_turn: int = 0
    offered: Offered | None = None
    recall: Callable[[object], Any] = lambda _: None
    keep: Callable[[object, Any], None] = lambda _, __: None

    def rounds(self, request_s: float) -> int:
        """Choose the number of timed rounds for requests that take so long."""
        return int(np.clip(self.case_s / max(request_s, 1e-6), self.min_rounds, max(self.min_rounds, self.max_rounds)))


@dataclass
class Samples:
    """What was timed for one case.

    Attributes:
        timed: One entry a round.
        turns: Number of the turn of each round.
        answers: The users and lists of the last round of each distinct request.
        spent_s: Time taken by this case, untimed rounds included.
        warmup: How the case was warmed up.
        watch: What happened on the machine during the timed turns; None watches nothing.
        repeated: Turns that were taken again because something disturbed the machine.
        disturbed: What disturbed the turns that could not be repeated any more.
        load: How the case answered as a service; None where it was asked by one client that waits.
        users_per_second: Rate of that service; None where it follows from the times.

    """

    timed: list[Timed] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)
    answers: dict[int, tuple[Sequence[History], Recommendations]] = field(default_factory=dict, repr=False)
    spent_s: float = 0.0
    warmup: WarmUp | None = None
    watch: Watch | None = None
    repeated: int = 0
    disturbed: list[str] = field(default_factory=list)
    load: Load | None = None
    users_per_second: float | None = None


def interleave(
    subjects: Sequence[Subject],
    plan: TimingPlan,
    clock: Clock,
    progress: Callable[[str], None],
    *,
    step: Step = unwatched,
    caught: type[BaseException] = Exception,
) -> dict[str, Samples | Failure]:
    """Time all subjects in turns; one that fails drops out, and the others go on.

    Args:
        subjects: What is compared, all on the clock's device.
        plan: How long.
        clock: Clock of the device.
        progress: Told what goes on.
        step: Told whose turn it is.
        caught: What a recommender may raise without ending this call.

    Returns:
        For each subject's name its samples, or how it failed.

    """
    results: dict[str, Samples | Failure] = {}
    alive: list[tuple[Subject, Samples, int]] = []
    for subject in subjects:
        samples = Samples(watch=Watch(subject.device))
        try:
            with step(subject.name, "warming up", _left(samples, plan)), _charged(samples, plan):
                samples.warmup = warm_up(subject, clock, most_s=plan.warmup_s)
        except caught as error:  # a failed case is a row, not the end of the run
            results[subject.name] = failure(error)
        else:
            alive.append((subject, samples, plan.rounds(samples.warmup.request_s)))
    for turn in range(plan.turns):
        progress(f"timing {len(alive)} recommenders in turns: {turn + 1} of {plan.turns}")
        for entry in alive[:: -1 if turn % 2 else 1]:
            subject, samples, rounds = entry
            try:
                with step(subject.name, "answering timed requests", _left(samples, plan)), _charged(samples, plan):
                    rounds_now = share(rounds, turn, plan.turns)
                    take_turn(subject, samples, clock, plan.first_turn + turn, rounds_now)
            except caught as error:  # as above
                results[subject.name] = failure(error)
                alive.remove(entry)
    return results | {subject.name: samples for subject, samples, _ in alive}


def _left(samples: Samples, plan: TimingPlan) -> float | None:
    """Return the seconds that a case has left; None where it has any."""
    return None if plan.timeout_s is None else plan.timeout_s - samples.spent_s


class _charged:  # noqa: N801 - reads as a statement
    """Charges the body's time to a case, whose deadline holds over all its turns."""

    def __init__(self, samples: Samples, plan: TimingPlan) -> None:
        self._samples = samples
        left = _left(samples, plan)
        if left is not None and left <= 0:
            raise CaseTimeoutError(f"took longer than the {plan.timeout_s:g} s that --case-timeout allows")
        self._deadline = deadline(left, allowed_s=plan.timeout_s)

    def __enter__(self) -> None:
        self._start = time.perf_counter()
        self._deadline.__enter__()

    def __exit__(self, *error: object) -> bool | None:
        self._samples.spent_s += time.perf_counter() - self._start
        return self._deadline.__exit__(*error)  # type: ignore[arg-type]


def share(rounds: int, turn: int, turns: int) -> int:
    """Deal `rounds` over the turns as evenly as they go."""
    return rounds * (turn + 1) // turns - rounds * turn // turns


def take_turn(subject: Subject, samples: Samples, clock: Clock, turn: int, rounds: int) -> None:
    """Take one turn of a case: an untimed request unless requests are long, then the timed ones, users going on.

    A turn during which the machine was disturbed is taken again, `MOST_REPEATED` times a case at most. What
    disturbed it is read from the machine, never from the times: to drop what was slow would flatter.
    """
    for _ in range(MOST_REPEATED + 1):
        first = len(samples.timed)
        with samples.watch or nullcontext():
            _take_turn(subject, samples, clock, turn, rounds)
        seen = None if samples.watch is None else samples.watch.last
        why = "" if seen is None else disturbed(seen, spare_cores=(os.cpu_count() or 1) - torch.get_num_threads())
        if not why:
            return
        if samples.repeated == MOST_REPEATED:
            samples.disturbed.append(why)
            return
        samples.repeated += 1
        del samples.timed[first:], samples.turns[first:]


def _take_turn(subject: Subject, samples: Samples, clock: Clock, turn: int, rounds: int) -> None:
    if rounds == 0:
        return
    first = len(samples.timed)
    if not samples.timed or samples.timed[-1].wall_s < LONG_S:
        subject.request(first - 1)
    answers = []
    for number in range(first, first + rounds):
        answer, timed = clock.time(lambda number=number: subject.request(number))  # type: ignore[misc]
        samples.timed.append(timed)
        samples.turns.append(turn)
        answers.append(answer)
    for number, answer in enumerate(answers, first):  # after the turn: to check between rounds would cool the caches
        subject.check(number, answer)
        row = number % len(subject.batches)
        samples.answers[row] = (subject.batches[row], answer)


def summarise(samples: Samples, batch_size: int, clock: Clock) -> Latency:
    """Turn samples into the record's latency."""
    wall = np.array([timed.wall_s for timed in samples.timed])
    device = [timed.device_s for timed in samples.timed if timed.device_s is not None]
    tail = {f"p{q}_s": float(np.percentile(wall, q)) for q, least in PERCENTILE_ROUNDS.items() if len(wall) >= least}
    return Latency(
        rounds=len(wall),
        samples_s=wall.tolist(),
        turns=samples.turns,
        mean_s=float(wall.mean()),
        p50_s=float(np.median(wall)),
        p90_s=tail.get("p90_s"),
        p95_s=tail.get("p95_s"),
        p99_s=tail.get("p99_s"),
        device_s=float(np.median(device)) if device else clock.no_device_time(),
        host_overhead_s=_host_overhead(samples.timed, clock),
        warmup_rounds=samples.warmup and samples.warmup.rounds,
        stationary=samples.warmup and samples.warmup.stationary,
        users_per_second=samples.users_per_second or float(batch_size / wall.mean()),
    )


def _host_overhead(timed: Sequence[Timed], clock: Clock) -> float | Unavailable:
    """Return the median of what a request takes beyond the device's own time."""
    gaps = [request.wall_s - request.device_s for request in timed if request.device_s is not None]
    return float(np.median(gaps)) if gaps else clock.no_device_time()


def conditions(samples: Samples, before: MachineState, after: MachineState) -> Conditions:
    """Tell under what conditions a case was timed, and whether to distrust its numbers.

    They are to be distrusted where more than a quarter of the turns were disturbed though turns were
    repeated, or where times still fell when warming up ended.

    Args:
        samples: Samples of the case.
        before: The machine before the first turn.
        after: The machine after the last.

    """
    seen = None if samples.watch is None else samples.watch.total
    turns = len(set(samples.turns))
    reasons = []
    if len(samples.disturbed) > DISTURBED_SHARE * turns:
        reasons.append(f"{len(samples.disturbed)} of {turns} turns were disturbed: {samples.disturbed[0]}")
    if samples.warmup is not None and samples.warmup.stationary is False:
        reasons.append("times still fell when warming up ended")
    return Conditions(
        before=before,
        after=after,
        threads=torch.get_num_threads(),
        affinity=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        involuntary_switches=seen and seen.involuntary_switches,
        other_cores=seen and seen.other_cores,
        stolen=seen and seen.stolen,
        disturbed_turns=len(samples.disturbed),
        repeated_turns=samples.repeated,
        unstable="; ".join(reasons),
    )
