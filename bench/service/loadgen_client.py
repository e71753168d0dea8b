"""MLPerf's LoadGen as another client of the same service, in a process of its own.

LoadGen (`mlcommons/inference`, loadgen/) ends its process by a signal where a callback raises, waits for ever for an
answer that does not come, and tells its results in log files alone. So callbacks here never raise, the service watches
this process and ends it, and results are read from the lines that begin with ``:::MLLOG``.
"""

from __future__ import annotations

import json
import os
import select
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from bench.service.loadgen_asked import LoadgenAsk, LoadgenHeard
from bench.service.wire import REQUEST, Messages, answer_type

NAMES = {"result_99.00_percentile_latency_ns": "p99_ns", "result_completed_samples_per_sec": "completed",
         "result_samples_per_second": "completed", "result_validity": "validity",
         "result_invalid_reason": "reason"}  # fmt: skip
"""What is read of LoadGen's log."""


@dataclass
class Wire:
    """Requests of LoadGen's queries, and its answers.

    Attributes:
        queue: Where requests are written to.
        answers: Where each worker's answers are read from.
        k: Length of the lists.

    """

    queue: int
    answers: list[int]
    k: int

    def __post_init__(self) -> None:
        import mlperf_loadgen

        self._loadgen: Any = mlperf_loadgen
        self._samples: dict[int, int] = {}
        self._number = 0
        self._content = np.zeros(1, answer_type(self.k))  # what a response points to has to stay

    def begin(self, first: int) -> None:
        """Number the next requests from here on."""
        self._number = first

    def issue(self, samples: list[Any]) -> None:
        """Send a query of LoadGen's; it never raises."""
        for sample in samples:
            self._samples[self._number] = sample.id
            message = np.array([(self._number, time.monotonic())], REQUEST).tobytes()
            self._number += 1
            while True:
                with suppress(BlockingIOError):
                    os.write(self.queue, message)
                    break
                select.select([], [self.queue], [], 0.1)

    def flush(self) -> None:
        """Do nothing: every request was sent."""

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Take answers in; at other times they are another client's."""
        over, end = os.pipe()
        thread = threading.Thread(target=self._hear, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.close(end)
            thread.join()
            os.close(over)

    def _hear(self, over: int) -> None:
        cutters = {place: Messages(answer_type(self.k)) for place in self.answers}
        lists = self._content.dtype.itemsize
        address = self._content.ctypes.data
        while True:
            ready, _, _ = select.select([*self.answers, over], [], [])
            for place in ready:
                read = b"" if place == over else os.read(place, 1 << 20)
                if not read:
                    return
                samples = (self._samples.pop(int(number), None) for number in cutters[place].cut(read)["number"])
                done = [
                    self._loadgen.QuerySampleResponse(sample, address, lists)
                    for sample in samples
                    if sample is not None
                ]
                self._loadgen.QuerySamplesComplete(done)


def run(wire: Wire, ask: LoadgenAsk) -> LoadgenHeard:
    """Run one test of LoadGen's, and read what it wrote."""
    import mlperf_loadgen

    loadgen: Any = mlperf_loadgen
    settings = loadgen.TestSettings()
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.scenario = loadgen.TestScenario.Server if ask.rate else loadgen.TestScenario.Offline
    settings.min_query_count = ask.count
    settings.max_query_count = ask.count if ask.rate else 0
    settings.min_duration_ms = 0
    settings.qsl_rng_seed = settings.sample_index_rng_seed = settings.schedule_rng_seed = ask.seed + 1
    if ask.rate:
        settings.server_target_qps = ask.rate
        settings.server_target_latency_ns = round(ask.slo.limit_s * 1e9)
        settings.server_target_latency_percentile = ask.slo.percentile / 100
    else:
        settings.offline_expected_qps = 1.0
    wire.begin(ask.first)
    with tempfile.TemporaryDirectory() as folder:  # it has to be there before
        logs = loadgen.LogSettings()
        logs.log_output.outdir = folder
        logs.log_output.copy_summary_to_stdout = False
        logs.enable_trace = False
        system = loadgen.ConstructSUT(wire.issue, wire.flush)
        library = loadgen.ConstructQSL(ask.users, ask.users, lambda _: None, lambda _: None)
        with wire.hearing():
            loadgen.StartTestWithLogSettings(system, library, settings, logs)
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(system)
        return read_log(Path(folder) / "mlperf_log_detail.txt")


def read_log(path: Path) -> LoadgenHeard:
    """Read the results out of LoadGen's log."""
    values: dict[str, Any] = {}
    for line in path.read_text().splitlines():
        told = json.loads(line.partition(":::MLLOG ")[2] or "{}")
        if told.get("key") in NAMES:
            values[NAMES[told["key"]]] = told["value"]
    p99_ns, completed = values.get("p99_ns"), values.get("completed")
    return LoadgenHeard(
        valid=values.get("validity") == "VALID",
        p99_s=None if p99_ns is None else float(p99_ns) / 1e9,
        completed=None if completed is None else float(completed),
        reason=str(values.get("reason") or ""),
    )


def main() -> None:
    """Do what the service says through the first of the given pipes, until it says no more."""
    talk, queue, k, *answers = (int(word) for word in sys.argv[1:])
    with suppress(EOFError, OSError), Connection(talk) as service:
        try:
            wire = Wire(queue, answers, k)
        except ImportError as error:
            service.send(f"{error}: pip install mlcommons-loadgen")
            return
        service.send("ready")
        while True:
            service.send(run(wire, service.recv()))


if __name__ == "__main__":
    main()
