"""``python -m bench.index``: what indexing a catalogue takes and makes, in one process or, by torchrun, in several."""

from __future__ import annotations

import hashlib
import resource
import sys
import time
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from bench.cli import ending
from bench.cli.loading import Loading, with_loading
from bench.cli.options import (
    BEAM_WIDTH,
    CpuThreads,
    DatasetName,
    DeviceName,
    PresetName,
    RankerName,
    SeedNumber,
    SettingWords,
    choose_device,
    parse_settings,
    serving_for,
    set_threads,
)
from bench.data.dataset import Dataset, Split
from bench.measure.clock import Clock
from bench.running.opening import open_recommender
from bench.running.together import speaks, together
from bench.training.recipes import resolve
from models import registry
from models.errors import UserError
from models.recommender import Recommender
from models.serving import Scores

app = typer.Typer(add_completion=False, help=__doc__)

USERS, LENGTH = 64, 20
"""Whose lists tell whether two indexes are the same, and how long the lists are."""


@app.command()
@with_loading
def main(
    *,
    recommenders: Annotated[
        list[str], typer.Argument(help="Registry names, package.module:Class, or checkpoint folders.")
    ],
    dataset: DatasetName = "synthetic",
    preset: PresetName = None,
    settings: SettingWords = None,
    seed: SeedNumber = 0,
    untrained: Annotated[bool, typer.Option("--untrained", help="Seeded random weights.")] = False,
    ranker: RankerName = None,
    device: DeviceName = None,
    threads: CpuThreads = None,
    loading: Loading,
) -> None:
    """Index a catalogue: seconds, bytes of each part, the process's peak, and digests that equal indexes share.

    `torchrun -m bench.index` shares the items among processes, and makes the same index in each.
    """
    set_threads(threads)
    chosen = {"seed": seed} | parse_settings(settings or []) | ({"preset": preset} if preset else {})
    table = Table(title=f"index of {dataset}", title_justify="left", box=None)
    for name in ("recommender", "seconds", "part", "MiB", "bytes an item", "peak MiB", "index", "lists"):
        table.add_column(name, justify="left" if name in ("recommender", "part", "index", "lists") else "right")
    with together(choose_device(device)) as place:
        loaded = loading.load(dataset)
        for name in recommenders:
            recommender = _built(name, loaded, chosen, untrained=untrained).to(place).eval()
            recommender.serving = serving_for(name, recommender, None, BEAM_WIDTH, Scores.FULL_VOCAB, ranker=ranker)
            _add(table, name, recommender, loaded, place)
    if speaks():
        Console().print(table)


def _built(name: str, dataset: Dataset, chosen: dict[str, Any], *, untrained: bool) -> Recommender:
    if not untrained:
        return open_recommender(name, dataset, chosen).recommender
    settings, _ = resolve(name, dataset.name, chosen)
    return registry.load(name).build(dataset.catalogue, dataset.training(), settings)


def _add(table: Table, name: str, recommender: Recommender, dataset: Dataset, device: torch.device) -> None:
    """Index, and add a row for each part of the index."""
    clock, items = Clock(device), len(dataset.catalogue)
    started = time.perf_counter()
    recommender.index(dataset.catalogue)
    clock.synchronise()
    seconds = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    once = (
        [name, f"{seconds:.3g}"],
        [f"{peak / 2**20:,.0f}", _digest_of_buffers(recommender), _digest_of_lists(recommender, dataset, device)],
    )
    for row, (part, size) in enumerate(recommender.index_parts.items() or [("none", 0)]):
        sizes = [part, f"{size / 2**20:,.1f}", f"{size / items:.3g}"]
        before, after = once if row == 0 else ([""] * len(once[0]), [""] * len(once[1]))
        table.add_row(*before, *sizes, *after)


def _digest_of_buffers(recommender: Recommender) -> str:
    """Return the beginning of the SHA-256 over the recommender's buffers, which hold the vectors of items."""
    digest = hashlib.sha256()
    for name, buffer in recommender.named_buffers():
        digest.update(name.encode())
        digest.update(buffer.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


def _digest_of_lists(recommender: Recommender, dataset: Dataset, device: torch.device) -> str:
    """Return the beginning of the SHA-256 over the lists of the first test users, scores included."""
    histories, _ = dataset.queries(Split.TEST)
    if not histories:
        raise UserError(f"{dataset.name}: no user has items enough to be asked for; give longer histories")
    with torch.inference_mode():
        inputs = recommender.prepare(list(histories[:USERS])).to(device)
        recommended = recommender.recommend(inputs, LENGTH)
    told = recommended.items.cpu().numpy().tobytes() + recommended.scores.float().cpu().numpy().tobytes()
    return hashlib.sha256(told).hexdigest()[:12]


if __name__ == "__main__":
    ending.run(app)
