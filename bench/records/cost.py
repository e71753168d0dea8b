"""What a request costs, as stored: time, phases, operations, memory, and what comes before the first request."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from bench.records.model import AtLeastOne, Count, Model, NonNegative, Positive, Unavailable


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
