"""``python -m bench.reproduce SUITE``: train, evaluate, measure and render a suite; the same command goes on.

``python -m bench.reproduce gpu`` does the jobs of a queue, the most valuable first, within the minutes that a machine
can be had for, and brings back a few files (docs/gpu.md).

``--queue DIR`` lets many machines do it: it fills a queue of cases that ``python -m bench.worker --queue DIR`` empties
wherever it is started (docs/machines.md); ``--ray ADDRESS`` starts such workers on a Ray cluster.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from filelock import FileLock, Timeout
from rich.console import Console

from bench.cli import ending
from bench.cli.loading import Loading, with_loading
from bench.cli.options import DeviceName, choose_device
from bench.fleet.launching import share, sweep_of
from bench.fleet.on_ray import RayCrew
from bench.fleet.sweep import DEAD_AFTER_S, Sweep
from bench.ground.bounds import Minutes, Rounds, Seconds, Threads, Users, number
from bench.ground.home import home
from bench.ground.outputs import check_out_file, check_out_folder, write_file
from bench.reproducing.kept import RUN, STUDIES, read_kept
from bench.reproducing.packed import LIST
from bench.reproducing.plan import make_plan
from bench.reproducing.queue import Queue, State, read_queue
from bench.reproducing.queued import QueueRun, render_pages, table_of
from bench.reproducing.run import ReproduceOptions, StepFailedError, Steps, signed, signed_studies
from bench.running.opening import command_of
from models.errors import UserError

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
@with_loading
def main(
    *,
    suite: Annotated[
        str, typer.Argument(help="paper, ablation, another that `python -m bench` lists, or a file; gpu is a queue.")
    ],
    datasets: Annotated[str, typer.Option(help="Datasets of the suite, separated by commas; default: all.")] = "",
    size: Annotated[
        str | None,
        typer.Option(help="Preset of all recommenders; default: compact, or the first that a queue names."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Recommender of the suite; may be repeated. Default: all.")
    ] = None,
    budget_minutes: Annotated[
        float | None,
        number(
            Minutes,
            "When these are over, what is there is measured and no job begins; the same command goes on later.",
        ),
    ] = None,
    jobs: Annotated[int | None, number(Rounds, "Trained at a time; default: cores, 4 at most, or 1 on a GPU.")] = None,
    device: DeviceName = None,
    quality_users: Annotated[int, number(Users, "Users whose timed lists are held to evaluated ones.")] = 500,
    beam_users: Annotated[int, number(Users, "Users whose beams are held against all items.")] = 500,
    kept: Annotated[
        Path | None, typer.Option(help="Folder of an earlier run's results: what it holds is not made again.")
    ] = None,
    measure: Annotated[bool, typer.Option(help="Time what is trained; without, quality alone is rendered.")] = True,
    render: Annotated[bool, typer.Option(help="Make the page; without, results alone are written.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List a queue's jobs, and which comes next.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Do jobs of a queue that failed anew.")] = False,
    pages: Annotated[
        Path | None, typer.Option(help="Make pages of what a queue brought back, which --kept names, and run nothing.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for results, studies and the page.")] = Path("reports/latest"),
    shared: Annotated[
        Path | None, typer.Option("--queue", help="Folder that machines share, for what their workers do.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Let a Ray cluster do the queue, 'local' for one on this machine alone."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="With --queue: wait until workers are done.")] = True,
    dead_after: Annotated[
        float, number(Seconds, "With --queue: how long a worker may be silent before others take its ticket.")
    ] = DEAD_AFTER_S,
    training_threads: Annotated[int, number(Threads, "With --ray: threads of each worker that trains.")] = 1,
    timing_threads: Annotated[
        int | None, number(Threads, "With --queue: threads of what is timed; default: all cores of a machine but one.")
    ] = None,
    case_timeout: Annotated[float | None, number(Seconds, "With --queue: what each step of a case may take.")] = None,
    loading: Loading,
) -> None:
    """Do what of a suite is not done yet: train, evaluate, study beams and leaks, measure, render."""
    console = Console(stderr=True)
    started = time.monotonic()

    def say(line: str) -> None:
        console.print(f"{(time.monotonic() - started) / 60:6.1f} min  {line}", soft_wrap=True, highlight=False)

    queue = read_queue(suite)
    if shared is not None or ray is not None:
        if queue is not None or kept or budget_minutes or not measure or dry_run or pages or jobs:
            raise UserError("--queue and --ray go with a suite, without --kept, --budget-minutes, --jobs, --no-measure")
        sweep = sweep_of(
            suite,
            size=size,
            only=only or [],
            sources=_sources(datasets),
            loading=loading,
            device=device,
            threads=timing_threads,
            quality_users=quality_users,
            beam_users=beam_users,
            timeout_s=case_timeout,
            dead_after_s=dead_after,
        )
        how: dict[str, Any] = {"wait_for": wait, "render": render, "retry": retry_failed}
        _share(sweep, shared, out, say, ray, training_threads, **how)
        return
    if not wait or timing_threads or case_timeout or dead_after != DEAD_AFTER_S or training_threads != 1:
        raise UserError("--no-wait, --dead-after, --case-timeout and options of threads go with --queue or --ray")
    if queue is not None:
        if datasets or only or jobs or not (measure and render):
            raise UserError(f"{suite} is a queue, whose jobs say what is done; leave out what is for suites")
        asked = Asked(device, size, out, kept, None if budget_minutes is None else started + 60 * budget_minutes)
        _do_queue(Path(suite).stem, queue, asked, loading, say, pages, dry_run=dry_run, retry_failed=retry_failed)
        return
    if dry_run or retry_failed or pages:
        raise UserError("--dry-run, --retry-failed and --pages go with a queue, such as gpu")
    for name in (RUN, STUDIES):
        check_out_file(out / name)
    on_gpu = torch.cuda.is_available() if device is None else device.startswith("cuda")
    plan = make_plan(
        suite,
        sources=_sources(datasets),
        size=size or "compact",
        only=only or [],
        loading=loading,
        kept=read_kept(kept),
        on_gpu=on_gpu,
    )
    cores = os.cpu_count() or 1
    at_once = jobs or (1 if on_gpu else min(cores, 4))
    options = ReproduceOptions(
        loading=loading,
        device=device,
        threads=max(1, cores // at_once),
        quality_users=quality_users,
        beam_users=beam_users,
        deadline=None if budget_minutes is None else started + 60 * budget_minutes,
    )
    steps = Steps(plan, options, say)
    with _alone(plan.folder):
        _reproduce(steps, at_once, measure=measure, render=render, out=out)


def _sources(datasets: str) -> list[str]:
    return [source for source in datasets.split(",") if source]


def _share(
    sweep: Sweep,
    folder: Path | None,
    out: Path,
    say: Callable[[str], None],
    ray: str | None,
    training_threads: int,
    **how: Any,
) -> None:
    """Let workers that were started elsewhere, or that a Ray cluster starts, do a suite through a folder."""
    folder = folder or home("queues", "by-ray") / f"{sweep.name}-{sweep.size or 'as-it-is'}"
    if ray is None:
        share(sweep, folder, out, say, **how)
        return
    with RayCrew(ray, threads=training_threads, say=say) as crew:
        share(sweep, folder, out, say, look=crew.look, **how | {"wait_for": True})


@dataclass(frozen=True)
class Asked:
    """How a queue is to be run, as the user asked."""

    device: str | None
    size: str | None
    out: Path
    kept: Path | None
    deadline: float | None


def _do_queue(
    name: str,
    queue: Queue,
    asked: Asked,
    loading: Loading,
    say: Callable[[str], None],
    pages: Path | None,
    *,
    dry_run: bool,
    retry_failed: bool,
) -> None:
    if pages is not None:
        render_pages(asked.kept or asked.out, pages, say)
        return
    size = asked.size or next(iter(queue.sizes))
    device = choose_device(asked.device)
    run = QueueRun(
        name=name,
        queue=queue,
        state=State(name, size),
        device=str(device),
        loading=loading,
        out=asked.out,
        command=command_of("bench.reproduce"),
        deadline=asked.deadline,
        say=say,
    )
    queue.size(size)
    with _alone(run.state.home):
        for folder in (asked.kept, asked.out if (asked.out / LIST).is_file() else None):
            if folder is not None:
                run.keep(folder)
        if not dry_run:
            check_out_folder(asked.out, [LIST])
            run.all(retry_failed=retry_failed)
        Console().print(table_of(run))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a suite's folder, which another run of the same suite and size would write to."""
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise UserError(f"another bench.reproduce works in {folder}: wait for it, or set BENCH_HOME") from error


