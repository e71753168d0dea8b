"""What is known of a recommender as a service: what was asked of it, and how it answered under load."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from bench.records.model import AtLeastOne, Bounded, Count, Model, NonNegative, Positive, Share

MILLISECOND = 1e-3

WRITTEN = re.compile(r"(?P<ms>\d+(?:\.\d+)?)ms(?:@p(?P<percentile>\d+(?:\.\d+)?))?")


class Slo(Model):
    """A service-level objective: so many percent of the requests are answered within a time.

    Attributes:
        limit_ms: The time in milliseconds, from the moment at which a request was to arrive.
        percentile: How many percent of the requests must keep it.

    """

    limit_ms: Positive = 80.0
    percentile: Annotated[float, Field(ge=50, le=99.9)] = 99.0

    @model_validator(mode="before")
    @classmethod
    def _as_people_write_it(cls, values: Any) -> Any:
        if not isinstance(values, str):
            return values
        match = WRITTEN.fullmatch(values.strip())
        if match is None:
            raise ValueError("write a limit and a percentile, such as 80ms@p99")
        return {"limit_ms": float(match["ms"]), "percentile": float(match["percentile"] or 99)}

    @property
    def limit_s(self) -> float:
        """The time in seconds."""
        return self.limit_ms * MILLISECOND

    @property
    def allowed(self) -> float:
        """Which share of the requests may take longer."""
        return 1 - self.percentile / 100

    def __str__(self) -> str:
        """Write it as command lines take it."""
        return f"{self.limit_ms:g}ms@p{self.percentile:g}"


class Offered(Model):
    """What is asked of a service: part of a case that is measured under load.

    Attributes:
        slo: What its answers are held to.
        rate: Requests a second; None searches the highest rate that keeps the objective.
        windows_ms: How long a batch may wait to be filled, counted from its oldest request; where there are several,
            the search takes the best.
        largest_batches: Most users that are answered together; see `windows_ms`.
        workers: Processes with one thread each on a CPU; 1 on a GPU. None takes one a core, but for one.
        seconds: How long requests arrive in one trial, at most.
        seeds: How many draws of arrivals the highest rate is found with.
        search_s: When the search for the highest rate begins no further trial.
        trace: File of arrival times in seconds, one a line, for the scenario ``trace``.
        loadgen: Whether MLPerf's LoadGen asks the same service, too.
        refresh: Whether new catalogues are taken in while it answers, too.

    """

    slo: Slo = Slo()
    rate: Positive | None = None
    windows_ms: list[NonNegative] = Field(default=[0.0, 1.0, 2.0, 5.0, 10.0], min_length=1)
    largest_batches: list[AtLeastOne] = Field(default=[1, 8, 32], min_length=1)
    workers: AtLeastOne | None = None
    seconds: Positive = 10.0
    seeds: AtLeastOne = 5
    search_s: Positive = 100.0
    trace: str | None = None
    loadgen: bool = False
    refresh: bool = False

    @property
    def words(self) -> str:
        """What names of cases say of it."""
        parts = [str(self.slo), "highest rate" if self.rate is None else f"{self.rate:g} a second"]
        if self.workers is not None:
            parts.append(f"{self.workers} worker{'s' if self.workers > 1 else ''}")
        return ", ".join(parts)


class Verdict(StrEnum):
    """Whether a trial kept the objective."""

    MET = "met"
    MISSED = "missed"
    OPEN = "open"
    """Too few requests to tell, see `bench.statistics.objectives`."""


class Percentiles(Model):
    """Percentiles of a time in seconds; None with fewer than five samples beyond one."""

    p50_s: NonNegative | None = None
    p95_s: NonNegative | None = None
    p99_s: NonNegative | None = None
    p999_s: NonNegative | None = None


class Trial(Model):
    """Requests that arrived at one rate, and what became of them.

    Attributes:
        rate: Offered, a second; None where all arrived at once.
        seed: Seed of the arrivals.
        window_ms: How long a batch might wait to be filled.
        largest_batch: Most users answered together.
        seconds: From the first arrival to the last answer.
        sent: Requests that arrived.
        answered: Those that got a list.
        errors: Those whose answer failed; they miss the objective.
        cut: Those that had no answer when the trial ended, and whose time was not up; they are left out.
        overdue: Those that had no answer then, and whose time was up; they miss the objective.
        latency: From the arrival as scheduled to the answer at the client.
        queue: From the arrival as scheduled until a worker took the request into a batch.
        service: From there to the answer at the client.
        late: From the arrival as scheduled until the client had sent the request.
        late_max_s: The latest of these.
        batches: How many batches of each size were answered.
        verdict: Whether the objective was kept.
        saturated: Why it ended before its time, where more arrived than could be answered; empty where not.
        invalid: Why its figures do not count; empty where they do.
        joules: What the device drew from the first arrival to the last answer; None where nothing counts it.

    """

    rate: Positive | None
    seed: Count
    window_ms: NonNegative
    largest_batch: AtLeastOne
    seconds: NonNegative
    sent: Count
    answered: Count
    errors: Count = 0
    cut: Count = 0
    overdue: Count = 0
    within: Share | None
    latency: Percentiles
    queue: Percentiles
    service: Percentiles
    late: Percentiles
    late_max_s: NonNegative | None = None
    batches: dict[int, Count]
    verdict: Verdict
    saturated: str = ""
    invalid: str = ""
    joules: NonNegative | None = None

    @property
    def achieved(self) -> float | None:
        """Answers a second; None where nothing was answered."""
        return self.answered / self.seconds if self.answered and self.seconds else None

    @property
    def mean_batch(self) -> float | None:
        """Mean size of the batches that were answered; None where none was."""
        batches = sum(self.batches.values())
        return sum(size * count for size, count in self.batches.items()) / batches if batches else None

    @property
    def goodput(self) -> float | None:
        """Answers a second that kept the limit; None where that cannot be told."""
        judged = self.answered + self.errors + self.overdue
        if self.within is None or not self.seconds:
            return None
        return self.within * judged / self.seconds


class Peak(Bounded):
    """The highest rate that keeps the objective.

    Attributes:
        rate: Users a second: the geometric mean over seeds; 0 where not even one request at a time keeps it; None where
            the search ran out of time before it met one that is kept.
        low, high: Its 95 % interval: Student's over the logarithms of `by_seed`, where there are several; 0 and the
            least rate that was missed, where `rate` is None.
        by_seed: What each draw of arrivals found.
        window_ms: The window that gave it.
        largest_batch: The largest batch that gave it.
        why: What to know of it, such as that the search ran out of time; empty where there is nothing.

    """

    rate: NonNegative | None
    low: NonNegative
    high: NonNegative
    by_seed: list[Positive] = Field(default=[])
    window_ms: NonNegative
    largest_batch: AtLeastOne
    why: str = ""


class SecondOpinion(Model):
    """What MLPerf's LoadGen found of the same service.

    Attributes:
        rate: At which both asked.
        p99_s: LoadGen's 99th percentile at that rate, the median over turns.
        our_p99_s: Ours.
        peak: The highest rate that LoadGen calls valid under the objective, by one search.
        our_peak: Ours, by the same search right after it; not the interval over draws that is told elsewhere.
        offline: Users a second of its Offline scenario, the median over turns.
        our_offline: Ours, with all requests there at once.
        why: What it could not tell, and why; empty where there is nothing.

    """

    rate: Positive | None = None
    p99_s: Positive | None = None
    our_p99_s: Positive | None = None
    peak: NonNegative | None = None
    our_peak: NonNegative | None = None
    offline: Positive | None = None
    our_offline: Positive | None = None
    why: str = ""

    @property
    def disagreement(self) -> float | None:
        """The largest relative difference of one of its figures from ours; None where there is none to compare."""
        pairs = ((self.p99_s, self.our_p99_s), (self.peak, self.our_peak), (self.offline, self.our_offline))
        deviations = [abs(other / ours - 1) for other, ours in pairs if other is not None and ours]
        return max(deviations, default=None)


class ColdStart(Model):
    """Seconds from the start of a process that serves one case to its first answer, part by part.

    Attributes:
        imports_s: Until the libraries were imported, the interpreter's own start included.
        data_s: Loading the catalogue and the users.
        weights_s: Reading the weights.
        index_s: Indexing the catalogue.
        first_answer_s: The first request; where programs are made for it, that is in it.
        next_answer_s: The same request again.

    """

    imports_s: NonNegative
    data_s: NonNegative
    weights_s: NonNegative
    index_s: NonNegative
    first_answer_s: NonNegative
    next_answer_s: NonNegative

    @property
    def seconds(self) -> float:
        """From the start of the process to the first answer."""
        return self.imports_s + self.data_s + self.weights_s + self.index_s + self.first_answer_s


class Refresh(Model):
    """A new catalogue taken in again and again by a process beside the service, while requests went on.

    Attributes:
        new: Share of the items that are new.
        rate: Requests a second meanwhile.
        seconds: Median time of taking it in; None where that cannot be done.
        bytes: Size of what was made.
        p99_before_s: 99th percentile at that rate without.
        p99_meanwhile_s: With it.
        why: Why it cannot be done; empty where it can.

    """

    new: Share
    rate: Positive
    seconds: Positive | None = None
    bytes: Count | None = None
    p99_before_s: Positive | None = None
    p99_meanwhile_s: Positive | None = None
    why: str = ""


class Load(Model):
    """How a service answered.

    Attributes:
        workers: Processes or devices that answered.
        pipelined: Whether the host prepared one batch while the device answered another.
        trials: The chosen window and batch, by rate, lowest first.
        searched: Trials that led there.
        peak: The highest rate that keeps the objective; None where it was not searched.
        loadgen: LoadGen's second opinion; None where it was not asked.
        refreshes: New catalogues taken in meanwhile, by the share of new items.
        cold: Its cold start; a line where that failed; None where it was not measured.

    """

    workers: AtLeastOne
    pipelined: bool
    trials: list[Trial]
    searched: list[Trial] = Field(default=[])
    peak: Peak | None = None
    loadgen: SecondOpinion | None = None
    refreshes: list[Refresh] = Field(default=[])
    cold: ColdStart | str | None = None

    @property
    def main(self) -> Trial:
        """The trial nearest to the highest rate; the first one where that was not searched, or is none."""
        if self.peak is None or not self.peak.rate:
            return self.trials[0]
        top = self.peak.rate
        return min(self.trials, key=lambda trial: abs((trial.rate or 0.0) - top))

    @model_validator(mode="after")
    def _something_was_tried(self) -> Self:
        if not self.trials:
            raise ValueError("a load without a trial")
        return self
