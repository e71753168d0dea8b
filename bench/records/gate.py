"""What a gate finds: samples of base and head, process by process, and a verdict a case."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from bench.records.case import Case
from bench.records.model import Bounded, Count, Model, NonNegative, Positive, Share
from bench.records.quality import Quality

GATE_SCHEMA_VERSION = 1

PROTOCOL = 1
"""Version of what the gate and its workers say to each other; both sides must speak the same."""


class SideRole(StrEnum):
    """Whose code a process runs."""

    BASE = "base"
    HEAD = "head"
    AGAIN = "again"
    """The base's once more (the head's where the base is a file): what it shows is noise."""


class Verdict(StrEnum):
    """How the latency of head compares with base's."""

    FASTER = "FASTER"
    SLOWER = "SLOWER"
    SAME = "SAME"
    """Shown to differ by less than the margin."""
    AMBIGUOUS = "AMBIGUOUS"
    """None of these could be shown."""
    NOT_MEASURED = "NOT MEASURED"
    """The case is missing, new, or failed on one side."""


class Check(StrEnum):
    """What is compared exactly, beside latency."""

    PRESENCE = "presence"
    LISTS = "lists"
    FLOPS = "flops"
    OPERATORS = "operators"
    PARAMETERS = "parameters"
    MEMORY = "memory"
    QUALITY = "quality"


class RankedUser(Model):
    """The list that one user gets."""

    user: int
    items: list[int]
    scores: list[float]


class Facts(Model):
    """What does not depend on the clock, measured once a side.

    Attributes:
        flops_per_user: Floating-point operations a user of one request.
        operators: Dispatched in one request.
        parameters: Number of parameters, shared ones once.
        peak_bytes: Most that torch's allocator held at once during a request, beyond what it held before.
        lists: Lists of at least 64 users, where there are so many; empty where they are not known.
        quality: Quality of given weights; None for random ones.

    """

    flops_per_user: NonNegative | None = None
    operators: Count | None = None
    parameters: Count | None = None
    peak_bytes: Count | None = None
    lists: list[RankedUser] = Field(default=[], repr=False)
    quality: Quality | None = None


class Process(Model):
    """What one process timed of one case, in seconds, with the number of the turn of each sample."""

    samples_s: list[Positive] = Field(repr=False, min_length=1)
    turns: list[Count] = Field(repr=False)
    involuntary_switches: Count | None = None
    other_cores: float | None = None

    @model_validator(mode="after")
    def _one_turn_a_sample(self) -> Self:
        if len(self.samples_s) != len(self.turns):
            raise ValueError(f"{len(self.samples_s)} samples, but {len(self.turns)} turns")
        return self


class Estimate(Bounded):
    """How many times as long the upper side takes as the lower, with its 95 % interval."""

    ratio: Positive
    low: Positive
    high: Positive


class Violation(Model):
    """A check that failed, and why; an accepted one is told and does not fail the gate."""

    check: Check
    said: str
    accepted: bool = False


class CaseResult(Model):
    """One case on both sides.

    Attributes:
        case: What is measured.
        verdict: On its latency.
        why: What the verdict rests on, where that is not the interval alone.
        margin: By which share latency may change and still count as the same.
        latency: Head over base, of medians; None where not both were timed.
        p95: Head over base, of 95th percentiles, where every process has at least 100 rounds. Shown, not judged.
        noise: The same code against itself.
        p_slower, p_faster: Holm-adjusted p-values against no difference.
        detectable: The least slow-down, as a share, that this run would have called SLOWER four times in five.
        facts: By role.
        processes: By role; of base and head, equal places were measured together.
        violations: What fails, or would fail were it not accepted.

    """

    case: Case
    verdict: Verdict
    why: str = ""
    margin: Annotated[float, Field(gt=0, lt=1)]
    latency: Estimate | None = None
    p95: Estimate | None = None
    noise: Estimate | None = None
    p_slower: Share | None = None
    p_faster: Share | None = None
    detectable: NonNegative | None = None
    facts: dict[SideRole, Facts] = Field(default={})
    processes: dict[SideRole, list[Process]] = Field(default={}, repr=False)
    violations: list[Violation] = Field(default=[])

    @property
    def fails(self) -> bool:
        """Whether this case alone fails the gate."""
        return self.verdict is Verdict.SLOWER or any(not violation.accepted for violation in self.violations)


class GateResult(Model):
    """One run of the gate.

    Attributes:
        base, head: What was compared, such as ``main (1a2b3c4)``.
        base_code, head_code: SHA-256 of the code that ran on each side; None in older results, and of a base that is a
            file.
        command: As the user typed it.
        started: ISO 8601.
        seconds: How long it took.
        pairs: Process pairs that were measured.
        machine, software: Where the processes ran.
        cases: One a case.
        notes: What to know of this run.
        interrupted: Why it ended before its time; empty where it did not.

    """

    schema_version: int = Field(default=GATE_SCHEMA_VERSION, ge=1, le=GATE_SCHEMA_VERSION)
    kind: str = "lite-llm4rec-bench-gate"
    base: str
    head: str
    base_code: str | None = None
    head_code: str | None = None
    command: str
    started: str
    seconds: NonNegative
    pairs: Count
    machine: dict[str, str | int | float | None]
    software: dict[str, str | None]
    cases: list[CaseResult]
    notes: list[str] = Field(default=[])
    interrupted: str = ""

    @property
    def exit_status(self) -> int:
        """0 same or faster, 1 slower or broken, 3 ambiguous."""
        if any(case.fails for case in self.cases):
            return 1
        ambiguous = any(case.verdict is Verdict.AMBIGUOUS for case in self.cases)
        return 3 if ambiguous or self.interrupted or not self.cases else 0
