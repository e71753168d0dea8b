"""The record: everything known about one case, under one versioned schema.

One record lands in the ``extra_info`` of one pytest-benchmark benchmark. A quantity that could not
be measured is an `Unavailable` with its reason; it is never 0 and never guessed.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from bench.records.conditions import Conditions, Energy, Overhead, Repeats, Roofline
from bench.records.decoders import BEFORE_VERSION_5, FULL_VOCAB, QUANTISED, UNKNOWN, Search
from bench.records.learning import CurvePoint, Ending
from bench.records.load import Load, Offered
from bench.records.model import AtLeastOne, Bounded, Count, Model, NonNegative, Positive, Share
from bench.records.naming import Named
from bench.records.rankers import Ranked, Ranking

SCHEMA_VERSION = 5
"""Version 2 added what measuring can be trusted by, version 3 where each user's target stands; older records lack it
and are read. Since version 4 the memory of a request on a CPU is the allocator's exact figure.
Since version 5 a case says what its decoder is, and a record whether its recommender makes the claim."""


CLAIMS_SINCE, CLAIMED_BEFORE = 5, "lite-llm4rec"
"""Since which version records say whose claim is tried, and whose it always was before."""

CLOSED = "closed"
"""The usual scenario, which goes without saying."""

NO_RUNG = 2**31
"""Above all rungs."""


class Outcome(StrEnum):
    """How measuring a case ended. Outcomes are data."""

    OK = "ok"
    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "timed out"
    UNSUPPORTED = "unsupported"
    ERROR = "error"
    CRASHED = "crashed"
    """The process that measured the case ended: by a signal, or because the recommender ended it."""


class WeightsKind(StrEnum):
    """Where the weights came from."""

    TRAINED = "trained"
    AS_BUILT = "as built"
    """Nothing to train: counted from the training part, or brought along by the recommender."""
    UNTRAINED = "untrained"


class Unavailable(Model):
    """A quantity that could not be measured, and why."""

    unavailable: str


class Case(Model):
    """What is measured: one recommender, one setting. Two equal cases can be compared.

    Attributes:
        recommender: Name in the registry, or ``package.module:Class``.
        settings: The preset and what differs from the recommender's recipe.
        dataset: The dataset's name.
        loaded_with: What the dataset was loaded with, where that is not the usual: a cut of histories,
            a k-core, the sizes of generated data.
        weights: Where they came from.
        device: As torch calls it.
        dtype: Number format of weights and activations.
        batch_size: Users a request.
        k: Length of the lists.
        seen: Whether items of the history may come back.
        decoder: Name of the decoder of generative recommenders; None for one-pass ones.
        search: What that decoder is; where only its name is given, what older versions called so.
        beam_width: Beams of beam searches; None where there are no beams.
        scores: What a generated item's score means, ``full-vocab`` or ``renormalised``; None for one-pass
            recommenders, and in records made before there was a choice.
        ranker: What ranks all items by inner product; None for the usual one, which scores every item, and where
            nothing is ranked so.
        ranking: What that ranker is; None where `ranker` is.
        compiled: Whether each request of a one-pass recommender runs as one program: a CUDA graph, or Inductor's.
        threads: CPU threads.
        scenario: How requests arrive; ``closed`` is one client that waits for each answer.
        load: What is asked of it as a service; None where one client waits for each answer.

    """

    recommender: str
    settings: dict[str, str | int | float | bool | None]
    dataset: str
    loaded_with: dict[str, str | int | bool | None] = Field(default={})
    weights: WeightsKind
    device: str
    dtype: str
    batch_size: AtLeastOne
    k: AtLeastOne
    seen: str
    decoder: str | None = None
    search: Search | None = None
    beam_width: AtLeastOne | None = None
    scores: str | None = None
    ranker: str | None = None
    ranking: Ranking | None = None
    compiled: bool = False
    threads: AtLeastOne
    scenario: str = CLOSED
    load: Offered | None = None

    @model_validator(mode="before")
    @classmethod
    def _what_older_versions_called_so(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        if "captured" in values:
            values = {name: value for name, value in values.items() if name != "captured"} | {
                "compiled": values["captured"]
            }
        if values.get("search") is None and isinstance(values.get("decoder"), str):
            return values | {"search": BEFORE_VERSION_5.get(values["decoder"], UNKNOWN)}
        return values

    @property
    def keeps_the_beams(self) -> bool:
        """Whether its lists must be those of the papers' decoder, up to ties at its dtype's precision."""
        return self.search is not None and self.search.rung is not None

    @property
    def is_exact(self) -> bool:
        """Whether its lists are those of the papers' search: its beams, its scores, weights as they are."""
        return self.keeps_the_beams and self.scores in (None, FULL_VOCAB) and self.dtype not in QUANTISED

    @property
    def ranks_exactly(self) -> bool:
        """Whether nothing is left out where items are ranked by inner product."""
        return self.ranking is None or self.ranking.is_exact

    @property
    def is_reference(self) -> bool:
        """Whether it runs what the papers run."""
        return self.search is not None and self.search.rung == 0

    @property
    def rung(self) -> int:
        """Its place among the decoders that make the papers' lists; above all of them where it makes its own."""
        return NO_RUNG if self.search is None or self.search.rung is None else self.search.rung

    @property
    def changed(self) -> dict[str, str | int | float | bool | None]:
        """The settings that differ from the recipe, but for size and seed."""
        return {name: value for name, value in self.settings.items() if name not in {"preset", "seed"}}

    @property
    def served(self) -> list[str]:
        """How it is served, as far as that is not the usual way, in a few words each."""
        details = [self.decoder] if self.decoder else []
        details += [self.ranker] if self.ranker else []
        details += ["compiled"] if self.compiled else []
        details += [self.scores] if self.scores not in (None, FULL_VOCAB) else []
        return details + ([f"beam {self.beam_width}"] if self.beam_width else [])

    @property
    def variant(self) -> str:
        """What tells recommenders apart within one run, such as ``p5 (collaborative, reference, beam 20)``.

        Scores over the whole vocabulary, the usual ones, go without saying here; `name` says them.
        """
        details = [value if isinstance(value, str) else f"{name} {value}" for name, value in self.changed.items()]
        details += self.served
        return f"{self.recommender} ({', '.join(details)})" if details else self.recommender

    @property
    def dataset_variant(self) -> str:
        """The dataset and what it was loaded with, such as ``ml-1m (max_history 50)``."""
        details = ", ".join(f"{name} {value}" for name, value in self.loaded_with.items())
        return f"{self.dataset} ({details})" if details else self.dataset

    @property
    def name(self) -> str:
        """Readable and stable name of the case."""
        parts = [self.variant, self.dataset_variant, str(self.settings.get("preset", "default")), self.weights.value]
        parts += [self.device, self.dtype, f"batch {self.batch_size}", f"top {self.k}"]
        parts += [f"{self.scores} scores"] if self.scores else []
        parts += [] if self.scenario == CLOSED else [self.scenario]
        parts += [] if self.load is None else [self.load.words]
        return " | ".join(parts)


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


