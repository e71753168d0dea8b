"""A suite as a queue that machines share: filled, waited for, gathered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench.cli.loading import Loading
from bench.fleet.folder import QueueFolder
from bench.fleet.gathering import gather, wait
from bench.fleet.sweep import Sweep, fill
from bench.fleet.worker import retry_failed
from bench.ground.outputs import check_out_file
from bench.measure import machine
from bench.reproducing.kept import RUN, STUDIES
from bench.running.opening import command_of
from bench.suites import definitions
from bench.suites.definitions import Suite
from models.errors import UserError


def sweep_of(
    name: str,
    *,
    size: str | None,
    only: Sequence[str],
    sources: Sequence[str],
    loading: Loading,
    device: str | None = None,
    threads: int | None = None,
    quality_users: int | None = None,
    beam_users: int = 500,
    timeout_s: float | None = None,
    dead_after_s: float,
) -> Sweep:
    """Say what a queue of a suite is, but for its tickets.

    Args:
        name: Name of the suite, or its file.
        size: Preset of all recommenders that are trained first; None takes ``compact``.
        only: Recommenders, of those that the suite names; none named means all.
        sources: Datasets, of those that the suite names; none named means all.
        loading: How the datasets are loaded. Paths must hold on every machine.
        device: As torch calls it.
        threads: CPU threads of what is timed.
        quality_users: Users whose timed lists are held to evaluated ones.
        beam_users: Users whose beams are held against all items.
        timeout_s: What each step of a case may take.
        dead_after_s: How long a worker may be silent.

    Raises:
        UserError: The suite is not as it must be, or an option does not fit it.

    """
    suite = definitions.read_suite(name)
    trains = not _is_timed_as_it_is(suite)
    if not trains and (size or only):
        raise UserError(f"suite {name} has random weights or sizes of its own; leave --size and --only out")
    in_suite = dict.fromkeys(source for _, part in suite.pieces() for source in part.datasets)
    if strange := [source for source in sources if source not in in_suite]:
        raise UserError(f"--datasets {strange[0]}: suite {name} has {', '.join(in_suite)}")
    return Sweep(
        name=Path(name).stem,
        suite=suite,
        size=(size or "compact") if trains else None,
        only=list(only),
        sources=list(sources),
        loading=loading,
        device=device,
        threads=threads,
        quality_users=quality_users,
        beam_users=beam_users,
        timeout_s=timeout_s,
        dead_after_s=dead_after_s,
        code=machine.code_identity(),
    )


def _is_timed_as_it_is(suite: Suite) -> bool:
    """Tell whether nothing is trained before: weights are random, or data generated, for which no plan is made."""
    return bool(suite.untrained or suite.synthetic or any(part.datasets for part in suite.parts))


def share(
    sweep: Sweep,
    root: Path,
    out: Path,
    say: Callable[[str], None],
    *,
    wait_for: bool,
    render: bool,
    retry: bool = False,
    look: Callable[[QueueFolder, Sweep], None] | None = None,
) -> None:
    """Fill a queue, wait for those who empty it, and write what came of it; the same again goes on.

    Args:
        sweep: What it is, without tickets.
        root: The folder that machines share.
        out: Folder for results, studies and pages.
        say: Shows a line.
        wait_for: Whether to wait until all is done; without, what there is by now is written.
        render: Whether to make pages.
        retry: Whether what failed is tried again.
        look: Called at each turn of waiting, to see to workers.

    Raises:
        UserError: The folder holds something else, an option does not fit, or something failed.

    """
    for name in (RUN, STUDIES):
        check_out_file(out / name)
    folder = fill(sweep, root)
    sweep = Sweep.read(folder)
    if retry:
        say(f"{retry_failed(folder, sweep)} tickets are tried again")
    done = len(folder.done())
    say(f"{root}: {len(sweep.tickets)} tickets, {done} done; python -m bench.worker --queue {root} does them")
    if wait_for:
        wait(folder, sweep, say, lambda: None if look is None else look(folder, sweep))
    elif not done:
        return
    if failed := gather(folder, sweep, out, command_of("bench.reproduce"), render=render):
        raise UserError(f"{len(failed)} failed, the first: {failed[0]}")
