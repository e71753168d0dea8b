"""Runs a queue within a budget: each job in a process of its own, its results packed as soon as it is over."""

from __future__ import annotations

import ctypes
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch
from rich.markup import escape
from rich.table import Table

import bench
from bench.cli.loading import Loading
from bench.ground.home import atomic, home
from bench.ground.textfiles import packed
from bench.measure import machine
from bench.records import store
from bench.reproducing.kept import RUN, STUDIES
from bench.reproducing.packed import Listed, pack, restore, unpack
from bench.reproducing.queue import DATA, ROW, Ending, JobRow, Queue, QueuedJob, State, digest, filled_in
from bench.reproducing.run import PATIENCE_S, POLL_S, quiet_environment, signed, signed_studies
from bench.suites.definitions import Suite
from models.errors import UserError

ROOT = Path(bench.__file__).resolve().parent.parent

OVERRUN = 1.5
"""How many times its minutes a job may take, where the budget allows it: the next one should have its turn."""

FOR_MEASURING = 0.3
"""Share of a job's minutes that its trainings leave to timing."""

TOGETHER = 4
"""Trained at a time on a GPU: the small ones end early, and none of them fills it."""

LOG = "log.txt"

LAST_LETTERS = 300
"""How much of its last line a job that failed is quoted with."""

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class QueueRun:
    """A queue that is run.

    Attributes:
        name: Name of the queue.
        queue: Its jobs.
        state: What is done.
        device: As torch calls it.
        loading: Where the data are.
        out: Folder for what is packed.
        command: That makes it again.
        deadline: By `time.monotonic`; None for none.
        say: Shows a line.

    """

    name: str
    queue: Queue
    state: State
    device: str
    loading: Loading
    out: Path
    command: str
    deadline: float | None
    say: Callable[[str], None]

    @property
    def _decoder(self) -> str:
        return self.queue.decoder.get("cuda" if self.on_cuda else "cpu", "")

    @property
    def on_cuda(self) -> bool:
        """Whether there is a GPU."""
        return self.device.startswith("cuda")

    @property
    def left(self) -> float | None:
        """Minutes of the budget that are left; None without one."""
        return None if self.deadline is None else (self.deadline - time.monotonic()) / 60

    def keep(self, folder: Path) -> None:
        """Take over what an earlier call packed, but for what is done here.

        Raises:
            UserError: The folder is damaged, or of another queue or size.

        """
        listed, files = unpack(folder)
        if (listed.queue, listed.size) != (self.name, self.state.size):
            raise UserError(f"{folder}: holds queue {listed.queue} at size {listed.size}; give another folder")
        for job in self.queue.jobs:
            if self.state.row(job) is None and ROW in files.get(job.name, {}):
                restore(files[job.name], self.state.folder(job.name))

    def all(self, *, retry_failed: bool) -> None:
        """Do one job after the other, until none is left that ends in time."""
        rows = {job.name: self.state.row(job) for job in self.queue.jobs}
        retry = {name for name, row in rows.items() if retry_failed and row is not None and row.outcome != Ending.DONE}
        while (job := self.state.next(self.queue, self.left, on_cuda=self.on_cuda, retry=retry)) is not None:
            retry.discard(job.name)
            self.say(f"{job.name}: {job.does}")
            row = self._do(job)
            said = f": {row.detail}" if row.detail else ""
            self.say(f"{job.name}: {row.outcome} after {row.seconds / 60:.1f} min{said}")
            self.pack()
        self.pack()  # what an earlier call did, too, though nothing was left to do

    def pack(self) -> None:
        """Write what is done to the folder that comes back; nothing where nothing is done."""
        over = [(job, row) for job in self.queue.jobs if (row := self.state.row(job)) is not None]
        if not over:
            return
        listed = Listed(queue=self.name, size=self.state.size, rows=[row for _, row in over])
        files = {job.name: self.state.files(job) for job, _ in over}
        pack(self.out, listed, files, made_by="bench.reproduce")

    def _do(self, job: QueuedJob) -> JobRow:
        folder = self.state.folder(job.name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
        outcome, detail = self._ran(job, folder)
        try:
            self._collect(job, folder)
        except UserError as error:
            outcome, detail = Ending.FAILED, f"{detail}; {error}" if detail else str(error)
        row = JobRow(
            job=job.name,
            outcome=outcome,
            detail=detail,
            seconds=round(time.monotonic() - began, 1),
            started=started,
            device=str(machine.machine(torch.device(self.device)).get("GPU") or self.device),
            commit=machine.commit()[0],
            digest=digest(job, self.state.size),
        )
        with atomic(folder / ROW) as path:
            path.write_text(row.model_dump_json(indent=1) + "\n")
        return row

    def _ran(self, job: QueuedJob, folder: Path) -> tuple[Ending, str]:
        """Run a job's process to its end, or to its time's."""
        try:
            words = self._words(job, folder)
        except UserError as error:
            return Ending.FAILED, str(error)
        allowed_s = 60 * OVERRUN * job.minutes * self.queue.size(self.state.size).share
        end = time.monotonic() + allowed_s
        end = end if self.deadline is None else min(end, self.deadline)
        log = folder / LOG
        with log.open("w") as file:
            file.write(f"$ {shlex.join(['python', '-m', *words])}\n")
            file.flush()
            process = subprocess.Popen(  # noqa: S603 - a command of the queue
                [sys.executable, "-m", *words],
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                env=quiet_environment(),
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - this process has one thread
            )
            try:
                while process.poll() is None and time.monotonic() < end:
                    time.sleep(POLL_S)
                in_time = process.poll() is not None
            finally:
                _interrupt(process)
        if not in_time:
            return Ending.TIMED_OUT, f"took longer than {(time.monotonic() - end + allowed_s) / 60:.1f} minutes"
        if process.returncode:
            lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
            return Ending.FAILED, f"status {process.returncode}: {lines[-1][:LAST_LETTERS]}"
        return Ending.DONE, ""

    def _words(self, job: QueuedJob, folder: Path) -> list[str]:
        """Return what is run, as words after ``python -m``.

        Raises:
            UserError: It needs a checkout, and there is none; or its suite is none.

        """
        size, share = self.state.size, self.queue.size(self.state.size).share
        suite = self._suite(job)
        data = self.loading.resolved().words()
        if suite is None:
            values = {"device": self.device, "size": size, "out": str(folder), "root": str(ROOT)}
            words = [part for word in job.command for part in (data if word == DATA else [filled_in(word, values)])]
            for word, filled in zip(job.command, words, strict=False):
                if word.startswith("{root}") and not Path(filled.partition("::")[0]).exists():
                    raise UserError(f"{filled} is not there: this job needs a checkout of the project")
            return words
        path = self.state.folder(job.name) / f"{job.name}.json"
        path.write_text(suite.model_dump_json(indent=1))
        device = ["--device", self.device]
        if job.trains:
            minutes = max(0.1, job.minutes * share * (1 - FOR_MEASURING))
            budget = ["--budget-minutes", f"{minutes:g}", "--no-render", "--out", str(folder)]
            budget += ["--jobs", str(TOGETHER)] if self.on_cuda else []
            return ["bench.reproduce", str(path), "--size", size, *budget, *device, *data]
        storage = f"--benchmark-storage=file://{(folder / 'stored').resolve()}"
        options = ["--suite", str(path), "--min-count", str(suite.min_count), storage]
        return ["pytest", str(ROOT / "bench"), "--benchmark-only", "-q", *options, *device, *data]

    def _suite(self, job: QueuedJob) -> Suite | None:
        return job.measured(self.state.size, self.queue.size(self.state.size), decoder=self._decoder)

    def _collect(self, job: QueuedJob, folder: Path) -> None:
        """Bring together what the job left: its results file, the cards of its weights, the logs of its steps.

        Raises:
            UserError: Its results file is none.

        """
        stored = sorted((folder / "stored").glob("*/*.json"))
        results = stored[-1] if stored else folder / RUN
        if results.exists():
            content = signed(results, command=self.command, suite=job.name)
            (folder / RUN).write_bytes(packed(folder / RUN, json.dumps(content) + "\n"))
        shutil.rmtree(folder / "stored", ignore_errors=True)
        if job.suite is not None and not (folder / RUN).exists():
            raise UserError("nothing was timed")
        if not job.trains:
            return
        made = home("reproduce", job.name, self.state.size)
        for card in made.glob("checkpoints/*/*/card.json"):
            target = folder / "cards" / f"{card.parent.parent.name}-{card.parent.name}.json"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(card.read_bytes())
        for log in made.glob("logs/*.log"):
            (folder / "logs").mkdir(exist_ok=True)
            (folder / "logs" / log.name).write_bytes(log.read_bytes())
        suite = self._suite(job)
        studies = signed_studies(store.read_studies(folder / STUDIES).studies, self.command, anew=True)
        (folder / STUDIES).write_bytes(packed(folder / STUDIES, studies.model_dump_json() + "\n"))
        evaluated = {evaluation.case.recommender for evaluation in studies.evaluations}
        left = [entry.name for entry in suite.recommenders if entry.name not in evaluated] if suite else []
        if left:
            raise UserError(f"not evaluated in time: {', '.join(left)}")


def render_pages(folder: Path, out: Path, say: Callable[[str], None]) -> None:
    """Make a page of each job that left results.

    Args:
        folder: What a queue packed.
        out: Gets a folder a job, with its results, their page and all else that the job left.
        say: Shows a line.

    Raises:
        UserError: The folder is damaged, or a page could not be made.

    """
    _, files = unpack(folder)
    for job, its in files.items():
        place = out / job
        restore(its, place)
        results = [str(place / name) for name in (RUN, STUDIES) if name in its]
        if results:
            line = [sys.executable, "-m", "bench.report", *results, "--out", str(place)]
            done = subprocess.run(line, check=False, capture_output=True, text=True)  # noqa: S603 - our own command
            if done.returncode:
                raise UserError(f"{place}: no page could be made: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
            say(str(place / "index.html"))


def table_of(run: QueueRun) -> Table:
    """List the jobs of a queue: how long they take, what came of them, which is next.

    Args:
        run: The queue, and what of it is done.

    """
    share = run.queue.size(run.state.size).share
    following = run.state.next(run.queue, run.left, on_cuda=run.on_cuda, retry=set())
    table = Table(title=f"{run.name} at {run.state.size}: {run.queue.description}", title_justify="left", box=None)
    for name in ("job", "minutes", "state", "what it gives"):
        table.add_column(name, justify="right" if name == "minutes" else "left", overflow="fold")
    for job in run.queue.jobs:
        row = run.state.row(job)
        if row is not None:
            state = row.outcome if row.outcome == Ending.DONE else f"{row.outcome}: {row.detail}"
        elif job is following:
            state = "next"
        else:
            state = "needs a GPU" if job.needs_cuda and not run.on_cuda else "to do"
        table.add_row(job.name, f"{job.minutes * share:.1f}", escape(state), job.does)
    return table


def _end_with_parent() -> None:
    """Be interrupted when the process that runs the queue is gone, so that the next one finds nothing in its way."""
    with suppress(OSError, AttributeError):  # elsewhere than on Linux the job ends by itself
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """Let a job keep what it has, and see that it ends."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGINT)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
