"""The pytest face: ``pytest bench/ --benchmark-only`` with the options below."""

# ruff: noqa: E402 - Ctrl-C is looked after before the libraries are imported

from __future__ import annotations

from bench.ground import interrupts

interrupts.quit_quietly()  # what follows is imported for seconds, before pytest would catch Ctrl-C
# isort: split
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.cli import ending, loading, offering
from bench.face.replay import Measured, Replay, save_without_benchmarks
from bench.face.session import Session
from bench.face.storing import AtomicStorage, store_atomically
from bench.face.summary import print_summary
from bench.ground.home import home
from bench.records.record import Record
from bench.records.store import FAILED
from models.errors import UserError
from models.serving import Scores, SeenItems

SESSION = pytest.StashKey[Session]()
STORAGE = pytest.StashKey[AtomicStorage | None]()

SUITES = {"bench_serving.py": "quick", "bench_decoding.py": "decoding"}
"""The suite of each file that measures cases, when none is named."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the recommender benchmarks."""
    group = parser.getgroup("recommenders", "recommender benchmarks")
    add = group.addoption
    add("--suite", help="Suite of cases: a name that `python -m bench` lists, or a .toml file. Default: quick.")
    add("--recommender", action="append", help="Measure this one instead of the suite's; may be repeated.")
    add("--dataset", action="append", help="Name or path of a dataset, instead of the suite's; may be repeated.")
    loading.add_to(add)
    add("--checkpoint", action="append", type=Path, help="Measure this trained checkpoint folder; may be repeated.")
    add("--preset", help="Size of the recommenders, such as compact or t5-small.")
    add(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="A setting, for all recommenders that have it."
    )
    add("--seed", help="Seed of weights.")
    add("--untrained", action="store_true", help="Seeded random weights: measures cost alone, and every row says so.")
    add("--device", help="cpu, cuda, cuda:1 ... Default: a GPU if there is one.")
    add("--dtype", action="append", help="float32, bfloat16, float16 or int8; may be repeated.")
    add("--batch-size", action="append", help="Users a request; may be repeated.")
    add("--top-k", help="Length of the lists.")
    add("--beam-width", action="append", help="Beams of generative recommenders; may be repeated.")
    add("--decoder", action="append", help="Decoder of generative recommenders; may be repeated.")
    add("--ranker", action="append", help="What ranks all items by inner product; may be repeated. Default: exact.")
    add(
        "--compiled",
        action="store_true",
        default=None,
        help="Time one-pass recommenders on a CPU compiled, too; takes seconds for each size of request.",
    )
    add(
        "--scores",
        action="append",
        choices=[scores.value for scores in Scores],
        help="What the scores of generated items are taken over; may be repeated.",
    )
    add(
        "--seen",
        choices=[seen.value for seen in SeenItems],
        help="Whether items of the history may be recommended again.",
    )
    add(
        "--threads",
        help="CPU threads for measuring. Default: one fewer than the cores, which steadies timings.",
    )
    add("--case-timeout", metavar="SECONDS", help="What a case's indexing, or its timed rounds, may take.")
    add(
        "--case-memory",
        metavar="MIB",
        help="What the process that measures may allocate on a CPU. Default: nine tenths of what is free.",
    )
    add("--retry-failed", action="store_true", help="Try cases again that crashed, hung or took all memory before.")
    add(
        "--in-process",
        action="store_true",
        help="Measure in pytest's own process, for debuggers: a recommender that crashes ends the run.",
    )
    add("--case-seconds", help="Timed seconds a case. Default: the suite's.")
    add("--min-rounds", help="Timed rounds a case, however long they take. Default: the suite's.")
    add(
        "--percentile",
        metavar="50|90|95|99",
        help="The highest latency percentile that is wanted: p90 takes 50 rounds, p95 100, p99 500.",
    )
    add("--flush-cache", action="store_true", default=None, help="Overwrite a GPU's L2 cache before each request.")
    add("--quality-users", help="Rank a seeded sample of this many users for quality. Default: all.")
    add("--train-minutes", help="Bound on training a recommender on the fly. Default: the recipe's.")
    add("--scenario", help="How requests arrive: closed, offline, open, trace. Default: the suite's.")
    offering.add_to(add)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Save results, with their samples, below our home unless the user said where."""
    interrupts.hand_back()
    option = config.option
    if hasattr(option, "benchmark_storage"):
        from pytest_benchmark.utils import get_tag

        if option.benchmark_storage == "file://./.benchmarks":
            with _usage_errors():
                option.benchmark_storage = f"file://{home('results').resolve()}"
        option.benchmark_autosave = option.benchmark_autosave or get_tag()
        option.benchmark_save_data = True


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave benchmarks other than serving out unless their file is named on the command line."""
    ours = collection_path.parent == Path(__file__).parent and collection_path.match("bench_*.py")
    return True if ours and collection_path not in _collected(config) else None