class Latency(Model):
    """Wall time of whole requests (prepare, transfer, recommend, results on the host), in seconds.

    Attributes:
        rounds: Number of timed requests.
        samples_s: Each request's time, in the order taken.
        turns: For each sample the number of the interleaved turn it was taken in; the same turn
            number of two cases of one run was taken side by side.
        p90_s, p95_s, p99_s: None with fewer than 50, 100, 500 rounds (five samples beyond the percentile).
        device_s: Median time between CUDA events before and after a request.
        host_overhead_s: Median of wall time minus device time: what the host adds that no GPU makes up for.
        warmup_rounds: Untimed requests before the first timed one.
        stationary: Whether warming up ended because times no longer fell; None in records of version 1.
        users_per_second: Batch size over mean latency.

    """

    rounds: AtLeastOne
    samples_s: list[Positive] = Field(repr=False, min_length=1)
    turns: list[Count] = Field(repr=False)
    mean_s: Positive
    p50_s: Positive
    p90_s: Positive | None = None
    p95_s: Positive | None = None
    p99_s: Positive | None = None
    device_s: NonNegative | Unavailable
    host_overhead_s: float | Unavailable | None = None
    warmup_rounds: Count | None = None
    stationary: bool | None = None
    users_per_second: Positive

    @model_validator(mode="after")
    def _one_turn_a_sample(self) -> Self:
        if not len(self.samples_s) == len(self.turns) == self.rounds:
            held = f"{len(self.samples_s)} samples, {len(self.turns)} turns"
            raise ValueError(f"{self.rounds} rounds, but {held}")
        return self


class Phase(Model):
    """One step of a request, in the order it happens.

    Attributes:
        name: Such as ``encode`` or ``decode step 1``.
        seconds: Wall time under the profiler (on CUDA, the device's).
        flops_per_user: By the authority, see `Flops`.
        bytes_per_user: What its operators read and wrote, each for itself: the traffic of an unfused run.
        bound_s: The least time the step can take on this machine, see `Roofline`.

    """

    name: str
    seconds: NonNegative
    flops_per_user: NonNegative | None = None
    bytes_per_user: NonNegative | None = None
    bound_s: NonNegative | None = None


class Flops(Model):
    """Floating-point operations per user: 1 multiply-accumulate = 2, matrix-like operators, causal not halved.

    Attributes:
        per_user: torch's `FlopCounterMode` with the CPU attention gap mended, over one whole request.
        forward_per_user: The same counter over one forward pass that fvcore can trace, too.
        fvcore_per_user: fvcore over that forward pass: the second opinion on `forward_per_user`.
        closed_form_per_user: The recommender's own closed formula for that forward pass: the third opinion.
        operators: How many operators one request dispatched.
        uncounted: Operators with floating-point outputs that no formula covers, with how often they ran.

    """

    per_user: NonNegative
    forward_per_user: NonNegative | None = None
    fvcore_per_user: NonNegative | Unavailable
    closed_form_per_user: NonNegative | Unavailable | None = None
    operators: Count | None = None
    uncounted: dict[str, Count] = Field(default={})

    @property
    def disagreement(self) -> float | None:
        """The largest relative difference of another opinion to ours; None where there is none to compare."""
        others = [self.fvcore_per_user, self.closed_form_per_user]
        counted = [other for other in others if isinstance(other, float | int)]
        if self.forward_per_user is None or not counted:
            return None
        return max(abs(other - self.forward_per_user) for other in counted) / max(self.forward_per_user, 1.0)


