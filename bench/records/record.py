"""The record: everything known about one case, under one versioned schema.

One record lands in the ``extra_info`` of one pytest-benchmark benchmark. A quantity that could not
be measured is an `Unavailable` with its reason; it is never 0 and never guessed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bench.records.case import Case, Outcome
from bench.records.conditions import Conditions, Energy, Overhead, Repeats, Roofline
from bench.records.cost import Flops, FurtherMeasure, Index, Latency, Memory, Phase
from bench.records.learning import CurvePoint, Ending
from bench.records.load import Load
from bench.records.model import AtLeastOne, Count, Model, NonNegative, Unavailable
from bench.records.naming import Named
from bench.records.quality import Agreement, ListAudit, Quality
from bench.records.rankers import Ranked

SCHEMA_VERSION = 5
"""Version 2 added what measuring can be trusted by, version 3 where each user's target stands; older records lack it
and are read. Since version 4 the memory of a request on a CPU is the allocator's exact figure.
Since version 5 a case says what its decoder is, and a record whether its recommender makes the claim."""


CLAIMS_SINCE, CLAIMED_BEFORE = 5, "lite-llm4rec"
"""Since which version records say whose claim is tried, and whose it always was before."""


class Weights(Model):
    """The weights that were measured.

    Attributes:
        checkpoint: Folder name of the checkpoint, None where nothing was trained.
        sha256: SHA-256 of the safetensors file.
        parameters: Number of parameters, shared ones once.
        parameter_bytes: Bytes of parameters and buffers in the dtype measured.
        training: What training reported (epochs, seconds, validation metrics), as it stands in the checkpoint.
        recipe: The hyperparameters of that training; empty in older records and where nothing was trained.
        curve: What each evaluation on validation found, in order; empty where none was kept.
        ending: Whether it was trained to its end; None where that is not known, and where nothing was trained.
        trained_by: Commit of the code that trained; None where that is not known.
        settings: Everything the recommender was built with.
        tokenizer: What turns text into tokens, where there is text.

    """

    checkpoint: str | None = None
    sha256: str | None = None
    parameters: Count
    parameter_bytes: Count
    training: dict[str, str | int | float | bool | None] = Field(default={})
    recipe: dict[str, str | int | float | bool | None] = Field(default={})
    curve: tuple[CurvePoint, ...] = Field(default=(), repr=False)
    ending: Ending | None = None
    trained_by: str | None = None
    settings: dict[str, str | int | float | bool | None] = Field(default={})
    tokenizer: str | None = None

    @property
    def part_of_an_epoch(self) -> float | None:
        """How much training saw of its examples, of 1; None where it saw all, or where that is not known."""
        epochs = self.training.get("epochs")
        return epochs if isinstance(epochs, (int, float)) and epochs < 1 else None


class Provenance(Model):
    """How to get this number again; `attempt` counts from 1 where a queue gave the case out, else it is None."""

    command: str
    commit: str | None
    dirty: bool | None
    started: str
    machine: dict[str, str | int | float | None]
    software: dict[str, str | None]
    dataset: dict[str, str | int | float | bool | None]
    dataset_warnings: list[str] = Field(default=[])
    attempt: AtLeastOne | None = None


class Record(Model):
    """Everything known about one case. A case that did not end ok has an outcome, a detail and no numbers.

    `claims` tells whether the suite names its recommender as one whose claim is tried: it is held against
    the strongest beam search. `named` is what people call it; None in records made before there were names.
    `agreement` is None where there is no other decoder of the same weights to compare with.
    `ranked` is what its ranker took and what it missed, None where that scores every item as ever.
    `further` holds what instruments without a field of their own measured, by their names.
    """

    schema_version: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    suite: str
    case: Case
    claims: bool = False
    named: Named | None = None
    outcome: Outcome
    detail: str = ""
    labels: list[str] = Field(default=[])
    weights: Weights | None = None
    latency: Latency | None = None
    phases: list[Phase] | Unavailable = Field(default=[])
    flops: Flops | Unavailable | None = None
    memory: Memory | Unavailable | None = None
    energy_j_per_1000_users: NonNegative | Unavailable | None = None
    energy: Energy | None = None
    roofline: Roofline | Unavailable | None = None
    conditions: Conditions | None = None
    overhead: Overhead | Unavailable | None = None
    repeats: Repeats | Unavailable | None = None
    further: dict[str, FurtherMeasure | Unavailable] = Field(default={})
    index: Index | None = None
    load: Load | None = None
    ranked: Ranked | None = None
    quality: Quality | Unavailable | None = None
    audit: ListAudit | Unavailable | None = None
    agreement: Agreement | None = None
    provenance: Provenance
    kind: Literal["lite-llm4rec-bench"] = "lite-llm4rec-bench"

    @property
    def loses_little(self) -> bool:
        """Whether it ranks as scoring every item does, or loses little enough to be held against beams."""
        return self.case.ranks_exactly or (self.ranked is not None and self.ranked.loses_little)

    @model_validator(mode="before")
    @classmethod
    def _who_claimed_before_version_5(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("case"), dict):
            return values
        version = values.get("schema_version")
        if "claims" in values or not isinstance(version, int) or version >= CLAIMS_SINCE:
            return values
        return values | {"claims": values["case"].get("recommender") == CLAIMED_BEFORE}

    @model_validator(mode="after")
    def _timed_where_ok(self) -> Self:
        if self.outcome is Outcome.OK and self.latency is None:
            raise ValueError("the outcome is ok, and there is no latency")
        return self
