"""Measures pairs of processes: both sides alive together, one of them computing at a time.

A pair is a process of base, one of head, and base's once more, which shows what noise is. For each
case they take turns in an order in which nobody follows itself::

    turn 0: base head again | turn 1: head again base | turn 2: again base head | ...

Whoever is not asked waits in a read. A worker that dies or hangs loses the case it was at, which is
measured once more with fresh workers; a second time fails it on that side.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.gate.process import CaseFailedError, Worker, WorkerDiedError
from bench.gate.sides import Side, check_different, check_origins, code_of
from bench.records.case import Case
from bench.records.gate import PROTOCOL, Facts, Process, SideRole
from bench.suites.planning import Job
from models.errors import UserError

ORDERS = {
    2: ((0, 1), (1, 0)),
    3: ((0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1), (2, 1, 0), (1, 0, 2)),
}
"""By number of roles, the orders in which they take turns."""

TURN_S = 0.005
"""How long a turn lasts, unless one request takes longer: what disturbs a shared machine lasts tens of milliseconds,
so that in shorter turns both sides see the same of it."""

TURNS = (12, 3000)
"""Turns of a case in one process, at least and at most."""

SERVED_S = 5.0
"""How long a service is asked in one process at least, in turns that each have arrivals of their own."""

TRIES = 2
"""How often a worker may die at a case before the case counts as failed."""


@dataclass
class Ledger:
    """What was found so far, by case name and role.

    Attributes:
        cases: What each side lists, with margins.
        processes: What was timed; equal places were measured together.
        facts: Facts of base, head, and base once more.
        failures: Why a case cannot be measured on a side.
        machine, software: As head's worker describes them.
        warnings: What head's worker says of the data.
        code: SHA-256 of the code that each side ran.
        pairs: Pairs that were measured.

    """

    cases: dict[SideRole, dict[str, tuple[Case, float]]] = field(default_factory=dict)
    processes: dict[str, dict[SideRole, list[Process]]] = field(default_factory=dict)
    facts: dict[str, dict[SideRole, Facts]] = field(default_factory=dict)
    failures: dict[str, dict[SideRole, str]] = field(default_factory=dict)
    machine: dict[str, str | int | float | None] = field(default_factory=dict)
    software: dict[str, str | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    code: dict[SideRole, str] = field(default_factory=dict)
    pairs: int = 0

    def measurable(self) -> list[str]:
        """Return the cases that all sides list and none failed at, in head's order."""
        listed = [names.keys() for names in self.cases.values()]
        return [
            name
            for name in self.cases.get(SideRole.HEAD, {})
            if all(name in names for names in listed) and name not in self.failures
        ]