def _collected(config: pytest.Config) -> list[Path]:
    """Return the benchmark files that are to run: those named on the command line, and of a folder the serving one."""
    places = [Path(config.invocation_params.dir, name.split("::")[0]).resolve() for name in config.args]
    usual = Path(__file__).with_name("bench_serving.py")
    return list(dict.fromkeys(place if place.is_file() else usual for place in places))


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Plan the run; here a usage error is one line, whereas while modules are collected it is a traceback."""
    session.config.stash[STORAGE] = store_atomically(session.config._benchmarksession)  # type: ignore[attr-defined]  # noqa: SLF001 - where the plugin keeps it
    suites = [SUITES[path.name] for path in _collected(session.config) if path.name in SUITES]
    option = session.config.option
    if option.suite is None:
        option.suite = next(iter(suites), "quick")
    if suites:
        _session(session.config)


def _session(config: pytest.Config) -> Session:
    if SESSION not in config.stash:
        with _usage_errors():
            config.stash[SESSION] = Session(config)
    return config.stash[SESSION]


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Turn what the user can put right into pytest's own kind of error: one line, and status 4."""
    try:
        yield
    except UserError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one benchmark a case."""
    if "measured" not in metafunc.fixturenames:
        return
    session = _session(metafunc.config)
    parameters = []
    for name in session.names:
        replay = Replay()
        mark = pytest.mark.benchmark(timer=replay, group=session.group_name(name))
        parameters.append(pytest.param((name, replay), marks=mark, id=name))
    metafunc.parametrize("measured", parameters, indirect=True)


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Return the measured case; the first case of a group to be asked for measures all of it."""
    name, replay = request.param
    selected = {item.callspec.id for item in request.session.items if hasattr(item, "callspec")}
    try:
        return Measured(request.config.stash[SESSION].record(name, selected), replay)
    except UserError as error:
        pytest.exit(f"error: {error}", returncode=ending.USAGE)
    except KeyboardInterrupt:
        pytest.exit(f"{interrupts.LINE}: the same command goes on", returncode=interrupts.STATUS)


def pytest_benchmark_update_json(output_json: dict[str, Any], config: pytest.Config) -> None:
    """Add the cases that failed, which pytest-benchmark leaves out."""
    if SESSION in config.stash:
        output_json[FAILED] = [record.model_dump(mode="json") for record in config.stash[SESSION].failed]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Save a run in which every case failed, and forget what was kept for a run that has now ended."""
    if exitstatus == pytest.ExitCode.INTERRUPTED:
        session.exitstatus = interrupts.STATUS
    if SESSION not in session.config.stash or session.config.option.collectonly:
        return
    ours = session.config.stash[SESSION]
    ours.close()
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        if ours.failed and len(ours.failed) == len(ours.records):
            save_without_benchmarks(session.config)
        storage = session.config.stash[STORAGE]
        if storage is None or storage.failed is None:
            ours.finish()
        else:
            session.exitstatus = ending.USAGE


def _print_answer(reporter: pytest.TerminalReporter, records: Sequence[Record]) -> None:
    """Print the answer and the rows that matter, as `python -m bench.report --text` does."""
    from bench.report.run.money import read_prices
    from bench.report.run.text import print_rows

    console = Console(width=max(80, reporter._tw.fullwidth), no_color=True)  # noqa: SLF001 - its public width is of the past
    with console.capture() as capture:
        print_rows(records, (), read_prices(), console)
    reporter.write_line("")
    reporter.write(capture.get())
    reporter.write_line("python -m bench.report renders these results")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print our own table below pytest-benchmark's."""
    if SESSION in config.stash and config.stash[SESSION].records:
        ours = config.stash[SESSION]
        print_summary(terminalreporter, list(ours.records.values()), ours.speedups(), ours.attained())
        _print_answer(terminalreporter, list(ours.records.values()))
    storage = config.stash.get(STORAGE, None)
    if storage is not None and storage.failed is not None:
        failed = storage.failed
        terminalreporter.write_line(
            f"error: {failed.filename or storage.path}: {failed.strerror}: the results are not saved; what was "
            "measured is kept, so that the same command saves it without measuring again",
            red=True,
        )