def _reproduce(steps: Steps, at_once: int, *, measure: bool, render: bool, out: Path) -> None:
    """Run all steps, and write and render what there is, whatever failed."""
    plan, say = steps.plan, steps.say
    try:
        steps.run_all(at_once)
    except KeyboardInterrupt:
        say("interrupted: the same command goes on")
        raise
    command = command_of("bench.reproduce")
    studies = signed_studies(plan.gathered(), command)
    content = plan.kept.run
    if measure:
        try:
            run = steps.measure()
        except StepFailedError as error:
            steps.failures.append(str(error))
        else:
            content = content if run is None else plan.kept.with_run(signed(run, command=command, suite=plan.name))
    if content:
        write_file(out / RUN, json.dumps(content, indent=1) + "\n")
    runs = [out / RUN] if content else []
    write_file(out / STUDIES, studies.model_dump_json(indent=1) + "\n")
    page = [sys.executable, "-m", "bench.report", *map(str, [*runs, out / STUDIES]), "--out", str(out)]
    status = subprocess.run(page, check=False).returncode if render else 0  # noqa: S603 - our own command
    missing = [work.name for work in plan.work if not plan.done(work)]
    if missing:
        say(f"not done yet: {'; '.join(missing)}; the same command goes on")
    if steps.failures:
        raise UserError(f"{len(steps.failures)} steps failed, the first: {steps.failures[0]}")
    if status:
        raise UserError(f"the results in {out} could not be rendered: see above")


if __name__ == "__main__":
    ending.run(app)