class Pairs:
    """Measures pairs into a ledger.

    Args:
        sides: Whose code each role runs.
        job: What each side is asked to plan.
        start: Starts a worker of a side.
        quality_users: Users ranked for quality where weights are given.
        progress: Told what goes on.

    """

    def __init__(
        self,
        sides: Mapping[SideRole, Side],
        job: Job,
        *,
        start: Callable[[Side], Worker],
        quality_users: int,
        progress: Callable[[str], None],
    ) -> None:
        self.ledger = Ledger()
        self._sides = sides
        self._job = job.model_dump(mode="json", exclude_defaults=True)
        self._start = start
        self._quality_users = quality_users
        self._progress = progress
        self._dealt: dict[str, tuple[int, int]] = {}
        self._deaths: Counter[tuple[str, SideRole]] = Counter()

    def measure(self, wanted: Callable[[Ledger], Sequence[str]]) -> None:
        """Measure one more pair of each wanted case.

        Args:
            wanted: Chooses cases once the sides have listed theirs.

        Raises:
            UserError: A side cannot plan the job.

        """
        done: set[str] = set()
        while True:
            with ExitStack() as stack:
                workers = {role: stack.enter_context(self._start(self._sides[role])) for role in self._roles()}
                if not self._plan(workers):
                    continue
                left = [name for name in wanted(self.ledger) if name in self.ledger.measurable() and name not in done]
                if self._measure_all(workers, left, done):
                    break
        self.ledger.pairs += 1

    def _roles(self) -> list[SideRole]:
        """Return who starts, and is opened, in which order: each pair another begins."""
        roles = list(self._sides)
        first = self.ledger.pairs % len(roles)
        return roles[first:] + roles[:first]

    def _plan(self, workers: Mapping[SideRole, Worker]) -> bool:
        """Have all sides list their cases; False where one died and all should start afresh."""
        self._progress(f"pair {self.ledger.pairs + 1}: starting {len(workers)} processes")
        role = next(iter(workers))
        origins: dict[SideRole, dict[str, str]] = {}
        try:
            for worker in workers.values():
                worker.tell("plan", job=self._job)
            for role, worker in workers.items():
                plan = worker.answer("plan")
                if plan["protocol"] != PROTOCOL:
                    raise UserError(
                        f"{self._sides[role].name} speaks another version of the gate's protocol: update it"
                    )
                self._check_origins(role, plan["code"])
                origins[role] = plan["code"]
                listed = [(Case.model_validate(case), margin) for case, margin in plan["cases"]]
                self.ledger.cases[role] = {case.name: (case, margin) for case, margin in listed}
                if role is SideRole.HEAD:
                    self.ledger.machine, self.ledger.software = plan["machine"], plan["software"]
                    self.ledger.warnings = plan.get("warnings", [])
        except WorkerDiedError as error:
            self._deaths["", role] += 1
            if self._deaths["", role] >= TRIES:
                raise UserError(f"{self._sides[role].name} {error}") from error
            return False
        self._check_trees(origins)
        return True

    def _check_trees(self, origins: Mapping[SideRole, Mapping[str, str]]) -> None:
        """See that each side ran code of its own tree, and note what that code was.

        Raises:
            UserError: A side ran none of its own, or both ran the same files.

        """
        for role, files in origins.items():
            if files:
                check_origins(self._sides[role], files)
                self.ledger.code[role] = code_of(files)
        if origins.get(SideRole.BASE):
            check_different(origins[SideRole.BASE], origins[SideRole.HEAD])

    def _check_origins(self, role: SideRole, code: Mapping[str, str]) -> None:
        """Refuse a base that runs head's code: it would be as fast as head, whatever head does."""
        side, head = self._sides[role], self._sides[SideRole.HEAD]
        if side.folder == head.folder:
            return
        for module, file in code.items():
            if Path(file).is_relative_to(head.top) and not Path(file).is_relative_to(side.top):
                raise UserError(
                    f"{side.name} would run head's {module} ({file}): what is installed or on the search path goes "
                    "before base's own; run the gate where `import` finds it in the working folder"
                )

    def _measure_all(self, workers: Mapping[SideRole, Worker], names: Sequence[str], done: set[str]) -> bool:
        """Measure cases one after the other; False where a worker died and the rest needs fresh ones."""
        for name in names:
            self._progress(f"pair {self.ledger.pairs + 1}: {name}")
            asking = _Asking(workers)
            try:
                self._measure_case(asking, name)
            except CaseFailedError as error:
                self._fail(name, asking.last, str(error))
                if not _closed(asking):
                    return False
            except WorkerDiedError as error:
                said = f"a process {error}"
                self._deaths[name, asking.last] += 1
                if self._deaths[name, asking.last] >= TRIES:
                    self._fail(name, asking.last, f"{said}, {TRIES} times")
                else:
                    self._progress(f"{self._sides[asking.last].name}: {said}; measuring {name} once more")
                return False
            done.add(name)
        return True

    def _measure_case(self, asking: _Asking, name: str) -> None:
        asking.ask_all("open", case=name)
        facts = self.ledger.facts.setdefault(name, {})
        for role in asking.roles:
            if role not in facts:
                reply = asking.ask(role, "facts", quality_users=self._quality_users)
                facts[role] = Facts.model_validate(reply)
        warmed = asking.ask_all("warm")
        rounds, turns = self._dealt.setdefault(name, _deal(list(warmed.values())))
        timed: dict[SideRole, list[tuple[int, float]]] = {role: [] for role in asking.roles}
        orders = ORDERS[len(asking.roles)]
        for turn in range(turns):
            for place in orders[(turn + self.ledger.pairs) % len(orders)]:
                role = asking.roles[place]
                timed[role] += [(turn, sample) for sample in asking.ask(role, "turn", number=turn, rounds=rounds)]
        closed = asking.ask_all("close")
        for role, samples in timed.items():
            numbers, seconds = zip(*samples, strict=True)
            process = Process(samples_s=list(seconds), turns=list(numbers), **closed[role])
            self.ledger.processes.setdefault(name, {}).setdefault(role, []).append(process)

    def _fail(self, name: str, role: SideRole, said: str) -> None:
        if role is SideRole.AGAIN:
            role = SideRole.BASE if SideRole.BASE in self._sides else SideRole.HEAD
        self.ledger.failures.setdefault(name, {})[role] = said
        self._progress(f"{self._sides[role].name}: {name}: {said}")


def _closed(asking: _Asking) -> bool:
    """Close a case that failed on one side; False where a worker does not survive that."""
    try:
        asking.ask_all("close")
    except (CaseFailedError, WorkerDiedError):
        return False
    return True


def _deal(warmed: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Return rounds a turn and turns, from how long requests take and how many each process should time.

    A service says itself how many requests one of its turns has, which are a trial with arrivals of their own, and how
    long they take to arrive; one that does not say how long gets as few turns as take every order once.
    """
    cycle = len(ORDERS[3])
    if of_a_turn := max(reply.get("of_a_turn", 0) for reply in warmed):
        turn_s = max(reply.get("turn_s", SERVED_S) for reply in warmed)
        return of_a_turn, cycle * math.ceil(SERVED_S / (cycle * turn_s))
    request_s = max(reply["request_s"] for reply in warmed)
    rounds = max(1, round(TURN_S / request_s))
    wanted = math.ceil(max(reply["rounds"] for reply in warmed) / rounds)
    least, most = TURNS
    return rounds, cycle * math.ceil(min(max(wanted, least), most) / cycle)


class _Asking:
    """Asks workers in turn and knows whom it asked last."""

    def __init__(self, workers: Mapping[SideRole, Worker]) -> None:
        self._workers = workers
        self.roles = list(workers)
        self.last = self.roles[0]

    def ask(self, role: SideRole, what: str, **details: Any) -> Any:
        self.last = role
        return self._workers[role].ask(what, **details)

    def ask_all(self, what: str, **details: Any) -> dict[SideRole, Any]:
        return {role: self.ask(role, what, **details) for role in self.roles}
