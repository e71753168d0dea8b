"""Runs a plan: every step is a command of this project, in a process of its own, with a log."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

from bench.cli.loading import Loading
from bench.ground.home import atomic, home
from bench.ground.textfiles import read_text
from bench.records import store
from bench.records.studies import BeamStudy, Evaluation, LeakProbe, ShortcutProbe, Studies
from bench.reproducing.plan import Plan, Work, read_part
from bench.training.checkpoints import CARD

Signed = TypeVar("Signed", Evaluation, BeamStudy, LeakProbe, ShortcutProbe)

MADE_BY = "python -m bench.reproduce "

POLL_S = 0.5
PATIENCE_S = 20.0
"""How long an interrupted step may take to end by itself."""


class OutOfTimeError(Exception):
    """The time budget is spent."""


class StepFailedError(Exception):
    """A step did not do what it should; the message says where to read on."""


@dataclass(frozen=True)
class ReproduceOptions:
    """What holds for all steps.

    Attributes:
        loading: How the datasets are loaded, but for the k-core, which is the suite's.
        device: As torch calls it; None takes a GPU if there is one.
        threads: CPU threads of each step that trains or ranks.
        quality_users: Users ranked for the audit of timed lists.
        beam_users: Users ranked against all items.
        deadline: By `time.monotonic`; None for none.

    """

    loading: Loading
    device: str | None
    threads: int
    quality_users: int
    beam_users: int
    deadline: float | None

    @property
    def common(self) -> list[str]:
        """Options that all commands have."""
        place = [] if self.device is None else ["--device", self.device]
        return [*place, *self.source]

    @property
    def source(self) -> list[str]:
        """Where the data are."""
        return self.loading.words()


@dataclass
class Steps:
    """Runs commands, several at a time, until the time is up or one says that all must end.

    Attributes:
        plan: What is run.
        options: What holds for all steps.
        say: Shows a line.
        failures: What went wrong.

    """

    plan: Plan
    options: ReproduceOptions
    say: Callable[[str], None]
    failures: list[str] = field(default_factory=list)
    _stopped: Event = field(default_factory=Event)

    def run_all(self, jobs: int) -> None:
        """Train and evaluate everything, `jobs` sets of weights at a time; what is there is kept."""
        pool = ThreadPoolExecutor(jobs)
        waiting = [pool.submit(self._guarded, self.probe_numberings)]
        waiting += [pool.submit(self._guarded, self.finish, work) for work in self.plan.work]
        try:
            for future in waiting:
                future.result()
        except BaseException:
            self._stopped.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def measure(self) -> Path | None:
        """Time what is trained, alone on the machine.

        Returns:
            The results file; None where there is nothing to time.

        Raises:
            StepFailedError: The benchmarks did not end well.

        """
        timed = self.plan.timed()
        if timed is None:
            return None
        suite = self.plan.folder / "timed.json"
        with atomic(suite) as path:
            path.write_text(timed.model_dump_json(indent=1))
        options = ["--suite", str(suite), "--quality-users", str(self.options.quality_users), *self.options.common]
        options += ["--min-count", str(self.plan.suite.min_count), f"--benchmark-storage=file://{self._storage}"]
        benches = str(Path(__file__).parent.parent)
        before = set(self._storage.glob("*/*.json"))
        try:
            argv = ["pytest", benches, "--benchmark-only", "-q", *options]
            self._command("measuring", argv, "measure.log", timed=False)
        except StepFailedError as error:  # a case that failed is a row of the results
            if not set(self._storage.glob("*/*.json")) - before:
                raise
            self.failures.append(str(error))
        return max(set(self._storage.glob("*/*.json")) - before, key=lambda run_file: run_file.stat().st_mtime_ns)

    @property
    def _storage(self) -> Path:
        return home("reproduce", self.plan.name, self.plan.size, "timed").resolve()

    def _guarded(self, step: Callable[..., None], *given: Work) -> None:
        try:
            step(*given)
        except StepFailedError as error:
            self.failures.append(str(error))
            self.say(f"failed: {error}")
        except OutOfTimeError:
            pass

    def probe_numberings(self) -> None:
        """Probe the numberings of each dataset's items for answers that they give away, as far as that is not done."""
        name = self.plan.numbering if self.plan.suite.leaks else None
        for source, dataset in self.plan.datasets.items():
            out = self.plan.leaks(dataset)
            if name is not None and read_part(out) is None and not self.plan.kept.leaks(dataset):
                argv = ["bench.leaks", name, *self._data(source), "--out", str(out), *self.options.source]
                self._command(f"probing the numberings of {dataset.name}", argv, f"leaks-{dataset.name}.log")

    def finish(self, work: Work) -> None:
        """Train, evaluate and study one set of weights, as far as that is not done.

        Raises:
            OutOfTimeError: The time is up, or all must end.
            StepFailedError: A command failed.

        """
        if self.plan.is_kept(work):
            return
        log = f"{work.results.stem}.log"
        threads = ["--threads", str(self.options.threads), *self.options.common]
        source = self._data(work.dataset.source.name)
        if not work.trained:
            named = [word for key, value in work.chosen.items() for word in ("--set", f"{key}={value}")]
            argv = ["bench.train", work.entry.name, *source, *named, *threads, "--out", str(work.folder)]
            argv += ["--again"] if (work.folder / CARD).exists() else []  # by another recipe
            argv += ["--max-minutes", repr(work.recipe.max_minutes)]
            argv += self._decoder(work)
            self._command(f"training {work.name}", argv, log)
        if work.studies(work.results) is None:
            whom = [str(work.folder)] if work.trains else [work.entry.name]
            argv = ["bench.evaluate", *whom, *source, *self._decoder(work), *threads, "--out", str(work.results)]
            self._command(f"evaluating {work.name}", argv, log)
        if work.beams is not None and not self._beams_studied(work, work.beams):
            argv = ["bench.beams", str(work.folder), *source, "--users", str(self.options.beam_users), *threads]
            self._command(f"holding the beams of {work.name} against all items", [*argv, "--out", str(work.beams)], log)

    def _beams_studied(self, work: Work, path: Path) -> bool:
        studies = work.studies(path)
        wanted = self.options.beam_users
        return studies is not None and all(study.users == min(wanted, study.all_users) for study in studies.beams)

    def _data(self, source: str) -> list[str]:
        return ["--dataset", source, "--min-count", str(self.plan.suite.min_count)]

    def _decoder(self, work: Work) -> list[str]:
        decoder = self.plan.decoder_of(work)
        return [] if decoder is None else ["--decoder", decoder]

    def _command(self, what: str, argv: Sequence[str], log: str, *, timed: bool = True) -> None:
        """Run one command to its end.

        Raises:
            OutOfTimeError: The time is up, or all must end.
            StepFailedError: It failed.

        """
        deadline = self.options.deadline if timed else None
        if self._stopped.is_set() or (deadline is not None and time.monotonic() >= deadline):
            raise OutOfTimeError
        path = home("reproduce", self.plan.name, self.plan.size, "logs") / log
        line = [sys.executable, "-m", *argv]
        started = time.monotonic()
        self.say(what)
        with path.open("a") as file:
            file.write(f"$ {shlex.join(['python', '-m', *argv])}\n")
            file.flush()
            process = subprocess.Popen(  # noqa: S603 - our own commands
                line,
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                env=quiet_environment(),
                start_new_session=True,
            )
            try:
                while process.poll() is None:
                    if self._stopped.is_set() or (deadline is not None and time.monotonic() >= deadline):
                        raise OutOfTimeError
                    time.sleep(POLL_S)
            finally:
                _end(process)
        if process.returncode:
            words = [word for word in path.read_text(errors="replace").splitlines() if word.strip()]
            raise StepFailedError(f"{what}: {words[-1] if words else 'no output'} ({path})")
        self.say(f"{what}: {(time.monotonic() - started) / 60:.1f} min")


