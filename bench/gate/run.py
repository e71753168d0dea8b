"""Runs a gate: pairs until every case has its verdict or the time is up."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.gate.judge import Judge
from bench.gate.pairs import Ledger, Pairs
from bench.gate.process import Worker
from bench.gate.sides import Side, fingerprint
from bench.records.gate import GateResult, SideRole, Verdict
from bench.suites.planning import Job

GROWTH = 1.5
"""By how much the number of pairs grows from one look to the next."""

HARNESS = (
    "bench/worker.py", "bench/running/*.py", "bench/suites/*.py", "bench/cli/options.py", "bench/measure/*.py",
)  # fmt: skip
"""What measures: where it differs, two sides did not measure alike."""

DEPENDENCIES = ("pyproject.toml", "constraints.txt", "requirements*.txt")

FROM_A_FILE = (
    "the base is a file: how that session differed from this one is in no interval, so only a difference beyond the "
    "margin counts, and the risk of a wrong verdict is not known; a revision or a checkout has none of this"
)

EQUAL = "base and head are the same code, to the byte: what differs is noise"

CHANGED = "the working folder changed while it was measured: pairs before and after are of different code"


@dataclass(frozen=True)
class Limits:
    """How long a gate may go on.

    Attributes:
        pairs: Process pairs at least.
        budget_s: When to stop taking more.
        fail_fast: Whether to stop as soon as the gate must fail.

    """

    pairs: int
    budget_s: float
    fail_fast: bool = False


class Gate:
    """One run.

    Args:
        head: What is judged.
        base: What it is compared with; None where that is a file, which the judge knows.
        base_name: As the result calls it.
        job: What is measured.
        judge: Gives the verdicts.
        limits: How long.
        command: As the user typed it.
        start: Starts a worker of a side.
        quality_users: Users ranked for quality where weights are given.
        progress: Told what goes on.
        keep: Given the result so far after every pair, lest an interruption lose it.

    """

    def __init__(
        self,
        head: Side,
        base: Side | None,
        *,
        base_name: str,
        job: Job,
        judge: Judge,
        limits: Limits,
        command: str,
        start: Callable[[Side], Worker],
        quality_users: int,
        progress: Callable[[str], None],
        keep: Callable[[GateResult], None],
    ) -> None:
        sides = {SideRole.HEAD: head, SideRole.AGAIN: head}
        if base is not None:
            sides = {SideRole.BASE: base, SideRole.HEAD: head, SideRole.AGAIN: base}
        self._pairs = Pairs(sides, job, start=start, quality_users=quality_users, progress=progress)
        self._names = base_name, head.name
        self._judge = judge
        self._limits = limits
        self._command = command
        self._progress = progress
        self._keep = keep
        self._notes = _notes(head, base)
        self._head = head
        self._code = fingerprint(head)
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._start = time.monotonic()
        self._look = 0

    def run(self) -> GateResult:
        """Measure until all verdicts are given, the gate must fail fast, or the time is up.

        Raises:
            UserError: A side cannot plan the job.

        """
        wanted = self._limits.pairs
        while True:
            result = self._measure_up_to(wanted)
            if result.interrupted or self._over(result):
                return result
            wanted = self._next(wanted)
            if wanted == self._pairs.ledger.pairs:
                return result
            self._look += 1

    @property
    def pairs(self) -> int:
        """Pairs that were measured so far."""
        return self._pairs.ledger.pairs

    def result(self, interrupted: str = "") -> GateResult:
        """Judge what is known by now."""
        ledger = self._pairs.ledger
        has_head = SideRole.HEAD in ledger.cases
        return GateResult(
            base=self._names[0],
            head=self._names[1],
            base_code=ledger.code.get(SideRole.BASE),
            head_code=ledger.code.get(SideRole.HEAD),
            command=self._command,
            started=self._started,
            seconds=self._spent_s,
            pairs=ledger.pairs,
            machine=ledger.machine,
            software=ledger.software,
            cases=self._judge.look(ledger, self._look) if has_head else [],
            notes=[*self._notes, *([EQUAL] if self._equal else []), *ledger.warnings],
            interrupted=interrupted,
        )

    @property
    def _equal(self) -> bool:
        code = self._pairs.ledger.code
        return SideRole.BASE in code and code[SideRole.BASE] == code.get(SideRole.HEAD)

    @property
    def _spent_s(self) -> float:
        return time.monotonic() - self._start

    def _measure_up_to(self, pairs: int) -> GateResult:
        while True:
            self._pairs.measure(self._undecided)
            if fingerprint(self._head) != self._code:
                return self.result(CHANGED)
            done = self._pairs.ledger.pairs
            if done >= pairs:
                break
            given = dict(self._judge.given)
            partial = self.result("it was stopped while measuring")
            self._judge.given = given  # verdicts are given at looks, not in between
            self._keep(partial)
            if self._limits.fail_fast and any(
                not violation.accepted for case in partial.cases for violation in case.violations
            ):
                break
            if not self._undecided(self._pairs.ledger):
                break
        result = self.result()
        self._keep(result)
        return result

    def _undecided(self, ledger: Ledger) -> list[str]:
        return [name for name in ledger.measurable() if name not in self._judge.given]

    def _over(self, result: GateResult) -> bool:
        if self._limits.fail_fast and any(case.fails for case in result.cases):
            return True
        left = [case for case in result.cases if case.verdict is Verdict.AMBIGUOUS]
        return not left or not self._undecided(self._pairs.ledger) or self._hopeless()

    def _hopeless(self) -> bool:
        stored = self._judge.stored
        return stored is not None and bool(stored.foreign)

    def _next(self, pairs: int) -> int:
        """Return how many pairs there should be at the next look, as far as the time allows."""
        pair_s = self._spent_s / pairs
        affordable = pairs + int((self._limits.budget_s - self._spent_s) / pair_s)
        wanted = math.ceil(pairs * GROWTH)
        reached = max(pairs, min(wanted, affordable))
        if reached > pairs:
            self._progress(
                f"{len(self._undecided(self._pairs.ledger))} cases are ambiguous: {reached - pairs} more pairs"
            )
        return reached


def _notes(head: Side, base: Side | None) -> list[str]:
    if base is None:
        return [FROM_A_FILE]
    notes = []
    if _digest(head.top, HARNESS) != _digest(base.top, HARNESS):
        notes.append("the harness differs between base and head: each side was measured by its own")
    if _digest(head.top, DEPENDENCIES) != _digest(base.top, DEPENDENCIES):
        notes.append("dependencies may differ between base and head: both were measured with what is installed now")
    return notes


def _digest(folder: Path, patterns: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern)):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