class Memory(Model):
    """Bytes.

    Attributes:
        peak_bytes: Weights + index + request on the CPU; peak allocated on CUDA.
        request_bytes: What torch's allocator held at most during one request, beyond what it held before: the same
            each time. In records of versions 1 to 3, on the CPU, one draw of `resident_rises` instead.
        process_bytes: All that the process held at the peak, interpreter and libraries included: on the CPU the peak
            resident set of a process that served this case alone, on CUDA what NVML says of the process.
        reserved_bytes: Peak of what the allocator had reserved on CUDA.
        parts: What the peak is made of: weights, item vectors, trie, K/V cache, activations.
        phases: Peak of what was allocated in each phase beyond what was before the request.
        resident_rises: On the CPU, by how much each of several requests raised the peak resident set of a process that
            serves the case alone: what libraries hold beyond torch's allocator is in it, and so is chance.

    """

    peak_bytes: Count
    request_bytes: Count
    process_bytes: Count | Unavailable | None = None
    reserved_bytes: Count | None = None
    parts: dict[str, Count] = Field(default={})
    phases: dict[str, Count] = Field(default={})
    resident_rises: list[Count] = Field(default=[])


class FurtherMeasure(Model):
    """What an instrument measured that has no field of its own in the record.

    Attributes:
        value: The number.
        unit: What it is counted in; empty for a bare number.
        title: Heading of its column.
        caution: What to distrust about it; empty where there is nothing.

    """

    value: float
    unit: str = ""
    title: str
    caution: str = ""


class Index(Model):
    """The offline phase: how long `index` took and what it keeps."""

    seconds: NonNegative
    bytes: Count


class Metric(Bounded):
    """A mean over users with its 95 % percentile-bootstrap interval."""

    value: float


class Hits(Model):
    """Users whose target is in their list, and where it stands; for comparisons user by user.

    Attributes:
        rows: Their places among the users that were ranked, in the order of users.
        better: Items with a higher score than the target.
        tied: Items with the target's score, itself included.

    """

    rows: list[Count] = Field(repr=False)
    better: list[Count] = Field(repr=False)
    tied: list[AtLeastOne] = Field(repr=False)

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if not len(self.rows) == len(self.better) == len(self.tied):
            raise ValueError(f"{len(self.rows)} rows, {len(self.better)} of better, {len(self.tied)} of tied")
        return self


class Quality(Model):
    """Full-ranking quality of the same weights, from the same top-K lists.

    Attributes:
        split: ``test`` or ``validation``.
        users: How many users were ranked.
        cutoff: Length K of the lists.
        seen: Whether items of the history were removed from the candidates or kept.
        metrics: ``HR@10``, ``NDCG@10``, ``MRR@20`` ... each a `Metric`. Ties count at their expectation.
        coverage: Share of the catalogue that appears in some user's list.
        valid_rate: Share of the list places that can be filled, with the items that are not removed, that hold a real
            item; in records of versions 1 to 3 of all places.
        unreachable: Targets that are in the user's own history, which is removed from the lists, so that no
            recommender can find them; None in records of versions 1 to 3.
        hits: Where the targets stand; None in records of versions 1 and 2.

    """

    split: str
    users: AtLeastOne
    cutoff: AtLeastOne
    seen: str
    metrics: dict[str, Metric]
    coverage: Share
    valid_rate: Share
    unreachable: Count | None = None
    hits: Hits | None = None

    @model_validator(mode="after")
    def _hits_are_of_users(self) -> Self:
        rows = [] if self.hits is None else self.hits.rows
        if len(set(rows)) < len(rows) or (rows and max(rows) >= self.users):
            raise ValueError(f"the rows of hits are not different users of {self.users}")
        return self


class ListAudit(Model):
    """Do the timed requests answer what was evaluated?

    Attributes:
        users: Users whose last timed list was compared with the evaluated one.
        identical: Lists equal place by place.
        ties: Lists that differ only where scores are equal to within what the dtype rounds (1e-4 in float32).
        different: All others; in float32 any makes the case an error, in shorter formats more than a tenth.

    """

    users: Count
    identical: Count
    ties: Count
    different: Count


class Agreement(Model):
    """Are a decoder's lists those of another decoder of the same weights?

    Attributes:
        compared_with: Variant of the other case, and its dtype where that is another.
        users: Users whose lists were compared.
        identical: Lists equal place by place.
        ties: Lists that differ only where scores are equal, as in `ListAudit`.
        different: All others.
        overlap: Mean share of the other list's items that this one has, too.

    """

    compared_with: str
    users: Count
    identical: Count
    ties: Count
    different: Count
    overlap: Share


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