def quiet_environment() -> dict[str, str]:
    """Return the environment without progress bars, which would fill the logs."""
    return os.environ | {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TERM": "dumb"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a step keep what it has, and see that it ends."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def signed_studies(studies: Studies, command: str, *, anew: bool = False) -> Studies:
    """Return studies with the command that makes them again in the place of its steps'.

    Args:
        studies: As the steps wrote them, or an earlier run did.
        command: The command.
        anew: Whether those of an earlier `bench.reproduce`, too, get this command.

    """

    def by(study: Signed) -> Signed:
        if study.provenance.command.startswith(MADE_BY) and not anew:  # kept from an earlier run
            return study
        return study.model_copy(update={"provenance": study.provenance.model_copy(update={"command": command})})

    return studies.model_copy(
        update={
            "evaluations": [by(study) for study in studies.evaluations],
            "beams": [by(study) for study in studies.beams],
            "leaks": [by(study) for study in studies.leaks],
            "shortcuts": [by(study) for study in studies.shortcuts],
        }
    )


def signed(path: Path, *, command: str, suite: str) -> dict[str, Any]:
    """Return a results file with the command that makes it again, and without the name of the computer.

    Raises:
        UserError: It is no results file.

    """
    store.read(path)
    content: dict[str, Any] = json.loads(read_text(path))
    content["machine_info"]["node"] = ""
    records = [benchmark["extra_info"] for benchmark in content["benchmarks"]] + content.get(store.FAILED, [])
    for record in records:
        record["suite"] = suite
        record["provenance"]["command"] = command
    return content
