"""``python -m bench.gate --against REV``: may this change be merged?"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli import ending
from bench.cli.loading import Loading, with_loading
from bench.cli.offering import offered_of
from bench.cli.options import DeviceName, parse_settings
from bench.gate import render
from bench.gate.judge import Judge
from bench.gate.process import WorkerProcess
from bench.gate.run import Gate, Limits
from bench.gate.sides import Side, base_side, head_side
from bench.gate.stored import read_stored
from bench.ground.bounds import BatchSize, BeamWidth, ListLength, Minutes, Percent, Seconds, Threads, Users, number
from bench.ground.home import home
from bench.ground.outputs import check_out_folder, write_folder
from bench.records.gate import Check, GateResult
from bench.statistics.process_pairs import LEAST_PAIRS
from bench.suites.planning import Job
from models.errors import UserError

app = typer.Typer(add_completion=False, help=__doc__)

INTERRUPTED, USAGE = 130, 2

FILES = ("gate.json", "gate.md", "gate.xml")

Words = list[str]


@app.command()
@with_loading
def main(
    *,
    against: Annotated[str, typer.Option(help="A git revision, the folder of another checkout, or a results file.")],
    suite: Annotated[
        str, typer.Option(help="Suite of cases: a name, or a .toml file; each side reads its own.")
    ] = "gate",
    recommender: Annotated[Words | None, typer.Option(help="Instead of the suite's; may be repeated.")] = None,
    checkpoint: Annotated[list[Path] | None, typer.Option(help="Trained weights, for both sides.")] = None,
    dataset: Annotated[Words | None, typer.Option(help="Instead of the suite's; may be repeated.")] = None,
    decoder: Annotated[Words | None, typer.Option(help="Decoder of generative recommenders; may be repeated.")] = None,
    ranker: Annotated[Words | None, typer.Option(help="What ranks by inner product; may be repeated.")] = None,
    beam_width: Annotated[list[int] | None, number(BeamWidth, "Beams; may be repeated.")] = None,
    batch_size: Annotated[list[int] | None, number(BatchSize, "Users a request; may be repeated.")] = None,
    top_k: Annotated[int | None, number(ListLength, "Length of the lists.")] = None,
    dtype: Annotated[
        Words | None, typer.Option(help="Number format of weights and activations; may be repeated.")
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option(help="How requests arrive: closed, or open, whose p99 is judged."),
    ] = None,
    rate: Annotated[str | None, typer.Option(metavar="N", help="Requests a second that arrive, for open.")] = None,
    slo: Annotated[str | None, typer.Option(metavar="80ms@p99", help="Its percentile is judged, for open.")] = None,
    workers: Annotated[str, typer.Option(metavar="N", help="Processes that answer, for open.")] = "1",
    preset: Annotated[str | None, typer.Option(help="Size of the recommenders.")] = None,
    set_: Annotated[
        Words | None, typer.Option("--set", metavar="NAME=VALUE", help="A setting; may be repeated.")
    ] = None,
    untrained: Annotated[bool, typer.Option("--untrained", help="Seeded random weights.")] = False,
    device: DeviceName = None,
    threads: Annotated[int | None, number(Threads, "CPU threads; default: one fewer than the cores.")] = None,
    case_seconds: Annotated[float | None, number(Seconds, "Timed seconds a case and process.")] = None,
    margin: Annotated[
        float | None, number(Percent, "Percent by which latency may change; default: the suite's.")
    ] = None,
    pairs: Annotated[int, typer.Option(min=LEAST_PAIRS, help="Process pairs at least.")] = LEAST_PAIRS,
    budget_minutes: Annotated[float, number(Minutes, "More pairs are taken for so long while a case is open.")] = 10.0,
    case_timeout: Annotated[float, number(Seconds, "Seconds that one step of a worker may take.")] = 300.0,
    quality_users: Annotated[int, number(Users, "Users ranked where weights are given.")] = 500,
    accept: Annotated[
        list[Check] | None, typer.Option(help="A check whose failure is told and forgiven; may be repeated.")
    ] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Forgive missing, new and failed cases.")
    ] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop as soon as the gate must fail.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for gate.json, gate.md, gate.xml.")] = None,
    loading: Loading,
) -> None:
    """Measure base and head in pairs of fresh processes, and compare latency, cost and answers.

    Exit status: 0 same or faster, 1 slower or broken, 2 wrong usage, 3 ambiguous.
    """
    folder = out or home("gate", "latest")
    check_out_folder(folder, FILES)
    os.environ["BENCH_HOME"] = str(home().resolve())  # workers run elsewhere
    if given := os.environ.get("BENCH_DATA"):
        os.environ["BENCH_DATA"] = str(Path(given).resolve())
    console = Console(stderr=True)
    job = Job(
        suite=suite,
        recommenders=recommender or [],
        checkpoints=[folder.resolve() for folder in checkpoint or []],
        decoders=decoder or [],
        rankers=ranker or [],
        changes={
            "datasets": dataset and [_absolute(name) for name in dataset],
            "batch_sizes": batch_size,
            "beam_widths": beam_width,
            "k": top_k,
            "dtypes": dtype,
            "case_seconds": case_seconds,
            **_served(scenario, {"rate": rate, "slo": slo, "workers": workers}),
        },
        loading=loading.resolved(),
        device=device,
        threads=threads,
        chosen=parse_settings(set_ or []) | ({"preset": preset} if preset else {}),
        untrained=untrained,
    )
    head, base = head_side(), base_side(against)
    accepted = {*(accept or []), *([Check.PRESENCE] if allow_missing else [])}
    stored = None if isinstance(base, Side) else read_stored(base, device)
    gate = Gate(
        head,
        base if isinstance(base, Side) else None,
        base_name=base.name if isinstance(base, Side) else f"file {base}",
        job=job,
        judge=Judge(margin and margin / 100, accepted, stored),
        limits=Limits(pairs, budget_minutes * 60, fail_fast),
        command=shlex.join(["python", "-m", "bench.gate", *sys.argv[1:]]),
        start=lambda side: WorkerProcess(side, head=head, timeout_s=case_timeout),
        quality_users=quality_users,
        progress=lambda message: console.print(message, soft_wrap=True, highlight=False, markup=False),
        keep=lambda result: _keep(result, folder, console),
    )
    signal.signal(signal.SIGTERM, _interrupt)  # what CI sends when a job is cancelled
    raise typer.Exit(_conclude(gate, folder, console))


def _conclude(gate: Gate, folder: Path, console: Console) -> int:
    """Run a gate to whatever end, show and keep its result, and return the exit status."""
    try:
        result = gate.run()
        status = result.exit_status
    except KeyboardInterrupt:
        result, status = gate.result("it was interrupted"), INTERRUPTED
    except (UserError, OSError) as error:
        if not gate.pairs:
            raise
        result = gate.result(f"it could not go on: {error}")
        status = result.exit_status
    _show(result, folder)
    try:
        _write(result, folder)
        _summarise(result)
    except (OSError, UserError) as error:
        console.print(f"error: {error}", soft_wrap=True, highlight=False, markup=False)
        status = status or USAGE
    return status


def _served(scenario: str | None, named: dict[str, str | None]) -> dict[str, object]:
    """Return what a suite is changed by where both sides are asked as services; nothing where nothing is said.

    Raises:
        UserError: The rate is missing, or is of no use.

    """
    if scenario != "open":
        if named["rate"] is not None:
            raise UserError("--rate: is for --scenario open")
        return {} if scenario is None else {"scenario": scenario}
    if named["rate"] is None:
        raise UserError("--scenario open: name the rate at which both sides are asked, --rate N")
    return {"scenario": scenario, "load": offered_of(named)}


def _absolute(dataset: str) -> str:
    """Return a dataset that is a path as one that holds wherever a process runs."""
    return str(Path(dataset).resolve()) if Path(dataset).exists() else dataset


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _keep(result: GateResult, folder: Path, console: Console) -> None:
    """Write what is known so far; where that fails measuring goes on, and what was written before stays."""
    try:
        _write(result, folder, keep=False)
    except UserError as error:
        console.print(f"what is known so far cannot be kept: {error}", soft_wrap=True, highlight=False, markup=False)


def _write(result: GateResult, folder: Path, *, keep: bool = True) -> None:
    texts = (result.model_dump_json(indent=1), render.markdown(result), render.junit(result))
    made = {name: text.encode() for name, text in zip(FILES, texts, strict=True)}
    write_folder(folder, made, made_by="bench.gate", keep=keep)


def _summarise(result: GateResult) -> None:
    """Append to the summary of a GitHub job, where this is one."""
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(render.markdown(result))


def _show(result: GateResult, folder: Path) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    console.print(render.table(result))
    console.print()
    lines = [*render.findings(result), *result.notes, render.power(result), render.conclusion(result)]
    lines.append(f"{result.pairs} pairs in {result.seconds:.0f} s; {folder}/gate.json, gate.md, gate.xml")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


if __name__ == "__main__":
    ending.run(app)
